//! Readers of one storage that remember packs together: what many tasks read at once takes no more memory than what a few
//! do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Cache, GROUPS_BYTES_MAX, Reader};
use crate::db::Db;
use crate::ids::StorageId;
use crate::repository::Store;

/// Together, readers remember as many opened groups as so many of them would alone.
const READERS_MAX: usize = 2;

/// What readers remember, for each storage, as long as one of them is in use.
#[derive(Default)]
pub struct SharedCaches(Mutex<HashMap<StorageId, Weak<Mutex<Cache>>>>);

impl SharedCaches {
    /// A reader of this storage that shares with those that are in use.
    pub fn reader(&self, store: &Store, db: Db) -> Reader {
        let reader = store.reader(db);
        // Every change to the map is one insert, so a panic elsewhere leaves it whole.
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.get(&store.storage()).and_then(Weak::upgrade) {
            return Reader { cache, ..reader };
        }
        reader.cache().groups.set_bytes_max(READERS_MAX * GROUPS_BYTES_MAX);
        caches.insert(store.storage(), Arc::downgrade(&reader.cache));
        reader
    }
}
