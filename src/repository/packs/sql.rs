//! The table `packs`.

mod collecting;
mod verifying;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Datetime, Unsigned};

use crate::db::schema::packs;
use crate::db::{Conn, among};
use crate::ids::{PackId, PackUid, StorageId};
use crate::repository::adopt::FoundPack;
use crate::repository::commit::PublishedPack;
use crate::repository::verify::KnownPack;

pub use collecting::{
    add_tombstone, drop_moved, emptied_packs, held_packs, lock_held, moved_packs, newest_pack, retire_packs,
    set_file_gone, set_shape,
};
pub use verifying::{lock_live, moved_into, oldest_verified, packs_in_folder, packs_to_verify, set_bad, set_verified};

/// Ids in one `IN (…)`.
const PAGE_ROWS: usize = 500;
/// Rows in one INSERT.
const INSERT_ROWS: usize = 1000;

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

/// A live pack as collection weighs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPack {
    pub id: PackId,
    pub uid: PackUid,
    pub bytes: u64,
    pub n_blobs: u32,
    pub shape: Option<PackShape>,
}

/// What the index of a pack says of its content, uncompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackShape {
    pub plain_bytes: u64,
    /// Of these, in blobs that have no row.
    pub own_bytes: u64,
    pub n_own: u32,
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

/// Microseconds by the database's clock, which all writers share.
pub fn read_clock_us(conn: &mut Conn) -> QueryResult<u64> {
    diesel::select(sql::<Unsigned<BigInt>>("CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)")).get_result(conn)
}

/// The rows of those of the packs that have one.
pub fn find_packs(conn: &mut Conn, storage: StorageId, uids: &[PackUid]) -> QueryResult<Vec<PackRow>> {
    let mut rows = Vec::with_capacity(uids.len());
    for page in uids.chunks(PAGE_ROWS) {
        let wanted: Vec<&[u8]> = page.iter().map(|uid| uid.as_bytes().as_slice()).collect();
        let found: Vec<(u32, Vec<u8>, String, Option<u32>)> = packs::table
            .filter(packs::storage_id.eq(storage.get()).and(among(packs::uid, wanted)))
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
        uid: pack_uid(&uid)?,
        state: PackState::of(&state)?,
        moved_to: moved_to.map(PackId::new),
    })
}

fn pack_uid(bytes: &[u8]) -> QueryResult<PackUid> {
    PackUid::from_slice(bytes).ok_or_else(|| unreadable("a pack uid of another length than 16".to_owned()))
}

/// Adds packs. `false`: one of them has a row already, and nothing of this statement happened.
pub(in crate::repository) fn insert_packs(
    conn: &mut Conn,
    storage: StorageId,
    new: &[PublishedPack],
) -> QueryResult<bool> {
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

/// Packs with a row, in the order of their rows, behind `after`.
pub fn page(conn: &mut Conn, storage: StorageId, after: PackId, limit: u32) -> QueryResult<Vec<PackRow>> {
    let rows: Vec<(u32, Vec<u8>, String, Option<u32>)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::id.gt(after.get())))
        .order(packs::id)
        .limit(limit.into())
        .select((packs::id, packs::uid, packs::state, packs::moved_to))
        .load(conn)?;
    rows.into_iter().map(pack_row).collect()
}

/// Adds packs that were found on the storage and have no row.
pub fn insert_found(conn: &mut Conn, storage: StorageId, found: &[&FoundPack]) -> QueryResult<()> {
    for page in found.chunks(INSERT_ROWS) {
        let row = |pack: &&FoundPack| {
            (
                packs::storage_id.eq(storage.get()),
                packs::uid.eq(pack.uid.as_bytes().to_vec()),
                packs::state.eq("live"),
                packs::bytes.eq(pack.bytes),
                packs::n_blobs.eq(pack.n_blobs),
                packs::n_records.eq(pack.n_records),
                packs::created_at.eq(sql::<Datetime>(&format!("FROM_UNIXTIME({})", pack.created_s.max(1)))),
            )
        };
        diesel::insert_into(packs::table).values(page.iter().map(row).collect::<Vec<_>>()).execute(conn)?;
    }
    Ok(())
}

/// Takes back that a pack is bad.
pub fn revive(conn: &mut Conn, id: PackId, found: &FoundPack) -> QueryResult<usize> {
    let counts = (packs::bytes.eq(found.bytes), packs::n_blobs.eq(found.n_blobs), packs::n_records.eq(found.n_records));
    diesel::update(packs::table.find(id.get()).filter(packs::state.eq("bad")))
        .set((packs::state.eq("live"), packs::moved_to.eq(None::<u32>), counts))
        .execute(conn)
}

/// Says of a pack whose file is gone where its content went, or that it is lost.
pub fn set_gone(conn: &mut Conn, storage: StorageId, uid: PackUid, moved_to: Option<PackId>) -> QueryResult<PackId> {
    let row = || packs::table.filter(packs::storage_id.eq(storage.get()).and(packs::uid.eq(uid.as_bytes().to_vec())));
    let state = if moved_to.is_some() { "dead" } else { "bad" };
    diesel::update(row()).set((packs::state.eq(state), packs::moved_to.eq(moved_to.map(PackId::get)))).execute(conn)?;
    row().select(packs::id).first(conn).map(PackId::new)
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

    pub fn move_pack(conn: &mut Conn, from: PackId, to: PackId) -> QueryResult<usize> {
        diesel::update(packs::table.find(from.get()))
            .set((packs::state.eq("dead"), packs::moved_to.eq(to.get())))
            .execute(conn)
    }
}
