//! Builds one pack in memory.

use std::collections::HashSet;

use bytes::Bytes;

use super::cipher::Piece;
use super::index::plain_bytes;
use super::sealing::{Sealing, ZSTD_LEVEL_DEFAULT};
use super::written::Written;
use super::{
    ALIGNMENT, BlobEntry, BlobHash, BlobKind, Codec, FrameEntry, FrameKind, GROUP_BYTES_MAX, Header, Layout,
    PackCipher, PackIndex, PackKeys, SMALL_BLOB_BYTES_MAX, TRAILER_BYTES, Trailer, narrow,
};
use crate::ids::PackUid;

/// A pack that is being filled.
pub struct PackBuilder {
    header: Header,
    layout: Layout,
    cipher: PackCipher,
    sealing: Sealing,
    written: Written,
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
        let mut written = Written::default();
        written.put(&header.encode());
        Self {
            cipher: keys.of(header.pack),
            sealing: Sealing::new(ZSTD_LEVEL_DEFAULT),
            header,
            layout,
            written,
            frames: Vec::new(),
            blobs: Vec::new(),
            known: HashSet::new(),
            group: Vec::new(),
            grouped: Vec::new(),
        }
    }

    /// Compresses harder or faster than by default.
    pub fn with_level(mut self, zstd_level: i32) -> Self {
        self.sealing = Sealing::new(zstd_level);
        self
    }

    pub fn uid(&self) -> PackUid {
        self.header.pack
    }

    /// About how long the pack would be if it were finished now, its records aside.
    pub fn bytes(&self) -> u64 {
        self.written.end() + self.group.len() as u64 + plain_bytes(self.frames.len(), self.known.len()) as u64
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
            let before = self.written.end();
            let frame = self.write_frame(FrameKind::Single, plain, codec);
            self.blobs.push(BlobEntry { hash, frame, offset: 0, len: narrow(plain.len()), kind });
            return self.written.end() - before;
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
        let mut group = std::mem::take(&mut self.group);
        let frame = self.write_frame(FrameKind::Group, &group, Codec::Zstd);
        group.clear();
        self.group = group;
        for (hash, kind, offset, len) in self.grouped.drain(..) {
            self.blobs.push(BlobEntry { hash, frame, offset, len, kind });
        }
    }

    fn write_frame(&mut self, kind: FrameKind, plain: &[u8], codec: Codec) -> u32 {
        self.align();
        let number = narrow(self.frames.len());
        let (stored, codec) = self.sealing.close(&self.cipher, Piece::Frame(number, kind), plain, codec);
        self.frames.push(FrameEntry {
            offset: self.written.end(),
            stored: narrow(stored.len()),
            plain: narrow(plain.len()),
            crc: crc32c::crc32c(stored),
            codec,
            kind,
        });
        self.written.put(stored);
        number
    }

    /// What follows begins on a block in the aligned layout.
    fn align(&mut self) {
        if self.layout == Layout::Aligned {
            self.written.pad_to(self.written.end().next_multiple_of(ALIGNMENT));
        }
    }

    /// Closes the pack with `records`, a sequence of `n_records` CBOR items.
    pub fn finish(mut self, records: &[u8], n_records: u32) -> FinishedPack {
        self.close_group();
        self.align();
        self.blobs.sort_by_key(|blob| blob.hash);
        let index = PackIndex {
            pack: self.header.pack,
            n_records,
            frames: std::mem::take(&mut self.frames),
            blobs: std::mem::take(&mut self.blobs),
        };
        let mut trailer = Trailer {
            data_hash: self.written.take_hash(),
            sections_hash: [0; 32],
            index_offset: self.written.end(),
            index_stored: 0,
            index_plain: narrow(index.plain_bytes()),
            records_stored: 0,
            records_plain: narrow(records.len()),
        };
        trailer.index_stored = self.write_section(Piece::Index, &index.encode());
        trailer.records_stored = self.write_section(Piece::Records, records);
        if self.layout == Layout::Aligned {
            let whole = (self.written.end() + TRAILER_BYTES as u64).next_multiple_of(ALIGNMENT);
            self.written.pad_to(whole - TRAILER_BYTES as u64);
        }
        trailer.sections_hash = self.written.take_hash();
        self.written.put(&trailer.encode());
        let bytes = self.written.end();
        FinishedPack { uid: self.header.pack, parts: self.written.finish(), bytes, index }
    }

    fn write_section(&mut self, piece: Piece, plain: &[u8]) -> u32 {
        let stored = self.sealing.close_section(&self.cipher, piece, plain);
        self.written.put(stored);
        narrow(stored.len())
    }
}
