//! Planning a run: the run, its tasks and the schedule's next firing, in one transaction.

use chrono::NaiveDateTime;

use crate::db::{Conn, DbError, TxError};
use crate::ids::{FeatureName, OrganizationId, PolicyId, ResourceId, RunId, ScheduleId, StorageId, TenantId};
use crate::queue::work::{BackupWork, Keeping, to_json};
use crate::queue::{self, NewTask, Priority, TaskKind};
use crate::tenants;
use crate::timing::Timing;

use super::runs::RunReason;
use super::schedule::{ScheduleView, Unacceptable, view};
use super::{ExclusiveKey, NoRefusal, Scheduler, Who, sql};

/// Tasks that are in memory at once while a run is planned.
const TASKS_AT_ONCE: usize = 1_000;

/// Where a backup that is started by hand goes.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    Policy(PolicyId),
    Storage(StorageId),
}

/// A backup of chosen resources, now.
#[derive(Clone, Debug)]
pub struct ManualBackup {
    pub organization: OrganizationId,
    pub resources: Vec<ResourceId>,
    pub features: Vec<FeatureName>,
    pub target: Target,
}

impl Scheduler {
    /// Runs a schedule now, whether it is enabled or not; its next firing stays. [`DbError::NotFound`]: there is none.
    pub async fn start_now(&self, id: ScheduleId) -> Result<RunId, DbError> {
        let key_of = self.exclusive_key;
        let work = move |conn: &mut Conn| -> Result<RunId, NoRefusal> {
            let schedule = view(sql::find_schedule(conn, id)?)?;
            plan_schedule(conn, &schedule, None, key_of)
        };
        let run = self.db.transaction("start a schedule", work).await.map_err(super::only_db)?;
        self.queue.notify();
        Ok(run)
    }

    /// Backs up chosen resources now.
    pub async fn start_backup(&self, backup: ManualBackup) -> Result<RunId, Unacceptable> {
        let key_of = self.exclusive_key;
        let work = move |conn: &mut Conn| plan_manual(conn, &backup, key_of);
        let run = self.db.transaction("start a backup", work).await.map_err(TxError::joined)?;
        self.queue.notify();
        Ok(run)
    }

    /// Plans the run of a schedule that is due. `None`: somebody else has done it, or it is due no more.
    pub(super) async fn fire(&self, id: ScheduleId) -> Result<Option<RunId>, DbError> {
        let key_of = self.exclusive_key;
        let planned = self.db.transaction("plan a run", move |conn| fire_in(conn, id, key_of)).await;
        match planned.map_err(super::only_db) {
            // The unique (schedule, firing) says that it has its run.
            Err(DbError::Duplicate(_)) => Ok(None),
            other => other,
        }
    }
}

fn fire_in(conn: &mut Conn, id: ScheduleId, key_of: ExclusiveKey) -> Result<Option<RunId>, NoRefusal> {
    let Some(row) = sql::lock_schedule(conn, id)? else { return Ok(None) };
    let now = sql::now(conn)?;
    let due = row.next_fire_at.filter(|fire_at| row.enabled && *fire_at <= now);
    let Some(fire_at) = due else { return Ok(None) };
    let schedule = view(row)?;
    let timing = Timing::parse(&schedule.cron, &schedule.time_zone)
        .map_err(|bad| DbError::Query(format!("schedule {id} has no readable timing: {bad}")))?;
    let run = plan_schedule(conn, &schedule, Some(fire_at), key_of)?;
    // From now, not from the firing: what was missed while nobody looked is one run.
    let next = timing.next_after(now.and_utc()).map(|time| time.naive_utc());
    sql::set_next_fire(conn, id, next)?;
    Ok(Some(run))
}

fn plan_schedule(
    conn: &mut Conn,
    schedule: &ScheduleView,
    fire_at: Option<NaiveDateTime>,
    key_of: ExclusiveKey,
) -> Result<RunId, NoRefusal> {
    let policy = sql::find_policy(conn, schedule.policy)?;
    let storage = StorageId::new(policy.storage_id);
    let tenant = schedule.selection.tenant;
    let in_tenant = |ids: Vec<ResourceId>| ids.into_iter().map(|id| (id, tenant)).collect::<Vec<_>>();
    let (resources, n_gone) = match &schedule.selection.who {
        Who::Everyone => (in_tenant(tenants::living_of_tenant(conn, tenant)?), 0),
        Who::Resources(chosen) => {
            let chosen = sorted(chosen);
            let mut living = tenants::living_among(conn, &chosen)?;
            // A resource of another tenant may belong to another organization.
            living.retain(|(_, owner)| *owner == tenant);
            let n_gone = chosen.len() - living.len();
            (living, n_gone as u64)
        }
    };
    let reason = if fire_at.is_some() { RunReason::Schedule } else { RunReason::Manual };
    let plan = Plan {
        organization: schedule.organization,
        schedule: Some(schedule.id),
        fire_at,
        reason,
        storage,
        keeping: Keeping::Under(schedule.policy),
        options: Some(policy.options),
        features: &schedule.features,
        resources,
        n_gone,
    };
    write(conn, &plan, key_of)
}

