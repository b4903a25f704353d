//! Items on their way: found by a walk, brought back many at once, and their outcomes committed, all at the same time.
//!
//! The walk runs ahead, so that neither a page of the catalog that is read, nor a folder that is opened and listed, nor
//! a commit leaves the target with fewer requests under way than it takes. Memory stays bounded: by the rows that wait,
//! and by what is known of the places that they wait for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use super::claims::{Claim, Claims};
use super::leaving::{Hold, Left};
use super::pace::Load;
use super::{PAGE_ITEMS, REPORT_EVERY, Restoration, TaskError};
use crate::catalog::{Holding, OutcomeRow, VersionRow};
use crate::features::Existing;

/// Items that were found and are not yet brought back: as many as are brought back while several folders are opened.
const AHEAD_MAX: u32 = 1_000;
/// Folders among items that are walked through beside others.
const BRANCHES_MAX: usize = 16;
/// Folders that the walk left and that nobody looked at yet.
const LEFT_AHEAD_MAX: usize = 100;
/// The longest time that an outcome waits for others to be committed with it.
const COMMIT_AFTER: Duration = Duration::from_secs(2);

/// A place of the target and what it held when it was listed.
#[derive(Default)]
pub(super) struct Ground {
    /// Its Graph id; empty when a dry run found that it is missing.
    pub container: String,
    pub existing: Existing,
    /// Given back when nothing is on its way to it any more, as is the next.
    pub _claim: Option<Claim>,
    pub _hold: Option<Hold>,
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
    left: mpsc::Sender<Left>,
    claims: Claims,
    /// Walks through folders among items, beside those through containers.
    branches: Semaphore,
}

pub(super) fn channel() -> (Ahead, mpsc::Receiver<Due>, mpsc::Receiver<Left>) {
    let (due, arriving) = mpsc::channel(AHEAD_MAX as usize);
    let (left, leaving) = mpsc::channel(LEFT_AHEAD_MAX);
    let room = Arc::new(Semaphore::new(AHEAD_MAX as usize));
    let branches = Semaphore::new(BRANCHES_MAX);
    (Ahead { room, due, left, claims: Claims::new(), branches }, arriving, leaving)
}

impl Ahead {
    pub async fn put(&self, ground: &Arc<Ground>, row: VersionRow, known: Known) -> Result<(), TaskError> {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("this semaphore is never closed");
        let due = Due { ground: Arc::clone(ground), row, known, _room: room };
        self.due.send(due).await.map_err(|_| stopped())
    }

    /// All that lies in a folder was put here, and it is to be finished.
    pub async fn leave(&self, left: Left) -> Result<(), TaskError> {
        self.left.send(left).await.map_err(|_| stopped())
    }

    /// The right to walk through at most so many folders side by side, and how many it is for.
    pub fn branch(&self, n_wanted: usize) -> Option<(SemaphorePermit<'_>, usize)> {
        let n_free = self.branches.available_permits().min(n_wanted);
        let right = u32::try_from(n_free).ok().filter(|n_free| *n_free > 0)?;
        Some((self.branches.try_acquire_many(right).ok()?, n_free))
    }

    /// Returns when a container can be listed.
    pub async fn claim(&self, container: &str) -> Claim {
        self.claims.claim(container).await
    }
}

fn stopped() -> TaskError {
    TaskError::Retry("the restore came to a stop".to_owned())
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
    use crate::workers::restore::tests::row;

    const SOON: Duration = Duration::from_millis(20);

    async fn inbox(ahead: &Ahead) -> Arc<Ground> {
        Arc::new(Ground { _claim: Some(ahead.claim("inbox").await), ..Ground::default() })
    }

    #[tokio::test]
    async fn a_place_is_not_listed_while_something_is_on_its_way_to_it() {
        let (ahead, mut due, _left) = channel();
        ahead.put(&inbox(&ahead).await, row("a"), Known::default()).await.unwrap();

        assert!(timeout(SOON, ahead.claim("archive")).await.is_ok());
        assert!(timeout(SOON, ahead.claim("inbox")).await.is_err());
        drop(due.recv().await);
        assert!(timeout(SOON, ahead.claim("inbox")).await.is_ok());
    }

    #[tokio::test]
    async fn a_walk_does_not_run_ahead_without_end_and_stops_when_nobody_takes_what_it_finds() {
        let (ahead, mut due, _left) = channel();
        let inbox = inbox(&ahead).await;
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
