//! Items on their way: found by a walk, brought back many at once, and their outcomes committed, all at the same time.
//!
//! The walk runs ahead, so that neither a page of the catalog that is read, nor a folder that is opened and listed, nor
//! a commit leaves the target with fewer requests under way than it takes. Memory stays bounded: by the rows that wait,
//! and by what is known of the places that they wait for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::pace::Load;
use super::{PAGE_ITEMS, REPORT_EVERY, Restoration, TaskError};
use crate::catalog::{Holding, OutcomeRow, VersionRow};
use crate::features::Existing;

/// Items that were found and are not yet brought back: as many as are brought back while several folders are opened.
const AHEAD_MAX: u32 = 1_000;
/// While the places of these items hold more than this, no other place is listed.
const EXISTING_AHEAD_MAX: usize = 50_000;
/// The longest time that an outcome waits for others to be committed with it.
const COMMIT_AFTER: Duration = Duration::from_secs(2);

/// A place of the target and what it held when it was listed.
#[derive(Default)]
pub(super) struct Ground {
    /// Its Graph id; empty when a dry run found that it is missing.
    pub container: String,
    pub existing: Existing,
}

/// What the catalog says of an item.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// The newest backup has it, and the target may therefore hold it elsewhere.
    pub may_be_elsewhere: bool,
    /// How much the parts are that come back with it.
    pub parts: Holding,
}

/// An item that is to be brought back.
pub(super) struct Due {
    pub ground: Arc<Ground>,
    pub row: VersionRow,
    pub known: Known,
    _room: OwnedSemaphorePermit,
}

/// What became of an item, and what that takes.
pub(super) type Told = Result<(OutcomeRow, Load), TaskError>;

/// Where the walk puts what it finds.
pub(super) struct Ahead {
    room: Arc<Semaphore>,
    due: mpsc::Sender<Due>,
    grounds: Vec<Weak<Ground>>,
}

pub(super) fn channel() -> (Ahead, mpsc::Receiver<Due>) {
    let (due, arriving) = mpsc::channel(AHEAD_MAX as usize);
    (Ahead { room: Arc::new(Semaphore::new(AHEAD_MAX as usize)), due, grounds: Vec::new() }, arriving)
}

impl Ahead {
    pub async fn put(&self, ground: &Arc<Ground>, row: VersionRow, known: Known) -> Result<(), TaskError> {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("this semaphore is never closed");
        let due = Due { ground: Arc::clone(ground), row, known, _room: room };
        self.due.send(due).await.map_err(|_| TaskError::Retry("the restore came to a stop".to_owned()))
    }

    /// Returns when all that was put here has been brought back.
    pub async fn all_done(&self) {
        drop(self.room.acquire_many(AHEAD_MAX).await);
    }

    /// Returns when a container can be listed. What is half-way there belongs to an attempt that was interrupted, as long
    /// as none of this one's items is under way to it.
    pub async fn ready_to_list(&mut self, container: &str) {
        self.grounds.retain(|ground| ground.strong_count() > 0);
        let grounds: Vec<Arc<Ground>> = self.grounds.iter().filter_map(Weak::upgrade).collect();
        let n_existing: usize = grounds.iter().map(|ground| ground.existing.len()).sum();
        if n_existing > EXISTING_AHEAD_MAX || grounds.iter().any(|ground| ground.container == container) {
            self.all_done().await;
        }
    }

    pub fn ground(&mut self, container: String, existing: Existing) -> Arc<Ground> {
        let ground = Arc::new(Ground { container, existing });
        self.grounds.push(Arc::downgrade(&ground));
        ground
    }
}

