//! quickXorHash, the only hash a business drive tells of a file. Every byte is rotated by 11 bits
//! more than the one before, so after 160 bytes the rotation is back where it began: bytes 160
//! apart fall upon each other, and a file of any size is one row of 160 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// After so many bytes the rotation repeats.
pub const ROW: usize = 160;
const WORD: usize = 8;
const HASH: usize = 20;
const SHIFT: usize = 11;
const HASH_BITS: usize = 160;

#[derive(Clone, Debug, Default)]
pub struct QuickXor {
    row: [u64; ROW / WORD],
    at: usize,
    len: u64,
}

impl QuickXor {
    pub fn update(&mut self, mut data: &[u8]) {
        self.len += data.len() as u64;
        while !self.at.is_multiple_of(WORD)
            && let Some((byte, rest)) = data.split_first()
        {
            self.put(*byte);
            data = rest;
        }
        let mut words = data.chunks_exact(WORD);
        for chunk in &mut words {
            let mut word = [0u8; WORD];
            word.copy_from_slice(chunk);
            self.row[self.at / WORD] ^= u64::from_le_bytes(word);
            self.at = (self.at + WORD) % ROW;
        }
        for byte in words.remainder() {
            self.put(*byte);
        }
    }

    /// Takes `len` bytes at once whose row is known; only where a row begins, and for whole rows.
    pub fn update_rows(&mut self, row: &[u64; ROW / WORD], len: u64) {
        debug_assert!(self.at == 0 && len.is_multiple_of(ROW as u64), "rows only");
        for (have, more) in self.row.iter_mut().zip(row) {
            *have ^= more;
        }
        self.len += len;
    }

    pub fn row(&self) -> &[u64; ROW / WORD] {
        &self.row
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(self.digest())
    }

    fn put(&mut self, byte: u8) {
        self.row[self.at / WORD] ^= u64::from(byte) << (self.at % WORD * 8);
        self.at = (self.at + 1) % ROW;
    }

    fn digest(&self) -> [u8; HASH] {
        let mut out = [0u8; HASH];
        let bytes = self.row.iter().flat_map(|word| word.to_le_bytes());
        for (index, byte) in bytes.enumerate() {
            let bit = index * SHIFT % HASH_BITS;
            let spread = u16::from(byte) << (bit % 8);
            let [low, high] = spread.to_le_bytes();
            out[bit / 8] ^= low;
            out[(bit / 8 + 1) % HASH] ^= high;
        }
        for (slot, byte) in out[HASH - WORD..].iter_mut().zip(self.len.to_le_bytes()) {
            *slot ^= byte;
        }
        out
    }
}

pub fn of(data: &[u8]) -> String {
    let mut hash = QuickXor::default();
    hash.update(data);
    hash.base64()
}

#[cfg(test)]
mod tests {
    use super::{QuickXor, of};

    #[test]
    fn the_hash_has_the_published_vectors() {
        let all: Vec<u8> = (0..=255).collect();
        for (data, expected) in [
            (&b""[..], "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            (&[0x4a], "SgAAAAAAAAAAAAAAAQAAAAAAAAA="),
            (&[0xb5, 0xb4], "taAFAAAAAAAAAAAAAgAAAAAAAAA="),
            (b"abc", "YRDDGAAAAAAAAAAAAwAAAAAAAAA="),
            (b"hello world", "aCgDG9jwBhDc4Q1yawMZAAAAAAA="),
            (&all, "QkGEfSisZcA7k+FCh71r2dbCayY="),
            (&[0; 1000], "AAAAAAAAAAAAAAAA6AMAAAAAAAA="),
            (&vec![b'x'; 1024 * 1024], "FKMYxShGMYpRjGIU29jWNraxjW0="),
        ] {
            assert_eq!(of(data), expected, "{} bytes", data.len());
        }
    }

    #[test]
    fn pieces_of_any_length_give_the_hash_of_the_whole() {
        let data: Vec<u8> = (0..5000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut hash = QuickXor::default();
        for piece in data.chunks(37) {
            hash.update(piece);
        }
        assert_eq!(hash.base64(), of(&data));
    }
}
