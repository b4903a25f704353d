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

/// Bytes of a pack that are read at once. So few that they are still in the processor's cache when their frames are
/// opened, and a power of two, because BLAKE3 uses all lanes of the processor only on pieces that begin at one.
const STRETCH_BYTES: usize = 512 << 10;

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
    let hash = Scratch::lend(|scratch| match sight.keys {
        None if depth == Depth::Content => {
            Err(StoreError::Setup("content can be proved with the store's key only".to_owned()))
        }
        None => in_windows(sight.backend, pack, until, &[], scratch, |_, _| ()),
        Some(keys) => {
            let end = end.open(pack, &keys.packs)?;
            read_records(pack, &end.records()?)?;
            let mut frames = Frames::new(&end, keys.id_key.expose(), depth);
            let hash = in_windows(sight.backend, pack, until, &end.index.frames, scratch, |window, scratch| {
                frames.see(&window, scratch);
            })?;
            frames.verdict()?;
            Ok(hash)
        }
    })?;
    if hash == data_hash {
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

/// Reads a pack up to `until`, each byte once and in order, shows each of `frames`, and returns the hash over all.
fn in_windows(
    backend: &dyn Backend,
    pack: PackUid,
    until: u64,
    frames: &[FrameEntry],
    scratch: &mut Scratch,
    mut see: impl FnMut(Window<'_>, &mut Scratch),
) -> Result<[u8; 32], StoreError> {
    let key = pack_key(pack);
    let mut hashing = blake3::Hasher::new();
    let mut held = scratch.take_window();
    // The first `n_held` bytes are the beginning of a frame that goes on at `at`.
    let (mut at, mut n_held, mut next) = (0, 0, 0);
    while at < until {
        let n_more = usize::try_from(until - at).unwrap_or(usize::MAX).min(STRETCH_BYTES);
        let n_bytes = n_held + n_more;
        if held.len() < n_bytes {
            held.resize(n_bytes, 0);
        }
        backend.read_range(&key, at, &mut held[n_held..n_bytes])?;
        hashing.update(&held[n_held..n_bytes]);
        let from = at - n_held as u64;
        at += n_more as u64;
        let n_whole = frames[next..].iter().take_while(|frame| frame.offset + u64::from(frame.stored) <= at).count();
        see(Window { bytes: &held[..n_bytes], at: from, frames: next..next + n_whole }, scratch);
        next += n_whole;
        let goes_on = frames.get(next).map_or(at, |frame| frame.offset.clamp(from, at));
        n_held = usize::try_from(at - goes_on).expect("a frame is far shorter than what memory can hold");
        held.copy_within(n_bytes - n_held..n_bytes, 0);
    }
    scratch.put_window(held);
    Ok(*hashing.finalize().as_bytes())
}

/// The frames of one pack on their way past.
struct Frames<'a> {
    end: &'a PackEnd,
    id_key: &'a [u8; 32],
    depth: Depth,
    /// In the order in which they lie in the pack.
    blobs: Vec<&'a BlobEntry>,
    next_blob: usize,
    first: Option<Damage>,
    n_damaged: u32,
}

impl<'a> Frames<'a> {
    fn new(end: &'a PackEnd, id_key: &'a [u8; 32], depth: Depth) -> Self {
        let mut blobs: Vec<&BlobEntry> = end.index.blobs.iter().collect();
        blobs.sort_unstable_by_key(|blob| (blob.frame, blob.offset));
        Self { end, id_key, depth, blobs, next_blob: 0, first: None, n_damaged: 0 }
    }

    fn see(&mut self, window: &Window<'_>, scratch: &mut Scratch) {
        for number in window.frames.clone() {
            let stored = window.stored(&self.end.index.frames[number]);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let checked = match self.depth {
                Depth::Shape | Depth::Stored => self.end.index.check_frame(number, stored).map(drop),
                Depth::Content => self.check_blobs(number, stored, scratch),
            };
            if let Err(damage) = checked {
                self.n_damaged += 1;
                self.first.get_or_insert(damage);
            }
        }
    }

    fn check_blobs(&mut self, number: u32, stored: &[u8], scratch: &mut Scratch) -> Result<(), Damage> {
        let index: &PackIndex = &self.end.index;
        let n_blobs = self.blobs[self.next_blob..].iter().take_while(|blob| blob.frame == number).count();
        let blobs = &self.blobs[self.next_blob..self.next_blob + n_blobs];
        self.next_blob += n_blobs;
        let plain = index.open_frame_with(&self.end.cipher, scratch, number, stored)?;
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
    use proptest::prelude::*;

    use super::*;
    use crate::backends::Memory;
    use crate::repository::format::{Codec, FrameKind};

    const S_MAX: usize = STRETCH_BYTES * 5 / 2;

    /// A pack as windows see it: so many bytes, and the offsets and lengths of its frames.
    fn walk(n_bytes: usize, frames: &[(usize, usize)]) {
        let bytes: Vec<u8> = (0..n_bytes).map(|n| (n % 251) as u8).collect();
        let (backend, pack) = (Memory::new(), PackUid::random());
        backend.put(&pack_key(pack), &[bytes.clone().into()]).unwrap();
        let entry = |(offset, stored): &(usize, usize)| FrameEntry {
            offset: *offset as u64,
            stored: u32::try_from(*stored).unwrap(),
            plain: 0,
            crc: 0,
            codec: Codec::Raw,
            kind: FrameKind::Single,
        };
        let entries: Vec<FrameEntry> = frames.iter().map(entry).collect();
        let mut seen = Vec::new();
        let mut longest = 0;

        let hash = in_windows(&backend, pack, n_bytes as u64, &entries, &mut Scratch::new(), |window, _| {
            longest = longest.max(window.bytes.len());
            for number in window.frames.clone() {
                let (offset, stored) = frames[number];
                assert_eq!(window.stored(&entries[number]), &bytes[offset..offset + stored], "frame {number}");
                seen.push(number);
            }
        });

        assert_eq!(hash.unwrap(), *blake3::hash(&bytes).as_bytes());
        assert_eq!(seen, (0..frames.len()).collect::<Vec<_>>());
        let frame_max = frames.iter().map(|(_, stored)| *stored).max().unwrap_or(0);
        assert!(longest <= frame_max + 2 * STRETCH_BYTES, "{longest}");
    }

    #[test]
    fn windows_show_every_frame_whole_and_stay_small() {
        const S: usize = STRETCH_BYTES;

        walk(64, &[]);
        walk(3 * S + 17, &[]);
        walk(64 + 100, &[(64, 100)]);
        walk(S, &[(64, S - 64)]);
        walk(S + 1, &[(64, S - 64), (S, 1)]);
        walk(4 * S, &[(64, 100), (164, 3 * S), (164 + 3 * S, 0), (4 * S - 9, 9)]);
        walk(2 * S, &[(64, 10), (S - 5, 10), (2 * S - 3, 3), (2 * S, 0)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn windows_show_frames_of_any_lengths(lengths in proptest::collection::vec((0..S_MAX, 0..5000usize), 0..12)) {
            let mut end = 64;
            let mut frames = Vec::new();
            for (stored, gap) in lengths {
                frames.push((end + gap, stored));
                end += gap + stored;
            }
            walk(end + 7, &frames);
        }
    }
}
