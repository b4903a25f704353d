//! Decides when something is to be done, and writes it down as tasks. It never does the work.
//!
//! Owns: the tables `policies`, `schedules` and `runs`; planning a run; settling it. Does not own: the tasks
//! (`queue`), who exists (`tenants`), what a feature is.
//!
//! Invariants: a run and its tasks appear together or not at all; a firing has one run, however many schedulers look;
//! firings missed while nobody looked become one run; a run's result is derived from its tasks; no backup is queued
//! twice, and none for a resource that is gone.

mod plan;
mod pulse;
mod runs;
mod schedule;
mod selection;
mod sql;
mod upkeep;

use std::convert::Infallible;
use std::time::Duration;

use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{FeatureName, OrganizationId, ResourceId, ScheduleId, TenantId};
use crate::queue::work::{SyncWork, to_json};
use crate::queue::{self, NewTask, Priority, Queue, TaskKind};
use crate::tenants;

pub use plan::{ManualBackup, Target};
pub use pulse::SchedulerConfig;
pub use runs::{RunFilter, RunReason, RunState, RunView};
pub use schedule::{ContentDownload, Enabled, NewPolicy, NewSchedule, PolicyView, ScheduleView, Unacceptable};
pub use selection::{Selection, Who};
pub use upkeep::Upkeep;

/// Schedules that one tick fires at most; the next tick takes the rest.
const DUE_MAX: i64 = 100;
/// How often each directory is read, so that new users are found by the next run.
const SYNC_EVERY: Duration = Duration::from_secs(3600);
/// Directories that one tick queues at most.
const SYNCS_MAX: u32 = 500;

/// How long ended tasks can be looked at. The results of their runs stay.
const TASKS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The name of the lock that a backup of this feature and resource holds. Features know it, and this layer does not
/// know features, so `app` passes it in.
pub type ExclusiveKey = fn(&FeatureName, ResourceId) -> String;

#[derive(Clone)]
pub struct Scheduler {
    db: Db,
    queue: Queue,
    exclusive_key: ExclusiveKey,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    pub runs_started: u64,
    pub runs_settled: u64,
    pub syncs_queued: u64,
    pub upkeep_queued: u64,
    pub tasks_forgotten: u64,
}

impl Scheduler {
    pub fn new(db: Db, queue: Queue, exclusive_key: ExclusiveKey) -> Self {
        Self { db, queue, exclusive_key }
    }

    /// Everything that time alone brings about: due schedules, directory syncs, runs that have ended. To be called
    /// every few seconds by any number of processes. A schedule that cannot be planned does not stop the others.
    pub async fn tick(&self) -> Result<Tick, DbError> {
        let mut tick = Tick {
            syncs_queued: self.queue_syncs().await?,
            upkeep_queued: self.queue_upkeep().await?,
            ..Tick::default()
        };
        for id in self.db.run("list due schedules", |conn| sql::due_schedules(conn, DUE_MAX)).await? {
            match self.fire(ScheduleId::new(id)).await {
                Ok(Some(run)) => {
                    tracing::info!(schedule = id, run = run.get(), "run planned");
                    tick.runs_started += 1;
                }
                Ok(None) => {}
                Err(err) => tracing::error!(schedule = id, error = %err, "a schedule that is due cannot be planned"),
            }
        }
        self.db.run("forget scopes", tenants::scopes::forget).await?;
        tick.runs_settled = self.settle_runs().await?;
        let running = self.running().await?;
        tick.tasks_forgotten = self.queue.forget_ended(TASKS_KEPT, running).await?;
        if tick.runs_started + tick.syncs_queued + tick.upkeep_queued > 0 {
            self.queue.notify();
        }
        Ok(tick)
    }

    /// Queues a reading of the tenant's directory unless one is queued or running. Returns how many were queued.
    pub async fn sync_now(&self, tenant: TenantId) -> Result<u64, DbError> {
        let work = move |conn: &mut Conn| -> Result<u64, NoRefusal> {
            let organization = tenants::organization_of(conn, tenant)?;
            Ok(queue::enqueue(conn, &[sync_task(tenant, organization, Priority::Manual)])?)
        };
        let queued = self.db.transaction("queue a sync", work).await.map_err(only_db)?;
        self.queue.notify();
        Ok(queued)
    }

    async fn queue_syncs(&self) -> Result<u64, DbError> {
        let work = |conn: &mut Conn| -> Result<u64, NoRefusal> {
            let due = tenants::take_sync_due(conn, SYNC_EVERY, SYNCS_MAX)?;
            let task = |(tenant, owner): (TenantId, OrganizationId)| sync_task(tenant, owner, Priority::Scheduled);
            let tasks: Vec<NewTask> = due.into_iter().map(task).collect();
            Ok(queue::enqueue(conn, &tasks)?)
        };
        self.db.transaction("queue syncs", work).await.map_err(only_db)
    }
}

fn sync_task(tenant: TenantId, organization: OrganizationId, priority: Priority) -> NewTask {
    let work = SyncWork { tenant };
    NewTask {
        kind: TaskKind::SyncResources,
        priority,
        organization,
        tenant: Some(tenant),
        resource: None,
        run: None,
        restore: None,
        open_key: Some(work.open_key()),
        exclusive_key: None,
        work: to_json(&work),
    }
}

/// The error inside a transaction whose work cannot refuse.
type NoRefusal = TxError<Infallible>;

fn only_db(err: NoRefusal) -> DbError {
    match err {
        TxError::Db(err) => err,
        TxError::Refused(never) => match never {},
    }
}
