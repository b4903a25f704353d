//! What the workers of one agent share: clients per tenant, open storages, and the settings of the agent.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use super::name::{AgentName, host_name};
use super::task::TaskError;
use super::{AgentConfig, ExportsConfig, connection};
use crate::catalog;
use crate::db::{Conn, Db};
use crate::features::{FeatureOptions, Source};
use crate::graph::{GraphClient, GraphConfig, Scope, Waiting};
use crate::ids::{AgentId, ChainId, ResourceId, StorageId, TenantId, WriterId};
use crate::queue::{self, Lease, TaskKind, agents};
use crate::repository::{
    self, ChainIdentity, CollectionConfig, IngestContent, Packing, Reader, RepositoryConfig, SharedCaches, SpaceConfig,
    SpaceWatch, Store,
};
use crate::secret::Sealer;
use crate::tenants::{self, ResourceView};

/// Messages up to this size are split into their parts; larger ones are stored as a stream of chunks.
const SPLIT_BYTES_MAX: u64 = 48 << 20;

/// Contents on their way back that are in memory at once, over all workers, in units; a longer one is so alone.
const RESTORE_UNITS_MAX: u32 = (64 << 20) / RESTORE_UNIT_BYTES as u32;
const RESTORE_UNIT_BYTES: u64 = 64 << 10;

/// Shared by the workers of an agent.
pub struct Workshop {
    pub db: Db,
    pub agent: AgentConfig,
    pub collection: CollectionConfig,
    pub exports: ExportsConfig,
    name: AgentName,
    host: String,
    pub(super) sealer: Sealer,
    pub(super) graph: GraphConfig,
    clients: Mutex<HashMap<TenantId, Client>>,
    repository: RepositoryConfig,
    /// What all tasks of this agent know of a storage when they write to it.
    packings: Mutex<HashMap<StorageId, Packing>>,
    /// As whom this agent writes to a storage. `None`: its writer was taken for dead, and the next task registers
    /// another.
    writers: Mutex<HashMap<StorageId, Option<WriterId>>>,
    space: Arc<SpaceWatch>,
    /// One large message at a time is in memory whole, whatever the number of workers.
    large: Semaphore,
    /// Units of contents that are on their way back.
    restoring: Semaphore,
    reading: SharedCaches,
}

/// A tenant's client, and the credentials it was made from: when those change, so does the client.
struct Client {
    fingerprint: blake3::Hash,
    graph: GraphClient,
}

/// A storage as one task found it.
pub struct OpenStorage {
    pub id: StorageId,
    pub store: Store,
    pub writer: WriterId,
}

/// Whose data a task is about.
pub struct Subject {
    pub graph: GraphClient,
    pub graph_id: String,
    options: FeatureOptions,
    identity: ChainIdentity,
    _use: MailboxUse,
}

/// The use of a mailbox by one task. When it ends, other agents are told how much it was.
struct MailboxUse {
    graph: GraphClient,
    mailbox: Scope,
}

impl MailboxUse {
    async fn begin(graph: &GraphClient, user: &str) -> Self {
        let mailbox = Scope::Mailbox(user.to_owned());
        graph.agree(&mailbox).await;
        Self { graph: graph.clone(), mailbox }
    }
}

impl Drop for MailboxUse {
    fn drop(&mut self) {
        self.graph.tell(&self.mailbox);
    }
}

impl Subject {
    pub fn source(&self) -> Source<'_> {
        Source { graph: &self.graph, user: &self.graph_id, options: &self.options }
    }

    /// The same, with what a policy wants captured.
    pub fn capturing(self, options: FeatureOptions) -> Self {
        Self { options, ..self }
    }

    /// How the storage itself names the chain.
    pub fn identity(&self, feature: &str) -> ChainIdentity {
        ChainIdentity { feature: feature.to_owned(), ..self.identity.clone() }
    }

    /// What requests of this scope wait for just now.
    pub fn waits_for(&self, scope: &Scope) -> Option<String> {
        let Waiting { reason, until } = self.graph.waiting(scope)?;
        Some(format!("{reason}, until {}", until.format("%H:%M:%S")))
    }
}

impl Workshop {
    pub fn new(db: Db, sealer: Sealer, graph: GraphConfig, agent: AgentConfig, name: AgentName) -> Self {
        Self {
            name,
            host: host_name(),
            db,
            agent,
            collection: CollectionConfig::default(),
            exports: ExportsConfig::default(),
            sealer,
            graph,
            clients: Mutex::default(),
            repository: RepositoryConfig::default(),
            packings: Mutex::default(),
            writers: Mutex::default(),
            space: SpaceWatch::new(SpaceConfig::default()),
            large: Semaphore::new(1),
            restoring: Semaphore::new(RESTORE_UNITS_MAX as usize),
            reading: SharedCaches::default(),
        }
    }

