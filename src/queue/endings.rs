//! How a lease ends: finish, retry, snooze, release, reap; and cancel, which ends a task that nobody works on.
//!
//! A task whose cancellation was requested never goes back to the queue: retry, snooze, release and reap cancel it.

use std::time::Duration;

use crate::db::{Conn, DbError, QueryResult, TxError};
use crate::ids::{AgentId, RestoreId, RunId, TaskId};

use super::lease::{changed_or_lost, lock_held};
use super::retry::ATTEMPTS_MAX;
use super::task::{Lease, LeaseLost, Outcome, TaskState};
use super::view::Member;
use super::{NoRefusal, Queue, only_db, sql};

/// Expired leases that one call of [`Queue::reap`] looks at.
const REAP_MAX: i64 = 500;
/// Rows that one transaction of a cancellation locks.
const CANCEL_BATCH: i64 = 1_000;
/// Tasks that one call of [`Queue::forget_ended`] deletes.
const FORGET_BATCH: i64 = 2_000;
/// A task that was lost before waits this long per earlier attempt: it may be what kills its agents.
const DELAY_PER_LOSS: Duration = Duration::from_secs(30);

/// A process that was killed leaves requests behind that may still be at work at Microsoft, where a mailbox takes four at
/// once, and answers that nobody heard. Whoever is silent until its lease runs out has been dead for longer.
pub const RESPITE: Duration = Duration::from_secs(1);

/// Where a task went when its attempt ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAttempt {
    Queued,
    /// The last attempt was used.
    Failed,
    /// Somebody had asked for it.
    Cancelled,
}

/// What a cancellation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// Were queued and have ended.
    pub ended: u64,
    /// Are being worked on and were not asked before; their workers hear of it with the next heartbeat.
    pub requested: u64,
}

/// What reaping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    pub queued: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// How a task leaves for good.
pub(super) struct End<'a> {
    pub state: TaskState,
    pub result: Option<&'a str>,
    pub n_issues: u64,
    /// `None` keeps the error of the last attempt.
    pub error: Option<&'a str>,
}

/// How a task goes back to wait.
pub(super) struct Requeue<'a> {
    pub delay: Duration,
    pub attempts_used: u32,
    /// `None` keeps the error of the last attempt.
    pub error: Option<&'a str>,
    pub waits_for: Option<&'a str>,
}

impl Queue {
    /// Ends a task. Workers whose results are rows call [`finish_in`] in the transaction that writes them.
    pub async fn finish(&self, lease: Lease, outcome: Outcome) -> Result<(), TxError<LeaseLost>> {
        self.db.transaction("finish a task", move |conn| finish_in(conn, &lease, &outcome)).await
    }

    /// Ends an attempt that failed for a reason that may pass. The task waits `delay` (see [`super::retry_delay`]), or
    /// fails if this was its last attempt.
    pub async fn retry(&self, lease: Lease, delay: Duration, error: &str) -> Result<AfterAttempt, TxError<LeaseLost>> {
        let error = error.to_owned();
        let work = move |conn: &mut Conn| {
            let row = lock_held(conn, &lease)?;
            let after = after_attempt(row.attempts, row.cancel_requested);
            let changed = match after {
                AfterAttempt::Queued => {
                    let back = Requeue { delay, attempts_used: 1, error: Some(&error), waits_for: None };
                    sql::requeue(conn, sql::held(&lease), &back)?
                }
                AfterAttempt::Failed => sql::end(conn, sql::held(&lease), &ended(TaskState::Failed, Some(&error)))?,
                AfterAttempt::Cancelled => {
                    sql::end(conn, sql::held(&lease), &ended(TaskState::Cancelled, Some(&error)))?
                }
            };
            changed_or_lost(changed, &lease)?;
            Ok(after)
        };
        self.db.transaction("retry a task", work).await
    }

    /// Puts a task aside that cannot go on now through no fault of its own, such as throttling. Uses no attempt.
    pub async fn snooze(&self, lease: Lease, delay: Duration, why: &str) -> Result<AfterAttempt, TxError<LeaseLost>> {
        self.put_back(lease, delay, Some(why.to_owned())).await
    }

