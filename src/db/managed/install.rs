//! The programs and the data directory of the managed server.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, ensure};
use diesel::prelude::*;
use tokio::process::Command;

use super::{Place, user_name};
use crate::db::Conn;

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
/// What a data directory is called until it is complete.
const UNFINISHED: &str = "data.new";

pub fn server_program() -> anyhow::Result<PathBuf> {
    find(&SERVER_NAMES, "mariadbd")
}

/// Creates the data directory beside its place and renames it, so that a kill half-way leaves none.
pub async fn initialise(place: &Place) -> anyhow::Result<()> {
    if place.data().exists() {
        return Ok(());
    }
    remove_unfinished(place)?;
    // An installer that outlived its killed kodo must not write into this one's directory.
    let fresh = place.dir.join(format!("{UNFINISHED}.{}", std::process::id()));
    let user = user_name()?;
    let output = Command::new(find(&INSTALLER_NAMES, "mariadb-install-db")?)
        .arg("--no-defaults")
        .arg(format!("--user={user}"))
        .arg(format!("--datadir={}", fresh.display()))
        .arg(format!("--auth-root-socket-user={user}"))
        .args(["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"])
        .env("TMPDIR", place.temporary())
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

fn remove_unfinished(place: &Place) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(&place.dir).context("cannot read the database directory")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            std::fs::remove_dir_all(entry.path()).context("cannot remove an unfinished database directory")?;
        }
    }
    Ok(())
}

pub fn create_database(place: &Place) -> anyhow::Result<()> {
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
