//! Looks at one pack: whether it is what was written. One pass over the file, window by window.

use std::ops::Range;

use uuid::Uuid;

use crate::backends::Backend;
use crate::ids::PackUid;
use crate::repository::door::blocking;
use crate::repository::format::{BlobEntry, Damage, FrameEntry, HEADER_BYTES, Header, PackIndex, Scratch};
use crate::repository::keys::StoreKeys;
use crate::repository::pack_end::{PackEnd, read_stored_end};
use crate::repository::records::read_records;
use crate::repository::store::pack_key;
use crate::repository::{Store, StoreError};

/// Bytes of a pack that are read at once; a frame that is longer is read whole.
const WINDOW_BYTES: u64 = 4 << 20;

/// How deep [`Store::check_pack`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Header and end of the file: finds one that is cut short or another.
    Shape,
    /// The hashes over all stored bytes: finds every flipped bit.
    Stored,
    /// Every blob too, decrypted, decompressed and hashed: finds what was wrong before it was stored.
    Content,
}

impl Depth {
    /// The level of verification that looks so deep.
    pub fn level(self) -> u8 {
        match self {
            Self::Shape => 1,
            Self::Stored => 2,
            Self::Content => 3,
        }
    }
}

/// What looking at packs takes.
pub(super) struct Sight<'a> {
    pub backend: &'a dyn Backend,
    pub store: Uuid,
    /// `None`: the store is encrypted and its key is not here.
    pub keys: Option<&'a StoreKeys>,
}

impl Store {
    /// Proves that a pack is what was written. [`StoreError::Damaged`] says where it is not.
    pub async fn check_pack(&self, pack: PackUid, depth: Depth) -> Result<(), StoreError> {
        let store = self.clone();
        blocking(move || {
            let sight = Sight { backend: store.backend(), store: store.description().store, keys: Some(store.keys()) };
            check(&sight, pack, depth).map(drop)
        })
        .await
    }
}

/// Proves that a pack is what was written, and tells its length. Blocks.
pub(super) fn check(sight: &Sight<'_>, pack: PackUid, depth: Depth) -> Result<u64, StoreError> {
    read_header(sight.backend, sight.store, pack)?;
    let end = read_stored_end(sight.backend, pack)?;
    let (pack_bytes, until, data_hash) = (end.pack_bytes, end.trailer.index_offset, end.trailer.data_hash);
    if depth == Depth::Shape {
        return Ok(pack_bytes);
    }
    let mut hashing = blake3::Hasher::new();
    match sight.keys {
        None if depth == Depth::Content => {
            return Err(StoreError::Setup("content can be proved with the store's key only".to_owned()));
        }
        None => in_windows(sight.backend, pack, until, &[], |window| {
            hashing.update(window.bytes);
        })?,
        Some(keys) => {
            let end = end.open(pack, &keys.packs)?;
            read_records(pack, &end.records()?)?;
            Scratch::lend(|scratch| {
                let mut frames = Frames::new(&end, keys.id_key.expose(), depth, scratch);
                in_windows(sight.backend, pack, until, &end.index.frames, |window| {
                    hashing.update(window.bytes);
                    frames.see(&window);
                })?;
                frames.verdict().map_err(StoreError::from)
            })?;
        }
    }
    if hashing.finalize().as_bytes() == &data_hash {
        return Ok(pack_bytes);
    }
    Err(Damage::new(pack, "frames", "the hash over header and frames is wrong").into())
}

/// Reads the header of a pack of this store. Blocks.
pub(in crate::repository) fn read_header(
    backend: &dyn Backend,
    store: Uuid,
    pack: PackUid,
) -> Result<Header, StoreError> {
    let bytes = backend.get_range(&pack_key(pack), 0, HEADER_BYTES)?;
    let header = Header::decode(pack, &bytes)?;
    if header.store != store {
        return Err(Damage::new(pack, "header", format!("it belongs to store {}", header.store)).into());
    }
    Ok(header)
}

/// A piece of a pack with the frames that lie in it, whole.
struct Window<'a> {
    bytes: &'a [u8],
    at: u64,
    frames: Range<usize>,
}

impl<'a> Window<'a> {
    fn stored(&self, frame: &FrameEntry) -> &'a [u8] {
        let start = usize::try_from(frame.offset - self.at).unwrap_or(usize::MAX);
        &self.bytes[start..start + frame.stored as usize]
    }
}

