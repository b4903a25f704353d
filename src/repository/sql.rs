//! The tables `packs` and `blobs`.

use diesel::dsl::{DuplicatedKeys, sql};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Binary, Datetime, Integer, TinyInt, Unsigned};

use super::commit::PublishedPack;
use crate::db::Conn;
use crate::db::schema::{blobs, packs};
use crate::ids::{BlobId, PackId, PackUid, StorageId};

/// Ids in one `IN (…)`.
pub const PAGE_ROWS: usize = 500;
/// Rows in one INSERT.
const INSERT_ROWS: usize = 1000;

const LIVE: u8 = 0;
const CONDEMNED: u8 = 1;
const DELETING: u8 = 2;

/// Whether a blob can be shared by new items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    Live,
    /// No item needed it when collection looked; a commit may still save it.
    Condemned,
    /// It is being removed and cannot be saved.
    Deleting,
}

impl BlobState {
    fn of(value: u8) -> QueryResult<Self> {
        match value {
            LIVE => Ok(Self::Live),
            CONDEMNED => Ok(Self::Condemned),
            DELETING => Ok(Self::Deleting),
            other => Err(unreadable(format!("blob state {other}"))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackState {
    Live,
    /// What was alive in it lies in another pack; the file goes away.
    Dead,
    /// A tombstone: the file was an orphan, and whoever wrote it must not commit it any more.
    Discarded,
    /// Damaged and set aside.
    Bad,
}

impl PackState {
    fn of(text: &str) -> QueryResult<Self> {
        match text {
            "live" => Ok(Self::Live),
            "dead" => Ok(Self::Dead),
            "discarded" => Ok(Self::Discarded),
            "bad" => Ok(Self::Bad),
            other => Err(unreadable(format!("pack state {other}"))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRow {
    pub id: PackId,
    pub uid: PackUid,
    pub state: PackState,
    pub moved_to: Option<PackId>,
}

/// What a storage holds, for a status view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreTotals {
    pub n_packs: u64,
    pub bytes: u64,
    pub n_blobs: u64,
    pub n_records: u64,
}

fn unreadable(what: String) -> DieselError {
    DieselError::DeserializationError(format!("{what} is not known to this version of kodo").into())
}

fn raw(ids: &[BlobId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

fn blob_id(bytes: &[u8]) -> QueryResult<BlobId> {
    BlobId::from_slice(bytes).ok_or_else(|| unreadable("a blob id of another length than 16".to_owned()))
}

/// Microseconds by the database's clock, which all writers share.
pub fn read_clock_us(conn: &mut Conn) -> QueryResult<u64> {
    diesel::select(sql::<Unsigned<BigInt>>("CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")).get_result(conn)
}

/// Which of at most [`PAGE_ROWS`] blobs are stored and not on their way out.
pub fn find_live_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<BlobId>> {
    let found: Vec<Vec<u8>> = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(ids))).and(blobs::state.eq(LIVE)))
        .select(blobs::id)
        .load(conn)?;
    found.iter().map(|id| blob_id(id)).collect()
}

/// Where at most [`PAGE_ROWS`] blobs lie, whatever their state.
pub fn find_blob_packs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<(BlobId, PackId)>> {
    let found: Vec<(Vec<u8>, u32)> = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(ids))))
        .select((blobs::id, blobs::pack_id))
        .load(conn)?;
    found.iter().map(|(id, pack)| Ok((blob_id(id)?, PackId::new(*pack)))).collect()
}

/// Locks at most [`PAGE_ROWS`] blobs against collection until the transaction ends, in ascending order.
///
/// A shared lock is enough: commits that share a blob need not wait for each other, and collection needs the row for
/// itself. diesel writes `FOR SHARE` here, which MariaDB does not know, hence SQL by hand.
pub fn lock_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<(BlobId, BlobState)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
        #[diesel(sql_type = Unsigned<TinyInt>)]
        state: u8,
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let marks = vec!["?"; ids.len()].join(",");
    let text =
        format!("SELECT id, state FROM blobs WHERE storage_id = ? AND id IN ({marks}) ORDER BY id LOCK IN SHARE MODE");
    let mut query = diesel::sql_query(text).into_boxed().bind::<Unsigned<Integer>, _>(storage.get());
    for id in ids {
        query = query.bind::<Binary, _>(id.as_bytes().to_vec());
    }
    let rows: Vec<Row> = query.load(conn)?;
    rows.iter().map(|row| Ok((blob_id(&row.id)?, BlobState::of(row.state)?))).collect()
}

/// Takes condemned blobs back.
pub fn resurrect_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<usize> {
    let condemned = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(ids))).and(blobs::state.eq(CONDEMNED)));
    diesel::update(condemned).set(blobs::state.eq(LIVE)).execute(conn)
}

/// The rows of those of the packs that have one.
pub fn find_packs(conn: &mut Conn, storage: StorageId, uids: &[PackUid]) -> QueryResult<Vec<PackRow>> {
    let mut rows = Vec::with_capacity(uids.len());
    for page in uids.chunks(PAGE_ROWS) {
        let wanted: Vec<&[u8]> = page.iter().map(|uid| uid.as_bytes().as_slice()).collect();
        let found: Vec<(u32, Vec<u8>, String, Option<u32>)> = packs::table
            .filter(packs::storage_id.eq(storage.get()).and(packs::uid.eq_any(wanted)))
            .select((packs::id, packs::uid, packs::state, packs::moved_to))
            .load(conn)?;
        for row in found {
            rows.push(pack_row(row)?);
        }
    }
    Ok(rows)
}

