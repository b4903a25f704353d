//! The table `writers`.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Datetime, Integer, Unsigned};

use crate::db::schema::writers;
use crate::db::{Conn, Kept};
use crate::ids::{StorageId, WriterId};

/// Registers this process as a writer of a storage.
pub fn register_writer(conn: &mut Conn, storage: StorageId, agent: &str) -> QueryResult<WriterId> {
    let id = WriterId::random();
    diesel::insert_into(writers::table)
        .values((
            writers::id.eq(id.as_bytes().as_slice()),
            writers::storage_id.eq(storage.get()),
            writers::agent.eq(agent),
            writers::state.eq("alive"),
            writers::started_at.eq(sql::<Datetime>("NOW(3)")),
            writers::heartbeat_at.eq(sql::<Datetime>("NOW(3)")),
        ))
        .execute(conn)?;
    Ok(id)
}

/// Says that a writer lives. `false`: it was declared dead, and its commits are refused.
pub fn heartbeat_writer(conn: &mut Conn, id: WriterId) -> QueryResult<bool> {
    let own = writers::table.filter(writers::id.eq(id.as_bytes().as_slice()).and(writers::state.eq("alive")));
    let n_rows = diesel::update(own).set(writers::heartbeat_at.eq(sql::<Datetime>("NOW(3)"))).execute(conn)?;
    if n_rows > 0 {
        return Ok(true);
    }
    // MariaDB counts only rows that change: two heartbeats in one millisecond change nothing.
    let state: Option<String> =
        writers::table.find(id.as_bytes().as_slice()).select(writers::state).first(conn).optional()?;
    Ok(state.as_deref() == Some("alive"))
}

/// Declares a writer dead: at the orderly end of its process, when nothing of it is under way.
pub fn retire_writer(conn: &mut Conn, id: WriterId) -> QueryResult<usize> {
    diesel::update(writers::table.find(id.as_bytes().as_slice())).set(writers::state.eq("dead")).execute(conn)
}

/// Declares all writers of a storage dead that were not heard of for `age`. Returns how many there were.
pub fn mark_dead_writers(conn: &mut Conn, storage: StorageId, age: Duration) -> QueryResult<usize> {
    let seconds = age.as_secs();
    let silent = writers::table
        .filter(writers::storage_id.eq(storage.get()).and(writers::state.eq("alive")))
        .filter(sql::<Bool>(&format!("heartbeat_at < NOW(3) - INTERVAL {seconds} SECOND")));
    diesel::update(silent).set(writers::state.eq("dead")).execute(conn)
}

/// Whether a writer lives, and keeps it so until the transaction ends.
///
/// A shared lock, because all tasks of one agent commit under one row and need not wait for each other; declaring it
/// dead needs the row alone. diesel writes `FOR SHARE` here, which MariaDB does not know, hence SQL by hand.
pub(in crate::repository) fn lock_alive(conn: &mut Conn, storage: StorageId, id: WriterId) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        alive: bool,
    }
    let alive = diesel::sql_query(
        "SELECT state = 'alive' AS alive FROM writers WHERE id = ? AND storage_id = ? LOCK IN SHARE MODE",
    )
    .bind::<Binary, _>(id.as_bytes().as_slice())
    .bind::<Unsigned<Integer>, _>(storage.get());
    let rows: Vec<Row> = Kept(alive).load(conn)?;
    Ok(rows.first().is_some_and(|row| row.alive))
}

/// What is known of a writer that left a pack behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterRow {
    pub alive: bool,
    /// Seconds since 1970 by the database's clock.
    pub heartbeat_s: i64,
}

pub(in crate::repository) fn find_writer(
    conn: &mut Conn,
    storage: StorageId,
    id: WriterId,
) -> QueryResult<Option<WriterRow>> {
    let row: Option<(String, i64)> = writers::table
        .filter(writers::id.eq(id.as_bytes().as_slice()).and(writers::storage_id.eq(storage.get())))
        .select((writers::state, sql::<BigInt>("CAST(UNIX_TIMESTAMP(heartbeat_at) AS SIGNED)")))
        .first(conn)
        .optional()?;
    Ok(row.map(|(state, heartbeat_s)| WriterRow { alive: state == "alive", heartbeat_s }))
}
