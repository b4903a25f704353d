//! What of a restore point comes back: all of it, or the containers, folders and items that were named.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::walk::Shelf;
use crate::catalog::VersionRow;
use crate::db::DbError;
use crate::ids::{ContainerId, ItemKey};
use crate::queue::work::RestoreSelection;

/// Keys that are looked up at once.
const PAGE_ITEMS: usize = 500;
/// A way up that is longer is a ring.
const DEPTH_MAX: usize = 400;

/// What was chosen, each item once. Bounded by what a request may name.
#[derive(Default)]
pub(super) struct Choice {
    /// Everything in these comes back; `None`: in all.
    containers: Option<HashSet<ContainerId>>,
    /// Everything in these folders comes back.
    pub folders: Vec<VersionRow>,
    /// Single items, by what held them.
    pub items: BTreeMap<(ContainerId, Option<ItemKey>), Vec<ItemKey>>,
    /// Items that the point does not hold.
    pub missing: Vec<ItemKey>,
    /// The folders above the chosen ones and above the items.
    above: HashMap<ItemKey, Above>,
}

struct Above {
    name: String,
    parent: Option<ItemKey>,
}

impl Choice {
    pub async fn of(selection: Option<&RestoreSelection>, shelf: &Shelf) -> Result<Self, DbError> {
        let Some(selection) = selection.filter(|selection| !selection.is_of_all()) else { return Ok(Self::default()) };
        let containers = selection.containers.iter().copied().collect();
        let mut choice = Self { containers: Some(containers), ..Self::default() };
        let mut found = Vec::new();
        let wanted: HashSet<ItemKey> = selection.items.iter().copied().collect();
        let mut missing = wanted.clone();
        let wanted: Vec<ItemKey> = wanted.into_iter().collect();
        for keys in wanted.chunks(PAGE_ITEMS) {
            for row in shelf.versions(keys).await? {
                missing.remove(&row.version.key);
                if !choice.takes_all_of(row.version.container) {
                    found.push(row);
                }
            }
        }
        choice.missing = missing.into_iter().collect();
        choice.look_up(&found, shelf).await?;
        choice.take(found, shelf);
        Ok(choice)
    }

    /// Nothing was named: all of the point comes back.
    pub fn is_of_all(&self) -> bool {
        self.containers.is_none()
    }

    pub fn takes_all_of(&self, container: ContainerId) -> bool {
        self.containers.as_ref().is_none_or(|all| all.contains(&container))
    }

    /// Reads the folders above these items, level by level.
    async fn look_up(&mut self, found: &[VersionRow], shelf: &Shelf) -> Result<(), DbError> {
        let mut next: HashSet<ItemKey> = found.iter().filter_map(|row| row.version.parent).collect();
        for _ in 0..DEPTH_MAX {
            next.retain(|key| !self.above.contains_key(key));
            let keys: Vec<ItemKey> = next.drain().collect();
            for keys in keys.chunks(PAGE_ITEMS) {
                for row in shelf.versions(keys).await? {
                    let version = row.version;
                    next.extend(version.parent);
                    self.above.insert(version.key, Above { name: version.name, parent: version.parent });
                }
            }
            if next.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Sorts the chosen items into folders and single items; what lies in a chosen folder comes back with it.
    fn take(&mut self, found: Vec<VersionRow>, shelf: &Shelf) {
        let folders: HashSet<ItemKey> =
            found.iter().filter(|row| shelf.is_folder(row)).map(|row| row.version.key).collect();
        for row in found {
            if self.way_up(row.version.parent).any(|(key, _)| folders.contains(&key)) {
                continue;
            }
            if shelf.is_folder(&row) {
                self.folders.push(row);
            } else {
                self.items.entry((row.version.container, row.version.parent)).or_default().push(row.version.key);
            }
        }
    }

    fn way_up(&self, from: Option<ItemKey>) -> impl Iterator<Item = (ItemKey, &Above)> {
        let step = |key: ItemKey| self.above.get(&key).map(|above| (key, above));
        let first = from.and_then(step);
        std::iter::successors(first, move |(_, above)| above.parent.and_then(step)).take(DEPTH_MAX)
    }

    /// The names of the folders from a container down to `folder`, that one included. The root of a drive has no
    /// name to go by.
    pub fn names_to(&self, folder: Option<ItemKey>) -> Vec<String> {
        let mut names: Vec<String> = self
            .way_up(folder)
            .filter(|(_, above)| above.parent.is_some())
            .map(|(_, above)| above.name.clone())
            .collect();
        names.reverse();
        names
    }
}
