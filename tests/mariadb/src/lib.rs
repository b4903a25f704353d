//! A throwaway MariaDB per test: its own process, data directory and socket, killed when the test ends.
//!
//! Its data begins as a copy of a template that holds the whole schema, lies in memory where there is room for it, and
//! is never forced to a disk: the server must outlive the processes that use it, but not the machine.

mod server;
mod template;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tempfile::{Builder, TempDir};

use server::{Server, url};

/// Brings the schema of the database behind a URL up to date.
pub type Migrate = fn(&str) -> anyhow::Result<()>;

/// The folder for what lies in memory, on most systems.
const IN_MEMORY: &str = "/dev/shm";
/// Room that is enough for the tests that run at once: most take 20 MB each, and few more than 200 MB.
const ROOM_BYTES_MIN: u64 = 2 << 30;
/// A Unix socket's path has at most 107 bytes, so it does not stand below the target folder.
const PREFIX: &str = "kodo-db-";

/// A running server with a database named `kodo`, which has a schema and no rows.
pub struct Throwaway {
    server: Server,
    directory: TempDir,
}

impl Throwaway {
    /// Starts a server and returns when it answers. Whoever is the first calls `migrate`, and the others profit.
    pub fn start(buffer_pool_mib: u32, migrate: Migrate) -> anyhow::Result<Self> {
        let directory = directory()?;
        template::copy(&server::data(directory.path()), migrate)?;
        let server = Server::start(directory.path(), buffer_pool_mib)?;
        Ok(Self { server, directory })
    }

    pub fn url(&self) -> String {
        url(self.directory.path())
    }

    /// The command-line client, as the administrator of the server.
    pub fn client(&self) -> Command {
        self.server.client("mariadb")
    }

    /// The command that writes the rows of a database as statements.
    pub fn dump(&self) -> Command {
        self.server.client("mariadb-dump")
    }
}

/// In memory, because there a file costs a fraction of what it does elsewhere, and a server has two hundred.
fn directory() -> anyhow::Result<TempDir> {
    if has_room(Path::new(IN_MEMORY))
        && let Ok(directory) = Builder::new().prefix(PREFIX).tempdir_in(IN_MEMORY)
    {
        return Ok(directory);
    }
    Builder::new().prefix(PREFIX).tempdir().context("cannot create a directory for a database")
}

fn has_room(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= ROOM_BYTES_MIN)
}

/// Where the migrations of the project are.
fn migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")
}
