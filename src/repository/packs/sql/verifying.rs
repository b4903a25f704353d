//! What verification asks of the table `packs`, and does to it.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Datetime, Nullable};

use super::{KnownPack, PAGE_ROWS, PackState, unreadable};
use crate::db::Conn;
use crate::db::schema::packs;
use crate::ids::{PackId, PackUid, StorageId};

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