    /// The same, writing into storages as configured.
    pub fn storing(self, repository: RepositoryConfig) -> Self {
        Self { repository, ..self }
    }

    /// Collecting as configured.
    pub fn collecting(self, collection: CollectionConfig) -> Self {
        Self { collection, ..self }
    }

    /// Writing exports only where it is configured.
    pub fn exporting(self, exports: ExportsConfig) -> Self {
        Self { exports, ..self }
    }

    /// The kinds of tasks that this agent does: exports only where it may write them.
    pub fn kinds(&self) -> Vec<TaskKind> {
        let writes_exports = !self.exports.directories.is_empty();
        let does = |kind: &TaskKind| writes_exports || !matches!(kind, TaskKind::Export | TaskKind::ExpireExport);
        TaskKind::ALL.into_iter().filter(does).collect()
    }

    /// With other limits of free space than the default ones.
    pub fn with_space(self, config: SpaceConfig) -> Self {
        Self { space: SpaceWatch::new(config), ..self }
    }

    pub fn space(&self) -> &SpaceConfig {
        self.space.config()
    }

    /// Makes this agent known to the others.
    pub async fn register(&self) -> anyhow::Result<AgentId> {
        let agent = agents::NewAgent {
            name: self.name.name.clone(),
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: self.agent.workers,
        };
        agents::register(&self.db, agent).await.context("cannot register the agent")
    }

    /// Says that the agent and its writers live. A writer that was taken for dead is forgotten: the next task that
    /// needs its storage registers a new one, and what the old one had under way is refused and done again.
    pub async fn heartbeat(&self, agent: AgentId) -> anyhow::Result<()> {
        agents::heartbeat(&self.db, agent).await?;
        let writers = self.writers.lock().await;
        let open: Vec<(StorageId, WriterId)> =
            writers.iter().filter_map(|(id, writer)| Some((*id, (*writer)?))).collect();
        drop(writers);
        let beat = self.db.run("writer heartbeat", move |conn| {
            let mut dead = Vec::new();
            for (storage, writer) in &open {
                if !repository::heartbeat_writer(conn, *writer)? {
                    dead.push((*storage, *writer));
                }
            }
            Ok(dead)
        });
        for (storage, writer) in beat.await? {
            tracing::warn!(storage.id = %storage, "this agent was taken for dead as a writer; it registers again");
            if let Some(known) = self.writers.lock().await.get_mut(&storage) {
                known.take_if(|known| *known == writer);
            }
        }
        Ok(())
    }

    /// Ends this agent's writers, so that what they left uncommitted may be collected at once.
    pub async fn retire(&self) {
        let writers: Vec<WriterId> = self.writers.lock().await.values().copied().flatten().collect();
        let retired = self.db.run("retire writers", move |conn| {
            writers.iter().try_for_each(|writer| repository::retire_writer(conn, *writer).map(drop))
        });
        if let Err(err) = retired.await {
            tracing::warn!(error = %err, "writers could not be retired; they are taken for dead when they stay silent");
        }
    }

