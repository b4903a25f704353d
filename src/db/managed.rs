//! A MariaDB server of our own, for installations without one.
//!
//! The server's data lies under the state directory and it listens on a Unix socket only, open to the user that runs
//! kodo. It is a supervised child: started again when it crashes, stopped cleanly with kodo. When kodo itself was
//! killed, the server lives on and the next start takes it over; nothing that was committed is lost either way.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use diesel::prelude::*;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Conn;

const SERVER_NAMES: [&str; 6] = [
    "/usr/sbin/mariadbd",
    "/usr/libexec/mariadbd",
    "/usr/bin/mariadbd",
    "/usr/local/sbin/mariadbd",
    "/usr/sbin/mysqld",
    "/usr/libexec/mysqld",
];
const INSTALLER_NAMES: [&str; 3] =
    ["/usr/bin/mariadb-install-db", "/usr/local/bin/mariadb-install-db", "/usr/bin/mysql_install_db"];
/// Recovery after a crash reads the log back; that takes seconds, on a slow disk minutes.
const READY_MAX: Duration = Duration::from_secs(600);
const STOP_MAX: Duration = Duration::from_secs(120);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// A Unix socket's path must fit into `sockaddr_un`.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where the managed server of a state directory is, whether or not it runs.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    socket: PathBuf,
}

impl Place {
    pub fn under(state_dir: &Path) -> anyhow::Result<Self> {
        let dir = std::path::absolute(state_dir.join("mariadb"))?;
        let mut socket = dir.join("kodo.sock");
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let tag = &blake3::hash(dir.as_os_str().as_encoded_bytes()).to_hex()[..16];
            socket = std::env::temp_dir().join(format!("kodo-{tag}.sock"));
        }
        Ok(Self { dir, socket })
    }

    /// The URL to connect with, as the user that runs this process.
    pub fn url(&self) -> anyhow::Result<String> {
        self.url_of("kodo")
    }

    fn url_of(&self, database: &str) -> anyhow::Result<String> {
        let socket: String = url::form_urlencoded::byte_serialize(self.socket.as_os_str().as_encoded_bytes()).collect();
        Ok(format!("mysql://{}@localhost/{database}?unix_socket={socket}", user_name()?))
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("mariadbd.pid")
    }

    fn error_log(&self) -> PathBuf {
        self.dir.join("mariadbd.log")
    }
}

/// The running server. [`Managed::stop`] ends it; dropping this leaves it running.
pub struct Managed {
    place: Place,
    stopping: CancellationToken,
    supervisor: tokio::task::JoinHandle<()>,
    _owner: File,
}

impl Managed {
    /// Starts the server, creating its data directory first if there is none, or takes over one that still runs.
    pub async fn start(place: Place, buffer_pool_mb: u32) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&place.dir)
            .with_context(|| format!("cannot create the database directory {}", place.dir.display()))?;
        let owner = own(&place.dir)?;
        let server = Server { place: place.clone(), program: find(&SERVER_NAMES, "mariadbd")?, buffer_pool_mb };
        let running = match server.adopt() {
            Some(pid) => Running::Adopted(pid),
            None => {
                initialise(&place).await?;
                Running::Child(server.spawn()?)
            }
        };
        let mut running = running;
        server.wait_until_ready(&mut running).await?;
        create_database(&place)?;
        let stopping = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(server, running, stopping.clone()));
        Ok(Self { place, stopping, supervisor, _owner: owner })
    }

    pub fn url(&self) -> anyhow::Result<String> {
        self.place.url()
    }

    /// Stops the server cleanly and waits for its end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.supervisor.await.context("the supervisor of the managed database failed")
    }
}

struct Server {
    place: Place,
    program: PathBuf,
    buffer_pool_mb: u32,
}

enum Running {
    Child(Child),
    Adopted(Pid),
}

