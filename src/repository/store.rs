//! A store: what one storage holds, described by `STORE.json` at its top.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;
use super::chunking::{ChunkSizes, Chunking};
use super::door::blocking;
use super::format::{FORMAT, Header, Layout, PackBuilder};
use super::keys::{self, MasterKey, NewRecoveryKey, RecoveryKey, StoreKeys, Unlock};
use super::settings::Packing;
use super::space::SpaceGuard;
use crate::backends::{Backend, BackendError, Space};
use crate::clock;
use crate::ids::{PackUid, StorageId, WriterId};

pub(super) const DESCRIPTION_KEY: &str = "STORE.json";
/// The longest description that is read.
const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// Packs are closed when they reach this length; one blob may carry them beyond it.
const PACK_BYTES: u64 = 32 << 20;
const PACK_BYTES_MAX: u64 = 1 << 30;

/// How packs are encrypted, chosen once for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crypto {
    None,
    Aes256Gcm,
}

/// `STORE.json`: written once, read at every start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    pub format: u16,
    pub store: Uuid,
    pub layout: Layout,
    pub crypto: Crypto,
    /// Where writers close packs. Readers do not depend on it.
    pub pack_bytes: u64,
    /// Where writers cut content. Readers do not depend on it.
    pub chunk_bytes: ChunkSizes,
    /// Tells whether a master key is the right one.
    pub key_check: String,
    pub created: String,
}

/// One storage, opened. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    packing: Packing,
    /// Looks at free space before anything is put; only for work that free space may stop.
    guard: Option<Arc<SpaceGuard>>,
}

struct Inner {
    storage: StorageId,
    description: Description,
    keys: StoreKeys,
    chunking: Chunking,
    backend: Arc<dyn Backend>,
}

/// A new store and, when it is encrypted, what must be kept: the master key for the database, the recovery key for
/// the administrator's safe.
pub struct CreatedStore {
    pub store: Uuid,
    pub secrets: Option<CreatedSecrets>,
}

pub struct CreatedSecrets {
    pub master: MasterKey,
    pub recovery: NewRecoveryKey,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} on storage {})", self.inner.description.store, self.inner.storage)
    }
}

impl Store {
    /// Makes an empty place a store. Refuses a place that holds one already, and encryption under the aligned layout,
    /// where it would undo what the layout is for.
    pub async fn create(backend: Arc<dyn Backend>, layout: Layout, crypto: Crypto) -> Result<CreatedStore, StoreError> {
        if layout == Layout::Aligned && crypto != Crypto::None {
            return Err(StoreError::Setup(
                "an aligned store cannot be encrypted: a deduplicating volume finds nothing in encrypted data; encrypt \
                 the disk below the volume (LUKS) instead"
                    .to_owned(),
            ));
        }
        blocking(move || create(backend.as_ref(), layout, crypto)).await
    }

    /// Opens the store on a place. An encrypted store needs its master key.
    pub async fn open(
        storage: StorageId,
        backend: Arc<dyn Backend>,
        master: Option<MasterKey>,
    ) -> Result<Self, StoreError> {
        let reading = Arc::clone(&backend);
        let description = blocking(move || read_description(reading.as_ref())).await?;
        let master = match description.crypto {
            Crypto::None => None,
            Crypto::Aes256Gcm => Some(master.ok_or_else(|| {
                StoreError::Setup(format!("store {} is encrypted and its key is not known here", description.store))
            })?),
        };
        let keys = StoreKeys::derive(description.store, master.as_ref());
        if keys.check() != description.key_check {
            return Err(StoreError::Setup(format!("the key is not the one of store {}", description.store)));
        }
        let chunking = Chunking::new(&keys, description.chunk_bytes);
        let inner = Arc::new(Inner { storage, description, keys, chunking, backend });
        Ok(Self { inner, packing: Packing::default(), guard: None })
    }

    /// The master key of the store on a place, by anything that opens it: a recovery key, a passphrase or a key file.
    /// The one way to a master key without the database.
    pub async fn recover(backend: Arc<dyn Backend>, unlock: impl Into<Unlock>) -> Result<MasterKey, StoreError> {
        keys::recover(backend, unlock.into()).await
    }

    /// Takes back [`Store::create`], for a store that nobody knows of yet.
    pub(super) async fn discard_created(backend: Arc<dyn Backend>, store: Uuid) -> Result<(), StoreError> {
        blocking(move || discard_created(backend.as_ref(), store)).await
    }

    /// What the place says of itself.
    pub async fn describe(backend: Arc<dyn Backend>) -> Result<Description, StoreError> {
        blocking(move || read_description(backend.as_ref())).await
    }

    /// Whether the place still holds this store: a share may go away while it is read.
    pub async fn check_place(&self) -> Result<(), StoreError> {
        let found = Self::describe(Arc::clone(&self.inner.backend)).await?.store;
        if found == self.inner.description.store {
            return Ok(());
        }
        Err(StoreError::Setup(format!("the place holds store {found} now: is the right share mounted?")))
    }

    /// The same store, with packers that work as the agent is configured and share what it knows.
    pub fn with_packing(self, packing: Packing) -> Self {
        Self { packing, ..self }
    }

    pub fn storage(&self) -> StorageId {
        self.inner.storage
    }

    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// How much room is left, if the place can tell.
    pub async fn free_space(&self) -> Result<Option<Space>, StoreError> {
        let backend = Arc::clone(&self.inner.backend);
        Ok(blocking(move || backend.free_space()).await?)
    }

