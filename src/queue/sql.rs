//! The table `tasks`. Times are the database's: `NOW(6)` is written in the statements, never bound.

use std::collections::HashSet;
use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::dsl::{count_star, exists, insert_or_ignore_into, select, sql};
use diesel::expression::{SqlLiteral, TypedExpressionType};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Bool, Datetime, Nullable, Unsigned};

mod again;
pub(super) mod exporting;
mod rows;

pub use again::{EndedTask, begin_again, ended_of_restore};
use rows::NewRow;
pub(super) use rows::Row;

use super::endings::{End, Requeue};
use super::lanes::{self, Lane};
use super::task::{Lease, NewTask, Progress, TaskState};
use super::view::{Member, TaskFilter};
use crate::db::Conn;
use crate::db::schema::tasks;
use crate::ids::{AgentId, ChainId, PointNumber, RunId, TaskId};

/// Rows of one INSERT: ten times faster than single rows, and far below the 65,535 parameters of a statement.
const INSERT_ROWS: usize = 1_000;
const PHASE_CHARS_MAX: usize = 64;
const WAITS_FOR_CHARS_MAX: usize = 255;
const ERROR_CHARS_MAX: usize = 2_000;
/// A year; MariaDB answers NULL for dates beyond its range.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

type Condition = Box<dyn BoxableExpression<tasks::table, Mysql, SqlType = Nullable<Bool>>>;

fn db_now<ST: TypedExpressionType>() -> SqlLiteral<ST> {
    sql("NOW(6)")
}

fn db_now_plus<ST: TypedExpressionType>(ahead: Duration) -> SqlLiteral<ST> {
    sql(&format!("NOW(6) + INTERVAL {} MICROSECOND", ahead.min(AHEAD_MAX).as_micros()))
}

/// The rows that this lease holds now: none or one.
pub(super) fn held(lease: &Lease) -> Condition {
    Box::new(
        tasks::id
            .eq(lease.task.get())
            .and(tasks::epoch.eq(lease.epoch))
            .and(tasks::state.eq(TaskState::Leased.as_str()))
            .and(tasks::expires_at.gt(db_now::<Nullable<Datetime>>())),
    )
}

/// Rows that the caller has locked and found in this state.
pub(super) fn in_state(ids: &[u64], state: TaskState) -> Condition {
    Box::new(tasks::id.eq_any(ids.to_vec()).and(tasks::state.eq(state.as_str())).nullable())
}

/// The unfinished task that has an open key.
pub fn open_task(conn: &mut Conn, open_key: &str) -> QueryResult<Option<TaskId>> {
    let found: Option<u64> =
        tasks::table.filter(tasks::open_key.eq(open_key)).select(tasks::id).first(conn).optional()?;
    Ok(found.map(TaskId::new))
}

/// Queues tasks in the caller's transaction, in batches. Returns how many were added: a task whose open key belongs to
/// an unfinished one is left out.
pub fn enqueue(conn: &mut Conn, new: &[NewTask]) -> QueryResult<u64> {
    let now: NaiveDateTime = select(db_now::<Datetime>()).first(conn)?;
    let mut added = 0;
    for batch in new.chunks(INSERT_ROWS) {
        // IGNORE would also cut short what is too long, so nothing too long may reach it.
        if let Some(unfit) = batch.iter().find_map(NewTask::unfit) {
            return Err(DieselError::QueryBuilderError(unfit.into()));
        }
        lanes::remember(conn, batch)?;
        let rows: Vec<NewRow<'_>> = batch.iter().map(|task| NewRow::of(task, now)).collect();
        // IGNORE passes over rows with a taken key and is the only form whose row count leaves them out.
        added += insert_or_ignore_into(tasks::table).values(rows).execute(conn)? as u64;
    }
    Ok(added)
}

#[derive(Queryable)]
pub(super) struct LeasedNow {
    pub organization: u32,
    pub tenant: Option<u32>,
    pub priority: u8,
    pub held_key: Option<String>,
}

/// Every leased task: at most as many as there are workers.
pub(super) fn leased_now(conn: &mut Conn) -> QueryResult<Vec<LeasedNow>> {
    tasks::table
        .filter(tasks::state.eq(TaskState::Leased.as_str()))
        .select((tasks::organization_id, tasks::tenant_id, tasks::priority, tasks::held_key))
        .load(conn)
}

