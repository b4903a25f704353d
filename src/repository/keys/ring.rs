//! The keys of a store together: which there are, adding, removing and rotating them, and opening the store with one.
//!
//! Objects are never replaced: a rotation puts a new file, proves that it opens, and only then deletes the old one.
//! Interrupted anywhere, the store has a key more than it needs and never one too few.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

use super::file::{KeyFile, KeyState, StoredKey, is_key_id};
use super::recovery::RecoveryKey;
use super::unlock::Unlock;
use super::{KeyKind, MasterKey, StoreKeys};
use crate::backends::{Backend, BackendError};
use crate::repository::door::blocking;
use crate::repository::store::{Description, read_description};
use crate::repository::{Store, StoreError};
use crate::secret::Secret;

const KEYS_PREFIX: &str = "keys/";
const KEY_FILE_BYTES_MAX: usize = 64 << 10;
/// Each may cost a derivation, so a storage must not be able to ask for any number.
const KEYS_MAX: usize = 64;

/// One change at a time: of two that each leave one key, both together would leave none. An installation has one
/// server, and only servers change keys.
static CHANGING: Mutex<()> = Mutex::new(());

/// A recovery key that was made just now. Shown once.
#[derive(Debug)]
pub struct NewRecoveryKey {
    pub key: StoredKey,
    text: Secret<String>,
    /// The ids of the keys that it took the place of.
    pub removed: Vec<String>,
}

impl NewRecoveryKey {
    pub fn of(recovery: &RecoveryKey, key: StoredKey) -> Self {
        Self { key, text: recovery.text(), removed: Vec::new() }
    }

    /// The key as it is written down.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// One object below `keys/`, which may be anything.
struct Found {
    object: String,
    file: Result<KeyFile, String>,
}

impl Store {
    /// The keys that open this store, by id.
    pub async fn list_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let store = self.clone();
        blocking(move || Ok(read_all(store.backend(), store.description())?.iter().map(Found::told).collect())).await
    }

    /// Makes `unlock` open this store as well.
    pub async fn add_key(&self, unlock: Unlock) -> Result<StoredKey, StoreError> {
        let store = self.clone();
        blocking(move || {
            let master = store.master()?;
            let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
            let n_keys = read_all(store.backend(), store.description())?.len();
            if n_keys >= KEYS_MAX {
                return Err(StoreError::Setup(format!("the store has {n_keys} keys, which is the most: remove some")));
            }
            add_key(store.backend(), store.description().store, &master, &unlock)
        })
        .await
    }

    /// Makes a recovery key, beside those that there are.
    pub async fn add_recovery_key(&self) -> Result<NewRecoveryKey, StoreError> {
        let recovery = RecoveryKey::random().map_err(no_entropy)?;
        let key = self.add_key(recovery.clone().into()).await?;
        Ok(NewRecoveryKey::of(&recovery, key))
    }

    /// Takes a key away; never the last one that can be read.
    pub async fn remove_key(&self, id: String) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            store.master()?;
            let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
            let all = read_all(store.backend(), store.description())?;
            let gone = all.iter().find(|found| found.id() == id).ok_or_else(|| StoreError::NoSuchKey(id.clone()))?;
            if !all.iter().any(|other| other.file.is_ok() && other.object != gone.object) {
                return Err(StoreError::Setup(format!(
                    "key {id} is the last one that opens the store: add another before you remove it"
                )));
            }
            Ok(store.backend().delete(&gone.object)?)
        })
        .await
    }

    /// Makes a recovery key in the place of all that there are. The master key stays: what was wrapped by an old one
    /// and copied elsewhere still opens with it.
    pub async fn rotate_recovery_key(&self) -> Result<NewRecoveryKey, StoreError> {
        let new = self.add_recovery_key().await?;
        let (store, id) = (self.clone(), new.key.id.clone());
        let proof = Unlock::recovery_key(new.expose())?;
        let removed = blocking(move || {
            let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
            let all = read_all(store.backend(), store.description())?;
            let opens = all.iter().filter(|found| found.id() == id).any(|found| found.opens(&store, &proof));
            if !opens {
                return Err(StoreError::Setup(format!(
                    "the new key {id} does not read back from the storage; the old one stays"
                )));
            }
            let old = |found: &&Found| {
                found.id() != id && found.file.as_ref().is_ok_and(|file| file.kind() == KeyKind::Recovery)
            };
            let old: Vec<&Found> = all.iter().filter(old).collect();
            old.iter().try_for_each(|found| store.backend().delete(&found.object))?;
            Ok(old.iter().map(|found| found.id().to_owned()).collect())
        })
        .await?;
        Ok(NewRecoveryKey { removed, ..new })
    }

    fn master(&self) -> Result<MasterKey, StoreError> {
        self.keys().master().ok_or_else(|| {
            StoreError::Setup(
                "the storage is not encrypted: it has no keys, and whoever sees it can read it".to_owned(),
            )
        })
    }
}

