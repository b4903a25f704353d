//! A request to bring items back, and how far it has come.
//!
//! Owns: the table `restores`, what makes a request acceptable, and which tasks carry it out; rehearsals, which are
//! restores for practice. Does not own: the work
//! itself (`workers`), what happened to each item (`catalog::outcomes`).
//!
//! Invariants: a restore row and its tasks are committed together; the state of a restore is derived from its tasks
//! and never stored; data of one organization is never restored into another.

pub mod rehearsals;
mod request;
mod retry;
mod sql;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use request::PARTS_MAX;
use request::Ready;
pub use retry::{RetryError, retry};

use crate::catalog;
use crate::clock;
use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{ChainId, FeatureName, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId};
use crate::queue::work::{self, RestoreAlong, RestoreSelection, RestoreWork};
use crate::queue::{self, Counts, Member, NewTask, Priority, Queue, TaskFilter, TaskKind};

/// Containers and items that one request may name; more are named by their container.
pub const SELECTED_MAX: usize = 10_000;

/// What is to be brought back, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRestore {
    /// Each chain once.
    pub parts: Vec<NewPart>,
    pub folder: Folder,
    /// Of one chain alone; `None`: everything that the point holds.
    pub selection: Option<RestoreSelection>,
    /// Only what was there at the first moment and gone at the second.
    pub deleted_between: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What is done when the target holds another state of an item; `None`: it stays.
    pub on_conflict: Option<String>,
    /// Nothing is written: the outcomes say what would be done.
    pub dry_run: bool,
    pub along: RestoreAlong,
}

/// One chain of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPart {
    pub chain: ChainId,
    pub point: Moment,
    /// `None`: the resource that the data came from.
    pub target: Option<ResourceId>,
    /// Nobody named the chain itself: without a point it is left out.
    pub may_be_left_out: bool,
}

/// As of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Newest,
    Point(PointNumber),
    At(DateTime<Utc>),
}

/// Where in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Each item in its own place.
    InPlace,
    /// A folder at the top that receives everything.
    Named(String),
    /// The same, called after the moment of the restore point.
    OfPoint,
}

impl NewPart {
    /// The newest state of a chain, to where it came from.
    pub fn of(chain: ChainId) -> Self {
        Self { chain, point: Moment::Newest, target: None, may_be_left_out: false }
    }
}

impl NewRestore {
    /// All that a chain holds, in place.
    pub fn of(chain: ChainId) -> Self {
        Self {
            parts: vec![NewPart::of(chain)],
            folder: Folder::InPlace,
            selection: None,
            deleted_between: None,
            on_conflict: None,
            dry_run: false,
            along: RestoreAlong::default(),
        }
    }
}

/// A restore that was begun.
#[derive(Clone, Debug)]
pub struct Started {
    pub restore: RestoreId,
    /// The first of its tasks.
    pub task: TaskId,
    /// Why chains were left out that nobody named themselves.
    pub left_out: Vec<String>,
}

/// A restore as it was asked for.
#[derive(Clone, Debug)]
pub struct Restore {
    pub id: RestoreId,
    pub organization: OrganizationId,
    pub chain: ChainId,
    pub point: PointNumber,
    pub target_resource: ResourceId,
    pub target_folder: Option<String>,
    pub selection: Option<RestoreSelection>,
    pub on_conflict: Option<String>,
    pub dry_run: bool,
    pub along: RestoreAlong,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    Queued,
    Running,
    Succeeded,
    /// It ended, and some items could not be brought back.
    Incomplete,
    Failed,
    Cancelled,
}

impl RestoreState {
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Incomplete | Self::Failed | Self::Cancelled => true,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a restore was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("there is no chain {0}")]
    NoChain(ChainId),
    #[error("there is no resource {0}")]
    NoResource(ResourceId),
    /// It cannot be done as asked; the text says what would work.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The part of a request that the row keeps as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    target_folder: Option<String>,
    #[serde(default)]
    selection: Option<RestoreSelection>,
    #[serde(default)]
    on_conflict: Option<String>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default, skip_serializing_if = "RestoreAlong::is_nothing")]
    along: RestoreAlong,
}

/// Who asks, and what keeps two tasks from working on one target at once.
pub struct Caller {
    pub name: String,
    /// The lock that tasks of a feature on a resource share. Features know it, and this layer does not know features.
    pub exclusive_key: ExclusiveKey,
}

type ExclusiveKey = fn(&FeatureName, ResourceId) -> String;

/// Checks the request, then writes the restore and its tasks, one for each chain, in one transaction.
pub async fn start(db: &Db, queue: &Queue, request: NewRestore, caller: Caller) -> Result<Started, StartError> {
    let (parts, left_out) = request::ready(db, &request).await?;
    let Some(first) = parts.first() else { return Err(StartError::Db(DbError::NotFound)) };
    let row = sql::NewRow {
        organization_id: first.target.organization.get(),
        chain_id: first.chain.id.get(),
        point: first.point.get(),
        target_resource: first.target.resource.get(),
        request: work::to_json(&Request {
            target_folder: first.folder.clone(),
            selection: first.selection.clone(),
            on_conflict: request.on_conflict.clone(),
            dry_run: request.dry_run,
            along: request.along,
        }),
        requested_by: caller.name,
        created_at: clock::now().naive_utc(),
    };
    let how = How {
        on_conflict: request.on_conflict,
        dry_run: request.dry_run,
        along: request.along,
        priority: Priority::Restore,
        exclusive_key: caller.exclusive_key,
    };
    let begin = move |conn: &mut Conn| write(conn, &row, &parts, &how);
    let restore = db.transaction("start a restore", begin).await.map_err(TxError::joined)?;
    queue.notify();
    Ok(Started { restore, task: task_of(queue, restore).await?, left_out })
}

