//! How much of a download has come, of which nobody knows how long it will be: a spinner in a terminal, a line now and
//! then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::CliError;
use super::output::{bytes, remark};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub struct Received {
    bytes: u64,
    begun: Instant,
    told: Instant,
    /// `None`: there is no terminal.
    bar: Option<ProgressBar>,
}

impl Received {
    pub fn begin() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a constant template"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bytes: 0, begun: Instant::now(), told: Instant::now(), bar }
    }

    pub fn more(&mut self, n_bytes: u64) -> Result<(), CliError> {
        self.bytes += n_bytes;
        let rate = self.bytes as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let line = format!("{} received, {}/s", bytes(self.bytes), bytes(rate as u64));
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                remark(&line)?;
            }
            None => {}
        }
        Ok(())
    }

    /// All has come; returns how much that is.
    pub fn end(self) -> u64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.bytes
    }
}
