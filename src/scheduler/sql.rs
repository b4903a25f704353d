//! The tables `policies`, `schedules` and `runs`. "Now" is the database's.

use chrono::NaiveDateTime;
use diesel::dsl::{select, sql};
use diesel::expression::{SqlLiteral, TypedExpressionType};
use diesel::prelude::*;
use diesel::sql_types::{Datetime, Nullable};

use super::runs::{RunReason, RunState};
use super::schedule::NewPolicy;
use crate::db::Conn;
use crate::db::schema::{policies, runs, schedules};
use crate::ids::{OrganizationId, PolicyId, RunId, ScheduleId};
use crate::queue::Counts;

fn db_now<ST: TypedExpressionType>() -> SqlLiteral<ST> {
    sql("NOW(3)")
}

pub(super) fn now(conn: &mut Conn) -> QueryResult<NaiveDateTime> {
    select(db_now::<Datetime>()).first(conn)
}

pub(super) fn insert_policy(conn: &mut Conn, new: &NewPolicy) -> QueryResult<PolicyId> {
    let organization = new.organization.get();
    diesel::insert_into(policies::table)
        .values((
            policies::organization_id.eq(organization),
            policies::name.eq(&new.name),
            policies::storage_id.eq(new.storage.get()),
            policies::options.eq(&new.options),
            policies::created_at.eq(db_now::<Datetime>()),
        ))
        .execute(conn)?;
    let row = policies::table.filter(policies::organization_id.eq(organization)).filter(policies::name.eq(&new.name));
    row.select(policies::id).first(conn).map(PolicyId::new)
}

#[derive(Queryable)]
pub(super) struct PolicyRow {
    pub id: u32,
    pub organization_id: u32,
    pub name: String,
    pub storage_id: u32,
    pub created_at: NaiveDateTime,
    pub options: String,
    pub content_download: bool,
}

pub(super) fn find_policy(conn: &mut Conn, id: PolicyId) -> QueryResult<PolicyRow> {
    policies::table.find(id.get()).first(conn)
}

/// Locks the policy for the rest of the transaction.
pub(super) fn lock_policy(conn: &mut Conn, id: PolicyId) -> QueryResult<PolicyRow> {
    policies::table.find(id.get()).for_update().first(conn)
}

pub(super) fn set_options(conn: &mut Conn, id: PolicyId, options: &str) -> QueryResult<usize> {
    diesel::update(policies::table.find(id.get())).set(policies::options.eq(options)).execute(conn)
}

/// 0 rows: there is none of this id, or it is so already.
pub(super) fn set_content_download(conn: &mut Conn, id: PolicyId, allowed: bool) -> QueryResult<usize> {
    diesel::update(policies::table.find(id.get())).set(policies::content_download.eq(allowed)).execute(conn)
}

pub(super) fn list_policies(
    conn: &mut Conn,
    organization: Option<OrganizationId>,
    limit: i64,
) -> QueryResult<Vec<PolicyRow>> {
    let mut query = policies::table.into_boxed();
    if let Some(organization) = organization {
        query = query.filter(policies::organization_id.eq(organization.get()));
    }
    query.order((policies::name, policies::id)).limit(limit).load(conn)
}

/// What an administrator sets of a schedule, as the columns hold it.
#[derive(Clone, Debug, Insertable, AsChangeset)]
#[diesel(table_name = schedules, treat_none_as_null = true)]
pub(super) struct ScheduleColumns {
    pub organization_id: u32,
    pub policy_id: u32,
    pub name: String,
    pub selection: String,
    pub features: String,
    pub cron: String,
    pub time_zone: String,
    pub enabled: bool,
    pub next_fire_at: Option<NaiveDateTime>,
}

pub(super) fn insert_schedule(conn: &mut Conn, new: &ScheduleColumns) -> QueryResult<ScheduleId> {
    diesel::insert_into(schedules::table)
        .values((new, schedules::created_at.eq(db_now::<Datetime>())))
        .execute(conn)?;
    schedules::table
        .filter(schedules::organization_id.eq(new.organization_id))
        .filter(schedules::name.eq(&new.name))
        .select(schedules::id)
        .first(conn)
        .map(ScheduleId::new)
}

pub(super) fn update_schedule(conn: &mut Conn, id: ScheduleId, columns: &ScheduleColumns) -> QueryResult<usize> {
    diesel::update(schedules::table.find(id.get())).set(columns).execute(conn)
}

pub(super) fn delete_schedule(conn: &mut Conn, id: ScheduleId) -> QueryResult<usize> {
    diesel::delete(schedules::table.find(id.get())).execute(conn)
}

#[derive(Queryable)]
pub(super) struct ScheduleRow {
    pub id: u32,
    pub organization_id: u32,
    pub policy_id: u32,
    pub name: String,
    pub selection: String,
    pub features: String,
    pub cron: String,
    pub time_zone: String,
    pub enabled: bool,
    pub next_fire_at: Option<NaiveDateTime>,
    pub created_at: NaiveDateTime,
}

pub(super) fn find_schedule(conn: &mut Conn, id: ScheduleId) -> QueryResult<ScheduleRow> {
    schedules::table.find(id.get()).first(conn)
}

/// Locks the schedule for the rest of the transaction: one planner at a time.
pub(super) fn lock_schedule(conn: &mut Conn, id: ScheduleId) -> QueryResult<Option<ScheduleRow>> {
    schedules::table.find(id.get()).for_update().first(conn).optional()
}

pub(super) fn list_schedules(
    conn: &mut Conn,
    organization: Option<OrganizationId>,
    limit: i64,
) -> QueryResult<Vec<ScheduleRow>> {
    let mut query = schedules::table.into_boxed();
    if let Some(organization) = organization {
        query = query.filter(schedules::organization_id.eq(organization.get()));
    }
    query.order((schedules::name, schedules::id)).limit(limit).load(conn)
}

