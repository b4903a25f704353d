//! A store on a directory, looked at without its database and, if need be, without its key.

use std::path::Path;
use std::sync::Arc;

use super::Depth;
use super::check::{Sight, check};
use crate::backends::{Backend, Filesystem, Profile};
use crate::ids::{PackUid, StorageId};
use crate::repository::door::blocking;
use crate::repository::keys::StoreKeys;
use crate::repository::store::{Crypto, Description};
use crate::repository::{PackFile, Store, StoreError, Unlock, packs};

/// Marks no temporary file: nothing is written.
const READER: &str = "verify-storage";

/// A store that is only looked at. Clones share it.
#[derive(Clone)]
pub struct Place {
    backend: Arc<dyn Backend>,
    description: Arc<Description>,
    keys: Option<StoreKeys>,
}

impl Place {
    /// Opens the store below `path`. Without a key of an encrypted store its content cannot be proved.
    pub async fn open(path: &Path, unlock: Option<Unlock>) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let backend: Arc<dyn Backend> =
            Arc::new(blocking(move || Filesystem::open(&path, Profile::Local, READER)).await?);
        let description = Store::describe(Arc::clone(&backend)).await?;
        let keys = match (description.crypto, unlock) {
            (Crypto::None, _) => Some(StoreKeys::derive(description.store, None)),
            (Crypto::Aes256Gcm, None) => None,
            (Crypto::Aes256Gcm, Some(unlock)) => {
                let master = Store::recover(Arc::clone(&backend), unlock).await?;
                Store::open(StorageId::new(0), Arc::clone(&backend), Some(master.clone())).await?;
                Some(StoreKeys::derive(description.store, Some(&master)))
            }
        };
        Ok(Self { backend, description: Arc::new(description), keys })
    }

    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The deepest look that is possible with what is known.
    pub fn depth_max(&self) -> Depth {
        if self.keys.is_some() { Depth::Content } else { Depth::Stored }
    }

    /// The packs in one of the 256 folders, by name.
    pub async fn list_packs(&self, folder: u8) -> Result<Vec<PackFile>, StoreError> {
        let place = self.clone();
        blocking(move || packs::list_folder(place.backend.as_ref(), folder)).await
    }

    /// Proves that a pack is what was written, and tells its length.
    pub async fn check_pack(&self, pack: PackUid, depth: Depth) -> Result<u64, StoreError> {
        let place = self.clone();
        blocking(move || {
            let sight =
                Sight { backend: place.backend.as_ref(), store: place.description.store, keys: place.keys.as_ref() };
            check(&sight, pack, depth)
        })
        .await
    }
}
