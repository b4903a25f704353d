//! Content of any length, read in ranges: by whoever sends it on piece by piece and may have to begin again in the
//! middle.
//!
//! A recipe says how long each of its pieces is, and so which of them a range needs. Each piece proves itself by its
//! hash when it is read; the one that was read last is kept, because ranges follow each other.

use std::collections::HashMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;

use super::{Reader, blobs};
use crate::ids::{BlobId, PackId};
use crate::repository::StoreError;
use crate::repository::base64_text::{Base64Lines, Base64Text};
use crate::repository::recipe::{Ingredient, Recipe, Step};

/// Content whose ranges can be read.
pub struct Ranged {
    reader: Reader,
    /// Where the recipe lies.
    pack: PackId,
    blob: BlobId,
    bytes: u64,
    pieces: Vec<Piece>,
    recent: Mutex<Recent>,
}

/// What is read as one.
struct Piece {
    from: u64,
    bytes: u64,
    what: What,
}

enum What {
    Text(Bytes),
    Blob(Ingredient),
    /// Lines run across its blobs, so that none of them can be had alone. It is a part of a message, which is split
    /// only when all of it fits into memory.
    Encoded(Base64Lines, Vec<Ingredient>),
}

#[derive(Default)]
struct Recent {
    /// The piece that was read last.
    piece: Option<(usize, Bytes)>,
    /// Where the next blobs lie.
    places: HashMap<BlobId, PackId>,
}

impl Reader {
    /// Content to read ranges of.
    pub async fn ranged(&self, pack: PackId, blob: BlobId) -> Result<Ranged, StoreError> {
        let unreadable = |what: String| StoreError::Unreadable { blob, what };
        let recipe = Recipe::decode(&self.read(pack, blob).await?).map_err(unreadable)?;
        let bytes = recipe.bytes;
        let pieces = pieces(recipe);
        let end = pieces.last().map_or(0, |last| last.from + last.bytes);
        if end != bytes {
            return Err(unreadable(format!("its parts have {end} bytes instead of {bytes}")));
        }
        Ok(Ranged { reader: self.clone(), pack, blob, bytes, pieces, recent: Mutex::default() })
    }
}

fn pieces(recipe: Recipe) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut add = |bytes: u64, what: What| {
        pieces.push(Piece { from, bytes, what });
        from += bytes;
    };
    for step in recipe.steps {
        match step {
            Step::Inline(text) => add(text.len() as u64, What::Text(text.into())),
            Step::Blobs(parts) => parts.into_iter().for_each(|part| add(part.bytes.into(), What::Blob(part))),
            Step::Base64(width, crlf, parts) => {
                let lines = Base64Lines { width, crlf };
                let plain = parts.iter().map(|part| u64::from(part.bytes)).sum();
                add(lines.encoded_bytes(plain), What::Encoded(lines, parts));
            }
        }
    }
    pieces
}

impl Ranged {
    /// The length of the content.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Exactly `bytes` bytes from position `from`.
    pub async fn read(&self, from: u64, bytes: usize) -> Result<Bytes, StoreError> {
        let end = from.saturating_add(bytes as u64);
        if end > self.bytes {
            let what = format!("bytes {from} to {end} of content of {} bytes were asked for", self.bytes);
            return Err(StoreError::Item(what));
        }
        let mut recent = self.recent.lock().await;
        let first = self.pieces.partition_point(|piece| piece.from + piece.bytes <= from);
        let needed = self.pieces.iter().enumerate().skip(first).take_while(|(_, piece)| piece.from < end);
        let mut out = BytesMut::new();
        for (at, piece) in needed {
            let whole = self.piece(&mut recent, at, piece).await?;
            let part = whole.slice(piece.cut(from, end));
            if part.len() == bytes {
                return Ok(part);
            }
            out.extend_from_slice(&part);
        }
        Ok(out.freeze())
    }

    async fn piece(&self, recent: &mut Recent, at: usize, piece: &Piece) -> Result<Bytes, StoreError> {
        if let Some((_, known)) = recent.piece.as_ref().filter(|(known, _)| *known == at) {
            return Ok(known.clone());
        }
        let plain = match &piece.what {
            What::Text(text) => text.clone(),
            What::Blob(part) => self.ingredient(recent, at, *part).await?,
            What::Encoded(lines, parts) => {
                let mut text = Base64Text::new(*lines);
                let mut out = Vec::with_capacity(usize::try_from(piece.bytes).unwrap_or(0));
                for part in parts {
                    text.push(&self.ingredient(recent, at, *part).await?, &mut out);
                }
                text.finish(&mut out);
                out.into()
            }
        };
        if plain.len() as u64 != piece.bytes {
            let what = format!("a part has {} bytes instead of {}", plain.len(), piece.bytes);
            return Err(StoreError::Unreadable { blob: self.blob, what });
        }
        recent.piece = Some((at, plain.clone()));
        Ok(plain)
    }

    async fn ingredient(&self, recent: &mut Recent, at: usize, part: Ingredient) -> Result<Bytes, StoreError> {
        if !recent.places.contains_key(&part.blob) {
            let ahead = self.pieces.iter().skip(at).flat_map(|piece| piece.what.ingredients());
            let window = ahead.map(|part| part.blob).take(blobs::sql::PAGE_ROWS).collect();
            recent.places = self.reader.places_near(self.pack, window).await?;
        }
        self.reader.read_shared(part.blob, recent.places.get(&part.blob).copied()).await
    }
}

impl Piece {
    /// What of it lies in `[from, end)`.
    fn cut(&self, from: u64, end: u64) -> Range<usize> {
        let within = |position: u64| (position.clamp(self.from, self.from + self.bytes) - self.from) as usize;
        within(from)..within(end)
    }
}

impl What {
    fn ingredients(&self) -> &[Ingredient] {
        match self {
            Self::Text(_) => &[],
            Self::Blob(part) => std::slice::from_ref(part),
            Self::Encoded(_, parts) => parts,
        }
    }
}
