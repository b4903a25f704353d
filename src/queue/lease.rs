//! Leasing, and what keeps a lease: the claim itself, the fence, the heartbeat, progress.

use std::collections::HashSet;
use std::time::Duration;

use crate::db::{Conn, DbError, TxError};
use crate::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};

use super::lanes::{self, Lane, Load, deal};
use super::task::{Lease, LeaseLost, LeasedTask, Progress, TaskKind};
use super::{NoRefusal, Queue, agents, only_db, sql};

/// Looks into lanes that one call makes at most. A call that ends at this bound returns what it has; the lanes it
/// found blocked belong to those with leased tasks, so they stand behind the others the next time too.
const LANE_READS_MAX: usize = 128;
/// Tasks that one call leases at most.
const LEASE_TASKS_MAX: u32 = 256;

/// What a heartbeat learned about one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub task: TaskId,
    pub held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The lease lives for another lease time. When asked to cancel, the worker stops soon and finishes as cancelled.
    Yes { cancel_requested: bool },
    /// Stop at once and commit nothing.
    Lost,
}

impl Queue {
    /// Leases up to `n` ready tasks of these kinds for the agent; none while it is paused or draining.
    ///
    /// The lease runs from the database's now, which is after the call began: an agent that counts from before its
    /// call stops in time. On [`DbError::CommitUnknown`] tasks may be leased to nobody who knows; they expire.
    pub async fn lease(
        &self,
        agent: AgentId,
        n: u32,
        kinds: &[TaskKind],
        lease_time: Duration,
    ) -> Result<Vec<LeasedTask>, DbError> {
        let ask = Ask { agent, n: n.min(LEASE_TASKS_MAX) as usize, kinds: kinds.to_vec(), lease_time };
        self.db.transaction("lease tasks", move |conn| lease_in(conn, &ask)).await.map_err(only_db)
    }

    /// Renews leases for `lease_time` from now and tells which are lost. Answers in the order asked.
    pub async fn heartbeat(&self, leases: &[Lease], lease_time: Duration) -> Result<Vec<HeartbeatAnswer>, DbError> {
        let leases = leases.to_vec();
        let work = move |conn: &mut Conn| heartbeat_in(conn, &leases, lease_time);
        self.db.transaction("renew leases", work).await.map_err(only_db)
    }

    /// Shows how far a task is.
    pub async fn progress(&self, lease: Lease, progress: Progress) -> Result<(), TxError<LeaseLost>> {
        let written = self.db.run("write progress", move |conn| sql::set_progress(conn, &lease, &progress)).await?;
        changed_or_lost(written, &lease)
    }

    /// Shows what a task waits for until its next progress. A lost lease is found out elsewhere.
    pub async fn waits(&self, lease: Lease, waits_for: String) -> Result<(), DbError> {
        let write = move |conn: &mut Conn| sql::set_waits_for(conn, &lease, &waits_for);
        self.db.run("write what a task waits for", write).await.map(drop)
    }
}

/// Proves inside a transaction that the lease holds until its commit: locks the task's row, so that nobody can reap it
/// meanwhile. Every transaction that commits a worker's results calls this first.
pub fn assert_held(conn: &mut Conn, lease: &Lease) -> Result<(), TxError<LeaseLost>> {
    lock_held(conn, lease).map(|_| ())
}

pub(super) fn lock_held(conn: &mut Conn, lease: &Lease) -> Result<sql::HeldRow, TxError<LeaseLost>> {
    sql::lock_held(conn, lease)?.ok_or(TxError::Refused(LeaseLost { task: lease.task }))
}

pub(super) fn changed_or_lost(n_rows: usize, lease: &Lease) -> Result<(), TxError<LeaseLost>> {
    if n_rows == 1 { Ok(()) } else { Err(TxError::Refused(LeaseLost { task: lease.task })) }
}

struct Ask {
    agent: AgentId,
    n: usize,
    kinds: Vec<TaskKind>,
    lease_time: Duration,
}

fn lease_in(conn: &mut Conn, ask: &Ask) -> Result<Vec<LeasedTask>, NoRefusal> {
    if !agents::may_lease(conn, ask.agent)? {
        return Ok(Vec::new());
    }
    let ids = take(conn, ask)?;
    let mut tasks = sql::find(conn, &ids)?.into_iter().map(leased).collect::<Result<Vec<LeasedTask>, DbError>>()?;
    tasks.sort_by_key(|task| ids.iter().position(|id| *id == task.id.get()));
    Ok(tasks)
}

