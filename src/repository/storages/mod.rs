//! Storages: the configured places, each with the store on it.
//!
//! Owns: the table `storages`, how settings become a backend, and the sealed master key of each. Invariants: a row
//! exists only for a store that was created or opened on its place; no two rows name one store; the master key leaves
//! the database sealed only.

pub mod sql;

pub use sql::take_upkeep_due;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;
use super::door::blocking;
use super::format::Layout;
use super::keys::{self, MasterKey, NewRecoveryKey, Unlock};
use super::packs::sql::{StoreTotals, read_totals};
use super::space::SpaceMeter;
use super::store::{Crypto, Store};
use crate::backends::{Backend, BackendError, Filesystem, Profile, Space};
use crate::db::{Db, DbError};
use crate::ids::StorageId;
use crate::secret::Sealer;

/// The kinds of place that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    Filesystem,
    Nfs,
    Cifs,
    Vdo,
}

impl BackendKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Nfs => "nfs",
            Self::Cifs => "cifs",
            Self::Vdo => "vdo",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Filesystem, Self::Nfs, Self::Cifs, Self::Vdo].into_iter().find(|kind| kind.name() == name)
    }

    fn profile(self) -> Profile {
        match self {
            Self::Filesystem => Profile::Local,
            Self::Nfs => Profile::Nfs,
            Self::Cifs => Profile::Cifs,
            Self::Vdo => Profile::Vdo,
        }
    }
}

/// Where a storage is: the column `settings`, JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// An absolute path, the same on every agent.
    pub path: PathBuf,
}

/// A storage that an administrator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    pub name: String,
    pub backend: BackendKind,
    pub settings: StorageSettings,
    /// By default aligned on a VDO volume and packed elsewhere.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// By default on, but off in the aligned layout, where it cannot be.
    #[serde(default)]
    pub encrypted: Option<bool>,
}

/// A storage that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    pub id: StorageId,
    pub name: String,
    pub backend: BackendKind,
    pub settings: StorageSettings,
    pub store: Uuid,
    pub layout: Layout,
    pub encrypted: bool,
}

/// What came of [`add_storage`]. The recovery key is shown to the administrator once and kept nowhere.
#[derive(Debug)]
pub struct AddedStorage {
    pub id: StorageId,
    pub recovery_key: Option<NewRecoveryKey>,
}

const NAME_CHARS_MAX: usize = 190;

/// Creates a store on an empty place and its row. `agent` is the name of the calling agent.
pub async fn add_storage(
    db: &Db,
    sealer: &Sealer,
    agent: &str,
    config: StorageConfig,
) -> Result<AddedStorage, StoreError> {
    add_storage_with(db, sealer, agent, config, Vec::new()).await
}

/// The same, with further keys that open the store beside its recovery key.
pub async fn add_storage_with(
    db: &Db,
    sealer: &Sealer,
    agent: &str,
    config: StorageConfig,
    further: Vec<Unlock>,
) -> Result<AddedStorage, StoreError> {
    check_config(&config)?;
    let name = config.name.clone();
    if db.run("find a storage", move |conn| sql::find_name(conn, &name)).await?.is_some() {
        return Err(StoreError::Setup(format!("there is a storage named {} already", config.name)));
    }
    let layout = config.layout.unwrap_or(match config.backend {
        BackendKind::Vdo => Layout::Aligned,
        BackendKind::Filesystem | BackendKind::Nfs | BackendKind::Cifs => Layout::Packed,
    });
    let crypto = match config.encrypted.unwrap_or(layout == Layout::Packed) {
        true => Crypto::Aes256Gcm,
        false => Crypto::None,
    };
    if crypto == Crypto::None && !further.is_empty() {
        return Err(StoreError::Setup("a storage that is not encrypted has no keys: leave them out".to_owned()));
    }
    let backend = open_backend(config.backend, &config.settings, agent).await?;
    let created = Store::create(Arc::clone(&backend), layout, crypto).await?;
    let (master, shown) = match created.secrets {
        None => (None, None),
        Some(secrets) => (Some(secrets.master), Some(secrets.recovery)),
    };
    if let Err(err) = add_further(&backend, created.store, master.as_ref(), further).await {
        Store::discard_created(backend, created.store).await?;
        return Err(err);
    }
    match insert(db, sealer, config, created.store, layout, master).await {
        Ok(id) => Ok(AddedStorage { id, recovery_key: shown }),
        Err(NotInserted::Refused(err)) => {
            // Nobody was shown its key, so nobody could ever use what stands there now.
            Store::discard_created(backend, created.store).await?;
            Err(err)
        }
        Err(NotInserted::Unknown(err)) => Err(err),
    }
}

