//! What collection asks of the table `blobs`, and does to it.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Datetime, Nullable, Unsigned};

use super::{BlobState, CONDEMNED, DELETING, LIVE, PAGE_ROWS, blob_id, raw};
use crate::db::Conn;
use crate::db::schema::blobs;
use crate::ids::{BlobId, PackId, StorageId};

/// A blob as collection judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedBlob {
    pub id: BlobId,
    pub pack: PackId,
    pub state: BlobState,
}

/// Blobs by id, behind `after` and below `below`.
pub fn blobs_between(
    conn: &mut Conn,
    storage: StorageId,
    after: Option<BlobId>,
    below: Option<BlobId>,
    limit: usize,
) -> QueryResult<Vec<JudgedBlob>> {
    let mut query = blobs::table.filter(blobs::storage_id.eq(storage.get())).into_boxed();
    if let Some(after) = after {
        query = query.filter(blobs::id.gt(after.as_bytes().to_vec()));
    }
    if let Some(below) = below {
        query = query.filter(blobs::id.lt(below.as_bytes().to_vec()));
    }
    let rows: Vec<(Vec<u8>, u32, u8)> = query
        .order(blobs::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((blobs::id, blobs::pack_id, blobs::state))
        .load(conn)?;
    let judged =
        |(id, pack, state)| Ok(JudgedBlob { id: blob_id(id)?, pack: PackId::new(pack), state: BlobState::of(state)? });
    rows.iter().map(|(id, pack, state)| judged((id, *pack, *state))).collect()
}

/// Condemns those of at most [`PAGE_ROWS`] blobs that are live.
pub fn condemn_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<usize> {
    let live = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(ids))).and(blobs::state.eq(LIVE)));
    let now = sql::<Nullable<Datetime>>("NOW(3)");
    diesel::update(live).set((blobs::state.eq(CONDEMNED), blobs::condemned_at.eq(now))).execute(conn)
}

/// Gives up those of at most [`PAGE_ROWS`] blobs that were condemned before a time in microseconds: nothing saves them
/// from here on.
pub fn give_up_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId], before_us: u64) -> QueryResult<usize> {
    let (seconds, micros) = (before_us / 1_000_000, before_us % 1_000_000);
    let condemned = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(ids))).and(blobs::state.eq(CONDEMNED)))
        .filter(sql::<Bool>(&format!("condemned_at <= FROM_UNIXTIME({seconds}.{micros:06})")));
    diesel::update(condemned).set(blobs::state.eq(DELETING)).execute(conn)
}

/// How many blobs these packs hold that are not on their way out, and their uncompressed bytes.
pub fn count_held(conn: &mut Conn, storage: StorageId, packs: &[PackId]) -> QueryResult<Vec<(PackId, u64, u64)>> {
    let mut counts = Vec::with_capacity(packs.len());
    for page in packs.chunks(PAGE_ROWS) {
        let ids: Vec<u32> = page.iter().map(|pack| pack.get()).collect();
        let rows: Vec<(u32, i64, u64)> = blobs::table
            .filter(blobs::pack_id.eq_any(ids).and(blobs::state.ne(DELETING)).and(blobs::storage_id.eq(storage.get())))
            .group_by(blobs::pack_id)
            .select((
                blobs::pack_id,
                sql::<BigInt>("COUNT(*)"),
                sql::<Unsigned<BigInt>>("CAST(SUM(bytes) AS UNSIGNED)"),
            ))
            .load(conn)?;
        counts.extend(rows.into_iter().map(|(pack, n, bytes)| (PackId::new(pack), n.unsigned_abs(), bytes)));
    }
    Ok(counts)
}

/// The blobs of a pack that are not on their way out, in ascending order.
pub fn held_in(conn: &mut Conn, storage: StorageId, pack: PackId) -> QueryResult<Vec<BlobId>> {
    let mut ids: Vec<Vec<u8>> = blobs::table
        .filter(blobs::pack_id.eq(pack.get()).and(blobs::state.ne(DELETING)).and(blobs::storage_id.eq(storage.get())))
        .select(blobs::id)
        .load(conn)?;
    ids.sort_unstable();
    ids.iter().map(|id| blob_id(id)).collect()
}

/// Points blobs, in ascending order, from some packs to another; those on their way out stay.
pub fn move_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId], from: &[PackId], to: PackId) -> QueryResult<()> {
    let from: Vec<u32> = from.iter().map(|pack| pack.get()).collect();
    for page in ids.chunks(PAGE_ROWS) {
        let here = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(page))))
            .filter(blobs::pack_id.eq_any(&from).and(blobs::state.ne(DELETING)));
        diesel::update(here).set(blobs::pack_id.eq(to.get())).execute(conn)?;
    }
    Ok(())
}

/// Drops the rows of blobs that went with the file of a pack.
pub fn drop_given_up(conn: &mut Conn, storage: StorageId, pack: PackId) -> QueryResult<usize> {
    let gone = blobs::table
        .filter(blobs::pack_id.eq(pack.get()).and(blobs::state.eq(DELETING)).and(blobs::storage_id.eq(storage.get())));
    diesel::delete(gone).execute(conn)
}
