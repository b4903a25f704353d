//! The items that could not be captured, each until it was captured after all.

pub(super) mod sql;

use std::collections::{HashMap, HashSet};

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
    /// Backups that failed to capture it, one after the other.
    pub attempts: u32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// The first point whose backup asks for it again; [`PointNumber::OPEN`]: none does, until the service reports it
    /// anew.
    pub next_point: PointNumber,
}

/// Open issues, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssueCounts {
    pub open: u64,
    /// How many of them have a permanent, documented cause.
    pub skipped: u64,
}

/// Runs between two attempts at an item that never succeeds: thousands of rotten items do not cost every run.
const STRIDE_MAX: u32 = 32;

/// The point whose backup asks again for an item that failed for the `attempts`th time in `point`.
pub fn next_point(point: PointNumber, attempts: u32, skipped: bool) -> PointNumber {
    if skipped {
        return PointNumber::OPEN;
    }
    let stride = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(STRIDE_MAX).min(STRIDE_MAX);
    PointNumber::new(point.get().saturating_add(stride))
}

/// Records items that failed in this point; a known one gets one more attempt.
pub fn put(conn: &mut Conn, chain: ChainId, point: PointNumber, issues: &[ItemIssue]) -> QueryResult<()> {
    for issue in issues {
        sql::put(conn, chain, point, ItemKey::of(&issue.graph_id), issue, clock::now())?;
    }
    Ok(())
}

/// Records an item that was captured and is damaged now; one that has an issue is retried by the next run. Returns whether its
/// Graph id is known, so that the next run can ask for it: if not, only a full walk of its container meets it.
pub fn put_damaged(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    key: ItemKey,
    issue: &ItemIssue,
) -> QueryResult<bool> {
    if sql::is_named(conn, chain, key)? == Some(true) {
        sql::ask_again(conn, chain, Some(key))?;
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

/// Forgets the issues of what a container held that is gone.
pub fn resolve_in(conn: &mut Conn, chain: ChainId, container: ContainerId) -> QueryResult<()> {
    sql::delete_in(conn, chain, container)
}

/// Open issues whose items the backup of this point asks for again, in the order of their keys, behind `after`.
pub fn to_retry(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OpenIssue>> {
    sql::list(conn, chain, point, after, limit)
}

/// Has the next backup ask for one item again, or for all that have issues, whatever came of it before. Returns how
/// many.
pub fn ask_again(conn: &mut Conn, chain: ChainId, key: Option<ItemKey>) -> QueryResult<u64> {
    Ok(sql::ask_again(conn, chain, key)? as u64)
}

/// Open issues in the order of their keys, behind `after`.
pub fn list(conn: &mut Conn, chain: ChainId, after: Option<ItemKey>, limit: u32) -> QueryResult<Vec<OpenIssue>> {
    sql::list(conn, chain, PointNumber::OPEN, after, limit)
}

pub fn count(conn: &mut Conn, chain: ChainId) -> QueryResult<u64> {
    sql::count(conn, chain)
}

/// Open issues of each of these chains; one without any is left out.
pub fn counts_of(conn: &mut Conn, chains: &[ChainId]) -> QueryResult<HashMap<ChainId, IssueCounts>> {
    let mut counts: HashMap<ChainId, IssueCounts> = HashMap::new();
    for batch in chains.chunks(super::BATCH_ROWS) {
        for (chain, skipped, n) in sql::counts_of(conn, batch)? {
            let counted = counts.entry(chain).or_default();
            counted.open += n;
            counted.skipped += if skipped { n } else { 0 };
        }
    }
    Ok(counts)
}

/// Open issues by the container that their items are in.
pub fn counts_by_container(conn: &mut Conn, chain: ChainId) -> QueryResult<HashMap<ContainerId, u64>> {
    Ok(sql::counts_by_container(conn, chain)?.into_iter().collect())
}

/// How many chains have open issues.
pub fn chains_with_any(conn: &mut Conn) -> QueryResult<u64> {
    sql::chains_with_any(conn)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_fails_again_and_again_is_asked_for_ever_more_seldom_but_never_given_up() {
        let mut point = PointNumber::new(7);
        let mut strides = Vec::new();
        for attempts in 1..=8 {
            let next = next_point(point, attempts, false);
            strides.push(next.get() - point.get());
            point = next;
        }

        assert_eq!(strides, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(next_point(point, u32::MAX, false).get(), point.get() + STRIDE_MAX);
    }

    #[test]
    fn an_item_with_a_permanent_cause_is_not_asked_for() {
        assert_eq!(next_point(PointNumber::new(7), 1, true), PointNumber::OPEN);
    }
}
