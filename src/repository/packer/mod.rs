//! Stores the items of one task: takes content apart, keeps what is new in packs, and makes them durable.
//!
//! Memory: the batch, its parts taken apart, two pieces of what is read as it is stored, and one open pack (its target
//! length plus one blob). A packer is spent
//! once a call on it failed (but for [`StoreError::Item`]) or was dropped half-way; the task starts over from its last
//! commit with a new one, and what was already put becomes an orphan that collection adopts or removes.

mod streaming;
mod work;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use super::commit::Flushed;
use super::door::blocking;
use super::format::BLOB_BYTES_MAX;
use super::ingest::{Parts, SharedPart, take_apart_mime, take_apart_raw};
use super::recipe::Recipe;
use super::record::{ChainIdentity, Entry, Location, Record};
use super::spooled::Spool;
use super::streamed::Incoming;
use super::{Store, StoreError, blobs, packs};
use crate::db::Db;
use crate::ids::{BlobId, PointNumber, WriterId};
pub use streaming::Streaming;
use work::Work;

/// One item to store.
#[derive(Debug)]
pub struct Ingest {
    /// JSON, at most 16 MiB.
    pub properties: Bytes,
    pub content: Option<IngestContent>,
}

#[derive(Debug)]
pub enum IngestContent {
    /// A message as RFC 5322 text, taken apart for what is shared.
    Mime(Bytes),
    /// Bytes too large for memory, in a file positioned at their start.
    Spooled { file: File, bytes: u64 },
    /// Bytes too large for memory, read while they are stored.
    Stream(Incoming),
    /// Any other bytes.
    Raw(Bytes),
}

/// Where an item was stored. Restorable once the flush that follows is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub properties: Location,
    pub content: Option<StoredContent>,
    /// What the item added to the packs; small parts are counted before they are compressed together with others.
    pub bytes_stored: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContent {
    pub location: Location,
    /// The shared blobs that it is made of, each once, in ascending order.
    pub refs: Vec<BlobId>,
    /// The length of the content itself.
    pub bytes: u64,
}

/// Stores items on behalf of one task. See the module.
pub struct Packer {
    store: Store,
    db: Db,
    writer: WriterId,
    /// Away while a call works on it behind the door.
    work: Option<Work>,
    records: Vec<Entry>,
    next_seq: Option<u64>,
}

impl Store {
    /// A packer for one task of the agent that registered as `writer`.
    pub fn packer(&self, db: Db, writer: WriterId) -> Packer {
        Packer {
            work: Some(Work::new(self.clone(), writer)),
            store: self.clone(),
            db,
            writer,
            records: Vec::new(),
            next_seq: None,
        }
    }
}

impl Packer {
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// Stores items; the answers are in their order. Full packs are put as they fill.
    ///
    /// [`StoreError::Item`] means that one of the items cannot be stored and none of this batch may be recorded: store
    /// them one at a time to find out which. Not cancel-safe: a dropped call spends the packer.
    pub async fn store(&mut self, batch: Vec<Ingest>) -> Result<Vec<Stored>, StoreError> {
        if let Some(large) = batch.iter().find(|item| item.properties.len() > BLOB_BYTES_MAX) {
            return Err(StoreError::Item(format!(
                "the properties of an item have {} bytes, more than the {BLOB_BYTES_MAX} that can be stored",
                large.properties.len()
            )));
        }
        let mut stored = Vec::with_capacity(batch.len());
        let mut run = Vec::new();
        for item in batch {
            match item.content {
                Some(IngestContent::Spooled { file, bytes }) => {
                    self.store_run(std::mem::take(&mut run), &mut stored).await?;
                    stored.push(self.store_spooled(item.properties, file, bytes).await?);
                }
                Some(IngestContent::Stream(incoming)) => {
                    self.store_run(std::mem::take(&mut run), &mut stored).await?;
                    stored.push(Box::pin(self.store_stream(item.properties, incoming)).await?);
                }
                Some(IngestContent::Mime(text)) => run.push((item.properties, Some(InMemory::Mime(text)))),
                Some(IngestContent::Raw(bytes)) => run.push((item.properties, Some(InMemory::Raw(bytes)))),
                None => run.push((item.properties, None)),
            }
        }
        self.store_run(run, &mut stored).await?;
        Ok(stored)
    }

    /// Adds a record to the next flush. Records become part of the store in the order in which they are added.
    pub fn add_record(&mut self, chain: &Arc<ChainIdentity>, point: PointNumber, record: Record) {
        self.records.push(Entry { chain: Some(Arc::clone(chain)), point, seq: 0, record });
    }