impl Running {
    async fn ended(&mut self) {
        match self {
            Self::Child(child) => {
                if let Err(err) = child.wait().await {
                    tracing::warn!(error = %err, "cannot wait for the managed database");
                }
            }
            Self::Adopted(pid) => {
                while test_kill_process(*pid).is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::Adopted(pid) => Some(*pid),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid()
            && let Err(err) = kill_process(pid, signal)
        {
            tracing::debug!(error = %err, "the managed database had ended already");
        }
    }
}

impl Server {
    /// The pid of a server that a killed kodo left behind on this data directory.
    fn adopt(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.place.pid_file()).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        // A pid may have been given to another process since: the command line must name our data directory.
        let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let data = self.place.data();
        let ours = data.as_os_str().as_encoded_bytes();
        command.windows(ours.len()).any(|part| part == ours).then_some(pid)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let place = &self.place;
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.error_log())
            .with_context(|| format!("cannot write {}", place.error_log().display()))?;
        if place.socket.exists() {
            std::fs::remove_file(&place.socket).context("cannot remove a stale database socket")?;
        }
        let mut command = Command::new(&self.program);
        command
            .arg("--no-defaults")
            .arg(format!("--user={}", user_name()?))
            .arg(format!("--datadir={}", place.data().display()))
            .arg(format!("--socket={}", place.socket.display()))
            .arg(format!("--pid-file={}", place.pid_file().display()))
            .arg(format!("--innodb-buffer-pool-size={}M", self.buffer_pool_mb))
            .args(["--skip-networking", "--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF"])
            .args(["--character-set-server=utf8mb4", "--max-allowed-packet=64M", "--max-connections=200"])
            .args(["--innodb-log-file-size=64M", "--query-cache-size=0", "--thread-stack=256K"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Its own process group: a Ctrl-C at the terminal reaches kodo, which then stops the server in order.
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }

    async fn wait_until_ready(&self, running: &mut Running) -> anyhow::Result<()> {
        let url = self.place.url_of("mysql")?;
        let started = Instant::now();
        loop {
            let refusal = match Conn::establish(&url) {
                Ok(_) => return Ok(()),
                Err(err) => err,
            };
            ensure!(started.elapsed() < READY_MAX, "the managed database does not answer: {refusal}");
            tokio::select! {
                () = running.ended() => bail!(
                    "the managed database ended while starting; its last words:\n{}",
                    last_lines(&self.place.error_log())
                ),
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }
}

async fn supervise(server: Server, mut running: Running, stopping: CancellationToken) {
    let mut delay = Duration::from_secs(1);
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            () = running.ended() => {}
        }
        tracing::warn!(log = %server.place.error_log().display(), "the managed database ended; it is started again");
        loop {
            match server.spawn() {
                Ok(child) => {
                    running = Running::Child(child);
                    break;
                }
                Err(err) => tracing::error!(error = format!("{err:#}"), "cannot start the managed database"),
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(delay) => delay = (delay * 2).min(RESTART_DELAY_MAX),
            }
        }
        match server.wait_until_ready(&mut running).await {
            Ok(()) => delay = Duration::from_secs(1),
            Err(err) => {
                tracing::error!(error = format!("{err:#}"), "the managed database does not come up");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RESTART_DELAY_MAX);
            }
        }
    }
    running.signal(Signal::TERM);
    if tokio::time::timeout(STOP_MAX, running.ended()).await.is_err() {
        tracing::error!("the managed database did not stop in time; it is killed and will recover at its next start");
        running.signal(Signal::KILL);
        running.ended().await;
    }
}

/// Holds the directory for this process: two servers on one data directory would destroy it.
fn own(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("owner.lock");
    let file = File::options().create(true).write(true).truncate(false).open(&path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .ok()
        .with_context(|| format!("another kodo uses the database in {}; stop it first", dir.display()))?;
    Ok(file)
}

/// Creates the data directory beside its place and renames it, so that a kill half-way leaves none.
async fn initialise(place: &Place) -> anyhow::Result<()> {
    if place.data().exists() {
        return Ok(());
    }
    let fresh = place.dir.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).context("cannot remove an unfinished database directory")?;
    }
    let user = user_name()?;
    let output = Command::new(find(&INSTALLER_NAMES, "mariadb-install-db")?)
        .arg("--no-defaults")
        .arg(format!("--user={user}"))
        .arg(format!("--datadir={}", fresh.display()))
        .arg(format!("--auth-root-socket-user={user}"))
        .args(["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"])
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run mariadb-install-db")?;
    ensure!(
        output.status.success(),
        "mariadb-install-db failed ({}): {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&fresh, place.data()).context("cannot put the new database directory in place")
}

fn create_database(place: &Place) -> anyhow::Result<()> {
    let mut conn = Conn::establish(&place.url_of("mysql")?)?;
    diesel::sql_query("CREATE DATABASE IF NOT EXISTS kodo CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        .execute(&mut conn)
        .context("cannot create the database in the managed server")?;
    Ok(())
}

fn find(places: &[&str], name: &str) -> anyhow::Result<PathBuf> {
    places.iter().map(PathBuf::from).find(|path| path.exists()).with_context(|| {
        format!(
            "{name} is not installed; install the package mariadb-server, or set database.url to an existing MariaDB"
        )
    })
}

/// The name of the user that runs this process: MariaDB's socket login compares it.
fn user_name() -> anyhow::Result<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let mut fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.find(|fields| fields.len() > 2 && fields[2] == uid);
    entry.map(|fields| fields[0].to_owned()).with_context(|| format!("user id {uid} has no name in /etc/passwd"))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
