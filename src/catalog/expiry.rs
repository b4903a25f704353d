//! Deletes what only given-up points needed, in steps that each fit a short transaction.
//!
//! A version is deleted once no point that stays lies in its `[from_point, to_point)`. The given-up points keep their
//! rows, as `expiring`, until nothing of theirs is left: whoever was stopped half-way finds them again and goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::retention::{Gap, swallowing};
use super::{containers, items, points, tallies};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, VersionNumber};

/// How much one step looks at, and at most deletes. It bounds memory and the length of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Gaps that are worked on at once.
    pub gaps: usize,
    pub versions: u32,
    pub containers: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { gaps: 100, versions: 5_000, containers: 500 }
    }
}

/// What the steps for one chain have deleted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    pub points: u64,
    pub versions: u64,
}

/// Where the work on one chain stands. It lives in memory only: begun anew, it finds what is left.
#[derive(Clone, Debug)]
pub struct Sweep {
    chain: ChainId,
    pace: Pace,
    gaps: Arc<[Gap]>,
    at: At,
    pub deleted: Deleted,
}

/// What follows a step.
#[derive(Clone, Debug)]
pub enum Step {
    More(Sweep),
    /// Nothing is left of what was given up; this much was deleted on the way.
    Done(Deleted),
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// The next gaps are to be found.
    Gaps,
    /// Item versions, behind this one.
    Items(VersionNumber),
    ContainerVersions,
    /// What containers hold, told by given-up points, behind this container.
    Tallies(ContainerId),
    Points,
    /// Containers of which no version is left, behind this one.
    Containers(ContainerId),
}

impl Sweep {
    pub fn of(chain: ChainId, pace: Pace) -> Self {
        Self { chain, pace, gaps: Arc::from([]), at: At::Gaps, deleted: Deleted::default() }
    }

    /// Takes one step, in the caller's transaction.
    pub fn step(&self, conn: &mut Conn) -> QueryResult<Step> {
        let mut next = self.clone();
        let chain = self.chain;
        next.at = match self.at {
            At::Gaps => {
                next.gaps = points::gaps(conn, chain, self.pace.gaps)?.into();
                if next.gaps.is_empty() { At::Containers(ContainerId::new(0)) } else { At::Items(VersionNumber::NONE) }
            }
            At::Items(after) => match self.items(conn, after, &mut next.deleted)? {
                Some(after) => At::Items(after),
                None => At::ContainerVersions,
            },
            At::ContainerVersions => {
                self.gaps.iter().try_for_each(|gap| containers::delete_swallowed(conn, chain, gap))?;
                At::Tallies(ContainerId::new(0))
            }
            At::Tallies(after) => {
                let page = containers::ids(conn, chain, after, self.pace.containers)?;
                tallies::fold(conn, &page, &self.gaps)?;
                self.behind(&page).map_or(At::Points, At::Tallies)
            }
            At::Points => {
                for gap in self.gaps.iter() {
                    next.deleted.points += points::forget(conn, chain, gap)?;
                }
                At::Gaps
            }
            At::Containers(after) => {
                let page = containers::without_versions(conn, chain, after, self.pace.containers)?;
                forget_containers(conn, chain, &page)?;
                match self.behind(&page) {
                    Some(after) => At::Containers(after),
                    None => return Ok(Step::Done(next.deleted)),
                }
            }
        };
        Ok(Step::More(next))
    }

    /// Deletes the versions of one page that no point needs; returns where the next page begins.
    fn items(
        &self,
        conn: &mut Conn,
        after: VersionNumber,
        deleted: &mut Deleted,
    ) -> QueryResult<Option<VersionNumber>> {
        let page = items::spans(conn, self.chain, after, self.pace.versions)?;
        let mut swallowed: BTreeMap<u32, (Gap, Vec<ItemKey>)> = BTreeMap::new();
        for span in &page {
            if let Some(gap) = swallowing(&self.gaps, span.from, span.to) {
                swallowed.entry(gap.until.get()).or_insert_with(|| (gap, Vec::new())).1.push(span.key);
            }
        }
        for (gap, keys) in swallowed.into_values() {
            deleted.versions += items::delete_swallowed(conn, self.chain, &gap, &keys)?;
        }
        let full = page.len() == self.pace.versions as usize;
        Ok(page.last().filter(|_| full).map(|span| span.number))
    }

    fn behind(&self, page: &[ContainerId]) -> Option<ContainerId> {
        page.last().filter(|_| page.len() == self.pace.containers as usize).copied()
    }
}

/// A container without versions may still be where an item that failed is to be read from.
fn forget_containers(conn: &mut Conn, chain: ChainId, candidates: &[ContainerId]) -> QueryResult<()> {
    if candidates.is_empty() {
        return Ok(());
    }
    let mut needed = super::issues::containers_among(conn, chain, candidates)?;
    needed.extend(items::containers_among(conn, chain, candidates)?);
    let empty: Vec<ContainerId> = candidates.iter().filter(|id| !needed.contains(id)).copied().collect();
    tallies::forget(conn, &empty)?;
    containers::forget(conn, chain, &empty)
}
