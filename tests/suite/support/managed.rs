//! The MariaDB that kodo runs for itself, as a test sees it: its processes, and a client on its socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The managed server of a state directory. Whatever still runs of it is killed when this is dropped.
pub struct ManagedDb {
    data_argument: String,
}

impl ManagedDb {
    pub fn under(state: &Path) -> Self {
        Self { data_argument: format!("--datadir={}", state.join("mariadb/data").display()) }
    }

    /// The servers that work on the data directory: one or none, if all is well.
    pub fn pids(&self) -> Vec<Pid> {
        self.processes().into_iter().map(|(pid, _)| pid).collect()
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&self) -> anyhow::Result<()> {
        let pids = self.pids();
        ensure!(!pids.is_empty(), "no managed database runs");
        pids.iter().try_for_each(|pid| kill_process(*pid, Signal::KILL))?;
        while self.pids().iter().any(|pid| pids.contains(pid)) {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Runs a statement as the user who owns the server.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let done = Command::new("mariadb")
            .args(["--no-defaults", "kodo"])
            .arg(format!("--socket={}", self.socket()?.display()))
            .arg(format!("--execute={sql}"))
            .status()?;
        ensure!(done.success(), "the statement failed: {sql}");
        Ok(())
    }

    /// Where the running server listens.
    pub fn socket(&self) -> anyhow::Result<PathBuf> {
        let processes = self.processes();
        let (_, command) = processes.first().context("no managed database runs")?;
        let socket = command.iter().find_map(|argument| argument.strip_prefix("--socket="));
        socket.map(PathBuf::from).context("the managed database has no socket")
    }

    fn processes(&self) -> Vec<(Pid, Vec<String>)> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let processes = entries.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let arguments = command.split(|b| *b == 0).map(|part| String::from_utf8_lossy(part).into_owned());
            Some((pid, arguments.collect::<Vec<_>>()))
        });
        processes.filter(|(_, arguments)| arguments.contains(&self.data_argument)).collect()
    }
}

impl Drop for ManagedDb {
    fn drop(&mut self) {
        for (pid, arguments) in self.processes() {
            kill_process(pid, Signal::KILL).ok();
            let outside = arguments.iter().find_map(|argument| argument.strip_prefix("--socket=/tmp/kodo-"));
            if let Some(rest) = outside.filter(|rest| !rest.contains('/')) {
                std::fs::remove_file(format!("/tmp/kodo-{rest}")).ok();
            }
        }
    }
}
