//! What a target container holds already, in a few dozen bytes for each item: a mail folder may hold a million. Pure.
//!
//! An item is found again by the marker of an earlier restore, by its own immutable id, or else by the feature's
//! natural key, in this order.

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use super::deciding::conflict;
use super::{Action, Identity, OnConflict, Present, Verdict};
use crate::ids::ItemKey;

/// What one container's items may take in memory: a million of them with ids as long as Exchange's.
const BYTES_MAX: usize = 192 << 20;
const _: () = assert!(size_of::<Row>() <= 72, "this many bytes are in memory a million times");

/// What a target container holds already.
#[derive(Debug, Default)]
pub struct Existing {
    rows: Vec<Row>,
    ids: Ids,
    /// Made when the first question comes, and anew after the rows changed.
    index: OnceLock<Index>,
    /// No two items of the container can have the same natural key.
    keys_are_unique: bool,
    is_full: bool,
}

/// One item. A tag of 0 is taken for none.
#[derive(Debug)]
struct Row {
    /// The key that it would have in a backup of the target.
    own: ItemKey,
    origin: Origin,
    /// Where its Graph id lies.
    id: u32,
    change_tag: Option<NonZeroU64>,
    state: Option<NonZeroU64>,
    modified: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Restored from the item with this key.
    Restored(ItemKey),
    /// Has this natural key, and may stand for any item that has it.
    Stranger(ItemKey),
    /// Stands for no item but itself.
    Itself,
}

impl Existing {
    /// For a container in which no two items can have the same natural key: whatever has it is in the way.
    pub fn with_unique_keys() -> Self {
        Self { keys_are_unique: true, ..Self::default() }
    }

