//! Rehearsals that time brings about: one schedule for an organization.
//!
//! The firing, the rehearsal and the next firing are one transaction, so that two servers begin one rehearsal. A firing
//! that can begin nothing says why, and the next one comes all the same.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{NewRehearsal, Prepared, SandboxRule, begin_in, check_sample, prepare, sandbox_of, sql};
use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{OrganizationId, RehearsalId, ResourceId};
use crate::queue::{Priority, Queue};
use crate::restores::{Caller, ExclusiveKey, StartError};
use crate::timing::{BadTiming, Timing};

/// Who asks for a rehearsal that nobody asked for.
const REQUESTED_BY: &str = "schedule";
/// Organizations, of which each has one schedule at most.
const SCHEDULES_MAX: u32 = 10_000;
/// Schedules that one look fires at most; the next look takes the rest.
const DUE_MAX: u32 = 20;

#[derive(Clone, Debug)]
pub struct NewSchedule {
    pub organization: OrganizationId,
    pub sandbox: ResourceId,
    pub rule: SandboxRule,
    pub per_feature: u32,
    pub cron: String,
    pub time_zone: String,
}

#[derive(Clone, Debug)]
pub struct Schedule {
    pub organization: OrganizationId,
    pub sandbox: ResourceId,
    pub rule: SandboxRule,
    pub per_feature: u32,
    pub cron: String,
    pub time_zone: String,
    pub next_fire_at: Option<DateTime<Utc>>,
    /// Why the last firing began nothing.
    pub last_problem: Option<String>,
}

/// Why a schedule was not set.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error(transparent)]
    Sandbox(#[from] StartError),
    #[error(transparent)]
    Timing(#[from] BadTiming),
}

/// Sets the schedule of an organization; one that it had is replaced.
pub async fn set_schedule(db: &Db, new: NewSchedule) -> Result<Schedule, ScheduleError> {
    let timing = Timing::parse(&new.cron, &new.time_zone)?;
    check_sample(new.per_feature)?;
    sandbox_of(db, new.organization, new.sandbox, new.rule).await?;
    let set = move |conn: &mut Conn| {
        let next = timing.next_after(sql::now(conn)?.and_utc());
        sql::replace(conn, &new, next)?;
        sql::find(conn, new.organization)
    };
    let schedule = db.run("set a schedule of rehearsals", set).await.map_err(StartError::Db)?;
    Ok(schedule.ok_or(StartError::Db(DbError::NotFound))?)
}

/// Whether there was one.
pub async fn remove_schedule(db: &Db, organization: OrganizationId) -> Result<bool, DbError> {
    db.run("remove a schedule of rehearsals", move |conn| sql::delete(conn, organization)).await
}

/// In the order of the organizations.
pub async fn schedules(db: &Db) -> Result<Vec<Schedule>, DbError> {
    db.run("list schedules of rehearsals", |conn| sql::list(conn, SCHEDULES_MAX)).await
}

/// Begins the rehearsals that are due, until `stop`. What fails is logged; the next look finds the same work.
pub async fn keep_firing(db: Db, queue: Queue, exclusive_key: ExclusiveKey, every: Duration, stop: CancellationToken) {
    let mut looks = tokio::time::interval(every);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        if let Err(err) = fire_due(&db, &queue, exclusive_key).await {
            tracing::warn!(error = %err, "rehearsals that are due cannot be begun");
        }
    }
}

async fn fire_due(db: &Db, queue: &Queue, exclusive_key: ExclusiveKey) -> Result<(), DbError> {
    for schedule in db.run("list due rehearsals", |conn| sql::due(conn, DUE_MAX)).await? {
        let organization = schedule.organization;
        match fire(db, schedule, exclusive_key).await {
            Ok(Some(rehearsal)) => {
                tracing::info!(%organization, rehearsal.id = %rehearsal, "rehearsal begun");
                queue.notify();
            }
            Ok(None) => {}
            Err(StartError::Db(err)) => return Err(err),
            Err(why) => {
                tracing::warn!(%organization, error = %why, "a rehearsal that is due cannot be begun");
                let problem = why.to_string();
                let pass = move |conn: &mut Conn| pass_over(conn, organization, &problem);
                db.transaction("pass a firing over", pass).await.map_err(TxError::joined)?;
            }
        }
    }
    Ok(())
}

/// `None`: somebody else has done it.
async fn fire(db: &Db, schedule: Schedule, exclusive_key: ExclusiveKey) -> Result<Option<RehearsalId>, StartError> {
    let new = NewRehearsal {
        organization: schedule.organization,
        sandbox: schedule.sandbox,
        rule: schedule.rule,
        resources: None,
        features: None,
        per_feature: schedule.per_feature,
        seed: None,
    };
    let prepared = prepare(db, &new).await?;
    let caller = Caller { name: REQUESTED_BY.to_owned(), exclusive_key };
    let begin = move |conn: &mut Conn| fire_in(conn, &prepared, &caller);
    db.transaction("begin a rehearsal that is due", begin).await.map_err(TxError::joined)
}

fn fire_in(conn: &mut Conn, prepared: &Prepared, caller: &Caller) -> Result<Option<RehearsalId>, TxError<StartError>> {
    let Some(schedule) = sql::lock_due(conn, prepared.organization)? else { return Ok(None) };
    let id = begin_in(conn, prepared, caller, Priority::Scheduled)?;
    advance(conn, &schedule, None)?;
    Ok(Some(id))
}

fn pass_over(conn: &mut Conn, organization: OrganizationId, problem: &str) -> Result<(), TxError<DbError>> {
    match sql::lock_due(conn, organization)? {
        Some(schedule) => Ok(advance(conn, &schedule, Some(problem))?),
        None => Ok(()),
    }
}

/// From now, not from the firing: what was missed while nobody looked is one rehearsal.
fn advance(conn: &mut Conn, schedule: &Schedule, problem: Option<&str>) -> crate::db::QueryResult<()> {
    let now = sql::now(conn)?.and_utc();
    let timing = Timing::parse(&schedule.cron, &schedule.time_zone).ok();
    let next = timing.and_then(|timing| timing.next_after(now));
    sql::set_next(conn, schedule.organization, next, problem)
}
