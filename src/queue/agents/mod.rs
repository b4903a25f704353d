//! Agents: the processes that have workers, as the database knows them.
//!
//! Owns the table `agents`. An agent is known by its name: a process that starts again under its name is the same
//! agent. Whether one is online is told by its last heartbeat and the database's clock.

mod sql;

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::db::{Db, DbError};
use crate::ids::AgentId;

pub(super) use sql::may_lease;

/// An agent that was not heard of for so long is shown as offline.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(60);
/// Three times as long as a living agent is ever silent.
const WATCHED: Duration = Duration::from_secs(6);
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// Agents that a list shows at most.
const AGENTS_MAX: i64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentState {
    Active,
    /// Leases nothing and keeps what it has, until an administrator resumes it. Survives a restart.
    Paused,
    /// Leases nothing and is about to stop. A restart makes it active again.
    Draining,
}

impl AgentState {
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Draining];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// An unknown state is one of a newer version; leasing nothing is the safe reading.
    fn of_column(text: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Paused)
    }
}

/// How a process introduces itself.
#[derive(Clone, Debug)]
pub struct NewAgent {
    pub name: String,
    pub host: String,
    pub version: String,
    pub workers: u32,
}

#[derive(Clone, Debug)]
pub struct AgentView {
    pub id: AgentId,
    pub name: String,
    pub host: String,
    pub version: String,
    pub workers: u32,
    pub state: AgentState,
    pub started_at: DateTime<Utc>,
    pub heartbeat_at: DateTime<Utc>,
    pub online: bool,
    /// Tasks that it works on now.
    pub n_leased: u64,
}

/// Makes the agent known, or known again after a restart.
pub async fn register(db: &Db, agent: NewAgent) -> Result<AgentId, DbError> {
    db.run("register an agent", move |conn| sql::upsert(conn, &agent)).await
}

/// Says that the agent lives, and hears in which state it should be.
pub async fn heartbeat(db: &Db, agent: AgentId) -> Result<AgentState, DbError> {
    let state = db.run("agent heartbeat", move |conn| sql::touch(conn, agent)).await?;
    Ok(AgentState::of_column(&state))
}

/// All agents by name.
pub async fn list(db: &Db) -> Result<Vec<AgentView>, DbError> {
    let open = db.run("count open tasks by agent", super::sql::open_by_agent).await?;
    let rows = db.run("list agents", |conn| sql::list(conn, AGENTS_MAX)).await?;
    let n_leased = |id: u32| {
        let by_it = |(state, agent, _): &&(String, Option<u32>, i64)| state == "leased" && *agent == Some(id);
        open.iter().find(by_it).map_or(0, |(_, _, n)| n.unsigned_abs())
    };
    Ok(rows.into_iter().map(|row| view(row, n_leased)).collect())
}

/// The name of an agent whose heart beats. One that was heard of lately is watched for as long as an agent may be silent:
/// it may just have been stopped.
pub async fn alive(db: &Db) -> Result<Option<String>, DbError> {
    let heard_lately = |rows: Vec<sql::Row>| -> HashMap<u32, (String, NaiveDateTime)> {
        let lately = rows.into_iter().filter(|row| row.silent_seconds.unsigned_abs() <= WATCHED.as_secs());
        lately.map(|row| (row.id, (row.name, row.heartbeat_at))).collect()
    };
    let list = || db.run("list agents", |conn| sql::list(conn, AGENTS_MAX));
    let before = heard_lately(list().await?);
    let began = tokio::time::Instant::now();
    while !before.is_empty() && began.elapsed() < WATCHED {
        tokio::time::sleep(WATCH_EVERY).await;
        for (id, (name, at)) in heard_lately(list().await?) {
            if before.get(&id).is_none_or(|(_, earlier)| at > *earlier) {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// Pauses, drains or resumes an agent. It obeys with its next lease. [`DbError::NotFound`]: there is no such agent.
pub async fn set_state(db: &Db, agent: AgentId, state: AgentState) -> Result<(), DbError> {
    match db.run("set an agent's state", move |conn| sql::set_state(conn, agent, state)).await? {
        0 => Err(DbError::NotFound),
        _ => Ok(()),
    }
}

fn view(row: sql::Row, n_leased: impl Fn(u32) -> u64) -> AgentView {
    AgentView {
        n_leased: n_leased(row.id),
        id: AgentId::new(row.id),
        name: row.name,
        host: row.host,
        version: row.version,
        workers: row.workers,
        state: AgentState::of_column(&row.state),
        started_at: row.started_at.and_utc(),
        heartbeat_at: row.heartbeat_at.and_utc(),
        online: row.silent_seconds.unsigned_abs() < OFFLINE_AFTER.as_secs(),
    }
}