/// Deals what is wanted to the lanes by fairness and takes it; what a lane could not give is dealt again to the rest.
fn take(conn: &mut Conn, ask: &Ask) -> Result<Vec<u64>, NoRefusal> {
    let mut lanes = lanes::ready(conn)?;
    lanes.retain(|lane| TaskKind::parse(&lane.kind).is_some_and(|kind| ask.kinds.contains(&kind)));
    let mut load = Load::default();
    let mut held_keys = HashSet::new();
    for leased in sql::leased_now(conn)? {
        load.add(leased.organization, leased.tenant, leased.priority, 1);
        held_keys.extend(leased.held_key);
    }
    let mut taken = Vec::new();
    let mut reads = 0;
    while taken.len() < ask.n && !lanes.is_empty() && reads < LANE_READS_MAX {
        for (lane, share) in deal(&lanes, &load, ask.n - taken.len()) {
            let got = take_from_lane(conn, ask, &lane, share, &mut held_keys)?;
            reads += 1;
            load.add(lane.organization, lane.tenant, lane.priority, got.ids.len() as u64);
            taken.extend(got.ids);
            if got.exhausted {
                lanes.retain(|other| *other != lane);
            }
            if reads == LANE_READS_MAX {
                break;
            }
        }
    }
    Ok(taken)
}

struct Got {
    ids: Vec<u64>,
    /// Nothing more can be had from the lane in this transaction.
    exhausted: bool,
}

fn take_from_lane(
    conn: &mut Conn,
    ask: &Ask,
    lane: &Lane,
    share: usize,
    held_keys: &mut HashSet<String>,
) -> Result<Got, NoRefusal> {
    let candidates = sql::lock_candidates(conn, lane, held_keys, share)?;
    let exhausted = candidates.len() < share;
    // Of several candidates with one key the first is tried. Whoever gets the key, it is held from now on.
    let mut is_first_of_key = |key: &Option<String>| key.as_ref().is_none_or(|key| held_keys.insert(key.clone()));
    let ids: Vec<u64> = candidates.into_iter().filter(|(_, key)| is_first_of_key(key)).map(|(id, _)| id).collect();
    let ids = if ids.is_empty() { ids } else { sql::take(conn, &ids, ask.agent, ask.lease_time)? };
    Ok(Got { ids, exhausted })
}

fn leased(row: sql::Row) -> Result<LeasedTask, DbError> {
    let unreadable = |what: &str| DbError::Query(format!("leased task {} has no readable {what}", row.id));
    let id = TaskId::new(row.id);
    Ok(LeasedTask {
        id,
        lease: Lease { task: id, epoch: row.epoch },
        kind: TaskKind::parse(&row.kind).ok_or_else(|| unreadable("kind"))?,
        agent: row.agent_id.map(AgentId::new).ok_or_else(|| unreadable("agent"))?,
        expires_at: row.expires_at.ok_or_else(|| unreadable("expiry"))?.and_utc(),
        work: row.work,
        organization: OrganizationId::new(row.organization_id),
        tenant: row.tenant_id.map(TenantId::new),
        resource: row.resource_id.map(ResourceId::new),
        run: row.run_id.map(RunId::new),
        restore: row.restore_id.map(RestoreId::new),
        attempts: row.attempts,
    })
}

fn heartbeat_in(conn: &mut Conn, leases: &[Lease], lease_time: Duration) -> Result<Vec<HeartbeatAnswer>, NoRefusal> {
    let ids: Vec<u64> = leases.iter().map(|lease| lease.task.get()).collect();
    let alive = sql::lock_alive(conn, &ids)?;
    let pulse = |lease: &Lease| alive.iter().find(|row| row.id == lease.task.get() && row.epoch == lease.epoch);
    let held: Vec<u64> = leases.iter().filter_map(pulse).map(|row| row.id).collect();
    if !held.is_empty() {
        sql::extend(conn, &held, lease_time)?;
    }
    let answer = |lease: &Lease| HeartbeatAnswer {
        task: lease.task,
        held: match pulse(lease) {
            Some(row) => Held::Yes { cancel_requested: row.cancel_requested },
            None => Held::Lost,
        },
    };
    Ok(leases.iter().map(answer).collect())
}
