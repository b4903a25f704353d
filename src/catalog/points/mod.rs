//! The restore points of chains.

pub(super) mod sql;

use chrono::{DateTime, Utc};

use super::chains;
use super::retention::{Gap, GapFinder, Stays};
use crate::clock;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber, RunId, StorageId, TaskId};

/// Points that are read at once while gaps are looked for.
const POINTS_PAGE: u32 = 10_000;

/// Points without news that one backup makes up for in its records.
const UNTOLD_MAX: u32 = 1000;

/// Where a restore point stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointState {
    /// Its backup works.
    Open,
    /// It can be browsed and restored. No other state can.
    Sealed,
    /// Given up by hand; the next prune does it.
    GivenUp,
    /// Given up, and the storage knows; what only it needed is being deleted.
    Expiring,
    /// Its chain is being rebuilt.
    Aside,
}

impl PointState {
    pub const ALL: [Self; 5] = [Self::Open, Self::Sealed, Self::GivenUp, Self::Expiring, Self::Aside];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::GivenUp => "given_up",
            Self::Expiring => "expiring",
            Self::Aside => "aside",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Why a point in this state cannot be browsed or restored; `None`: it can.
    pub const fn closed(self) -> Option<&'static str> {
        match self {
            Self::Open => Some("is still being written"),
            Self::Sealed => None,
            Self::GivenUp | Self::Expiring => Some("was given up"),
            Self::Aside => Some("is being rebuilt"),
        }
    }
}

/// What became of the wish to give up a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    Yes,
    /// The newest sealed point is always kept: backups build on it.
    Newest,
    /// There is no such point, or it is not in the state that it must be in.
    NotSealed,
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
    pub state: PointState,
    pub run: Option<RunId>,
    pub started_at: DateTime<Utc>,
    pub sealed_at: Option<DateTime<Utc>>,
    pub n_items: u64,
    pub n_issues: u64,
    pub counts: PointCounts,
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
        chains::sql::set_protected(conn, chain, point, now)?;
    }
    Ok(sealed)
}

/// Points of a chain, newest first, older than `before`.
pub fn list(conn: &mut Conn, chain: ChainId, before: PointNumber, limit: u32) -> QueryResult<Vec<PointRow>> {
    sql::points(conn, chain, before, limit)
}

/// The points right before this one that stored nothing, in ascending order: no pack tells of them yet.
pub fn untold(conn: &mut Conn, chain: ChainId, before: PointNumber) -> QueryResult<Vec<PointRow>> {
    let newest_first = sql::points(conn, chain, before, UNTOLD_MAX)?;
    let mut untold: Vec<PointRow> = newest_first
        .into_iter()
        .take_while(|row| row.state == PointState::Sealed && row.counts.bytes_stored == 0)
        .collect();
    untold.reverse();
    Ok(untold)
}

/// The newest sealed point, or the newest that was sealed by a moment.
pub fn newest(conn: &mut Conn, chain: ChainId, by: Option<DateTime<Utc>>) -> QueryResult<Option<PointNumber>> {
    sql::newest(conn, chain, by)
}

/// For each of these chains, in their order, the newest point below the given one that is sealed, and was by a moment.
pub fn newest_below(
    conn: &mut Conn,
    asked: &[(ChainId, PointNumber)],
    by: Option<DateTime<Utc>>,
) -> QueryResult<Vec<Option<PointNumber>>> {
    let mut found = vec![None; asked.len()];
    for (place, number) in sql::newest_below(conn, asked, by)? {
        if let Some(point) = found.get_mut(place) {
            *point = Some(number);
        }
    }
    Ok(found)
}

pub fn get(conn: &mut Conn, chain: ChainId, number: PointNumber) -> QueryResult<Option<PointRow>> {
    sql::point(conn, chain, number)
}

