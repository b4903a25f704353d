//! What collection asks of the table `packs`, and does to it.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Datetime, Nullable};

use super::{HeldPack, PackShape, insert_packs, pack_uid};
use crate::db::Conn;
use crate::db::schema::packs;
use crate::ids::{PackId, PackUid, StorageId};
use crate::repository::commit::PublishedPack;

/// The pack that was added last.
pub fn newest_pack(conn: &mut Conn, storage: StorageId) -> QueryResult<PackId> {
    let id: Option<u32> =
        packs::table.filter(packs::storage_id.eq(storage.get())).select(diesel::dsl::max(packs::id)).first(conn)?;
    Ok(PackId::new(id.unwrap_or(0)))
}

/// Live packs by id, behind `after`.
pub fn held_packs(conn: &mut Conn, storage: StorageId, after: PackId, limit: usize) -> QueryResult<Vec<HeldPack>> {
    type Row = (u32, Vec<u8>, u64, u32, Option<u64>, Option<u64>, Option<u32>);
    let rows: Vec<Row> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("live")).and(packs::id.gt(after.get())))
        .order(packs::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((
            packs::id,
            packs::uid,
            packs::bytes,
            packs::n_blobs,
            packs::plain_bytes,
            packs::own_bytes,
            packs::n_own,
        ))
        .load(conn)?;
    let held = |(id, uid, bytes, n_blobs, plain, own, n_own): Row| {
        let shape = match (plain, own, n_own) {
            (Some(plain_bytes), Some(own_bytes), Some(n_own)) => Some(PackShape { plain_bytes, own_bytes, n_own }),
            _ => None,
        };
        Ok(HeldPack { id: PackId::new(id), uid: pack_uid(&uid)?, bytes, n_blobs, shape })
    };
    rows.into_iter().map(held).collect()
}

/// Remembers what the index of a pack said; it never changes.
pub fn set_shape(conn: &mut Conn, id: PackId, shape: &PackShape) -> QueryResult<()> {
    diesel::update(packs::table.find(id.get()))
        .set((
            packs::plain_bytes.eq(shape.plain_bytes),
            packs::own_bytes.eq(shape.own_bytes),
            packs::n_own.eq(shape.n_own),
        ))
        .execute(conn)
        .map(drop)
}

/// Packs whose content lies in another one, behind `after`, and whether nothing but the row is left of them.
pub fn moved_packs(
    conn: &mut Conn,
    storage: StorageId,
    after: PackId,
    limit: u32,
) -> QueryResult<Vec<(PackId, PackId, bool)>> {
    let gone = packs::state.eq("dead").and(packs::dead_at.is_null());
    let rows: Vec<(u32, Option<u32>, bool)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::id.gt(after.get())).and(packs::moved_to.is_not_null()))
        .order(packs::id)
        .limit(limit.into())
        .select((packs::id, packs::moved_to, gone))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(from, to, gone)| Some((PackId::new(from), PackId::new(to?), gone))).collect())
}

/// Which of these packs are live, locked so that they stay it until the transaction ends.
pub fn lock_held(conn: &mut Conn, storage: StorageId, ids: &[PackId]) -> QueryResult<Vec<PackId>> {
    let ids: Vec<u32> = ids.iter().map(|id| id.get()).collect();
    let live: Vec<(u32, String)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::id.eq_any(ids)))
        .order(packs::id)
        .select((packs::id, packs::state))
        .for_update()
        .load(conn)?;
    Ok(live.into_iter().filter(|(_, state)| state == "live").map(|(id, _)| PackId::new(id)).collect())
}

/// Says that what lived in `old` lies in `new` now, and in whatever had led to `old` too.
pub fn retire_packs(conn: &mut Conn, storage: StorageId, old: &[PackId], new: PackId) -> QueryResult<()> {
    let old: Vec<u32> = old.iter().map(|id| id.get()).collect();
    let led_here = packs::table.filter(packs::storage_id.eq(storage.get()).and(packs::moved_to.eq_any(&old)));
    diesel::update(led_here).set(packs::moved_to.eq(new.get())).execute(conn)?;
    diesel::update(packs::table.filter(packs::id.eq_any(&old)))
        .set((
            packs::state.eq("dead"),
            packs::moved_to.eq(new.get()),
            packs::dead_at.eq(sql::<Nullable<Datetime>>("NOW(3)")),
        ))
        .execute(conn)
        .map(drop)
}

/// Packs that compaction emptied at least `age_s` seconds ago and whose files are still to go.
pub fn emptied_packs(
    conn: &mut Conn,
    storage: StorageId,
    age_s: u64,
    after: PackId,
    limit: u32,
) -> QueryResult<Vec<(PackId, PackUid, u64)>> {
    let rows: Vec<(u32, Vec<u8>, u64)> = packs::table
        .filter(packs::storage_id.eq(storage.get()).and(packs::state.eq("dead")).and(packs::id.gt(after.get())))
        .filter(sql::<Bool>(&format!("dead_at <= NOW(3) - INTERVAL {age_s} SECOND")))
        .order(packs::id)
        .limit(limit.into())
        .select((packs::id, packs::uid, packs::bytes))
        .load(conn)?;
    rows.into_iter().map(|(id, uid, bytes)| Ok((PackId::new(id), pack_uid(&uid)?, bytes))).collect()
}

/// Notes that the file of an emptied pack is gone.
pub fn set_file_gone(conn: &mut Conn, id: PackId) -> QueryResult<()> {
    diesel::update(packs::table.filter(packs::id.eq(id.get()).and(packs::state.eq("dead"))))
        .set(packs::dead_at.eq(None::<chrono::NaiveDateTime>))
        .execute(conn)
        .map(drop)
}

/// Drops rows that did nothing but say where content went.
pub fn drop_moved(conn: &mut Conn, ids: &[PackId]) -> QueryResult<usize> {
    let ids: Vec<u32> = ids.iter().map(|id| id.get()).collect();
    let gone = packs::table.filter(packs::id.eq_any(ids).and(packs::state.eq("dead")).and(packs::dead_at.is_null()));
    diesel::delete(gone).execute(conn)
}

/// Takes the id of an orphan, so that its writer cannot commit it any more. `false`: it has a row.
pub fn add_tombstone(conn: &mut Conn, storage: StorageId, uid: PackUid, bytes: u64) -> QueryResult<bool> {
    let pack = PublishedPack { uid, bytes, n_blobs: 0, n_records: 0, shared: Vec::new() };
    if !insert_packs(conn, storage, &[pack])? {
        return Ok(false);
    }
    let row = packs::table.filter(packs::storage_id.eq(storage.get()).and(packs::uid.eq(uid.as_bytes().as_slice())));
    diesel::update(row).set(packs::state.eq("discarded")).execute(conn).map(|n_rows| n_rows == 1)
}
