//! What a pack holds: its frames and, ordered by id, the blobs in them.

use super::cipher::{Piece, Scratch, TAG_BYTES};
use super::{BLOB_BYTES_MAX, BlobHash, Damage, Fields, HEADER_BYTES, PackCipher, Trailer, narrow};
use crate::ids::{BlobId, PackUid};

const HEAD_BYTES: usize = 32;
const FRAME_BYTES: usize = 24;
const BLOB_BYTES: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// One blob.
    Single,
    /// Several small blobs, one behind the other.
    Group,
}

impl FrameKind {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Single => b'S',
            Self::Group => b'G',
        }
    }
}

/// What a blob is, for those who look at a pack without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// A part of some content: it can be shared and is found through the catalog.
    Shared,
    /// How content is put together; in the same pack as the item's record or in an earlier one.
    Recipe,
    /// The properties of one item, JSON.
    Properties,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameEntry {
    pub offset: u64,
    pub stored: u32,
    pub plain: u32,
    pub crc: u32,
    pub codec: Codec,
    pub kind: FrameKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    pub hash: BlobHash,
    pub frame: u32,
    /// In the plain bytes of the frame.
    pub offset: u32,
    pub len: u32,
    pub kind: BlobKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackIndex {
    pub pack: PackUid,
    pub n_records: u32,
    pub frames: Vec<FrameEntry>,
    /// In ascending order of their ids, each once.
    pub blobs: Vec<BlobEntry>,
}

impl PackIndex {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.plain_bytes());
        out.extend_from_slice(self.pack.as_bytes());
        out.extend_from_slice(&narrow(self.frames.len()).to_le_bytes());
        out.extend_from_slice(&narrow(self.blobs.len()).to_le_bytes());
        out.extend_from_slice(&self.n_records.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for frame in &self.frames {
            let codec = match frame.codec {
                Codec::Raw => 0,
                Codec::Zstd => 1,
            };
            out.extend_from_slice(&frame.offset.to_le_bytes());
            out.extend_from_slice(&frame.stored.to_le_bytes());
            out.extend_from_slice(&frame.plain.to_le_bytes());
            out.extend_from_slice(&frame.crc.to_le_bytes());
            out.extend_from_slice(&[codec, frame.kind.letter(), 0, 0]);
        }
        for blob in &self.blobs {
            let kind = match blob.kind {
                BlobKind::Shared => 0,
                BlobKind::Recipe => 1,
                BlobKind::Properties => 2,
            };
            out.extend_from_slice(blob.hash.as_bytes());
            out.extend_from_slice(&blob.frame.to_le_bytes());
            out.extend_from_slice(&blob.offset.to_le_bytes());
            out.extend_from_slice(&blob.len.to_le_bytes());
            out.extend_from_slice(&[kind, 0, 0, 0]);
        }
        out
    }

    pub(super) fn plain_bytes(&self) -> usize {
        plain_bytes(self.frames.len(), self.blobs.len())
    }

    /// Opens the stored index of `pack`, which lies where its trailer says.
    pub fn open(cipher: &PackCipher, pack: PackUid, trailer: &Trailer, stored: &[u8]) -> Result<Self, Damage> {
        let plain = cipher.open(Piece::Index, stored, Codec::Zstd, trailer.index_plain as usize)?;
        Self::decode_plain(pack, &plain, trailer.index_offset)
    }

    /// Reads the plain index of `pack`, whose frames end before `index_offset`.
    pub fn decode_plain(pack: PackUid, plain: &[u8], index_offset: u64) -> Result<Self, Damage> {
        let index = Self::decode(pack, plain)?;
        index.check(index_offset).map_err(|what| Damage::new(pack, "index", what))?;
        Ok(index)
    }

    /// Opens the stored records of a pack: a sequence of CBOR items.
    pub fn open_records(cipher: &PackCipher, trailer: &Trailer, stored: &[u8]) -> Result<Vec<u8>, Damage> {
        cipher.open(Piece::Records, stored, Codec::Zstd, trailer.records_plain as usize)
    }

    fn decode(pack: PackUid, plain: &[u8]) -> Result<Self, Damage> {
        let damage = |what: &str| Damage::new(pack, "index", what);
        let mut fields = Fields(plain);
        let head = (|| {
            Some((PackUid::from_bytes(fields.take()?), fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?))
        })();
        let (named, n_frames, n_blobs, n_records, _) = head.ok_or_else(|| damage("it is cut short"))?;
        if named != pack {
            return Err(damage(&format!("it belongs to pack {named}")));
        }
        if plain.len() as u64 != HEAD_BYTES as u64 + u64::from(n_frames) * 24 + u64::from(n_blobs) * 48 {
            return Err(damage("its length does not fit its counts"));
        }
        let frames = (0..n_frames).map(|_| read_frame(&mut fields)).collect::<Option<Vec<_>>>();
        let blobs = (0..n_blobs).map(|_| read_blob(&mut fields)).collect::<Option<Vec<_>>>();
        match (frames, blobs) {
            (Some(frames), Some(blobs)) => Ok(Self { pack, n_records, frames, blobs }),
            _ => Err(damage("it holds a codec or a kind that this version of kodo does not know")),
        }
    }

    fn check(&self, index_offset: u64) -> Result<(), String> {
        let mut end = HEADER_BYTES as u64;
        for (number, frame) in self.frames.iter().enumerate() {
            let frame_end = frame.offset.checked_add(u64::from(frame.stored));
            if frame.offset < end || frame_end.is_none_or(|frame_end| frame_end > index_offset) {
                return Err(format!("frame {number} does not lie between the frame before and the index"));
            }
            if frame.plain as usize > BLOB_BYTES_MAX {
                return Err(format!("frame {number} is larger than the format allows"));
            }
            if frame.stored as usize > frame.plain as usize + TAG_BYTES {
                return Err(format!("frame {number} is longer than what is in it"));
            }
            end = frame_end.unwrap_or(end);
        }
        let mut before: Option<&BlobHash> = None;
        for blob in &self.blobs {
            let frame = self.frames.get(blob.frame as usize).ok_or("a blob names a frame that does not exist")?;
            if u64::from(blob.offset) + u64::from(blob.len) > u64::from(frame.plain) {
                return Err(format!("blob {} reaches beyond its frame", blob.hash.id()));
            }
            if before.is_some_and(|before| *before >= blob.hash) {
                return Err("the blobs are not in order".to_owned());
            }
            before = Some(&blob.hash);
        }
        Ok(())
    }

    /// The entry of a blob.
    pub fn find(&self, id: BlobId) -> Option<&BlobEntry> {
        let at = self.blobs.partition_point(|blob| blob.hash.id() < id);
        self.blobs.get(at).filter(|blob| blob.hash.id() == id)
    }

    /// The blobs that can be shared, with their lengths, in ascending order.
    pub fn shared(&self) -> impl Iterator<Item = (BlobId, u32)> {
        let shared = self.blobs.iter().filter(|blob| blob.kind == BlobKind::Shared);
        shared.map(|blob| (blob.hash.id(), blob.len))
    }

    /// The entry of a frame.
    pub fn frame(&self, number: u32) -> Result<&FrameEntry, Damage> {
        let missing = || Damage::new(self.pack, "index", format!("there is no frame {number}"));
        self.frames.get(number as usize).ok_or_else(missing)
    }

    /// Checks, decrypts and decompresses one stored frame.
    pub fn open_frame(&self, cipher: &PackCipher, number: u32, stored: &[u8]) -> Result<Vec<u8>, Damage> {
        let frame = self.check_frame(number, stored)?;
        cipher.open(Piece::Frame(number, frame.kind), stored, frame.codec, frame.plain as usize)
    }

    /// As [`Self::open_frame`], with what buffers that are used again can spare it.
    pub fn take_frame(
        &self,
        cipher: &PackCipher,
        scratch: &mut Scratch,
        number: u32,
        stored: &[u8],
    ) -> Result<Vec<u8>, Damage> {
        let frame = self.check_frame(number, stored)?;
        cipher.take_with(scratch, Piece::Frame(number, frame.kind), stored, frame.codec, frame.plain as usize)
    }

    /// As [`Self::open_frame`], into buffers that are used again.
    pub fn open_frame_with<'a>(
        &self,
        cipher: &PackCipher,
        scratch: &'a mut Scratch,
        number: u32,
        stored: &'a [u8],
    ) -> Result<&'a [u8], Damage> {
        let frame = self.check_frame(number, stored)?;
        cipher.open_with(scratch, Piece::Frame(number, frame.kind), stored, frame.codec, frame.plain as usize)
    }

    /// Compares the stored bytes of a frame with their checksum, which needs no key.
    pub fn check_frame(&self, number: u32, stored: &[u8]) -> Result<&FrameEntry, Damage> {
        let frame = self.frame(number)?;
        if stored.len() != frame.stored as usize || crc32c::crc32c(stored) != frame.crc {
            return Err(Damage::new(self.pack, format!("frame {number}"), "its checksum is wrong"));
        }
        Ok(frame)
    }

    /// Cuts a blob out of the plain bytes of its frame and proves that it is the right one.
    pub fn cut<'a>(&self, blob: &BlobEntry, frame: &'a [u8], id_key: &[u8; 32]) -> Result<&'a [u8], Damage> {
        let damage = |what: &str| Damage::new(self.pack, format!("blob {}", blob.hash.id()), what);
        let start = blob.offset as usize;
        let plain = frame.get(start..start + blob.len as usize).ok_or_else(|| damage("its frame is too short"))?;
        if BlobHash::of(id_key, plain) != blob.hash {
            return Err(damage("its content does not have its hash"));
        }
        Ok(plain)
    }

    /// About what the index takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.frames.len() * size_of::<FrameEntry>() + self.blobs.len() * size_of::<BlobEntry>()
    }
}

/// The plain length of an index.
pub(super) fn plain_bytes(n_frames: usize, n_blobs: usize) -> usize {
    HEAD_BYTES + n_frames * FRAME_BYTES + n_blobs * BLOB_BYTES
}

fn read_frame(fields: &mut Fields<'_>) -> Option<FrameEntry> {
    let (offset, stored, plain, crc) = (fields.u64()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let codec = match fields.u8()? {
        0 => Codec::Raw,
        1 => Codec::Zstd,
        _ => return None,
    };
    let kind = match fields.u8()? {
        b'S' => FrameKind::Single,
        b'G' => FrameKind::Group,
        _ => return None,
    };
    fields.u16()?;
    Some(FrameEntry { offset, stored, plain, crc, codec, kind })
}

fn read_blob(fields: &mut Fields<'_>) -> Option<BlobEntry> {
    let hash = BlobHash::from_bytes(fields.take()?);
    let (frame, offset, len) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let kind = match fields.u8()? {
        0 => BlobKind::Shared,
        1 => BlobKind::Recipe,
        2 => BlobKind::Properties,
        _ => return None,
    };
    fields.take::<3>()?;
    Some(BlobEntry { hash, frame, offset, len, kind })
}
