//! The table `packs`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Datetime, Nullable, Unsigned};

use crate::db::Conn;
use crate::db::schema::packs;
use crate::ids::{PackId, PackUid, StorageId};
use crate::repository::adopt::FoundPack;
use crate::repository::commit::PublishedPack;
use crate::repository::verify::KnownPack;

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

/// Packs in one of the 256 folders, in the order of their names, behind `after`.
pub fn packs_in_folder(
    conn: &mut Conn,
    storage: StorageId,
    folder: u8,
    after: Option<PackUid>,
    limit: u32,
) -> QueryResult<Vec<(KnownPack, PackState)>> {
    let edge = |byte: u8| [&[folder][..], &[byte; 15]].concat();
    let mut query = packs::table
        .filter(packs::storage_id.eq(storage.get()))
        .filter(packs::uid.ge(edge(0)).and(packs::uid.le(edge(255))))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(packs::uid.gt(after.as_bytes().to_vec()));
    }
    let rows: Vec<(u32, Vec<u8>, u64, String)> = query
        .order(packs::uid)
        .limit(limit.into())
        .select((packs::id, packs::uid, packs::bytes, packs::state))
        .load(conn)?;
    rows.into_iter().map(|(id, uid, bytes, state)| Ok((known_pack(id, &uid, bytes)?, PackState::of(&state)?))).collect()
}

/// Live packs that were not verified since `before`, those first that were not for the longest time, but not `except`.
pub fn packs_to_verify(
    conn: &mut Conn,
    storage: StorageId,
    before: DateTime<Utc>,
    except: &[PackId],
    limit: u32,
) -> QueryResult<Vec<KnownPack>> {
    let except: Vec<u32> = except.iter().map(|pack| pack.get()).collect();
    let rows: Vec<(u32, Vec<u8>, u64)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("live")))
        .filter(packs::verified_at.is_null().or(packs::verified_at.lt(before.naive_utc())))
        .filter(packs::id.ne_all(except))
        .order((packs::verified_at, packs::id))
        .limit(limit.into())
        .select((packs::id, packs::uid, packs::bytes))
        .load(conn)?;
    rows.into_iter().map(|(id, uid, bytes)| known_pack(id, &uid, bytes)).collect()
}

fn known_pack(id: u32, uid: &[u8], bytes: u64) -> QueryResult<KnownPack> {
    let uid = PackUid::from_slice(uid).ok_or_else(|| unreadable("a pack uid of another length than 16".to_owned()))?;
    Ok(KnownPack { id: PackId::new(id), uid, bytes })
}

/// Notes that packs were found sound just now.
pub fn set_verified(conn: &mut Conn, storage: StorageId, ids: &[PackId], level: u8) -> QueryResult<()> {
    let ids: Vec<u32> = ids.iter().map(|pack| pack.get()).collect();
    let live = packs::table.filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("live")));
    diesel::update(live.filter(packs::id.eq_any(ids)))
        .set((packs::verified_at.eq(sql::<Nullable<Datetime>>("NOW(3)")), packs::verified_level.eq(level)))
        .execute(conn)
        .map(drop)
}

/// When the pack was verified whose turn was longest ago. `None`: one was never, or there is none.
pub fn oldest_verified(conn: &mut Conn, storage: StorageId) -> QueryResult<Option<DateTime<Utc>>> {
    let oldest: Option<Option<NaiveDateTime>> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("live")))
        .order(packs::verified_at)
        .select(packs::verified_at)
        .first(conn)
        .optional()?;
    Ok(oldest.flatten().map(|at| at.and_utc()))
}

/// Whether a pack is live, and keeps it so until the transaction ends.
pub fn lock_live(conn: &mut Conn, storage: StorageId, id: PackId) -> QueryResult<bool> {
    let state: Option<String> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::id.eq(id.get())))
        .select(packs::state)
        .for_update()
        .first(conn)
        .optional()?;
    Ok(state.as_deref() == Some("live"))
}

/// Calls a pack damaged; what was saved of it lies in `saved_in`.
pub fn set_bad(conn: &mut Conn, storage: StorageId, id: PackId, saved_in: Option<PackId>) -> QueryResult<()> {
    diesel::update(packs::table.filter(packs::storage_id.eq(storage.get()).and(packs::id.eq(id.get()))))
        .set((packs::state.eq("bad"), packs::moved_to.eq(saved_in.map(PackId::get))))
        .execute(conn)
        .map(drop)
}

/// Packs whose content was moved into one of `targets`, each with it.
pub fn moved_into(conn: &mut Conn, storage: StorageId, targets: &[PackId]) -> QueryResult<Vec<(PackId, PackId)>> {
    let mut found = Vec::new();
    for page in targets.chunks(PAGE_ROWS) {
        let wanted: Vec<u32> = page.iter().map(|pack| pack.get()).collect();
        let rows: Vec<(u32, Option<u32>)> = packs::table
            .filter(packs::storage_id.eq(storage.get()).and(packs::moved_to.eq_any(wanted)))
            .select((packs::id, packs::moved_to))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(from, to)| Some((PackId::new(from), PackId::new(to?)))));
    }
    Ok(found)
}

/// Steps of collection, as a test needs them one at a time.
#[cfg(test)]
pub mod steps {
    use super::*;

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
