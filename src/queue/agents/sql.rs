//! The table `agents`. Times are the database's.

use chrono::NaiveDateTime;
use diesel::dsl::{DuplicatedKeys, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Datetime, Text};

use super::{AgentState, NewAgent};
use crate::db::Conn;
use crate::db::schema::agents;
use crate::ids::AgentId;

fn db_now() -> SqlLiteral<Datetime> {
    sql("NOW(3)")
}

pub(super) fn upsert(conn: &mut Conn, agent: &NewAgent) -> QueryResult<AgentId> {
    let introduction = || {
        (
            agents::host.eq(&agent.host),
            agents::version.eq(&agent.version),
            agents::workers.eq(agent.workers),
            agents::started_at.eq(db_now()),
            agents::heartbeat_at.eq(db_now()),
        )
    };
    diesel::insert_into(agents::table)
        .values((agents::name.eq(&agent.name), agents::state.eq(AgentState::Active.as_str()), introduction()))
        .on_conflict(DuplicatedKeys)
        .do_update()
        // The process that drained has ended; a pause is an administrator's word and stays.
        .set((introduction(), agents::state.eq(sql::<Text>("IF(state = 'draining', 'active', state)"))))
        .execute(conn)?;
    agents::table.filter(agents::name.eq(&agent.name)).select(agents::id).first(conn).map(AgentId::new)
}

pub(super) fn touch(conn: &mut Conn, agent: AgentId) -> QueryResult<String> {
    diesel::update(agents::table.find(agent.get())).set(agents::heartbeat_at.eq(db_now())).execute(conn)?;
    agents::table.find(agent.get()).select(agents::state).first(conn)
}

pub(super) fn set_state(conn: &mut Conn, agent: AgentId, state: AgentState) -> QueryResult<usize> {
    diesel::update(agents::table.find(agent.get())).set(agents::state.eq(state.as_str())).execute(conn)
}

/// Whether the agent is registered and neither paused nor draining.
pub(in super::super) fn may_lease(conn: &mut Conn, agent: AgentId) -> QueryResult<bool> {
    let state: Option<String> = agents::table.find(agent.get()).select(agents::state).first(conn).optional()?;
    Ok(state.as_deref() == Some(AgentState::Active.as_str()))
}

#[derive(Queryable)]
pub(super) struct Row {
    pub id: u32,
    pub name: String,
    pub host: String,
    pub version: String,
    pub workers: u32,
    pub state: String,
    pub started_at: NaiveDateTime,
    pub heartbeat_at: NaiveDateTime,
    pub silent_seconds: i64,
}

pub(super) fn list(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Row>> {
    agents::table
        .order(agents::name)
        .limit(limit)
        .select((
            agents::id,
            agents::name,
            agents::host,
            agents::version,
            agents::workers,
            agents::state,
            agents::started_at,
            agents::heartbeat_at,
            sql::<BigInt>("TIMESTAMPDIFF(SECOND, heartbeat_at, NOW(3))"),
        ))
        .load(conn)
}
