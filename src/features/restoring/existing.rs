//! What a target container holds already, in a few dozen bytes for each item: a mail folder may hold a million. Pure.
//!
//! An item is found again by the marker of an earlier restore, by its own immutable id, or else by the feature's
//! natural key, in this order. By which of these an item can be found at all depends on whether the backup knows it, so
//! that nearly every one takes a single row. Ids are kept only for whoever may change what is there.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::deciding::conflict;
use super::ids::Ids;
use super::{Action, Identity, Noted, Noting, OnConflict, Present, RestoreError, Verdict};
use crate::ids::ItemKey;

/// What one container's items may take in memory: a million of them with ids as long as Exchange's.
pub(super) const BYTES_MAX: usize = 192 << 20;
/// For each row: its place in the index, and how many items it stands for.
const INDEX_BYTES: usize = 2 * size_of::<u32>();
const _: () = assert!(size_of::<Row>() <= 48, "this many bytes are in memory a million times");
const TOO_MANY: &str = "the target holds more items in this place than kodo can compare with: restore to a new folder";

/// What a target container holds already.
#[derive(Debug)]
pub struct Existing {
    rows: Vec<Row>,
    /// `None`: they are not kept, and so nothing that is there can be changed.
    ids: Option<Ids>,
    /// Made when the first question comes, and anew after the rows changed.
    index: OnceLock<Index>,
    /// No two items of the container can have the same natural key.
    keys_are_unique: bool,
    n_items: usize,
}

/// What is known of where an item on the target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The backup knows it, in whatever version.
    Original,
    /// The backup does not know it: no item of the backup has its id.
    Foreign,
    /// Nobody asked the backup.
    Unknown,
}

/// One key by which an item can be found, and what is compared then.
#[derive(Debug)]
struct Row {
    key: ItemKey,
    /// 0 is taken for none.
    change_tag: u64,
    state: u64,
    /// In nanoseconds since 1970.
    modified: i64,
    /// Where its Graph id lies, or else its number.
    id: u32,
    by: By,
}

/// No point in time that Microsoft tells.
const NO_TIME: i64 = i64::MIN;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// The key that it would have in a backup of the target.
    Own,
    /// It was restored from the item with this key.
    Marker,
    /// It has this natural key, and may stand for any item that has it.
    NaturalKey,
}

impl Existing {
    /// For a container in which whatever has an item's natural key is in its way, or for another one.
    pub fn of(keys_are_unique: bool) -> Self {
        let (rows, index) = (Vec::new(), OnceLock::new());
        Self { rows, ids: Some(Ids::default()), index, keys_are_unique, n_items: 0 }
    }

    /// The same for whoever brings items back in this way.
    pub fn for_restore(keys_are_unique: bool, on_conflict: OnConflict) -> Self {
        let ids = on_conflict.may_change().then(Ids::default);
        Self { ids, ..Self::of(keys_are_unique) }
    }

    /// Notes an item. [`RestoreError::Item`]: there are more than fit into memory, and what is not noted would be created
    /// twice.
    pub fn add(&mut self, noted: &Noted, origin: Origin) -> Result<(), RestoreError> {
        let Noted { present: Present { id, identity }, marker } = noted;
        let known = origin != Origin::Foreign;
        // An item of the backup itself stands for no other.
        let stands_for_others = marker.is_none() && (self.keys_are_unique || origin != Origin::Original);
        let keys = [
            (By::Own, known.then(|| ItemKey::of(id))),
            (By::Marker, *marker),
            (By::NaturalKey, identity.natural_key.filter(|_| stands_for_others)),
        ];
        let n_rows = keys.iter().filter(|(_, key)| key.is_some()).count();
        let ids_bytes = self.ids.as_ref().map_or(0, |ids| ids.bytes() + id.len());
        if (self.rows.len() + n_rows) * (size_of::<Row>() + INDEX_BYTES) + ids_bytes > BYTES_MAX {
            return Err(RestoreError::Item(TOO_MANY.to_owned()));
        }
        // Bounded by what fits into memory.
        let number = u32::try_from(self.n_items).unwrap_or(u32::MAX);
        let place = self.ids.as_mut().filter(|_| n_rows > 0).map_or(number, |ids| ids.put(id));
        let modified = identity.modified.and_then(|at| at.timestamp_nanos_opt()).unwrap_or(NO_TIME);
        let (change_tag, state) = (identity.change_tag.unwrap_or(0), identity.state.unwrap_or(0));
        let rows = keys.into_iter().filter_map(|(by, key)| Some((by, key?)));
        self.rows.extend(rows.map(|(by, key)| Row { key, change_tag, state, modified, id: place, by }));
        self.n_items += 1;
        self.index.take();
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.n_items
    }

