//! quickXorHash, by which OneDrive and SharePoint say what is in a file.
//!
//! Each byte is shifted by 11 bits more than the one before, around a circle of 160 bits, so bytes 160 apart fall on the
//! same place: they are put together first, and shifted once at the end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// After this many bytes the places repeat.
const CIRCLE: usize = 160;
const WORD: usize = 8;
const SHIFT_BITS: usize = 11;
const HASH_BYTES: usize = 20;

/// A hash over content as it comes.
#[derive(Clone, Debug)]
pub(super) struct QuickXor {
    circle: [u64; CIRCLE / WORD],
    bytes: u64,
}

impl Default for QuickXor {
    fn default() -> Self {
        Self { circle: [0; CIRCLE / WORD], bytes: 0 }
    }
}

impl QuickXor {
    /// How many bytes there were so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn update(&mut self, content: &[u8]) {
        let place = (self.bytes % CIRCLE as u64) as usize;
        self.bytes += content.len() as u64;
        let to_word = (WORD - place % WORD) % WORD;
        let (head, rest) = content.split_at(to_word.min(content.len()));
        self.single(place, head);
        let mut place = (place + head.len()) % CIRCLE;
        let mut words = rest.chunks_exact(WORD);
        for word in &mut words {
            let mut bytes = [0; WORD];
            bytes.copy_from_slice(word);
            self.circle[place / WORD] ^= u64::from_le_bytes(bytes);
            place = (place + WORD) % CIRCLE;
        }
        self.single(place, words.remainder());
    }

    fn single(&mut self, place: usize, bytes: &[u8]) {
        for (place, byte) in (place..).zip(bytes) {
            self.circle[place / WORD] ^= u64::from(*byte) << (8 * (place % WORD));
        }
    }

    /// As the service writes it.
    pub(super) fn base64(&self) -> String {
        let mut hash = [0u8; HASH_BYTES];
        for (place, byte) in self.circle.iter().flat_map(|word| word.to_le_bytes()).enumerate() {
            let bit = place * SHIFT_BITS % (8 * HASH_BYTES);
            let shifted = u16::from(byte) << (bit % 8);
            let [low, high] = shifted.to_le_bytes();
            hash[bit / 8] ^= low;
            hash[(bit / 8 + 1) % HASH_BYTES] ^= high;
        }
        for (at, byte) in hash[HASH_BYTES - WORD..].iter_mut().zip(self.bytes.to_le_bytes()) {
            *at ^= byte;
        }
        STANDARD.encode(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &[u8]) -> String {
        let mut hash = QuickXor::default();
        hash.update(content);
        hash.base64()
    }

    #[test]
    fn content_has_the_hash_that_microsoft_publishes() {
        let all: Vec<u8> = (0..=255).collect();
        for (content, hash) in [
            (&b""[..], "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            (b"\x4a", "SgAAAAAAAAAAAAAAAQAAAAAAAAA="),
            (b"\xb5\xb4", "taAFAAAAAAAAAAAAAgAAAAAAAAA="),
            (b"abc", "YRDDGAAAAAAAAAAAAwAAAAAAAAA="),
            (b"hello world", "aCgDG9jwBhDc4Q1yawMZAAAAAAA="),
            (&all, "QkGEfSisZcA7k+FCh71r2dbCayY="),
            (&[0; 1000], "AAAAAAAAAAAAAAAA6AMAAAAAAAA="),
            (&vec![b'x'; 1 << 20], "FKMYxShGMYpRjGIU29jWNraxjW0="),
        ] {
            assert_eq!(of(content), hash, "{} bytes", content.len());
        }
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_content_comes() {
        let content: Vec<u8> = (0..2000u32).map(|n| (n * 7 + n / 13) as u8).collect();
        for piece in [1, 3, 8, 13, 159, 160, 161, 1999] {
            let mut hash = QuickXor::default();
            content.chunks(piece).for_each(|piece| hash.update(piece));
            assert_eq!(hash.base64(), of(&content), "pieces of {piece}");
        }
    }
}
