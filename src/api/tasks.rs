//! `/tasks`: the units of work, and their cancellation.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};
use crate::queue;

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
            waits_for: task.progress.waits_for,
            last_error: task.last_error,
            result: task.result.map(json),
            issues: task.n_issues,
            created_at: task.created_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
        }
    }
}