    /// The client of a tenant, made anew when its credentials changed.
    pub async fn graph(&self, tenant: TenantId) -> Result<GraphClient, TaskError> {
        let held = tenants::credentials(&self.db, &self.sealer, tenant).await?;
        let fingerprint = blake3::hash(held.credential.expose());
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&tenant)
            && client.fingerprint == fingerprint
        {
            return Ok(client.graph.clone());
        }
        let graph = connection::client(&self.db, &self.graph, tenant, held);
        let graph = graph.map_err(|err| TaskError::permanent(format!("{err:#}")))?;
        clients.insert(tenant, Client { fingerprint, graph: graph.clone() });
        Ok(graph)
    }

    /// Returns when the other agents can know all that Microsoft asked of this one in a tenant: whoever takes a task up
    /// after this agent is to know it too.
    pub async fn limits_told(&self, tenant: Option<TenantId>) {
        let Some(tenant) = tenant else { return };
        let graph = self.clients.lock().await.get(&tenant).map(|client| client.graph.clone());
        if let Some(graph) = graph {
            graph.told().await;
        }
    }

    /// Notes that a resource does not have a feature.
    pub async fn not_applicable(&self, lease: Lease, chain: ChainId, reason: String) -> Result<(), TaskError> {
        let noted = self.db.transaction("note that a feature is not applicable", move |conn| {
            queue::assert_held(conn, &lease)?;
            Ok(catalog::chains::set_not_applicable(conn, chain, &reason)?)
        });
        Ok(noted.await?)
    }

    /// Refuses work that takes away what the catalog does not speak of while a rebuild has yet to say all of it.
    pub async fn refuse_unfinished_rebuild(&self, storage: StorageId) -> Result<(), TaskError> {
        let read = move |conn: &mut Conn| catalog::rebuild::unfinished(conn, storage);
        match self.db.run("look for chains that are being rebuilt", read).await?.len() {
            0 => Ok(()),
            n => Err(TaskError::permanent(format!(
                "{n} chains of this storage wait for a rebuild to end: stop kodo and run \"kodo rebuild-catalog\" again"
            ))),
        }
    }

    /// A resource with the client that reaches its data.
    pub async fn subject(&self, resource: ResourceId) -> Result<Subject, TaskError> {
        let resource = tenants::get_resource(&self.db, resource).await?;
        let graph = self.graph(resource.tenant).await?;
        let graph_id = resource.graph_id.clone();
        let identity = identity(&self.db, resource, "").await?;
        let _use = MailboxUse::begin(&graph, &graph_id).await;
        Ok(Subject { graph, graph_id, options: FeatureOptions::default(), identity, _use })
    }

    /// A storage, opened for one task: a share may have been unmounted or mounted anew since the last one, and what
    /// is found there must be the store that the database knows. This agent is one writer of it for all its tasks.
    pub async fn storage(&self, id: StorageId) -> Result<OpenStorage, TaskError> {
        let store = repository::open_storage(&self.db, &self.sealer, id, &self.name.name).await?;
        let mut packings = self.packings.lock().await;
        let store = store.with_packing(packings.entry(id).or_insert_with(|| self.repository.packing()).clone());
        drop(packings);
        let mut writers = self.writers.lock().await;
        if let Some(Some(writer)) = writers.get(&id) {
            return Ok(OpenStorage { id, store, writer: *writer });
        }
        if !writers.contains_key(&id) {
            // Later it would sweep away what other tasks of this agent are writing.
            store.remove_leftovers().await?;
        }
        let name = self.name.name.clone();
        let writer = self.db.run("register a writer", move |conn| repository::register_writer(conn, id, &name)).await?;
        writers.insert(id, Some(writer));
        Ok(OpenStorage { id, store, writer })
    }

    /// The same for a task that adds to the storage: it rests while less than the reserve is free, from its start on
    /// and with each pack.
    pub async fn storage_to_fill(&self, id: StorageId) -> Result<OpenStorage, TaskError> {
        let open = self.storage(id).await?;
        let name = repository::storage_name(&self.db, id).await?;
        let store = open.store.guarded(self.space.guard(id, name));
        store.check_space().await?;
        Ok(OpenStorage { store, ..open })
    }

    /// The right to hold content of that length in memory while it is brought back.
    pub async fn room_to_restore(&self, bytes: u64) -> Result<SemaphorePermit<'_>, TaskError> {
        let units = u32::try_from(bytes.div_ceil(RESTORE_UNIT_BYTES)).unwrap_or(u32::MAX).min(RESTORE_UNITS_MAX);
        Ok(self.restoring.acquire_many(units).await.context("the workshop is closed")?)
    }

    /// A reader for what is brought back: all of an agent's remember packs together.
    pub fn reader_to_restore(&self, storage: &OpenStorage) -> Reader {
        self.reading.reader(&storage.store, self.db.clone())
    }

    /// Reads a spooled message back when it is small enough to be split, one at a time over all workers.
    pub async fn unspool(&self, mut file: std::fs::File, bytes: u64) -> Result<Unspooled<'_>, TaskError> {
        if bytes > SPLIT_BYTES_MAX {
            return Ok(Unspooled { content: IngestContent::Spooled { file, bytes }, large: None });
        }
        let permit = self.large.acquire().await.context("the workshop is closed")?;
        let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        file.read_to_end(&mut whole).context("cannot read a spooled message back")?;
        Ok(Unspooled { content: IngestContent::Mime(Bytes::from(whole)), large: Some(permit) })
    }
}

/// How the storage itself names the chain of a feature of this resource.
pub async fn identity(db: &Db, resource: ResourceView, feature: &str) -> Result<ChainIdentity, TaskError> {
    let tenant = tenants::get_tenant(db, resource.tenant).await?;
    Ok(ChainIdentity {
        entra_tenant_id: tenant.entra_tenant_id,
        resource_graph_id: resource.graph_id,
        resource_kind: resource.kind,
        resource_name: resource.name,
        address: resource.address,
        feature: feature.to_owned(),
    })
}

/// Content that may hold the right to be large; keep it until the content is stored.
pub struct Unspooled<'a> {
    pub content: IngestContent,
    pub large: Option<SemaphorePermit<'a>>,
}
