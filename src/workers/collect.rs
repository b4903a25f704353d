//! Frees the space of a storage that no restore point needs: runs the repository's collection over the catalog's items.

use std::sync::Arc;

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::catalog::{self, VersionRow};
use crate::db::{Conn, QueryResult, TxError};
use crate::ids::{ChainId, StorageId, VersionNumber};
use crate::queue::work::CollectWork;
use crate::queue::{self, LeaseLost, Progress};
use crate::repository::collect::{Assert, CollectError, Collection, NotHeld, Page, Reference, References};

/// Versions in one page, and bytes of the blob ids that they refer to.
const PAGE_ROWS: u32 = 2000;
const PAGE_BYTES: u64 = 4 << 20;

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: CollectWork = control.work()?;
    workshop.refuse_unfinished_rebuild(work.storage).await?;
    let opened = workshop.storage(work.storage).await?;
    let lease = control.lease();
    let held: Assert = Arc::new(move |conn| {
        queue::assert_held(conn, &lease).map_err(|err| match err {
            TxError::Db(err) => TxError::Db(err),
            TxError::Refused(LeaseLost { .. }) => TxError::Refused(NotHeld),
        })
    });
    let limits = workshop.collection.limits();
    let mut collection = opened.store.collection(workshop.db.clone(), opened.writer, CatalogItems, held, limits);
    let ended = collect(control, &mut collection).await;
    let done = *collection.done();
    tracing::info!(
        storage.id = %work.storage,
        n_condemned = done.blobs_condemned,
        n_compacted = done.packs_compacted,
        n_bytes_freed = done.bytes_deleted,
        "collection ended"
    );
    match ended {
        Ok(()) => {
            let result = serde_json::to_value(done).expect("numbers can always be said in JSON");
            Ok(Done::new(result, 0))
        }
        Err(Ended::Task(err)) => Err(err),
        Err(Ended::Collection(CollectError::NotHeld(_))) => Err(LeaseLost { task: lease.task }.into()),
        Err(Ended::Collection(CollectError::Store(err))) => Err(err.into()),
        Err(Ended::Collection(err @ CollectError::DatabaseOlder { .. })) => Err(TaskError::permanent(err)),
        Err(Ended::Collection(err)) => Err(TaskError::Retry(err.to_string())),
    }
}

/// Why a collection ended early: by itself, or because the task could not go on.
enum Ended {
    Task(TaskError),
    Collection(CollectError),
}

impl From<CollectError> for Ended {
    fn from(err: CollectError) -> Self {
        Self::Collection(err)
    }
}

impl From<TaskError> for Ended {
    fn from(err: TaskError) -> Self {
        Self::Task(err)
    }
}

async fn collect(control: &Control, collection: &mut Collection<CatalogItems>) -> Result<(), Ended> {
    report(control, collection, "looking for packs that were never committed").await?;
    collection.discard_orphans().await?;
    // Before anything is written, which may need the room.
    collection.delete_files().await?;
    loop {
        report(control, collection, "marking what restore points need").await?;
        let Some(marked) = collection.scan().await? else { break };
        report(control, collection, "condemning what none needs").await?;
        collection.settle(&marked).await?;
        report(control, collection, "compacting packs").await?;
        collection.compact(&marked).await?;
    }
    report(control, collection, "deleting files").await?;
    Ok(collection.delete_files().await?)
}

async fn report(control: &Control, collection: &Collection<CatalogItems>, phase: &str) -> Result<(), TaskError> {
    let done = collection.done();
    let progress = Progress {
        phase: phase.to_owned(),
        items_done: done.items_scanned,
        bytes_done: done.bytes_compacted,
        ..Progress::default()
    };
    control.report(progress).await
}

/// The catalog's versions, chain by chain, each in the order in which they were written: what is written meanwhile comes
/// behind all that it builds on.
pub struct CatalogItems;

/// A chain, and the version behind which it goes on.
pub type Position = (ChainId, VersionNumber);

impl References for CatalogItems {
    type Position = Position;

    fn page(&self, conn: &mut Conn, storage: StorageId, from: Option<Position>) -> QueryResult<Page<Position>> {
        let from = match from {
            Some(from) => Some(from),
            None => next_chain(conn, storage, ChainId::new(0))?,
        };
        let Some((chain, after)) = from else { return Ok(Page { references: Vec::new(), next: None }) };
        let rows = catalog::items::scan_within(conn, chain, after, PAGE_ROWS, PAGE_BYTES)?;
        let next = match rows.last() {
            Some(last) => Some((chain, last.number)),
            None => next_chain(conn, storage, chain)?,
        };
        Ok(Page { references: rows.into_iter().map(reference).collect(), next })
    }
}

fn next_chain(conn: &mut Conn, storage: StorageId, after: ChainId) -> QueryResult<Option<Position>> {
    let next = catalog::chains::of_storage(conn, storage, after, 1)?;
    Ok(next.first().map(|chain| (chain.id, VersionNumber::NONE)))
}

fn reference(VersionRow { version, .. }: VersionRow) -> Reference {
    Reference {
        properties: (version.properties.pack, version.properties.blob),
        content: version.content.map(|content| (content.pack, content.blob)),
        shared: version.refs,
    }
}