    /// Notes an item, with the key of the item it was restored from if it carries a marker.
    pub fn add(&mut self, present: Present, marker: Option<ItemKey>) {
        let Present { id, identity } = present;
        let bytes = self.rows.len() * size_of::<Row>() + self.ids.rest.len() + id.len();
        if bytes > BYTES_MAX {
            self.is_full = true;
            return;
        }
        let origin = match (marker, identity.natural_key) {
            (Some(marker), _) => Origin::Restored(marker),
            (None, Some(natural_key)) => Origin::Stranger(natural_key),
            (None, None) => Origin::Itself,
        };
        self.index.take();
        self.rows.push(Row {
            own: ItemKey::of(&id),
            origin,
            id: self.ids.put(&id),
            change_tag: identity.change_tag.and_then(NonZeroU64::new),
            state: identity.state.and_then(NonZeroU64::new),
            modified: identity.modified,
        });
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// There were more items than fit into memory: what is not noted would be created twice.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The keys that those strangers would have in a backup of the target which are among these items, counted in the
    /// order in which they were noted.
    pub fn strangers(&self, items: Range<usize>) -> Vec<ItemKey> {
        if self.keys_are_unique {
            return Vec::new();
        }
        let rows = self.rows.get(items).unwrap_or_default();
        rows.iter().filter(|row| matches!(row.origin, Origin::Stranger(_))).map(|row| row.own).collect()
    }

    /// Of these items, those are no strangers that are known to be items of the backup themselves.
    pub fn recognise(&mut self, items: Range<usize>, originals: &HashSet<ItemKey>) {
        if self.keys_are_unique {
            return;
        }
        self.index.take();
        for row in self.rows.get_mut(items).unwrap_or_default() {
            if matches!(row.origin, Origin::Stranger(_)) && originals.contains(&row.own) {
                row.origin = Origin::Itself;
            }
        }
    }

    /// What is to be done with an item of the backup. A stranger that it is taken for stands for no other item.
    pub fn decide(&self, key: ItemKey, item: &Identity, on_conflict: OnConflict) -> Verdict {
        let index = self.index.get_or_init(|| Index::of(&self.rows));
        if let Some(copy) = index.restored_from(&self.rows, key) {
            return match on_conflict {
                // Its own copy is there: another one would be one more with every repetition.
                OnConflict::Skip | OnConflict::KeepBoth => Verdict::AlreadyThere,
                OnConflict::Replace | OnConflict::ReplaceIfOlder => conflict(&self.present(copy), item, on_conflict),
            };
        }
        if let Some(original) = index.with_key(&self.rows, key) {
            return conflict(&self.present(original), item, on_conflict);
        }
        match item.natural_key.and_then(|natural_key| index.take_stranger(&self.rows, natural_key)) {
            Some(stranger) => conflict(&self.present(stranger), item, on_conflict),
            None => Verdict::Do(Action::Create),
        }
    }

    /// What an earlier restore made of an item: by its marker, or else by what no two items here have in common.
    pub fn copy_of(&self, key: ItemKey, item: &Identity) -> Option<Present> {
        let index = self.index.get_or_init(|| Index::of(&self.rows));
        let alike = || {
            let natural_key = item.natural_key.filter(|_| self.keys_are_unique)?;
            last_of(&self.rows, &index.by_natural_key, Row::natural_key, natural_key)
        };
        index.restored_from(&self.rows, key).or_else(alike).map(|copy| self.present(copy))
    }

    fn present(&self, row: &Row) -> Present {
        let identity = Identity {
            natural_key: match row.origin {
                Origin::Stranger(natural_key) => Some(natural_key),
                Origin::Restored(_) | Origin::Itself => None,
            },
            change_tag: row.change_tag.map(NonZeroU64::get),
            state: row.state.map(NonZeroU64::get),
            modified: row.modified,
        };
        Present { id: self.ids.get(row.id), identity }
    }
}

/// The rows in the order of what they are looked up by: four bytes for each, where a map would take ten times as much.
#[derive(Debug)]
struct Index {
    by_own: Vec<u32>,
    by_marker: Vec<u32>,
    by_natural_key: Vec<u32>,
    /// Where strangers of one natural key begin: how many of them stand for an item by now.
    taken: Vec<AtomicU32>,
}

impl Index {
    fn of(rows: &[Row]) -> Self {
        let sorted = |key: fn(&Row) -> Option<ItemKey>| {
            // Bounded by what fits into memory.
            let numbers = 0..u32::try_from(rows.len()).unwrap_or(u32::MAX);
            let mut order: Vec<u32> = numbers.filter(|at| key(&rows[*at as usize]).is_some()).collect();
            order.sort_unstable_by_key(|at| (key(&rows[*at as usize]), *at));
            order
        };
        let by_natural_key = sorted(Row::natural_key);
        let taken = by_natural_key.iter().map(|_| AtomicU32::new(0)).collect();
        Self { by_own: sorted(|row| Some(row.own)), by_marker: sorted(Row::marker), by_natural_key, taken }
    }

    fn restored_from<'r>(&self, rows: &'r [Row], key: ItemKey) -> Option<&'r Row> {
        last_of(rows, &self.by_marker, Row::marker, key)
    }

    fn with_key<'r>(&self, rows: &'r [Row], key: ItemKey) -> Option<&'r Row> {
        last_of(rows, &self.by_own, |row| Some(row.own), key)
    }

    /// An item with this natural key that stands for no other item yet; from now on it does.
    fn take_stranger<'r>(&self, rows: &'r [Row], natural_key: ItemKey) -> Option<&'r Row> {
        let range = range_of(rows, &self.by_natural_key, Row::natural_key, natural_key);
        let alike = &self.by_natural_key[range.clone()];
        if alike.is_empty() {
            return None;
        }
        let n_taken = self.taken[range.start].fetch_add(1, Ordering::Relaxed) as usize;
        alike.iter().rev().nth(n_taken).map(|at| &rows[*at as usize])
    }
}

impl Row {
    fn marker(&self) -> Option<ItemKey> {
        match self.origin {
            Origin::Restored(marker) => Some(marker),
            Origin::Stranger(_) | Origin::Itself => None,
        }
    }

