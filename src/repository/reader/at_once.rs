//! Small content, read in one go: a mail is a dozen blobs of one or two packs, and to hand each of them from thread to
//! thread takes as long as to open it.
//!
//! Only what is found at the first try is read so. Whatever is missing, damaged or about to move is left to [`Pieces`],
//! which looks again and says what is wrong.
//!
//! [`Pieces`]: super::Pieces

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Reader, blobs, read_end};
use crate::ids::{BlobId, PackId, PackUid};
use crate::repository::StoreError;
use crate::repository::assemble::Assembly;
use crate::repository::door::blocking;
use crate::repository::format::{BlobEntry, FrameKind, PackIndex, Scratch};
use crate::repository::recipe::{Recipe, Step};
use crate::repository::store::pack_key;

/// Content that is read in one go at most: as much as a piece may have.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// How far the first call came.
enum Begun {
    Whole(Bytes),
    /// These blobs lie in other packs than the recipe.
    Scattered(Recipe, Vec<BlobId>),
}

impl Reader {
    /// Content of at most `bytes_max`, proved to be what was stored; `None` when it is not to be had at the first try.
    pub(in crate::repository) async fn at_once(&self, pack: PackId, blob: BlobId, bytes_max: u64) -> Option<Bytes> {
        let (row, _) = self.pack_row(pack).await.ok()?;
        let (reader, home) = (self.clone(), row.uid);
        let (recipe, scattered) = match blocking(move || reader.begin_at_once(home, blob, bytes_max)).await? {
            Begun::Whole(content) => return Some(content),
            Begun::Scattered(recipe, scattered) => (recipe, scattered),
        };
        let mut packs: HashMap<BlobId, PackUid> = HashMap::with_capacity(scattered.len());
        for (blob, pack) in self.places(scattered).await.ok()? {
            packs.insert(blob, self.pack_row(pack).await.ok()?.0.uid);
        }
        let reader = self.clone();
        blocking(move || Scratch::lend(|scratch| reader.assemble(scratch, home, &packs, &recipe))).await
    }

    /// Blocks.
    fn begin_at_once(&self, home: PackUid, blob: BlobId, bytes_max: u64) -> Option<Begun> {
        Scratch::lend(|scratch| {
            let index = self.index_now(home).ok()?;
            let recipe = self.with_blob(scratch, &index, blob, |plain| Recipe::decode(plain).ok())??;
            if recipe.bytes > bytes_max.min(CONTENT_BYTES_MAX) {
                return None;
            }
            let mut scattered: Vec<BlobId> = recipe.refs();
            scattered.retain(|blob| index.find(*blob).is_none());
            if scattered.is_empty() {
                return self.assemble(scratch, home, &HashMap::new(), &recipe).map(Begun::Whole);
            }
            (scattered.len() <= blobs::sql::PAGE_ROWS).then_some(Begun::Scattered(recipe, scattered))
        })
    }

    /// Puts content together whose blobs lie in `packs`, those that are not named there in the pack `home`. Blocks.
    fn assemble(
        &self,
        scratch: &mut Scratch,
        home: PackUid,
        packs: &HashMap<BlobId, PackUid>,
        recipe: &Recipe,
    ) -> Option<Bytes> {
        let mut assembly = Assembly::new(recipe, self.store.keys().id_key.expose());
        let mut out = Vec::with_capacity(usize::try_from(recipe.bytes).ok()?);
        for step in &recipe.steps {
            assembly.begin(step, &mut out);
            self.add_all(scratch, home, packs, step, |plain| {
                assembly.add(plain, &mut out);
                out.len() as u64 <= recipe.bytes
            })?;
            assembly.end(&mut out);
        }
        assembly.finish().ok().map(|()| out.into())
    }

    /// Hands over the blobs of one step, in order, until `take` has enough.
    fn add_all(
        &self,
        scratch: &mut Scratch,
        home: PackUid,
        packs: &HashMap<BlobId, PackUid>,
        step: &Step,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Option<()> {
        for part in step.ingredients() {
            let index = self.index_now(packs.get(&part.blob).copied().unwrap_or(home)).ok()?;
            let goes_on =
                self.with_blob(scratch, &index, part.blob, |plain| plain.len() == part.bytes as usize && take(plain));
            if !goes_on? {
                return None;
            }
        }
        Some(())
    }

    /// Hands a blob over that has proved its hash. Blocks.
    fn with_blob<T>(
        &self,
        scratch: &mut Scratch,
        index: &PackIndex,
        blob: BlobId,
        see: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let entry = index.find(blob)?;
        let id_key = self.store.keys().id_key.expose();
        let place = index.frame(entry.frame).ok()?;
        if place.kind == FrameKind::Group {
            let group = self.group(scratch, index, entry).ok()?;
            return index.cut(entry, &group, id_key).ok().map(see);
        }
        let stored = self.stored(index, entry).ok()?;
        let cipher = self.store.keys().packs.of(index.pack);
        let frame = index.open_frame_with(&cipher, scratch, entry.frame, &stored).ok()?;
        index.cut(entry, frame, id_key).ok().map(see)
    }

    /// The opened group that a small blob lies in. Blocks.
    fn group(&self, scratch: &mut Scratch, index: &PackIndex, entry: &BlobEntry) -> Result<Bytes, StoreError> {
        let known = self.cache().groups.get(&(index.pack, entry.frame));
        match known {
            Some(group) => Ok(group),
            None => self.open_frame(scratch, index, entry),
        }
    }

    /// The plain bytes of a frame; those of a group are remembered. Blocks.
    pub(super) fn open_frame(
        &self,
        scratch: &mut Scratch,
        index: &PackIndex,
        entry: &BlobEntry,
    ) -> Result<Bytes, StoreError> {
        let stored = self.stored(index, entry)?;
        let cipher = self.store.keys().packs.of(index.pack);
        let frame = Bytes::from(index.take_frame(&cipher, scratch, entry.frame, &stored)?);
        if index.frame(entry.frame)?.kind == FrameKind::Group {
            self.cache().groups.insert((index.pack, entry.frame), frame.clone(), frame.len());
        }
        Ok(frame)
    }

    fn stored(&self, index: &PackIndex, entry: &BlobEntry) -> Result<Bytes, StoreError> {
        let place = index.frame(entry.frame)?;
        Ok(self.store.backend().get_range(&pack_key(index.pack), place.offset, place.stored as usize)?)
    }

    /// The index of a pack. Blocks.
    pub(super) fn index_now(&self, pack: PackUid) -> Result<Arc<PackIndex>, StoreError> {
        let known = self.cache().indexes.get(&pack);
        if let Some(index) = known {
            return Ok(index);
        }
        let index = Arc::new(read_end(&self.store, pack)?.index);
        self.cache().indexes.insert(pack, Arc::clone(&index), index.memory_bytes());
        Ok(index)
    }
}
