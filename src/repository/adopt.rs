//! Packs that lie on a storage and that the database does not know, and packs that it knows and that are not there: how
//! a rebuild brings the tables in line with the place.

use std::collections::HashMap;

use super::commit::PublishedPack;
use super::packs::sql::PackState;
use super::{blobs, packs};
use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, PackId, PackUid, StorageId};

/// Rows of packs that are read at once.
pub const PAGE_ROWS: u32 = 10_000;

/// A pack as it was found.
#[derive(Clone, Debug)]
pub struct FoundPack {
    pub uid: PackUid,
    pub bytes: u64,
    pub created_s: u32,
    pub n_blobs: u32,
    pub n_records: u32,
    pub shared: Vec<(BlobId, u32)>,
}

/// What the database says of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPack {
    pub id: PackId,
    pub uid: PackUid,
    pub moved_to: Option<PackId>,
    /// It is a tombstone: what the file says never happened.
    pub discarded: bool,
    /// Blobs are looked for in its file.
    pub live: bool,
    /// Its file was gone or damaged. If it can be read now, somebody brought it back.
    pub bad: bool,
}

/// A page of the packs that have a row, in the order of their rows.
pub fn known_packs(conn: &mut Conn, storage: StorageId, after: PackId) -> QueryResult<Vec<KnownPack>> {
    let rows = packs::sql::page(conn, storage, after, PAGE_ROWS)?;
    let known = |row: packs::sql::PackRow| KnownPack {
        id: row.id,
        uid: row.uid,
        moved_to: row.moved_to,
        discarded: row.state == PackState::Discarded,
        live: row.state == PackState::Live,
        bad: row.state == PackState::Bad,
    };
    Ok(rows.into_iter().map(known).collect())
}

/// Gives packs a row and their blobs theirs, in one transaction of the caller: a pack with a row has its blobs. One that
/// has a row already keeps it, is live again if it was bad, and its blobs are added where they are missing.
pub fn adopt_packs(conn: &mut Conn, storage: StorageId, found: &[FoundPack]) -> QueryResult<()> {
    let uids: Vec<PackUid> = found.iter().map(|pack| pack.uid).collect();
    let known: HashMap<PackUid, packs::sql::PackRow> =
        packs::sql::find_packs(conn, storage, &uids)?.into_iter().map(|row| (row.uid, row)).collect();
    let unknown: Vec<&FoundPack> = found.iter().filter(|pack| !known.contains_key(&pack.uid)).collect();
    packs::sql::insert_found(conn, storage, &unknown)?;
    for pack in found {
        if let Some(row) = known.get(&pack.uid).filter(|row| row.state == PackState::Bad) {
            packs::sql::revive(conn, row.id, pack)?;
        }
    }
    let rows = packs::sql::find_packs(conn, storage, &uids)?;
    let ids: HashMap<PackUid, PackId> = rows.into_iter().map(|row| (row.uid, row.id)).collect();
    let mut all: Vec<(BlobId, PackId, u32)> = Vec::new();
    for pack in found {
        let id = *ids.get(&pack.uid).expect("the pack was inserted above, in this transaction");
        all.extend(pack.shared.iter().map(|(blob, bytes)| (*blob, id, *bytes)));
    }
    all.sort_unstable();
    // A blob that several of them hold lies in the first.
    all.dedup_by_key(|(blob, _, _)| *blob);
    blobs::sql::put_blobs(conn, storage, &all)
}

/// Notes that the file of a pack is gone: what lived in it lies in the pack `moved_to`, or nowhere. Blobs are not looked
/// for in it any more. Makes a row when there is none.
pub fn note_gone(conn: &mut Conn, storage: StorageId, pack: PackUid, moved_to: Option<PackId>) -> QueryResult<PackId> {
    if packs::sql::find_packs(conn, storage, &[pack])?.is_empty() {
        let absent = PublishedPack { uid: pack, bytes: 0, n_blobs: 0, n_records: 0, shared: Vec::new() };
        packs::sql::insert_packs(conn, storage, &[absent])?;
    }
    let id = packs::sql::set_gone(conn, storage, pack, moved_to)?;
    blobs::sql::delete_in_pack(conn, storage, id)?;
    Ok(id)
}
