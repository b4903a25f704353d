//! The items that could not be captured, each until it was captured after all.

pub(super) mod sql;

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::clock;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber};

/// An item that could not be captured this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemIssue {
    pub graph_id: String,
    pub container: ContainerId,
    pub name: String,
    pub reason: String,
    /// Its cause is permanent and documented: it is not asked for again until the service reports it anew.
    pub skipped: bool,
    pub message: String,
}

#[derive(Clone, Debug)]
pub struct OpenIssue {
    pub key: ItemKey,
    /// Its Graph id is empty while it is known by its key only: a damaged item whose properties are lost.
    pub issue: ItemIssue,
    pub attempts: u32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

/// Records items that failed in this point; a known one gets one more attempt.
pub fn put(conn: &mut Conn, chain: ChainId, point: PointNumber, issues: &[ItemIssue]) -> QueryResult<()> {
    for issue in issues {
        sql::put(conn, chain, point, ItemKey::of(&issue.graph_id), issue, clock::now())?;
    }
    Ok(())
}

/// Records an item that was captured and is damaged now; one that has an issue is retried anyway. Returns whether its
/// Graph id is known, so that the next run can ask for it: if not, only a full walk of its container meets it.
pub fn put_damaged(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    key: ItemKey,
    issue: &ItemIssue,
) -> QueryResult<bool> {
    if sql::is_named(conn, chain, key)? == Some(true) {
        return Ok(true);
    }
    sql::put(conn, chain, point, key, issue, clock::now())?;
    Ok(!issue.graph_id.is_empty())
}

/// Forgets the issues of items that were captured after all, or are gone.
pub fn resolve(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<()> {
    for batch in keys.chunks(super::BATCH_ROWS) {
        sql::delete(conn, chain, batch)?;
    }
    Ok(())
}

/// Open issues whose items may be asked for again, in the order of their keys, behind `after`.
pub fn to_retry(conn: &mut Conn, chain: ChainId, after: Option<ItemKey>, limit: u32) -> QueryResult<Vec<OpenIssue>> {
    sql::list(conn, chain, Some(false), after, limit)
}

/// Open issues in the order of their keys, behind `after`.
pub fn list(conn: &mut Conn, chain: ChainId, after: Option<ItemKey>, limit: u32) -> QueryResult<Vec<OpenIssue>> {
    sql::list(conn, chain, None, after, limit)
}

pub fn count(conn: &mut Conn, chain: ChainId) -> QueryResult<u64> {
    sql::count(conn, chain)
}

/// Open issues of all chains.
pub fn total(conn: &mut Conn) -> QueryResult<u64> {
    sql::total(conn)
}

/// In which of these containers an open issue's item is.
pub fn containers_among(
    conn: &mut Conn,
    chain: ChainId,
    containers: &[ContainerId],
) -> QueryResult<HashSet<ContainerId>> {
    Ok(sql::containers_among(conn, chain, containers)?.into_iter().collect())
}
