//! Walking a drive: enumeration by item number, and what its log says happened since.

use super::{Drive, item::Item};
use std::collections::HashMap;

#[derive(Clone, Debug)]
pub struct Change {
    pub seq: u64,
    pub at: i64,
    pub item: u64,
    pub kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Touched,
    /// Who may see it changed.
    Shared,
    Removed,
}

/// An item of which a delta page tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub item: u64,
    pub sharing: bool,
}

impl Drive {
    /// Up to `limit` items with a number above `cursor`, ascending.
    pub fn items_after(&self, cursor: u64, limit: usize) -> Vec<&Item> {
        self.items.range(cursor + 1..).map(|(_, item)| item).take(limit).collect()
    }

    /// What changed after `from` up to and including `upto`, each item once, in the order of the
    /// last change. The same arguments always give the same items.
    pub fn changes(&self, from: u64, upto: u64) -> Vec<Changed> {
        let start = self.log.partition_point(|change| change.seq <= from);
        let mut last: HashMap<u64, (u64, bool)> = HashMap::new();
        for change in self.log[start..].iter().take_while(|change| change.seq <= upto) {
            let slot = last.entry(change.item).or_default();
            *slot = (change.seq, slot.1 || change.kind == ChangeKind::Shared);
        }
        let mut order: Vec<(u64, Changed)> =
            last.into_iter().map(|(item, (seq, sharing))| (seq, Changed { item, sharing })).collect();
        order.sort_unstable_by_key(|(seq, _)| *seq);
        order.into_iter().map(|(_, changed)| changed).collect()
    }

    /// The position in the log at a moment; business drives take one for a token.
    pub fn seq_at(&self, moment: i64) -> u64 {
        let after = self.log.partition_point(|change| change.at <= moment);
        after.checked_sub(1).map_or(0, |last| self.log[last].seq)
    }
}
