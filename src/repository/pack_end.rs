//! The end of a pack: where everything in it is.

use bytes::Bytes;

use super::format::{Damage, PackCipher, PackIndex, PackKeys, TRAILER_BYTES, Trailer};
use super::store::pack_key;
use super::{Store, StoreError};
use crate::backends::Backend;
use crate::ids::PackUid;

/// How much of a pack's end is read at first: enough for the index of most packs.
const TAIL_BYTES: usize = 128 << 10;

/// The end of a pack as it is stored: to look at it takes no key.
pub(super) struct StoredEnd {
    pub pack_bytes: u64,
    pub trailer: Trailer,
    pub index: Bytes,
    pub records: Bytes,
}

/// The end of a pack: all that is needed to find what is in it.
pub(super) struct PackEnd {
    pub index: PackIndex,
    pub trailer: Trailer,
    pub cipher: PackCipher,
    stored_records: Bytes,
}

impl StoredEnd {
    pub fn open(self, pack: PackUid, keys: &PackKeys) -> Result<PackEnd, Damage> {
        let cipher = keys.of(pack);
        let index = PackIndex::open(&cipher, pack, &self.trailer, &self.index)?;
        Ok(PackEnd { index, trailer: self.trailer, cipher, stored_records: self.records })
    }
}

impl PackEnd {
    /// The plain records section.
    pub fn records(&self) -> Result<Vec<u8>, Damage> {
        PackIndex::open_records(&self.cipher, &self.trailer, &self.stored_records)
    }
}

/// Reads the end of a pack; usually one read. Blocks.
pub(super) fn read_end(store: &Store, pack: PackUid) -> Result<PackEnd, StoreError> {
    Ok(read_stored_end(store.backend(), pack)?.open(pack, &store.keys().packs)?)
}

/// Reads the end of a pack and proves that index and records are as they were written. Blocks.
pub(super) fn read_stored_end(backend: &dyn Backend, pack: PackUid) -> Result<StoredEnd, StoreError> {
    let (trailer, pack_bytes, sections) = read_sections(backend, pack, Trailer::decode)?;
    let (index, records) = trailer.split(pack, &sections)?;
    let (index, records) = (sections.slice_ref(index), sections.slice_ref(records));
    Ok(StoredEnd { pack_bytes, trailer, index, records })
}

/// How the end of a file becomes a trailer.
type Decode = fn(PackUid, &[u8], u64) -> Result<Trailer, Damage>;

/// Reads trailer, length and sections of a pack, whose hash is not looked at yet. Blocks.
pub(super) fn read_sections(
    backend: &dyn Backend,
    pack: PackUid,
    decode: Decode,
) -> Result<(Trailer, u64, Bytes), StoreError> {
    let key = pack_key(pack);
    let tail = backend.get_tail(&key, TAIL_BYTES)?;
    let trailer = decode(pack, &tail.bytes, tail.object_bytes)?;
    let sections_bytes = usize::try_from(trailer.sections_bytes(tail.object_bytes)).unwrap_or(usize::MAX);
    let sections = match (tail.bytes.len() - TRAILER_BYTES).checked_sub(sections_bytes) {
        Some(before) => tail.bytes.slice(before..before + sections_bytes),
        None => backend.get_range(&key, trailer.index_offset, sections_bytes)?,
    };
    Ok((trailer, tail.object_bytes, sections))
}
