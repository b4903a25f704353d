//! What is in a file: held, made like a mail attachment, or computed by position, so that a file
//! of 50 GB costs no memory, any range of it is served at once, and its hash is known cheaply.

use super::quickxor::{QuickXor, ROW};
use crate::dice::Dice;
use crate::store::message::Blob;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// Computed content is one block again and again, with its number worked into it 81 times.
const BLOCK: usize = 405 * ROW;
const STAMP_EVERY: usize = 5 * ROW;
const STAMP: usize = 8;
/// Beyond this a fingerprint does not read the whole file for a second hash.
const DIGEST_MAX: u64 = 256 * 1024 * 1024;
const PIECE: u64 = 256 * 1024;
/// What SharePoint puts into the office files of a library.
const PROMOTED: &[u8] = b"<ContentTypeId>0x0101</ContentTypeId>";

#[derive(Debug)]
pub struct Content {
    source: Source,
    len: u64,
    hash: OnceLock<String>,
}

#[derive(Debug)]
enum Source {
    Blob(Blob),
    Computed {
        seed: u64,
    },
    /// Uploaded, and too large to be held: what is known of it is its hashes.
    Digest {
        blake3: String,
    },
    /// As SharePoint made it of what was sent.
    Rewritten {
        sent: Arc<Content>,
        bytes: Bytes,
    },
}

impl Content {
    pub fn blob(blob: Blob) -> Arc<Self> {
        let len = blob.len() as u64;
        Arc::new(Self { source: Source::Blob(blob), len, hash: OnceLock::new() })
    }

    pub fn computed(seed: u64, len: u64) -> Arc<Self> {
        Arc::new(Self { source: Source::Computed { seed }, len, hash: OnceLock::new() })
    }

    /// Content of which only this is known.
    pub fn digest(len: u64, quick_xor: String, blake3: String) -> Arc<Self> {
        Arc::new(Self { source: Source::Digest { blake3 }, len, hash: OnceLock::from(quick_xor) })
    }

    /// What SharePoint makes of an office file: somewhat longer, and still what was sent to everybody who opens it.
    pub fn rewritten(sent: &Arc<Self>) -> Option<Arc<Self>> {
        let Source::Blob(blob) = &sent.source else { return None };
        let bytes: Bytes = [&blob.bytes()[..], PROMOTED].concat().into();
        let len = bytes.len() as u64;
        Some(Arc::new(Self { source: Source::Rewritten { sent: Arc::clone(sent), bytes }, len, hash: OnceLock::new() }))
    }

    /// What was sent, where it is not what is there.
    pub fn sent(&self) -> Option<&Arc<Self>> {
        match &self.source {
            Source::Rewritten { sent, .. } => Some(sent),
            Source::Blob(_) | Source::Computed { .. } | Source::Digest { .. } => None,
        }
    }

    /// Whether it can be read again.
    pub fn is_held(&self) -> bool {
        !matches!(self.source, Source::Digest { .. })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn quick_xor(&self) -> &str {
        self.hash.get_or_init(|| match &self.source {
            Source::Blob(blob) => super::quickxor::of(&blob.bytes()),
            Source::Computed { seed } => hash_of_computed(*seed, self.len).base64(),
            Source::Rewritten { bytes, .. } => super::quickxor::of(bytes),
            // Known from the beginning.
            Source::Digest { .. } => String::new(),
        })
    }

    /// Of small and middling files only.
    pub fn blake3(self: &Arc<Self>) -> Option<String> {
        if self.len > DIGEST_MAX {
            return None;
        }
        if let Source::Digest { blake3 } = &self.source {
            return Some(blake3.clone());
        }
        let mut hasher = blake3::Hasher::new();
        for piece in self.read(0, self.len) {
            hasher.update(&piece);
        }
        Some(hasher.finalize().to_hex().to_string())
    }

    /// The bytes from `from` up to `until`, in pieces.
    pub fn read(self: &Arc<Self>, from: u64, until: u64) -> Reader {
        let base = match &self.source {
            Source::Blob(blob) => blob.bytes(),
            Source::Computed { seed } => block(*seed),
            Source::Rewritten { bytes, .. } => bytes.clone(),
            Source::Digest { .. } => Bytes::new(),
        };
        let until = if self.is_held() { until } else { 0 };
        Reader { content: Arc::clone(self), base, at: from.min(self.len), until: until.min(self.len) }
    }
}

/// Reads on; holds one block, or the blob.
#[derive(Debug)]
pub struct Reader {
    content: Arc<Content>,
    base: Bytes,
    at: u64,
    until: u64,
}

impl Iterator for Reader {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.at >= self.until {
            return None;
        }
        let end = self.until.min(self.at + PIECE);
        let piece = match &self.content.source {
            Source::Blob(_) | Source::Rewritten { .. } | Source::Digest { .. } => {
                self.base.slice(self.at as usize..end as usize)
            }
            Source::Computed { .. } => computed(&self.base, self.at, end),
        };
        self.at = end;
        Some(piece)
    }
}

