//! Versions of items whose bytes are not all there any more.
//!
//! Owns: the table `damaged_versions`. A mark makes a backup take the item for unknown, so that it is captured anew;
//! what a restore cannot bring back it finds out by reading. Marks of versions that were written anew or expired mean
//! nothing and are swept by the next verification.

mod sql;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::items::VersionRow;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, PackId, PointNumber, StorageId};

/// One version that lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub chain: ChainId,
    pub key: ItemKey,
    pub from: PointNumber,
    /// Tells the version from one that was written later in its place.
    pub properties_pack: PackId,
    /// The damaged pack.
    pub pack: PackId,
}

/// A mark with the time when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkRow {
    pub mark: Mark,
    pub found_at: DateTime<Utc>,
}

impl Mark {
    /// The mark of a version that lost something with `pack`.
    pub fn of(chain: ChainId, row: &VersionRow, pack: PackId) -> Self {
        let version = &row.version;
        Self { chain, key: version.key, from: row.from, properties_pack: version.properties.pack, pack }
    }

    /// Whether it is about this version.
    pub fn means(&self, row: &VersionRow) -> bool {
        let version = &row.version;
        self.key == version.key && self.from == row.from && self.properties_pack == version.properties.pack
    }
}

/// Marks versions; one that is marked already keeps the time of its mark.
pub fn put(conn: &mut Conn, storage: StorageId, marks: &[Mark]) -> QueryResult<()> {
    marks.chunks(super::BATCH_ROWS).try_for_each(|batch| sql::put(conn, storage, batch))
}

/// Takes versions that lost something out of what is known: whoever builds on them would spread the loss.
pub fn withhold(conn: &mut Conn, chain: ChainId, known: &mut HashMap<ItemKey, VersionRow>) -> QueryResult<()> {
    if known.is_empty() || !sql::any_in(conn, chain)? {
        return Ok(());
    }
    let keys: Vec<ItemKey> = known.keys().copied().collect();
    let mut marked: HashSet<ItemKey> = HashSet::new();
    for batch in keys.chunks(super::BATCH_ROWS) {
        let marks = sql::of(conn, chain, batch)?;
        let meant = |mark: &Mark| known.get(&mark.key).is_some_and(|row| mark.means(row));
        marked.extend(marks.iter().filter(|mark| meant(mark)).map(|mark| mark.key));
    }
    known.retain(|key, _| !marked.contains(key));
    Ok(())
}

/// Where a page of marks continues: behind this version.
pub type After = (ChainId, ItemKey, PointNumber);

/// Marks of a storage in the order of chain, item and point, behind `after`.
pub fn list(conn: &mut Conn, storage: StorageId, after: Option<After>, limit: u32) -> QueryResult<Vec<MarkRow>> {
    sql::list(conn, storage, after, limit)
}

/// Removes the marks of these versions.
pub fn remove(conn: &mut Conn, marks: &[Mark]) -> QueryResult<()> {
    marks.iter().try_for_each(|mark| sql::delete(conn, mark))
}

/// How many versions of a storage are marked.
pub fn count(conn: &mut Conn, storage: StorageId) -> QueryResult<u64> {
    sql::count(conn, storage)
}
