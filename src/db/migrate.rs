//! The schema: embedded migrations, applied in order, and a refusal to run on a newer one.

use anyhow::{Context, ensure};
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::mysql::Mysql;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::Db;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

impl Db {
    /// The names of migrations that this version knows and the database lacks, oldest first. Empty: up to date.
    ///
    /// Fails when the database holds a migration that this version does not know: an older kodo must not touch it.
    pub fn pending_migrations(&self) -> anyhow::Result<Vec<String>> {
        let mut pooled = self.connection()?;
        let known = known_versions()?;
        let applied: Vec<MigrationVersion<'_>> =
            pooled.conn.applied_migrations().map_err(|err| anyhow::anyhow!("cannot read the schema version: {err}"))?;
        let newer: Vec<String> =
            applied.iter().map(ToString::to_string).filter(|version| !known.contains(version)).collect();
        ensure!(
            newer.is_empty(),
            "the database was migrated by a newer kodo (unknown migrations: {}); install that version again",
            newer.join(", ")
        );
        let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
        Ok(known.into_iter().filter(|version| !applied.contains(version)).collect())
    }
}

/// Brings the schema up to this version and returns the migrations that were applied.
pub fn migrate(db: &Db) -> anyhow::Result<Vec<String>> {
    let pending = db.pending_migrations()?;
    let mut pooled = db.connection()?;
    pooled.conn.run_pending_migrations(MIGRATIONS).map_err(|err| anyhow::anyhow!("a migration failed: {err}"))?;
    Ok(pending)
}

fn known_versions() -> anyhow::Result<Vec<String>> {
    let mut migrations: Vec<Box<dyn Migration<Mysql>>> =
        MIGRATIONS.migrations().map_err(|err| anyhow::anyhow!("{err}")).context("embedded migrations")?;
    migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}