/// Locks the oldest ready tasks of a lane whose exclusive key is free, passing over what others have locked.
pub(super) fn lock_candidates(
    conn: &mut Conn,
    lane: &Lane,
    held_keys: &HashSet<String>,
    limit: usize,
) -> QueryResult<Vec<(u64, Option<String>)>> {
    let tenant: Box<dyn BoxableExpression<tasks::table, Mysql, SqlType = Nullable<Bool>>> = match lane.tenant {
        Some(tenant) => Box::new(tasks::tenant_id.eq(tenant)),
        None => Box::new(tasks::tenant_id.is_null().nullable()),
    };
    tasks::table
        .filter(tasks::state.eq(TaskState::Queued.as_str()))
        .filter(tasks::organization_id.eq(lane.organization))
        .filter(tenant)
        .filter(tasks::priority.eq(lane.priority))
        .filter(tasks::kind.eq(&lane.kind))
        .filter(tasks::not_before.le(db_now::<Datetime>()))
        .filter(tasks::exclusive_key.is_null().or(tasks::exclusive_key.ne_all(held_keys)))
        .order((tasks::not_before, tasks::id))
        .limit(limit as i64)
        .select((tasks::id, tasks::exclusive_key))
        .for_update()
        .skip_locked()
        .load(conn)
}

/// Leases locked candidates and returns those that were had. Another agent may have taken a key meanwhile; its unique
/// index says so, and then the candidates are tried one by one.
pub(super) fn take(conn: &mut Conn, ids: &[u64], agent: AgentId, lease_time: Duration) -> QueryResult<Vec<u64>> {
    if take_all(conn, ids, agent, lease_time)? {
        return Ok(ids.to_vec());
    }
    let mut taken = Vec::new();
    for &id in ids {
        if take_all(conn, &[id], agent, lease_time)? {
            taken.push(id);
        }
    }
    Ok(taken)
}

/// `false`, and nothing changed, when one of the keys is held.
fn take_all(conn: &mut Conn, ids: &[u64], agent: AgentId, lease_time: Duration) -> QueryResult<bool> {
    let updated = diesel::update(tasks::table.filter(in_state(ids, TaskState::Queued)))
        .set((
            tasks::state.eq(TaskState::Leased.as_str()),
            tasks::epoch.eq(tasks::epoch + 1),
            tasks::agent_id.eq(agent.get()),
            tasks::expires_at.eq(db_now_plus::<Nullable<Datetime>>(lease_time)),
            tasks::held_key.eq(tasks::exclusive_key),
            tasks::started_at.eq(sql::<Nullable<Datetime>>("COALESCE(started_at, NOW(6))")),
            tasks::phase.eq(""),
            tasks::waits_for.eq(None::<String>),
        ))
        .execute(conn);
    match updated {
        Ok(n) => Ok(n == ids.len()),
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(false),
        Err(err) => Err(err),
    }
}

const HELD_ROW: (tasks::id, tasks::epoch, tasks::attempts, tasks::cancel_requested) =
    (tasks::id, tasks::epoch, tasks::attempts, tasks::cancel_requested);

#[derive(Queryable)]
pub(super) struct HeldRow {
    pub id: u64,
    pub epoch: u32,
    pub attempts: u32,
    pub cancel_requested: bool,
}

/// Locks the task for the rest of the transaction if the lease holds.
pub(super) fn lock_held(conn: &mut Conn, lease: &Lease) -> QueryResult<Option<HeldRow>> {
    tasks::table.filter(held(lease)).select(HELD_ROW).for_update().first(conn).optional()
}

/// Locks those of the tasks whose lease, whoever has it, is alive.
pub(super) fn lock_alive(conn: &mut Conn, ids: &[u64]) -> QueryResult<Vec<HeldRow>> {
    tasks::table
        .filter(in_state(ids, TaskState::Leased))
        .filter(tasks::expires_at.gt(db_now::<Nullable<Datetime>>()))
        .order(tasks::id)
        .select(HELD_ROW)
        .for_update()
        .load(conn)
}

pub(super) fn extend(conn: &mut Conn, ids: &[u64], lease_time: Duration) -> QueryResult<usize> {
    diesel::update(tasks::table.filter(in_state(ids, TaskState::Leased)))
        .set(tasks::expires_at.eq(db_now_plus::<Nullable<Datetime>>(lease_time)))
        .execute(conn)
}

/// Has the leases of an agent run out after `left` at the latest.
pub(super) fn shorten(conn: &mut Conn, agent: AgentId, left: Duration) -> QueryResult<usize> {
    let leased =
        tasks::table.filter(tasks::state.eq(TaskState::Leased.as_str())).filter(tasks::agent_id.eq(agent.get()));
    diesel::update(leased.filter(tasks::expires_at.gt(db_now_plus::<Nullable<Datetime>>(left))))
        .set(tasks::expires_at.eq(db_now_plus::<Nullable<Datetime>>(left)))
        .execute(conn)
}

