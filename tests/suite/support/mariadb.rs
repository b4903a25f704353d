//! A throwaway MariaDB per test: its own process, data directory and socket, killed when the test ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kodo::db::{DatabaseConfig, Db, connect, migrate};
use tempfile::TempDir;

/// Two cores and many tests at once: usually 0.2 s.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Small in memory (52 MB) and quick to start.
const FLAGS: &[&str] = &[
    "--innodb-log-file-size=16M",
    "--innodb-log-buffer-size=2M",
    "--innodb-flush-log-at-trx-commit=0",
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

/// A running server with an empty database named `kodo`.
pub struct MariaDb {
    server: Child,
    url: String,
    socket: PathBuf,
    _directory: TempDir,
}

impl MariaDb {
    /// Starts a server and returns when it answers.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with_buffer_pool(16).await
    }

    pub async fn start_with_buffer_pool(mib: u32) -> anyhow::Result<Self> {
        // A Unix socket's path has at most 107 bytes, so it does not stand below the target folder.
        let directory = tempfile::Builder::new().prefix("kodo-db-").tempdir()?;
        let data = directory.path().join("data");
        copy(&template()?, &data)?;
        let socket = directory.path().join("s");
        let server = Command::new("mariadbd")
            .arg("--no-defaults")
            .arg(format!("--user={}", user()?))
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket.display()))
            // At its start a server clears its temporary tables, and with a shared directory those of others.
            .arg(format!("--tmpdir={}", directory.path().display()))
            .arg(format!("--pid-file={}", directory.path().join("pid").display()))
            .arg(format!("--log-error={}", directory.path().join("log").display()))
            .arg(format!("--innodb-buffer-pool-size={mib}M"))
            .args(FLAGS)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start mariadbd: install mariadb-server")?;
        let url = format!("mysql://root@localhost/kodo?unix_socket={}", socket.display());
        let mut started = Self { server, url, socket, _directory: directory };
        started.wait_until_ready().await?;
        Ok(started)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool on the migrated database.
    pub fn connect(&self) -> anyhow::Result<Db> {
        let db = connect(&self.url, &DatabaseConfig { pool_size: 8, ..DatabaseConfig::default() })?;
        migrate(&db)?;
        Ok(db)
    }

    /// Runs statements as an administrator of the database would, to bring about what takes days otherwise.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let done = self.client().arg("kodo").arg(format!("--execute={sql}")).status()?;
        ensure!(done.success(), "the statement failed: {sql}");
        Ok(())
    }

    /// Writes all rows to a file, as an administrator would.
    pub fn dump(&self, to: &Path) -> anyhow::Result<()> {
        let done = Command::new("mariadb-dump")
            .args(["--no-defaults", "--user=root", "--single-transaction", "kodo"])
            .arg(format!("--socket={}", self.socket.display()))
            .stdout(File::create(to)?)
            .status()?;
        ensure!(done.success(), "the database cannot be dumped");
        Ok(())
    }

    /// Replaces the database by a dump of it.
    pub fn load(&self, from: &Path) -> anyhow::Result<()> {
        self.execute("DROP DATABASE kodo; CREATE DATABASE kodo CHARACTER SET utf8mb4")?;
        let done = self.client().arg("kodo").stdin(File::open(from)?).status()?;
        ensure!(done.success(), "the dump cannot be loaded");
        Ok(())
    }

    /// How many rows the server has read from tables and indexes since it started.
    pub fn rows_read(&self) -> anyhow::Result<u64> {
        let output = self.client().args(["--batch", "--execute=SHOW GLOBAL STATUS LIKE 'Handler_read%'"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let counts = text.lines().filter_map(|line| line.split('\t').nth(1)?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", self.socket.display()));
        client
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let client = self
                .client()
                .arg("--execute=CREATE DATABASE IF NOT EXISTS kodo")
                .stderr(Stdio::null())
                .status()
                .context("cannot run the mariadb client")?;
            if client.success() {
                return Ok(());
            }
            ensure!(self.server.try_wait()?.is_none(), "mariadbd ended at once");
            ensure!(started.elapsed() < START_TIME_MAX, "mariadbd did not answer within {START_TIME_MAX:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Its data is thrown away with the directory, so it need not stop in good order.
        if self.server.kill().is_ok() {
            self.server.wait().ok();
        }
    }
}

/// An initialised data directory, made once and shared by all test processes.
fn template() -> anyhow::Result<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(home)?;
    let lock = File::create(home.join("mariadb-template.lock"))?;
    lock.lock()?;
    let template = home.join("mariadb-template");
    if !template.exists() {
        let unfinished = home.join("mariadb-template.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let made = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--user={}", user()?))
            .arg(format!("--datadir={}", unfinished.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            .arg("--innodb-log-file-size=16M")
            .stdout(Stdio::null())
            .status()
            .context("cannot run mariadb-install-db: install mariadb-server")?;
        ensure!(made.success(), "mariadb-install-db failed");
        fs::rename(&unfinished, &template)?;
    }
    Ok(template)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
    Ok(())
}

fn user() -> anyhow::Result<String> {
    let output = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
