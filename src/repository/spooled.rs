//! Cuts a file into shared blobs, a bounded window at a time.

use std::fs::File;
use std::io::{Error, Read};

use bytes::Bytes;
use fastcdc::v2020::{Normalization, StreamCDC};

use super::format::BlobHash;
use super::ingest::{ChunkSizes, SharedPart, WHOLE_BYTES_MAX};
use super::keys::StoreKeys;
use super::recipe::{Ingredient, Recipe, Step};
use crate::secret::Secret;

/// Plain bytes of a file in memory at once, and one chunk more.
const WINDOW_BYTES: usize = 8 << 20;

/// A file on its way into the store.
pub struct Spool {
    chunks: Chunks,
    expected: u64,
    read: u64,
    id_key: Secret<[u8; 32]>,
    hashing: blake3::Hasher,
    ingredients: Vec<Ingredient>,
}

enum Chunks {
    Whole(Option<File>),
    Cut(Box<StreamCDC<std::io::Take<File>>>),
}

impl Spool {
    /// `file` is positioned at its first byte; `bytes` is how many there must be.
    pub fn new(file: File, bytes: u64, keys: &StoreKeys) -> Self {
        let chunks = if bytes <= WHOLE_BYTES_MAX as u64 {
            Chunks::Whole(Some(file))
        } else {
            let sizes = ChunkSizes::of(bytes);
            // One byte more than expected, so that a file that grew is noticed.
            let source = file.take(bytes.saturating_add(1));
            Chunks::Cut(Box::new(StreamCDC::with_level_and_seed(
                source,
                sizes.min,
                sizes.average,
                sizes.max,
                Normalization::Level1,
                keys.chunk_seed,
            )))
        };
        let hashing = blake3::Hasher::new_keyed(keys.id_key.expose());
        Self { chunks, expected: bytes, read: 0, id_key: keys.id_key.clone(), hashing, ingredients: Vec::new() }
    }

    /// The next chunks; none at the end.
    pub fn next_window(&mut self) -> Result<Vec<SharedPart>, String> {
        let mut window = Vec::new();
        let mut window_bytes = 0;
        while window_bytes < WINDOW_BYTES {
            let chunk = self.chunks.next().map_err(|err| format!("the spooled content cannot be read: {err}"))?;
            let Some(plain) = chunk else { break };
            window_bytes += plain.len();
            self.read += plain.len() as u64;
            self.hashing.update(&plain);
            let hash = BlobHash::of(self.id_key.expose(), &plain);
            let bytes = u32::try_from(plain.len()).expect("a chunk is at most 16 MiB");
            self.ingredients.push(Ingredient { blob: hash.id(), bytes });
            window.push(SharedPart { hash, plain });
        }
        Ok(window)
    }

    pub fn finish(self) -> Result<Recipe, String> {
        if self.read != self.expected {
            return Err(format!("the spooled content has {} bytes instead of {}", self.read, self.expected));
        }
        let steps = if self.ingredients.is_empty() { Vec::new() } else { vec![Step::Blobs(self.ingredients)] };
        Ok(Recipe::new(self.read, *self.hashing.finalize().as_bytes(), steps))
    }
}

impl Chunks {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Whole(file) => {
                let Some(file) = file.take() else { return Ok(None) };
                let mut plain = Vec::new();
                file.take(WHOLE_BYTES_MAX as u64 + 1).read_to_end(&mut plain)?;
                Ok((!plain.is_empty()).then(|| plain.into()))
            }
            Self::Cut(stream) => match stream.next() {
                None => Ok(None),
                Some(Ok(chunk)) => Ok(Some(chunk.data.into())),
                Some(Err(err)) => Err(err.into()),
            },
        }
    }
}