pub(super) fn set_progress(conn: &mut Conn, lease: &Lease, progress: &Progress) -> QueryResult<usize> {
    diesel::update(tasks::table.filter(held(lease)))
        .set((
            tasks::phase.eq(clip(&progress.phase, PHASE_CHARS_MAX)),
            tasks::items_done.eq(progress.items_done),
            tasks::items_total.eq(progress.items_total),
            tasks::bytes_done.eq(progress.bytes_done),
            tasks::waits_for.eq(progress.waits_for.as_deref().map(|text| clip(text, WAITS_FOR_CHARS_MAX))),
        ))
        .execute(conn)
}

pub(super) fn set_waits_for(conn: &mut Conn, lease: &Lease, waits_for: &str) -> QueryResult<usize> {
    let waits_for = clip(waits_for, WAITS_FOR_CHARS_MAX);
    diesel::update(tasks::table.filter(held(lease))).set(tasks::waits_for.eq(waits_for)).execute(conn)
}

/// Ends tasks. A failure counts as an attempt.
pub(super) fn end(conn: &mut Conn, which: Condition, end: &End<'_>) -> QueryResult<usize> {
    diesel::update(tasks::table.filter(which))
        .set((
            tasks::state.eq(end.state.as_str()),
            tasks::attempts.eq(tasks::attempts + u32::from(end.state == TaskState::Failed)),
            tasks::result.eq(end.result),
            tasks::n_issues.eq(end.n_issues),
            end.error.map(|error| tasks::last_error.eq(clip(error, ERROR_CHARS_MAX))),
            tasks::open_key.eq(None::<String>),
            tasks::held_key.eq(None::<String>),
            tasks::expires_at.eq(None::<NaiveDateTime>),
            tasks::waits_for.eq(None::<String>),
            tasks::finished_at.eq(db_now::<Nullable<Datetime>>()),
        ))
        .execute(conn)
}

