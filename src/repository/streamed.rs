//! Cuts bytes that arrive piece by piece into shared blobs: the very ones that they would be if they had come at once.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;

use super::chunking::Chunking;
use super::ingest::SharedPart;
use super::recipe::{Ingredient, Recipe, Step};

/// Content that is read as it is asked for.
pub struct Incoming {
    /// How many bytes there must be.
    pub bytes: u64,
    /// A few megabytes each. An error says why this content cannot be had; its text is the item's.
    pub pieces: BoxStream<'static, Result<Bytes, String>>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Content on its way into the store. Holds one piece, and one chunk more.
pub struct Streamed {
    chunking: Chunking,
    expected: u64,
    read: u64,
    /// What has come and is not cut yet.
    pending: BytesMut,
    hashing: blake3::Hasher,
    ingredients: Vec<Ingredient>,
}

impl Streamed {
    pub fn new(expected: u64, chunking: &Chunking) -> Self {
        Self {
            expected,
            read: 0,
            pending: BytesMut::new(),
            hashing: chunking.hashing(),
            ingredients: Vec::new(),
            chunking: chunking.clone(),
        }
    }

    /// Takes a piece, and hands out the chunks whose ends are certain now.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<SharedPart>, String> {
        self.read += piece.len() as u64;
        if self.read > self.expected {
            return Err(format!("there are more than {} bytes, as many as there should be", self.expected));
        }
        self.hashing.update(piece);
        self.pending.extend_from_slice(piece);
        let mut parts = Vec::new();
        // Where a chunk ends depends on no more than the longest possible one.
        while !self.is_whole() && self.pending.len() >= self.chunking.chunk_bytes_max(self.expected) {
            parts.push(self.cut());
        }
        Ok(parts)
    }

    /// The chunks that were cut so far.
    pub fn ingredients(&self) -> &[Ingredient] {
        &self.ingredients
    }

    /// The last chunks, and how all of them make up the content.
    pub fn finish(mut self) -> Result<(Vec<SharedPart>, Recipe), String> {
        if self.read != self.expected {
            return Err(format!("there are {} bytes instead of {}", self.read, self.expected));
        }
        let mut parts = Vec::new();
        while !self.pending.is_empty() {
            parts.push(self.cut());
        }
        let steps = if self.ingredients.is_empty() { Vec::new() } else { vec![Step::Blobs(self.ingredients)] };
        Ok((parts, Recipe::new(self.read, *self.hashing.finalize().as_bytes(), steps)))
    }

    /// Whether all of it is one chunk.
    fn is_whole(&self) -> bool {
        self.expected <= self.chunking.whole_bytes_max() as u64
    }

    fn cut(&mut self) -> SharedPart {
        let length =
            if self.is_whole() { self.pending.len() } else { self.chunking.first_cut(&self.pending, self.expected) };
        let plain = self.pending.split_to(length).freeze();
        let hash = self.chunking.hash(&plain);
        let bytes = u32::try_from(plain.len()).expect("a chunk is at most 16 MiB");
        self.ingredients.push(Ingredient { blob: hash.id(), bytes });
        SharedPart { hash, plain }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::repository::chunking::ChunkSizes;
    use crate::repository::ingest::take_apart_raw;
    use crate::repository::keys::StoreKeys;

    const SMALL: ChunkSizes = ChunkSizes { min: 64, average: 256, max: 1024 };

    fn streamed(chunking: &Chunking, content: &[u8], piece: usize) -> (Vec<Bytes>, Recipe) {
        let mut streamed = Streamed::new(content.len() as u64, chunking);
        let mut parts: Vec<SharedPart> =
            content.chunks(piece).flat_map(|piece| streamed.push(piece).unwrap()).collect();
        let (last, recipe) = streamed.finish().unwrap();
        parts.extend(last);
        (parts.into_iter().map(|part| part.plain).collect(), recipe)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_does_not_matter_in_which_pieces_content_comes(
            seed in any::<u64>(),
            length in 2049usize..40_000,
            piece in 1usize..9000,
        ) {
            let chunking = Chunking::new(&StoreKeys::derive(Uuid::from_u128(7), None), SMALL);
            let mut state = seed;
            let content: Vec<u8> = (0..length).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            }).collect();
            let at_once = take_apart_raw(&chunking, &content.clone().into());

            let (parts, recipe) = streamed(&chunking, &content, piece);

            prop_assert_eq!(parts.concat(), content);
            prop_assert_eq!(recipe, at_once.recipe);
        }
    }

    #[test]
    fn short_content_is_one_chunk_and_no_content_is_none() {
        let chunking = Chunking::new(&StoreKeys::derive(Uuid::from_u128(7), None), SMALL);

        assert_eq!(streamed(&chunking, &[5; 1024], 100).0.len(), 1);
        assert_eq!(streamed(&chunking, &[], 100).0.len(), 0);
    }

    #[test]
    fn content_of_another_length_is_refused() {
        let chunking = Chunking::new(&StoreKeys::derive(Uuid::from_u128(7), None), SMALL);
        let mut longer = Streamed::new(10, &chunking);
        let mut shorter = Streamed::new(10, &chunking);

        longer.push(&[1; 9]).unwrap();
        shorter.push(&[1; 9]).unwrap();

        assert!(longer.push(&[1; 2]).unwrap_err().contains("more than 10"));
        assert!(shorter.finish().unwrap_err().contains("9 bytes instead of 10"));
    }
}
