//! A MariaDB server of our own, for installations without one.
//!
//! The server's data lies under the state directory and it listens on a Unix socket only, open to the user that runs
//! kodo. It is a supervised child: started again when it crashes, stopped cleanly with kodo. When kodo itself was
//! killed, the server lives on and the next start takes it over; nothing that was committed is lost either way.

mod install;
mod server;

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;

use self::install::create_database;
use self::server::{Server, supervise};

/// A Unix socket's path must fit into `sockaddr_un`.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Connections that the server takes, of all processes of the machine.
const CONNECTIONS_MAX: u32 = 200;
/// The largest pool for it: as many again are left for a second agent or for commands that work on the database.
pub const POOL_SIZE_MAX: u32 = CONNECTIONS_MAX / 2;

/// Where the managed server of a state directory is, whether or not it runs.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    socket: PathBuf,
}

impl Place {
    pub fn under(state_dir: &Path) -> anyhow::Result<Self> {
        // One name for a directory that links lead to as well: a running server is known by it.
        let state_dir = state_dir.canonicalize().or_else(|_| std::path::absolute(state_dir))?;
        let dir = state_dir.join("mariadb");
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
        // In the directory for temporary files anybody may create a socket of this name.
        if let Ok(found) = std::fs::symlink_metadata(&self.socket) {
            let us = rustix::process::geteuid().as_raw();
            ensure!(
                found.uid() == us,
                "{} belongs to user id {}, not to {us}, who runs this kodo: run it as that user, or remove the socket",
                self.socket.display(),
                found.uid()
            );
        }
        let socket: String = url::form_urlencoded::byte_serialize(self.socket.as_os_str().as_encoded_bytes()).collect();
        Ok(format!("mysql://{}@localhost/{database}?unix_socket={socket}", user_name()?))
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A directory for temporary tables that no other MariaDB of the machine uses: each clears its own at its start.
    fn temporary(&self) -> PathBuf {
        self.dir.join("tmp")
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
    /// Leaves no server behind when it fails or `stop` is cancelled meanwhile.
    pub async fn start(place: Place, buffer_pool_mb: u32, stop: &CancellationToken) -> anyhow::Result<Self> {
        for dir in [place.dir.clone(), place.temporary()] {
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("cannot create the database directory {}", dir.display()))?;
        }
        let owner = own(&place.dir)?;
        let server = Server::new(place.clone(), buffer_pool_mb)?;
        let running = server.begin(stop).await?;
        let stopping = CancellationToken::new();
        let supervisor = tokio::spawn(supervise(server, running, stopping.clone()));
        let managed = Self { place, stopping, supervisor, _owner: owner };
        match create_database(&managed.place) {
            Ok(()) => Ok(managed),
            Err(err) => {
                managed.stop().await?;
                Err(err)
            }
        }
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

/// Holds the directory for this process: two servers on one data directory would destroy it.
fn own(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("owner.lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .ok()
        .with_context(|| format!("another kodo uses the database in {}; stop it first", dir.display()))?;
    Ok(file)
}

/// The name of the user that runs this process: MariaDB's socket login compares it.
fn user_name() -> anyhow::Result<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let mut fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.find(|fields| fields.len() > 2 && fields[2] == uid);
    entry.map(|fields| fields[0].to_owned()).with_context(|| format!("user id {uid} has no name in /etc/passwd"))
}
