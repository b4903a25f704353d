//! What a restore did with each item: its report, and what it need not do again when it is resumed.

mod sql;

use std::collections::HashSet;

use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, RestoreId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    /// Another state of it was there, which is now as the backup has it.
    Updated,
    /// It was there already.
    Skipped,
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Skipped, Self::Failed].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    pub chain: ChainId,
    pub key: ItemKey,
    pub outcome: Outcome,
    /// Why it failed, or what could not be brought back.
    pub remark: Option<String>,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    pub created: u64,
    pub updated: u64,
    pub skipped: u64,
    pub failed: u64,
    pub bytes: u64,
}

/// Records outcomes; a later one for the same item replaces the earlier.
pub fn put(conn: &mut Conn, restore: RestoreId, rows: &[OutcomeRow]) -> QueryResult<()> {
    for batch in rows.chunks(super::BATCH_ROWS) {
        sql::replace(conn, restore, batch)?;
    }
    Ok(())
}

/// Which of these items the restore has settled: created or found there.
pub fn settled(conn: &mut Conn, restore: RestoreId, chain: ChainId, keys: &[ItemKey]) -> QueryResult<HashSet<ItemKey>> {
    let mut settled = HashSet::new();
    for batch in keys.chunks(super::BATCH_ROWS) {
        settled.extend(sql::settled(conn, restore, chain, batch)?);
    }
    Ok(settled)
}

pub fn counts(conn: &mut Conn, restore: RestoreId) -> QueryResult<OutcomeCounts> {
    sql::counts(conn, restore)
}

/// Outcomes with something to say (failed, or with a remark), in the order of their keys, behind `after`.
pub fn remarkable(
    conn: &mut Conn,
    restore: RestoreId,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OutcomeRow>> {
    sql::remarkable(conn, restore, after, limit)
}
