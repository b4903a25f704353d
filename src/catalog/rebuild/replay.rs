//! From what was told, in whatever order and however often, to what was so at each point. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::catalog::containers::Cursors;
use crate::catalog::issues::{ItemIssue, OpenIssue, next_point};
use crate::catalog::items::NewVersion;
use crate::catalog::rebuild::RebuiltIssue;
use crate::catalog::{PointCounts, PointRow, PointState};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber, WalkNumber};

/// Where something stands in the history of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub point: PointNumber,
    pub seq: u64,
}

/// What is true of one thing over the points: at most one value at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<V> {
    /// `[from, to)` with what was true then.
    pub past: Vec<(PointNumber, PointNumber, V)>,
    pub now: Option<(PointNumber, V)>,
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self { past: Vec::new(), now: None }
    }
}

impl<V> Line<V> {
    /// From this point on it is so. What the same point said before never was.
    pub fn put(&mut self, point: PointNumber, value: V) {
        self.end(point);
        self.now = Some((point, value));
    }

    /// From this point on it is not.
    pub fn end(&mut self, point: PointNumber) {
        if let Some((from, value)) = self.now.take()
            && from < point
        {
            self.past.push((from, point, value));
        }
    }

    /// All of it, in order; what is true now lasts to [`PointNumber::OPEN`].
    pub fn spans(self) -> impl Iterator<Item = (PointNumber, PointNumber, V)> {
        let now = self.now.map(|(from, value)| (from, PointNumber::OPEN, value));
        self.past.into_iter().chain(now)
    }
}

/// When containers went away, with all that was in them.
pub type Ends = HashMap<ContainerId, Vec<Moment>>;

/// What was told of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemTold {
    Is(Box<NewVersion>),
    /// It left this container; if it lives in another one by then, it stays there.
    Left(ContainerId),
    Gone,
}

impl ItemTold {
    /// The versions of one item. `told` is sorted here.
    pub fn replay(mut told: Vec<(Moment, Self)>, ends: &Ends) -> Line<NewVersion> {
        told.sort_by_key(|(moment, _)| *moment);
        told.dedup_by_key(|(moment, _)| *moment);
        let mut line = Line::default();
        let mut since: Option<Moment> = None;
        for (moment, what) in told {
            end_with_container(&mut line, since, Some(moment), ends);
            match what {
                Self::Is(version) => {
                    line.put(moment.point, *version);
                    since = Some(moment);
                }
                Self::Left(container) => {
                    if line.now.as_ref().is_some_and(|(_, version)| version.container == container) {
                        line.end(moment.point);
                    }
                }
                Self::Gone => line.end(moment.point),
            }
        }
        end_with_container(&mut line, since, None, ends);
        line
    }
}

/// Ends an item whose container went away behind `since` and before `until`.
fn end_with_container(line: &mut Line<NewVersion>, since: Option<Moment>, until: Option<Moment>, ends: &Ends) {
    let (Some((_, version)), Some(since)) = (&line.now, since) else { return };
    let gone = ends.get(&version.container).into_iter().flatten();
    if let Some(first) = gone.filter(|end| **end > since && until.is_none_or(|until| **end < until)).min() {
        line.end(first.point);
    }
}

/// A container as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerVersion {
    pub parent: Option<ContainerId>,
    pub name: String,
    pub hidden: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerTold {
    Is(ContainerVersion),
    Gone,
}

impl ContainerTold {
    pub fn replay(mut told: Vec<(Moment, Self)>) -> Line<ContainerVersion> {
        told.sort_by_key(|(moment, _)| *moment);
        let mut line: Line<ContainerVersion> = Line::default();
        for (moment, what) in told {
            match what {
                Self::Is(version) if line.now.as_ref().is_some_and(|(_, now)| *now == version) => {}
                Self::Is(version) => line.put(moment.point, version),
                Self::Gone => line.end(moment.point),
            }
        }
        line
    }
}

/// What was told of how far a container was walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorTold {
    /// A full walk begins.
    Start,
    Resume(String),
    Done(String),
    /// The container is gone.
    Forget,
}

impl CursorTold {
    /// Where the next walk begins. A full walk that was under way begins anew: what it had met unchanged is not
    /// recorded. So does everything when `distrust` says that records may be missing: what was told of in between would
    /// never be told of again.
    pub fn replay(mut told: Vec<(Moment, Self)>, distrust: bool) -> Cursors {
        told.sort_by_key(|(moment, _)| *moment);
        let mut cursors = Cursors::default();
        for (_, what) in told {
            match what {
                Self::Start | Self::Forget => (cursors.since, cursors.resume) = (None, None),
                Self::Resume(page) => cursors.resume = Some(page),
                Self::Done(token) => (cursors.since, cursors.resume) = (Some(token), None),
            }
        }
        if cursors.since.is_none() || distrust {
            (cursors.since, cursors.resume) = (None, None);
        }
        // Every item of the chain counts as met by this walk, so that the next full one tells what is gone.
        cursors.full_walk = WalkNumber::FIRST;
        cursors
    }
}

/// What was told of an item's trouble.
#[derive(Clone, Debug)]
pub enum IssueTold {
    Failed {
        issue: ItemIssue,
        at: DateTime<Utc>,
    },
    /// It was captured after all, or is gone.
    Settled,
}

