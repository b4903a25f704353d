//! The commit of packs: the one step that makes them part of the store, inside the caller's transaction.

use std::collections::HashMap;
use std::sync::Arc;

use super::guards::{Guard, stands};
use super::{blobs, packs, writers};
use crate::db::{Conn, TxError};
use crate::ids::{BlobId, PackId, PackUid, StorageId, WriterId};

/// Packs that are durable on the storage and not yet known to the database, and the blobs that they build on.
///
/// Clones share the content, so a transaction that is tried again can keep its own.
#[derive(Clone, Debug, Default)]
pub struct Flushed {
    pub(super) inner: Arc<FlushedPacks>,
}

#[derive(Debug, Default)]
pub(super) struct FlushedPacks {
    pub packs: Vec<PublishedPack>,
    /// In ascending order.
    pub reused: Vec<BlobId>,
}

/// One pack on the storage.
#[derive(Debug)]
pub(super) struct PublishedPack {
    pub uid: PackUid,
    pub bytes: u64,
    pub n_blobs: u32,
    pub n_records: u32,
    pub shared: Vec<(BlobId, u32)>,
}

impl Flushed {
    /// Nothing was stored or recorded since the last flush.
    pub fn is_empty(&self) -> bool {
        self.inner.packs.is_empty()
    }

    /// What the packs take on the storage, to the byte.
    pub fn bytes_stored(&self) -> u64 {
        self.inner.packs.iter().map(|pack| pack.bytes).sum()
    }

    pub fn n_packs(&self) -> usize {
        self.inner.packs.len()
    }
}

/// The rows of the packs of one flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackIds {
    ids: HashMap<PackUid, PackId>,
    /// This very flush was committed before, by a try whose outcome was not known: everything that the caller's
    /// transaction was to write is there already.
    pub committed_before: bool,
}

impl PackIds {
    pub fn get(&self, pack: PackUid) -> Option<PackId> {
        self.ids.get(&pack).copied()
    }
}

/// Why a flush cannot become part of the store. The caller throws it away and stores the page again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefused {
    /// This writer was taken for dead: register a new one.
    #[error("the writer was declared dead")]
    WriterDead,
    /// Collection took these blobs away since they were looked up: [`super::Packer::forget`] them.
    #[error("{} blobs that were to be shared were collected meanwhile", .0.len())]
    ReusedBlobGone(Vec<BlobId>),
    /// Collection took these packs for orphans.
    #[error("{} packs were discarded before they were committed", .0.len())]
    PackDiscarded(Vec<PackUid>),
}

/// Makes the packs of `flushed` part of the store. Call it inside the transaction that writes the items: they become
/// visible together or not at all.
///
/// Safe to run again for the same flush: see [`PackIds::committed_before`].
pub fn commit(
    conn: &mut Conn,
    storage: StorageId,
    writer: WriterId,
    flushed: &Flushed,
) -> Result<PackIds, TxError<CommitRefused>> {
    let FlushedPacks { packs, reused } = flushed.inner.as_ref();
    if !writers::sql::lock_alive(conn, storage, writer)? {
        return Err(TxError::Refused(CommitRefused::WriterDead));
    }
    let uids: Vec<PackUid> = packs.iter().map(|pack| pack.uid).collect();
    if let Some(ids) = find_committed(conn, storage, &uids)? {
        return Ok(PackIds { ids, committed_before: true });
    }
    if stands(Guard::ReusedAreValidated, writer) {
        validate_reused(conn, storage, writer, reused)?;
    }
    if !packs::sql::insert_packs(conn, storage, packs)? {
        return Err(TxError::Refused(CommitRefused::PackDiscarded(uids)));
    }
    let ids: HashMap<PackUid, PackId> =
        packs::sql::find_packs(conn, storage, &uids)?.into_iter().map(|row| (row.uid, row.id)).collect();
    let mut blobs: Vec<(BlobId, PackId, u32)> = Vec::new();
    for pack in packs {
        let id = *ids.get(&pack.uid).expect("the pack was inserted above, in this transaction");
        blobs.extend(pack.shared.iter().map(|(blob, bytes)| (*blob, id, *bytes)));
    }
    // One order everywhere, so that two commits wait for each other and never lock each other out.
    blobs.sort_unstable();
    blobs::sql::put_blobs(conn, storage, &blobs)?;
    Ok(PackIds { ids, committed_before: false })
}

/// The rows of these packs if an earlier try of this commit made them.
fn find_committed(
    conn: &mut Conn,
    storage: StorageId,
    uids: &[PackUid],
) -> Result<Option<HashMap<PackUid, PackId>>, TxError<CommitRefused>> {
    let found = packs::sql::find_packs(conn, storage, uids)?;
    if found.is_empty() {
        return Ok(None);
    }
    let ours = found.len() == uids.len() && found.iter().all(|row| row.state != packs::sql::PackState::Discarded);
    if ours {
        return Ok(Some(found.into_iter().map(|row| (row.uid, row.id)).collect()));
    }
    Err(TxError::Refused(CommitRefused::PackDiscarded(found.into_iter().map(|row| row.uid).collect())))
}

/// Locks what the flush builds on and saves what collection had condemned but not begun to delete.
fn validate_reused(
    conn: &mut Conn,
    storage: StorageId,
    writer: WriterId,
    reused: &[BlobId],
) -> Result<(), TxError<CommitRefused>> {
    let mut condemned = Vec::new();
    let mut gone = Vec::new();
    for page in reused.chunks(blobs::sql::PAGE_ROWS) {
        let found: HashMap<BlobId, blobs::sql::BlobState> =
            blobs::sql::lock_blobs(conn, storage, page)?.into_iter().collect();
        for id in page {
            match found.get(id) {
                Some(blobs::sql::BlobState::Live) => {}
                Some(blobs::sql::BlobState::Condemned) => condemned.push(*id),
                Some(blobs::sql::BlobState::Deleting) | None => gone.push(*id),
            }
        }
    }
    if !gone.is_empty() {
        return Err(TxError::Refused(CommitRefused::ReusedBlobGone(gone)));
    }
    if !stands(Guard::CondemnedAreSaved, writer) {
        return Ok(());
    }
    for page in condemned.chunks(blobs::sql::PAGE_ROWS) {
        blobs::sql::resurrect_blobs(conn, storage, page)?;
    }
    Ok(())
}
