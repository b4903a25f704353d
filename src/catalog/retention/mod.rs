//! For how long restore points are kept: the rules of each policy, and what they say about the points of a chain.
//!
//! The rules look at the points alone and never at the clock: a chain that is backed up no more loses nothing more.

mod gaps;
mod judge;
mod sql;

use std::collections::HashMap;

use crate::db::{Conn, QueryResult};
use crate::ids::PolicyId;

pub use gaps::{Gap, GapFinder, Stays, swallowing};
pub use judge::{Judge, Why};

/// What a policy keeps: a point that any of the rules keeps is kept. A rule of 0 is not set; without any rule every
/// point is kept, and the newest one always is. Days, weeks, months and years are those of UTC; weeks begin on Monday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keep {
    /// The newest points.
    pub last: u32,
    /// Every point that was sealed at most so many days before the newest one.
    pub days: u32,
    /// The newest point of each of the last days that have one.
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}

impl Keep {
    /// No rule is set.
    pub const EVERYTHING: Self = Self { last: 0, days: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

    /// A larger number can only be a slip.
    pub const NUMBER_MAX: u32 = 100_000;

    /// The rules with what they are called.
    pub const fn rules(&self) -> [(&'static str, u32); 6] {
        let Self { last, days, daily, weekly, monthly, yearly } = *self;
        [("last", last), ("days", days), ("daily", daily), ("weekly", weekly), ("monthly", monthly), ("yearly", yearly)]
    }

    /// The first rule whose number cannot be meant.
    pub fn unlikely(&self) -> Option<(&'static str, u32)> {
        self.rules().into_iter().find(|(_, number)| *number > Self::NUMBER_MAX)
    }
}

/// `last 7, monthly 12`, or `everything`.
impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set: Vec<String> = self
            .rules()
            .into_iter()
            .filter(|(_, number)| *number > 0)
            .map(|(rule, number)| format!("{rule} {number}"))
            .collect();
        if set.is_empty() { f.write_str("everything") } else { f.write_str(&set.join(", ")) }
    }
}

/// What these policies keep; one that keeps everything may be left out.
pub fn of_policies(conn: &mut Conn, policies: &[PolicyId]) -> QueryResult<HashMap<PolicyId, Keep>> {
    let mut found = HashMap::with_capacity(policies.len());
    for batch in policies.chunks(super::BATCH_ROWS) {
        found.extend(sql::of_policies(conn, batch)?);
    }
    Ok(found)
}

/// Replaces what a policy keeps.
pub fn set(conn: &mut Conn, policy: PolicyId, keep: &Keep) -> QueryResult<()> {
    sql::replace(conn, policy, keep)
}
