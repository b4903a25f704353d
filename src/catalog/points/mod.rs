//! Chains and their restore points.

mod sql;

use chrono::{DateTime, Utc};

use crate::clock;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, FeatureName, PointNumber, ResourceId, RunId, StorageId, TaskId};

/// What a chain is about: this feature of this resource, kept in this storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainKey {
    pub resource: ResourceId,
    pub feature: FeatureName,
    pub storage: StorageId,
}

#[derive(Clone, Debug)]
pub struct Chain {
    pub id: ChainId,
    pub key: ChainKey,
    /// `unprotected`, `protected` or `not_applicable`.
    pub state: String,
    pub state_detail: Option<String>,
    /// The newest sealed point; 0 before the first.
    pub last_point: u32,
    pub sealed_at: Option<DateTime<Utc>>,
}

/// How the contents of a point differ from the point before, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointCounts {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub bytes_read: u64,
    pub bytes_stored: u64,
}

#[derive(Clone, Debug)]
pub struct PointRow {
    pub chain: ChainId,
    pub number: PointNumber,
    pub sealed: bool,
    pub run: Option<RunId>,
    pub started_at: DateTime<Utc>,
    pub sealed_at: Option<DateTime<Utc>>,
    pub n_items: u64,
    pub n_issues: u64,
    pub counts: PointCounts,
}

/// The chain of this key; made at first use.
pub fn open_chain(conn: &mut Conn, key: &ChainKey) -> QueryResult<Chain> {
    sql::insert_chain(conn, key, clock::now())?;
    sql::chain_by_key(conn, key)
}

pub fn chain(conn: &mut Conn, id: ChainId) -> QueryResult<Option<Chain>> {
    sql::chain_by_id(conn, id)
}

/// The chains of these resources, or all, in the order of their ids.
pub fn chains(conn: &mut Conn, resource: Option<ResourceId>, after: ChainId, limit: u32) -> QueryResult<Vec<Chain>> {
    sql::chains(conn, resource, None, after, limit)
}

/// The chains of a storage, in the order of their ids.
pub fn of_storage(conn: &mut Conn, storage: StorageId, after: ChainId, limit: u32) -> QueryResult<Vec<Chain>> {
    sql::chains(conn, None, Some(storage), after, limit)
}

/// How many chains are in each state.
pub fn counts_by_state(conn: &mut Conn) -> QueryResult<Vec<(String, u64)>> {
    sql::counts_by_state(conn)
}

/// The point that is being written: the one an interrupted task left open, else a new one after the last sealed.
pub fn open_point(conn: &mut Conn, chain: ChainId, run: Option<RunId>, task: TaskId) -> QueryResult<PointNumber> {
    if let Some(number) = sql::open_point(conn, chain)? {
        return Ok(number);
    }
    let last = sql::last_sealed(conn, chain)?;
    let (number, n_items) = last.map_or((1, 0), |point| (point.number.get() + 1, point.n_items));
    sql::insert_point(conn, chain, PointNumber::new(number), n_items, run, task, clock::now())?;
    Ok(PointNumber::new(number))
}

/// Adds what one commit did to the open point.
pub fn add_counts(conn: &mut Conn, chain: ChainId, point: PointNumber, counts: &PointCounts) -> QueryResult<()> {
    sql::add_counts(conn, chain, point, counts)
}

/// Seals the open point: from now on it can be browsed and restored. 0 rows: it was not open.
pub fn seal(conn: &mut Conn, chain: ChainId, point: PointNumber, n_issues: u64) -> QueryResult<usize> {
    let now = clock::now();
    let sealed = sql::seal_point(conn, chain, point, n_issues, now)?;
    if sealed == 1 {
        sql::set_protected(conn, chain, point, now)?;
    }
    Ok(sealed)
}

/// Notes that the resource does not have the feature (now); earlier points stay.
pub fn set_not_applicable(conn: &mut Conn, chain: ChainId, reason: &str) -> QueryResult<()> {
    sql::set_not_applicable(conn, chain, &super::fit(reason, 1000))
}

/// Points of a chain, newest first, older than `before`.
pub fn list(conn: &mut Conn, chain: ChainId, before: PointNumber, limit: u32) -> QueryResult<Vec<PointRow>> {
    sql::points(conn, chain, before, limit)
}

pub fn get(conn: &mut Conn, chain: ChainId, number: PointNumber) -> QueryResult<Option<PointRow>> {
    sql::point(conn, chain, number)
}