fn block(seed: u64) -> Bytes {
    let mut dice = Dice::new(seed);
    (0..BLOCK / STAMP).flat_map(|_| dice.next_u64().to_le_bytes()).collect()
}

fn computed(base: &[u8], from: u64, until: u64) -> Bytes {
    let mut out = Vec::with_capacity((until - from) as usize);
    let mut at = from;
    while at < until {
        let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
        let len = (BLOCK - within).min((until - at) as usize);
        let start = out.len();
        out.extend_from_slice(&base[within..within + len]);
        stamp(&mut out[start..], within, number);
        at += len as u64;
    }
    Bytes::from(out)
}

/// Works the number of the block into a part of it that begins at `within`.
fn stamp(part: &mut [u8], within: usize, number: u64) {
    let bytes = number.to_le_bytes();
    let mut place = within - within % STAMP_EVERY;
    while place < within + part.len() {
        for (index, byte) in bytes.iter().enumerate() {
            if let Some(slot) = (place + index).checked_sub(within).and_then(|at| part.get_mut(at)) {
                *slot ^= byte;
            }
        }
        place += STAMP_EVERY;
    }
}

// The hash is linear: equal blocks cancel out in pairs, and what is left of the numbers worked into
// them is the exclusive or of all numbers, since every stamp lies where a row begins.
fn hash_of_computed(seed: u64, len: u64) -> QuickXor {
    let base = block(seed);
    let blocks = len / BLOCK as u64;
    let mut one = QuickXor::default();
    one.update(&base);
    let mut row = if blocks % 2 == 1 { *one.row() } else { [0; ROW / STAMP] };
    row[0] ^= xor_below(blocks);
    let mut hash = QuickXor::default();
    hash.update_rows(&row, blocks * BLOCK as u64);
    hash.update(&computed(&base, blocks * BLOCK as u64, len));
    hash
}

/// `0 ^ 1 ^ … ^ (n - 1)`; the stamps of a block are odd in number, so each counts once.
fn xor_below(n: u64) -> u64 {
    match n.checked_sub(1) {
        None => 0,
        Some(last) => match last % 4 {
            0 => last,
            1 => 1,
            2 => last + 1,
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_to_the_hash_is_the_slow_way_to_it() {
        for len in [0, 1, 159, 160, 64_799, 64_800, 64_801, 200_000, 64_800 * 4, 1_000_003] {
            let content = Content::computed(len ^ 5, len);
            let mut slow = QuickXor::default();
            content.read(0, len).for_each(|piece| slow.update(&piece));
            assert_eq!(content.quick_xor(), slow.base64(), "{len} bytes");
        }
    }

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let content = Content::computed(3, 300_000);
        let whole: Vec<u8> = content.read(0, 300_000).flatten().collect();
        for (from, until) in [(0, 1), (3, 9), (64_795, 64_809), (799, 130_001), (299_990, 400_000)] {
            let part: Vec<u8> = content.read(from, until).flatten().collect();
            assert_eq!(part, whole[from as usize..until.min(300_000) as usize], "{from}..{until}");
        }
    }

    #[test]
    fn fifty_gigabytes_have_a_hash_and_an_end_without_being_made() {
        let content = Content::computed(1, 50_000_000_000);
        assert_eq!(content.quick_xor().len(), 28);
        assert_eq!(content.read(49_999_999_000, u64::MAX).map(|piece| piece.len()).sum::<usize>(), 1000);
    }
}
