//! `/runs`: firings of schedules, and backups that somebody started.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::progress::{self, Span};
use crate::db::DbError;
use crate::ids::{OrganizationId, ResourceId, RunId, ScheduleId, TaskId};
use crate::queue::Member;
use crate::scheduler::{self, RunFilter, RunState};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunView {
    pub id: RunId,
    pub organization_id: OrganizationId,
    pub schedule_id: Option<ScheduleId>,
    pub fire_at: Option<DateTime<Utc>>,
    /// `schedule` or `manual`.
    pub reason: String,
    /// `running`, `succeeded`, `incomplete`, `failed` or `cancelled`.
    pub state: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Backups left out because the same one was queued or running already.
    pub skipped: u64,
    /// Selected resources that are gone from the directory.
    pub gone: u64,
    /// Backups that found that their resource does not have the feature: no failures. Counted for one run alone, and
    /// for as long as its tasks are kept; `null` in a listing.
    pub not_applicable: Option<u64>,
    pub progress: ProgressView,
}

/// What the tasks of a run or restore have done so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProgressView {
    pub tasks: TaskCounts,
    pub items_done: u64,
    /// Known once every task has counted what is before it.
    pub items_total: Option<u64>,
    pub bytes_done: u64,
    pub issues: u64,
    pub items_per_second: f64,
    pub bytes_per_second: f64,
    /// Of a restore that is at work: about how long the rest takes.
    pub seconds_left: Option<u64>,
    /// Tasks that work or wait just now, the first few.
    pub active: Vec<ActiveTask>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct TaskCounts {
    pub queued: u64,
    pub leased: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl TaskCounts {
    pub const fn total(&self) -> u64 {
        self.queued + self.leased + self.ended()
    }

    pub const fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }
}

/// A task that works or waits just now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActiveTask {
    pub task_id: TaskId,
    pub kind: String,
    pub resource_id: Option<ResourceId>,
    pub phase: String,
    pub waits_for: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsQuery {
    schedule: Option<ScheduleId>,
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub async fn list(app: Data<Shared>, query: Query<RunsQuery>) -> ApiResult<Json<Page<RunView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let rows = page.rows(app.rows_max)?;
    let state = query.state.as_deref().map(|text| {
        RunState::parse(text).ok_or_else(|| {
            let known: Vec<&str> = RunState::ALL.into_iter().map(RunState::as_str).collect();
            ApiError::BadRequest(format!("\"{text}\" is not a state of a run: {}", known.join(", ")))
        })
    });
    let filter = RunFilter { organization: None, schedule: query.schedule, state: state.transpose()? };
    let read = app.scheduler.runs(filter, page.after()?, rows + 1).await?;
    let brief = |run: scheduler::RunView| {
        let progress = progress::brief(&run.counts, span(&run));
        view(run, progress)
    };
    Ok(Json(Page::cut(read, rows, |run| run.id, brief)))
}

pub async fn show(app: Data<Shared>, run: Path<RunId>) -> ApiResult<Json<RunView>> {
    let run = read(&app, *run).await?;
    let progress = progress::full(&app, Member::Run(run.id), &run.counts, span(&run)).await?;
    let not_applicable = Some(app.queue.n_not_applicable(run.id).await?);
    Ok(Json(RunView { not_applicable, ..view(run, progress) }))
}

/// Cancels what is left of a run. Doing it again does no harm.
pub async fn cancel(app: Data<Shared>, run: Path<RunId>) -> ApiResult<Json<RunView>> {
    let id = read(&app, *run).await?.id;
    app.scheduler.cancel_run(id).await?;
    show(app, run).await
}

async fn read(app: &Shared, id: RunId) -> ApiResult<scheduler::RunView> {
    match app.scheduler.run(id).await {
        Err(DbError::NotFound) => Err(ApiError::not_found("run", id)),
        other => Ok(other?),
    }
}

fn span(run: &scheduler::RunView) -> Span {
    Span { from: run.created_at, to: run.finished_at }
}

fn view(run: scheduler::RunView, progress: ProgressView) -> RunView {
    RunView {
        id: run.id,
        organization_id: run.organization,
        schedule_id: run.schedule,
        fire_at: run.fire_at,
        reason: run.reason.as_str().to_owned(),
        state: run.state.as_str().to_owned(),
        created_at: run.created_at,
        finished_at: run.finished_at,
        skipped: run.n_skipped,
        gone: run.n_gone,
        not_applicable: None,
        progress,
    }
}
