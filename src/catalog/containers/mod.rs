//! The containers of a chain: their names over time, and how far each was walked.
//!
//! The container with the empty Graph id stands for the list of containers itself: its cursor tells which of them
//! changed.

pub(super) mod sql;

use std::collections::HashMap;

use super::retention::Gap;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, PointNumber, WalkNumber};

/// Containers of one chain that are read at once: what Exchange allows in one mailbox, with room.
const READ_MAX: u32 = 100_000;

/// The Graph id of the row whose cursor covers the list of containers.
pub const LIST: &str = "";

/// A container as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub id: ContainerId,
    /// The point since which it is as it is.
    pub from: PointNumber,
    pub graph_id: String,
    pub well_known: Option<String>,
    pub parent: Option<ContainerId>,
    pub name: String,
    pub hidden: bool,
    pub cursors: Cursors,
}

/// How far a container was walked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// The delta token with which the last whole walk ended.
    pub since: Option<String>,
    /// The next page of a walk that has not ended.
    pub resume: Option<String>,
    /// The full walk that was begun last; 0 before the first.
    pub full_walk: WalkNumber,
    /// That walk is under way: at its end, what it did not meet is closed.
    pub walking: bool,
}

/// What a container was over `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpan {
    pub from: PointNumber,
    pub to: PointNumber,
    pub parent: Option<ContainerId>,
    pub name: String,
}

/// What is known of a container when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerState {
    pub graph_id: String,
    pub parent: Option<ContainerId>,
    pub name: String,
    pub hidden: bool,
    pub well_known: Option<String>,
    pub n_items: Option<u64>,
}

/// How a commit moves a container's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorUpdate {
    /// This full walk begins.
    FullWalk(WalkNumber),
    /// More pages follow; the walk can be resumed here.
    Resume(String),
    /// The walk is over; the next begins from this token.
    Done(String),
}

/// All containers that exist in the newest state of a chain. Bounded by what a service allows in one mailbox.
pub fn present(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<Vec<Container>> {
    sql::present(conn, chain, PointNumber::OPEN, limit)
}

/// The containers as of a point.
pub fn as_of(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<Vec<Container>> {
    sql::present(conn, chain, point, READ_MAX)
}

/// What these containers were over all points.
pub fn spans(conn: &mut Conn, ids: &[ContainerId]) -> QueryResult<Vec<(ContainerId, ContainerSpan)>> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(super::BATCH_ROWS) {
        found.extend(sql::spans(conn, batch)?);
    }
    Ok(found)
}

/// How many items the service counted in each container of a chain when it last listed it; one that it did not count is
/// left out.
pub fn service_counts(conn: &mut Conn, chain: ChainId) -> QueryResult<HashMap<ContainerId, u64>> {
    Ok(sql::service_counts(conn, chain, READ_MAX)?.into_iter().collect())
}

/// The id of a container, given to it when it is first seen.
pub fn identify(conn: &mut Conn, chain: ChainId, graph_id: &str) -> QueryResult<ContainerId> {
    sql::insert(conn, chain, graph_id)?;
    sql::id_of(conn, chain, graph_id)
}

/// Writes a container's state as of the open point; does nothing when it is as it was.
pub fn put(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    id: ContainerId,
    state: &ContainerState,
) -> QueryResult<()> {
    let name = super::fit(&state.name, 512);
    sql::set_facts(conn, id, state.well_known.as_deref(), state.n_items)?;
    if sql::is_current(conn, id, state.parent, &name, state.hidden)? {
        return Ok(());
    }
    close(conn, point, id)?;
    sql::insert_version(conn, chain, point, id, state.parent, &name, state.hidden)
}

/// Ends a container in the open point. Its items are ended by [`super::items::remove`].
pub fn close(conn: &mut Conn, point: PointNumber, id: ContainerId) -> QueryResult<()> {
    sql::delete_version_of(conn, point, id)?;
    sql::close_version(conn, point, id)
}

/// Forgets how far a container was walked, for one that is gone: should it come back, it is walked whole.
pub fn forget_cursors(conn: &mut Conn, id: ContainerId) -> QueryResult<()> {
    sql::forget(conn, id)
}

/// Forgets how far everything of a chain was walked: the next backup walks whole.
pub fn forget_all_cursors(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    sql::forget_all(conn, chain)
}

/// Moves a container's cursor, in the transaction that holds the items before it.
pub fn move_cursor(conn: &mut Conn, id: ContainerId, update: &CursorUpdate) -> QueryResult<()> {
    match update {
        CursorUpdate::FullWalk(walk) => sql::begin_walk(conn, id, *walk),
        CursorUpdate::Resume(token) => sql::set_resume(conn, id, token),
        CursorUpdate::Done(token) => sql::end_walk(conn, id, token),
    }
}

/// How far the container of this Graph id was walked.
pub fn cursors(conn: &mut Conn, id: ContainerId) -> QueryResult<Cursors> {
    sql::cursors(conn, id)
}

/// The containers that a chain ever had, in the order of their ids, behind `after`.
pub fn ids(conn: &mut Conn, chain: ChainId, after: ContainerId, limit: u32) -> QueryResult<Vec<ContainerId>> {
    sql::ids(conn, chain, after, limit)
}

/// Deletes the versions of containers that were valid in this gap only.
pub fn delete_swallowed(conn: &mut Conn, chain: ChainId, gap: &Gap) -> QueryResult<()> {
    sql::delete_swallowed(conn, chain, gap)
}

/// Containers of which no version is left, in the order of their ids, behind `after`.
pub fn without_versions(
    conn: &mut Conn,
    chain: ChainId,
    after: ContainerId,
    limit: u32,
) -> QueryResult<Vec<ContainerId>> {
    sql::without_versions(conn, chain, after, limit)
}

/// Forgets containers for good, unless a version came to be meanwhile.
pub fn forget(conn: &mut Conn, chain: ChainId, empty: &[ContainerId]) -> QueryResult<()> {
    if empty.is_empty() { Ok(()) } else { sql::delete_empty(conn, chain, empty) }
}
