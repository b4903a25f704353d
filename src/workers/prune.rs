//! Gives up the restore points that retention no longer keeps, and deletes what only they needed.
//!
//! First the storage is told, with records in a pack; the transaction that makes the pack part of the store also takes
//! the points from view. Then their rows go, in steps of their own. Stopped anywhere, the next prune finds the points
//! that are on their way out and goes on: `expiring` is the last thing of a point to be deleted. In the end it
//! looks whether the index of words has room to spare.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::task::{Control, Done, TaskError};
use super::workshop::{Workshop, identity};
use crate::catalog::expiry::{Deleted, Pace, Step, Sweep};
use crate::catalog::retention::{self, Judge};
use crate::catalog::search::{self, Compaction};
use crate::catalog::{Chain, Keep, PointState, chains, points};
use crate::db::{Conn, QueryResult, TxError};
use crate::ids::{ChainId, PointNumber, PolicyId, StorageId};
use crate::queue::work::PruneWork;
use crate::queue::{self, LeaseLost, Progress};
use crate::repository::{self, CommitRefused, Record, record};
use crate::tenants;

/// Chains that are looked at together. Those of them that give up points share a pack.
const CHAINS_TOGETHER: u32 = 500;
/// Sealed points of a chain that are read at once.
const POINTS_PAGE: u32 = 5_000;
/// Points of one chain that one prune gives up; the next one takes the rest.
const POINTS_MAX: usize = 10_000;
/// A point that is given up by hand while a prune runs finds no task of its own queued: this one looks again.
const PASSES_MAX: u32 = 2;
/// Unfinished restores that are known at once. When there are more, retention waits for them.
const RESTORES_MAX: i64 = 10_000;
/// How long a prune rests that a restore came in the way of.
const REST: Duration = Duration::from_secs(10);

/// An index of words that takes less is not worth writing anew.
const COMPACT_ABOVE_BYTES: u64 = 64 << 20;

/// Prunes one storage.
pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: PruneWork = control.work()?;
    workshop.refuse_unfinished_rebuild(work.storage).await?;
    let mut prune = Prune { workshop, control, storage: work.storage, n_chains: 0, deleted: Deleted::default() };
    for _ in 0..PASSES_MAX {
        prune.give_up().await?;
        prune.delete().await?;
        if !prune.has_late_wishes().await? {
            break;
        }
    }
    prune.compact_index().await;
    let Deleted { points, versions } = prune.deleted;
    Ok(Done::new(json!({ "chains": prune.n_chains, "points": points, "versions": versions }), 0))
}

struct Prune<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    storage: StorageId,
    n_chains: u64,
    deleted: Deleted,
}

/// The points that one chain gives up.
#[derive(Clone)]
struct Leaving {
    chain: Chain,
    points: Vec<PointNumber>,
}

/// Why points could not be given up.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    #[error(transparent)]
    Store(#[from] CommitRefused),
    #[error("a restore of a point that is to be given up began just now")]
    Restoring,
}

impl From<TxError<Refused>> for TaskError {
    fn from(err: TxError<Refused>) -> Self {
        match err {
            TxError::Db(err) => err.into(),
            TxError::Refused(Refused::LeaseLost(lost)) => lost.into(),
            TxError::Refused(refused @ Refused::Store(_)) => Self::Retry(refused.to_string()),
            TxError::Refused(refused @ Refused::Restoring) => Self::Snooze { after: REST, why: refused.to_string() },
        }
    }
}

