//! Rehearsals: a sample of every protected feature is restored into a sandbox, compared there, and deleted again.
//!
//! Owns: the table `rehearsal_plans`, what makes a sandbox acceptable, what is drawn, and which tasks carry a rehearsal
//! out: those of a restore into a new folder of its own, and one that compares and clears when the restore has ended. Does
//! not own: how it went (`catalog::rehearsals`), the work (`workers`).
//!
//! Invariants: a rehearsal, its restore and all their tasks are committed together; one rehearsal at a time in a sandbox;
//! nobody's protected data is a sandbox unless an administrator says so.

mod choosing;
mod schedule;
mod sql;

use chrono::{DateTime, Utc};

use choosing::{Sample, choose};
pub use schedule::{NewSchedule, Schedule, ScheduleError, keep_firing, remove_schedule, schedules, set_schedule};

use super::request::{self, Ready, Target};
use super::{Caller, How, Request, RestoreState, StartError, sql as rows, state as state_of_restore, write};
use crate::catalog::{self, rehearsals, rehearsals::Rehearsal};
use crate::clock;
use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{ChainId, FeatureName, OrganizationId, RehearsalId, ResourceId, TaskId, TenantId};
use crate::queue::work::{self, RehearsePart, RehearseWork, RestoreAlong, RestoreSelection};
use crate::queue::{self, Counts, NewTask, Priority, Queue, TaskKind, TaskState, TaskView};
use crate::tenants;

pub const PER_FEATURE_DEFAULT: u32 = 25;
pub const PER_FEATURE_MAX: u32 = 200;
/// Chains that one resource can have: features times storages.
const CHAINS_OF_SANDBOX_MAX: u32 = 1_000;

/// What is to be rehearsed, and where.
#[derive(Clone, Debug)]
pub struct NewRehearsal {
    pub organization: OrganizationId,
    pub sandbox: ResourceId,
    pub rule: SandboxRule,
    /// Whose data; `None`: anybody's of the organization.
    pub resources: Option<Vec<ResourceId>>,
    /// `None`: all that can be rehearsed.
    pub features: Option<Vec<FeatureName>>,
    /// Items of each feature at most.
    pub per_feature: u32,
    /// Draws the sample of an earlier rehearsal again, as long as nothing newer was backed up; `None`: chance does.
    pub seed: Option<u32>,
}

/// Whether a sandbox may have data that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxRule {
    Unprotected,
    /// An administrator said so.
    AlthoughProtected,
}

/// How far a rehearsal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearsalState {
    Queued,
    Restoring,
    /// Or clearing the sandbox.
    Comparing,
    Finished,
    /// Its sandbox is cleared all the same, unless its task was cancelled itself.
    Cancelled,
    Failed,
}

impl RehearsalState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Restoring => "restoring",
            Self::Comparing => "comparing",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// Draws the sample, then writes the rehearsal, its restore and their tasks in one transaction.
pub async fn start(db: &Db, queue: &Queue, new: NewRehearsal, caller: Caller) -> Result<RehearsalId, StartError> {
    let prepared = prepare(db, &new).await?;
    let begin = move |conn: &mut Conn| begin_in(conn, &prepared, &caller, Priority::Manual);
    let id = db.transaction("start a rehearsal", begin).await.map_err(TxError::joined)?;
    queue.notify();
    Ok(id)
}

/// Stops the restore and the comparing; what was made in the sandbox is deleted. Repeating it does no harm.
pub async fn cancel(db: &Db, queue: &Queue, rehearsal: &Rehearsal) -> Result<(), DbError> {
    let id = rehearsal.id;
    db.run("cancel a rehearsal", move |conn| rehearsals::request_cancel(conn, id)).await?;
    queue.cancel_restore(rehearsal.restore).await?;
    queue.notify();
    Ok(())
}

/// What the task of a rehearsal and those of its restore come to. A task that is forgotten has ended long ago.
pub fn state(rehearsal: &Rehearsal, task: Option<&TaskView>, restore: &Counts) -> RehearsalState {
    // The task ends in the transaction that finishes the rehearsal, which may have been read just before.
    let succeeded = task.is_some_and(|task| task.state == TaskState::Succeeded);
    if rehearsal.finished_at.is_some() || succeeded {
        return if rehearsal.cancel_requested { RehearsalState::Cancelled } else { RehearsalState::Finished };
    }
    match task.map(|task| task.state) {
        Some(TaskState::Cancelled) => return RehearsalState::Cancelled,
        None | Some(TaskState::Failed | TaskState::Succeeded) => return RehearsalState::Failed,
        Some(TaskState::Queued | TaskState::Leased) => {}
    }
    match state_of_restore(restore, 0) {
        RestoreState::Queued => RehearsalState::Queued,
        RestoreState::Running => RehearsalState::Restoring,
        RestoreState::Succeeded | RestoreState::Incomplete | RestoreState::Failed | RestoreState::Cancelled => {
            RehearsalState::Comparing
        }
    }
}

/// A rehearsal that only needs to be written down.
struct Prepared {
    organization: OrganizationId,
    tenant: TenantId,
    sandbox: ResourceId,
    per_feature: u32,
    seed: u64,
    /// Tells its folders from those of any other installation.
    nonce: u32,
    samples: Vec<Sample>,
    at: DateTime<Utc>,
}

async fn prepare(db: &Db, new: &NewRehearsal) -> Result<Prepared, StartError> {
    check_sample(new.per_feature)?;
    let tenant = sandbox_of(db, new.organization, new.sandbox, new.rule).await?;
    let seed = u64::from(new.seed.unwrap_or_else(rand::random));
    let samples = choose(db, new, seed).await?;
    if samples.is_empty() {
        return Err(request::refused(
            "there is nothing to rehearse: no chain that was named has a sealed restore point with items; back up first"
                .to_owned(),
        ));
    }
    Ok(Prepared {
        organization: new.organization,
        tenant,
        sandbox: new.sandbox,
        per_feature: new.per_feature,
        seed,
        nonce: rand::random(),
        samples,
        at: clock::now(),
    })
}

