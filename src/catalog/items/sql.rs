//! Table `item_versions`.

mod drawing;
mod finding;
mod listing;
mod loading;
mod scanning;

use chrono::NaiveDateTime;
use diesel::prelude::*;

pub(super) use drawing::draw;
pub(super) use finding::beginning_with;
pub(super) use listing::{browse, held_by, named, open_in};
pub(in crate::catalog) use loading::insert_rows;
pub(super) use scanning::{scan, scan_bytes, spans};

use super::{ContentRef, NewVersion, VersionRow};
use crate::catalog::fit;
use crate::catalog::retention::Gap;
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult, among};
use crate::ids::{BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, VersionNumber, WalkNumber};

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = item_versions)]
struct VersionRecord {
    chain_id: u32,
    version_number: u32,
    item_key: Vec<u8>,
    from_point: u32,
    to_point: u32,
    container_id: u32,
    parent_key: Vec<u8>,
    full_walk: u32,
    kind: u8,
    flags: u16,
    change_tag: u64,
    name: String,
    party: String,
    item_time: NaiveDateTime,
    bytes: u64,
    properties_pack: u32,
    properties_blob: Vec<u8>,
    /// `None`: the content, if there is one, is in the pack of the properties.
    content_pack: Option<u32>,
    content_blob: Option<Vec<u8>>,
    refs: Option<Vec<u8>>,
}

impl VersionRecord {
    fn new(
        chain: ChainId,
        number: VersionNumber,
        (from, to): (PointNumber, PointNumber),
        version: &NewVersion,
    ) -> Self {
        let refs: Vec<u8> = version.refs.iter().flat_map(|id| id.as_bytes().iter().copied()).collect();
        let properties_pack = version.properties.pack.get();
        Self {
            chain_id: chain.get(),
            version_number: number.get(),
            item_key: version.key.as_bytes().to_vec(),
            from_point: from.get(),
            to_point: to.get(),
            container_id: version.container.get(),
            parent_key: parent_key(version.parent),
            full_walk: version.full_walk.get(),
            kind: version.kind,
            flags: version.flags,
            change_tag: version.change_tag,
            name: fit(&version.name, 255),
            party: fit(&version.party, 190),
            item_time: version.time.naive_utc(),
            bytes: version.bytes,
            properties_pack,
            properties_blob: version.properties.blob.as_bytes().to_vec(),
            content_pack: version.content.map(|content| content.pack.get()).filter(|pack| *pack != properties_pack),
            content_blob: version.content.map(|content| content.blob.as_bytes().to_vec()),
            refs: (!refs.is_empty()).then_some(refs),
        }
    }

    fn into_row(self) -> QueryResult<VersionRow> {
        let pack = PackId::new(self.content_pack.unwrap_or(self.properties_pack));
        let blob = self.content_blob.as_deref().map(blob_id).transpose()?;
        let content = blob.map(|blob| ContentRef { pack, blob });
        let refs = self.refs.unwrap_or_default().chunks(16).map(blob_id).collect::<QueryResult<Vec<_>>>()?;
        let version = NewVersion {
            key: item_key(&self.item_key)?,
            container: ContainerId::new(self.container_id),
            parent: parent(&self.parent_key)?,
            full_walk: WalkNumber::new(self.full_walk),
            kind: self.kind,
            flags: self.flags,
            change_tag: self.change_tag,
            name: self.name,
            party: self.party,
            time: self.item_time.and_utc(),
            bytes: self.bytes,
            properties: ContentRef { pack: PackId::new(self.properties_pack), blob: blob_id(&self.properties_blob)? },
            content,
            refs,
        };
        let number = VersionNumber::new(self.version_number);
        Ok(VersionRow { number, from: PointNumber::new(self.from_point), to: PointNumber::new(self.to_point), version })
    }
}

fn blob_id(bytes: &[u8]) -> QueryResult<BlobId> {
    BlobId::from_slice(bytes).ok_or_else(|| malformed("a blob id is not 16 bytes long"))
}

fn item_key(bytes: &[u8]) -> QueryResult<ItemKey> {
    ItemKey::from_slice(bytes).ok_or_else(|| malformed("an item key is not 16 bytes long"))
}

/// Empty bytes stand for no parent: unlike NULL they have a place in the order of an index.
fn parent_key(parent: Option<ItemKey>) -> Vec<u8> {
    parent.map_or_else(Vec::new, |key| key.as_bytes().to_vec())
}

fn parent(bytes: &[u8]) -> QueryResult<Option<ItemKey>> {
    if bytes.is_empty() { Ok(None) } else { item_key(bytes).map(Some) }
}

fn malformed(what: &'static str) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(what.into())
}

fn raw(keys: &[ItemKey]) -> Vec<&[u8]> {
    keys.iter().map(|key| key.as_bytes().as_slice()).collect()
}

