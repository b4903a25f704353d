//! The containers of a target: the way to one, and what it is opened for.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Identity, Present, RestoreError};
use crate::ids::ItemKey;

/// Whether a restore may change the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Create,
    /// The same for what is likely to be missing: it is looked for only when it cannot be created.
    CreateNew,
    /// A dry run: nothing is written.
    Look,
}

/// One step from the top to a target container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PathStep {
    pub name: String,
    pub well_known: Option<String>,
    pub hidden: bool,
}

impl PathStep {
    /// An ordinary folder.
    pub fn folder(name: &str) -> Self {
        Self { name: name.to_owned(), well_known: None, hidden: false }
    }
}

/// A container of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its Graph id.
    pub id: String,
    /// It was just created, and nobody need look for anything in it.
    pub is_new: bool,
}

impl Opened {
    pub fn new(id: String) -> Self {
        Self { id, is_new: true }
    }

    pub fn found(id: String) -> Self {
        Self { id, is_new: false }
    }
}

/// An item that a target container holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub present: Present,
    /// The key of the item that it was restored from, if it carries a marker.
    pub marker: Option<ItemKey>,
}

impl Noted {
    pub fn new(id: &str, identity: Identity, marker: Option<ItemKey>) -> Self {
        Self { present: Present { id: id.to_owned(), identity }, marker }
    }
}

/// Who hears what a target container holds, page by page.
pub trait Noting: Send {
    fn note(&mut self, page: Vec<Noted>) -> BoxFuture<'_, Result<(), RestoreError>>;
}
