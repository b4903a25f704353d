//! Frees the space of what no restore point needs. A task runs it, one at a time for a storage.
//!
//! Owns: the steps and their order, what they may take, and why nothing that is needed goes. Does not own: which items
//! there are (the caller's [`References`] tells), the task (the caller's [`Assert`] says in every transaction whether
//! it still holds it), when to collect.
//!
//! The steps, each in short transactions, each safe to stop in and to begin again:
//! 0. orphans: files of packs that no transaction ever named (`orphans`);
//! 1. a scan over all items marks what is in use, in as many passes as memory asks for (`scan`);
//! 2. blobs that are not marked are condemned, and given up if a scan that began later does not mark them either
//!    (`settle`);
//! 3. packs that hold too little that is alive, or too little at all, are picked (`pick`);
//! 4. what is alive in them is copied into a new pack, which takes their place in one transaction (`compact`, `moved`);
//! 5. files of packs that were emptied go after a while, then the rows of what went with them (`files`).
//!
//! Why nothing is lost:
//! - *A blob that a commit builds on again.* The commit locks the row. Live: it stays, and if the scan had passed the
//!   item's place before, the blob is condemned wrongly and saved by the next scan, which sees the item. Condemned: the
//!   commit makes it live, and giving up skips what is not condemned. Given up: the commit is refused, and its content
//!   is stored again in a pack of its own, to which the row then points; it is not "given up, old pack" any more, so
//!   step 5 does not drop it.
//! - *A blob between copy and move.* What is copied is everything but what is given up, and nothing but this runner
//!   gives up; a commit can only make more of it live. So every row that must move was copied; if one was not, the
//!   transaction refuses, and nothing happened.
//! - *Dead weight.* Two writers may store the same blob; the row points at one copy. The other has no row in its pack
//!   and is not copied.
//! - *Recipes and properties* have no rows: an item names pack and blob. Only packs that were committed before the scan
//!   began are weighed, and a pack is committed together with its items, so the scan sees every item that names it. A
//!   backup that builds on an older version does so only while that version has its row (see `catalog`), and the new
//!   one never stands before it in the order of the scan.
//! - *A compaction whose commit was not answered* is made again: its pack has a row, or it has not.
//! - *A runner that lost its task* cannot commit anything; a pack that it published is an orphan.
//! - *Damaged packs* are not live: they are neither weighed nor deleted. One that was set aside leads on to what was
//!   saved of it, like one that was compacted.
//!
//! Memory: the marks, twelve bytes for each pack that leads to another, one window of packs, one open pack.

mod compact;
mod config;
mod files;
mod marks;
mod moved;
mod orphans;
mod pick;
mod scan;
mod settle;
mod stop;

use std::sync::Arc;

use serde::Serialize;

use super::{Store, StoreError};
use crate::db::{Conn, Db, DbError, QueryResult, TxError};
use crate::ids::{BlobId, PackId, PackUid, StorageId, WriterId};

pub use config::{CollectionConfig, Limits};
pub use scan::{Marked, Progress};
pub use stop::Step;

/// What one version of an item needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub properties: (PackId, BlobId),
    pub content: Option<(PackId, BlobId)>,
    pub shared: Vec<BlobId>,
}

/// Some of the items of a storage.
#[derive(Clone, Debug)]
pub struct Page<P> {
    pub references: Vec<Reference>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<P>,
}

/// All items of a storage, page by page, in one order: an item that is there from the first page to the last is seen,
/// whatever is added or removed meanwhile. A page is bounded in bytes.
pub trait References: Send + Sync + 'static {
    type Position: Copy + Send + 'static;

    fn page(
        &self,
        conn: &mut Conn,
        storage: StorageId,
        from: Option<Self::Position>,
    ) -> QueryResult<Page<Self::Position>>;
}

/// The task is not this runner's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task is not held any more")]
pub struct NotHeld;

/// Proves inside a transaction that the runner still holds its task, until the commit.
pub type Assert = Arc<dyn Fn(&mut Conn) -> Result<(), TxError<NotHeld>> + Send + Sync>;

/// Why a collection did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    NotHeld(#[from] NotHeld),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This agent was taken for dead as a writer: the next attempt registers a new one.
    #[error("the writer was declared dead")]
    WriterDead,
    /// Packs that the database must know are not in it: it was put back to an older state.
    #[error(
        "storage {storage} holds packs that the database does not know (pack {pack}: {why}), so the database is older \
         than the storage and nothing may be deleted: run \"kodo rebuild-catalog --storage {storage}\" first"
    )]
    DatabaseOlder { storage: StorageId, pack: PackUid, why: &'static str },
    /// A test stopped it here.
    #[cfg(test)]
    #[error("stopped at {0:?}")]
    Stopped(Step),
}

impl From<DbError> for CollectError {
    fn from(err: DbError) -> Self {
        Self::Store(err.into())
    }
}

impl From<TxError<NotHeld>> for CollectError {
    fn from(err: TxError<NotHeld>) -> Self {
        match err {
            TxError::Db(err) => err.into(),
            TxError::Refused(lost) => lost.into(),
        }
    }
}

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    pub orphans_discarded: u64,
    /// Orphans that may still be committed, and files that are no readable packs.
    pub orphans_left: u64,
    /// Passes over all items.
    pub passes: u64,
    pub items_scanned: u64,
    pub blobs_condemned: u64,
    /// Condemned before, and needed after all.
    pub blobs_saved: u64,
    /// Condemned before, and on their way out now.
    pub blobs_given_up: u64,
    pub packs_compacted: u64,
    pub packs_written: u64,
    pub bytes_compacted: u64,
    pub bytes_written: u64,
    /// Packs that were to be compacted and could not be read; verification says what is wrong with them.
    pub packs_unreadable: u64,
    pub files_deleted: u64,
    pub bytes_deleted: u64,
    pub blobs_dropped: u64,
}

/// One collection under way.
pub struct Collection<R: References> {
    store: Store,
    db: Db,
    writer: WriterId,
    references: Arc<R>,
    held: Assert,
    limits: Limits,
    progress: Progress,
    done: Collected,
    #[cfg(test)]
    stop_at: Option<Step>,
}

impl Store {
    /// A collection by the agent that registered as `writer`.
    pub fn collection<R: References>(
        &self,
        db: Db,
        writer: WriterId,
        references: R,
        held: Assert,
        limits: Limits,
    ) -> Collection<R> {
        Collection {
            store: self.clone(),
            db,
            writer,
            references: Arc::new(references),
            held,
            limits,
            progress: Progress::default(),
            done: Collected::default(),
            #[cfg(test)]
            stop_at: None,
        }
    }
}

impl<R: References> Collection<R> {
    pub fn done(&self) -> &Collected {
        &self.done
    }

    /// Runs `work` in a transaction that happens only while the task is held.
    async fn held_transaction<T, F>(&self, what: &'static str, mut work: F) -> Result<T, CollectError>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let transaction = self.db.transaction(what, move |conn| {
            held(conn)?;
            Ok(work(conn)?)
        });
        Ok(transaction.await?)
    }
}