impl Found {
    fn id(&self) -> &str {
        self.object.trim_start_matches(KEYS_PREFIX).trim_end_matches(".json")
    }

    fn told(&self) -> StoredKey {
        let state = match &self.file {
            Ok(file) => KeyState::Sound { kind: file.kind(), created: file.created.clone() },
            Err(why) => KeyState::Unreadable { why: why.clone() },
        };
        StoredKey { id: self.id().to_owned(), state }
    }

    fn opens(&self, store: &Store, unlock: &Unlock) -> bool {
        self.file.as_ref().is_ok_and(|file| open(store.description(), file, unlock).is_some())
    }
}

/// The master key of the store on a place, by anything that opens it. A damaged key file does not keep another one
/// from opening the store.
pub async fn recover(backend: Arc<dyn Backend>, unlock: Unlock) -> Result<MasterKey, StoreError> {
    blocking(move || {
        let description = read_description(backend.as_ref())?;
        let all = read_all(backend.as_ref(), &description)?;
        let sound = all.iter().filter_map(|found| found.file.as_ref().ok());
        if let Some(master) = sound.clone().find_map(|file| open(&description, file, &unlock)) {
            return Ok(master);
        }
        let mut what = format!("this {} does not open store {}", unlock.name(), description.store);
        for found in &all {
            if let Err(why) = &found.file {
                what.push_str(&format!("; {} cannot be read: {why}", found.object));
            }
        }
        Err(StoreError::Setup(what))
    })
    .await
}

/// A key that unwraps to another master key than the store's is none of this store.
fn open(description: &Description, file: &KeyFile, unlock: &Unlock) -> Option<MasterKey> {
    let master = file.unwrap(unlock)?;
    (StoreKeys::derive(description.store, Some(&master)).check() == description.key_check).then_some(master)
}

/// Wraps the master key once more. Durable on return.
pub fn add_key(
    backend: &dyn Backend,
    store: Uuid,
    master: &MasterKey,
    unlock: &Unlock,
) -> Result<StoredKey, StoreError> {
    let wrapped = KeyFile::wrap(store, master, unlock).map_err(no_entropy)?;
    let object = format!("{KEYS_PREFIX}{}.json", wrapped.id);
    backend.put(&object, &[Bytes::from(wrapped.encode())])?;
    Ok(Found { object, file: Ok(wrapped) }.told())
}

fn no_entropy(err: anyhow::Error) -> StoreError {
    StoreError::Setup(format!("a key cannot be made: {err:#}"))
}

/// Takes away all keys of a store that nobody knows of yet.
pub fn delete_keys(backend: &dyn Backend, store: Uuid) -> Result<(), StoreError> {
    for entry in backend.list(KEYS_PREFIX)? {
        if read(backend, &entry.key)?.is_ok_and(|file| file.store == store) {
            backend.delete(&entry.key)?;
        }
    }
    Ok(())
}

fn read_all(backend: &dyn Backend, description: &Description) -> Result<Vec<Found>, StoreError> {
    let entries = backend.list(KEYS_PREFIX)?;
    if entries.len() > KEYS_MAX {
        return Err(StoreError::Setup(format!(
            "{KEYS_PREFIX} on the storage holds {} files, more than the {KEYS_MAX} that kodo writes at most: take away \
             what it did not write",
            entries.len()
        )));
    }
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        let object = entry.key;
        match read(backend, &object) {
            Ok(file) => {
                let file = file.and_then(|file| belongs(file, &object, description));
                all.push(Found { object, file });
            }
            // Removed since the folder was listed.
            Err(StoreError::Backend(BackendError::NotFound(_))) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(all)
}

fn read(backend: &dyn Backend, object: &str) -> Result<Result<KeyFile, String>, StoreError> {
    let tail = backend.get_tail(object, KEY_FILE_BYTES_MAX)?;
    if tail.object_bytes > KEY_FILE_BYTES_MAX as u64 {
        return Ok(Err(format!("it has {} bytes, which no key file has", tail.object_bytes)));
    }
    Ok(KeyFile::decode(&tail.bytes))
}

fn belongs(file: KeyFile, object: &str, description: &Description) -> Result<KeyFile, String> {
    if file.store != description.store {
        return Err(format!("it is of store {}", file.store));
    }
    if !is_key_id(&file.id) || object != format!("{KEYS_PREFIX}{}.json", file.id) {
        return Err(format!("it is key {} and has another name", file.id));
    }
    Ok(file)
}
