//! The process of a server in a directory of its own.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Two cores and many tests at once: usually 0.1 s.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// Small in memory (52 MB) and quick to start.
const FLAGS: &[&str] = &[
    "--innodb-log-file-size=16M",
    "--innodb-log-buffer-size=2M",
    "--innodb-flush-log-at-trx-commit=0",
    // Nobody starts it again on its data, so that these need not be whole when it ends.
    "--loose-innodb-flush-method=nosync",
    "--loose-innodb-doublewrite=0",
    "--loose-innodb-use-native-aio=0",
    "--innodb-autoextend-increment=1",
    "--key-buffer-size=64K",
    "--aria-pagecache-buffer-size=256K",
    "--performance-schema=OFF",
    "--max-connections=60",
    "--table-open-cache=200",
    "--table-definition-cache=400",
    "--thread-cache-size=4",
    "--query-cache-size=0",
    "--skip-log-bin",
    "--thread-stack=256K",
    "--host-cache-size=0",
    "--innodb-read-io-threads=1",
    "--innodb-write-io-threads=1",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--skip-name-resolve",
    "--skip-networking",
];

/// A process that is killed when this is dropped.
pub struct Server {
    process: Child,
    directory: PathBuf,
}

impl Server {
    /// Starts a server on the data in a directory and returns when it answers.
    pub fn start(directory: &Path, buffer_pool_mib: u32) -> anyhow::Result<Self> {
        let process = Command::new("mariadbd")
            .args(owner(&data(directory)))
            .arg(format!("--socket={}", socket(directory).display()))
            // At its start a server clears its temporary tables, and with a shared directory those of others.
            .arg(format!("--tmpdir={}", directory.display()))
            .arg(format!("--pid-file={}", directory.join("pid").display()))
            .arg(format!("--log-error={}", directory.join("log").display()))
            .arg(format!("--innodb-buffer-pool-size={buffer_pool_mib}M"))
            .args(FLAGS)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start mariadbd: install mariadb-server")?;
        let mut server = Self { process, directory: directory.to_owned() };
        let started = Instant::now();
        while !server.greets() {
            ensure!(server.process.try_wait()?.is_none(), "mariadbd ended at once; its log:\n{}", server.log());
            ensure!(started.elapsed() < START_TIME_MAX, "mariadbd did not answer within {START_TIME_MAX:?}");
            pause();
        }
        Ok(server)
    }

    /// A client program that will talk to this server.
    pub fn client(&self, program: &str) -> Command {
        let mut client = Command::new(program);
        client.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", socket(&self.directory).display()));
        client
    }

    /// Ends it in good order, so that its data is whole.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        ensure!(self.process.wait()?.success(), "mariadbd did not end well; its log:\n{}", self.log());
        Ok(())
    }

    /// Whether it says who it is to those who call. Much cheaper to ask than by starting a client.
    fn greets(&self) -> bool {
        let called = UnixStream::connect(socket(&self.directory));
        called.is_ok_and(|mut stream| stream.read_exact(&mut [0]).is_ok())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            self.process.wait().ok();
        }
    }
}

/// Where the data of a server is.
pub fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// What every program that touches the data is told.
pub fn owner(data: &Path) -> Vec<String> {
    let mut arguments = vec!["--no-defaults".to_owned(), format!("--datadir={}", data.display())];
    if rustix::process::geteuid().is_root() {
        arguments.push("--user=root".to_owned());
    }
    arguments
}

pub fn url(directory: &Path) -> String {
    format!("mysql://root@localhost/kodo?unix_socket={}", socket(directory).display())
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("s")
}

#[expect(clippy::disallowed_methods, reason = "waits for another process in a test")]
fn pause() {
    std::thread::sleep(POLL);
}
