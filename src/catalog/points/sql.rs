//! Table `restore_points`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Unsigned};

use super::{PointCounts, PointRow, PointState};
use crate::catalog::retention::Gap;
use crate::db::schema::restore_points;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber, RunId, TaskId};

#[derive(Queryable, Selectable)]
#[diesel(table_name = restore_points)]
struct PointRecord {
    chain_id: u32,
    number: u32,
    state: String,
    run_id: Option<u64>,
    started_at: NaiveDateTime,
    sealed_at: Option<NaiveDateTime>,
    n_items: u64,
    n_added: u64,
    n_changed: u64,
    n_removed: u64,
    n_issues: u64,
    bytes_read: u64,
    bytes_stored: u64,
}

impl PointRecord {
    fn into_row(self) -> QueryResult<PointRow> {
        let counts = PointCounts {
            added: self.n_added,
            changed: self.n_changed,
            removed: self.n_removed,
            bytes_read: self.bytes_read,
            bytes_stored: self.bytes_stored,
        };
        Ok(PointRow {
            chain: ChainId::new(self.chain_id),
            number: PointNumber::new(self.number),
            state: state(&self.state)?,
            run: self.run_id.map(RunId::new),
            started_at: self.started_at.and_utc(),
            sealed_at: self.sealed_at.map(|at| at.and_utc()),
            n_items: self.n_items,
            n_issues: self.n_issues,
            counts,
        })
    }
}

/// A state of a newer version is not guessed at.
fn state(text: &str) -> QueryResult<PointState> {
    PointState::parse(text).ok_or_else(|| {
        diesel::result::Error::DeserializationError(
            format!("a restore point is in the unknown state \"{text}\"").into(),
        )
    })
}

pub(super) fn open_point(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<PointNumber>> {
    restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq(PointState::Open.as_str()))
        .select(restore_points::number)
        .first::<u32>(conn)
        .optional()
        .map(|number| number.map(PointNumber::new))
}

pub(super) fn last_sealed(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<PointRow>> {
    restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq(PointState::Sealed.as_str()))
        .order(restore_points::number.desc())
        .select(PointRecord::as_select())
        .first(conn)
        .optional()?
        .map(PointRecord::into_row)
        .transpose()
}

pub(super) fn newest(conn: &mut Conn, chain: ChainId, by: Option<DateTime<Utc>>) -> QueryResult<Option<PointNumber>> {
    let mut query = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq(PointState::Sealed.as_str()))
        .order(restore_points::number.desc())
        .select(restore_points::number)
        .into_boxed();
    if let Some(by) = by {
        query = query.filter(restore_points::sealed_at.le(by.naive_utc()));
    }
    Ok(query.first::<u32>(conn).optional()?.map(PointNumber::new))
}

/// For each of these chains the newest point below the given one that is sealed, and was by a moment, by its place in
/// `asked`. Chains without one are left out. One statement, in which each is looked up by the key.
pub(super) fn newest_below(
    conn: &mut Conn,
    asked: &[(ChainId, PointNumber)],
    by: Option<DateTime<Utc>>,
) -> QueryResult<Vec<(usize, PointNumber)>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let sealed = PointState::Sealed.as_str();
    let by = by.map(|by| format!("AND sealed_at<='{}'", by.naive_utc().format("%Y-%m-%d %H:%M:%S%.6f")));
    let by = by.unwrap_or_default();
    let one = |(place, (chain, below)): (usize, &(ChainId, PointNumber))| format!("({place},{chain},{below})");
    let asked = asked.iter().enumerate().map(one).collect::<Vec<_>>().join(",");
    let text = format!(
        "WITH asked (place, chain, below) AS (VALUES {asked}) SELECT CAST(place AS UNSIGNED), (SELECT number \
         FROM restore_points FORCE INDEX (PRIMARY) WHERE chain_id=asked.chain AND number<asked.below \
         AND state='{sealed}' {by} ORDER BY number DESC LIMIT 1) FROM asked"
    );
    let found: Vec<(u64, Option<u32>)> = sql::<(Unsigned<BigInt>, Nullable<Unsigned<Integer>>)>(&text).load(conn)?;
    let point = |(place, number): (u64, Option<u32>)| Some((place as usize, PointNumber::new(number?)));
    Ok(found.into_iter().filter_map(point).collect())
}