impl Prune<'_> {
    /// The index of words grows with each backup of a user, here and there; once a day is often enough to look at it.
    /// What is in its way is no reason for the prune to fail.
    async fn compact_index(&self) {
        let put_off = |why: String| tracing::info!(why, "the index of words stays as large as it is for now");
        let compact = |conn: &mut Conn| search::compact(conn, COMPACT_ABOVE_BYTES);
        match self.workshop.db.run("compact the index of words", compact).await {
            Ok(Compaction::NotNeeded) => {}
            Ok(Compaction::Done { bytes_before }) => {
                tracing::info!(bytes_before, "the index of words was written anew")
            }
            Ok(Compaction::PutOff { why }) => put_off(why),
            Err(err) => put_off(err.to_string()),
        }
    }

    async fn give_up(&mut self) -> Result<(), TaskError> {
        let storage = self.storage;
        let mut after = ChainId::new(0);
        loop {
            let db = &self.workshop.db;
            let (leaving, last) = db.run("judge restore points", move |conn| leaving_of(conn, storage, after)).await?;
            if !leaving.is_empty() {
                self.tell(leaving).await?;
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
            self.say("judging restore points").await?;
        }
    }

    /// Tells the storage, and takes the points from view in the transaction that makes the telling part of the store.
    async fn tell(&self, leaving: Vec<Leaving>) -> Result<(), TaskError> {
        let db = &self.workshop.db;
        let open = self.workshop.storage(self.storage).await?;
        let mut packer = open.store.packer(db.clone(), open.writer);
        for Leaving { chain, points } in &leaving {
            let resource = tenants::get_resource(db, chain.key.resource).await?;
            let identity = Arc::new(identity(db, resource, chain.key.feature.as_str()).await?);
            let expire = record::Expire { points: points.iter().map(|point| point.get()).collect() };
            packer.add_record(&identity, PointNumber::new(chain.last_point), Record::Expire(expire));
        }
        let flushed = packer.flush().await?;
        let (lease, storage, writer) = (self.control.lease(), open.id, open.writer);
        let told = db.transaction::<_, Refused, _>("give up restore points", move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            let packs = repository::commit(conn, storage, writer, &flushed).map_err(TxError::widen)?;
            if packs.committed_before {
                return Ok(());
            }
            for Leaving { chain, points } in &leaving {
                points::lock(conn, chain.id, points)?;
            }
            // A restore locks its point before it writes its task, so that none can begin between here and the commit.
            let restoring = Restoring::now(conn)?;
            for Leaving { chain, points } in &leaving {
                if points.iter().any(|point| restoring.reads(chain.id, *point)) {
                    return Err(TxError::Refused(Refused::Restoring));
                }
                points::expire(conn, chain.id, points)?;
            }
            Ok(())
        });
        Ok(told.await?)
    }

    /// Deletes what was given up, now or in a prune that was stopped half-way.
    async fn delete(&mut self) -> Result<(), TaskError> {
        let storage = self.storage;
        let mut after = ChainId::new(0);
        loop {
            let db = &self.workshop.db;
            let chains = db.run("find points on their way out", move |conn| {
                points::chains_with(conn, storage, PointState::Expiring, after, CHAINS_TOGETHER)
            });
            let chains = chains.await?;
            let Some(last) = chains.last() else { return Ok(()) };
            after = *last;
            for chain in chains {
                self.sweep(chain).await?;
                self.n_chains += 1;
                self.say("deleting what was given up").await?;
            }
        }
    }

    async fn has_late_wishes(&self) -> Result<bool, TaskError> {
        let (db, storage, first) = (&self.workshop.db, self.storage, ChainId::new(0));
        let wished = db.run("look for points given up meanwhile", move |conn| {
            points::chains_with(conn, storage, PointState::GivenUp, first, 1)
        });
        Ok(!wished.await?.is_empty())
    }

    async fn sweep(&mut self, chain: ChainId) -> Result<(), TaskError> {
        let lease = self.control.lease();
        let mut sweep = Sweep::of(chain, Pace::default());
        loop {
            let step = self.workshop.db.transaction("delete what was given up", move |conn| {
                queue::assert_held(conn, &lease)?;
                Ok::<_, TxError<LeaseLost>>(sweep.step(conn)?)
            });
            match step.await? {
                Step::More(next) => sweep = next,
                Step::Done(Deleted { points, versions }) => {
                    self.deleted.points += points;
                    self.deleted.versions += versions;
                    return Ok(());
                }
            }
        }
    }

    async fn say(&self, phase: &str) -> Result<(), TaskError> {
        let progress = Progress { phase: phase.to_owned(), items_done: self.deleted.versions, ..Progress::default() };
        self.control.report(progress).await
    }
}

/// What the next chains of a storage give up, and the last of these chains; `None`: there are no more.
fn leaving_of(conn: &mut Conn, storage: StorageId, after: ChainId) -> QueryResult<(Vec<Leaving>, Option<ChainId>)> {
    let chains = chains::of_storage(conn, storage, after, CHAINS_TOGETHER)?;
    let last = chains.last().map(|chain| chain.id);
    let mut policies: Vec<PolicyId> = chains.iter().filter_map(|chain| chain.policy).collect();
    policies.sort_unstable();
    policies.dedup();
    let keeps = retention::of_policies(conn, &policies)?;
    let restoring = Restoring::now(conn)?;
    let mut leaving = Vec::new();
    for chain in chains {
        let keep = chain.policy.and_then(|policy| keeps.get(&policy)).copied().unwrap_or(Keep::EVERYTHING);
        let mut points = given_up(conn, &chain, keep)?;
        points.retain(|point| !restoring.reads(chain.id, *point));
        if !points.is_empty() {
            leaving.push(Leaving { chain, points });
        }
    }
    Ok((leaving, last))
}

/// What a chain gives up by its rules, and what was given up by hand.
fn given_up(conn: &mut Conn, chain: &Chain, keep: Keep) -> QueryResult<Vec<PointNumber>> {
    let by_hand = u32::try_from(POINTS_MAX).unwrap_or(u32::MAX);
    let mut leaving = points::in_state(conn, chain.id, PointState::GivenUp, by_hand)?;
    if keep == Keep::EVERYTHING {
        return Ok(leaving);
    }
    let mut judge = Judge::new(keep);
    let mut before = PointNumber::OPEN;
    loop {
        let page = points::sealed(conn, chain.id, before, POINTS_PAGE)?;
        leaving.extend(page.iter().filter(|(_, sealed_at)| judge.judge(*sealed_at).is_none()).map(|(point, _)| *point));
        leaving.truncate(POINTS_MAX);
        match page.last() {
            Some((last, _)) if page.len() == POINTS_PAGE as usize && leaving.len() < POINTS_MAX => before = *last,
            _ => return Ok(leaving),
        }
    }
}

/// The points that are being restored or exported: they stay until that is over.
enum Restoring {
    These(HashSet<(ChainId, PointNumber)>),
    /// More than can be told apart, so that any point may be one of them.
    TooMany,
}

impl Restoring {
    fn now(conn: &mut Conn) -> QueryResult<Self> {
        let mut found = queue::points_being_restored(conn, RESTORES_MAX + 1)?;
        found.extend(queue::points_being_exported(conn, RESTORES_MAX + 1)?);
        Ok(if found.len() as u64 > RESTORES_MAX.cast_unsigned() {
            Self::TooMany
        } else {
            Self::These(found.into_iter().collect())
        })
    }

    fn reads(&self, chain: ChainId, point: PointNumber) -> bool {
        match self {
            Self::These(points) => points.contains(&(chain, point)),
            Self::TooMany => true,
        }
    }
}
