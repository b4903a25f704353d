//! A data directory with the whole schema, made once and copied for every server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::server::{Server, data, owner, url};
use crate::{Migrate, migrations};

/// What the template's name begins with; the rest says what it was made of.
const PREFIX: &str = "mariadb-template-";
const BUFFER_POOL_MIB: u32 = 32;

/// The database of the tests, and nothing that a server can do without: a copy costs by its number of files.
const CONTENT: &str = "CREATE DATABASE kodo CHARACTER SET utf8mb4; DROP DATABASE IF EXISTS sys; \
     TRUNCATE mysql.help_topic; TRUNCATE mysql.help_keyword; TRUNCATE mysql.help_relation";
/// Leaves nothing to do for those who start on a copy.
const WHOLE_SHUTDOWN: &str = "SET GLOBAL innodb_fast_shutdown = 0";

/// Puts a copy of the template where there is nothing yet.
pub fn copy(to: &Path, migrate: Migrate) -> anyhow::Result<()> {
    let home = home()?;
    let template = home.join(name()?);
    let lock = File::create(home.join("mariadb-template.lock")).context("cannot lock the database template")?;
    // Shared while it is copied, so that nobody who makes another takes this one away. Who has made it is alone until
    // its own copy is whole.
    lock.lock_shared()?;
    if !template.exists() {
        lock.unlock()?;
        lock.lock()?;
        if !template.exists() {
            remove_others(&home)?;
            make(&template, migrate)?;
        }
    }
    cp(&template, to, "auto")
}

/// Beside the programs of the tests, where `cargo clean` removes it.
fn home() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let home = program.ancestors().nth(2).context("a test's program stands in no folder of a folder")?;
    Ok(home.to_owned())
}

/// Says what it was made of: other migrations, or another way to make it, have another template.
fn name() -> anyhow::Result<String> {
    let mut hash = blake3::Hasher::new();
    hash.update(include_bytes!("server.rs")).update(include_bytes!("template.rs"));
    let mut files = Vec::new();
    for migration in fs::read_dir(migrations()).context("cannot find the migrations")? {
        for file in fs::read_dir(migration?.path())? {
            files.push(file?.path());
        }
    }
    files.sort();
    for file in files {
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(file.as_os_str().as_encoded_bytes()).update(&text.len().to_le_bytes()).update(&text);
    }
    Ok(format!("{PREFIX}{}", &hash.finalize().to_hex()[..16]))
}

fn make(template: &Path, migrate: Migrate) -> anyhow::Result<()> {
    let place = tempfile::Builder::new().prefix(crate::PREFIX).tempdir()?;
    let data = data(place.path());
    let made = Command::new("mariadb-install-db")
        .args(owner(&data))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
        .arg("--innodb-log-file-size=16M")
        .env("TMPDIR", place.path())
        .stdout(Stdio::null())
        .status()
        .context("cannot run mariadb-install-db: install mariadb-server")?;
    ensure!(made.success(), "mariadb-install-db failed");
    let server = Server::start(place.path(), BUFFER_POOL_MIB)?;
    execute(&server, CONTENT)?;
    migrate(&url(place.path()))?;
    execute(&server, WHOLE_SHUTDOWN)?;
    server.stop()?;
    let unfinished = template.with_extension("unfinished");
    cp(&data, &unfinished, "always")?;
    fs::rename(&unfinished, template).context("cannot put the database template in place")
}

fn execute(server: &Server, sql: &str) -> anyhow::Result<()> {
    let done = server.client("mariadb").arg(format!("--execute={sql}")).status()?;
    ensure!(done.success(), "the statement failed: {sql}");
    Ok(())
}

/// Those that were made of what is no longer there, and those that were not finished.
fn remove_others(home: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_dir_all(entry.path()).context("cannot remove an old database template")?;
        }
    }
    Ok(())
}

/// The log of a server that was stopped is 16 MB of nearly nothing, which holes of a file hold for free.
fn cp(from: &Path, to: &Path, sparse: &str) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-r").arg(format!("--sparse={sparse}")).arg(from).arg(to).status()?;
    ensure!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
    Ok(())
}
