//! Bringing the items of a feature back: what a feature that can do so is asked, and what it answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Source;
use crate::graph::GraphError;
use crate::ids::ItemKey;

/// Bringing the items of a feature back to the service.
pub trait Restoring: Send + Sync {
    /// Finds the container at `path` below the target, creating what is missing, and returns its Graph id.
    fn open_container<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
    ) -> BoxFuture<'a, Result<String, RestoreError>>;

    /// Lists what is in a target container, so that nothing is created twice.
    fn existing<'a>(&'a self, target: Source<'a>, container: &'a str) -> BoxFuture<'a, Result<Existing, RestoreError>>;

    /// Creates one item in a target container unless `existing` holds it already.
    fn restore<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        item: &'a StoredItem,
        existing: &'a Existing,
    ) -> BoxFuture<'a, Result<Restored, RestoreError>>;
}

/// One step from the top to a target container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStep {
    pub name: String,
    pub well_known: Option<String>,
    pub hidden: bool,
}

/// An item of a restore point, read back from the storage.
#[derive(Debug)]
pub struct StoredItem {
    pub key: ItemKey,
    pub kind: u8,
    pub properties: Bytes,
    pub content: Option<Bytes>,
}

/// What a target container holds already.
#[derive(Debug, Default)]
pub struct Existing {
    /// Items that carry a restore marker, by the item they came from, with their Graph id.
    pub marked: HashMap<ItemKey, String>,
    /// Items by [`ItemKey::of`] their own Graph id: the original is still there.
    pub by_id: HashSet<ItemKey>,
    /// Items without a marker, by the feature's natural key (for mail: the internet message id) hashed with
    /// [`ItemKey::of`]. Each can stand for one item only: two copies of a mail have the same natural key.
    strangers: Mutex<HashMap<ItemKey, Vec<ItemKey>>>,
}

impl Existing {
    /// Notes an item without a marker, by its natural key and its own id.
    pub fn add_stranger(&mut self, natural_key: ItemKey, own: ItemKey) {
        let strangers = self.strangers.get_mut().unwrap_or_else(PoisonError::into_inner);
        strangers.entry(natural_key).or_default().push(own);
    }

    /// Takes items out of the strangers that are known to be items of the backup themselves.
    pub fn recognise(&mut self, originals: &HashSet<ItemKey>) {
        let strangers = self.strangers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for own in strangers.values_mut() {
            own.retain(|key| !originals.contains(key));
        }
    }

    /// Whether an item with this natural key is there that stands for no other item yet; from now on it does.
    pub fn take_stranger(&self, natural_key: ItemKey) -> bool {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.get_mut(&natural_key).and_then(Vec::pop).is_some()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Restored {
    /// Created; the remarks name what Microsoft does not let anybody restore.
    Created {
        remarks: Vec<String>,
    },
    AlreadyThere,
    /// This version of kodo brings back no items of its kind; the text says so. What the backup holds can be read.
    LeftOut {
        why: &'static str,
    },
}

/// Why one item or container could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// This item fails and others will not.
    #[error("{0}")]
    Item(String),
    /// Nothing else will work either: stop and retry the task.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
