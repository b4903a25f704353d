//! A request to bring items back, and how far it has come.
//!
//! Owns: the table `restores`, what makes a request acceptable, and which tasks carry it out. Does not own: the work
//! itself (`workers`), what happened to each item (`catalog::outcomes`).
//!
//! Invariants: a restore row and its task are committed together; the state of a restore is derived from its tasks
//! and never stored; data of one organization is never restored into another.

mod sql;

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalog::{self, Chain};
use crate::clock;
use crate::db::{Db, DbError, TxError};
use crate::ids::{ChainId, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId};
use crate::queue::work::{self, RestoreSelection, RestoreWork};
use crate::queue::{self, Counts, Member, NewTask, Priority, Queue, TaskFilter, TaskKind};
use crate::tenants;

/// Containers and items that one request may name; more are named by their container.
pub const SELECTED_MAX: usize = 10_000;
const FOLDER_CHARS_MAX: usize = 200;

/// What is to be brought back, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRestore {
    pub chain: ChainId,
    /// `None`: the newest sealed point.
    pub point: Option<PointNumber>,
    /// `None`: the resource that the data came from.
    pub target_resource: Option<ResourceId>,
    /// A new folder at the top of the target that receives everything; `None`: each item in its own place.
    pub target_folder: Option<String>,
    /// `None`: everything that the point holds.
    pub selection: Option<RestoreSelection>,
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
}

/// Who asks, and what keeps two tasks from working on one target at once.
pub struct Caller<'a> {
    pub name: &'a str,
    /// The exclusive key that the chain's feature gives a target.
    pub exclusive_key: &'a (dyn Fn(&str, ResourceId) -> Option<String> + Sync),
}

/// Checks the request, then writes the restore and its task in one transaction.
pub async fn start(
    db: &Db,
    queue: &Queue,
    request: NewRestore,
    caller: Caller<'_>,
) -> Result<(RestoreId, TaskId), StartError> {
    check_request(&request)?;
    let chain_id = request.chain;
    let chain = db
        .run("read a chain", move |conn| catalog::points::chain(conn, chain_id))
        .await?
        .ok_or(StartError::NoChain(chain_id))?;
    let point = sealed_point(db, &chain, request.point).await?;
    let target = target(db, &chain, request.target_resource).await?;
    let row = sql::NewRow {
        organization_id: target.organization.get(),
        chain_id: chain.id.get(),
        point: point.get(),
        target_resource: target.resource.get(),
        request: work::to_json(&Request {
            target_folder: request.target_folder.clone(),
            selection: request.selection.clone(),
        }),
        requested_by: caller.name.to_owned(),
        created_at: clock::now().naive_utc(),
    };
    let task = NewTask {
        kind: TaskKind::Restore,
        priority: Priority::Restore,
        organization: target.organization,
        tenant: Some(target.tenant),
        resource: Some(target.resource),
        run: None,
        restore: None,
        work: String::new(),
        exclusive_key: (caller.exclusive_key)(chain.key.feature.as_str(), target.resource),
        open_key: None,
    };
    let restore = db
        .transaction("start a restore", move |conn| -> Result<RestoreId, TxError<Infallible>> {
            let restore = sql::insert(conn, &row)?;
            let work = RestoreWork {
                restore,
                chain: chain_id,
                point,
                target_resource: target.resource,
                target_folder: request.target_folder.clone(),
                selection: request.selection.clone(),
            };
            let task = NewTask { restore: Some(restore), work: work::to_json(&work), ..task.clone() };
            queue::enqueue(conn, &[task])?;
            Ok(restore)
        })
        .await
        .map_err(only_db)?;
    queue.notify();
    Ok((restore, task_of(queue, restore).await?))
}
