//! What comes back along with an item because somebody asked for it: its parts, and who may see it.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::{RestoreError, StoredItem};

/// What comes along with one item. What nobody asked for is not in it.
#[derive(Clone, Copy, Default)]
pub struct Along<'a> {
    /// Its parts; `None`: they are not asked for, or it has none.
    pub parts: Option<&'a dyn StoredParts>,
    /// Who in the directory of the target stands for those whom it was shared with, both by their ids; `None`: it is
    /// not to be shared.
    pub people: Option<&'a HashMap<String, String>>,
}

/// The parts of a stored item, in the order in which they come back.
pub trait StoredParts: Send + Sync {
    fn n_parts(&self) -> usize;

    /// A part with its content. [`RestoreError::Item`]: this one cannot be read, and others can.
    fn read(&self, index: usize) -> BoxFuture<'_, Result<StoredItem, RestoreError>>;
}
