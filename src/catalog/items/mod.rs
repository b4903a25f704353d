//! Item versions.

pub(super) mod sql;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::retention::Gap;
use super::tallies::{self, Holding};
use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, VersionNumber, WalkNumber};

/// Where a blob is: the pack that a reader looks into first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentRef {
    pub pack: PackId,
    pub blob: BlobId,
}

/// A version to be written in the open point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    pub key: ItemKey,
    pub container: ContainerId,
    /// The item that holds it, such as the folder of a file; `None`: it stands directly in its container.
    pub parent: Option<ItemKey>,
    /// The full walk of the container that was the last when it was written.
    pub full_walk: WalkNumber,
    pub kind: u8,
    pub flags: u16,
    pub change_tag: u64,
    pub name: String,
    pub party: String,
    pub time: DateTime<Utc>,
    pub bytes: u64,
    pub properties: ContentRef,
    pub content: Option<ContentRef>,
    pub refs: Vec<BlobId>,
}

/// A version as the catalog holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    pub number: VersionNumber,
    pub from: PointNumber,
    /// [`PointNumber::OPEN`] while nothing has replaced it.
    pub to: PointNumber,
    pub version: NewVersion,
}

/// For how long a version is valid: over `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub number: VersionNumber,
    pub key: ItemKey,
    pub from: PointNumber,
    pub to: PointNumber,
}

/// Which items of a chain can be drawn at random.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// Where among the keys the draw begins; behind the last key it goes on with the first.
    pub from: ItemKey,
    pub bytes_max: u64,
    pub not_kinds: &'a [u8],
    pub passed_by: &'a [ContainerId],
}

/// How many rows a write closed, replaced or added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub added: u64,
    pub changed: u64,
}

/// The newest version of each of these items on which the open point can build: one that is current, or that this point
/// itself closed, because a moved item may be reported as removed first.
///
/// An older one counts as unknown. Retention may be deleting it, and collection what it refers to.
pub fn newest(
    conn: &mut Conn,
    chain: ChainId,
    open: PointNumber,
    keys: &[ItemKey],
) -> QueryResult<HashMap<ItemKey, VersionRow>> {
    let mut found: HashMap<ItemKey, VersionRow> = HashMap::new();
    for batch in keys.chunks(super::BATCH_ROWS) {
        for row in sql::versions_of(conn, chain, open, batch)? {
            match found.get(&row.version.key) {
                Some(newer) if newer.from > row.from => {}
                _ => drop(found.insert(row.version.key, row)),
            }
        }
    }
    Ok(found)
}

