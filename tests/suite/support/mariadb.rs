//! The throwaway MariaDB of a test, as kodo and as its administrator use it.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use kodo::db::{DatabaseConfig, Db, connect, migrate};
use throwaway_mariadb::Throwaway;

/// A running server with a database named `kodo`, which has the schema of this version and no rows.
pub struct MariaDb {
    server: Throwaway,
    url: String,
}

impl MariaDb {
    /// Starts a server and returns when it answers.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with_buffer_pool(16).await
    }

    pub async fn start_with_buffer_pool(mib: u32) -> anyhow::Result<Self> {
        let server = tokio::task::spawn_blocking(move || Throwaway::start(mib, bring_up_to_date)).await??;
        let url = server.url();
        Ok(Self { server, url })
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

    /// Ends every connection but the one that says so.
    pub fn kill_connections(&self) -> anyhow::Result<()> {
        const OTHERS: &str =
            "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'";
        let each = format!("BEGIN NOT ATOMIC FOR other IN ({OTHERS}) DO KILL CONNECTION other.id; END FOR; END");
        let done = self.client().arg("--delimiter=//").arg(format!("--execute={each}")).status()?;
        ensure!(done.success(), "the connections cannot be killed");
        Ok(())
    }

    /// Puts an empty database in the place of the one that is there: not even a table.
    pub fn empty(&self) -> anyhow::Result<()> {
        self.execute("DROP DATABASE kodo; CREATE DATABASE kodo CHARACTER SET utf8mb4")
    }

    /// Writes all rows to a file, as an administrator would.
    pub fn dump(&self, to: &Path) -> anyhow::Result<()> {
        let dumped = self.server.dump().args(["--single-transaction", "kodo"]).stdout(File::create(to)?).status()?;
        ensure!(dumped.success(), "the database cannot be dumped");
        Ok(())
    }

    /// Replaces the database by a dump of it.
    pub fn load(&self, from: &Path) -> anyhow::Result<()> {
        self.empty()?;
        let done = self.client().arg("kodo").stdin(File::open(from)?).status()?;
        ensure!(done.success(), "the dump cannot be loaded");
        Ok(())
    }

    /// How many rows the server has read from tables and indexes since it started.
    pub fn rows_read(&self) -> anyhow::Result<u64> {
        self.counted("Handler_read%")
    }

    /// How many statements the server has prepared since it started.
    pub fn statements_prepared(&self) -> anyhow::Result<u64> {
        self.counted("Com_stmt_prepare")
    }

    fn counted(&self, counters: &str) -> anyhow::Result<u64> {
        let show = format!("--execute=SHOW GLOBAL STATUS LIKE '{counters}'");
        let output = self.client().args(["--batch", &show]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let counts = text.lines().filter_map(|line| line.split('\t').nth(1)?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    fn client(&self) -> Command {
        self.server.client()
    }
}

fn bring_up_to_date(url: &str) -> anyhow::Result<()> {
    migrate(&connect(url, &DatabaseConfig { pool_size: 1, ..DatabaseConfig::default() })?)?;
    Ok(())
}
