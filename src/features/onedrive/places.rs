//! Where the folders of a drive are. Delta tells parents by their ids and never a path, so a path is put together from
//! the folders that a walk has met; one that it has not met is asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::facets::is;
use super::rules::{Rules, Standing};
use crate::features::{Cursor, Source, WalkError};
use crate::graph::{DriveEndpoint, Endpoint, GraphError};

/// Folders that one walk remembers. A drive with more costs a request now and then.
const FOLDERS_MAX: usize = 20_000;
/// Walks that are remembered at once; the one that was longest without a page is forgotten.
const WALKS_MAX: usize = 8;
/// Folders in one another: OneDrive takes paths of 400 letters.
const DEPTH_MAX: usize = 400;

/// How far a walk that looks at paths has come. Kept in its cursors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trail {
    /// When the walk before it ended, in seconds; `None`: it is a walk over everything.
    pub since: Option<i64>,
    /// The name under which its folders are remembered.
    walk: Uuid,
    pub link: String,
}

impl Trail {
    pub fn over_everything() -> Self {
        Self { since: None, walk: Uuid::new_v4(), link: String::new() }
    }

    /// Goes on with a walk. A cursor of a walk that did not look at paths is worth nothing here.
    pub fn resumed(cursor: &Cursor) -> Result<Self, WalkError> {
        serde_json::from_str(&cursor.0).map_err(|_| WalkError::Expired)
    }

    /// Begins a walk over what changed since the one that left this cursor.
    pub fn over_changes(cursor: &Cursor) -> Result<Self, WalkError> {
        Ok(Self { walk: Uuid::new_v4(), ..Self::resumed(cursor)? })
    }

    pub fn goes_on(&self, link: String) -> Cursor {
        Self { link, ..self.clone() }.cursor()
    }

    pub fn ends(&self, link: String, now: i64) -> Cursor {
        Self { link, since: Some(now), ..self.clone() }.cursor()
    }

    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("texts and numbers are always JSON"))
    }

    /// The folders that the walk has met.
    pub fn folders(&self) -> Folders {
        let mut walks = WALKS.lock().unwrap_or_else(PoisonError::into_inner);
        let found = walks.iter().position(|(walk, _)| *walk == self.walk);
        found.map(|at| walks.remove(at).1).unwrap_or_default()
    }

    /// Keeps them for the next page.
    pub fn remember(&self, folders: Folders) {
        let mut walks = WALKS.lock().unwrap_or_else(PoisonError::into_inner);
        if walks.len() >= WALKS_MAX {
            walks.remove(0);
        }
        walks.push((self.walk, folders));
    }
}

/// What walks under way have met. It saves requests and decides nothing: an agent that does not have it asks.
static WALKS: Mutex<Vec<(Uuid, Folders)>> = Mutex::new(Vec::new());

/// Folders by their ids, as one walk met them.
#[derive(Debug, Default)]
pub(super) struct Folders(HashMap<String, Folder>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    /// `None`: it is the root.
    parent: Option<String>,
    name: String,
}

impl Folders {
    /// Learns the folders among the entries of a page, of which the last word on a folder counts. Returns whether one of
    /// them is elsewhere than on the pages before.
    pub fn learn(&mut self, entries: &[Value]) -> bool {
        let mut told: HashMap<&str, Folder> = HashMap::new();
        for entry in entries {
            let holds_others = ["folder", "package", "root"].iter().any(|facet| is(entry, facet));
            if let (true, Some(id), Some(folder)) = (holds_others, entry["id"].as_str(), Folder::read(entry)) {
                told.insert(id, folder);
            }
        }
        let moved = told.iter().any(|(id, folder)| self.0.get(*id).is_some_and(|before| before != folder));
        told.into_iter().for_each(|(id, folder)| self.put(id, folder));
        moved
    }

    fn put(&mut self, id: &str, folder: Folder) {
        if self.0.len() >= FOLDERS_MAX {
            self.0.clear();
        }
        self.0.insert(id.to_owned(), folder);
    }

    /// Where an item stands among the rules; `None`: a folder above it is gone, so that its end is yet to be reported.
    pub async fn standing(
        &mut self,
        source: Source<'_>,
        drive: &str,
        rules: &Rules,
        entry: &Value,
    ) -> Result<Option<Standing>, GraphError> {
        let Some(own) = Folder::read(entry) else { return Ok(None) };
        let mut names = Vec::new();
        let mut at = own;
        while let Some(parent) = at.parent {
            names.push(at.name);
            if names.len() > DEPTH_MAX {
                return Ok(None);
            }
            at = match self.0.get(&parent) {
                Some(folder) => folder.clone(),
                None => match ask(source, drive, &parent).await? {
                    Some(folder) => {
                        self.put(&parent, folder.clone());
                        folder
                    }
                    None => return Ok(None),
                },
            };
        }
        Ok(Some(names.iter().rev().fold(rules.root(), |above, name| rules.below(&above, name))))
    }
}

impl Folder {
    /// `None`: the entry does not say where it is.
    fn read(entry: &Value) -> Option<Self> {
        let name = entry["name"].as_str()?.to_owned();
        let parent = if is(entry, "root") { None } else { Some(entry["parentReference"]["id"].as_str()?.to_owned()) };
        Some(Self { parent, name })
    }
}

async fn ask(source: Source<'_>, drive: &str, id: &str) -> Result<Option<Folder>, GraphError> {
    let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive, item: id });
    match source.graph.get(endpoint).query("$select", "id,name,parentReference,root").json().await {
        Ok(folder) => Folder::read(&folder)
            .map(Some)
            .ok_or_else(|| GraphError::protocol(endpoint, "the folder does not say where it is")),
        Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
