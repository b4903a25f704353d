//! What the API and the command line show of tasks.

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::db::{Conn, DbError, TxError};
use crate::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};

use super::task::{Progress, TaskState};
use super::work::NOT_APPLICABLE;
use super::{Queue, sql};

/// Rows of one page at most.
const PAGE_MAX: u32 = 1_000;

/// One task as it stands.
#[derive(Clone, Debug)]
pub struct TaskView {
    pub id: TaskId,
    /// Text, because a newer version may have queued a kind that this one does not know.
    pub kind: String,
    pub state: TaskState,
    pub priority: u8,
    pub organization: OrganizationId,
    pub tenant: Option<TenantId>,
    pub resource: Option<ResourceId>,
    pub run: Option<RunId>,
    pub restore: Option<RestoreId>,
    pub work: String,
    /// A queued task does not start before.
    pub not_before: DateTime<Utc>,
    pub attempts: u32,
    /// Who works on it, or worked on it last.
    pub agent: Option<AgentId>,
    pub expires_at: Option<DateTime<Utc>>,
    pub cancel_requested: bool,
    pub progress: Progress,
    pub last_error: Option<String>,
    pub result: Option<String>,
    pub n_issues: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// What tasks belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Task(TaskId),
    Run(RunId),
    Restore(RestoreId),
}

#[derive(Clone, Copy, Debug, Default)]
pub struct TaskFilter {
    pub member: Option<Member>,
    pub state: Option<TaskState>,
    pub organization: Option<OrganizationId>,
}

/// The tasks of a run or restore by state, and what they have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub queued: u64,
    pub leased: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub items_done: u64,
    pub bytes_done: u64,
    pub n_issues: u64,
}

impl Counts {
    pub const fn total(&self) -> u64 {
        self.queued + self.leased + self.succeeded + self.failed + self.cancelled
    }

    pub const fn open(&self) -> u64 {
        self.queued + self.leased
    }
}

impl Queue {
    /// `None`: there is no such task.
    pub async fn get(&self, task: TaskId) -> Result<Option<TaskView>, DbError> {
        let rows = self.db.run("read a task", move |conn| sql::find(conn, &[task.get()])).await?;
        rows.into_iter().next().map(view).transpose()
    }

    /// A page of tasks, newest first; the next page is `before` the last one's id.
    pub async fn list(&self, filter: TaskFilter, before: Option<TaskId>, limit: u32) -> Result<Vec<TaskView>, DbError> {
        let limit = i64::from(limit.min(PAGE_MAX));
        let rows = self.db.run("list tasks", move |conn| sql::list(conn, &filter, before, limit)).await?;
        rows.into_iter().map(view).collect()
    }

    /// How many tasks are queued and leased in all; the other counts are left at zero.
    pub async fn open_counts(&self) -> Result<Counts, DbError> {
        let rows = self.db.run("count open tasks", sql::open_by_agent).await?;
        Ok(counts(rows.into_iter().map(|(state, _, n)| (state, n, None, None, None)).collect()))
    }

    pub async fn run_progress(&self, run: RunId) -> Result<Counts, DbError> {
        self.db.run("count a run's tasks", move |conn| sql::sums_by_state(conn, Member::Run(run))).await.map(counts)
    }

    /// How many backups of a run found that their resource does not have the feature; as long as its tasks are kept.
    pub async fn n_not_applicable(&self, run: RunId) -> Result<u64, DbError> {
        let count = move |conn: &mut Conn| sql::with_result(conn, Member::Run(run), NOT_APPLICABLE);
        Ok(self.db.run("count what was not applicable", count).await?.unsigned_abs())
    }

    pub async fn restore_progress(&self, restore: RestoreId) -> Result<Counts, DbError> {
        let member = Member::Restore(restore);
        self.db.run("count a restore's tasks", move |conn| sql::sums_by_state(conn, member)).await.map(counts)
    }
}

/// [`Queue::run_progress`] in the caller's transaction.
pub fn run_progress<E>(conn: &mut Conn, run: RunId) -> Result<Counts, TxError<E>> {
    Ok(counts(sql::sums_by_state(conn, Member::Run(run))?))
}

/// Whether any task of the run is queued or leased: cheap, however many it has.
pub fn run_has_open_tasks<E>(conn: &mut Conn, run: RunId) -> Result<bool, TxError<E>> {
    Ok(sql::has_open(conn, Member::Run(run))?)
}

fn counts(rows: Vec<sql::StateSums>) -> Counts {
    let mut counts = Counts::default();
    for (state, n, items_done, bytes_done, n_issues) in rows {
        let n = n.unsigned_abs();
        match TaskState::parse(&state) {
            Some(TaskState::Queued) => counts.queued += n,
            Some(TaskState::Leased) => counts.leased += n,
            Some(TaskState::Succeeded) => counts.succeeded += n,
            Some(TaskState::Failed) => counts.failed += n,
            Some(TaskState::Cancelled) => counts.cancelled += n,
            // A state of a newer version is not finished as far as this one knows.
            None => counts.leased += n,
        }
        counts.items_done += items_done.unwrap_or(0);
        counts.bytes_done += bytes_done.unwrap_or(0);
        counts.n_issues += n_issues.unwrap_or(0);
    }
    counts
}

fn view(row: sql::Row) -> Result<TaskView, DbError> {
    let state = TaskState::parse(&row.state)
        .ok_or_else(|| DbError::Query(format!("task {} is in the unknown state \"{}\"", row.id, row.state)))?;
    let utc = |time: Option<NaiveDateTime>| time.map(|time| time.and_utc());
    Ok(TaskView {
        id: TaskId::new(row.id),
        kind: row.kind,
        state,
        priority: row.priority,
        organization: OrganizationId::new(row.organization_id),
        tenant: row.tenant_id.map(TenantId::new),
        resource: row.resource_id.map(ResourceId::new),
        run: row.run_id.map(RunId::new),
        restore: row.restore_id.map(RestoreId::new),
        work: row.work,
        not_before: row.not_before.and_utc(),
        attempts: row.attempts,
        agent: row.agent_id.map(AgentId::new),
        expires_at: utc(row.expires_at),
        cancel_requested: row.cancel_requested,
        progress: Progress {
            phase: row.phase,
            items_done: row.items_done,
            items_total: row.items_total,
            bytes_done: row.bytes_done,
            waits_for: row.waits_for,
        },
        last_error: row.last_error,
        result: row.result,
        n_issues: row.n_issues,
        created_at: row.created_at.and_utc(),
        started_at: utc(row.started_at),
        finished_at: utc(row.finished_at),
    })
}
