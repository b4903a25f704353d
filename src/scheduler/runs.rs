//! Runs: what a firing became. A run's state is derived from its tasks and written once, when all have ended.

use chrono::{DateTime, Utc};

use crate::db::{Conn, DbError};
use crate::ids::{OrganizationId, RunId, ScheduleId};
use crate::queue::{self, Cancelled, Counts};

use super::{NoRefusal, Scheduler, only_db, sql};

/// Unsettled runs that one look reads, the oldest; a schedule has seldom more than one.
const RUNNING_MAX: i64 = 10_000;
const PAGE_MAX: u32 = 1_000;

/// Why there is a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunReason {
    Schedule,
    Manual,
}

impl RunReason {
    pub const ALL: [Self; 2] = [Self::Schedule, Self::Manual];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Some of its tasks are queued or being worked on.
    Running,
    Succeeded,
    /// Much is protected, and something is not: a task failed or was cancelled, or items were left out.
    Incomplete,
    /// No task succeeded.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

impl RunState {
    pub const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Incomplete, Self::Failed, Self::Cancelled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter {
    pub organization: Option<OrganizationId>,
    pub schedule: Option<ScheduleId>,
    pub state: Option<RunState>,
}

#[derive(Clone, Debug)]
pub struct RunView {
    pub id: RunId,
    pub organization: OrganizationId,
    pub reason: RunReason,
    /// `None`: started by hand, for chosen resources.
    pub schedule: Option<ScheduleId>,
    /// The firing it answers; `None`: started by hand.
    pub fire_at: Option<DateTime<Utc>>,
    pub state: RunState,
    pub cancel_requested: bool,
    pub n_tasks: u64,
    /// Backups left out because the same one was queued or running already.
    pub n_skipped: u64,
    /// Selected resources that are gone from the directory.
    pub n_gone: u64,
    /// Of a running run counted now, of another as they were when it ended.
    pub counts: Counts,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Scheduler {
    /// [`DbError::NotFound`]: there is none of this id.
    pub async fn run(&self, id: RunId) -> Result<RunView, DbError> {
        let row = self.db.run("read a run", move |conn| sql::find_run(conn, id)).await?;
        self.view(row).await
    }

    /// A page of runs, newest first; the next page is `before` the last one's id.
    pub async fn runs(&self, filter: RunFilter, before: Option<RunId>, limit: u32) -> Result<Vec<RunView>, DbError> {
        let limit = i64::from(limit.min(PAGE_MAX));
        let rows = self.db.run("list runs", move |conn| sql::list_runs(conn, &filter, before, limit)).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.view(row).await?);
        }
        Ok(views)
    }

    /// Cancels what is left of a run. Queued tasks end at once, running ones within seconds; then the run is settled
    /// as cancelled. A run that has ended stays as it is.
    pub async fn cancel_run(&self, id: RunId) -> Result<Cancelled, DbError> {
        self.db.run("read a run", move |conn| sql::find_run(conn, id)).await?;
        self.db.run("cancel a run", move |conn| sql::request_cancel(conn, id)).await?;
        self.queue.cancel_run(id).await
    }

    /// Settles the runs whose tasks have all ended. Idempotent; any number of schedulers may do it at once.
    pub async fn settle_runs(&self) -> Result<u64, DbError> {
        let mut settled = 0;
        for id in self.running().await? {
            match self.db.transaction("settle a run", move |conn| settle(conn, id)).await.map_err(only_db)? {
                Settling::Settled => settled += 1,
                Settling::Goes => {}
                // The process that was cancelling may have died, and a task may have slipped through.
                Settling::ToBeCancelled => {
                    self.queue.cancel_run(id).await?;
                }
            }
        }
        Ok(settled)
    }

    /// The runs that are not settled.
    pub(super) async fn running(&self) -> Result<Vec<RunId>, DbError> {
        let ids = self.db.run("list running runs", |conn| sql::running(conn, RUNNING_MAX)).await?;
        Ok(ids.into_iter().map(RunId::new).collect())
    }

