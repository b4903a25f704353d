//! `/restores`: bringing items back.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::answer::Accepted;
use super::auth::Admin;
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::progress::{self, Span};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use super::runs::ProgressView;
use crate::catalog::{self, OutcomeRow};
use crate::features::OnConflict;
use crate::ids::{ChainId, ContainerId, FeatureName, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId};
use crate::queue::work::RestoreSelection;
use crate::queue::{Member, TaskFilter};
use crate::restores::{self, NewRestore, RestoreState, StartError};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewRestoreBody {
    /// Either the chain, or `resource` and `feature`.
    pub chain: Option<ChainId>,
    pub resource: Option<Ref>,
    pub feature: Option<FeatureName>,
    /// Left out: the newest restore point.
    pub point: Option<PointNumber>,
    /// Left out: where the data came from.
    pub target_resource: Option<Ref>,
    /// A new folder at the top that receives everything; left out: each item in its own place.
    pub target_folder: Option<String>,
    /// Restores all that is directly in these; together with `items`: the union. Both left out: everything.
    pub containers: Option<Vec<ContainerId>>,
    /// Keys of items; one that is a folder stands for all that it holds.
    pub items: Option<Vec<String>>,
    /// What is done when the target holds another state of an item: `skip` (left out: this), `keep_both`, `replace` or
    /// `replace_if_older`.
    pub on_conflict: Option<OnConflict>,
    /// Nothing is written: the report says what would be done.
    pub dry_run: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreStarted {
    pub restore_id: RestoreId,
    pub task_id: TaskId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreView {
    pub id: RestoreId,
    pub organization_id: OrganizationId,
    pub chain_id: ChainId,
    pub point: PointNumber,
    pub target_resource_id: ResourceId,
    pub target_folder: Option<String>,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// `queued`, `running`, `succeeded`, `incomplete`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed or what it waits for.
    pub last_error: Option<String>,
    pub progress: ProgressView,
    pub outcomes: OutcomeCountsView,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct OutcomeCountsView {
    pub created: u64,
    /// Another state of it was there, which is now as the backup has it.
    pub updated: u64,
    /// It was there already.
    pub skipped: u64,
    pub failed: u64,
    pub bytes: u64,
}

/// One restore, with what is worth saying about its items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreDetail {
    #[serde(flatten)]
    pub restore: RestoreView,
    /// Items that failed, or that came back with something missing.
    pub remarks: Page<OutcomeView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutcomeView {
    pub key: String,
    /// `created`, `updated`, `skipped` or `failed`.
    pub outcome: String,
    pub remark: Option<String>,
    pub bytes: u64,
}

impl From<OutcomeRow> for OutcomeView {
    fn from(row: OutcomeRow) -> Self {
        Self {
            key: row.key.to_string(),
            outcome: row.outcome.as_str().to_owned(),
            remark: row.remark,
            bytes: row.bytes,
        }
    }
}

pub async fn start(app: Data<Shared>, admin: Admin, body: Json<NewRestoreBody>) -> ApiResult<Accepted<RestoreStarted>> {
    let body = body.into_inner();
    let wanted = ChainWanted { chain: body.chain, resource: body.resource.as_ref(), feature: body.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    let target_resource = match &body.target_resource {
        Some(wanted) => Some(resolve::resource(&app, wanted).await?.id),
        None => None,
    };
    let request = NewRestore {
        chain: chain.id,
        point: body.point,
        target_resource,
        target_folder: body.target_folder,
        selection: selection(body.containers, body.items)?,
        on_conflict: body.on_conflict.map(|mode| mode.as_str().to_owned()),
        dry_run: body.dry_run,
    };
    let caller = restores::Caller { name: admin.0.name, exclusive_key: app.exclusive_key };
    let (restore_id, task_id) = restores::start(&app.db, &app.queue, request, caller).await?;
    Ok(Accepted(RestoreStarted { restore_id, task_id }))
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<RestoreView>>> {
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?);
    let read = restores::list(&app.db, before, rows + 1).await?;
    let page = Page::cut(read, rows, |restore| restore.id, |restore| restore);
    let mut items = Vec::with_capacity(page.items.len());
    for restore in page.items {
        items.push(view(&app, restore, Detail::Brief).await?);
    }
    Ok(Json(Page { items, next: page.next }))
}

/// One restore, with a page of remarks.
pub async fn show(
    app: Data<Shared>,
    restore: Path<RestoreId>,
    query: Query<PageQuery>,
) -> ApiResult<Json<RestoreDetail>> {
    let id = *restore;
    let found = restores::get(&app.db, id).await?.ok_or_else(|| ApiError::not_found("restore", id))?;
    let (rows, after) = (query.rows(app.rows_max)?, query.after::<String>()?);
    let after = after.as_deref().map(parse_key).transpose()?;
    let read = move |conn: &mut crate::db::Conn| catalog::outcomes::remarkable(conn, id, after, rows + 1);
    let remarks = app.db.run("list remarks of a restore", read).await?;
    let remarks = Page::cut(remarks, rows, |row| row.key.to_string(), OutcomeView::from);
    Ok(Json(RestoreDetail { restore: view(&app, found, Detail::Full).await?, remarks }))
}

#[derive(Clone, Copy)]
enum Detail {
    Brief,
    Full,
}

async fn view(app: &Shared, restore: restores::Restore, detail: Detail) -> ApiResult<RestoreView> {
    let id = restore.id;
    let counts = app.queue.restore_progress(id).await?;
    let outcomes = app.db.run("count outcomes", move |conn| catalog::outcomes::counts(conn, id)).await?;
    let state = restores::state(&counts, outcomes.failed);
    // All of a restore is one task.
    let filter = TaskFilter { member: Some(Member::Restore(id)), ..TaskFilter::default() };
    let task = app.queue.list(filter, None, 1).await?.into_iter().next();
    let from = task.as_ref().and_then(|task| task.started_at).unwrap_or(restore.created_at);
    let span = Span { from, to: task.as_ref().and_then(|task| task.finished_at) };
    let progress = match detail {
        Detail::Brief => progress::brief(&counts, span),
        Detail::Full => progress::full(app, Member::Restore(id), &counts, span).await?,
    };
    Ok(RestoreView {
        id,
        organization_id: restore.organization,
        chain_id: restore.chain,
        point: restore.point,
        target_resource_id: restore.target_resource,
        target_folder: restore.target_folder,
        requested_by: restore.requested_by,
        created_at: restore.created_at,
        state: state.as_str().to_owned(),
        last_error: task.and_then(|task| task.last_error).filter(|_| state != RestoreState::Succeeded),
        progress,
        outcomes: OutcomeCountsView {
            created: outcomes.created,
            updated: outcomes.updated,
            skipped: outcomes.skipped,
            failed: outcomes.failed,
            bytes: outcomes.bytes,
        },
    })
}

fn selection(containers: Option<Vec<ContainerId>>, items: Option<Vec<String>>) -> ApiResult<Option<RestoreSelection>> {
    if containers.is_none() && items.is_none() {
        return Ok(None);
    }
    let items = items.unwrap_or_default().iter().map(|key| parse_key(key)).collect::<ApiResult<_>>()?;
    Ok(Some(RestoreSelection { containers: containers.unwrap_or_default(), items, gone_at: None }))
}

impl From<StartError> for ApiError {
    fn from(err: StartError) -> Self {
        match err {
            StartError::NoChain(_) | StartError::NoResource(_) => Self::NotFound(err.to_string()),
            StartError::Refused(text) => Self::Unprocessable(text),
            StartError::Db(err) => err.into(),
        }
    }
}
