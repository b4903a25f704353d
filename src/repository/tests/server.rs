//! A throwaway MariaDB, shared by the tests that run at the same time, with a database for each.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::db::{DatabaseConfig, Db, connect, migrate};

const START_MAX: Duration = Duration::from_secs(90);

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub struct TestDb {
    pub db: Db,
    pub url: String,
    _server: Arc<Server>,
}

struct Server {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).expect("the test database can be stopped");
    }
}

impl TestDb {
    pub fn start() -> Self {
        let server = {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            shared.upgrade().unwrap_or_else(|| {
                let server = Arc::new(Server::start());
                *shared = Arc::downgrade(&server);
                server
            })
        };
        let name = format!("kodo{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        server.execute(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        let socket = server.socket();
        let url = format!("mysql://root@localhost/{name}?unix_socket={}", socket.display());
        let db = connect(&url, &DatabaseConfig { pool_size: 4, ..DatabaseConfig::default() }).unwrap();
        migrate(&db).unwrap();
        Self { db, url, _server: server }
    }
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let data_flag = format!("--datadir={}", data.display());
        // Its own, because a server that starts clears the temporary tables of whoever shares its folder.
        let temporary_flag = format!("--tmpdir={}", dir.path().display());
        let mut common = vec!["--no-defaults".to_owned(), data_flag, temporary_flag];
        if rustix::process::geteuid().is_root() {
            common.push("--user=root".to_owned());
        }
        let installed = Command::new("mariadb-install-db")
            .args(&common)
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("mariadb-install-db can be run");
        assert!(installed.success());
        let child = Command::new("mariadbd")
            .args(&common)
            .args(["--skip-networking", "--innodb-buffer-pool-size=48M", "--innodb-flush-log-at-trx-commit=0"])
            .arg(format!("--socket={}", dir.path().join("s").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd can be run");
        let server = Self { child, dir };
        let started = Instant::now();
        while !answers(&server.socket()) {
            assert!(started.elapsed() < START_MAX, "mariadbd does not start");
            pause();
        }
        server
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn execute(&self, statement: &str) {
        assert!(client(&self.socket(), statement), "{statement}");
    }
}

fn answers(socket: &Path) -> bool {
    socket.exists() && client(socket, "SELECT 1")
}

fn client(socket: &Path, statement: &str) -> bool {
    Command::new("mariadb")
        .args(["--no-defaults", "--user=root", "--execute", statement])
        .arg(format!("--socket={}", socket.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[expect(clippy::disallowed_methods, reason = "waits for another process in a test")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
