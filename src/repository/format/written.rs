//! The bytes of a pack as they come, and the hash over them.

use bytes::Bytes;

/// Bytes are gathered in parts of this length: few writes, and no more memory than the pack has bytes.
const PART_BYTES: usize = 1 << 20;

#[derive(Default)]
pub struct Written {
    parts: Vec<Bytes>,
    /// What follows `parts`, not hashed yet.
    part: Vec<u8>,
    end: u64,
    hashing: blake3::Hasher,
}

impl Written {
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn put(&mut self, bytes: &[u8]) {
        if self.part.len() + bytes.len() > PART_BYTES {
            self.close_part();
        }
        if self.part.capacity() == 0 {
            self.part.reserve_exact(PART_BYTES.max(bytes.len()));
        }
        self.part.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    pub fn pad_to(&mut self, offset: u64) {
        let missing = usize::try_from(offset - self.end).expect("less than a block is missing");
        self.put(&vec![0; missing]);
    }

    /// The hash over everything since the beginning or the last call.
    pub fn take_hash(&mut self) -> [u8; 32] {
        self.close_part();
        let hash = *self.hashing.finalize().as_bytes();
        self.hashing.reset();
        hash
    }

    pub fn finish(mut self) -> Vec<Bytes> {
        self.close_part();
        self.parts
    }

    fn close_part(&mut self) {
        if self.part.is_empty() {
            return;
        }
        let mut part = std::mem::take(&mut self.part);
        // At once, so that all lanes of the processor have work.
        self.hashing.update(&part);
        part.shrink_to_fit();
        self.parts.push(part.into());
    }
}