/// Whether a point is sealed, locked for the rest of the transaction: it cannot be given up before that ends.
pub fn lock_sealed(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<bool> {
    Ok(sql::lock_points(conn, chain, &[point.get()])?.iter().any(|(_, state)| *state == PointState::Sealed))
}

/// Gives up one sealed point, which must not be the newest one. The next prune of the storage does the rest.
pub fn give_up(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<GaveUp> {
    let newest = chains::sql::by_id(conn, chain)?.is_some_and(|chain| chain.last_point == point.get());
    if newest {
        return Ok(GaveUp::Newest);
    }
    Ok(if sql::give_up(conn, chain, point)? == 1 { GaveUp::Yes } else { GaveUp::NotSealed })
}

/// Sealed points with when they were sealed, newest first, older than `before`.
pub fn sealed(
    conn: &mut Conn,
    chain: ChainId,
    before: PointNumber,
    limit: u32,
) -> QueryResult<Vec<(PointNumber, DateTime<Utc>)>> {
    sql::sealed(conn, chain, before, limit)
}

/// The newest sealed point that was sealed by then: how everything was at that moment, as far as backups know.
pub fn at_moment(conn: &mut Conn, chain: ChainId, at: DateTime<Utc>) -> QueryResult<Option<PointNumber>> {
    sql::sealed_by(conn, chain, at)
}

/// Points in a state, the oldest first.
pub fn in_state(conn: &mut Conn, chain: ChainId, state: PointState, limit: u32) -> QueryResult<Vec<PointNumber>> {
    sql::in_state(conn, chain, state, limit)
}

/// Locks points for the rest of the transaction, so that nobody begins to restore one of them meanwhile.
pub fn lock(conn: &mut Conn, chain: ChainId, points: &[PointNumber]) -> QueryResult<()> {
    let numbers: Vec<u32> = points.iter().map(|point| point.get()).collect();
    numbers.chunks(super::BATCH_ROWS).try_for_each(|batch| sql::lock_points(conn, chain, batch).map(drop))
}

/// Begins to delete points, after the storage was told in this transaction that they are given up. Returns how many it
/// now is true of; the newest sealed point is never among them.
pub fn expire(conn: &mut Conn, chain: ChainId, points: &[PointNumber]) -> QueryResult<u64> {
    let Some(last) = sql::last_sealed(conn, chain)? else { return Ok(0) };
    let numbers: Vec<u32> = points.iter().filter(|point| **point < last.number).map(|point| point.get()).collect();
    let mut expired = 0;
    for batch in numbers.chunks(super::BATCH_ROWS) {
        expired += sql::expire(conn, chain, batch)? as u64;
    }
    Ok(expired)
}

/// Chains of a storage with points in a state, in the order of their ids.
pub fn chains_with(
    conn: &mut Conn,
    storage: StorageId,
    state: PointState,
    after: ChainId,
    limit: u32,
) -> QueryResult<Vec<ChainId>> {
    let mut after = after;
    loop {
        let page = sql::chains_with(conn, state, after, limit)?;
        let Some(last) = page.last() else { return Ok(Vec::new()) };
        after = *last;
        let here = chains::sql::among(conn, storage, &page)?;
        if !here.is_empty() {
            return Ok(here);
        }
    }
}

/// The first gaps that the points being deleted leave between those that stay, in ascending order.
pub fn gaps(conn: &mut Conn, chain: ChainId, gaps_max: usize) -> QueryResult<Vec<Gap>> {
    let (mut finder, mut gaps) = (GapFinder::default(), Vec::new());
    let mut after = PointNumber::new(0);
    loop {
        let page = sql::states(conn, chain, after, POINTS_PAGE)?;
        for (number, state) in &page {
            let stays = if *state == PointState::Expiring { Stays::No } else { Stays::Yes };
            gaps.extend(finder.meet(*number, stays));
            if gaps.len() == gaps_max {
                return Ok(gaps);
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == POINTS_PAGE as usize => after = *last,
            _ => return Ok(gaps),
        }
    }
}

/// Deletes the points that were given up in this gap: nothing is left that only they needed.
pub fn forget(conn: &mut Conn, chain: ChainId, gap: &Gap) -> QueryResult<u64> {
    Ok(sql::delete_expiring(conn, chain, gap)? as u64)
}
