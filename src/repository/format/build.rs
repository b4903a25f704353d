//! Builds one pack in memory.

use std::collections::HashSet;

use bytes::Bytes;

use super::cipher::Piece;
use super::index::plain_bytes;
use super::{
    ALIGNMENT, BlobEntry, BlobHash, BlobKind, Codec, FrameEntry, FrameKind, GROUP_BYTES_MAX, HEADER_BYTES, Header,
    Layout, PackCipher, PackIndex, PackKeys, SMALL_BLOB_BYTES_MAX, TRAILER_BYTES, Trailer, narrow,
};
use crate::ids::PackUid;

/// A pack that is being filled.
pub struct PackBuilder {
    header: Header,
    layout: Layout,
    cipher: PackCipher,
    parts: Vec<Bytes>,
    /// The bytes in `parts`.
    end: u64,
    hashing: blake3::Hasher,
    frames: Vec<FrameEntry>,
    blobs: Vec<BlobEntry>,
    known: HashSet<BlobHash>,
    group: Vec<u8>,
    /// Blobs in `group`, which become entries when it becomes a frame.
    grouped: Vec<(BlobHash, BlobKind, u32, u32)>,
}

/// A pack that is ready to be put.
#[derive(Clone, Debug)]
pub struct FinishedPack {
    pub uid: PackUid,
    pub parts: Vec<Bytes>,
    pub bytes: u64,
    pub index: PackIndex,
}

impl PackBuilder {
    pub fn new(header: Header, layout: Layout, keys: &PackKeys) -> Self {
        let head = Bytes::copy_from_slice(&header.encode());
        let mut hashing = blake3::Hasher::new();
        hashing.update(&head);
        Self {
            cipher: keys.of(header.pack),
            header,
            layout,
            parts: vec![head],
            end: HEADER_BYTES as u64,
            hashing,
            frames: Vec::new(),
            blobs: Vec::new(),
            known: HashSet::new(),
            group: Vec::new(),
            grouped: Vec::new(),
        }
    }

    pub fn uid(&self) -> PackUid {
        self.header.pack
    }

    /// About how long the pack would be if it were finished now, its records aside.
    pub fn bytes(&self) -> u64 {
        self.end + self.group.len() as u64 + plain_bytes(self.frames.len(), self.known.len()) as u64
    }

    /// Adds a blob unless the pack has it. `plain` is at most [`super::BLOB_BYTES_MAX`] long.
    ///
    /// Returns the bytes that it adds to the pack; those of a small blob before they are compressed with others.
    pub fn append(&mut self, hash: BlobHash, kind: BlobKind, plain: &[u8]) -> u64 {
        if !self.known.insert(hash) {
            return 0;
        }
        let alone =
            plain.len() >= SMALL_BLOB_BYTES_MAX || (self.layout == Layout::Aligned && matches!(kind, BlobKind::Shared));
        if alone {
            let codec = match self.layout {
                Layout::Packed => Codec::Zstd,
                Layout::Aligned => Codec::Raw,
            };
            let before = self.end;
            let frame = self.write_frame(FrameKind::Single, plain, codec);
            self.blobs.push(BlobEntry { hash, frame, offset: 0, len: narrow(plain.len()), kind });
            return self.end - before;
        }
        if self.group.len() + plain.len() > GROUP_BYTES_MAX {
            self.close_group();
        }
        self.grouped.push((hash, kind, narrow(self.group.len()), narrow(plain.len())));
        self.group.extend_from_slice(plain);
        plain.len() as u64
    }

    fn close_group(&mut self) {
        if self.grouped.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        let frame = self.write_frame(FrameKind::Group, &group, Codec::Zstd);
        for (hash, kind, offset, len) in self.grouped.drain(..) {
            self.blobs.push(BlobEntry { hash, frame, offset, len, kind });
        }
    }

    fn write_frame(&mut self, kind: FrameKind, plain: &[u8], codec: Codec) -> u32 {
        if self.layout == Layout::Aligned {
            self.pad_to(self.end.next_multiple_of(ALIGNMENT));
        }
        let number = narrow(self.frames.len());
        let (stored, codec) = self.cipher.close(Piece::Frame(number, kind), plain, codec);
        self.frames.push(FrameEntry {
            offset: self.end,
            stored: narrow(stored.len()),
            plain: narrow(plain.len()),
            crc: crc32c::crc32c(&stored),
            codec,
            kind,
        });
        self.write(stored.into());
        number
    }

    fn write(&mut self, bytes: Bytes) {
        self.hashing.update(&bytes);
        self.end += bytes.len() as u64;
        self.parts.push(bytes);
    }

    fn pad_to(&mut self, offset: u64) {
        let missing = usize::try_from(offset - self.end).expect("less than a block is missing");
        if missing > 0 {
            self.write(vec![0; missing].into());
        }
    }

    /// Closes the pack with `records`, a sequence of `n_records` CBOR items.
    pub fn finish(mut self, records: &[u8], n_records: u32) -> FinishedPack {
        self.close_group();
        if self.layout == Layout::Aligned {
            self.pad_to(self.end.next_multiple_of(ALIGNMENT));
        }
        self.blobs.sort_by_key(|blob| blob.hash);
        let index = PackIndex {
            pack: self.header.pack,
            n_records,
            frames: std::mem::take(&mut self.frames),
            blobs: std::mem::take(&mut self.blobs),
        };
        let data_hash = *self.hashing.finalize().as_bytes();
        let stored_index = self.cipher.close_section(Piece::Index, &index.encode());
        let stored_records = self.cipher.close_section(Piece::Records, records);
        let mut trailer = Trailer {
            data_hash,
            sections_hash: [0; 32],
            index_offset: self.end,
            index_stored: narrow(stored_index.len()),
            index_plain: narrow(index.plain_bytes()),
            records_stored: narrow(stored_records.len()),
            records_plain: narrow(records.len()),
        };
        self.hashing.reset();
        self.write(stored_index.into());
        self.write(stored_records.into());
        if self.layout == Layout::Aligned {
            let whole = (self.end + TRAILER_BYTES as u64).next_multiple_of(ALIGNMENT);
            self.pad_to(whole - TRAILER_BYTES as u64);
        }
        trailer.sections_hash = *self.hashing.finalize().as_bytes();
        self.write(Bytes::copy_from_slice(&trailer.encode()));
        FinishedPack { uid: self.header.pack, parts: self.parts, bytes: self.end, index }
    }
}
