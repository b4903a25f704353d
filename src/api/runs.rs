//! `/runs`: firings of schedules, and backups that somebody started.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{OrganizationId, ResourceId, RunId, ScheduleId, TaskId};

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