fn plan_manual(conn: &mut Conn, backup: &ManualBackup, key_of: ExclusiveKey) -> Result<RunId, TxError<Unacceptable>> {
    let refuse = |why: Unacceptable| Err(TxError::Refused(why));
    if backup.features.is_empty() || backup.resources.is_empty() {
        return refuse(Unacceptable::Invalid("name at least one resource and one feature".to_owned()));
    }
    let (storage, keeping, options) = match backup.target {
        Target::Storage(storage) => (storage, Keeping::AsBefore, None),
        Target::Policy(id) => match sql::find_policy(conn, id).map_err(TxError::from) {
            Ok(policy) if policy.organization_id == backup.organization.get() => {
                (StorageId::new(policy.storage_id), Keeping::FirstUnder(id), Some(policy.options))
            }
            Ok(_) | Err(TxError::Db(DbError::NotFound)) => {
                return refuse(Unacceptable::Missing(format!("policy {id}")));
            }
            Err(err) => return Err(err),
        },
    };
    let chosen = sorted(&backup.resources);
    let resources = tenants::living_among(conn, &chosen)?;
    if resources.is_empty() {
        return refuse(Unacceptable::Missing("such resource in the directory any more".to_owned()));
    }
    let owners: Vec<TenantId> = resources.iter().map(|(_, tenant)| *tenant).collect();
    for tenant in sorted(&owners) {
        if tenants::organization_of(conn, tenant)? != backup.organization {
            return refuse(Unacceptable::Missing("such resource in this organization".to_owned()));
        }
    }
    let n_gone = (chosen.len() - resources.len()) as u64;
    let mut features = backup.features.clone();
    features.sort_unstable();
    features.dedup();
    let plan = Plan {
        organization: backup.organization,
        schedule: None,
        fire_at: None,
        reason: RunReason::Manual,
        storage,
        keeping,
        options,
        features: &features,
        resources,
        n_gone,
    };
    write(conn, &plan, key_of)
}

/// Each once.
fn sorted<T: Copy + Ord>(ids: &[T]) -> Vec<T> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A run that only needs to be written down.
struct Plan<'a> {
    organization: OrganizationId,
    schedule: Option<ScheduleId>,
    fire_at: Option<NaiveDateTime>,
    reason: RunReason,
    storage: StorageId,
    keeping: Keeping,
    /// See [`BackupWork::options`].
    options: Option<String>,
    features: &'a [FeatureName],
    /// In order of their ids, so that two planners take unique keys in one order.
    resources: Vec<(ResourceId, TenantId)>,
    n_gone: u64,
}

fn write<E>(conn: &mut Conn, plan: &Plan<'_>, key_of: ExclusiveKey) -> Result<RunId, TxError<E>> {
    let new = sql::NewRun {
        organization: plan.organization.get(),
        schedule: plan.schedule.map(ScheduleId::get),
        fire_at: plan.fire_at,
        reason: plan.reason,
    };
    let run = sql::insert_run(conn, &new)?;
    let n_features = plan.features.len().max(1);
    let mut n_tasks = 0;
    for resources in plan.resources.chunks((TASKS_AT_ONCE / n_features).max(1)) {
        let tasks: Vec<NewTask> = resources
            .iter()
            .flat_map(|(resource, tenant)| plan.features.iter().map(move |feature| (*resource, *tenant, feature)))
            .map(|(resource, tenant, feature)| task(plan, run, resource, tenant, feature, key_of))
            .collect();
        n_tasks += queue::enqueue(conn, &tasks)?;
    }
    let n_wanted = (plan.resources.len() * plan.features.len()) as u64;
    sql::set_planned(conn, run, n_tasks, n_wanted - n_tasks, plan.n_gone)?;
    Ok(run)
}

fn task(
    plan: &Plan<'_>,
    run: RunId,
    resource: ResourceId,
    tenant: TenantId,
    feature: &FeatureName,
    key_of: ExclusiveKey,
) -> NewTask {
    let work = BackupWork {
        resource,
        feature: feature.clone(),
        storage: plan.storage,
        keeping: plan.keeping,
        options: plan.options.clone(),
    };
    NewTask {
        kind: TaskKind::Backup,
        priority: match plan.reason {
            RunReason::Schedule => Priority::Scheduled,
            RunReason::Manual => Priority::Manual,
        },
        organization: plan.organization,
        tenant: Some(tenant),
        resource: Some(resource),
        run: Some(run),
        restore: None,
        open_key: Some(work.open_key()),
        exclusive_key: Some(key_of(feature, resource)),
        work: to_json(&work),
    }
}
