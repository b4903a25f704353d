//! What a restore did with each item: its report, and what it need not do again when it is resumed.

mod sql;

use std::collections::HashMap;

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

impl OutcomeCounts {
    fn add(&mut self, outcome: Outcome, bytes: u64) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Failed => self.failed += 1,
        }
        self.bytes += bytes;
    }

    /// How many items have an outcome.
    pub const fn total(&self) -> u64 {
        self.created + self.updated + self.skipped + self.failed
    }
}

/// Records outcomes of one chain's part; a later one for the same item replaces the earlier. A key may stand only once
/// in `rows`.
pub fn put(conn: &mut Conn, restore: RestoreId, chain: ChainId, rows: &[OutcomeRow]) -> QueryResult<()> {
    for batch in rows.chunks(super::BATCH_ROWS) {
        let keys: Vec<ItemKey> = batch.iter().map(|row| row.key).collect();
        let (mut gone, mut new) = (OutcomeCounts::default(), OutcomeCounts::default());
        sql::of(conn, restore, chain, &keys)?.into_iter().for_each(|(_, outcome, bytes)| gone.add(outcome, bytes));
        batch.iter().for_each(|row| new.add(row.outcome, row.bytes));
        sql::replace(conn, restore, batch)?;
        super::parts::sql::count_in(conn, restore, chain, &gone, &new)?;
    }
    Ok(())
}

/// Which of these items the restore has settled, and how: all but those that failed.
pub fn settled(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    keys: &[ItemKey],
) -> QueryResult<HashMap<ItemKey, Outcome>> {
    let mut settled = HashMap::new();
    for batch in keys.chunks(super::BATCH_ROWS) {
        let known = sql::of(conn, restore, chain, batch)?.into_iter().map(|(key, outcome, _)| (key, outcome));
        settled.extend(known.filter(|(_, outcome)| *outcome != Outcome::Failed));
    }
    Ok(settled)
}

pub fn counts(conn: &mut Conn, restore: RestoreId) -> QueryResult<OutcomeCounts> {
    Ok(super::parts::sums(conn, restore)?.told)
}

/// Outcomes of one chain's part in the order of their keys, behind `after`.
pub fn list(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OutcomeRow>> {
    sql::list(conn, restore, chain, after, limit)
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