pub(super) fn requeue(conn: &mut Conn, which: Condition, back: &Requeue<'_>) -> QueryResult<usize> {
    diesel::update(tasks::table.filter(which))
        .set((
            tasks::state.eq(TaskState::Queued.as_str()),
            tasks::not_before.eq(db_now_plus::<Datetime>(back.delay)),
            tasks::attempts.eq(tasks::attempts + back.attempts_used),
            back.error.map(|error| tasks::last_error.eq(clip(error, ERROR_CHARS_MAX))),
            tasks::waits_for.eq(back.waits_for.map(|text| clip(text, WAITS_FOR_CHARS_MAX))),
            tasks::held_key.eq(None::<String>),
            tasks::expires_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)
}

/// Leases that have run out.
pub(super) fn expired() -> Condition {
    Box::new(tasks::expires_at.le(db_now::<Nullable<Datetime>>()))
}

/// Forgets the attempts that failed before.
pub(super) fn forgive(conn: &mut Conn, lease: &Lease) -> QueryResult<usize> {
    diesel::update(tasks::table.filter(held(lease)).filter(tasks::attempts.gt(0)))
        .set(tasks::attempts.eq(0))
        .execute(conn)
}

/// Locks leased tasks that nobody else is looking at, oldest lease first.
pub(super) fn lock_leased(conn: &mut Conn, which: Condition, limit: i64) -> QueryResult<Vec<HeldRow>> {
    tasks::table
        .filter(tasks::state.eq(TaskState::Leased.as_str()))
        .filter(which)
        .order(tasks::expires_at)
        .limit(limit)
        .select(HELD_ROW)
        .for_update()
        .skip_locked()
        .load(conn)
}

/// Locks queued tasks of a run or restore, or the one task.
pub(super) fn lock_queued(conn: &mut Conn, member: Member, limit: i64) -> QueryResult<Vec<u64>> {
    let queued = tasks::table.filter(of_member(member)).filter(tasks::state.eq(TaskState::Queued.as_str()));
    queued.limit(limit).select(tasks::id).for_update().load(conn)
}

pub(super) fn request_cancel(conn: &mut Conn, member: Member) -> QueryResult<usize> {
    let leased = tasks::table.filter(of_member(member)).filter(tasks::state.eq(TaskState::Leased.as_str()));
    let unasked = leased.filter(tasks::cancel_requested.eq(false));
    diesel::update(unasked).set(tasks::cancel_requested.eq(true)).execute(conn)
}

/// Ended tasks that may go: older, of no restore and of none of these runs.
pub(super) fn forgettable(conn: &mut Conn, age: Duration, except: &[RunId], limit: i64) -> QueryResult<Vec<u64>> {
    let before = sql::<Nullable<Datetime>>(&format!("NOW(6) - INTERVAL {} SECOND", age.min(AHEAD_MAX).as_secs()));
    let excepted = except.iter().map(|run| run.get());
    tasks::table
        .filter(tasks::finished_at.lt(before))
        .filter(tasks::restore_id.is_null())
        .filter(tasks::run_id.is_null().or(tasks::run_id.ne_all(excepted)))
        .limit(limit)
        .select(tasks::id)
        .load(conn)
}

pub(super) fn delete(conn: &mut Conn, ids: &[u64]) -> QueryResult<usize> {
    diesel::delete(tasks::table.filter(tasks::id.eq_any(ids))).execute(conn)
}

fn of_member(member: Member) -> Condition {
    match member {
        Member::Task(id) => Box::new(tasks::id.eq(id.get()).nullable()),
        Member::Run(id) => Box::new(tasks::run_id.eq(id.get())),
        Member::Restore(id) => Box::new(tasks::restore_id.eq(id.get())),
    }
}

pub(super) fn find(conn: &mut Conn, ids: &[u64]) -> QueryResult<Vec<Row>> {
    tasks::table.filter(tasks::id.eq_any(ids)).select(Row::as_select()).load(conn)
}

/// Newest first, below `before`.
pub(super) fn list(conn: &mut Conn, filter: &TaskFilter, before: Option<TaskId>, limit: i64) -> QueryResult<Vec<Row>> {
    let mut query = tasks::table.select(Row::as_select()).into_boxed();
    if let Some(member) = filter.member {
        query = query.filter(of_member(member));
    }
    if let Some(state) = filter.state {
        query = query.filter(tasks::state.eq(state.as_str()));
    }
    if let Some(organization) = filter.organization {
        query = query.filter(tasks::organization_id.eq(organization.get()));
    }
    if let Some(before) = before {
        query = query.filter(tasks::id.lt(before.get()));
    }
    query.order(tasks::id.desc()).limit(limit).load(conn)
}

/// For each state: how many tasks, and the sums of items, bytes and issues.
pub(super) type StateSums = (String, i64, Option<u64>, Option<u64>, Option<u64>);

pub(super) fn sums_by_state(conn: &mut Conn, member: Member) -> QueryResult<Vec<StateSums>> {
    let total = |column: &str| sql::<Nullable<Unsigned<BigInt>>>(&format!("CAST(SUM({column}) AS UNSIGNED)"));
    tasks::table
        .filter(of_member(member))
        .group_by(tasks::state)
        .select((tasks::state, count_star(), total("items_done"), total("bytes_done"), total("n_issues")))
        .load(conn)
}

/// How many tasks have this member in their result.
pub(super) fn with_result(conn: &mut Conn, member: Member, field: &str) -> QueryResult<i64> {
    let says = sql::<Bool>(&format!("JSON_VALUE(result, '$.{field}') IS NOT NULL"));
    tasks::table.filter(of_member(member)).filter(says).count().get_result(conn)
}

/// How many unfinished tasks there are, by state and by the agent that works on them or did last.
pub(super) fn open_by_agent(conn: &mut Conn) -> QueryResult<Vec<(String, Option<u32>, i64)>> {
    let open = tasks::state.eq_any([TaskState::Queued.as_str(), TaskState::Leased.as_str()]);
    let grouped = tasks::table.filter(open).group_by((tasks::state, tasks::agent_id));
    grouped.select((tasks::state, tasks::agent_id, count_star())).load(conn)
}

/// Whether any task of the run or restore is unfinished. One look into an index.
pub(super) fn has_open(conn: &mut Conn, member: Member) -> QueryResult<bool> {
    let open = tasks::state.eq_any([TaskState::Queued.as_str(), TaskState::Leased.as_str()]);
    select(exists(tasks::table.filter(of_member(member)).filter(open))).get_result(conn)
}

/// The chains and points that unfinished restores read.
pub fn points_being_restored(conn: &mut Conn, limit: i64) -> QueryResult<Vec<(ChainId, PointNumber)>> {
    // The work as a whole may name thousands of items; two of its numbers are asked for.
    let number =
        |field: &str| sql::<Nullable<Unsigned<BigInt>>>(&format!("CAST(JSON_VALUE(work, '$.{field}') AS UNSIGNED)"));
    let open = tasks::state.eq_any([TaskState::Queued.as_str(), TaskState::Leased.as_str()]);
    let rows: Vec<(Option<u64>, Option<u64>)> = tasks::table
        .filter(tasks::restore_id.is_not_null())
        .filter(open)
        .limit(limit)
        .select((number("chain"), number("point")))
        .load(conn)?;
    let point = |(chain, point): (Option<u64>, Option<u64>)| {
        let chain = ChainId::new(u32::try_from(chain?).ok()?);
        Some((chain, PointNumber::new(u32::try_from(point?).ok()?)))
    };
    let unreadable = || DieselError::DeserializationError("a restore does not say which point it reads".into());
    rows.into_iter().map(|row| point(row).ok_or_else(unreadable)).collect()
}

/// Strict mode refuses text that is longer than its column.
fn clip(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}
