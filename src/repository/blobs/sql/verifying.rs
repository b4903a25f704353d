//! What is done to the table `blobs` when a pack is damaged or gone.

use diesel::prelude::*;

use super::{BlobState, DELETING, PAGE_ROWS, blob_id, raw};
use crate::db::Conn;
use crate::db::schema::blobs;
use crate::ids::{BlobId, PackId, StorageId};

/// Points blobs that lie in one pack at another that has them too, but not those that are being removed.
pub fn repoint_blobs(conn: &mut Conn, storage: StorageId, from: PackId, to: PackId, ids: &[BlobId]) -> QueryResult<()> {
    for page in ids.chunks(PAGE_ROWS) {
        let here = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(raw(page))))
            .filter(blobs::pack_id.eq(from.get()).and(blobs::state.ne(DELETING)));
        diesel::update(here).set(blobs::pack_id.eq(to.get())).execute(conn)?;
    }
    Ok(())
}

/// Drops the rows of all blobs that lie in a pack, and tells which there were; those that were being removed anyway
/// are not told.
pub fn drop_blobs_of(conn: &mut Conn, storage: StorageId, pack: PackId) -> QueryResult<Vec<BlobId>> {
    let mut dropped = Vec::new();
    loop {
        let page: Vec<(Vec<u8>, u8)> = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::pack_id.eq(pack.get())))
            .order(blobs::id)
            .limit(PAGE_ROWS as i64)
            .select((blobs::id, blobs::state))
            .load(conn)?;
        if page.is_empty() {
            return Ok(dropped);
        }
        let ids: Vec<&[u8]> = page.iter().map(|(id, _)| id.as_slice()).collect();
        let here = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq_any(ids)))
            .filter(blobs::pack_id.eq(pack.get()));
        diesel::delete(here).execute(conn)?;
        for (id, state) in page.iter().filter(|(_, state)| *state != DELETING) {
            BlobState::of(*state)?;
            dropped.push(blob_id(id)?);
        }
    }
}

/// Forgets the blobs that were looked for in a pack that is gone.
pub fn delete_in_pack(conn: &mut Conn, storage: StorageId, pack: PackId) -> QueryResult<usize> {
    diesel::delete(blobs::table.filter(blobs::storage_id.eq(storage.get()).and(blobs::pack_id.eq(pack.get()))))
        .execute(conn)
}