/// Which of these items the chain knows, in whatever version.
pub fn known(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<HashSet<ItemKey>> {
    let mut found = HashSet::new();
    for batch in keys.chunks(super::BATCH_ROWS) {
        found.extend(sql::known(conn, chain, batch)?);
    }
    Ok(found)
}

/// Writes versions in the open point: closes the version before each, replaces one that this point had written.
///
/// A key may stand only once in `versions`.
pub fn put(conn: &mut Conn, chain: ChainId, point: PointNumber, versions: &[NewVersion]) -> QueryResult<Written> {
    let mut written = Written::default();
    let mut next = VersionNumber::new(sql::last_number(conn, chain)?.get().saturating_add(1));
    for batch in versions.chunks(super::BATCH_ROWS) {
        let keys: Vec<ItemKey> = batch.iter().map(|version| version.key).collect();
        let mut changes = tallies::Changes::default();
        batch.iter().for_each(|version| changes.came(version.container, version.bytes));
        leave(conn, &mut changes, chain, &keys, None)?;
        let replaced = sql::delete_written_in(conn, chain, point, &keys, None)? as u64;
        let closed = sql::close(conn, chain, point, &keys, None)? as u64;
        sql::insert(conn, chain, point, next, batch)?;
        next = VersionNumber::new(next.get().saturating_add(batch.len() as u32));
        changes.write(conn, point)?;
        written.changed += closed;
        written.added += (batch.len() as u64).saturating_sub(closed + replaced);
    }
    Ok(written)
}

/// Ends items that are gone: from `container`, so that one that lives in another meanwhile is left alone, or from
/// wherever they are.
pub fn remove(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    container: Option<ContainerId>,
    keys: &[ItemKey],
) -> QueryResult<u64> {
    let mut removed = 0;
    for batch in keys.chunks(super::BATCH_ROWS) {
        let mut changes = tallies::Changes::default();
        leave(conn, &mut changes, chain, batch, container)?;
        removed += sql::delete_written_in(conn, chain, point, batch, container)? as u64;
        removed += sql::close(conn, chain, point, batch, container)? as u64;
        changes.write(conn, point)?;
    }
    Ok(removed)
}

/// Tells the containers what they are about to lose: the open versions of these items, of one container only if it is
/// given.
fn leave(
    conn: &mut Conn,
    changes: &mut tallies::Changes,
    chain: ChainId,
    keys: &[ItemKey],
    container: Option<ContainerId>,
) -> QueryResult<()> {
    for (holder, bytes) in sql::open_of(conn, chain, keys, container)? {
        changes.left(holder, bytes);
    }
    Ok(())
}

/// Notes that a full walk met these items unchanged.
pub fn met(conn: &mut Conn, chain: ChainId, walk: WalkNumber, keys: &[ItemKey]) -> QueryResult<()> {
    for batch in keys.chunks(super::BATCH_ROWS) {
        sql::set_full_walk(conn, chain, walk, batch)?;
    }
    Ok(())
}

/// Where a page of a listing continues: behind this parent, time and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    pub parent: Option<ItemKey>,
    pub time: DateTime<Utc>,
    pub number: VersionNumber,
}

/// An item that a container holds, and where it stands in the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub key: ItemKey,
    pub at: After,
}

/// Items of a container that its full walk did not meet: they are gone. At most `limit`, newest first,
/// behind `after`: whoever ends them page by page reads no row twice.
pub fn unmet(
    conn: &mut Conn,
    chain: ChainId,
    walk: WalkNumber,
    container: ContainerId,
    after: Option<After>,
    limit: u32,
) -> QueryResult<Vec<Held>> {
    sql::open_in(conn, chain, container, Some(walk), after, limit)
}

/// Items that a container holds in the newest state, in pages as those of [`unmet`].
pub fn held(
    conn: &mut Conn,
    chain: ChainId,
    container: ContainerId,
    after: Option<After>,
    limit: u32,
) -> QueryResult<Vec<Held>> {
    sql::open_in(conn, chain, container, None, after, limit)
}

impl After {
    pub fn of(row: &VersionRow) -> Self {
        Self { parent: row.version.parent, time: row.version.time, number: row.number }
    }
}

/// Which items of a container a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// All, parent by parent.
    Anywhere,
    /// Those of this parent; `None`: those that stand directly in the container.
    Parent(Option<ItemKey>),
}

/// Items of a container as of a point, newest first.
pub fn browse(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    (container, within): (ContainerId, Within),
    after: Option<After>,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    sql::browse(conn, chain, point, (container, within), after, limit)
}

/// The items of this name among those that a parent holds, as of a point, newest first; letter case does not matter.
pub fn named(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    (container, parent): (ContainerId, Option<ItemKey>),
    name: &str,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    sql::named(conn, chain, point, (container, parent), &super::fit(name, 255), limit)
}

/// How much each of these parents holds in a container as of a point; one that holds nothing is left out.
pub fn held_by(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    container: ContainerId,
    parents: &[ItemKey],
) -> QueryResult<HashMap<ItemKey, Holding>> {
    let mut found = HashMap::new();
    for batch in parents.chunks(super::BATCH_ROWS) {
        found.extend(sql::held_by(conn, chain, point, container, batch)?);
    }
    Ok(found)
}

