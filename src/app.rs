//! The composition root: which parts a command needs, in which order they start, and in which they stop.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::db::managed::{Managed, Place};
use crate::db::{self, Db};
use crate::ids::{FeatureName, ResourceId};
use crate::queue::Queue;
use crate::scheduler::Scheduler;
use crate::secret::{Sealer, write_private};
use crate::workers::{Workshop, run_agent};
use crate::{access, api, features};

/// The database of an installation: a server that others run, or one of our own.
struct Database {
    db: Db,
    managed: Option<Managed>,
}

impl Database {
    /// Connects, starting the managed server when no other is configured.
    async fn own(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database.url {
            return Ok(Self { db: db::connect(url.expose(), &config.database)?, managed: None });
        }
        let place = Place::under(&config.state.dir)?;
        let managed = Managed::start(place, config.database.managed_buffer_pool_mb).await?;
        let db = db::connect(&managed.url()?, &config.database)?;
        Ok(Self { db, managed: Some(managed) })
    }

    /// Connects to a database that somebody else runs: another server, or the managed one of a `kodo serve` here.
    fn visit(config: &Config) -> anyhow::Result<Self> {
        let url = match &config.database.url {
            Some(url) => url.expose().clone(),
            None => Place::under(&config.state.dir)?.url()?,
        };
        let db = db::connect(&url, &config.database)
            .context("is \"kodo serve\" running on this machine, or is database.url set?")?;
        Ok(Self { db, managed: None })
    }

    async fn close(self) -> anyhow::Result<()> {
        match self.managed {
            Some(managed) => managed.stop().await,
            None => Ok(()),
        }
    }
}

/// What `kodo init` made.
pub struct Initialised {
    /// The first admin's token, shown once. `None`: there is an admin already.
    pub token: Option<String>,
    pub migrations: Vec<String>,
}

/// Prepares a new installation: state directory, instance key, schema, first admin. Can be repeated.
pub async fn init(config: &Config) -> anyhow::Result<Initialised> {
    let dir = &config.state.dir;
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot create the state directory {} (state.dir)", dir.display()))?;
    if !config.state.instance_key().exists() {
        Sealer::create(&config.state.instance_key())?;
    }
    let database = match Database::visit(config) {
        Ok(database) => database,
        Err(_) if config.database.url.is_none() => Database::own(config).await?,
        Err(err) => return Err(err),
    };
    let migrations = db::migrate(&database.db)?;
    let token = access::ensure_first_admin(&database.db, "admin").await?.map(|(_, token)| token);
    if let Some(token) = &token {
        let path = config.state.admin_token();
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
        write_private(&path, token.expose())?;
    }
    database.close().await?;
    Ok(Initialised { token: token.map(|token| token.expose().clone()), migrations })
}

/// Brings the schema up to date and returns what was applied.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let database = match Database::visit(config) {
        Ok(database) => database,
        Err(_) if config.database.url.is_none() => Database::own(config).await?,
        Err(err) => return Err(err),
    };
    let applied = db::migrate(&database.db);
    database.close().await?;
    applied
}

/// Runs everything on one box until SIGTERM or SIGINT: database, scheduler, API, agent.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let sealer = Sealer::load(&config.state.instance_key())?;
    let database = Database::own(&config).await?;
    let served = serve_on(&config, &database.db, sealer).await;
    // Also after an error: a managed server must not outlive us by accident.
    database.close().await?;
    served
}

async fn serve_on(config: &Config, db: &Db, sealer: Sealer) -> anyhow::Result<()> {
    let applied = db::migrate(db)?;
    if !applied.is_empty() {
        tracing::info!(n_migrations = applied.len(), "the schema was brought up to date");
    }
    let stop = stop_on_signal()?;
    let queue = Queue::new(db.clone());
    let scheduler = Scheduler::new(db.clone(), queue.clone(), exclusive_key);
    let workshop = Arc::new(Workshop::new(db.clone(), sealer.clone(), config.graph.clone(), config.agent.clone()));
    let app = api::App {
        db: db.clone(),
        queue: queue.clone(),
        scheduler: scheduler.clone(),
        sealer,
        workshop: Arc::clone(&workshop),
        exclusive_key,
    };
    let agent = tokio::spawn(run_agent(workshop, queue, stop.clone()));
    let ticking = tokio::spawn(scheduler.keep_ticking(config.scheduler, stop.clone()));
    let serving = api::serve(&config.server, app, &config.state.dir, stop.clone()).await;
    // The API ends first: nobody can start new work while the old one is put down.
    stop.cancel();
    ticking.await.context("the scheduler failed")?;
    agent.await.context("the agent failed")??;
    tracing::info!("stopped");
    serving
}

/// Runs an agent alone until SIGTERM or SIGINT, against the database and storages of an installation.
pub async fn worker(config: Config) -> anyhow::Result<()> {
    let sealer = Sealer::load(&config.state.instance_key())?;
    let database = Database::visit(&config)?;
    let pending = database.db.pending_migrations()?;
    ensure!(
        pending.is_empty(),
        "the database lacks migrations of this version ({}); start \"kodo serve\" of this version first",
        pending.join(", ")
    );
    let stop = stop_on_signal()?;
    let queue = Queue::new(database.db.clone());
    let workshop = Workshop::new(database.db.clone(), sealer, config.graph, config.agent);
    tracing::info!("worker started");
    run_agent(Arc::new(workshop), queue, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The lock that a feature's tasks share, for modules that may not know the features.
fn exclusive_key(feature: &FeatureName, resource: ResourceId) -> String {
    // A feature of a newer version has no lock here; agents of this version do not work on it either.
    features::find(feature.as_str())
        .map_or_else(|| format!("{feature}:{resource}"), |known| known.exclusive_key(resource))
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        token.cancel();
    });
    Ok(stop)
}

/// Whether a path can be the state directory of an installation that was initialised.
pub fn is_initialised(state_dir: &Path) -> bool {
    state_dir.join("instance.key").exists()
}
