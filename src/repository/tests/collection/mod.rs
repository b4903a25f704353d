//! Collection: what is needed stays, what is not goes, whatever happens at once and wherever it is stopped.

mod crashes;
mod guards;
mod items;
mod kills;
mod together;
mod what_goes;

pub use items::sql::TestItems;

use std::time::Duration;

use super::*;
use crate::db::TxError;
use crate::repository::collect::{CollectError, Collected, Collection, Limits, Reference, Step};
use crate::repository::{CommitRefused, Depth, Flushed, StoreError};
use items::sql::Row;

/// No grace and no delay: two runs free what nobody needs.
pub const AT_ONCE: Limits = Limits {
    grace: Duration::ZERO,
    file_delay: Duration::ZERO,
    silence: Duration::from_secs(3600),
    memory_bytes: 1 << 20,
    rewrite_bytes: 1 << 40,
};

/// A store with items.
pub struct Yard {
    pub bench: Bench,
}

/// What a writer stored and has not committed.
pub struct Pending {
    flushed: Flushed,
    items: Vec<(u32, Stored)>,
}

/// Every third item shares its attachment with others.
pub fn content(seed: u32) -> Bytes {
    let attachment = if seed.is_multiple_of(3) { seed % 4 } else { seed };
    mail(&format!("mail {seed}"), &noise(attachment.into(), 30_000))
}

pub async fn create_items(db: &Db) {
    db.run("create", items::sql::create).await.unwrap();
}

/// Stores items and publishes their packs.
pub async fn store_items(packer: &mut Packer, seeds: &[u32]) -> Result<Pending, StoreError> {
    let one = |seed: &u32| item(&format!("mail {seed}"), Some(IngestContent::Mime(content(*seed))));
    let stored = packer.store(seeds.iter().map(one).collect()).await?;
    Ok(Pending { flushed: packer.flush().await?, items: seeds.iter().copied().zip(stored).collect() })
}

/// Makes stored items part of the store.
pub async fn commit_items(
    db: &Db,
    storage: StorageId,
    writer: WriterId,
    pending: &Pending,
) -> Result<(), TxError<CommitRefused>> {
    let (flushed, items) = (pending.flushed.clone(), pending.items.clone());
    let commit = db.transaction("commit", move |conn| {
        let ids = crate::repository::commit(conn, storage, writer, &flushed)?;
        for (seed, stored) in &items {
            let content = stored.content.as_ref().unwrap();
            let place = |location: super::super::Location| (id(&ids, location.pack), location.blob);
            let reference = Reference {
                properties: place(stored.properties),
                content: Some(place(content.location)),
                shared: content.refs.clone(),
            };
            items::sql::insert(conn, *seed, &reference)?;
        }
        Ok(())
    });
    commit.await
}

pub async fn list_items(db: &Db) -> Vec<Row> {
    db.run("list", |conn| items::sql::list(conn, 0, 100_000)).await.unwrap()
}

pub async fn remove_items(db: &Db, ids: Vec<u32>) {
    db.run("remove", move |conn| items::sql::remove(conn, &ids)).await.unwrap();
}

/// All steps, in the order of the task.
pub async fn run_all(collection: &mut Collection<TestItems>) -> Result<Collected, CollectError> {
    collection.discard_orphans().await?;
    collection.delete_files().await?;
    while let Some(marked) = collection.scan().await? {
        collection.settle(&marked).await?;
        collection.compact(&marked).await?;
    }
    collection.delete_files().await?;
    Ok(*collection.done())
}

/// Why an item cannot be read; `None`: it comes back byte for byte.
pub async fn loss(reader: &crate::repository::Reader, row: &Row) -> Option<String> {
    let (pack, blob) = row.reference.content.unwrap();
    match reader.content(pack, blob, u64::MAX).await {
        Ok(read) if read == content(row.seed) => {}
        Ok(_) => return Some(format!("item {} has other content", row.id)),
        Err(err) => return Some(format!("item {}: {err}", row.id)),
    }
    let (pack, blob) = row.reference.properties;
    reader.read(pack, blob).await.err().map(|err| format!("properties of item {}: {err}", row.id))
}

impl Yard {
    pub async fn new() -> Self {
        Self::on(Arc::new(Memory::new()), Layout::Packed, Crypto::None).await
    }

    pub async fn on(backend: Arc<dyn Backend>, layout: Layout, crypto: Crypto) -> Self {
        let bench = Bench::on(backend, layout, crypto).await;
        create_items(&bench.db).await;
        Self { bench }
    }

    /// Stores and commits items as the bench's writer.
    pub async fn put(&self, seeds: &[u32]) {
        let pending = store_items(&mut self.bench.packer(), seeds).await.unwrap();
        self.commit(self.bench.writer, &pending).await.unwrap();
    }

    pub async fn commit(&self, writer: WriterId, pending: &Pending) -> Result<(), TxError<CommitRefused>> {
        commit_items(&self.bench.db, self.bench.store.storage(), writer, pending).await
    }

    /// Removes the items made of these seeds.
    pub async fn forget(&self, seeds: &[u32]) {
        let rows = list_items(&self.bench.db).await;
        let ids = rows.iter().filter(|row| seeds.contains(&row.seed)).map(|row| row.id).collect();
        remove_items(&self.bench.db, ids).await;
    }

    pub fn collection(&self, limits: Limits) -> Collection<TestItems> {
        let held = Arc::new(|_: &mut crate::db::Conn| Ok(()));
        self.bench.store.collection(self.bench.db.clone(), self.bench.writer, TestItems, held, limits)
    }

    pub async fn collect(&self) -> Collected {
        run_all(&mut self.collection(AT_ONCE)).await.unwrap()
    }

    /// What of the committed items cannot be read.
    pub async fn losses(&self) -> Vec<String> {
        let reader = self.bench.store.reader(self.bench.db.clone());
        let mut losses = Vec::new();
        for row in list_items(&self.bench.db).await {
            losses.extend(loss(&reader, &row).await);
        }
        losses
    }

    /// Names and lengths of the packs, each of which is sound.
    pub async fn packs(&self) -> Vec<crate::repository::PackFile> {
        let mut packs = Vec::new();
        for folder in 0..=u8::MAX {
            packs.extend(self.bench.store.list_packs(folder).await.unwrap());
        }
        for pack in &packs {
            self.bench.store.check_pack(pack.uid, Depth::Content).await.unwrap();
        }
        packs
    }

    pub async fn bytes(&self) -> u64 {
        self.packs().await.iter().map(|pack| pack.bytes).sum()
    }
}
