//! Packs as a whole: which there are, what one says by itself, whether it is sound. What a rebuild, a verification
//! and the search for orphans are made of.

pub(super) mod sql;

use bytes::Bytes;

use super::door::blocking;
use super::format::{Damage, HEADER_BYTES, Header};
use super::reader::{PackEnd, read_end};
use super::records::{Records, read_records};
use super::store::{pack_key, packs_prefix};
use super::{Store, StoreError};
use crate::ids::{BlobId, PackUid, WriterId};

/// Bytes of a pack that are hashed at once.
const WINDOW_BYTES: u64 = 4 << 20;

/// A pack as the place lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFile {
    pub uid: PackUid,
    pub bytes: u64,
}

/// What a pack says of itself.
#[derive(Debug)]
pub struct PackContents {
    pub writer: WriterId,
    /// Seconds since 1970, by the writer's clock.
    pub created_s: u32,
    pub n_blobs: u32,
    pub n_records: u32,
    /// The blobs that can be shared, with their lengths, in ascending order.
    pub shared: Vec<(BlobId, u32)>,
    pub records: Records,
}

/// How deep [`Store::check_pack`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The hashes over all stored bytes: finds every flipped bit.
    Stored,
    /// Every blob too, decrypted, decompressed and hashed: finds what was wrong before it was stored.
    Content,
}

impl Store {
    /// The packs in one of the 256 folders, by name. Files that are no packs are passed over.
    pub async fn list_packs(&self, folder: u8) -> Result<Vec<PackFile>, StoreError> {
        let store = self.clone();
        let entries = blocking(move || store.backend().list(&packs_prefix(folder))).await?;
        let pack = |key: &str, bytes| {
            let name = key.rsplit('/').next()?.strip_suffix(".kpk")?;
            Some(PackFile { uid: PackUid::from_hex(name)?, bytes })
        };
        Ok(entries.iter().filter_map(|entry| pack(&entry.key, entry.bytes)).collect())
    }

    /// Reads what a pack says of itself, without its content.
    pub async fn read_pack(&self, pack: PackUid) -> Result<PackContents, StoreError> {
        let store = self.clone();
        blocking(move || {
            let header = read_header(&store, pack)?;
            let end = read_end(&store, pack)?;
            let records = read_records(pack, &end.records()?)?;
            let n_blobs = u32::try_from(end.index.blobs.len()).unwrap_or(u32::MAX);
            Ok(PackContents {
                writer: header.writer,
                created_s: header.created_s,
                n_blobs,
                n_records: end.index.n_records,
                shared: end.index.shared().collect(),
                records,
            })
        })
        .await
    }

    /// Proves that a pack is what was written. [`StoreError::Damaged`] says where it is not.
    pub async fn check_pack(&self, pack: PackUid, depth: Depth) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            read_header(&store, pack)?;
            let end = read_end(&store, pack)?;
            check_stored(&store, pack, &end)?;
            read_records(pack, &end.records()?)?;
            match depth {
                Depth::Stored => Ok(()),
                Depth::Content => check_content(&store, pack, &end),
            }
        })
        .await
    }
}

pub(super) fn read_header(store: &Store, pack: PackUid) -> Result<Header, StoreError> {
    let bytes: Bytes = store.backend().get_range(&pack_key(pack), 0, HEADER_BYTES)?;
    let header = Header::decode(pack, &bytes)?;
    if header.store != store.description().store {
        return Err(Damage::new(pack, "header", format!("it belongs to store {}", header.store)).into());
    }
    Ok(header)
}

fn check_stored(store: &Store, pack: PackUid, end: &PackEnd) -> Result<(), StoreError> {
    let key = pack_key(pack);
    let mut hashing = blake3::Hasher::new();
    let mut at = 0;
    while at < end.trailer.index_offset {
        let len = WINDOW_BYTES.min(end.trailer.index_offset - at);
        hashing.update(&store.backend().get_range(&key, at, len as usize)?);
        at += len;
    }
    if hashing.finalize().as_bytes() == &end.trailer.data_hash {
        return Ok(());
    }
    Err(Damage::new(pack, "frames", "the hash over header and frames is wrong").into())
}

fn check_content(store: &Store, pack: PackUid, end: &PackEnd) -> Result<(), StoreError> {
    let mut blobs = end.index.blobs.clone();
    blobs.sort_by_key(|blob| (blob.frame, blob.offset));
    let mut open: Option<(u32, Vec<u8>)> = None;
    for blob in &blobs {
        let frame = match open.take() {
            Some((number, frame)) if number == blob.frame => frame,
            _ => {
                let place = end.index.frame(blob.frame)?;
                let stored = store.backend().get_range(&pack_key(pack), place.offset, place.stored as usize)?;
                end.index.open_frame(&end.cipher, blob.frame, &stored)?
            }
        };
        end.index.cut(blob, &frame, store.keys().id_key.expose())?;
        open = Some((blob.frame, frame));
    }
    Ok(())
}
