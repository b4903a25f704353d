//! The composition root: which parts a command needs, in which order they start, and in which they stop.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::db::managed::{Managed, Place};
use crate::db::{self, Db};
use crate::ids::{FeatureName, ResourceId, StorageId};
use crate::queue::{Queue, agents};
use crate::recovery::{Hear, ITEMS_AT_ONCE, rebuild};
use crate::repository::{StorageConfig, Unlock};
use crate::restores::rehearsals::keep_firing;
use crate::scheduler::Scheduler;
use crate::secret::{Sealer, write_private};
use crate::workers::{AgentName, Workshop, claim_name, run_agent};
use crate::{access, api, features, repository};

/// Why a command that runs here, without a server, did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was begun: what it needs is missing, in use, or of another version. An administrator acts on the text.
    #[error("{0:#}")]
    Start(anyhow::Error),
    #[error("{0:#}")]
    Work(anyhow::Error),
}

/// The database of an installation: a server that others run, or one of our own.
struct Database {
    db: Db,
    managed: Option<Managed>,
}

impl Database {
    /// Connects, starting the managed server when no other is configured.
    async fn own(config: &Config, stop: &CancellationToken) -> anyhow::Result<Self> {
        if let Some(url) = &config.database.url {
            return Ok(Self { db: db::connect(url.expose(), &config.database)?, managed: None });
        }
        let place = Place::under(&config.state.dir)?;
        let managed = Managed::start(place, config.database.managed_buffer_pool_mb, stop).await?;
        match managed.url().and_then(|url| db::connect(&url, &config.database)) {
            Ok(db) => Ok(Self { db, managed: Some(managed) }),
            Err(err) => {
                managed.stop().await?;
                Err(err)
            }
        }
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

    /// For a command that does not stay: the database that runs, or the managed one, started for this once.
    async fn borrow(config: &Config, stop: &CancellationToken) -> anyhow::Result<Self> {
        if config.database.url.is_none()
            && let Ok(database) = Self::visit(config)
        {
            return Ok(database);
        }
        Self::own(config, stop).await
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
pub async fn init(config: &Config) -> Result<Initialised, Failure> {
    let stop = stop_on_signal().map_err(Failure::Start)?;
    prepare_state(config).map_err(Failure::Start)?;
    let database = Database::borrow(config, &stop).await.map_err(Failure::Start)?;
    let filled = fill(config, &database.db).await;
    database.close().await.map_err(Failure::Work)?;
    filled
}

fn prepare_state(config: &Config) -> anyhow::Result<()> {
    let dir = &config.state.dir;
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot create the state directory {} (state.dir)", dir.display()))?;
    let key = config.state.instance_key();
    if key.exists() {
        Sealer::load(&key)?
    } else {
        Sealer::create(&key)?
    };
    Ok(())
}

async fn fill(config: &Config, db: &Db) -> Result<Initialised, Failure> {
    let migrations = migrate_in(db)?;
    let token = access::ensure_first_admin(db, "admin").await.map_err(Failure::Work)?;
    let token = token.map(|(_, token)| token);
    if let Some(token) = &token {
        let path = config.state.admin_token();
        if path.exists() {
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot replace {}", path.display()))
                .map_err(Failure::Work)?;
        }
        write_private(&path, token.expose()).map_err(Failure::Work)?;
    }
    Ok(Initialised { token: token.map(|token| token.expose().clone()), migrations })
}

/// Brings the schema up to date and returns what was applied.
pub async fn migrate(config: &Config) -> Result<Vec<String>, Failure> {
    let stop = stop_on_signal().map_err(Failure::Start)?;
    let database = Database::borrow(config, &stop).await.map_err(Failure::Start)?;
    let applied = migrate_in(&database.db);
    database.close().await.map_err(Failure::Work)?;
    applied
}

/// Which storage a rebuild is about.
#[derive(Debug)]
pub enum RebuildFrom {
    /// One that the database knows, by name; the only one when none is named.
    Known(Option<String>),
    /// A place, which becomes a storage of this name if the database does not know it.
    Place { config: StorageConfig, unlock: Option<Unlock> },
}

/// Rebuilds the catalog from a storage. Refuses while anything else works with the database.
pub async fn rebuild_catalog(config: &Config, from: RebuildFrom, hear: Hear<'_>) -> Result<rebuild::Report, Failure> {
    let stop = stop_on_signal().map_err(Failure::Start)?;
    // Held to the end: no server starts in between.
    let ground = Ground::of(config).map_err(Failure::Start)?;
    let database = Database::borrow(config, &stop).await.map_err(Failure::Start)?;
    let rebuilt = rebuild_in(&database.db, &ground, from, hear);
    let rebuilt = tokio::select! {
        rebuilt = rebuilt => rebuilt,
        () = stop.cancelled() => Err(Failure::Work(anyhow!("told to stop; run it again, and it goes on from here"))),
    };
    database.close().await.map_err(Failure::Work)?;
    rebuilt
}

async fn rebuild_in(db: &Db, ground: &Ground, from: RebuildFrom, hear: Hear<'_>) -> Result<rebuild::Report, Failure> {
    check_schema(db).map_err(Failure::Start)?;
    if let Some(agent) = agents::alive(db).await.map_err(|err| Failure::Start(err.into()))? {
        return Err(Failure::Start(anyhow!(
            "agent {agent} is at work: stop \"kodo serve\" and every \"kodo worker\" of this installation first"
        )));
    }
    let (sealer, agent) = (&ground.sealer, &ground.agent.name);
    let storage = match from {
        RebuildFrom::Known(name) => known_storage(db, name).await.map_err(Failure::Start)?,
        RebuildFrom::Place { config, unlock } => {
            let known = repository::find_place(db, config.backend, &config.settings, agent).await;
            match known.map_err(|err| Failure::Start(err.into()))? {
                Some(known) => known,
                None => {
                    let attached = repository::attach_storage(db, sealer, agent, config, unlock).await;
                    attached.map_err(|err| Failure::Start(err.into()))?
                }
            }
        }
    };
    let store = repository::open_storage(db, sealer, storage, agent).await;
    let store = store.map_err(|err| Failure::Start(err.into()))?;
    rebuild::run(db, &store, ITEMS_AT_ONCE, hear).await.map_err(Failure::Work)
}

async fn known_storage(db: &Db, name: Option<String>) -> anyhow::Result<StorageId> {
    let storages = repository::list_storages(db).await?;
    let names = || storages.iter().map(|storage| storage.name.as_str()).collect::<Vec<_>>().join(", ");
    match (&name, storages.as_slice()) {
        (None, [only]) => Ok(only.id),
        (None, []) => bail!("the database knows no storage: name the place with --path"),
        (None, _) => bail!("there are several storages: choose one with --storage ({})", names()),
        (Some(name), _) => {
            let found = storages.iter().find(|storage| storage.name == *name || storage.id.to_string() == *name);
            found
                .map(|storage| storage.id)
                .with_context(|| format!("there is no storage {name} (there is: {})", names()))
        }
    }
}

/// A schema that is newer than this version is a start that cannot be; a migration that breaks off is a defect.
fn migrate_in(db: &Db) -> Result<Vec<String>, Failure> {
    db.pending_migrations().map_err(Failure::Start)?;
    db::migrate(db).map_err(Failure::Work)
}

/// Runs everything on one box until SIGTERM or SIGINT: database, scheduler, API, agent.
pub async fn serve(config: Config) -> Result<(), Failure> {
    let stop = stop_on_signal().map_err(Failure::Start)?;
    let ground = Ground::of(&config).map_err(Failure::Start)?;
    let prepared = api::prepare(&config.server, &config.state.dir).map_err(Failure::Start)?;
    let database = match Database::own(&config, &stop).await {
        Ok(database) => database,
        Err(_) if stop.is_cancelled() => return Ok(()),
        Err(err) => return Err(Failure::Start(err)),
    };
    let served = serve_on(&config, &database.db, ground, prepared, stop).await;
    // Also after an error: a managed server must not outlive us by accident.
    database.close().await.map_err(Failure::Work)?;
    served
}

/// What a process that stays needs of the state directory.
struct Ground {
    sealer: Sealer,
    agent: AgentName,
    /// Held by the one server of the state directory.
    _server: File,
}

impl Ground {
    fn of(config: &Config) -> anyhow::Result<Self> {
        let sealer = Sealer::load(&config.state.instance_key())?;
        let path = config.state.dir.join("serve.lock");
        let server = File::options().create(true).write(true).truncate(false).open(&path);
        let server = server.with_context(|| format!("cannot open {}", path.display()))?;
        flock(&server, FlockOperation::NonBlockingLockExclusive).ok().with_context(|| {
            format!(
                "another \"kodo serve\" runs with the state directory {}: stop it, or start \"kodo worker\" for more \
                 workers",
                config.state.dir.display()
            )
        })?;
        Ok(Self { sealer, agent: claim_name(&config.agent, &config.state.dir)?, _server: server })
    }
}

async fn serve_on(
    config: &Config,
    db: &Db,
    ground: Ground,
    prepared: api::Prepared,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let applied = migrate_in(db)?;
    if !applied.is_empty() {
        tracing::info!(n_migrations = applied.len(), "the schema was brought up to date");
    }
    let Ground { sealer, agent, _server: _held } = ground;
    let queue = Queue::new(db.clone());
    let scheduler = Scheduler::new(db.clone(), queue.clone(), exclusive_key);
    let workshop = Workshop::new(db.clone(), sealer.clone(), config.graph.clone(), config.agent.clone(), agent);
    let workshop = Arc::new(
        workshop
            .storing(config.repository.clone())
            .with_space(config.space.clone())
            .collecting(config.collection.clone())
            .exporting(config.exports.clone()),
    );
    let app = api::App {
        db: db.clone(),
        queue: queue.clone(),
        scheduler: scheduler.clone(),
        sealer,
        workshop: Arc::clone(&workshop),
        exclusive_key,
    };
    let agent = tokio::spawn(ending_all(stop.clone(), run_agent(workshop, queue, stop.clone())));
    let ticking = tokio::spawn(ending_all(stop.clone(), scheduler.keep_ticking(config.scheduler, stop.clone())));
    let every = Duration::from_secs(config.scheduler.tick_s);
    let rehearsing = keep_firing(db.clone(), app.queue.clone(), exclusive_key, every, stop.clone());
    let rehearsing = tokio::spawn(ending_all(stop.clone(), rehearsing));
    let serving = api::serve(&config.server, prepared, app, &config.state.dir, stop.clone()).await;
    // The API ends first: nobody can start new work while the old one is put down.
    stop.cancel();
    ticking.await.context("the scheduler failed").map_err(Failure::Work)?;
    rehearsing.await.context("the schedules of rehearsals failed").map_err(Failure::Work)?;
    agent.await.context("the agent failed").flatten().map_err(Failure::Work)?;
    tracing::info!("stopped");
    serving.map_err(Failure::Work)
}

/// A part without which the others are of no use: a server that answers and works on nothing would not be noticed.
async fn ending_all<T>(stop: CancellationToken, part: impl Future<Output = T>) -> T {
    let _end = stop.drop_guard();
    part.await
}

/// Runs an agent alone until SIGTERM or SIGINT, against the database and storages of an installation.
pub async fn worker(config: Config) -> Result<(), Failure> {
    let stop = stop_on_signal().map_err(Failure::Start)?;
    let sealer = Sealer::load(&config.state.instance_key()).map_err(Failure::Start)?;
    let agent = claim_name(&config.agent, &config.state.dir).map_err(Failure::Start)?;
    let database = Database::visit(&config).map_err(Failure::Start)?;
    check_schema(&database.db).map_err(Failure::Start)?;
    let queue = Queue::new(database.db.clone());
    tracing::info!(agent.name, "worker started");
    let workshop = Workshop::new(database.db.clone(), sealer, config.graph, config.agent, agent);
    let workshop = workshop.storing(config.repository).with_space(config.space).collecting(config.collection);
    let workshop = workshop.exporting(config.exports);
    run_agent(Arc::new(workshop), queue, stop).await.map_err(Failure::Work)?;
    tracing::info!("stopped");
    Ok(())
}

fn check_schema(db: &Db) -> anyhow::Result<()> {
    let pending = db.pending_migrations()?;
    ensure!(
        pending.is_empty(),
        "the database lacks migrations of this version ({}); start \"kodo serve\" of this version first",
        pending.join(", ")
    );
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
