//! The part of a packer that works behind the door: what is kept, in which pack, and when a pack is closed.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::{Stored, StoredContent};
use crate::ids::{BlobId, WriterId};
use crate::repository::commit::{Flushed, FlushedPacks, PublishedPack};
use crate::repository::format::{BlobKind, FinishedPack, PackBuilder};
use crate::repository::guards::{Guard, stands};
use crate::repository::ingest::{Parts, SharedPart};
use crate::repository::record::{Entry, Location};
use crate::repository::records::RecordsBuilder;
use crate::repository::store::pack_key;
use crate::repository::{Store, StoreError};

/// Plain bytes of records in one pack.
const RECORDS_BYTES_MAX: usize = 16 << 20;

/// The part of a packer that works behind the door.
pub(super) struct Work {
    store: Store,
    writer: WriterId,
    open: Option<PackBuilder>,
    /// Shared blobs in the open pack.
    open_shared: Vec<(BlobId, u32)>,
    published: Vec<PublishedPack>,
    /// Shared blobs that this flush stores itself.
    pub fresh: HashSet<BlobId>,
    /// Shared blobs of others that this flush builds on.
    reused: BTreeSet<BlobId>,
}

impl Work {
    pub fn new(store: Store, writer: WriterId) -> Self {
        Self {
            store,
            writer,
            open: None,
            open_shared: Vec::new(),
            published: Vec::new(),
            fresh: HashSet::new(),
            reused: BTreeSet::new(),
        }
    }

    pub fn keep_item(
        &mut self,
        properties: &[u8],
        parts: Option<Parts>,
        live: &HashSet<BlobId>,
    ) -> Result<Stored, StoreError> {
        let mut added = 0;
        let content = match parts {
            None => None,
            Some(Parts { recipe, shared }) => {
                added += self.keep_shared(&shared, live)?;
                let (location, n) = self.keep_own(&recipe.encode(), BlobKind::Recipe);
                added += n;
                Some(StoredContent { location, refs: recipe.refs(), bytes: recipe.bytes })
            }
        };
        let (properties, n) = self.keep_own(properties, BlobKind::Properties);
        self.publish_if_full()?;
        Ok(Stored { properties, content, bytes_stored: added + n })
    }

    pub fn keep_shared(&mut self, parts: &[SharedPart], live: &HashSet<BlobId>) -> Result<u64, StoreError> {
        let mut added = 0;
        for part in parts {
            let id = part.hash.id();
            if self.fresh.contains(&id) {
                continue;
            }
            if live.contains(&id) {
                self.reused.insert(id);
                continue;
            }
            self.fresh.insert(id);
            self.open_shared.push((id, u32::try_from(part.plain.len()).expect("a chunk is at most 16 MiB")));
            added += self.open().append(part.hash, BlobKind::Shared, &part.plain);
            self.publish_if_full()?;
        }
        Ok(added)
    }

    /// Notes blobs that an earlier flush stored.
    pub fn build_on(&mut self, blobs: &[BlobId]) {
        self.reused.extend(blobs.iter().filter(|blob| !self.fresh.contains(blob)));
    }

    fn keep_own(&mut self, plain: &[u8], kind: BlobKind) -> (Location, u64) {
        let hash = self.store.chunking().hash(plain);
        let open = self.open();
        let added = open.append(hash, kind, plain);
        (Location { pack: open.uid(), blob: hash.id() }, added)
    }

    fn open(&mut self) -> &mut PackBuilder {
        self.open.get_or_insert_with(|| self.store.new_pack(self.writer))
    }

    fn publish_if_full(&mut self) -> Result<(), StoreError> {
        match self.open.take_if(|open| open.bytes() >= self.store.pack_bytes()) {
            Some(full) => self.publish(full.finish(&[], 0)),
            None => Ok(()),
        }
    }

    fn publish(&mut self, pack: FinishedPack) -> Result<(), StoreError> {
        let FinishedPack { uid, parts, bytes, index } = pack;
        self.store.look_at_space()?;
        if stands(Guard::PacksComeFirst, self.writer) {
            self.store.backend().put(&pack_key(uid), &parts)?;
        }
        let n_blobs = u32::try_from(index.blobs.len()).expect("a pack holds far fewer blobs than 2^32");
        let shared = std::mem::take(&mut self.open_shared);
        self.published.push(PublishedPack { uid, bytes, n_blobs, n_records: index.n_records, shared });
        Ok(())
    }

    /// Closes the open pack with the records: every blob that they speak of is in it or in one before it.
    pub fn flush(&mut self, records: &[Entry]) -> Result<Flushed, StoreError> {
        let mut section = RecordsBuilder::default();
        for entry in records {
            section.push(entry);
            if section.bytes() >= RECORDS_BYTES_MAX {
                self.close(std::mem::take(&mut section))?;
            }
        }
        if self.open.is_some() || !section.is_empty() {
            self.close(section)?;
        }
        self.fresh.clear();
        let packs = std::mem::take(&mut self.published);
        let reused = std::mem::take(&mut self.reused).into_iter().collect();
        Ok(Flushed { inner: Arc::new(FlushedPacks { packs, reused }) })
    }

    fn close(&mut self, section: RecordsBuilder) -> Result<(), StoreError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.store.new_pack(self.writer),
        };
        let (records, n_records) = section.finish();
        self.publish(open.finish(&records, n_records))
    }
}
