//! The containers of the target that this attempt has opened, each of them once, though many are opened side by side.
//!
//! Whoever needs a folder opens what is above it first, or waits for whoever does: two folders in the same one do not
//! make it twice. What was just created holds nothing, so that nobody looks for anything in it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::place::item_error;
use super::{Restoration, TaskError};
use crate::features::{Opened, Opening, PathStep};

/// Containers that are remembered: to open one of them again costs requests and nothing else.
const REMEMBERED_MAX: usize = 2_000;

/// What came of opening a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    At(Opened),
    /// It is missing, and the target is only looked at.
    Nowhere,
    /// The target does not take it; the text says why.
    Refused(String),
}

type Cell = Arc<OnceCell<Told>>;

#[derive(Default)]
pub(super) struct Openings {
    told: Mutex<HashMap<Vec<PathStep>, Cell>>,
    /// The ids of those that were created and that nothing was put into since.
    empty: Mutex<HashSet<String>>,
}

impl Openings {
    fn cell(&self, path: &[PathStep]) -> Cell {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = told.get(path) {
            return Arc::clone(cell);
        }
        if told.len() >= REMEMBERED_MAX {
            // Those that somebody waits for stay, lest they be opened by two.
            told.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        Arc::clone(told.entry(path.to_vec()).or_default())
    }

    fn note(&self, told: &Told) {
        if let Told::At(Opened { id, is_new: true }) = told {
            let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
            if empty.len() >= REMEMBERED_MAX {
                empty.clear();
            }
            empty.insert(id.clone());
        }
    }

    /// Whether nothing can be in a container. Who asks will put something into it: it is said once.
    pub fn take_empty(&self, container: &str) -> bool {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner).remove(container)
    }
}

impl Restoration<'_> {
    /// Opens a container and what is above it. Nobody looks for one that is known to be missing before it is made.
    pub(super) async fn opened(&self, path: &[PathStep], is_missing: bool) -> Result<Told, TaskError> {
        let first = if self.restoring.stands_alone(path) { path.len() } else { 1 };
        let mut above = None;
        for end in first..=path.len() {
            let way = &path[..end];
            let cell = self.openings.cell(way);
            let is_missing = (is_missing && end == path.len()) || self.is_asked_for(end, first);
            match cell.get_or_try_init(|| self.open_one(way, above.as_ref(), is_missing)).await? {
                Told::At(opened) => above = Some(opened.clone()),
                told @ (Told::Nowhere | Told::Refused(_)) => return Ok(told.clone()),
            }
        }
        Ok(above.map_or(Told::Nowhere, Told::At))
    }

    /// The folder that everything goes into is a new one, as a rule.
    fn is_asked_for(&self, end: usize, first: usize) -> bool {
        self.work.target_folder.is_some() && end == if self.holds_folders { 2 } else { first }
    }

    async fn open_one(&self, way: &[PathStep], above: Option<&Opened>, is_missing: bool) -> Result<Told, TaskError> {
        let opening = match self.opening() {
            Opening::Create if is_missing => Opening::CreateNew,
            opening => opening,
        };
        let told = match self.restoring.open(self.target.source(), way, above, opening).await {
            Ok(Some(opened)) => Told::At(opened),
            Ok(None) if opening == Opening::Look => Told::Nowhere,
            Ok(None) => Told::Refused("the folder cannot be created".to_owned()),
            Err(err) => Told::Refused(item_error(err)?),
        };
        self.openings.note(&told);
        Ok(told)
    }

    /// Whether the target has a container already. What is above it is opened, and it is not.
    pub(super) async fn is_there(&self, path: &[PathStep]) -> Result<Told, TaskError> {
        let above = match path.split_last() {
            Some((_, way)) if !self.restoring.stands_alone(path) => match self.opened(way, false).await? {
                Told::At(above) => Some(above),
                told @ (Told::Nowhere | Told::Refused(_)) => return Ok(told),
            },
            Some(_) | None => None,
        };
        let cell = self.openings.cell(path);
        if let Some(told) = cell.get() {
            return Ok(told.clone());
        }
        if above.as_ref().is_some_and(|above| above.is_new) {
            return Ok(Told::Nowhere);
        }
        match self.restoring.open(self.target.source(), path, above.as_ref(), Opening::Look).await {
            Ok(Some(found)) => Ok(cell.get_or_init(|| async { Told::At(found) }).await.clone()),
            Ok(None) => Ok(Told::Nowhere),
            Err(err) => Ok(Told::Refused(item_error(err)?)),
        }
    }
}
