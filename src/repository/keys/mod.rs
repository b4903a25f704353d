//! The keys of a store: one random master key, what is derived from it, and how it is kept on the storage.
//!
//! The master key lies on the storage only wrapped: each `keys/<id>.json` holds it encrypted under a key that comes from
//! what a person keeps: a recovery key on paper, a passphrase, or a key file. Any of them opens the store.

mod file;
mod recovery;
mod ring;
mod unlock;

use uuid::Uuid;

use super::format::PackKeys;
use crate::secret::{Secret, random_key};

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use file::KeyFile;
pub use file::{KeyKind, KeyState, StoredKey};
pub use recovery::RecoveryKey;
pub use ring::NewRecoveryKey;
pub(super) use ring::{add_key, delete_keys, recover};
pub use unlock::Unlock;

const BLOB_ID_CONTEXT: &str = "kodo format 1: blob id key";
const CHUNK_SEED_CONTEXT: &str = "kodo format 1: chunk seed";
const CHECK_TEXT: &[u8] = b"kodo format 1: key check";

/// The key from which all keys of a store come. Whoever has it and the storage has the data.
#[derive(Clone, Debug)]
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    pub fn random() -> anyhow::Result<Self> {
        random_key().map(Self)
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Secret::new(key)))
    }

    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// The keys that work on one store is done with.
#[derive(Clone)]
pub(super) struct StoreKeys {
    /// Blob ids are BLAKE3 under this key, so that they tell nothing to whoever lacks it.
    pub id_key: Secret<[u8; 32]>,
    /// Makes the places where content is cut a secret of the store: sizes of chunks tell no known file.
    pub chunk_seed: u64,
    pub packs: PackKeys,
}

impl StoreKeys {
    /// Without a master key the ids are derived from the store's public name: still its own, no secret.
    pub fn derive(store: Uuid, master: Option<&MasterKey>) -> Self {
        let material: &[u8] = master.map_or(store.as_bytes(), |key| key.expose());
        let seed = blake3::derive_key(CHUNK_SEED_CONTEXT, material);
        let packs = master.map_or(PackKeys::None, |key| PackKeys::Master(key.0.clone()));
        Self {
            id_key: Secret::new(blake3::derive_key(BLOB_ID_CONTEXT, material)),
            chunk_seed: seed.first_chunk().map_or(0, |head| u64::from_le_bytes(*head)),
            packs,
        }
    }

    /// The key that the others were derived from, where there is one.
    pub fn master(&self) -> Option<MasterKey> {
        match &self.packs {
            PackKeys::None => None,
            PackKeys::Master(key) => Some(MasterKey(key.clone())),
        }
    }

    /// Tells a right key from a wrong one without giving anything away.
    pub fn check(&self) -> String {
        hex::encode(&blake3::keyed_hash(self.id_key.expose(), CHECK_TEXT).as_bytes()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_have_keys_of_their_own_with_and_without_encryption() {
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let master = MasterKey::random().unwrap();

        assert_ne!(StoreKeys::derive(a, None).check(), StoreKeys::derive(b, None).check());
        assert_ne!(StoreKeys::derive(a, None).check(), StoreKeys::derive(a, Some(&master)).check());
        assert!(matches!(StoreKeys::derive(a, Some(&master)).packs, PackKeys::Master(_)));
    }
}
