//! A request to bring items back, and how far it has come.
//!
//! Owns: the table `restores`, what makes a request acceptable, and which tasks carry it out. Does not own: the work
//! itself (`workers`), what happened to each item (`catalog::outcomes`).
//!
//! Invariants: a restore row and its task are committed together; the state of a restore is derived from its tasks
//! and never stored; data of one organization is never restored into another.

mod sql;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalog::{self, Chain};
use crate::clock;
use crate::db::{Db, DbError, TxError};
use crate::ids::{ChainId, FeatureName, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId, TenantId};
use crate::queue::work::{self, RestoreSelection, RestoreWork};
use crate::queue::{self, Counts, Member, NewTask, Priority, Queue, TaskFilter, TaskKind};
use crate::tenants::{self, ResourceState, ResourceView, TenantView};

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
    /// What is done when the target holds another state of an item; `None`: it stays.
    pub on_conflict: Option<String>,
    /// Nothing is written: the outcomes say what would be done.
    pub dry_run: bool,
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
pub struct Caller {
    pub name: String,
    /// The lock that tasks of a feature on a resource share. Features know it, and this layer does not know features.
    pub exclusive_key: fn(&FeatureName, ResourceId) -> String,
}

/// Checks the request, then writes the restore and its task in one transaction.
pub async fn start(
    db: &Db,
    queue: &Queue,
    request: NewRestore,
    caller: Caller,
) -> Result<(RestoreId, TaskId), StartError> {
    check_request(&request)?;
    let chain_id = request.chain;
    let chain = db
        .run("read a chain", move |conn| catalog::chains::get(conn, chain_id))
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
        requested_by: caller.name,
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
        exclusive_key: Some((caller.exclusive_key)(&chain.key.feature, target.resource)),
        open_key: None,
    };
    let restore = db
        .transaction("start a restore", move |conn| -> Result<RestoreId, TxError<StartError>> {
            // From here to the commit nobody can give the point up, and who wants to afterwards finds the task.
            if !catalog::points::lock_sealed(conn, chain_id, point)? {
                let gone = format!("point {point} of chain {chain_id} was given up just now");
                return Err(TxError::Refused(StartError::Refused(gone)));
            }
            let restore = sql::insert(conn, &row)?;
            let work = RestoreWork {
                restore,
                chain: chain_id,
                point,
                target_resource: target.resource,
                target_folder: request.target_folder.clone(),
                selection: request.selection.clone(),
                on_conflict: request.on_conflict.clone(),
                dry_run: request.dry_run,
            };
            catalog::parts::add(conn, restore, chain_id, point, target.resource)?;
            let task = NewTask { restore: Some(restore), work: work::to_json(&work), ..task.clone() };
            queue::enqueue(conn, &[task])?;
            Ok(restore)
        })
        .await
        .map_err(|err| match err {
            TxError::Db(err) => StartError::Db(err),
            TxError::Refused(why) => why,
        })?;
    queue.notify();
    Ok((restore, task_of(queue, restore).await?))
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

/// Where a restore goes.
#[derive(Clone, Copy)]
struct Target {
    resource: ResourceId,
    tenant: TenantId,
    organization: OrganizationId,
}

async fn sealed_point(db: &Db, chain: &Chain, wanted: Option<PointNumber>) -> Result<PointNumber, StartError> {
    let (id, last) = (chain.id, chain.last_point);
    if last == 0 {
        return Err(StartError::Refused(format!("chain {id} has no restore point yet: back it up first")));
    }
    let Some(number) = wanted else { return Ok(PointNumber::new(last)) };
    match db.run("read a restore point", move |conn| catalog::points::get(conn, id, number)).await? {
        Some(point) => match point.state.closed() {
            None => Ok(number),
            Some(why) => Err(StartError::Refused(format!("point {number} of chain {id} {why}"))),
        },
        None => Err(StartError::Refused(format!("chain {id} has no point {number}; the newest is {last}"))),
    }
}

/// The target, which must be there and belong to the organization that the data is of.
async fn target(db: &Db, chain: &Chain, wanted: Option<ResourceId>) -> Result<Target, StartError> {
    let (source, _) = resource(db, chain.key.resource).await?;
    let (tenant, view) = resource(db, wanted.unwrap_or(chain.key.resource)).await?;
    if view.state == ResourceState::Deleted {
        return Err(StartError::Refused(format!(
            "resource {} is gone from its directory: name another target resource",
            view.id
        )));
    }
    if tenant.organization != source.organization {
        return Err(StartError::Refused(format!(
            "resource {} belongs to another organization than the data: it is not restored there",
            view.id
        )));
    }
    Ok(Target { resource: view.id, tenant: tenant.id, organization: tenant.organization })
}

async fn resource(db: &Db, id: ResourceId) -> Result<(TenantView, ResourceView), StartError> {
    let view = match tenants::get_resource(db, id).await {
        Err(DbError::NotFound) => return Err(StartError::NoResource(id)),
        other => other?,
    };
    Ok((tenants::get_tenant(db, view.tenant).await?, view))
}

fn check_request(request: &NewRestore) -> Result<(), StartError> {
    if let Some(folder) = &request.target_folder {
        let fits = (1..=FOLDER_CHARS_MAX).contains(&folder.chars().count())
            && !folder.trim().is_empty()
            && !folder.chars().any(char::is_control);
        if !fits {
            return Err(StartError::Refused(format!("the target folder has 1 to {FOLDER_CHARS_MAX} characters")));
        }
    }
    let Some(selection) = &request.selection else { return Ok(()) };
    let n_selected = selection.containers.len() + selection.items.len();
    if (1..=SELECTED_MAX).contains(&n_selected) {
        return Ok(());
    }
    Err(StartError::Refused(format!("a selection names 1 to {SELECTED_MAX} containers and items, not {n_selected}")))
}

/// The task that was enqueued with the restore. It can have ended, and cannot be gone.
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
        requested_by: row.requested_by,
        created_at: row.created_at.and_utc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(folder: Option<&str>, selection: Option<RestoreSelection>) -> NewRestore {
        NewRestore {
            chain: ChainId::new(1),
            point: None,
            target_resource: None,
            target_folder: folder.map(str::to_owned),
            selection,
            on_conflict: None,
            dry_run: false,
        }
    }

    #[test]
    fn a_selection_of_nothing_is_refused_rather_than_taken_for_everything() {
        assert!(check_request(&request(None, None)).is_ok());
        assert!(check_request(&request(None, Some(RestoreSelection::default()))).is_err());
    }

    #[test]
    fn a_folder_name_must_be_one() {
        assert!(check_request(&request(Some("Restored 2026-11-23"), None)).is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(201)] {
            assert!(check_request(&request(Some(bad), None)).is_err(), "{bad:?}");
        }
    }

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