/// Reads a pack up to `until`, each byte once and in order.
fn in_windows(
    backend: &dyn Backend,
    pack: PackUid,
    until: u64,
    frames: &[FrameEntry],
    mut see: impl FnMut(Window<'_>),
) -> Result<(), StoreError> {
    let key = pack_key(pack);
    let (mut at, mut next) = (0, 0);
    while at < until || next < frames.len() {
        let (end, n_frames) = window(at, until, &frames[next..]);
        let bytes = backend.get_range(&key, at, usize::try_from(end - at).unwrap_or(usize::MAX))?;
        see(Window { bytes: &bytes, at, frames: next..next + n_frames });
        (at, next) = (end, next + n_frames);
    }
    Ok(())
}

/// Where the window from `at` on ends, and how many of `frames` are in it.
fn window(at: u64, until: u64, frames: &[FrameEntry]) -> (u64, usize) {
    let end_of = |frame: &FrameEntry| frame.offset + u64::from(frame.stored);
    let n_fit = frames.iter().take_while(|frame| end_of(frame) - at <= WINDOW_BYTES).count();
    match (n_fit.checked_sub(1).and_then(|last| frames.get(last)), frames.first()) {
        (Some(last), _) => (end_of(last), n_fit),
        (None, Some(long)) if long.offset - at < WINDOW_BYTES => (end_of(long), 1),
        (None, _) => (until.min(at + WINDOW_BYTES), 0),
    }
}

/// The frames of one pack on their way past.
struct Frames<'a> {
    end: &'a PackEnd,
    id_key: &'a [u8; 32],
    depth: Depth,
    /// In the order in which they lie in the pack.
    blobs: Vec<&'a BlobEntry>,
    next_blob: usize,
    scratch: &'a mut Scratch,
    first: Option<Damage>,
    n_damaged: u32,
}

impl<'a> Frames<'a> {
    fn new(end: &'a PackEnd, id_key: &'a [u8; 32], depth: Depth, scratch: &'a mut Scratch) -> Self {
        let mut blobs: Vec<&BlobEntry> = end.index.blobs.iter().collect();
        blobs.sort_unstable_by_key(|blob| (blob.frame, blob.offset));
        Self { end, id_key, depth, blobs, next_blob: 0, scratch, first: None, n_damaged: 0 }
    }

    fn see(&mut self, window: &Window<'_>) {
        for number in window.frames.clone() {
            let stored = window.stored(&self.end.index.frames[number]);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let checked = match self.depth {
                Depth::Shape | Depth::Stored => self.end.index.check_frame(number, stored).map(drop),
                Depth::Content => self.check_blobs(number, stored),
            };
            if let Err(damage) = checked {
                self.n_damaged += 1;
                self.first.get_or_insert(damage);
            }
        }
    }

    fn check_blobs(&mut self, number: u32, stored: &[u8]) -> Result<(), Damage> {
        let index: &PackIndex = &self.end.index;
        let n_blobs = self.blobs[self.next_blob..].iter().take_while(|blob| blob.frame == number).count();
        let blobs = &self.blobs[self.next_blob..self.next_blob + n_blobs];
        self.next_blob += n_blobs;
        let plain = index.open_frame_with(&self.end.cipher, self.scratch, number, stored)?;
        blobs.iter().try_for_each(|blob| index.cut(blob, plain, self.id_key).map(drop))
    }

    fn verdict(self) -> Result<(), Damage> {
        match (self.first, self.n_damaged) {
            (None, _) => Ok(()),
            (Some(damage), 1) => Err(damage),
            (Some(mut damage), n) => {
                damage.what = format!("{} (and {} more frames are damaged)", damage.what, n - 1);
                Err(damage)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::format::{Codec, FrameKind};

    fn frame(offset: u64, stored: u32) -> FrameEntry {
        FrameEntry { offset, stored, plain: stored, crc: 0, codec: Codec::Raw, kind: FrameKind::Single }
    }

    #[test]
    fn windows_end_where_frames_do_and_stay_small_whatever_an_index_says() {
        let mib = 1 << 20;
        let (small, long) = (frame(64, 100), frame(164, 16 << 20));

        assert_eq!(window(0, 64, &[]), (64, 0));
        assert_eq!(window(0, 1000, &[small]), (164, 1));
        assert_eq!(window(0, 1000, &[small, frame(164, 50)]), (214, 2));
        assert_eq!(window(0, 20 * mib, &[small, long]), (164, 1));
        assert_eq!(window(164, 20 * mib, &[long]), (164 + (16 << 20), 1));
        assert_eq!(window(214, 20 * mib, &[]), (214 + WINDOW_BYTES, 0));
        assert_eq!(window(0, 100 * mib, &[frame(50 * mib, 10)]), (WINDOW_BYTES, 0));
        assert_eq!(window(164, 164, &[frame(164, 0)]), (164, 1));
    }
}