pub(super) fn insert_point(
    conn: &mut Conn,
    chain: ChainId,
    number: PointNumber,
    n_items: u64,
    run: Option<RunId>,
    task: TaskId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(restore_points::table)
        .values((
            restore_points::chain_id.eq(chain.get()),
            restore_points::number.eq(number.get()),
            restore_points::state.eq(PointState::Open.as_str()),
            restore_points::run_id.eq(run.map(RunId::get)),
            restore_points::task_id.eq(Some(task.get())),
            restore_points::started_at.eq(now.naive_utc()),
            restore_points::n_items.eq(n_items),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn add_counts(conn: &mut Conn, chain: ChainId, point: PointNumber, counts: &PointCounts) -> QueryResult<()> {
    let target = restore_points::table.find((chain.get(), point.get()));
    diesel::update(target)
        .set((
            // Adds first: the column is unsigned, and a subtraction must not pass below zero on its way.
            restore_points::n_items.eq(restore_points::n_items + counts.added - counts.removed),
            restore_points::n_added.eq(restore_points::n_added + counts.added),
            restore_points::n_changed.eq(restore_points::n_changed + counts.changed),
            restore_points::n_removed.eq(restore_points::n_removed + counts.removed),
            restore_points::bytes_read.eq(restore_points::bytes_read + counts.bytes_read),
            restore_points::bytes_stored.eq(restore_points::bytes_stored + counts.bytes_stored),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn seal_point(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    n_issues: u64,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(restore_points::table.find((chain.get(), point.get())))
        .filter(restore_points::state.eq(PointState::Open.as_str()))
        .set((
            restore_points::state.eq(PointState::Sealed.as_str()),
            restore_points::sealed_at.eq(Some(now.naive_utc())),
            restore_points::n_issues.eq(n_issues),
        ))
        .execute(conn)
}

pub(super) fn points(conn: &mut Conn, chain: ChainId, before: PointNumber, limit: u32) -> QueryResult<Vec<PointRow>> {
    let records: Vec<PointRecord> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.lt(before.get()))
        .order(restore_points::number.desc())
        .limit(limit.into())
        .select(PointRecord::as_select())
        .load(conn)?;
    records.into_iter().map(PointRecord::into_row).collect()
}

pub(super) fn point(conn: &mut Conn, chain: ChainId, number: PointNumber) -> QueryResult<Option<PointRow>> {
    restore_points::table
        .find((chain.get(), number.get()))
        .select(PointRecord::as_select())
        .first(conn)
        .optional()?
        .map(PointRecord::into_row)
        .transpose()
}

/// The open point is told anew by the storage.
pub(in crate::catalog) fn put_aside(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    let points = restore_points::table.filter(restore_points::chain_id.eq(chain.get()));
    diesel::update(points.filter(restore_points::state.eq(PointState::Sealed.as_str())))
        .set(restore_points::state.eq(PointState::Aside.as_str()))
        .execute(conn)?;
    diesel::delete(points.filter(restore_points::state.eq("open"))).execute(conn).map(drop)
}

pub(in crate::catalog) fn aside(conn: &mut Conn, chain: ChainId) -> QueryResult<Vec<PointRow>> {
    let records: Vec<PointRecord> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()).and(restore_points::state.eq(PointState::Aside.as_str())))
        .order(restore_points::number)
        .select(PointRecord::as_select())
        .load(conn)?;
    let sealed = |record: PointRecord| Ok(PointRow { state: PointState::Sealed, ..record.into_row()? });
    records.into_iter().map(sealed).collect()
}

pub(in crate::catalog) fn delete_points(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    diesel::delete(restore_points::table.filter(restore_points::chain_id.eq(chain.get()))).execute(conn).map(drop)
}

pub(in crate::catalog) fn insert_points(conn: &mut Conn, chain: ChainId, rows: &[PointRow]) -> QueryResult<()> {
    let row = |row: &PointRow| {
        (
            restore_points::chain_id.eq(chain.get()),
            restore_points::number.eq(row.number.get()),
            restore_points::state.eq(row.state.as_str()),
            restore_points::run_id.eq(row.run.map(RunId::get)),
            restore_points::started_at.eq(row.started_at.naive_utc()),
            restore_points::sealed_at.eq(row.sealed_at.map(|at| at.naive_utc())),
            (restore_points::n_items.eq(row.n_items), restore_points::n_issues.eq(row.n_issues)),
            (restore_points::n_added.eq(row.counts.added), restore_points::n_changed.eq(row.counts.changed)),
            (restore_points::n_removed.eq(row.counts.removed), restore_points::bytes_read.eq(row.counts.bytes_read)),
            restore_points::bytes_stored.eq(row.counts.bytes_stored),
        )
    };
    diesel::insert_into(restore_points::table).values(rows.iter().map(row).collect::<Vec<_>>()).execute(conn).map(drop)
}

/// Chains of all storages with points in a state, in the order of their ids.
pub(super) fn chains_with(conn: &mut Conn, state: PointState, after: ChainId, limit: u32) -> QueryResult<Vec<ChainId>> {
    let found: Vec<u32> = restore_points::table
        .filter(restore_points::state.eq(state.as_str()))
        .filter(restore_points::chain_id.gt(after.get()))
        .order(restore_points::chain_id)
        .select(restore_points::chain_id)
        .distinct()
        .limit(limit.into())
        .load(conn)?;
    Ok(found.into_iter().map(ChainId::new).collect())
}

pub(super) fn sealed(
    conn: &mut Conn,
    chain: ChainId,
    before: PointNumber,
    limit: u32,
) -> QueryResult<Vec<(PointNumber, DateTime<Utc>)>> {
    let rows: Vec<(u32, Option<NaiveDateTime>)> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.lt(before.get()))
        .filter(restore_points::state.eq(PointState::Sealed.as_str()))
        .order(restore_points::number.desc())
        .limit(limit.into())
        .select((restore_points::number, restore_points::sealed_at))
        .load(conn)?;
    let unsealed =
        || diesel::result::Error::DeserializationError("a sealed restore point does not say since when".into());
    let point =
        |(number, at): (u32, Option<NaiveDateTime>)| Ok((PointNumber::new(number), at.ok_or_else(unsealed)?.and_utc()));
    rows.into_iter().map(point).collect()
}

pub(super) fn sealed_by(conn: &mut Conn, chain: ChainId, at: DateTime<Utc>) -> QueryResult<Option<PointNumber>> {
    let number: Option<u32> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq(PointState::Sealed.as_str()))
        .filter(restore_points::sealed_at.le(at.naive_utc()))
        .order(restore_points::number.desc())
        .select(restore_points::number)
        .first(conn)
        .optional()?;
    Ok(number.map(PointNumber::new))
}

pub(super) fn in_state(
    conn: &mut Conn,
    chain: ChainId,
    state: PointState,
    limit: u32,
) -> QueryResult<Vec<PointNumber>> {
    let numbers: Vec<u32> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq(state.as_str()))
        .order(restore_points::number)
        .limit(limit.into())
        .select(restore_points::number)
        .load(conn)?;
    Ok(numbers.into_iter().map(PointNumber::new).collect())
}

