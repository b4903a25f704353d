//! Table `rehearsal_plans`. "Now" is the database's.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{select, sql};
use diesel::prelude::*;
use diesel::sql_types::{Datetime, Nullable};

use super::{NewSchedule, SandboxRule, Schedule};
use crate::db::schema::rehearsal_plans;
use crate::db::{Conn, QueryResult};
use crate::ids::{OrganizationId, ResourceId};

const PROBLEM_CHARS_MAX: usize = 1_000;

#[derive(Queryable, Selectable)]
#[diesel(table_name = rehearsal_plans)]
struct Row {
    organization_id: u32,
    sandbox_resource: u32,
    per_feature: u32,
    although_protected: bool,
    cron: String,
    time_zone: String,
    next_fire_at: Option<NaiveDateTime>,
    last_problem: Option<String>,
}

impl From<Row> for Schedule {
    fn from(row: Row) -> Self {
        Self {
            organization: OrganizationId::new(row.organization_id),
            sandbox: ResourceId::new(row.sandbox_resource),
            rule: if row.although_protected { SandboxRule::AlthoughProtected } else { SandboxRule::Unprotected },
            per_feature: row.per_feature,
            cron: row.cron,
            time_zone: row.time_zone,
            next_fire_at: row.next_fire_at.map(|at| at.and_utc()),
            last_problem: row.last_problem,
        }
    }
}

pub(super) fn now(conn: &mut Conn) -> QueryResult<NaiveDateTime> {
    select(sql::<Datetime>("NOW(3)")).first(conn)
}

pub(super) fn replace(conn: &mut Conn, new: &NewSchedule, next: Option<DateTime<Utc>>) -> QueryResult<()> {
    diesel::replace_into(rehearsal_plans::table)
        .values((
            rehearsal_plans::organization_id.eq(new.organization.get()),
            rehearsal_plans::sandbox_resource.eq(new.sandbox.get()),
            rehearsal_plans::per_feature.eq(new.per_feature),
            rehearsal_plans::although_protected.eq(new.rule == SandboxRule::AlthoughProtected),
            rehearsal_plans::cron.eq(&new.cron),
            rehearsal_plans::time_zone.eq(&new.time_zone),
            rehearsal_plans::next_fire_at.eq(next.map(|at| at.naive_utc())),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn delete(conn: &mut Conn, organization: OrganizationId) -> QueryResult<bool> {
    Ok(diesel::delete(rehearsal_plans::table.find(organization.get())).execute(conn)? > 0)
}

pub(super) fn find(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Schedule>> {
    let row: Option<Row> =
        rehearsal_plans::table.find(organization.get()).select(Row::as_select()).first(conn).optional()?;
    Ok(row.map(Schedule::from))
}

pub(super) fn list(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Schedule>> {
    let rows: Vec<Row> = rehearsal_plans::table
        .order(rehearsal_plans::organization_id)
        .limit(limit.into())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Schedule::from).collect())
}

/// Those whose time has come, the longest overdue first.
pub(super) fn due(conn: &mut Conn, limit: u32) -> QueryResult<Vec<Schedule>> {
    let rows: Vec<Row> = rehearsal_plans::table
        .filter(rehearsal_plans::next_fire_at.le(sql::<Nullable<Datetime>>("NOW(3)")))
        .order(rehearsal_plans::next_fire_at)
        .limit(limit.into())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Schedule::from).collect())
}

/// Locks a schedule for the rest of the transaction; `None`: it is not due any more.
pub(super) fn lock_due(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Schedule>> {
    let row: Option<Row> = rehearsal_plans::table
        .find(organization.get())
        .filter(rehearsal_plans::next_fire_at.le(sql::<Nullable<Datetime>>("NOW(3)")))
        .select(Row::as_select())
        .for_update()
        .first(conn)
        .optional()?;
    Ok(row.map(Schedule::from))
}

pub(super) fn set_next(
    conn: &mut Conn,
    organization: OrganizationId,
    next: Option<DateTime<Utc>>,
    problem: Option<&str>,
) -> QueryResult<()> {
    let problem: Option<String> = problem.map(|problem| problem.chars().take(PROBLEM_CHARS_MAX).collect());
    diesel::update(rehearsal_plans::table.find(organization.get()))
        .set((
            rehearsal_plans::next_fire_at.eq(next.map(|at| at.naive_utc())),
            rehearsal_plans::last_problem.eq(problem),
        ))
        .execute(conn)
        .map(drop)
}
