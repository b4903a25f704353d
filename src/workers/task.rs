//! One task as its worker sees it: the lease it holds, how it is stopped, and the ways in which it can end.

use std::time::Duration;

use crate::backends::BackendError;
use crate::db::{DbError, TxError};
use crate::features::WalkError;
use crate::graph::GraphError;
use crate::queue::{Lease, LeaseLost, LeasedTask, Progress, Queue};
use crate::repository::{CommitRefused, StoreError};

/// How long a task rests when the storage is full.
const SNOOZE: Duration = Duration::from_secs(60);

/// A task that worked to its end.
#[derive(Debug)]
pub enum Done {
    /// The queue is still to be told.
    ToRecord {
        /// JSON for people and scripts: what was done, in numbers.
        result: serde_json::Value,
        /// Items that could not be captured or restored this time.
        n_issues: u64,
    },
    /// The transaction that wrote the last results also ended the task.
    Recorded,
}

impl Done {
    pub fn new(result: serde_json::Value, n_issues: u64) -> Self {
        Self::ToRecord { result, n_issues }
    }
}

/// Why a task did not work to its end, by what happens to it now.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Somebody else holds the task by now: write nothing.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// It is to rest, which uses no attempt.
    #[error("{why}")]
    Snooze { after: Duration, why: String },
    /// Another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// No attempt will succeed until an administrator acts on the text.
    #[error("{0}")]
    Permanent(String),
}

impl TaskError {
    pub fn permanent(what: impl std::fmt::Display) -> Self {
        Self::Permanent(what.to_string())
    }
}

/// A deployment problem such as a missing key file: nothing a retry within minutes would mend, but nothing lost.
impl From<anyhow::Error> for TaskError {
    fn from(err: anyhow::Error) -> Self {
        Self::Retry(format!("{err:#}"))
    }
}

impl From<DbError> for TaskError {
    fn from(err: DbError) -> Self {
        Self::Retry(err.to_string())
    }
}

impl From<TxError<LeaseLost>> for TaskError {
    fn from(err: TxError<LeaseLost>) -> Self {
        match err {
            TxError::Db(err) => err.into(),
            TxError::Refused(lost) => lost.into(),
        }
    }
}

/// Why a commit was refused from within.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    #[error(transparent)]
    Store(#[from] CommitRefused),
}

impl From<TxError<Refusal>> for TaskError {
    fn from(err: TxError<Refusal>) -> Self {
        match err {
            TxError::Db(err) => err.into(),
            TxError::Refused(Refusal::LeaseLost(lost)) => lost.into(),
            // Nothing of the commit happened; the next attempt looks every blob up again and stores what is gone.
            TxError::Refused(Refusal::Store(refused)) => Self::Retry(refused.to_string()),
        }
    }
}

impl From<GraphError> for TaskError {
    fn from(err: GraphError) -> Self {
        match &err {
            GraphError::Throttled { retry_after, .. } => Self::Snooze { after: *retry_after, why: err.to_string() },
            _ if err.is_permanent() => Self::Permanent(err.to_string()),
            _ => Self::Retry(err.to_string()),
        }
    }
}

impl From<WalkError> for TaskError {
    fn from(err: WalkError) -> Self {
        match err {
            WalkError::Graph(err) => err.into(),
            WalkError::Expired | WalkError::NotApplicable(_) => Self::Retry(err.to_string()),
        }
    }
}

impl From<StoreError> for TaskError {
    fn from(err: StoreError) -> Self {
        match &err {
            StoreError::Backend(BackendError::Full { .. }) | StoreError::SpaceShort { .. } => {
                Self::Snooze { after: SNOOZE, why: err.to_string() }
            }
            StoreError::Setup(_) | StoreError::NoSuchStorage(_) => Self::Permanent(err.to_string()),
            _ => Self::Retry(err.to_string()),
        }
    }
}

/// The task at hand, for the code that does it.
pub struct Control {
    pub task: LeasedTask,
    pub queue: Queue,
}

impl Control {
    pub fn lease(&self) -> Lease {
        self.task.lease
    }

    /// Tells how far the task is. A lost lease is found out by the heartbeat and by the next commit.
    pub async fn report(&self, progress: Progress) -> Result<(), TaskError> {
        self.queue.progress(self.lease(), progress).await.map_err(TaskError::from)
    }

    /// The `work` column as the struct that the kind says.
    pub fn work<T: serde::de::DeserializeOwned>(&self) -> Result<T, TaskError> {
        serde_json::from_str(&self.task.work).map_err(|err| {
            TaskError::permanent(format!(
                "this version of kodo does not understand the task ({err}); update this agent"
            ))
        })
    }
}