    /// The same store for work that is to rest rather than fill the storage up. Without a guard, what frees space can
    /// still write what it has to.
    pub fn guarded(self, guard: Arc<SpaceGuard>) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// [`StoreError::SpaceShort`] when less than the reserve is free. [`Packer`](super::Packer) asks before each pack.
    pub async fn check_space(&self) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || store.look_at_space()).await
    }

    /// A place that cannot be measured, or not now, is not full for that.
    pub(super) fn look_at_space(&self) -> Result<(), StoreError> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let space = self.inner.backend.free_space().unwrap_or_else(|err| {
            tracing::debug!(error = %err, "free space cannot be measured");
            None
        });
        guard.look(space)
    }

    /// Removes temporary files of an earlier life of this agent. Only at its start, before any packer works.
    pub async fn remove_leftovers(&self) -> Result<u32, StoreError> {
        let backend = Arc::clone(&self.inner.backend);
        Ok(blocking(move || backend.sweep()).await?)
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        self.inner.backend.as_ref()
    }

    pub(super) fn keys(&self) -> &StoreKeys {
        &self.inner.keys
    }

    pub(super) fn packing(&self) -> &Packing {
        &self.packing
    }

    pub(super) fn chunking(&self) -> &Chunking {
        &self.inner.chunking
    }

    pub(super) fn pack_bytes(&self) -> u64 {
        self.inner.description.pack_bytes
    }

    pub(super) fn new_pack(&self, writer: WriterId) -> PackBuilder {
        let description = &self.inner.description;
        let header = Header {
            aligned: description.layout == Layout::Aligned,
            encrypted: description.crypto == Crypto::Aes256Gcm,
            store: description.store,
            pack: PackUid::random(),
            writer,
            created_s: u32::try_from(clock::now().timestamp()).unwrap_or(u32::MAX),
        };
        PackBuilder::new(header, description.layout, &self.inner.keys.packs).with_level(self.packing.zstd_level)
    }
}

/// Where a pack lies.
pub(super) fn pack_key(pack: PackUid) -> String {
    let name = pack.to_string();
    format!("packs/{}/{name}.kpk", &name[..2])
}

/// One of the 256 folders of packs.
pub(super) fn packs_prefix(folder: u8) -> String {
    format!("packs/{folder:02x}/")
}

fn create(backend: &dyn Backend, layout: Layout, crypto: Crypto) -> Result<CreatedStore, StoreError> {
    match read_description(backend) {
        Ok(found) => {
            return Err(StoreError::Setup(format!(
                "there is a store already ({}, created {}): choose an empty directory",
                found.store, found.created
            )));
        }
        Err(StoreError::Backend(BackendError::NotFound(_))) => {}
        Err(err) => return Err(err),
    }
    let store = Uuid::new_v4();
    let entropy = |err: anyhow::Error| StoreError::Setup(format!("{err:#}"));
    let secrets = match crypto {
        Crypto::None => None,
        Crypto::Aes256Gcm => {
            let master = MasterKey::random().map_err(entropy)?;
            let recovery = RecoveryKey::random().map_err(entropy)?;
            let key = keys::add_key(backend, store, &master, &recovery.clone().into())?;
            Some(CreatedSecrets { master, recovery: NewRecoveryKey::of(&recovery, key) })
        }
    };
    let keys = StoreKeys::derive(store, secrets.as_ref().map(|secrets| &secrets.master));
    let description = Description {
        format: FORMAT,
        store,
        layout,
        crypto,
        pack_bytes: PACK_BYTES,
        chunk_bytes: ChunkSizes::DEFAULT,
        key_check: keys.check(),
        created: clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    };
    // Last, because it is what makes the place a store: never one whose key was not written.
    put_json(backend, DESCRIPTION_KEY, &description)?;
    Ok(CreatedStore { store, secrets })
}

fn put_json(backend: &dyn Backend, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(value).expect("our own structs are representable in JSON");
    text.push(b'\n');
    Ok(backend.put(key, &[Bytes::from(text)])?)
}

fn read_json<T: for<'de> Deserialize<'de>>(backend: &dyn Backend, key: &str) -> Result<T, StoreError> {
    let tail = backend.get_tail(key, DESCRIPTION_BYTES_MAX)?;
    serde_json::from_slice(&tail.bytes)
        .map_err(|err| StoreError::Setup(format!("{key} on the storage cannot be read: {err}")))
}

pub(super) fn read_description(backend: &dyn Backend) -> Result<Description, StoreError> {
    /// The part that every format must keep, so that a newer one is told from a damaged one.
    #[derive(Deserialize)]
    struct Versioned {
        format: u16,
    }
    let found: Versioned = read_json(backend, DESCRIPTION_KEY)?;
    if found.format != FORMAT {
        return Err(StoreError::Setup(format!(
            "the store has format {}, and this version of kodo knows format {FORMAT}: install a newer one",
            found.format
        )));
    }
    let description: Description = read_json(backend, DESCRIPTION_KEY)?;
    if !description.chunk_bytes.sound() || !(1..=PACK_BYTES_MAX).contains(&description.pack_bytes) {
        return Err(StoreError::Setup(format!(
            "{DESCRIPTION_KEY} on the storage names sizes that cannot be worked with"
        )));
    }
    Ok(description)
}

fn discard_created(backend: &dyn Backend, store: Uuid) -> Result<(), StoreError> {
    if read_description(backend)?.store != store {
        return Ok(());
    }
    backend.delete(DESCRIPTION_KEY)?;
    keys::delete_keys(backend, store)
}
