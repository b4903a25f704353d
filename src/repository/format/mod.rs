//! Format 1 of a pack, to the byte: `docs/FORMAT.md` in code.
//!
//! Owns: how a pack is built and read back, and every check between bytes of a disk and values in memory. Pure: it
//! neither reads nor writes a storage. Does not own: what the records mean, which blobs exist elsewhere.
//!
//! Invariants: numbers are little-endian; every length and offset is checked before it is used or allocated; whatever
//! is wrong with a pack comes back as [`Damage`] that names pack and place.

mod build;
mod cipher;
mod header;
mod index;
mod sealing;
#[cfg(test)]
mod tests;
mod trailer;
mod written;

use crate::ids::{BlobId, PackUid};

pub use build::{FinishedPack, PackBuilder};
pub use cipher::{PackCipher, PackKeys, Scratch};
pub use header::{HEADER_BYTES, Header};
pub use index::{BlobEntry, BlobKind, Codec, FrameEntry, FrameKind, PackIndex};
pub use sealing::ZSTD_LEVEL_DEFAULT;
pub use trailer::{TRAILER_BYTES, Trailer};

pub const FORMAT: u16 = 1;
/// Blobs smaller than this share a frame.
pub const SMALL_BLOB_BYTES_MAX: usize = 64 << 10;
/// Plain bytes of a frame of small blobs.
pub const GROUP_BYTES_MAX: usize = 256 << 10;
/// Plain bytes of one blob, and so of any frame.
pub const BLOB_BYTES_MAX: usize = 16 << 20;
/// Plain bytes of the index or the records of one pack.
pub const SECTION_BYTES_MAX: usize = 64 << 20;
/// Where blobs begin in the aligned layout: the block of a deduplicating volume below.
pub const ALIGNMENT: u64 = 4096;

/// How blobs lie in packs, chosen once for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Compressed, one behind the other.
    Packed,
    /// Shared blobs uncompressed on 4 KiB boundaries, so that a deduplicating volume below finds them again.
    Aligned,
}

/// The keyed BLAKE3 of a blob's plain content, in full. The first 16 bytes are its [`BlobId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash([u8; 32]);

impl BlobHash {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn of(id_key: &[u8; 32], plain: &[u8]) -> Self {
        Self(*blake3::keyed_hash(id_key, plain).as_bytes())
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn id(&self) -> BlobId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        BlobId::from_bytes(id)
    }
}

impl std::fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobHash({})", hex::encode(self.0))
    }
}

/// Bytes of a pack are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pack {pack} is damaged in its {place}: {what}")]
pub struct Damage {
    pub pack: PackUid,
    pub place: String,
    pub what: String,
}

impl Damage {
    pub(super) fn new(pack: PackUid, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { pack, place: place.into(), what: what.into() }
    }
}

/// Takes fixed-width numbers off the front of bytes; `None` once they are too few.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// A count or length that is known to be below 2^32 by the bounds above.
fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("bounded far below 4 GiB by the limits of the format")
}
