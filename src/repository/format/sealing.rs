//! Compresses and encrypts the pieces of packs, one after the other, with one compressor and one buffer.

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::cipher::Piece;
use super::{Codec, PackCipher};

/// What a level means to zstd; readers do not depend on it.
pub const ZSTD_LEVEL_DEFAULT: i32 = 3;
/// What encryption appends.
const TAG_BYTES: usize = 16;

/// What pieces are made with. As large in memory as the largest of them.
pub struct Sealing {
    zstd: Compressor<'static>,
    body: Vec<u8>,
}

impl Sealing {
    pub fn new(zstd_level: i32) -> Self {
        let zstd = Compressor::new(zstd_level).expect("a context without a dictionary needs memory only");
        Self { zstd, body: Vec::new() }
    }

    /// Compresses if asked to and if it helps, then encrypts if the store does.
    pub fn close(&mut self, cipher: &PackCipher, piece: Piece, plain: &[u8], codec: Codec) -> (&[u8], Codec) {
        let codec = match codec {
            Codec::Raw => Codec::Raw,
            Codec::Zstd if self.compress(plain) && self.body.len() < plain.len() => Codec::Zstd,
            Codec::Zstd => Codec::Raw,
        };
        if codec == Codec::Raw {
            self.body.clear();
            self.body.extend_from_slice(plain);
        }
        cipher.seal(piece, &mut self.body);
        (&self.body, codec)
    }

    /// The index and the records are always one zstd frame, so that no codec need be kept for them.
    pub fn close_section(&mut self, cipher: &PackCipher, piece: Piece, plain: &[u8]) -> &[u8] {
        assert!(self.compress(plain), "zstd into a buffer of its own bound cannot fail");
        cipher.seal(piece, &mut self.body);
        &self.body
    }

    fn compress(&mut self, plain: &[u8]) -> bool {
        self.body.clear();
        self.body.reserve(compress_bound(plain.len()) + TAG_BYTES);
        self.zstd.compress_to_buffer(plain, &mut self.body).is_ok()
    }
}
