//! The durable task queue: what is to be done, who does it now, and how it ended.
//!
//! Owns: the tables `tasks`, `lanes` and `agents`; leases with their epochs; fairness; retry, snooze, cancel and reap; the
//! wake-up of the agent in this process. Does not own: what a task does (`workers`), when it is due (`scheduler`).
//!
//! Invariants: a task exists once its row is committed, and MariaDB is the only truth; a task has at most one holder,
//! and an exclusive key at most one leased task; whoever lost a lease changes nothing; lease times are compared with
//! the database's clock only; a task ends exactly once.

pub mod agents;
mod endings;
mod export_work;
mod lanes;
mod lease;
mod rehearse_work;
mod retry;
mod sql;
mod task;
mod view;
pub mod work;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::db::{Db, DbError, TxError};

pub use endings::{AfterAttempt, Cancelled, RESPITE, Reaped, finish_in, made_progress_in};
pub use lease::{HeartbeatAnswer, Held, assert_held};
pub use retry::{ATTEMPTS_MAX, retry_delay};
pub use sql::exporting::points_being_exported;
pub use sql::{EndedTask, begin_again, ended_of_restore, enqueue, open_task, points_being_restored};
pub use task::{Lease, LeaseLost, LeasedTask, NewTask, Outcome, Priority, Progress, TaskKind, TaskState};
pub use view::{Counts, Member, TaskFilter, TaskView, run_has_open_tasks, run_progress};

/// The queue of this process: the tables, and a bell for the agent that lives beside them.
#[derive(Clone)]
pub struct Queue {
    db: Db,
    wake: Arc<Notify>,
}

impl Queue {
    pub fn new(db: Db) -> Self {
        Self { db, wake: Arc::new(Notify::new()) }
    }

    /// Adds tasks in one transaction and rings the bell. Returns how many were added: a task whose open key belongs
    /// to an unfinished one is left out.
    pub async fn enqueue(&self, tasks: Vec<NewTask>) -> Result<u64, DbError> {
        let added =
            self.db.transaction("enqueue tasks", move |conn| Ok(enqueue(conn, &tasks)?)).await.map_err(only_db)?;
        if added > 0 {
            self.notify();
        }
        Ok(added)
    }

    /// Wakes the agent of this process. For callers that enqueued in a transaction of their own, after its commit.
    pub fn notify(&self) {
        self.wake.notify_one();
    }

    /// Returns when [`Queue::notify`] was called since the last wait, or after `max`. Cancel-safe.
    pub async fn wait_for_work(&self, max: Duration) {
        // Both ends mean the same to the caller: look again.
        tokio::select! {
            () = self.wake.notified() => {}
            () = tokio::time::sleep(max) => {}
        }
    }
}

/// The error inside a transaction whose work cannot refuse.
type NoRefusal = TxError<Infallible>;

fn only_db(err: NoRefusal) -> DbError {
    match err {
        TxError::Db(err) => err,
        TxError::Refused(never) => match never {},
    }
}
