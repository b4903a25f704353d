//! `/tasks`: the units of work, and their cancellation.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::{Shared, progress};
use crate::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};
use crate::queue::{self, Member, TaskFilter, TaskState};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    pub id: TaskId,
    /// `backup`, `restore` or `sync_resources`.
    pub kind: String,
    /// `queued`, `leased`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    pub organization_id: OrganizationId,
    pub tenant_id: Option<TenantId>,
    pub resource_id: Option<ResourceId>,
    pub run_id: Option<RunId>,
    pub restore_id: Option<RestoreId>,
    /// What to do: the kind tells how to read it.
    pub work: serde_json::Value,
    /// A queued task does not start before.
    pub not_before: DateTime<Utc>,
    pub attempts: u32,
    pub agent_id: Option<AgentId>,
    pub expires_at: Option<DateTime<Utc>>,
    pub cancel_requested: bool,
    pub phase: String,
    pub items_done: u64,
    pub items_total: Option<u64>,
    pub bytes_done: u64,
    /// What it waits for just now, and until when.
    pub waits_for: Option<String>,
    pub last_error: Option<String>,
    pub result: Option<serde_json::Value>,
    pub issues: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<queue::TaskView> for TaskView {
    fn from(task: queue::TaskView) -> Self {
        // Kinds write JSON; text of a newer version is shown as it is.
        let waits_for = progress::waits_for(&task);
        let json = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
        Self {
            id: task.id,
            kind: task.kind,
            state: task.state.as_str().to_owned(),
            organization_id: task.organization,
            tenant_id: task.tenant,
            resource_id: task.resource,
            run_id: task.run,
            restore_id: task.restore,
            work: json(task.work),
            not_before: task.not_before,
            attempts: task.attempts,
            agent_id: task.agent,
            expires_at: task.expires_at,
            cancel_requested: task.cancel_requested,
            phase: task.progress.phase,
            items_done: task.progress.items_done,
            items_total: task.progress.items_total,
            bytes_done: task.progress.bytes_done,
            waits_for,
            last_error: task.last_error,
            result: task.result.map(json),
            issues: task.n_issues,
            created_at: task.created_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskQuery {
    run: Option<RunId>,
    restore: Option<RestoreId>,
    state: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl TaskQuery {
    fn filter(&self) -> ApiResult<TaskFilter> {
        let member = match (self.run, self.restore) {
            (None, None) => None,
            (Some(run), None) => Some(Member::Run(run)),
            (None, Some(restore)) => Some(Member::Restore(restore)),
            (Some(_), Some(_)) => return Err(ApiError::BadRequest("give a run or a restore, not both".to_owned())),
        };
        let state = self.state.as_deref().map(|text| {
            TaskState::parse(text).ok_or_else(|| {
                let known: Vec<&str> = TaskState::ALL.into_iter().map(TaskState::as_str).collect();
                ApiError::BadRequest(format!("\"{text}\" is not a state of a task: {}", known.join(", ")))
            })
        });
        Ok(TaskFilter { member, state: state.transpose()?, organization: None })
    }
}

pub async fn list(app: Data<Shared>, query: Query<TaskQuery>) -> ApiResult<Json<Page<TaskView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let rows = page.rows(app.rows_max)?;
    let read = app.queue.list(query.filter()?, page.after()?, rows + 1).await?;
    Ok(Json(Page::cut(read, rows, |task| task.id, TaskView::from)))
}

pub async fn show(app: Data<Shared>, task: Path<TaskId>) -> ApiResult<Json<TaskView>> {
    read(&app, *task).await.map(Json)
}

/// Cancels a task: a queued one at once, a running one within seconds. Doing it again does no harm.
pub async fn cancel(app: Data<Shared>, task: Path<TaskId>) -> ApiResult<Json<TaskView>> {
    read(&app, *task).await?;
    app.queue.cancel(*task).await?;
    read(&app, *task).await.map(Json)
}

async fn read(app: &Shared, task: TaskId) -> ApiResult<TaskView> {
    let found = app.queue.get(task).await?;
    found.map(TaskView::from).ok_or_else(|| ApiError::not_found("task", task))
}