/// Makes a row for a store that exists, on a place of another installation or after the database was lost.
pub async fn attach_storage(
    db: &Db,
    sealer: &Sealer,
    agent: &str,
    config: StorageConfig,
    unlock: Option<Unlock>,
) -> Result<StorageId, StoreError> {
    check_config(&config)?;
    let backend = open_backend(config.backend, &config.settings, agent).await?;
    let description = Store::describe(Arc::clone(&backend)).await.map_err(no_store)?;
    let master = master_of(&backend, description.crypto, unlock).await?;
    Store::open(StorageId::new(0), backend, master.clone()).await?;
    Ok(insert(db, sealer, config, description.store, description.layout, master).await?)
}

/// Opens the store on a place that no database knows, to read from it.
pub async fn open_place(
    kind: BackendKind,
    settings: &StorageSettings,
    agent: &str,
    unlock: Option<Unlock>,
) -> Result<Store, StoreError> {
    let backend = open_backend(kind, settings, agent).await?;
    let description = Store::describe(Arc::clone(&backend)).await.map_err(no_store)?;
    let master = master_of(&backend, description.crypto, unlock).await?;
    Store::open(StorageId::new(0), backend, master).await
}

/// The storage whose store is on this place, if the database knows it.
pub async fn find_place(
    db: &Db,
    kind: BackendKind,
    settings: &StorageSettings,
    agent: &str,
) -> Result<Option<StorageId>, StoreError> {
    let store = Store::describe(open_backend(kind, settings, agent).await?).await.map_err(no_store)?.store;
    Ok(db.run("find a storage", move |conn| sql::find_store(conn, store)).await?.map(|row| row.id))
}

async fn master_of(
    backend: &Arc<dyn Backend>,
    crypto: Crypto,
    unlock: Option<Unlock>,
) -> Result<Option<MasterKey>, StoreError> {
    match (crypto, unlock) {
        (Crypto::None, _) => Ok(None),
        (Crypto::Aes256Gcm, Some(unlock)) => Store::recover(Arc::clone(backend), unlock).await.map(Some),
        (Crypto::Aes256Gcm, None) => Err(StoreError::Setup(
            "this store is encrypted: give its recovery key, its passphrase or its key file".to_owned(),
        )),
    }
}

/// All storages, by name.
pub async fn list_storages(db: &Db) -> Result<Vec<Storage>, StoreError> {
    let rows = db.run("list storages", sql::list).await?;
    rows.iter().map(storage_of).collect()
}

/// Opens a configured storage for work. `agent` is the name of the calling agent: it marks its temporary files.
pub async fn open_storage(db: &Db, sealer: &Sealer, id: StorageId, agent: &str) -> Result<Store, StoreError> {
    let found = db.run("find a storage", move |conn| sql::find(conn, id)).await?;
    let row = found.ok_or(StoreError::NoSuchStorage(id))?;
    let storage = storage_of(&row)?;
    let master = match &row.key_sealed {
        None => None,
        Some(sealed) => {
            let opened = sealer.open(&label(storage.store), sealed);
            let plain = opened.map_err(|err| StoreError::Setup(format!("storage {}: {err:#}", storage.name)))?;
            MasterKey::from_slice(plain.expose())
        }
    };
    let backend = open_backend(storage.backend, &storage.settings, agent).await?;
    let store = Store::open(id, backend, master).await.map_err(no_store)?;
    if store.description().store != storage.store {
        return Err(StoreError::Setup(format!(
            "{} holds another store than storage {} had there: is the right share mounted?",
            storage.settings.path.display(),
            storage.name
        )));
    }
    Ok(store)
}

/// What people call a storage.
pub async fn storage_name(db: &Db, id: StorageId) -> Result<String, StoreError> {
    let found = db.run("find a storage", move |conn| sql::find(conn, id)).await?;
    found.map(|row| row.name).ok_or(StoreError::NoSuchStorage(id))
}

/// What a storage holds by the catalog's count.
pub async fn storage_totals(db: &Db, id: StorageId) -> Result<StoreTotals, StoreError> {
    Ok(db.run("count packs", move |conn| read_totals(conn, id)).await?)
}

async fn add_further(
    backend: &Arc<dyn Backend>,
    store: Uuid,
    master: Option<&MasterKey>,
    further: Vec<Unlock>,
) -> Result<(), StoreError> {
    let (Some(master), backend) = (master.cloned(), Arc::clone(backend)) else { return Ok(()) };
    blocking(move || {
        further.iter().try_for_each(|unlock| keys::add_key(backend.as_ref(), store, &master, unlock).map(drop))
    })
    .await
}