fn check_sample(per_feature: u32) -> Result<(), StartError> {
    if (1..=PER_FEATURE_MAX).contains(&per_feature) {
        return Ok(());
    }
    let why = format!("a sample has 1 to {PER_FEATURE_MAX} items of each feature, not {per_feature}");
    Err(request::refused(why))
}

/// The tenant of a resource that may be a sandbox of the organization.
async fn sandbox_of(
    db: &Db,
    organization: OrganizationId,
    sandbox: ResourceId,
    rule: SandboxRule,
) -> Result<TenantId, StartError> {
    let (tenant, view) = request::resource(db, sandbox).await?;
    if view.state == tenants::ResourceState::Deleted {
        return Err(request::refused(format!("resource {sandbox} is gone from its directory: name another sandbox")));
    }
    if tenant.organization != organization {
        return Err(request::refused(format!("resource {sandbox} belongs to another organization: name one of this")));
    }
    let read =
        move |conn: &mut Conn| catalog::chains::list(conn, Some(sandbox), ChainId::new(0), CHAINS_OF_SANDBOX_MAX);
    let chains = db.run("look whether a sandbox is protected", read).await?;
    if rule == SandboxRule::Unprotected && chains.iter().any(|chain| chain.last_point > 0) {
        return Err(request::refused(protected(&view.address, "has backups of its own")));
    }
    Ok(tenant.id)
}

/// Why somebody's data is no sandbox, and what to do.
pub fn protected(whom: &str, why: &str) -> String {
    format!(
        "{whom} {why}: a rehearsal would write copies of other people's data there; name a user that no schedule backs \
         up as the sandbox, or say that it may be used although it is protected"
    )
}

fn begin_in(
    conn: &mut Conn,
    prepared: &Prepared,
    caller: &Caller,
    priority: Priority,
) -> Result<RehearsalId, TxError<StartError>> {
    let Prepared { organization, tenant, sandbox, per_feature, seed, nonce, samples, at } = prepared;
    let Some(first) = samples.first() else { return Err(TxError::Db(DbError::NotFound)) };
    let new = rehearsals::NewRehearsal {
        organization: *organization,
        sandbox: *sandbox,
        seed: *seed,
        per_feature: *per_feature,
        requested_by: caller.name.clone(),
    };
    let id = rehearsals::insert(conn, &new)?;
    let folder_of = |sample: &Sample| format!("kodo rehearsal {id} ({nonce:08x}), chain {}", sample.chain.id);
    let request = Request {
        target_folder: Some(folder_of(first)),
        selection: None,
        on_conflict: None,
        dry_run: false,
        along: RestoreAlong::default(),
    };
    let row = rows::NewRow {
        organization_id: organization.get(),
        chain_id: first.chain.id.get(),
        point: first.point.get(),
        target_resource: sandbox.get(),
        request: work::to_json(&request),
        requested_by: format!("rehearsal {id}"),
        created_at: at.naive_utc(),
    };
    let target = Target { resource: *sandbox, tenant: *tenant, organization: *organization };
    let ready = |sample: &Sample| Ready {
        chain: sample.chain.clone(),
        point: sample.point,
        target,
        folder: Some(folder_of(sample)),
        selection: Some(RestoreSelection { items: sample.items.clone(), ..RestoreSelection::default() }),
    };
    let how = How {
        on_conflict: None,
        dry_run: false,
        along: RestoreAlong::default(),
        priority,
        exclusive_key: caller.exclusive_key,
    };
    let restore = write(conn, &row, &samples.iter().map(ready).collect::<Vec<_>>(), &how)?;
    let part = |sample: &Sample| RehearsePart {
        chain: sample.chain.id,
        point: sample.point,
        folder: folder_of(sample),
        items: sample.items.clone(),
    };
    let work = RehearseWork { rehearsal: id, restore, sandbox: *sandbox, parts: samples.iter().map(part).collect() };
    // Samples are in the order of their features, so that this is the mailbox's lock wherever a mailbox is read.
    let exclusive_key = (caller.exclusive_key)(&first.chain.key.feature, *sandbox);
    let task = enqueue(conn, target, &work, priority, exclusive_key)?;
    rehearsals::set_work(conn, id, restore, task)?;
    for sample in samples {
        let n_sampled = u32::try_from(sample.items.len()).unwrap_or(u32::MAX);
        rehearsals::add_part(conn, id, (sample.chain.id, sample.point), &sample.chain.key.feature, n_sampled)?;
    }
    Ok(id)
}

fn enqueue(
    conn: &mut Conn,
    sandbox: Target,
    work: &RehearseWork,
    priority: Priority,
    exclusive_key: String,
) -> Result<TaskId, TxError<StartError>> {
    let open_key = RehearseWork::open_key(sandbox.resource);
    let task = NewTask {
        kind: TaskKind::Rehearse,
        priority,
        organization: sandbox.organization,
        tenant: Some(sandbox.tenant),
        resource: Some(sandbox.resource),
        run: None,
        restore: None,
        work: work::to_json(work),
        exclusive_key: Some(exclusive_key),
        open_key: Some(open_key.clone()),
    };
    match (queue::enqueue(conn, &[task])?, queue::open_task(conn, &open_key)?) {
        (1, Some(task)) => Ok(task),
        _ => Err(TxError::Refused(request::refused(format!(
            "another rehearsal is still at work in resource {}: wait until it has ended, or cancel it",
            sandbox.resource
        )))),
    }
}