impl Restoration<'_> {
    /// Brings back what is due until there is no more, or an item ended the attempt: then no other begins. Those that are
    /// under way at that moment may be created: their outcomes are told.
    pub(super) async fn bring(&self, mut due: mpsc::Receiver<Due>, tell: mpsc::Sender<Told>) {
        let due = stream::poll_fn(move |context| due.poll_recv(context));
        let mut ended = Box::pin(
            due.take_until(self.halt.cancelled())
                .map(|due| self.item(due))
                .buffer_unordered(self.workshop.agent.items_at_once),
        );
        while let Some(told) = ended.next().await {
            let goes_on = told.is_ok();
            if tell.send(told).await.is_err() || !goes_on {
                self.halt.cancel();
            }
        }
    }

    /// Commits what is told, and reports how far the restore is. Returns the first error when all is told.
    pub(super) async fn record_all(&self, mut told: mpsc::Receiver<Told>) -> Result<(), TaskError> {
        let mut first_error = None;
        let mut reported = Instant::now();
        loop {
            let batch = batch(&mut told).await;
            if batch.is_empty() {
                return first_error.map_or(Ok(()), Err);
            }
            let mut rows = Vec::with_capacity(batch.len());
            for told in batch {
                match told {
                    Ok((row, load)) => {
                        self.tally.add(load);
                        rows.push(row);
                    }
                    Err(err) => first_error = first_error.or(Some(err)),
                }
            }
            let mut committed = self.commit(rows).await;
            if committed.is_ok() && first_error.is_none() && reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                committed = self.report("restoring").await;
            }
            if let Err(err) = committed {
                self.halt.cancel();
                first_error = first_error.or(Some(err));
            }
        }
    }
}

/// What is told until there is a page of it, or the first of it has waited long enough. Nothing: all is told.
async fn batch(told: &mut mpsc::Receiver<Told>) -> Vec<Told> {
    let rows_max = PAGE_ITEMS as usize;
    let mut batch = Vec::with_capacity(rows_max);
    if told.recv_many(&mut batch, rows_max).await == 0 {
        return batch;
    }
    let until = Instant::now() + COMMIT_AFTER;
    while batch.len() < rows_max {
        let n_left = rows_max - batch.len();
        match timeout_at(until, told.recv_many(&mut batch, n_left)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::features::{Identity, Present};
    use crate::workers::restore::tests::row;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_place_is_not_listed_while_something_is_on_its_way_to_it() {
        let (mut ahead, mut due) = channel();
        let inbox = ahead.ground("inbox".to_owned(), Existing::default());
        ahead.put(&inbox, row("a"), Known::default()).await.unwrap();

        assert!(timeout(SOON, ahead.ready_to_list("archive")).await.is_ok());
        assert!(timeout(SOON, ahead.ready_to_list("inbox")).await.is_err());
        drop(due.recv().await);
        assert!(timeout(SOON, ahead.ready_to_list("inbox")).await.is_ok());
    }

    #[tokio::test]
    async fn what_large_folders_hold_is_in_memory_one_after_the_other() {
        let (mut ahead, mut due) = channel();
        let mut existing = Existing::default();
        for n in 0..=EXISTING_AHEAD_MAX {
            existing.add(Present { id: n.to_string(), identity: Identity::default() }, None);
        }
        let inbox = ahead.ground("inbox".to_owned(), existing);
        ahead.put(&inbox, row("a"), Known::default()).await.unwrap();
        drop(inbox);

        assert!(timeout(SOON, ahead.ready_to_list("archive")).await.is_err());
        drop(due.recv().await);
        assert!(timeout(SOON, ahead.ready_to_list("archive")).await.is_ok());
    }

    #[tokio::test]
    async fn a_walk_does_not_run_ahead_without_end_and_stops_when_nobody_takes_what_it_finds() {
        let (mut ahead, mut due) = channel();
        let inbox = ahead.ground("inbox".to_owned(), Existing::default());
        for _ in 0..AHEAD_MAX {
            ahead.put(&inbox, row("a"), Known::default()).await.unwrap();
        }

        assert!(timeout(SOON, ahead.put(&inbox, row("b"), Known::default())).await.is_err());
        drop(due.recv().await);
        assert!(timeout(SOON, ahead.put(&inbox, row("b"), Known::default())).await.is_ok_and(|put| put.is_ok()));
        drop(due);
        assert!(timeout(SOON, ahead.put(&inbox, row("c"), Known::default())).await.is_ok_and(|put| put.is_err()));
    }
}