/// How much room a storage has, without opening its store. `None`: it cannot be told, or not soon.
pub async fn storage_space(meter: &SpaceMeter, storage: &Storage, agent: &str) -> Option<Space> {
    let (kind, path, agent) = (storage.backend, storage.settings.path.clone(), agent.to_owned());
    let measure = move || Filesystem::open(&path, kind.profile(), &agent)?.free_space();
    meter.measure(storage.id, measure).await
}

fn check_config(config: &StorageConfig) -> Result<(), StoreError> {
    let name_ok = !config.name.trim().is_empty() && config.name.chars().count() <= NAME_CHARS_MAX;
    if !name_ok {
        return Err(StoreError::Setup(format!("a storage needs a name of 1 to {NAME_CHARS_MAX} characters")));
    }
    if !config.settings.path.is_absolute() {
        let path = config.settings.path.display();
        return Err(StoreError::Setup(format!("the path {path} is not absolute: it must mean the same everywhere")));
    }
    Ok(())
}

async fn open_backend(
    kind: BackendKind,
    settings: &StorageSettings,
    agent: &str,
) -> Result<Arc<dyn Backend>, StoreError> {
    let (path, agent) = (settings.path.clone(), agent.to_owned());
    let opened = blocking(move || Filesystem::open(&path, kind.profile(), &agent)).await?;
    Ok(Arc::new(opened))
}

/// A place without STORE.json is most often a share that is not mounted.
fn no_store(err: StoreError) -> StoreError {
    match err {
        StoreError::Backend(BackendError::NotFound(key)) => {
            StoreError::Setup(format!("there is no store on this place ({key} is missing): is the share mounted?"))
        }
        other => other,
    }
}

async fn insert(
    db: &Db,
    sealer: &Sealer,
    config: StorageConfig,
    store: Uuid,
    layout: Layout,
    master: Option<MasterKey>,
) -> Result<StorageId, NotInserted> {
    let sealed = master.map(|key| sealer.seal(&label(store), key.expose())).transpose();
    let row = sql::NewStorage {
        name: config.name.clone(),
        backend: config.backend.name(),
        settings: serde_json::to_string(&config.settings).map_err(|err| {
            NotInserted::Refused(StoreError::Setup(format!("the path cannot be written down: {err}")))
        })?,
        store,
        layout: layout_name(layout),
        key_sealed: sealed.map_err(|err| NotInserted::Refused(StoreError::Setup(format!("{err:#}"))))?,
    };
    let failed = match db.run("add a storage", move |conn| sql::insert(conn, &row)).await {
        Ok(id) => return Ok(id),
        Err(err) => err,
    };
    // The answer to an INSERT that did happen may have been lost.
    let found = db.run("find a storage", move |conn| sql::find_store(conn, store)).await;
    let refused = match found.map_err(|err| NotInserted::Unknown(err.into()))? {
        Some(row) if row.name == config.name => return Ok(row.id),
        Some(row) => {
            return Err(NotInserted::Unknown(StoreError::Setup(format!("storage {} has this store", row.name))));
        }
        None => failed,
    };
    Err(NotInserted::Refused(match refused {
        DbError::Duplicate(_) => StoreError::Setup(format!("there is a storage named {} already", config.name)),
        other => other.into(),
    }))
}

/// Why a storage has no row.
enum NotInserted {
    /// It has none for certain.
    Refused(StoreError),
    /// It may have one.
    Unknown(StoreError),
}

impl From<NotInserted> for StoreError {
    fn from(failure: NotInserted) -> Self {
        match failure {
            NotInserted::Refused(err) | NotInserted::Unknown(err) => err,
        }
    }
}

fn label(store: Uuid) -> String {
    format!("storage {store}")
}

fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Packed => "packed",
        Layout::Aligned => "aligned",
    }
}

fn storage_of(row: &sql::StorageRow) -> Result<Storage, StoreError> {
    let unreadable = |what: &str| StoreError::Setup(format!("the row of storage {} has an unknown {what}", row.name));
    Ok(Storage {
        id: row.id,
        name: row.name.clone(),
        backend: BackendKind::of(&row.backend).ok_or_else(|| unreadable("backend"))?,
        settings: serde_json::from_str(&row.settings).map_err(|_| unreadable("setting"))?,
        store: row.store,
        layout: match row.layout.as_str() {
            "packed" => Layout::Packed,
            "aligned" => Layout::Aligned,
            _ => return Err(unreadable("layout")),
        },
        encrypted: row.key_sealed.is_some(),
    })
}
