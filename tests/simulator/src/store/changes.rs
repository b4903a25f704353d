//! Walking a folder: enumeration by item number, and what its log says happened since.

use super::folder::{ChangeKind, Changed, FolderChange, ROOT, TOP};
use super::ids::IdKind;
use super::{Found, Mailbox};
use std::collections::HashMap;

/// What a delta page says of one item.
#[derive(Clone, Debug)]
pub enum Delta {
    /// The item with everything, or with only the changed properties.
    Present {
        found: Found,
        changed: Changed,
    },
    Removed {
        item: u64,
        incarnation: u32,
    },
}

/// Which id kind the log is folded for: a mutable id dies with a move, an immutable one lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    ByItem,
    ByIncarnation,
}

impl Fold {
    pub fn of(kind: IdKind) -> Self {
        match kind {
            IdKind::Mutable => Self::ByIncarnation,
            IdKind::Immutable => Self::ByItem,
        }
    }
}

impl Mailbox {
    /// Up to `limit` items of the folder with a number above `cursor`, ascending.
    pub fn items_after(&self, folder: u32, cursor: u64, limit: usize) -> Vec<Found> {
        let Some(folder) = self.folder(folder) else {
            return Vec::new();
        };
        let mut held = folder.members.range(cursor + 1..).copied().peekable();
        let mut base = (folder.base.start.max(cursor + 1)..folder.base.end)
            .filter(|item| !self.entries.contains_key(item) && !self.gone.contains(item))
            .peekable();
        let mut out = Vec::with_capacity(limit.min(1000));
        while out.len() < limit {
            let next = match (held.peek(), base.peek()) {
                (Some(a), Some(b)) if a < b => held.next(),
                (_, Some(_)) => base.next(),
                (Some(_), None) => held.next(),
                (None, None) => None,
            };
            let Some(item) = next else { break };
            out.extend(self.item(item));
        }
        out
    }

    /// Items of a folder, newest first as Outlook lists them, `skip` left out.
    pub fn newest_items(&self, folder: u32, skip: usize, limit: usize) -> Vec<Found> {
        if self.is_lazy() {
            return self.newest_of_lazy(folder, skip, limit);
        }
        let Some(folder) = self.folder(folder) else {
            return Vec::new();
        };
        let mut order: Vec<(i64, u64)> = folder
            .members
            .iter()
            .filter_map(|item| self.entries.get(item).map(|e| (-e.message.received, *item)))
            .collect();
        order.sort_unstable();
        order.iter().skip(skip).take(limit).filter_map(|(_, item)| self.item(*item)).collect()
    }

    // Sorting a million computed dates for every page would be the whole cost of the simulator;
    // computed items are dated in the order of their numbers anyway.
    fn newest_of_lazy(&self, folder: u32, skip: usize, limit: usize) -> Vec<Found> {
        let Some(folder) = self.folder(folder) else {
            return Vec::new();
        };
        let base =
            folder.base.clone().rev().filter(|item| !self.entries.contains_key(item) && !self.gone.contains(item));
        folder.members.iter().rev().copied().chain(base).skip(skip).take(limit).filter_map(|i| self.item(i)).collect()
    }

    /// All held items of all folders; computed ones are not among them.
    pub fn held_items(&self) -> impl Iterator<Item = Found> + '_ {
        self.entries.keys().filter_map(|item| self.item(*item))
    }

    /// Every number in the folder, ascending.
    pub fn item_numbers(&self, folder: u32) -> Vec<u64> {
        let Some(folder) = self.folder(folder) else {
            return Vec::new();
        };
        let untouched = |item: &u64| !self.entries.contains_key(item) && !self.gone.contains(item);
        let mut all: Vec<u64> = folder.base.clone().filter(untouched).collect();
        all.extend(folder.members.iter());
        all.sort_unstable();
        all
    }

    /// What happened in the folder after `from` up to and including `upto`, one entry per id, in
    /// the order of the last change. The same arguments always give the same list of ids.
    pub fn changes(&self, folder: u32, from: u64, upto: u64, fold: Fold) -> Vec<Delta> {
        let Some(box_folder) = self.folder(folder) else {
            return Vec::new();
        };
        let start = box_folder.log.partition_point(|change| change.seq <= from);
        let mut last: HashMap<(u64, u32), (u64, Changed)> = HashMap::new();
        let mut newest: HashMap<(u64, u32), u32> = HashMap::new();
        for change in box_folder.log[start..].iter().take_while(|c| c.seq <= upto) {
            let lasting = match fold {
                Fold::ByItem => 0,
                Fold::ByIncarnation => change.incarnation,
            };
            let changed = match change.kind {
                ChangeKind::Updated(changed) => changed,
                ChangeKind::Created | ChangeKind::Removed => Changed::ALL,
            };
            let slot = last.entry((change.item, lasting)).or_insert((0, Changed(0)));
            *slot = (change.seq, slot.1.with(changed));
            newest.insert((change.item, lasting), change.incarnation);
        }
        let mut order: Vec<_> = last.into_iter().collect();
        order.sort_unstable_by_key(|(_, (seq, _))| *seq);
        order
            .into_iter()
            .map(|((item, lasting), (_, changed))| {
                let incarnation = newest.get(&(item, lasting)).copied().unwrap_or(lasting);
                let here = self.item(item).filter(|found| {
                    found.folder == folder && (fold == Fold::ByItem || found.incarnation == incarnation)
                });
                match here {
                    Some(found) => Delta::Present { found, changed },
                    None => Delta::Removed { item, incarnation },
                }
            })
            .collect()
    }

    /// Folders changed after `from` up to `upto`, last change of each, in order.
    pub fn folder_changes(&self, from: u64, upto: u64) -> Vec<FolderChange> {
        let start = self.folder_log.partition_point(|change| change.seq <= from);
        let mut last: HashMap<u32, FolderChange> = HashMap::new();
        for change in self.folder_log[start..].iter().take_while(|c| c.seq <= upto) {
            last.insert(change.folder, *change);
        }
        let mut order: Vec<_> = last.into_values().collect();
        order.sort_unstable_by_key(|change| change.seq);
        order
    }

    /// "Mailbox lost": everything but the well-known folders is gone.
    pub fn wipe(&mut self) {
        let own: Vec<u32> = self
            .folders()
            .filter(|f| {
                f.well_known.is_none()
                    && (f.parent == TOP || self.folder(f.parent).is_some_and(|p| p.well_known.is_some()))
            })
            .filter(|f| f.id != ROOT)
            .map(|f| f.id)
            .collect();
        for id in own {
            self.drop_folder(id);
        }
        let items: Vec<u64> = self.entries.keys().copied().collect();
        for item in items {
            self.remove(item);
        }
        if self.lazy.take().is_some() {
            // A million removals in the logs would cost more than the mailbox; its sync states
            // are lost instead, as they are when Exchange rebuilds one.
            self.epoch += 1;
            self.gone.clear();
            for folder in self.folders.values_mut() {
                folder.base = 0..0;
                folder.total = 0;
                folder.unread = 0;
            }
        }
    }
}