    /// Gives a task back at once, for an agent that shuts down. Uses no attempt.
    pub async fn release(&self, lease: Lease) -> Result<AfterAttempt, TxError<LeaseLost>> {
        self.put_back(lease, Duration::ZERO, None).await
    }

    async fn put_back(
        &self,
        lease: Lease,
        delay: Duration,
        waits_for: Option<String>,
    ) -> Result<AfterAttempt, TxError<LeaseLost>> {
        let work = move |conn: &mut Conn| {
            let row = lock_held(conn, &lease)?;
            if row.cancel_requested {
                let changed = sql::end(conn, sql::held(&lease), &ended(TaskState::Cancelled, None))?;
                changed_or_lost(changed, &lease)?;
                return Ok(AfterAttempt::Cancelled);
            }
            let back = Requeue { delay, attempts_used: 0, error: None, waits_for: waits_for.as_deref() };
            changed_or_lost(sql::requeue(conn, sql::held(&lease), &back)?, &lease)?;
            Ok(AfterAttempt::Queued)
        };
        self.db.transaction("put a task back", work).await
    }

    /// Takes expired leases away: the tasks are queued again, or have failed or are cancelled. Any agent may call it
    /// at any time; each expired lease is reaped once. Returns zeros when there was nothing to do.
    pub async fn reap(&self) -> Result<Reaped, DbError> {
        let reaped = self.db.transaction("reap leases", reap_in).await.map_err(only_db)?;
        if reaped.queued > 0 {
            self.notify();
        }
        Ok(reaped)
    }

    /// Has the leases of an earlier process of this agent run out after [`RESPITE`], in which nobody else gets what they
    /// hold; then they are reaped. To be called by a process that has just registered: whoever held them under this name
    /// has ended. Returns how many would have run longer.
    pub async fn take_back(&self, agent: AgentId) -> Result<u64, DbError> {
        let work = move |conn: &mut Conn| sql::shorten(conn, agent, RESPITE);
        Ok(self.db.run("take back tasks", work).await? as u64)
    }

    /// Cancels one task. Repeating it changes nothing; a task that has ended stays as it is.
    pub async fn cancel(&self, task: TaskId) -> Result<Cancelled, DbError> {
        self.cancel_members(Member::Task(task)).await
    }

    /// Cancels all unfinished tasks of a run, in batches.
    pub async fn cancel_run(&self, run: RunId) -> Result<Cancelled, DbError> {
        self.cancel_members(Member::Run(run)).await
    }

    /// Cancels all unfinished tasks of a restore.
    pub async fn cancel_restore(&self, restore: RestoreId) -> Result<Cancelled, DbError> {
        self.cancel_members(Member::Restore(restore)).await
    }

    /// Deletes tasks that ended longer than `age` ago, a batch of them, but not those of a restore, whose report they
    /// are, nor those of the runs in `except`, whose result is not written down yet. Returns how many were deleted.
    pub async fn forget_ended(&self, age: Duration, except: Vec<RunId>) -> Result<u64, DbError> {
        let work = move |conn: &mut Conn| {
            let ids = sql::forgettable(conn, age, &except, FORGET_BATCH)?;
            sql::delete(conn, &ids)
        };
        Ok(self.db.run("forget old tasks", work).await? as u64)
    }

    async fn cancel_members(&self, member: Member) -> Result<Cancelled, DbError> {
        let mut total = Cancelled::default();
        // Workers are asked first: ending a large run's queue takes a minute. Again, because a task may be leased or
        // put back meanwhile; ends because nothing that was asked or has ended is met twice.
        loop {
            let ask = move |conn: &mut Conn| sql::request_cancel(conn, member);
            let requested = self.db.run("request a cancel", ask).await? as u64;
            let ended = self.cancel_queued(member).await?;
            total.requested += requested;
            total.ended += ended;
            if requested == 0 && ended == 0 {
                return Ok(total);
            }
        }
    }

