//! An agent: leases tasks for its free workers, keeps their leases alive, and ends each task in the queue.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use super::{backup, collect, export, prune, restore, sync, verify};
use crate::ids::{AgentId, TaskId};
use crate::queue::{HeartbeatAnswer, Held, Lease, LeasedTask, Outcome, Queue, RESPITE, Reaped, TaskKind, retry_delay};

/// Expired leases are looked for this often by every agent; whoever comes first reaps them.
const REAP_EVERY: Duration = Duration::from_secs(5);
/// The pause after a failed look into the queue.
const QUEUE_FAILED_PAUSE: Duration = Duration::from_secs(2);

/// Why a running task is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Cancelled,
    LeaseLost,
    Shutdown,
}

/// A task that runs in one of this agent's workers.
struct Slot {
    lease: Lease,
    stop: CancellationToken,
    why: Option<Stop>,
}

type Slots = Arc<Mutex<HashMap<TaskId, Slot>>>;

/// Works until `stop`, then lets running tasks end or gives them back, and returns.
pub async fn run_agent(workshop: Arc<Workshop>, queue: Queue, stop: CancellationToken) -> anyhow::Result<()> {
    let agent = workshop.register().await?;
    queue.take_back(agent).await?;
    let slots: Slots = Arc::default();
    let pulse = tokio::spawn(pulse(Arc::clone(&workshop), queue.clone(), agent, Arc::clone(&slots)));
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        let free = workshop.agent.workers.saturating_sub(u32::try_from(running.len()).unwrap_or(u32::MAX));
        let leased = match lease(&workshop, &queue, agent, free).await {
            Ok(leased) => leased,
            Err(err) => {
                tracing::warn!(error = %err, "cannot lease tasks");
                pause(&stop, QUEUE_FAILED_PAUSE).await;
                continue;
            }
        };
        let idle = leased.is_empty();
        for task in leased {
            running.spawn(work(Arc::clone(&workshop), queue.clone(), task, Arc::clone(&slots)));
        }
        if idle || running.len() as u64 >= u64::from(workshop.agent.workers) {
            let poll = Duration::from_secs(workshop.agent.poll_s).mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = running.join_next() => {}
                () = queue.wait_for_work(poll) => {}
            }
        }
    }
    drain(&workshop, &slots, running).await;
    pulse.abort();
    workshop.retire().await;
    Ok(())
}

async fn lease(workshop: &Workshop, queue: &Queue, agent: AgentId, free: u32) -> anyhow::Result<Vec<LeasedTask>> {
    if free == 0 {
        return Ok(Vec::new());
    }
    Ok(queue.lease(agent, free, &workshop.kinds(), workshop.agent.lease_time()).await?)
}

async fn drain(workshop: &Workshop, slots: &Slots, mut running: JoinSet<()>) {
    if running.is_empty() {
        return;
    }
    tracing::info!(n_tasks = running.len(), "waiting for running tasks");
    let all = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(workshop.agent.drain_s), all).await.is_err() {
        for slot in lock(slots).values_mut() {
            slot.end(Stop::Shutdown);
        }
        while running.join_next().await.is_some() {}
    }
}