/// What holds for all parts of a restore.
struct How {
    on_conflict: Option<String>,
    dry_run: bool,
    along: RestoreAlong,
    priority: Priority,
    exclusive_key: ExclusiveKey,
}

/// Writes a restore and its tasks.
fn write(conn: &mut Conn, row: &sql::NewRow, parts: &[Ready], how: &How) -> Result<RestoreId, TxError<StartError>> {
    let restore = sql::insert(conn, row)?;
    for part in parts {
        begin_part(conn, restore, part, how)?;
    }
    Ok(restore)
}

fn begin_part(conn: &mut Conn, restore: RestoreId, part: &Ready, how: &How) -> Result<(), TxError<StartError>> {
    let (chain, point, target) = (part.chain.id, part.point, part.target);
    // From here to the commit nobody can give the point up, and who wants to afterwards finds the task.
    if !catalog::points::lock_sealed(conn, chain, point)? {
        let gone = format!("point {point} of chain {chain} was given up just now");
        return Err(TxError::Refused(StartError::Refused(gone)));
    }
    catalog::parts::add(conn, restore, chain, point, target.resource)?;
    let work = RestoreWork {
        restore,
        chain,
        point,
        target_resource: target.resource,
        target_folder: part.folder.clone(),
        selection: part.selection.clone(),
        on_conflict: how.on_conflict.clone(),
        dry_run: how.dry_run,
        along: how.along,
    };
    let task = NewTask {
        kind: TaskKind::Restore,
        priority: how.priority,
        organization: target.organization,
        tenant: Some(target.tenant),
        resource: Some(target.resource),
        run: None,
        restore: Some(restore),
        work: work::to_json(&work),
        exclusive_key: Some((how.exclusive_key)(&part.chain.key.feature, target.resource)),
        open_key: None,
    };
    queue::enqueue(conn, &[task])?;
    Ok(())
}

/// [`None`]: there is no such restore.
pub async fn get(db: &Db, id: RestoreId) -> Result<Option<Restore>, DbError> {
    db.run("read a restore", move |conn| sql::find(conn, id)).await?.map(restore).transpose()
}

/// Restores, newest first, older than `before`.
pub async fn list(db: &Db, before: Option<RestoreId>, limit: u32) -> Result<Vec<Restore>, DbError> {
    let rows = db.run("list restores", move |conn| sql::list(conn, before, limit)).await?;
    rows.into_iter().map(restore).collect()
}

/// What the tasks of a restore, and how many items failed, come to.
pub const fn state(tasks: &Counts, n_items_failed: u64) -> RestoreState {
    if tasks.leased > 0 {
        RestoreState::Running
    } else if tasks.queued > 0 {
        RestoreState::Queued
    } else if tasks.failed > 0 {
        RestoreState::Failed
    } else if tasks.cancelled > 0 {
        RestoreState::Cancelled
    } else if n_items_failed > 0 {
        RestoreState::Incomplete
    } else {
        RestoreState::Succeeded
    }
}

/// A task that was enqueued with the restore. It can have ended, and cannot be gone.
async fn task_of(queue: &Queue, restore: RestoreId) -> Result<TaskId, StartError> {
    let filter = TaskFilter { member: Some(Member::Restore(restore)), ..TaskFilter::default() };
    let task = queue.list(filter, None, 1).await?.into_iter().next();
    Ok(task.ok_or(DbError::NotFound)?.id)
}

fn restore(row: sql::Row) -> Result<Restore, DbError> {
    let request: Request = serde_json::from_str(&row.request)
        .map_err(|err| DbError::Query(format!("the request of restore {} is not understood: {err}", row.id)))?;
    Ok(Restore {
        id: RestoreId::new(row.id),
        organization: OrganizationId::new(row.organization_id),
        chain: ChainId::new(row.chain_id),
        point: PointNumber::new(row.point),
        target_resource: ResourceId::new(row.target_resource),
        target_folder: request.target_folder,
        selection: request.selection,
        on_conflict: request.on_conflict,
        dry_run: request.dry_run,
        along: request.along,
        requested_by: row.requested_by,
        created_at: row.created_at.and_utc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_restore_follows_from_its_tasks() {
        let tasks = |queued, leased, succeeded, failed, cancelled| Counts {
            queued,
            leased,
            succeeded,
            failed,
            cancelled,
            ..Counts::default()
        };
        let cases = [
            (tasks(1, 0, 0, 0, 0), 0, RestoreState::Queued),
            (tasks(1, 1, 0, 0, 0), 0, RestoreState::Running),
            (tasks(0, 0, 1, 0, 0), 0, RestoreState::Succeeded),
            (tasks(0, 0, 1, 0, 0), 2, RestoreState::Incomplete),
            (tasks(0, 0, 0, 1, 0), 2, RestoreState::Failed),
            (tasks(0, 0, 0, 0, 1), 0, RestoreState::Cancelled),
        ];
        for (tasks, n_failed, expected) in cases {
            assert_eq!(state(&tasks, n_failed), expected, "{tasks:?}");
        }
    }
}