pub(super) fn states(
    conn: &mut Conn,
    chain: ChainId,
    after: PointNumber,
    limit: u32,
) -> QueryResult<Vec<(PointNumber, PointState)>> {
    let rows: Vec<(u32, String)> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.gt(after.get()))
        .order(restore_points::number)
        .limit(limit.into())
        .select((restore_points::number, restore_points::state))
        .load(conn)?;
    rows.into_iter().map(|(number, text)| Ok((PointNumber::new(number), state(&text)?))).collect()
}

pub(super) fn lock_points(
    conn: &mut Conn,
    chain: ChainId,
    numbers: &[u32],
) -> QueryResult<Vec<(PointNumber, PointState)>> {
    let rows: Vec<(u32, String)> = restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.eq_any(numbers))
        .order(restore_points::number)
        .select((restore_points::number, restore_points::state))
        .for_update()
        .load(conn)?;
    rows.into_iter().map(|(number, text)| Ok((PointNumber::new(number), state(&text)?))).collect()
}

pub(super) fn give_up(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<usize> {
    diesel::update(restore_points::table.find((chain.get(), point.get())))
        .filter(restore_points::state.eq(PointState::Sealed.as_str()))
        .set(restore_points::state.eq(PointState::GivenUp.as_str()))
        .execute(conn)
}

pub(super) fn expire(conn: &mut Conn, chain: ChainId, numbers: &[u32]) -> QueryResult<usize> {
    let given_up = [PointState::Sealed.as_str(), PointState::GivenUp.as_str()];
    diesel::update(restore_points::table)
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.eq_any(numbers))
        .filter(restore_points::state.eq_any(given_up))
        .set(restore_points::state.eq(PointState::Expiring.as_str()))
        .execute(conn)
}

pub(super) fn delete_expiring(conn: &mut Conn, chain: ChainId, gap: &Gap) -> QueryResult<usize> {
    diesel::delete(restore_points::table)
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::number.gt(gap.after.get()))
        .filter(restore_points::number.lt(gap.until.get()))
        .filter(restore_points::state.eq(PointState::Expiring.as_str()))
        .execute(conn)
}
