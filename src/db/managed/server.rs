//! The server's process: started or found, watched, started again, ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use diesel::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::install::{initialise, server_program};
use super::{CONNECTIONS_MAX, Place, user_name};
use crate::db::Conn;

/// Recovery after a crash reads the log back; that takes seconds, on a slow disk minutes.
const READY_MAX: Duration = Duration::from_secs(600);
/// A server that was left behind is up already, unless it is in trouble: its socket was removed, or it hangs.
const LEFT_BEHIND_READY_MAX: Duration = Duration::from_secs(10);
const STOP_MAX: Duration = Duration::from_secs(120);
const RESTART_DELAY: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
const ADOPTED_POLL: Duration = Duration::from_millis(100);
const READY_POLL: Duration = Duration::from_millis(50);
const LAST_LINES: usize = 12;

pub struct Server {
    place: Place,
    program: PathBuf,
    buffer_pool_mb: u32,
}

pub enum Running {
    Child(Child),
    /// Started by a kodo that was killed: not our child, so it is watched by its command line.
    Adopted(Pid, PathBuf),
}

impl Running {
    async fn ended(&mut self) {
        match self {
            Self::Child(child) => {
                if let Err(err) = child.wait().await {
                    tracing::warn!(error = %err, "cannot wait for the managed database");
                }
            }
            // A process that has ended has no command line, even where nobody reaps it.
            Self::Adopted(pid, data) => {
                while serves(*pid, data) {
                    tokio::time::sleep(ADOPTED_POLL).await;
                }
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = match self {
            Self::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::Adopted(pid, data) => serves(*pid, data).then_some(*pid),
        };
        if let Some(pid) = pid
            && let Err(err) = kill_process(pid, signal)
        {
            tracing::debug!(error = %err, "the managed database had ended already");
        }
    }

    /// Ends the server in good order, and by force when that takes too long: what is committed is safe either way.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(STOP_MAX, self.ended()).await.is_err() {
            tracing::error!("the managed database did not stop in time; it is killed and recovers at its next start");
            self.signal(Signal::KILL);
            self.ended().await;
        }
    }
}

impl Server {
    pub fn new(place: Place, buffer_pool_mb: u32) -> anyhow::Result<Self> {
        Ok(Self { place, program: server_program()?, buffer_pool_mb })
    }

    /// Returns with a server that answers. Whatever was started has ended again when this fails or is told to stop.
    pub async fn begin(&self, stop: &CancellationToken) -> anyhow::Result<Running> {
        if let Some(running) = self.take_over(stop).await? {
            return Ok(running);
        }
        initialise(&self.place).await?;
        let mut running = Running::Child(self.spawn()?);
        if let Err(err) = self.wait_until_ready(&mut running, READY_MAX, stop).await {
            running.end().await;
            return Err(err);
        }
        Ok(running)
    }

    /// The server that a killed kodo left behind on this data directory, if it lives and answers.
    async fn take_over(&self, stop: &CancellationToken) -> anyhow::Result<Option<Running>> {
        let data = self.place.data();
        let Some(pid) = left_behind(&data) else { return Ok(None) };
        tracing::info!(pid = pid.as_raw_nonzero(), "the database server that an earlier kodo left is taken over");
        let mut running = Running::Adopted(pid, data);
        let Err(err) = self.wait_until_ready(&mut running, LEFT_BEHIND_READY_MAX, stop).await else {
            return Ok(Some(running));
        };
        tracing::warn!(error = format!("{err:#}"), "it is of no use and is replaced");
        running.end().await;
        ensure!(!stop.is_cancelled(), "told to stop");
        Ok(None)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let place = &self.place;
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.error_log())
            .with_context(|| format!("cannot write {}", place.error_log().display()))?;
        if place.socket.exists() {
            std::fs::remove_file(&place.socket)
                .with_context(|| format!("cannot remove the stale socket {}", place.socket.display()))?;
        }
        let mut command = Command::new(&self.program);
        command
            .arg("--no-defaults")
            .arg(format!("--user={}", user_name()?))
            .arg(data_argument(&place.data()))
            .arg(format!("--socket={}", place.socket.display()))
            .arg(format!("--tmpdir={}", place.temporary().display()))
            .arg(format!("--pid-file={}", place.pid_file().display()))
            .arg(format!("--innodb-buffer-pool-size={}M", self.buffer_pool_mb))
            .args(["--skip-networking", "--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF"])
            .args(["--character-set-server=utf8mb4", "--max-allowed-packet=64M"])
            // Each connection keeps a few hundred statements prepared.
            .arg(format!("--max-connections={CONNECTIONS_MAX}"))
            .arg(format!("--max-prepared-stmt-count={}", CONNECTIONS_MAX * 1000))
            .args(["--innodb-log-file-size=64M", "--query-cache-size=0", "--thread-stack=256K"])
            // A search reads some megabytes of the index of words: to hand them over 16 KiB at a time takes longer.
            .arg("--net-buffer-length=256K")
            // Pages that the small pool has no room for stay in the system's cache, which gives way to whoever needs the
            // memory. Newer servers know it by another name and warn.
            .arg("--loose-innodb-flush-method=fsync")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Its own process group: a Ctrl-C at the terminal reaches kodo, which then stops the server in order.
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }

    async fn wait_until_ready(
        &self,
        running: &mut Running,
        time_max: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let url = self.place.url_of("mysql")?;
        let started = Instant::now();
        loop {
            let refusal = match Conn::establish(&url) {
                Ok(_) => return Ok(()),
                Err(err) => err,
            };
            ensure!(started.elapsed() < time_max, "the managed database does not answer: {refusal}");
            tokio::select! {
                () = running.ended() => bail!(
                    "the managed database ended while starting; its last words:\n{}",
                    last_lines(&self.place.error_log())
                ),
                () = stop.cancelled() => bail!("told to stop while the managed database was starting"),
                () = tokio::time::sleep(READY_POLL) => {}
            }
        }
    }
}

/// Keeps the server running until `stopping`, and returns when it has ended.
pub async fn supervise(server: Server, mut running: Running, stopping: CancellationToken) {
    let mut delay = RESTART_DELAY;
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            () = running.ended() => {}
        }
        tracing::warn!(log = %server.place.error_log().display(), "the managed database ended; it is started again");
        let up = match server.spawn() {
            Ok(child) => {
                running = Running::Child(child);
                server.wait_until_ready(&mut running, READY_MAX, &stopping).await
            }
            Err(err) => Err(err),
        };
        match up {
            Ok(()) => delay = RESTART_DELAY,
            Err(err) => {
                tracing::error!(error = format!("{err:#}"), "the managed database does not come up");
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = tokio::time::sleep(delay) => delay = (delay * 2).min(RESTART_DELAY_MAX),
                }
            }
        }
    }
    running.end().await;
}

fn data_argument(data: &Path) -> String {
    format!("--datadir={}", data.display())
}

/// The process that works on a data directory. Looked for among all processes rather than in the pid file, which a
/// server writes late: a second server beside one that is just starting would be refused by its locks.
fn left_behind(data: &Path) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).find(|pid| serves(*pid, data))
}

/// Whether a process lives and its command line names the data directory: a pid may be somebody else's by now.
fn serves(pid: Pid, data: &Path) -> bool {
    let wanted = data_argument(data);
    let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    command.split(|b| *b == 0).any(|argument| argument == wanted.as_bytes())
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