/// Keeps leases, the agent's own row and its writers alive, and passes on what the queue says about tasks.
async fn pulse(workshop: Arc<Workshop>, queue: Queue, agent: AgentId, slots: Slots) {
    let lease_time = workshop.agent.lease_time();
    // Cancelling is to be felt within seconds, so a long lease does not mean a slow pulse.
    let mut ticks = tokio::time::interval((lease_time / 3).min(Duration::from_secs(2)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What an earlier process of this agent held runs out first.
    let mut reap_at = tokio::time::Instant::now() + RESPITE;
    loop {
        ticks.tick().await;
        let leases: Vec<Lease> = lock(&slots).values().map(|slot| slot.lease).collect();
        match queue.heartbeat(&leases, lease_time).await {
            Ok(answers) => answers.into_iter().for_each(|answer| obey(&slots, &answer)),
            Err(err) => tracing::warn!(error = %err, "cannot renew leases"),
        }
        if let Err(err) = workshop.heartbeat(agent).await {
            tracing::warn!(error = format!("{err:#}"), "the agent's heartbeat failed");
        }
        let now = tokio::time::Instant::now();
        if now >= reap_at {
            reap_at = now + REAP_EVERY;
            match queue.reap().await {
                Ok(reaped) if reaped == Reaped::default() => {}
                Ok(reaped) => tracing::warn!(?reaped, "tasks of silent agents were taken back"),
                Err(err) => tracing::warn!(error = %err, "cannot look for expired leases"),
            }
        }
    }
}

fn obey(slots: &Slots, answer: &HeartbeatAnswer) {
    let mut slots = lock(slots);
    let Some(slot) = slots.get_mut(&answer.task) else { return };
    match answer.held {
        Held::Yes { cancel_requested: false } => {}
        Held::Yes { cancel_requested: true } => slot.end(Stop::Cancelled),
        Held::Lost => slot.end(Stop::LeaseLost),
    }
}

impl Slot {
    fn end(&mut self, why: Stop) {
        self.why.get_or_insert(why);
        self.stop.cancel();
    }
}

fn lock(slots: &Slots) -> std::sync::MutexGuard<'_, HashMap<TaskId, Slot>> {
    // A panic while the map was held leaves it whole: every change to it is one insert or remove.
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One task from lease to its end in the queue.
async fn work(workshop: Arc<Workshop>, queue: Queue, task: LeasedTask, slots: Slots) {
    let (id, lease, kind, attempts, tenant) = (task.id, task.lease, task.kind, task.attempts, task.tenant);
    let stop = CancellationToken::new();
    lock(&slots).insert(id, Slot { lease, stop: stop.clone(), why: None });
    tracing::info!(task.id = %id, kind = %kind, attempts, "task started");
    let control = Control { task, queue: queue.clone() };
    let doing = AssertUnwindSafe(perform(&workshop, &control)).catch_unwind();
    let ended = tokio::select! {
        ended = doing => Some(ended.unwrap_or_else(|panic| Err(defect(panic.as_ref())))),
        () = stop.cancelled() => None,
    };
    workshop.limits_told(tenant).await;
    let why = lock(&slots).remove(&id).and_then(|slot| slot.why);
    let settled = match ended {
        Some(ended) => settle(&queue, lease, attempts, ended).await,
        None => abandon(&queue, lease, why).await,
    };
    if let Err(err) = settled {
        // The lease runs out and the task is done again: an outcome that was not written did not happen.
        tracing::warn!(task.id = %id, error = format!("{err:#}"), "the end of a task could not be recorded");
    }
}

async fn perform(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    match control.task.kind {
        TaskKind::Backup => Box::pin(backup::run(workshop, control)).await,
        TaskKind::Restore => Box::pin(restore::run(workshop, control)).await,
        TaskKind::SyncResources => Box::pin(sync::run(workshop, control)).await,
        TaskKind::Prune => Box::pin(prune::run(workshop, control)).await,
        TaskKind::Collect => Box::pin(collect::run(workshop, control)).await,
        TaskKind::Verify => Box::pin(verify::run(workshop, control)).await,
        TaskKind::Export => Box::pin(export::run(workshop, control)).await,
        TaskKind::ExpireExport => Box::pin(export::expire(workshop, control)).await,
        TaskKind::Rehearse => Box::pin(restore::rehearse(workshop, control)).await,
    }
}

fn defect(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    TaskError::Retry(format!("a defect in kodo stopped the task, please report it: {text}"))
}

async fn settle(queue: &Queue, lease: Lease, attempts: u32, ended: Result<Done, TaskError>) -> anyhow::Result<()> {
    let task = lease.task;
    match ended {
        Ok(Done::Recorded) => tracing::info!(task.id = %task, "task succeeded"),
        Ok(Done::ToRecord { result, n_issues }) => {
            tracing::info!(task.id = %task, n_issues, "task succeeded");
            queue.finish(lease, Outcome::Succeeded { result: result.to_string(), n_issues }).await?;
        }
        Err(TaskError::LeaseLost(_)) => tracing::warn!(task.id = %task, "the lease was lost; another agent goes on"),
        Err(TaskError::Snooze { after, why }) => {
            tracing::info!(task.id = %task, after_s = after.as_secs(), why, "task rests");
            queue.snooze(lease, after, &why).await?;
        }
        Err(TaskError::Retry(error)) => {
            tracing::warn!(task.id = %task, error, "task failed; it is tried again");
            queue.retry(lease, retry_delay(attempts), &error).await?;
        }
        Err(TaskError::Permanent(error)) => {
            tracing::error!(task.id = %task, error, "task failed for good");
            queue.finish(lease, Outcome::Failed { error }).await?;
        }
    }
    Ok(())
}

async fn abandon(queue: &Queue, lease: Lease, why: Option<Stop>) -> anyhow::Result<()> {
    tracing::info!(task.id = %lease.task, ?why, "task stopped");
    match why {
        Some(Stop::Cancelled) => drop(queue.finish(lease, Outcome::Cancelled).await?),
        Some(Stop::Shutdown) | None => drop(queue.release(lease).await?),
        Some(Stop::LeaseLost) => {}
    }
    Ok(())
}

async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
