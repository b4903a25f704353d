//! Where content is cut, and what a piece is called. The same for every writer of a store, or nothing would be shared.

use std::fs::File;
use std::io::{Read, Take};

use bytes::Bytes;
use fastcdc::v2020::{FastCDC, Normalization, StreamCDC};
use serde::{Deserialize, Serialize};

use super::format::{BLOB_BYTES_MAX, BlobHash};
use super::keys::StoreKeys;
use crate::secret::Secret;

/// From this length on chunks are four times as large, and from the next on sixteen times, so that no item has more
/// than some 65,000 of them.
const LARGE_BYTES: u64 = 16 << 30;
const HUGE_BYTES: u64 = 64 << 30;
const SCALE_MAX: usize = 16;

/// The lengths of chunks at least, on average and at most. Content up to `max` is one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSizes {
    pub min: usize,
    pub average: usize,
    pub max: usize,
}

impl ChunkSizes {
    /// What new stores get: small enough to find small edits, large enough to be few.
    pub const DEFAULT: Self = Self { min: 64 << 10, average: 256 << 10, max: 1 << 20 };

    /// Whether the algorithm can work with them at every scale.
    pub fn sound(self) -> bool {
        let even = [self.min, self.average, self.max].iter().all(|size| size % 2 == 0);
        let Self { min, average, max } = self;
        even && min >= 64
            && (256..=max).contains(&average)
            && min <= average
            && max >= 1024
            && min <= fastcdc::v2020::MINIMUM_MAX / SCALE_MAX
            && average <= fastcdc::v2020::AVERAGE_MAX / SCALE_MAX
            && max <= BLOB_BYTES_MAX / SCALE_MAX
    }

    fn of(self, content_bytes: u64) -> Self {
        let scale = match content_bytes {
            0..LARGE_BYTES => 1,
            LARGE_BYTES..HUGE_BYTES => 4,
            HUGE_BYTES.. => SCALE_MAX,
        };
        Self { min: self.min * scale, average: self.average * scale, max: self.max * scale }
    }
}

/// Cuts and names the content of one store.
#[derive(Clone)]
pub struct Chunking {
    pub id_key: Secret<[u8; 32]>,
    seed: u64,
    sizes: ChunkSizes,
}

impl Chunking {
    pub fn new(keys: &StoreKeys, sizes: ChunkSizes) -> Self {
        Self { id_key: keys.id_key.clone(), seed: keys.chunk_seed, sizes }
    }

    pub fn hash(&self, plain: &[u8]) -> BlobHash {
        BlobHash::of(self.id_key.expose(), plain)
    }

    /// Content up to this length is one piece.
    pub fn whole_bytes_max(&self) -> usize {
        self.sizes.max
    }

    /// The pieces of content that is in memory.
    pub fn cut(&self, content: Bytes) -> Vec<Bytes> {
        if content.len() <= self.whole_bytes_max() {
            return vec![content];
        }
        let ChunkSizes { min, average, max } = self.sizes.of(content.len() as u64);
        FastCDC::with_level_and_seed(&content, min, average, max, Normalization::Level1, self.seed)
            .map(|chunk| content.slice(chunk.offset..chunk.offset + chunk.length))
            .collect()
    }

    /// The same pieces of content that is in a file.
    pub fn cut_file(&self, source: Take<File>, content_bytes: u64) -> StreamCDC<Take<File>> {
        let ChunkSizes { min, average, max } = self.sizes.of(content_bytes);
        StreamCDC::with_level_and_seed(source, min, average, max, Normalization::Level1, self.seed)
    }

    /// Where content that begins so is cut first. Certain once as much of it is there as the longest chunk has.
    pub fn first_cut(&self, start: &[u8], content_bytes: u64) -> usize {
        let ChunkSizes { min, average, max } = self.sizes.of(content_bytes);
        let mut chunks = FastCDC::with_level_and_seed(start, min, average, max, Normalization::Level1, self.seed);
        chunks.next().map_or(start.len(), |chunk| chunk.length)
    }

    /// The longest chunk that content of this length can have.
    pub fn chunk_bytes_max(&self, content_bytes: u64) -> usize {
        self.sizes.of(content_bytes).max
    }

    /// A hash over content as it comes.
    pub fn hashing(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(self.id_key.expose())
    }

    /// A file's first bytes and one more, so that a file that grew is noticed.
    pub fn bounded(file: File, content_bytes: u64) -> Take<File> {
        file.take(content_bytes.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_the_algorithm_cannot_take_are_not_sound() {
        let good = ChunkSizes::DEFAULT;
        assert!(good.sound());
        for bad in [
            ChunkSizes { min: 0, ..good },
            ChunkSizes { min: 65_537, ..good },
            ChunkSizes { min: good.max, ..good },
            ChunkSizes { average: 0, ..good },
            ChunkSizes { max: usize::MAX - 1, ..good },
            ChunkSizes { max: 2 << 20, ..good },
        ] {
            assert!(!bad.sound(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_file_has_a_bounded_number_of_chunks() {
        let n_chunks = |bytes: u64| bytes / ChunkSizes::DEFAULT.of(bytes).average as u64;
        for bytes in [LARGE_BYTES - 1, HUGE_BYTES - 1, 250 << 30] {
            assert!(n_chunks(bytes) <= 65_536, "{bytes}");
        }
    }
}