    fn natural_key(&self) -> Option<ItemKey> {
        match self.origin {
            Origin::Stranger(natural_key) => Some(natural_key),
            Origin::Restored(_) | Origin::Itself => None,
        }
    }
}

/// Where in an order those stand whose key is `wanted`.
fn range_of(rows: &[Row], order: &[u32], key: fn(&Row) -> Option<ItemKey>, wanted: ItemKey) -> Range<usize> {
    let start = order.partition_point(|at| key(&rows[*at as usize]) < Some(wanted));
    let n_alike = order[start..].partition_point(|at| key(&rows[*at as usize]) == Some(wanted));
    start..start + n_alike
}

fn last_of<'r>(rows: &'r [Row], order: &[u32], key: fn(&Row) -> Option<ItemKey>, wanted: ItemKey) -> Option<&'r Row> {
    order[range_of(rows, order, key, wanted)].last().map(|at| &rows[*at as usize])
}

/// Graph ids. Those of one container begin alike, so that of each is kept what differs from the first one.
#[derive(Debug, Default)]
struct Ids {
    first: String,
    /// For each: how many bytes it shares with the first, how many follow, and these.
    rest: Vec<u8>,
}

impl Ids {
    /// Returns where it lies.
    fn put(&mut self, id: &str) -> u32 {
        if self.first.is_empty() {
            id.clone_into(&mut self.first);
        }
        let alike = self.first.bytes().zip(id.bytes()).take_while(|(one, other)| one == other).count();
        let n_shared = u8::try_from(alike).unwrap_or(u8::MAX);
        let own = &id.as_bytes()[usize::from(n_shared)..];
        // Bounded by what fits into memory.
        let place = u32::try_from(self.rest.len()).unwrap_or(u32::MAX);
        self.rest.push(n_shared);
        self.rest.extend_from_slice(&u32::try_from(own.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.rest.extend_from_slice(own);
        place
    }

    fn get(&self, place: u32) -> String {
        let read = || {
            let (n_shared, rest) = self.rest.get(place as usize..)?.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let own = rest.get(..u32::from_le_bytes(*length) as usize)?;
            let shared = self.first.as_bytes().get(..usize::from(*n_shared))?;
            String::from_utf8([shared, own].concat()).ok()
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(natural: &str, state: u64, modified_s: i64) -> Identity {
        let modified = DateTime::from_timestamp(modified_s, 0);
        Identity { natural_key: Some(ItemKey::of(natural)), change_tag: None, state: Some(state), modified }
    }

    fn present(id: &str, identity: Identity) -> Present {
        Present { id: id.to_owned(), identity }
    }

    fn update(id: &str) -> Verdict {
        Verdict::Do(Action::Update { id: id.to_owned() })
    }

    #[test]
    fn what_is_missing_is_created_and_what_is_unchanged_left_alone() {
        let mut existing = Existing::default();
        existing.add(present("a", identity("mail", 7, 100)), None);
        for mode in OnConflict::ALL {
            let there = existing.decide(ItemKey::of("a"), &identity("mail", 7, 100), mode);
            let missing = existing.decide(ItemKey::of("b"), &identity("other", 7, 100), mode);

            assert_eq!(there, Verdict::AlreadyThere, "{mode:?}");
            assert_eq!(missing, Verdict::Do(Action::Create), "{mode:?}");
        }
    }

    #[test]
    fn what_was_changed_since_is_treated_as_the_administrator_chose() {
        let mut existing = Existing::default();
        existing.add(present("a", identity("mail", 8, 200)), None);
        let decide = |mode, modified_s| existing.decide(ItemKey::of("a"), &identity("mail", 7, modified_s), mode);

        assert!(matches!(decide(OnConflict::Skip, 100), Verdict::Kept { .. }));
        assert_eq!(decide(OnConflict::KeepBoth, 100), Verdict::Do(Action::CreateBeside));
        assert_eq!(decide(OnConflict::Replace, 100), update("a"));
        assert!(matches!(decide(OnConflict::ReplaceIfOlder, 100), Verdict::Kept { .. }));
        assert_eq!(decide(OnConflict::ReplaceIfOlder, 300), update("a"));
    }

    #[test]
    fn the_copy_of_an_earlier_restore_is_found_by_its_marker_and_never_made_twice() {
        let mut existing = Existing::default();
        existing.add(present("copy", identity("mail", 8, 200)), Some(ItemKey::of("a")));
        existing.add(present("a", identity("mail", 9, 200)), None);

        let decide = |mode| existing.decide(ItemKey::of("a"), &identity("mail", 7, 100), mode);

        assert_eq!(decide(OnConflict::Skip), Verdict::AlreadyThere);
        assert_eq!(decide(OnConflict::KeepBoth), Verdict::AlreadyThere);
        assert_eq!(decide(OnConflict::Replace), update("copy"));
    }

    #[test]
    fn what_has_the_name_is_in_the_way_though_the_backup_knows_it() {
        let mut existing = Existing::with_unique_keys();
        existing.add(present("new", identity("file", 8, 200)), None);
        existing.recognise(0..1, &HashSet::from([ItemKey::of("new")]));

        assert_eq!(existing.decide(ItemKey::of("old"), &identity("file", 7, 100), OnConflict::Replace), update("new"));
        assert_eq!(existing.strangers(0..1), [], "nobody need ask whether the backup knows it");
    }

    #[test]
    fn two_copies_of_one_mail_are_two_items() {
        let mut existing = Existing::default();
        existing.add(present("x", identity("mail", 7, 100)), None);
        existing.add(present("y", identity("mail", 7, 100)), None);
        assert_eq!(existing.strangers(0..2), ["x", "y"].map(ItemKey::of));
        existing.recognise(0..2, &HashSet::from([ItemKey::of("y")]));

        let decide = |id: &str| existing.decide(ItemKey::of(id), &identity("mail", 7, 100), OnConflict::Skip);

        assert_eq!(decide("y"), Verdict::AlreadyThere, "it is there itself");
        assert_eq!(decide("z"), Verdict::AlreadyThere, "x stands for it");
        assert_eq!(decide("w"), Verdict::Do(Action::Create), "x stands for another");
    }

    #[test]
    fn what_stands_for_one_item_takes_nothing_from_others() {
        let mut existing = Existing::default();
        existing.add(present("x", identity("mail", 7, 100)), None);
        let decide = |natural: &str| existing.decide(ItemKey::of("z"), &identity(natural, 7, 100), OnConflict::Skip);

        for n in 0..50 {
            assert_eq!(decide(&format!("other {n}")), Verdict::Do(Action::Create), "{n}");
        }

        assert_eq!(decide("mail"), Verdict::AlreadyThere);
    }

    #[test]
    fn ids_come_back_as_they_were_whatever_they_share() {
        let alike = "A".repeat(300);
        let longer = format!("{alike}AAMk");
        let ids = [longer.as_str(), &alike, "", "AAMkAGI2_1", "AAMkAGI2_1", "BBM", "AÄ", "A"];
        let mut existing = Existing::default();
        for (at, id) in ids.iter().enumerate() {
            existing.add(present(id, identity(&format!("mail {at}"), 8, 100)), None);
        }

        for (at, id) in ids.iter().enumerate() {
            let stored = identity(&format!("mail {at}"), 7, 100);
            assert_eq!(existing.decide(ItemKey::of(&format!("gone {at}")), &stored, OnConflict::Replace), update(id));
        }
        assert_eq!((existing.len(), existing.is_full()), (ids.len(), false));
    }

    #[test]
    fn what_does_not_fit_into_memory_is_told() {
        let mut existing = Existing::default();
        let id = |n: usize| format!("{n}{}", "x".repeat(1 << 20));
        for n in 0..BYTES_MAX >> 20 {
            existing.add(present(&id(n), identity("mail", 8, 100)), None);
        }

        assert!(existing.is_full() && existing.len() < BYTES_MAX >> 20, "{} were noted", existing.len());
    }
}