impl IssueTold {
    /// The issue that is still open, with the points that saw it first and last.
    pub fn replay(mut told: Vec<(Moment, Self)>) -> Option<RebuiltIssue> {
        told.sort_by_key(|(moment, _)| *moment);
        told.dedup_by_key(|(moment, _)| *moment);
        let mut open: Option<RebuiltIssue> = None;
        for (moment, what) in told {
            open = match (what, open) {
                (Self::Settled, _) => None,
                (Self::Failed { issue, at }, None) => {
                    let key = ItemKey::of(&issue.graph_id);
                    let next_point = next_point(moment.point, 1, issue.skipped);
                    let first = OpenIssue { key, issue, attempts: 1, first_at: at, last_at: at, next_point };
                    Some((first, moment.point, moment.point))
                }
                (Self::Failed { issue, at }, Some((before, first, last))) => {
                    // Told twice in one point, it is one attempt.
                    let attempts = before.attempts + u32::from(last < moment.point);
                    let next_point = next_point(moment.point, attempts, issue.skipped);
                    let again = OpenIssue { issue, attempts, last_at: at, next_point, ..before };
                    Some((again, first, moment.point))
                }
            };
        }
        open
    }
}

/// What was told of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointTold {
    Begun(DateTime<Utc>),
    Sealed {
        at: DateTime<Utc>,
        n_items: u64,
        n_issues: u64,
        counts: PointCounts,
    },
    /// Retention gave it up.
    Expired,
    /// Something else was told in it.
    Mentioned,
}

/// The points of a chain.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// What can be restored, in ascending order.
    pub sealed: Vec<PointRow>,
    /// Under way when the last pack was written. Its counts are for the caller to fill in.
    pub open: Option<PointRow>,
    pub expired: BTreeSet<PointNumber>,
    /// How many items sealed points were said to hold.
    pub counted: BTreeMap<PointNumber, u64>,
    /// Retention never gives up the last point. When all that are known were given up, there was a later one that found
    /// nothing new and so was not recorded: this, which holds what the newest of them held.
    pub stand_in: Option<PointRow>,
}

#[derive(Clone, Copy, Default)]
struct Facts {
    begun: Option<DateTime<Utc>>,
    sealed: Option<(u64, DateTime<Utc>, u64, u64, PointCounts)>,
    expired: Option<u64>,
    last_seq: Option<u64>,
}

impl Points {
    /// `chain` only fills the rows.
    pub fn replay(chain: ChainId, mut told: Vec<(Moment, PointTold)>) -> Self {
        told.sort_by_key(|(moment, _)| *moment);
        let mut facts: BTreeMap<PointNumber, Facts> = BTreeMap::new();
        for (Moment { point, seq }, what) in told {
            let known = facts.entry(point).or_default();
            match what {
                PointTold::Begun(at) => known.begun = known.begun.or(Some(at)),
                PointTold::Sealed { at, n_items, n_issues, counts } => {
                    known.sealed = Some((seq, at, n_items, n_issues, counts));
                }
                PointTold::Expired => known.expired = known.expired.max(Some(seq)),
                PointTold::Mentioned => {}
            }
            if what != PointTold::Expired {
                known.last_seq = known.last_seq.max(Some(seq));
            }
        }
        let mut points = Self::default();
        let newest = facts.iter().rev().find(|(_, known)| known.last_seq.is_some()).map(|(point, _)| *point);
        let mut given_up: Option<PointRow> = None;
        for (number, known) in &facts {
            let expired = known.expired.is_some_and(|expired| known.last_seq.is_none_or(|last| last < expired));
            if expired {
                points.expired.insert(*number);
            }
            if let Some((_, _, n_items, _, _)) = known.sealed {
                points.counted.insert(*number, n_items);
            }
            match known.row(chain, *number, newest) {
                None => {}
                Some(row) if expired => given_up = Some(row),
                Some(row) if row.state == PointState::Sealed => points.sealed.push(row),
                Some(row) => points.open = Some(row),
            }
        }
        let known_later = |row: &PointRow| points.sealed.last().is_some_and(|sealed| sealed.number > row.number);
        let highest = facts.keys().next_back().map_or(0, |highest| highest.get());
        points.stand_in = given_up.filter(|row| !known_later(row)).map(|row| {
            let number = points.open.as_ref().map_or(highest + 1, |open| open.number.get() - 1);
            PointRow { number: PointNumber::new(number.max(row.number.get())), ..row }
        });
        points
    }
}

impl Facts {
    /// `None`: nothing but that it expired is known of it.
    fn row(&self, chain: ChainId, number: PointNumber, newest: Option<PointNumber>) -> Option<PointRow> {
        let last = at_us(self.last_seq?);
        let started_at = self.begun.unwrap_or(last);
        let row = PointRow {
            chain,
            number,
            state: PointState::Open,
            run: None,
            started_at,
            sealed_at: None,
            n_items: 0,
            n_issues: 0,
            counts: PointCounts::default(),
        };
        match self.sealed {
            Some((_, at, n_items, n_issues, counts)) => {
                Some(PointRow { state: PointState::Sealed, sealed_at: Some(at), n_items, n_issues, counts, ..row })
            }
            // A later point begins only when this one is sealed; that record was lost.
            None if newest.is_some_and(|newest| newest > number) => {
                Some(PointRow { state: PointState::Sealed, sealed_at: Some(last), ..row })
            }
            None => Some(row),
        }
    }
}

/// Sequence numbers begin at the database's clock, in microseconds.
fn at_us(seq: u64) -> DateTime<Utc> {
    i64::try_from(seq).ok().and_then(DateTime::from_timestamp_micros).unwrap_or(DateTime::UNIX_EPOCH)
}

/// What of a line a retained point needs, or is true now.
pub fn needed<V>(
    line: Line<V>,
    retained: &BTreeSet<PointNumber>,
) -> impl Iterator<Item = (PointNumber, PointNumber, V)> {
    line.spans().filter(|(from, to, _)| *to == PointNumber::OPEN || retained.range(*from..*to).next().is_some())
}