    /// Makes everything since the last flush durable. What comes back is for [`super::commit`].
    ///
    /// Not cancel-safe: a dropped call spends the packer.
    pub async fn flush(&mut self) -> Result<Flushed, StoreError> {
        if !self.records.is_empty() {
            // Microseconds are finer than any packer records, so a later packer of the chain counts on from above.
            let first = match self.next_seq {
                Some(seq) => seq,
                None => self.db.run("read the clock", packs::sql::read_clock_us).await?,
            };
            for (seq, entry) in (first..).zip(&mut self.records) {
                entry.seq = seq;
            }
            self.next_seq = Some(first + self.records.len() as u64);
        }
        let mut work = self.work.take().ok_or(StoreError::Interrupted)?;
        let records = std::mem::take(&mut self.records);
        let (work, flushed) = blocking(move || work.flush(&records).map(|flushed| (work, flushed))).await?;
        self.work = Some(work);
        Ok(flushed)
    }

    /// Forgets that blobs are stored, after [`super::CommitRefused::ReusedBlobGone`]: for all packers of the agent.
    pub fn forget(&self, ids: &[BlobId]) {
        self.store.packing().known.forget(ids);
    }

    async fn store_run(
        &mut self,
        run: Vec<(Bytes, Option<InMemory>)>,
        stored: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        if run.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let apart: Vec<(Bytes, Option<Parts>)> = blocking(move || {
            let chunking = store.chunking();
            let take_apart = |content| match content {
                InMemory::Mime(text) => take_apart_mime(chunking, &text),
                InMemory::Raw(bytes) => take_apart_raw(chunking, &bytes),
            };
            run.into_iter().map(|(properties, content)| (properties, content.map(take_apart))).collect()
        })
        .await;
        let ids = apart.iter().filter_map(|(_, parts)| parts.as_ref()).flat_map(|parts| &parts.shared);
        let live = self.find_live(ids.map(|part| part.hash.id())).await?;
        let mut work = self.work.take().ok_or(StoreError::Interrupted)?;
        let (work, items) = blocking(move || {
            let items: Result<Vec<Stored>, StoreError> =
                apart.into_iter().map(|(properties, parts)| work.keep_item(&properties, parts, &live)).collect();
            items.map(|items| (work, items))
        })
        .await?;
        self.work = Some(work);
        stored.extend(items);
        Ok(())
    }

    /// A file is cut, looked up and kept window by window, so that its length does not matter.
    async fn store_spooled(&mut self, properties: Bytes, file: File, bytes: u64) -> Result<Stored, StoreError> {
        let mut spool = Spool::new(file, bytes, self.store.chunking());
        let mut added = 0;
        loop {
            let (back, window) = blocking(move || {
                let window = spool.next_window();
                (spool, window)
            })
            .await;
            spool = back;
            let window = window.map_err(StoreError::Item)?;
            if window.is_empty() {
                break;
            }
            added += self.keep_window(window).await?;
        }
        let recipe = spool.finish().map_err(StoreError::Item)?;
        self.keep_recipe(properties, recipe, added).await
    }

    /// Keeps what is new among these parts; says how many bytes that added.
    async fn keep_window(&mut self, window: Vec<SharedPart>) -> Result<u64, StoreError> {
        let live = self.find_live(window.iter().map(|part| part.hash.id())).await?;
        let mut work = self.work.take().ok_or(StoreError::Interrupted)?;
        let (work, added) = blocking(move || work.keep_shared(&window, &live).map(|n| (work, n))).await?;
        self.work = Some(work);
        Ok(added)
    }

    /// The next flush builds on all that this recipe names.
    fn build_on(&mut self, recipe: &Recipe) -> Result<(), StoreError> {
        self.work.as_mut().ok_or(StoreError::Interrupted)?.build_on(&recipe.refs());
        Ok(())
    }

    /// Ends an item whose parts are kept already.
    async fn keep_recipe(&mut self, properties: Bytes, recipe: Recipe, added: u64) -> Result<Stored, StoreError> {
        let mut work = self.work.take().ok_or(StoreError::Interrupted)?;
        let parts = Parts { recipe, shared: Vec::new() };
        let (work, mut item) =
            blocking(move || work.keep_item(&properties, Some(parts), &HashSet::new()).map(|item| (work, item)))
                .await?;
        self.work = Some(work);
        item.bytes_stored += added;
        Ok(item)
    }

    /// Which of the blobs are stored already, by memory or by a few batched questions to the database.
    async fn find_live(&self, ids: impl Iterator<Item = BlobId>) -> Result<HashSet<BlobId>, StoreError> {
        let work = self.work.as_ref().ok_or(StoreError::Interrupted)?;
        let ids: BTreeSet<BlobId> = ids.filter(|id| !work.fresh.contains(id)).collect();
        let known = &self.store.packing().known;
        let mut live = known.among(ids.iter().copied());
        let unknown: Vec<BlobId> = ids.into_iter().filter(|id| !live.contains(id)).collect();
        let storage = self.store.storage();
        for page in unknown.chunks(blobs::sql::PAGE_ROWS) {
            let page = page.to_vec();
            let found =
                self.db.run("look blobs up", move |conn| blobs::sql::find_live_blobs(conn, storage, &page)).await?;
            known.insert(&found);
            live.extend(found);
        }
        Ok(live)
    }
}

enum InMemory {
    Mime(Bytes),
    Raw(Bytes),
}
