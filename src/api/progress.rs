//! What the tasks of a run or a restore have done so far.

use chrono::{DateTime, Utc};

use super::Shared;
use super::error::ApiResult;
use super::runs::{ActiveTask, ProgressView, TaskCounts};
use crate::clock;
use crate::queue::{Counts, Member, TaskFilter, TaskState, TaskView};

/// Running tasks that are looked at for totals; with more than these at work, no total is told.
const ACTIVE_MAX: u32 = 50;
/// Running tasks that are shown.
const ACTIVE_SHOWN: usize = 8;

/// From when to when the work went on.
#[derive(Clone, Copy)]
pub struct Span {
    pub from: DateTime<Utc>,
    /// `None`: it goes on.
    pub to: Option<DateTime<Utc>>,
}

/// Counts alone: for listings.
pub fn brief(counts: &Counts, span: Span) -> ProgressView {
    let seconds = (span.to.unwrap_or_else(clock::now) - span.from).as_seconds_f64().max(0.001);
    ProgressView {
        tasks: task_counts(counts),
        items_done: counts.items_done,
        items_total: None,
        bytes_done: counts.bytes_done,
        issues: counts.n_issues,
        items_per_second: counts.items_done as f64 / seconds,
        bytes_per_second: counts.bytes_done as f64 / seconds,
        seconds_left: None,
        active: Vec::new(),
    }
}

/// Counts, totals and what is going on now: for one run or restore.
pub async fn full(app: &Shared, member: Member, counts: &Counts, span: Span) -> ApiResult<ProgressView> {
    let mut view = brief(counts, span);
    let listed = if counts.leased > 0 { TaskState::Leased } else { TaskState::Queued };
    let filter = TaskFilter { member: Some(member), state: Some(listed), ..TaskFilter::default() };
    let active = if counts.open() > 0 { app.queue.list(filter, None, ACTIVE_MAX).await? } else { Vec::new() };
    view.items_total = items_total(counts, &active);
    view.active = active.into_iter().take(ACTIVE_SHOWN).map(active_task).collect();
    Ok(view)
}

pub fn task_counts(counts: &Counts) -> TaskCounts {
    TaskCounts {
        queued: counts.queued,
        leased: counts.leased,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
    }
}

/// Known when every open task has said how much it has to do.
fn items_total(counts: &Counts, active: &[TaskView]) -> Option<u64> {
    if active.len() as u64 != counts.open() {
        return None;
    }
    let (mut done, mut total) = (0, 0);
    for task in active {
        done += task.progress.items_done;
        total += task.progress.items_total?.max(task.progress.items_done);
    }
    Some(counts.items_done.saturating_sub(done) + total)
}

/// What a task waits for, and until when. One that failed or was throttled and is tried again waits for its time, and
/// so does one that rests; what it waits for, or else its error, says why.
pub fn waits_for(task: &TaskView) -> Option<String> {
    if task.state != TaskState::Queued {
        return task.progress.waits_for.clone();
    }
    let why = task.progress.waits_for.as_ref().or(task.last_error.as_ref())?;
    let until = (task.not_before > clock::now()).then(|| format!(", until {} UTC", task.not_before.format("%H:%M:%S")));
    Some(format!("{why}{}", until.unwrap_or_default()))
}

fn active_task(task: TaskView) -> ActiveTask {
    ActiveTask {
        task_id: task.id,
        waits_for: waits_for(&task),
        kind: task.kind,
        resource_id: task.resource,
        phase: task.progress.phase,
    }
}