/// Enabled schedules whose time has come, the longest overdue first.
pub(super) fn due_schedules(conn: &mut Conn, limit: i64) -> QueryResult<Vec<u32>> {
    schedules::table
        .filter(schedules::enabled.eq(true))
        .filter(schedules::next_fire_at.le(db_now::<Nullable<Datetime>>()))
        .order(schedules::next_fire_at)
        .limit(limit)
        .select(schedules::id)
        .load(conn)
}

pub(super) fn set_next_fire(conn: &mut Conn, id: ScheduleId, next: Option<NaiveDateTime>) -> QueryResult<usize> {
    diesel::update(schedules::table.find(id.get())).set(schedules::next_fire_at.eq(next)).execute(conn)
}

/// A run about to be planned. `schedule` and `fire_at` together are unique.
pub(super) struct NewRun {
    pub organization: u32,
    pub schedule: Option<u32>,
    pub fire_at: Option<NaiveDateTime>,
    pub reason: RunReason,
}

pub(super) fn insert_run(conn: &mut Conn, run: &NewRun) -> QueryResult<RunId> {
    diesel::insert_into(runs::table)
        .values((
            runs::organization_id.eq(run.organization),
            runs::schedule_id.eq(run.schedule),
            runs::fire_at.eq(run.fire_at),
            runs::reason.eq(run.reason.as_str()),
            runs::state.eq(RunState::Running.as_str()),
            runs::created_at.eq(db_now::<Datetime>()),
        ))
        .execute(conn)?;
    // A manual run has no unique key to be found by; the id is this connection's own last one.
    select(sql::<diesel::sql_types::Unsigned<diesel::sql_types::BigInt>>("LAST_INSERT_ID()"))
        .first::<u64>(conn)
        .map(RunId::new)
}

pub(super) fn set_planned(conn: &mut Conn, id: RunId, n_tasks: u64, n_skipped: u64, n_gone: u64) -> QueryResult<usize> {
    diesel::update(runs::table.find(id.get()))
        .set((runs::n_tasks.eq(n_tasks), runs::n_skipped.eq(n_skipped), runs::n_gone.eq(n_gone)))
        .execute(conn)
}

#[derive(Queryable)]
pub(super) struct RunRow {
    pub id: u64,
    pub organization_id: u32,
    pub schedule_id: Option<u32>,
    pub fire_at: Option<NaiveDateTime>,
    pub reason: String,
    pub state: String,
    pub cancel_requested: bool,
    pub n_tasks: u64,
    pub n_skipped: u64,
    pub n_gone: u64,
    pub n_succeeded: u64,
    pub n_failed: u64,
    pub n_cancelled: u64,
    pub n_issues: u64,
    pub items_done: u64,
    pub bytes_done: u64,
    pub created_at: NaiveDateTime,
    pub finished_at: Option<NaiveDateTime>,
}

pub(super) fn find_run(conn: &mut Conn, id: RunId) -> QueryResult<RunRow> {
    runs::table.find(id.get()).first(conn)
}

/// Newest first, below `before`.
pub(super) fn list_runs(
    conn: &mut Conn,
    filter: &super::runs::RunFilter,
    before: Option<RunId>,
    limit: i64,
) -> QueryResult<Vec<RunRow>> {
    let mut query = runs::table.into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(runs::organization_id.eq(organization.get()));
    }
    if let Some(schedule) = filter.schedule {
        query = query.filter(runs::schedule_id.eq(schedule.get()));
    }
    if let Some(state) = filter.state {
        query = query.filter(runs::state.eq(state.as_str()));
    }
    if let Some(before) = before {
        query = query.filter(runs::id.lt(before.get()));
    }
    query.order(runs::id.desc()).limit(limit).load(conn)
}

/// Runs that are not settled, oldest first.
pub(super) fn running(conn: &mut Conn, limit: i64) -> QueryResult<Vec<u64>> {
    runs::table
        .filter(runs::state.eq(RunState::Running.as_str()))
        .order(runs::id)
        .limit(limit)
        .select(runs::id)
        .load(conn)
}

/// Whether a cancellation was asked for; `None`: the run is settled.
pub(super) fn lock_running(conn: &mut Conn, id: RunId) -> QueryResult<Option<bool>> {
    runs::table
        .find(id.get())
        .filter(runs::state.eq(RunState::Running.as_str()))
        .select(runs::cancel_requested)
        .for_update()
        .first(conn)
        .optional()
}

/// Writes the end of a run that is still running.
pub(super) fn settle(conn: &mut Conn, id: RunId, state: RunState, counts: &Counts) -> QueryResult<usize> {
    diesel::update(runs::table.find(id.get()).filter(runs::state.eq(RunState::Running.as_str())))
        .set((
            runs::state.eq(state.as_str()),
            runs::n_succeeded.eq(counts.succeeded),
            runs::n_failed.eq(counts.failed),
            runs::n_cancelled.eq(counts.cancelled),
            runs::n_issues.eq(counts.n_issues),
            runs::items_done.eq(counts.items_done),
            runs::bytes_done.eq(counts.bytes_done),
            runs::finished_at.eq(db_now::<Nullable<Datetime>>()),
        ))
        .execute(conn)
}

pub(super) fn request_cancel(conn: &mut Conn, id: RunId) -> QueryResult<usize> {
    diesel::update(runs::table.find(id.get()).filter(runs::state.eq(RunState::Running.as_str())))
        .set(runs::cancel_requested.eq(true))
        .execute(conn)
}
