//! Bringing the items of a feature back: what a feature that can do so is asked, and what it answers.
//!
//! A feature tells what identifies its items and lists what a target holds; what is then done with an item is decided
//! in one place for all features, by [`Existing::decide`]; the feature carries it out.

mod along;
mod content;
mod deciding;
mod existing;
#[cfg(test)]
mod existing_tests;
mod ids;
mod opening;
mod planning;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use along::{Along, StoredParts};
pub use content::{LargeContent, StoredContent};
pub use deciding::{Action, Identity, OnConflict, Present, Verdict};
pub use existing::{Existing, Origin};
pub use opening::{Noted, Noting, Opened, Opening, PathStep};
pub use planning::{Plan, Wish, bring_back, carry_out, plan};

use super::Source;
use crate::graph::GraphError;
use crate::ids::ItemKey;

/// Bringing the items of a feature back to the service.
pub trait Restoring: Send + Sync {
    /// Finds the container at the end of `path` in the one that the steps before it lead to, which is open: `above`.
    /// What is missing is created, unless the target is only looked at: then it is `None`. Of a feature with folders
    /// among its items, such as a drive, the path is the container's own step and then the folders in it, the one that
    /// receives everything first. Safe to be asked for several containers at once.
    fn open<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
        above: Option<&'a Opened>,
        opening: Opening,
    ) -> BoxFuture<'a, Result<Option<Opened>, RestoreError>>;

    /// Whether the container at the end of `path` is opened with nothing above it.
    fn stands_alone(&self, path: &[PathStep]) -> bool {
        path.len() <= 1
    }

    /// The same for the whole way: opens what is on it, and returns the Graph id of its end.
    fn open_container<'a>(
        &'a self,
        target: Source<'a>,
        path: &'a [PathStep],
        opening: Opening,
    ) -> BoxFuture<'a, Result<Option<String>, RestoreError>> {
        Box::pin(async move {
            let first = if self.stands_alone(path) { path.len() } else { 1 };
            let mut above = None;
            for end in first..=path.len() {
                let opened = self.open(target, &path[..end], above.as_ref(), opening).await?;
                let Some(opened) = opened else { return Ok(None) };
                above = Some(opened);
            }
            Ok(above.map(|opened| opened.id))
        })
    }

    /// Lists what is in a target container, so that nothing is created twice. What an interrupted restore left
    /// half-way there is deleted, unless the target is only looked at: then it is as if it were not there.
    fn list<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        opening: Opening,
        noting: &'a mut dyn Noting,
    ) -> BoxFuture<'a, Result<(), RestoreError>>;

    /// No two items of one container can have the same natural key.
    fn keys_are_unique(&self) -> bool {
        false
    }

    /// What is in a target container, for whoever knows nothing of a backup.
    fn existing<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        opening: Opening,
    ) -> BoxFuture<'a, Result<Existing, RestoreError>> {
        Box::pin(async move {
            let mut existing = Existing::of(self.keys_are_unique());
            self.list(target, container, opening, &mut existing).await?;
            Ok(existing)
        })
    }

    /// What tells a stored item apart from others, and one state of it from another. Pure.
    fn recognise(&self, container: &str, item: &StoredItem) -> Result<Recognised, RestoreError>;

    /// Carries out for one item what was decided about it, with what comes along. Repeats safely: it carries its own
    /// marker, or is told by the feature's natural key.
    fn carry_out<'a>(
        &'a self,
        target: Source<'a>,
        container: &'a str,
        item: &'a StoredItem,
        action: &'a Action,
        along: Along<'a>,
    ) -> BoxFuture<'a, Result<Restored, RestoreError>>;

    /// Content above this length is handed over as [`StoredContent::Large`]; `None`: never, the feature has no such.
    fn large_above_bytes(&self) -> Option<u64> {
        None
    }

    /// The item itself, by its immutable id, when the target holds it in another container than the one that it comes
    /// back to. What lies in a bin is as good as gone. `None`: it is gone, or the feature cannot tell.
    fn locate<'a>(
        &'a self,
        _target: Source<'a>,
        _item: &'a StoredItem,
    ) -> BoxFuture<'a, Result<Option<Present>, RestoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Moves an item of the target into a container and says the id that it has there. `None`: the feature cannot.
    fn move_back<'a>(
        &'a self,
        _target: Source<'a>,
        _container: &'a str,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, RestoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// A folder among items was created, and all that it held was brought back: what is left to do to the folder
    /// itself, such as giving it its times. Returns remarks. Repeats safely.
    fn finish_folder<'a>(
        &'a self,
        _target: Source<'a>,
        _folder: &'a str,
        _item: &'a StoredItem,
        _along: Along<'a>,
    ) -> BoxFuture<'a, Result<Vec<String>, RestoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Whether [`Self::recognise`] needs the properties alone: content is then read only for what is brought back.
    fn recognises_by_properties(&self) -> bool {
        false
    }

    /// How many requests it takes to create this item, whose content has that many bytes: an estimate.
    fn requests_to_create(&self, _item: &StoredItem, _bytes: u64) -> u64 {
        1
    }

    /// Whether parts of its items can come back with them.
    fn brings_back_parts(&self) -> bool {
        false
    }

    /// Where a part stands among those of its item, as its properties tell: the lowest comes back first. `None`: they
    /// do not tell.
    fn order_of_part(&self, _properties: &[u8]) -> Option<u64> {
        None
    }

    /// How many requests it takes to bring so many parts with so many bytes back with their items: an estimate.
    fn requests_for_parts(&self, _parts: u64, _bytes: u64) -> u64 {
        0
    }

    /// Those whom an item was shared with and who can be let in again, by their ids. Pure.
    fn shared_with(&self, _item: &StoredItem) -> Vec<String> {
        Vec::new()
    }

    /// How many requests it takes to let them in: an estimate.
    fn requests_to_share(&self, _item: &StoredItem) -> u64 {
        0
    }
}

/// An item of a restore point, read back from the storage.
#[derive(Debug)]
pub struct StoredItem {
    pub key: ItemKey,
    pub kind: u8,
    pub properties: Bytes,
    pub content: StoredContent,
}

impl StoredItem {
    /// Its properties. [`RestoreError::Item`]: the backup does not hold them as JSON.
    pub fn json(&self) -> Result<Value, RestoreError> {
        serde_json::from_slice(&self.properties)
            .map_err(|error| RestoreError::Item(format!("the stored properties cannot be read: {error}")))
    }
}

/// What a stored item is to a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognised {
    Item(Identity),
    /// This version of kodo brings back no items of its kind; the text says so. What the backup holds can be read.
    LeftOut {
        why: &'static str,
    },
}

/// What was done with one item.
#[derive(Debug, PartialEq, Eq)]
pub enum Restored {
    /// Created; the remarks name what Microsoft does not let anybody restore.
    Created { remarks: Vec<String> },
    /// What was there is now as the backup has it, but for the remarks.
    Updated { remarks: Vec<String> },
    /// It was there already.
    AlreadyThere,
    /// It is left alone, for this reason.
    LeftAlone { why: &'static str },
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
    /// The storage cannot be read just now: as above.
    #[error("{0}")]
    Storage(String),
}
