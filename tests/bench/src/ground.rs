//! The installation that is measured: its database, its storage, and what this process used.

use std::path::Path;

use anyhow::Context;
use kodo::config::{self, Config};
use kodo::db::managed::{Managed, Place};
use kodo::db::{self, Db};
use kodo::ids::{StorageId, WriterId};
use kodo::repository::{self, BackendKind, StorageConfig, StorageSettings, Store};
use kodo::secret::Sealer;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// How this agent is known to the storage.
const AGENT: &str = "bench";

/// An opened storage with its database.
#[derive(Clone)]
pub struct Ground {
    pub config: Config,
    pub db: Db,
    pub store: Store,
}

impl Ground {
    pub async fn open(file: &Path, storage: &str) -> anyhow::Result<Self> {
        let config = config::load(Some(file))?;
        let db = visit(&config)?;
        let sealer = Sealer::load(&config.state.instance_key())?;
        let known = repository::list_storages(&db).await?;
        let found = known.into_iter().find(|known| known.name == storage);
        let id = found.with_context(|| format!("there is no storage named {storage}"))?.id;
        let store = repository::open_storage(&db, &sealer, id, AGENT).await?;
        Ok(Self { config, db, store })
    }

    pub fn storage(&self) -> StorageId {
        self.store.storage()
    }

    /// Registers this process as a writer, as an agent does at its start.
    pub async fn register(&self) -> anyhow::Result<WriterId> {
        self.store.remove_leftovers().await?;
        let storage = self.storage();
        let register = move |conn: &mut db::Conn| repository::register_writer(conn, storage, AGENT);
        Ok(self.db.run("register a writer", register).await?)
    }
}

/// The database of an installation that runs.
pub fn database(file: &Path) -> anyhow::Result<(Config, Db)> {
    let config = config::load(Some(file))?;
    let db = visit(&config)?;
    Ok((config, db))
}

fn visit(config: &Config) -> anyhow::Result<Db> {
    let url = match &config.database.url {
        Some(url) => url.expose().clone(),
        None => Place::under(&config.state.dir)?.url()?,
    };
    db::connect(&url, &config.database)
}

/// Runs the managed server, so that its CPU can be told from that of the steps.
pub async fn keep_database(file: &Path) -> anyhow::Result<()> {
    let config = config::load(Some(file))?;
    let stop = CancellationToken::new();
    let place = Place::under(&config.state.dir)?;
    let managed = Managed::start(place, config.database.managed_buffer_pool_mb, &stop).await?;
    db::migrate(&db::connect(&managed.url()?, &config.database)?)?;
    println!("{}", json!({ "ready": true }));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    managed.stop().await
}

/// Makes a directory a storage with the defaults of `kodo storage add`: packed and encrypted.
pub async fn add_storage(file: &Path, name: &str, path: &Path) -> anyhow::Result<Value> {
    let config = config::load(Some(file))?;
    let db = visit(&config)?;
    let sealer = Sealer::load(&config.state.instance_key())?;
    let path = std::path::absolute(path)?;
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let wanted = StorageConfig {
        name: name.to_owned(),
        backend: BackendKind::Filesystem,
        settings: StorageSettings { path },
        layout: None,
        encrypted: None,
    };
    let added = repository::add_storage(&db, &sealer, AGENT, wanted).await?;
    Ok(json!({ "storage": added.id.get(), "recovery_key": added.recovery_key.as_ref().map(|key| key.expose()) }))
}

/// The most memory that this process ever had, in MB.
pub fn rss_mb_max() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel names no VmHWM")?;
    let kb: f64 = line.trim().trim_end_matches(" kB").parse().context("VmHWM is no number")?;
    Ok(kb / 1024.0)
}
