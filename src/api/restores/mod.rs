//! `/restores`: bringing items back.

mod asking;
pub mod report;

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use asking::{Between, NewRestoreBody, TargetPair};

use super::Shared;
use super::answer::Accepted;
use super::auth::Admin;
use super::content_rules::Asking;
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::progress::{self, Span};
use super::runs::ProgressView;
use crate::access::audit::Action;
use crate::catalog::{self, OutcomeRow, Part, parts};
use crate::clock;
use crate::ids::{ChainId, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId};
use crate::queue::{Member, TaskFilter, TaskState};
use crate::restores::{self, RestoreState, RetryError, StartError};

/// Chains that are shown of a restore of several.
const PARTS_SHOWN: u32 = 50;
/// Chains of a request that the audit trail names.
const CHAINS_WRITTEN_DOWN: usize = 50;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreStarted {
    pub restore_id: RestoreId,
    /// The first of its tasks: there is one for each chain.
    pub task_id: TaskId,
    /// Why chains of the users named are left out, such as one that was never backed up to its end.
    pub left_out: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreView {
    pub id: RestoreId,
    pub organization_id: OrganizationId,
    /// How many chains it is about. What follows is about the first of them.
    pub chains: u64,
    pub chain_id: ChainId,
    pub point: PointNumber,
    pub target_resource_id: ResourceId,
    pub target_folder: Option<String>,
    /// `skip`, `keep_both`, `replace` or `replace_if_older`
    pub on_conflict: String,
    /// Nothing is written: the outcomes say what would be done.
    pub dry_run: bool,
    /// Files come back with their older versions.
    pub with_versions: bool,
    /// Those whom items were shared with are let in again.
    pub with_permissions: bool,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// `queued`, `running`, `succeeded`, `incomplete`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed or what it waits for.
    pub last_error: Option<String>,
    pub progress: ProgressView,
    /// `null` until it is counted.
    pub asked: Option<AskedView>,
    /// Of a dry run: what would be done.
    pub outcomes: OutcomeCountsView,
}

/// How much is to be brought back, and what that takes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct AskedView {
    pub items: u64,
    pub bytes: u64,
    /// An estimate; of a dry run that has ended, what was found by looking at each item.
    pub requests: u64,
    pub upload_bytes: u64,
    /// The least that Microsoft's limits allow.
    pub seconds: u64,
}

/// One chain of a restore.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PartView {
    pub chain_id: ChainId,
    pub point: PointNumber,
    pub target_resource_id: ResourceId,
    /// `null` until it is counted.
    pub asked: Option<u64>,
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
    /// Its chains, the first few.
    pub parts: Vec<PartView>,
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

impl From<catalog::OutcomeCounts> for OutcomeCountsView {
    fn from(told: catalog::OutcomeCounts) -> Self {
        let catalog::OutcomeCounts { created, updated, skipped, failed, bytes } = told;
        Self { created, updated, skipped, failed, bytes }
    }
}

