//! What is still good in a damaged pack, copied into a new one.

use std::sync::Arc;

use bytes::Bytes;

use crate::backends::BackendError;
use crate::db::Db;
use crate::ids::{BlobId, PackUid, PointNumber, WriterId};
use crate::repository::commit::{Flushed, FlushedPacks, PublishedPack};
use crate::repository::door::blocking;
use crate::repository::format::{BlobEntry, BlobKind, PackIndex, Scratch, Trailer};
use crate::repository::pack_end::read_sections;
use crate::repository::record::{Compacted, Entry, Record};
use crate::repository::records::{RecordsBuilder, read_records};
use crate::repository::store::{Crypto, pack_key};
use crate::repository::{Store, StoreError, packs};

/// What could be saved of a damaged pack: durable, and not yet known to the database.
#[derive(Clone, Debug, Default)]
pub struct Salvage {
    /// The new pack; nothing when nothing was saved.
    pub(super) flushed: Flushed,
    /// What is in it, in ascending order.
    pub(super) saved: Vec<BlobId>,
    /// Recipes and properties that are lost. `None`: the index is unreadable, so all that are not saved.
    pub(super) own_lost: Option<Vec<BlobId>>,
}

impl Salvage {
    pub fn n_saved(&self) -> usize {
        self.saved.len()
    }
}

impl Store {
    /// Saves what is still good in a pack. An error is one of reading or writing that may pass: nothing was decided.
    pub async fn salvage(&self, db: &Db, writer: WriterId, pack: PackUid) -> Result<Salvage, StoreError> {
        let seq = db.run("read the clock", packs::sql::read_clock_us).await?;
        let store = self.clone();
        blocking(move || salvage(&store, writer, pack, seq)).await
    }
}

fn salvage(store: &Store, writer: WriterId, pack: PackUid, seq: u64) -> Result<Salvage, StoreError> {
    // A trailer whose checksum is wrong may still lead to the index, which proves itself or opens to nothing.
    let unproved = |pack, tail: &[u8], bytes| Trailer::decode_unproved(pack, tail, bytes).map(|(trailer, _)| trailer);
    let Some((trailer, _, sections)) = or_damaged(read_sections(store.backend(), pack, unproved))? else {
        return Ok(Salvage::default());
    };
    let Some(index) = open_index(store, pack, &trailer, &sections) else { return Ok(Salvage::default()) };
    let cipher = store.keys().packs.of(pack);
    let mut scratch = Scratch::new();
    let mut kept = store.new_pack(writer);
    let mut saved: Vec<BlobId> = Vec::new();
    let mut own_lost = Vec::new();
    for (number, blobs) in by_frame(&index) {
        let stored = or_damaged(read_frame(store, &index, number))?;
        let plain =
            stored.as_ref().and_then(|stored| index.open_frame_with(&cipher, &mut scratch, number, stored).ok());
        for blob in blobs {
            match plain.and_then(|plain| index.cut(blob, plain, store.keys().id_key.expose()).ok()) {
                Some(plain) => {
                    kept.append(blob.hash, blob.kind, plain);
                    saved.push(blob.hash.id());
                }
                None if blob.kind == BlobKind::Shared => {}
                None => own_lost.push(blob.hash.id()),
            }
        }
    }
    let records = sound_records(store, pack, &trailer, &sections);
    let own_lost = Some(own_lost);
    if saved.is_empty() && records.is_empty() {
        return Ok(Salvage { own_lost, ..Salvage::default() });
    }
    let mut section = RecordsBuilder::default();
    records.iter().for_each(|entry| section.push(entry));
    let moved = Record::Compacted(Compacted { old: pack, new: kept.uid() });
    section.push(&Entry { chain: None, point: PointNumber::new(0), seq, record: moved });
    let (section, n_records) = section.finish();
    let finished = kept.finish(&section, n_records);
    store.backend().put(&pack_key(finished.uid), &finished.parts)?;
    let n_blobs = u32::try_from(finished.index.blobs.len()).unwrap_or(u32::MAX);
    // Its shared blobs have rows already, which are pointed here.
    let published = PublishedPack { uid: finished.uid, bytes: finished.bytes, n_blobs, n_records, shared: Vec::new() };
    saved.sort_unstable();
    let flushed = Flushed { inner: Arc::new(FlushedPacks { packs: vec![published], reused: Vec::new() }) };
    Ok(Salvage { flushed, saved, own_lost })
}

fn read_frame(store: &Store, index: &PackIndex, number: u32) -> Result<Bytes, StoreError> {
    let place = index.frame(number)?;
    Ok(store.backend().get_range(&pack_key(index.pack), place.offset, place.stored as usize)?)
}

/// The index, even if the hash over it and the records is wrong: every blob that is taken by it proves itself.
fn open_index(store: &Store, pack: PackUid, trailer: &Trailer, sections: &Bytes) -> Option<PackIndex> {
    let stored = sections.get(..trailer.index_stored as usize)?;
    PackIndex::open(&store.keys().packs.of(pack), pack, trailer, stored).ok()
}

/// The records, if they are proved to be what was written: by the hash, or because they decrypt.
fn sound_records(store: &Store, pack: PackUid, trailer: &Trailer, sections: &Bytes) -> Vec<Entry> {
    let proved = trailer.split(pack, sections).is_ok() || store.description().crypto == Crypto::Aes256Gcm;
    let (start, len) = (trailer.index_stored as usize, trailer.records_stored as usize);
    let stored = sections.get(start..start + len).filter(|_| proved);
    let cipher = store.keys().packs.of(pack);
    let plain = stored.and_then(|stored| PackIndex::open_records(&cipher, trailer, stored).ok());
    plain.and_then(|plain| read_records(pack, &plain).ok()).map_or_else(Vec::new, |records| records.entries)
}

/// The blobs of each frame, in the order of the pack.
fn by_frame(index: &PackIndex) -> Vec<(u32, Vec<&BlobEntry>)> {
    let mut blobs: Vec<&BlobEntry> = index.blobs.iter().collect();
    blobs.sort_unstable_by_key(|blob| (blob.frame, blob.offset));
    let frames = blobs.chunk_by(|a, b| a.frame == b.frame);
    frames.filter_map(|blobs| Some((blobs.first()?.frame, blobs.to_vec()))).collect()
}

/// `None`: it is not there or not what was written. Other errors may pass and end the attempt.
fn or_damaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged(_) | StoreError::Backend(BackendError::NotFound(_) | BackendError::Corrupt { .. })) => {
            Ok(None)
        }
        Err(err) => Err(err),
    }
}