/// The row of one pack.
pub fn find_pack(conn: &mut Conn, storage: StorageId, id: PackId) -> QueryResult<Option<PackRow>> {
    let found: Option<(u32, Vec<u8>, String, Option<u32>)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::id.eq(id.get())))
        .select((packs::id, packs::uid, packs::state, packs::moved_to))
        .first(conn)
        .optional()?;
    found.map(pack_row).transpose()
}

fn pack_row((id, uid, state, moved_to): (u32, Vec<u8>, String, Option<u32>)) -> QueryResult<PackRow> {
    Ok(PackRow {
        id: PackId::new(id),
        uid: PackUid::from_slice(&uid).ok_or_else(|| unreadable("a pack uid of another length than 16".to_owned()))?,
        state: PackState::of(&state)?,
        moved_to: moved_to.map(PackId::new),
    })
}

/// Adds packs. `false`: one of them has a row already, and nothing of this statement happened.
pub(super) fn insert_packs(conn: &mut Conn, storage: StorageId, new: &[PublishedPack]) -> QueryResult<bool> {
    for page in new.chunks(INSERT_ROWS) {
        let rows: Vec<_> = page
            .iter()
            .map(|pack| {
                (
                    packs::storage_id.eq(storage.get()),
                    packs::uid.eq(pack.uid.as_bytes().as_slice()),
                    packs::state.eq("live"),
                    packs::bytes.eq(pack.bytes),
                    packs::n_blobs.eq(pack.n_blobs),
                    packs::n_records.eq(pack.n_records),
                    packs::created_at.eq(sql::<Datetime>("NOW(3)")),
                )
            })
            .collect();
        match diesel::insert_into(packs::table).values(rows).execute(conn) {
            Ok(_) => {}
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => return Ok(false),
            Err(err) => return Err(err),
        }
    }
    Ok(true)
}

/// Adds blobs, which are in ascending order. A live row stays as it is (our copy becomes dead weight); any other is
/// pointed at our copy and lives again. MariaDB assigns from left to right, so `state` must come last.
pub fn put_blobs(conn: &mut Conn, storage: StorageId, new: &[(BlobId, PackId, u32)]) -> QueryResult<()> {
    for page in new.chunks(INSERT_ROWS) {
        let rows: Vec<_> = page
            .iter()
            .map(|(id, pack, bytes)| {
                (
                    blobs::storage_id.eq(storage.get()),
                    blobs::id.eq(id.as_bytes().as_slice()),
                    blobs::pack_id.eq(pack.get()),
                    blobs::bytes.eq(*bytes),
                    blobs::state.eq(LIVE),
                )
            })
            .collect();
        diesel::insert_into(blobs::table)
            .values(rows)
            .on_conflict(DuplicatedKeys)
            .do_update()
            .set((
                blobs::pack_id.eq(sql::<Unsigned<Integer>>("IF(state = 0, pack_id, VALUES(pack_id))")),
                blobs::state.eq(LIVE),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// What a storage holds by the catalog's count: live packs only.
pub fn read_totals(conn: &mut Conn, storage: StorageId) -> QueryResult<StoreTotals> {
    let total = |column: &str| sql::<Unsigned<BigInt>>(&format!("CAST(COALESCE(SUM({column}), 0) AS UNSIGNED)"));
    let (n_packs, bytes, n_blobs, n_records): (i64, u64, u64, u64) = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("live")))
        .select((sql::<BigInt>("COUNT(*)"), total("bytes"), total("n_blobs"), total("n_records")))
        .first(conn)?;
    Ok(StoreTotals { n_packs: n_packs.unsigned_abs(), bytes, n_blobs, n_records })
}

/// Steps of collection, as a test needs them one at a time.
#[cfg(test)]
pub mod steps {
    use super::*;

    pub fn set_blob_state(conn: &mut Conn, storage: StorageId, id: BlobId, state: BlobState) -> QueryResult<usize> {
        let value = match state {
            BlobState::Live => LIVE,
            BlobState::Condemned => CONDEMNED,
            BlobState::Deleting => DELETING,
        };
        let row = blobs::table.filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())));
        diesel::update(row).set(blobs::state.eq(value)).execute(conn)
    }

    pub fn drop_blob(conn: &mut Conn, storage: StorageId, id: BlobId) -> QueryResult<usize> {
        let row = blobs::table.filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())));
        diesel::delete(row).execute(conn)
    }

    pub fn read_blob_state(conn: &mut Conn, storage: StorageId, id: BlobId) -> QueryResult<(PackId, BlobState)> {
        let (pack, state): (u32, u8) = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())))
            .select((blobs::pack_id, blobs::state))
            .first(conn)?;
        Ok((PackId::new(pack), BlobState::of(state)?))
    }

    pub fn add_tombstone(conn: &mut Conn, storage: StorageId, uid: PackUid) -> QueryResult<bool> {
        let pack = PublishedPack { uid, bytes: 0, n_blobs: 0, n_records: 0, shared: Vec::new() };
        insert_packs(conn, storage, &[pack])?;
        let row = packs::table.filter(packs::uid.eq(uid.as_bytes().as_slice()));
        diesel::update(row).set(packs::state.eq("discarded")).execute(conn).map(|n| n == 1)
    }

    pub fn move_pack(conn: &mut Conn, from: PackId, to: PackId) -> QueryResult<usize> {
        diesel::update(packs::table.find(from.get()))
            .set((packs::state.eq("dead"), packs::moved_to.eq(to.get())))
            .execute(conn)
    }
}
