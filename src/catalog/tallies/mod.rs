//! How much each container holds, told as what every point changed about it.
//!
//! Counting the versions of a container would read each of its rows; a mailbox has a million. What a container holds
//! as of a point is instead the sum of a few rows, one for each point that changed it. Written by [`super::items`] in
//! the statements' own transaction, so the sums and the versions never disagree.

pub(super) mod sql;

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::retention::Gap;
use crate::db::{Conn, QueryResult};
use crate::ids::{ContainerId, PointNumber};

/// What is directly in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    pub items: u64,
    pub bytes: u64,
}

/// What one write changed, in the order of the containers: two writers lock rows in one order.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<ContainerId, (i64, i64)>);

impl Changes {
    pub fn came(&mut self, container: ContainerId, bytes: u64) {
        let (items, sum) = self.0.entry(container).or_default();
        *items += 1;
        *sum += bytes.cast_signed();
    }

    pub fn left(&mut self, container: ContainerId, bytes: u64) {
        let (items, sum) = self.0.entry(container).or_default();
        *items -= 1;
        *sum -= bytes.cast_signed();
    }

    /// Adds them to what the open point changed so far.
    pub fn write(self, conn: &mut Conn, point: PointNumber) -> QueryResult<()> {
        let changed: Vec<_> = self.0.into_iter().filter(|(_, change)| *change != (0, 0)).collect();
        if changed.is_empty() { Ok(()) } else { sql::add(conn, point, &changed) }
    }
}

/// What these containers hold as of a point; one that was always empty is left out.
pub fn as_of(
    conn: &mut Conn,
    point: PointNumber,
    containers: &[ContainerId],
) -> QueryResult<HashMap<ContainerId, Holding>> {
    let mut holdings = HashMap::with_capacity(containers.len());
    for batch in containers.chunks(super::BATCH_ROWS) {
        for (container, items, bytes) in sql::sums(conn, point, batch)? {
            let holding = Holding { items: items.max(0).unsigned_abs(), bytes: bytes.max(0).unsigned_abs() };
            holdings.insert(container, holding);
        }
    }
    Ok(holdings)
}

/// Moves what given-up points changed about these containers to the point that stays behind them: no sum as of a
/// point that stays becomes another. The gaps are in ascending order.
pub(super) fn fold(conn: &mut Conn, containers: &[ContainerId], gaps: &[Gap]) -> QueryResult<()> {
    for gap in gaps {
        for batch in containers.chunks(super::BATCH_ROWS) {
            let told = sql::told_in(conn, gap, batch)?;
            if told.is_empty() {
                continue;
            }
            let mut changes = Changes::default();
            for (container, items, bytes) in told {
                let (sum_items, sum_bytes) = changes.0.entry(container).or_default();
                *sum_items += items;
                *sum_bytes += bytes;
            }
            changes.write(conn, gap.until)?;
            sql::delete_in(conn, gap, batch)?;
        }
    }
    Ok(())
}

/// Forgets what containers held that are themselves forgotten.
pub(super) fn forget(conn: &mut Conn, containers: &[ContainerId]) -> QueryResult<()> {
    containers.chunks(super::BATCH_ROWS).try_for_each(|batch| sql::delete_of(conn, batch))
}
