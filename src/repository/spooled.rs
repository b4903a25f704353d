//! Cuts a file into shared blobs, a bounded window at a time.

use std::fs::File;
use std::io::{Error, Read, Take};

use bytes::Bytes;
use fastcdc::v2020::StreamCDC;

use super::chunking::Chunking;
use super::ingest::SharedPart;
use super::recipe::{Ingredient, Recipe, Step};

/// Plain bytes of a file in memory at once, and one chunk more.
const WINDOW_BYTES: usize = 8 << 20;

/// A file on its way into the store.
pub struct Spool {
    chunks: Chunks,
    expected: u64,
    read: u64,
    chunking: Chunking,
    hashing: blake3::Hasher,
    ingredients: Vec<Ingredient>,
}

enum Chunks {
    Whole(Option<Take<File>>),
    Cut(Box<StreamCDC<Take<File>>>),
}

impl Spool {
    /// `file` is positioned at its first byte; `bytes` is how many there must be.
    pub fn new(file: File, bytes: u64, chunking: &Chunking) -> Self {
        let source = Chunking::bounded(file, bytes);
        let chunks = if bytes <= chunking.whole_bytes_max() as u64 {
            Chunks::Whole(Some(source))
        } else {
            Chunks::Cut(Box::new(chunking.cut_file(source, bytes)))
        };
        let hashing = chunking.hashing();
        Self { chunks, expected: bytes, read: 0, chunking: chunking.clone(), hashing, ingredients: Vec::new() }
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
            let hash = self.chunking.hash(&plain);
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
                let Some(mut file) = file.take() else { return Ok(None) };
                let mut plain = Vec::new();
                file.read_to_end(&mut plain)?;
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