/// One item as of a point.
pub fn get(conn: &mut Conn, chain: ChainId, point: PointNumber, key: ItemKey) -> QueryResult<Option<VersionRow>> {
    sql::version_at(conn, chain, point, key)
}

/// These items as of a point; one that was not there then is left out.
pub fn at(conn: &mut Conn, chain: ChainId, point: PointNumber, keys: &[ItemKey]) -> QueryResult<Vec<VersionRow>> {
    let mut found = Vec::with_capacity(keys.len());
    for batch in keys.chunks(super::BATCH_ROWS) {
        // What ends behind the point may also begin behind it.
        let versions = sql::versions_of(conn, chain, PointNumber::new(point.get().saturating_add(1)), batch)?;
        found.extend(versions.into_iter().filter(|row| row.from <= point));
    }
    Ok(found)
}

/// Items of a point as chance has it. The same beginning draws the same items.
pub fn draw(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    drawing: &Drawing<'_>,
    limit: u32,
) -> QueryResult<Vec<ItemKey>> {
    sql::draw(conn, chain, point, drawing, limit)
}

/// Versions of a chain in the order in which they were written, behind `after`.
pub fn scan(conn: &mut Conn, chain: ChainId, after: VersionNumber, limit: u32) -> QueryResult<Vec<VersionRow>> {
    sql::scan(conn, chain, after, limit)
}

/// Versions of a chain in the order in which they were written, behind `after`: at least one if there is one, and no more
/// than have `bytes_max` of references.
pub fn scan_within(
    conn: &mut Conn,
    chain: ChainId,
    after: VersionNumber,
    rows_max: u32,
    bytes_max: u64,
) -> QueryResult<Vec<VersionRow>> {
    let mut room = bytes_max;
    let mut n_rows: u32 = 0;
    for bytes in sql::scan_bytes(conn, chain, after, rows_max)? {
        match room.checked_sub(bytes) {
            Some(left) => room = left,
            None if n_rows == 0 => room = 0,
            None => break,
        }
        n_rows += 1;
    }
    if n_rows == 0 { Ok(Vec::new()) } else { sql::scan(conn, chain, after, n_rows) }
}

/// The number of the version of a chain that was written last; [`VersionNumber::NONE`]: it has none.
pub fn last_number(conn: &mut Conn, chain: ChainId) -> QueryResult<VersionNumber> {
    sql::last_number(conn, chain)
}

/// All versions of the items of these chains whose keys begin so, in no order.
pub fn beginning_with(conn: &mut Conn, keys: &[(ChainId, &[u8])]) -> QueryResult<Vec<(ChainId, VersionRow)>> {
    sql::beginning_with(conn, keys)
}

/// All versions of these items, in no order.
pub fn versions(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<Vec<VersionRow>> {
    let mut found = Vec::with_capacity(keys.len());
    for batch in keys.chunks(super::BATCH_ROWS) {
        found.extend(sql::versions_of(conn, chain, PointNumber::new(0), batch)?);
    }
    Ok(found)
}

/// The versions of a chain in the order in which they were written, behind `after`.
pub fn spans(conn: &mut Conn, chain: ChainId, after: VersionNumber, limit: u32) -> QueryResult<Vec<Span>> {
    sql::spans(conn, chain, after, limit)
}

/// Deletes the versions of these items that were valid in this gap only.
pub fn delete_swallowed(conn: &mut Conn, chain: ChainId, gap: &Gap, keys: &[ItemKey]) -> QueryResult<u64> {
    let mut deleted = 0;
    for batch in keys.chunks(super::BATCH_ROWS) {
        deleted += sql::delete_swallowed(conn, chain, gap, batch)? as u64;
    }
    Ok(deleted)
}

/// Which of these containers hold a version of an item, in whatever point.
pub fn containers_among(
    conn: &mut Conn,
    chain: ChainId,
    containers: &[ContainerId],
) -> QueryResult<HashSet<ContainerId>> {
    Ok(sql::containers_among(conn, chain, containers)?.into_iter().collect())
}