    async fn view(&self, row: sql::RunRow) -> Result<RunView, DbError> {
        let unknown =
            |what: &str, text: &str| DbError::Query(format!("run {} has the unknown {what} \"{text}\"", row.id));
        let state = RunState::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?;
        let reason = RunReason::parse(&row.reason).ok_or_else(|| unknown("reason", &row.reason))?;
        let id = RunId::new(row.id);
        let counts = match state {
            RunState::Running => self.queue.run_progress(id).await?,
            RunState::Succeeded | RunState::Incomplete | RunState::Failed | RunState::Cancelled => Counts {
                queued: 0,
                leased: 0,
                succeeded: row.n_succeeded,
                failed: row.n_failed,
                cancelled: row.n_cancelled,
                items_done: row.items_done,
                bytes_done: row.bytes_done,
                n_issues: row.n_issues,
            },
        };
        Ok(RunView {
            id,
            organization: OrganizationId::new(row.organization_id),
            reason,
            schedule: row.schedule_id.map(ScheduleId::new),
            fire_at: row.fire_at.map(|time| time.and_utc()),
            state,
            cancel_requested: row.cancel_requested,
            n_tasks: row.n_tasks,
            n_skipped: row.n_skipped,
            n_gone: row.n_gone,
            counts,
            created_at: row.created_at.and_utc(),
            finished_at: row.finished_at.map(|time| time.and_utc()),
        })
    }
}

enum Settling {
    /// Now, by this call.
    Settled,
    /// It has tasks to wait for, or somebody else has settled it.
    Goes,
    ToBeCancelled,
}

fn settle(conn: &mut Conn, id: RunId) -> Result<Settling, NoRefusal> {
    // A cheap look first: a run of 400,000 tasks is looked at every few seconds for hours.
    if queue::run_has_open_tasks(conn, id)? {
        let cancelling = sql::find_run(conn, id)?.cancel_requested;
        return Ok(if cancelling { Settling::ToBeCancelled } else { Settling::Goes });
    }
    let Some(cancel_requested) = sql::lock_running(conn, id)? else { return Ok(Settling::Goes) };
    let counts = queue::run_progress(conn, id)?;
    match outcome(&counts, cancel_requested) {
        RunState::Running => Ok(Settling::Goes),
        state => match sql::settle(conn, id, state, &counts)? {
            0 => Ok(Settling::Goes),
            _ => Ok(Settling::Settled),
        },
    }
}

fn outcome(counts: &Counts, cancel_requested: bool) -> RunState {
    if counts.open() > 0 {
        RunState::Running
    } else if cancel_requested && counts.cancelled > 0 {
        RunState::Cancelled
    } else if counts.succeeded == 0 && counts.failed > 0 {
        RunState::Failed
    } else if counts.succeeded == 0 && counts.cancelled > 0 {
        RunState::Cancelled
    } else if counts.failed > 0 || counts.cancelled > 0 || counts.n_issues > 0 {
        RunState::Incomplete
    } else {
        // A run without tasks too: whoever it was for is gone or is being backed up by another run.
        RunState::Succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_what_its_tasks_make_of_it() {
        let counts = |succeeded, failed, cancelled, n_issues| Counts {
            succeeded,
            failed,
            cancelled,
            n_issues,
            ..Counts::default()
        };
        let table = [
            (counts(3, 0, 0, 0), false, RunState::Succeeded),
            (counts(3, 0, 0, 2), false, RunState::Incomplete),
            (counts(2, 1, 0, 0), false, RunState::Incomplete),
            (counts(2, 0, 1, 0), false, RunState::Incomplete),
            (counts(0, 3, 0, 0), false, RunState::Failed),
            (counts(0, 2, 1, 0), false, RunState::Failed),
            (counts(0, 0, 3, 0), false, RunState::Cancelled),
            (counts(2, 1, 1, 0), true, RunState::Cancelled),
            (counts(3, 0, 0, 0), true, RunState::Succeeded),
            (counts(0, 0, 0, 0), false, RunState::Succeeded),
            (Counts { leased: 1, ..counts(3, 0, 0, 0) }, true, RunState::Running),
        ];
        for (counts, cancel_requested, expected) in table {
            assert_eq!(outcome(&counts, cancel_requested), expected, "{counts:?} {cancel_requested}");
        }
    }
}