impl From<Part> for PartView {
    fn from(part: Part) -> Self {
        Self {
            chain_id: part.chain,
            point: part.point,
            target_resource_id: part.target,
            asked: part.asked.map(|asked| asked.items),
            outcomes: part.told.into(),
        }
    }
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

pub async fn start(
    app: Data<Shared>,
    admin: Admin,
    asking: Asking,
    body: Json<NewRestoreBody>,
) -> ApiResult<Accepted<RestoreStarted>> {
    let request = body.into_inner().request(&app).await?;
    let chains: Vec<ChainId> = request.parts.iter().take(CHAINS_WRITTEN_DOWN).map(|part| part.chain).collect();
    let details = json!({ "chains": chains, "n_chains": request.parts.len(), "dry_run": request.dry_run });
    asking.note(&app, Action::StartRestore, details).await?;
    let caller = restores::Caller { name: admin.0.name, exclusive_key: app.exclusive_key };
    let started = restores::start(&app.db, &app.queue, request, caller).await?;
    let (restore_id, task_id) = (started.restore, started.task);
    Ok(Accepted(RestoreStarted { restore_id, task_id, left_out: started.left_out }))
}

/// Cancels what is left of a restore. Doing it again does no harm.
pub async fn cancel(app: Data<Shared>, asking: Asking, restore: Path<RestoreId>) -> ApiResult<Json<RestoreView>> {
    let found = find(&app, *restore).await?;
    asking.note(&app, Action::CancelRestore, json!({ "restore": found.id })).await?;
    app.queue.cancel_restore(found.id).await?;
    Ok(Json(view(&app, found, Detail::Full).await?))
}

/// Does again what failed or was left undone, and nothing else.
pub async fn retry(app: Data<Shared>, asking: Asking, restore: Path<RestoreId>) -> ApiResult<Accepted<RestoreView>> {
    let found = find(&app, *restore).await?;
    asking.note(&app, Action::RetryRestore, json!({ "restore": found.id })).await?;
    let n_tasks = restores::retry(&app.db, &app.queue, found.id).await?;
    tracing::info!(restore.id = %found.id, tasks = n_tasks, "a restore is tried again");
    Ok(Accepted(view(&app, found, Detail::Full).await?))
}

async fn find(app: &Shared, id: RestoreId) -> ApiResult<restores::Restore> {
    restores::get(&app.db, id).await?.ok_or_else(|| ApiError::not_found("restore", id))
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<RestoreView>>> {
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?);
    let read = restores::list(&app.db, before, rows + 1).await?;
    let page = Page::cut(read, rows, |restore| restore.id, |restore| restore);
    let mut items = Vec::with_capacity(page.items.len());
    for restore in page.items {
        items.push(view(&app, restore, Detail::Brief).await?);
    }
    Ok(Json(Page { items, next: page.next, notes: page.notes }))
}

/// One restore, with a page of remarks.
pub async fn show(
    app: Data<Shared>,
    restore: Path<RestoreId>,
    query: Query<PageQuery>,
) -> ApiResult<Json<RestoreDetail>> {
    let id = *restore;
    let found = find(&app, id).await?;
    let (rows, after) = (query.rows(app.rows_max)?, query.after::<String>()?);
    let after = after.as_deref().map(parse_key).transpose()?;
    let read = move |conn: &mut crate::db::Conn| {
        let shown = parts::list(conn, id, ChainId::new(0), PARTS_SHOWN)?;
        Ok((catalog::outcomes::remarkable(conn, id, after, rows + 1)?, shown))
    };
    let (remarks, shown) = app.db.run("list remarks of a restore", read).await?;
    let remarks = Page::cut(remarks, rows, |row| row.key.to_string(), OutcomeView::from);
    let parts = shown.into_iter().map(PartView::from).collect();
    Ok(Json(RestoreDetail { restore: view(&app, found, Detail::Full).await?, parts, remarks }))
}

#[derive(Clone, Copy)]
enum Detail {
    Brief,
    Full,
}

async fn view(app: &Shared, restore: restores::Restore, detail: Detail) -> ApiResult<RestoreView> {
    let id = restore.id;
    let counts = app.queue.restore_progress(id).await?;
    let sums = app.db.run("add a restore up", move |conn| parts::sums(conn, id)).await?;
    let state = restores::state(&counts, sums.told.failed);
    let told = if counts.failed > 0 { Some(TaskState::Failed) } else { None };
    let filter = TaskFilter { member: Some(Member::Restore(id)), state: told, ..TaskFilter::default() };
    let task = app.queue.list(filter, None, 1).await?.into_iter().next();
    // Of several tasks the first began about when they were asked for.
    let started = task.as_ref().filter(|_| sums.parts == 1).and_then(|task| task.started_at);
    let from = started.unwrap_or(restore.created_at);
    let span = Span { from, to: task.as_ref().and_then(|task| task.finished_at).filter(|_| state.is_ended()) };
    let mut progress = match detail {
        Detail::Brief => progress::brief(&counts, span),
        Detail::Full => progress::full(app, Member::Restore(id), &counts, span).await?,
    };
    let is_counted = sums.counted == sums.parts;
    if state == RestoreState::Running && is_counted {
        progress.seconds_left = Some(seconds_left(&sums, (clock::now() - from).num_seconds().unsigned_abs()));
    }
    let effort = sums.asked.effort;
    let asked = AskedView {
        items: sums.asked.items,
        bytes: sums.asked.bytes,
        requests: effort.requests,
        upload_bytes: effort.upload_bytes,
        seconds: sums.seconds_max,
    };
    Ok(RestoreView {
        id,
        organization_id: restore.organization,
        chains: sums.parts,
        chain_id: restore.chain,
        point: restore.point,
        target_resource_id: restore.target_resource,
        target_folder: restore.target_folder,
        on_conflict: restore.on_conflict.unwrap_or_else(|| crate::features::OnConflict::default().as_str().to_owned()),
        dry_run: restore.dry_run,
        with_versions: restore.along.versions,
        with_permissions: restore.along.permissions,
        requested_by: restore.requested_by,
        created_at: restore.created_at,
        state: state.as_str().to_owned(),
        last_error: task.and_then(|task| task.last_error).filter(|_| state != RestoreState::Succeeded),
        progress,
        asked: is_counted.then_some(asked),
        outcomes: sums.told.into(),
    })
}

/// The estimate from before the first item for what is left, or how it went until now, whichever is longer.
fn seconds_left(sums: &parts::Sums, seconds_gone: u64) -> u64 {
    let (done, all) = (sums.told.total().min(sums.asked.items), sums.asked.items);
    if all == 0 {
        return 0;
    }
    let left = all - done;
    let share_of = |seconds: u64, left: u64, all: u64| {
        u64::try_from(u128::from(seconds) * u128::from(left) / u128::from(all.max(1))).unwrap_or(u64::MAX)
    };
    let by_limits = share_of(sums.seconds_max, left, all);
    if done == 0 { by_limits } else { by_limits.max(share_of(seconds_gone, left, done)) }
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

impl From<RetryError> for ApiError {
    fn from(err: RetryError) -> Self {
        match err {
            RetryError::NoRestore(_) => Self::NotFound(err.to_string()),
            RetryError::AtWork(_) => Self::Conflict(err.to_string()),
            RetryError::OfRehearsal { .. } | RetryError::NothingFailed(_) | RetryError::PointGone { .. } => {
                Self::Unprocessable(err.to_string())
            }
            RetryError::Db(err) => err.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_the_limits_first_and_then_by_how_it_goes() {
        let sums = |done| parts::Sums {
            asked: catalog::Asked { items: 1000, ..catalog::Asked::default() },
            seconds_max: 600,
            told: catalog::OutcomeCounts { created: done, ..catalog::OutcomeCounts::default() },
            ..parts::Sums::default()
        };

        assert_eq!(seconds_left(&sums(0), 30), 600);
        assert_eq!(seconds_left(&sums(500), 10), 300, "the limits do not allow what the beginning promised");
        assert_eq!(seconds_left(&sums(500), 900), 900, "it goes slower than the limits allow");
        assert_eq!(seconds_left(&sums(1000), 900), 0);
    }
}