/// Versions of these items that end at `to_min` or later.
pub(super) fn versions_of(
    conn: &mut Conn,
    chain: ChainId,
    to_min: PointNumber,
    keys: &[ItemKey],
) -> QueryResult<Vec<VersionRow>> {
    let records: Vec<VersionRecord> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::to_point.ge(to_min.get()))
        .select(VersionRecord::as_select())
        .load(conn)?;
    records.into_iter().map(VersionRecord::into_row).collect()
}

pub(super) fn known(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<Vec<ItemKey>> {
    let known: Vec<Vec<u8>> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .select(item_versions::item_key)
        .distinct()
        .load(conn)?;
    known.iter().map(|key| item_key(key)).collect()
}

/// The number of the version that was written last.
pub(super) fn last_number(conn: &mut Conn, chain: ChainId) -> QueryResult<VersionNumber> {
    let last: Option<u32> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .select(diesel::dsl::max(item_versions::version_number))
        .first(conn)?;
    Ok(last.map_or(VersionNumber::NONE, VersionNumber::new))
}

/// Writes versions under this number and those behind it.
pub(super) fn insert(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    first: VersionNumber,
    versions: &[NewVersion],
) -> QueryResult<()> {
    let span = (point, PointNumber::OPEN);
    let numbers = (first.get()..).map(VersionNumber::new);
    let records: Vec<VersionRecord> =
        numbers.zip(versions).map(|(number, version)| VersionRecord::new(chain, number, span, version)).collect();
    diesel::insert_into(item_versions::table).values(records).execute(conn).map(drop)
}

/// SQL by hand, because diesel knows no DELETE with a LIMIT.
pub(in crate::catalog) fn delete_of(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<usize> {
    let text = format!("DELETE FROM item_versions WHERE chain_id = {} LIMIT {limit}", chain.get());
    diesel::sql_query(text).execute(conn)
}

/// Deletes what the open point itself had written of these items, in one container only if it is given.
pub(super) fn delete_written_in(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    keys: &[ItemKey],
    container: Option<ContainerId>,
) -> QueryResult<usize> {
    let written = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::from_point.eq(point.get()));
    match container {
        Some(container) => {
            diesel::delete(written.filter(item_versions::container_id.eq(container.get()))).execute(conn)
        }
        None => diesel::delete(written).execute(conn),
    }
}

/// Sets `to_point` of the open versions of these items, of one container only if it is given.
pub(super) fn close(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    keys: &[ItemKey],
    container: Option<ContainerId>,
) -> QueryResult<usize> {
    let open = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::to_point.eq(PointNumber::OPEN.get()));
    let set = item_versions::to_point.eq(point.get());
    match container {
        Some(container) => {
            diesel::update(open.filter(item_versions::container_id.eq(container.get()))).set(set).execute(conn)
        }
        None => diesel::update(open).set(set).execute(conn),
    }
}

pub(super) fn set_full_walk(conn: &mut Conn, chain: ChainId, walk: WalkNumber, keys: &[ItemKey]) -> QueryResult<()> {
    diesel::update(item_versions::table)
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::to_point.eq(PointNumber::OPEN.get()))
        .set(item_versions::full_walk.eq(walk.get()))
        .execute(conn)
        .map(drop)
}

/// Containers and lengths of the open versions of these items, of one container only if it is given.
pub(super) fn open_of(
    conn: &mut Conn,
    chain: ChainId,
    keys: &[ItemKey],
    container: Option<ContainerId>,
) -> QueryResult<Vec<(ContainerId, u64)>> {
    let mut query = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::to_point.eq(PointNumber::OPEN.get()))
        .into_boxed();
    if let Some(container) = container {
        query = query.filter(item_versions::container_id.eq(container.get()));
    }
    let open: Vec<(u32, u64)> = query.select((item_versions::container_id, item_versions::bytes)).load(conn)?;
    Ok(open.into_iter().map(|(container, bytes)| (ContainerId::new(container), bytes)).collect())
}

pub(super) fn version_at(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    key: ItemKey,
) -> QueryResult<Option<VersionRow>> {
    let record: Option<VersionRecord> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(item_versions::item_key.eq(key.as_bytes().as_slice()))
        .filter(item_versions::from_point.le(point.get()))
        .filter(item_versions::to_point.gt(point.get()))
        .select(VersionRecord::as_select())
        .first(conn)
        .optional()?;
    record.map(VersionRecord::into_row).transpose()
}

pub(super) fn delete_swallowed(conn: &mut Conn, chain: ChainId, gap: &Gap, keys: &[ItemKey]) -> QueryResult<usize> {
    diesel::delete(item_versions::table)
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(among(item_versions::item_key, raw(keys)))
        .filter(item_versions::from_point.gt(gap.after.get()))
        .filter(item_versions::to_point.le(gap.until.get()))
        .execute(conn)
}

pub(super) fn containers_among(
    conn: &mut Conn,
    chain: ChainId,
    containers: &[ContainerId],
) -> QueryResult<Vec<ContainerId>> {
    let found: Vec<u32> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(item_versions::container_id.eq_any(containers.iter().map(|id| id.get())))
        .select(item_versions::container_id)
        .distinct()
        .load(conn)?;
    Ok(found.into_iter().map(ContainerId::new).collect())
}