    async fn cancel_queued(&self, member: Member) -> Result<u64, DbError> {
        let mut total = 0;
        // Every round ends at least one task, and an ended task is never queued again.
        loop {
            let batch = move |conn: &mut Conn| cancel_batch(conn, member);
            let ended = self.db.transaction("cancel tasks", batch).await.map_err(only_db)?;
            if ended == 0 {
                return Ok(total);
            }
            total += ended;
        }
    }
}

/// Forgives a task the attempts that failed before, in the transaction that commits a step of its work: a task fails
/// for good after attempts that brought nothing, however often it was interrupted in between.
pub fn made_progress_in(conn: &mut Conn, lease: &Lease) -> QueryResult<()> {
    sql::forgive(conn, lease).map(drop)
}

/// Ends a task in the caller's transaction, together with what the task produced.
pub fn finish_in(conn: &mut Conn, lease: &Lease, outcome: &Outcome) -> Result<(), TxError<LeaseLost>> {
    let end = match outcome {
        Outcome::Succeeded { result, n_issues } => {
            End { state: TaskState::Succeeded, result: Some(result), n_issues: *n_issues, error: None }
        }
        Outcome::Failed { error } => ended(TaskState::Failed, Some(error)),
        Outcome::Cancelled => ended(TaskState::Cancelled, None),
    };
    changed_or_lost(sql::end(conn, sql::held(lease), &end)?, lease)
}

fn ended(state: TaskState, error: Option<&str>) -> End<'_> {
    End { state, result: None, n_issues: 0, error }
}

fn after_attempt(attempts_before: u32, cancel_requested: bool) -> AfterAttempt {
    if cancel_requested {
        AfterAttempt::Cancelled
    } else if attempts_before + 1 >= ATTEMPTS_MAX {
        AfterAttempt::Failed
    } else {
        AfterAttempt::Queued
    }
}

const LOST: &str = "the agent did not renew its lease: it was stopped, or it lost the database";

fn reap_in(conn: &mut Conn) -> Result<Reaped, NoRefusal> {
    let expired = sql::lock_leased(conn, sql::expired(), REAP_MAX)?;
    if expired.is_empty() {
        return Ok(Reaped::default());
    }
    let ids_after = |wanted: AfterAttempt| -> Vec<u64> {
        let chosen = expired.iter().filter(|row| after_attempt(row.attempts, row.cancel_requested) == wanted);
        chosen.map(|row| row.id).collect()
    };
    let failed = ids_after(AfterAttempt::Failed);
    let cancelled = ids_after(AfterAttempt::Cancelled);
    let reaped = Reaped {
        failed: sql::end(conn, sql::in_state(&failed, TaskState::Leased), &ended(TaskState::Failed, Some(LOST)))?
            as u64,
        cancelled: sql::end(
            conn,
            sql::in_state(&cancelled, TaskState::Leased),
            &ended(TaskState::Cancelled, Some(LOST)),
        )? as u64,
        queued: requeue_lost(conn, &expired)?,
    };
    Ok(reaped)
}

fn requeue_lost(conn: &mut Conn, expired: &[sql::HeldRow]) -> Result<u64, NoRefusal> {
    let mut queued = 0;
    for attempts in 0..ATTEMPTS_MAX - 1 {
        let lost = expired.iter().filter(|row| row.attempts == attempts && !row.cancel_requested);
        let ids: Vec<u64> = lost.map(|row| row.id).collect();
        if !ids.is_empty() {
            let delay = DELAY_PER_LOSS * attempts;
            let back = Requeue { delay, attempts_used: 1, error: Some(LOST), waits_for: None };
            queued += sql::requeue(conn, sql::in_state(&ids, TaskState::Leased), &back)? as u64;
        }
    }
    Ok(queued)
}

fn cancel_batch(conn: &mut Conn, member: Member) -> Result<u64, NoRefusal> {
    let ids = sql::lock_queued(conn, member, CANCEL_BATCH)?;
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(sql::end(conn, sql::in_state(&ids, TaskState::Queued), &ended(TaskState::Cancelled, None))? as u64)
}