    pub fn is_empty(&self) -> bool {
        self.n_items == 0
    }

    /// What is to be done with an item of the backup. A stranger that it is taken for stands for no other item.
    pub fn decide(&self, key: ItemKey, item: &Identity, on_conflict: OnConflict) -> Verdict {
        // Without ids nothing can be changed.
        let on_conflict = if self.ids.is_none() && on_conflict.may_change() { OnConflict::Skip } else { on_conflict };
        if let Some(copy) = self.last((By::Marker, key)) {
            // Its own copy is there: another one would be one more with every repetition.
            return if on_conflict.may_change() {
                self.conflict(copy, item, on_conflict)
            } else {
                Verdict::AlreadyThere
            };
        }
        let stranger = || item.natural_key.and_then(|natural_key| self.take_stranger(natural_key));
        match self.last((By::Own, key)).or_else(stranger) {
            Some(found) => self.conflict(found, item, on_conflict),
            None => Verdict::Do(Action::Create),
        }
    }

    fn conflict(&self, row: &Row, item: &Identity, on_conflict: OnConflict) -> Verdict {
        conflict(&self.present(row), item, on_conflict)
    }

    /// What an earlier restore made of an item: by its marker, or else by what no two items here have in common.
    pub fn copy_of(&self, key: ItemKey, item: &Identity) -> Option<Present> {
        let alike = || self.last((By::NaturalKey, item.natural_key.filter(|_| self.keys_are_unique)?));
        self.last((By::Marker, key)).or_else(alike).map(|copy| self.present(copy))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.rows))
    }

    /// The one of these that was noted last.
    fn last(&self, wanted: (By, ItemKey)) -> Option<&Row> {
        let order = &self.index().order;
        order[range_of(&self.rows, order, wanted)].last().map(|at| &self.rows[*at as usize])
    }

    /// An item with this natural key that stands for no other item yet; from now on it does.
    fn take_stranger(&self, natural_key: ItemKey) -> Option<&Row> {
        let Index { order, n_found_by_ids, taken } = self.index();
        let range = range_of(&self.rows, order, (By::NaturalKey, natural_key));
        let alike = &order[range.clone()];
        if alike.is_empty() {
            return None;
        }
        let n_taken = taken[range.start - n_found_by_ids].fetch_add(1, Ordering::Relaxed) as usize;
        alike.iter().rev().nth(n_taken).map(|at| &self.rows[*at as usize])
    }

    fn present(&self, row: &Row) -> Present {
        let identity = Identity {
            natural_key: (row.by == By::NaturalKey).then_some(row.key),
            change_tag: Some(row.change_tag).filter(|tag| *tag != 0),
            state: Some(row.state).filter(|state| *state != 0),
            modified: Some(row.modified).filter(|at| *at != NO_TIME).map(DateTime::<Utc>::from_timestamp_nanos),
        };
        Present { id: self.ids.as_ref().map(|ids| ids.get(row.id)).unwrap_or_default(), identity }
    }
}

impl Default for Existing {
    fn default() -> Self {
        Self::of(false)
    }
}

impl Noting for Existing {
    fn note(&mut self, page: Vec<Noted>) -> BoxFuture<'_, Result<(), RestoreError>> {
        Box::pin(async move { page.iter().try_for_each(|noted| self.add(noted, Origin::Unknown)) })
    }
}

/// The rows in the order of what they are looked up by: four bytes for each, where a map would take ten times as much.
#[derive(Debug)]
struct Index {
    order: Vec<u32>,
    /// Rows with natural keys are the last ones, and these are the others.
    n_found_by_ids: usize,
    /// Where strangers of one natural key begin: how many of them stand for an item by now.
    taken: Vec<AtomicU32>,
}

impl Index {
    fn of(rows: &[Row]) -> Self {
        // Bounded by what fits into memory.
        let mut order: Vec<u32> = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
        let wanted = |at: u32| (rows[at as usize].by, rows[at as usize].key);
        order.sort_unstable_by_key(|at| (wanted(*at), *at));
        let n_found_by_ids = order.partition_point(|at| wanted(*at).0 < By::NaturalKey);
        let taken = order[n_found_by_ids..].iter().map(|_| AtomicU32::new(0)).collect();
        Self { order, n_found_by_ids, taken }
    }
}

/// Where in an order those stand whose key is `wanted`.
fn range_of(rows: &[Row], order: &[u32], wanted: (By, ItemKey)) -> Range<usize> {
    let key = |at: &u32| (rows[*at as usize].by, rows[*at as usize].key);
    let start = order.partition_point(|at| key(at) < wanted);
    let n_alike = order[start..].partition_point(|at| key(at) == wanted);
    start..start + n_alike
}
