//! Tables `chains` and `restore_points`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::{Chain, ChainKey, PointCounts, PointRow};
use crate::db::schema::{chains, restore_points};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, FeatureName, PointNumber, ResourceId, RunId, StorageId, TaskId};

#[derive(Queryable, Selectable)]
#[diesel(table_name = chains)]
struct ChainRecord {
    id: u32,
    resource_id: u32,
    feature: String,
    storage_id: u32,
    state: String,
    state_detail: Option<String>,
    last_point: u32,
    sealed_at: Option<NaiveDateTime>,
}

impl ChainRecord {
    fn into_chain(self) -> QueryResult<Chain> {
        let feature: FeatureName =
            self.feature.parse().map_err(|err| diesel::result::Error::DeserializationError(Box::new(err)))?;
        let key =
            ChainKey { resource: ResourceId::new(self.resource_id), feature, storage: StorageId::new(self.storage_id) };
        Ok(Chain {
            id: ChainId::new(self.id),
            key,
            state: self.state,
            state_detail: self.state_detail,
            last_point: self.last_point,
            sealed_at: self.sealed_at.map(|at| at.and_utc()),
        })
    }
}

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

impl From<PointRecord> for PointRow {
    fn from(record: PointRecord) -> Self {
        let counts = PointCounts {
            added: record.n_added,
            changed: record.n_changed,
            removed: record.n_removed,
            bytes_read: record.bytes_read,
            bytes_stored: record.bytes_stored,
        };
        Self {
            chain: ChainId::new(record.chain_id),
            number: PointNumber::new(record.number),
            sealed: record.state == "sealed",
            run: record.run_id.map(RunId::new),
            started_at: record.started_at.and_utc(),
            sealed_at: record.sealed_at.map(|at| at.and_utc()),
            n_items: record.n_items,
            n_issues: record.n_issues,
            counts,
        }
    }
}

pub(super) fn insert_chain(conn: &mut Conn, key: &ChainKey, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_or_ignore_into(chains::table)
        .values((
            chains::resource_id.eq(key.resource.get()),
            chains::feature.eq(key.feature.as_str()),
            chains::storage_id.eq(key.storage.get()),
            chains::state.eq("unprotected"),
            chains::created_at.eq(now.naive_utc()),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn chain_by_key(conn: &mut Conn, key: &ChainKey) -> QueryResult<Chain> {
    chains::table
        .filter(chains::resource_id.eq(key.resource.get()))
        .filter(chains::feature.eq(key.feature.as_str()))
        .filter(chains::storage_id.eq(key.storage.get()))
        .select(ChainRecord::as_select())
        .first(conn)?
        .into_chain()
}

pub(super) fn chain_by_id(conn: &mut Conn, id: ChainId) -> QueryResult<Option<Chain>> {
    let record = chains::table.find(id.get()).select(ChainRecord::as_select()).first(conn).optional()?;
    record.map(ChainRecord::into_chain).transpose()
}

pub(super) fn chains(
    conn: &mut Conn,
    resource: Option<ResourceId>,
    storage: Option<StorageId>,
    after: ChainId,
    limit: u32,
) -> QueryResult<Vec<Chain>> {
    let mut query = chains::table.filter(chains::id.gt(after.get())).into_boxed();
    if let Some(storage) = storage {
        query = query.filter(chains::storage_id.eq(storage.get()));
    }
    if let Some(resource) = resource {
        query = query.filter(chains::resource_id.eq(resource.get()));
    }
    let records: Vec<ChainRecord> =
        query.order(chains::id).limit(limit.into()).select(ChainRecord::as_select()).load(conn)?;
    records.into_iter().map(ChainRecord::into_chain).collect()
}

pub(super) fn set_protected(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(chains::table.find(chain.get()))
        .set((
            chains::state.eq("protected"),
            chains::state_detail.eq(None::<String>),
            chains::last_point.eq(point.get()),
            chains::sealed_at.eq(Some(now.naive_utc())),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn set_not_applicable(conn: &mut Conn, chain: ChainId, reason: &str) -> QueryResult<()> {
    diesel::update(chains::table.find(chain.get()))
        .set((chains::state.eq("not_applicable"), chains::state_detail.eq(Some(reason))))
        .execute(conn)
        .map(drop)
}

pub(super) fn open_point(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<PointNumber>> {
    restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq("open"))
        .select(restore_points::number)
        .first::<u32>(conn)
        .optional()
        .map(|number| number.map(PointNumber::new))
}

pub(super) fn last_sealed(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<PointRow>> {
    restore_points::table
        .filter(restore_points::chain_id.eq(chain.get()))
        .filter(restore_points::state.eq("sealed"))
        .order(restore_points::number.desc())
        .select(PointRecord::as_select())
        .first(conn)
        .optional()
        .map(|record| record.map(PointRow::from))
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
            restore_points::state.eq("open"),
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
        .filter(restore_points::state.eq("open"))
        .set((
            restore_points::state.eq("sealed"),
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
    Ok(records.into_iter().map(PointRow::from).collect())
}

pub(super) fn point(conn: &mut Conn, chain: ChainId, number: PointNumber) -> QueryResult<Option<PointRow>> {
    restore_points::table
        .find((chain.get(), number.get()))
        .select(PointRecord::as_select())
        .first(conn)
        .optional()
        .map(|record: Option<PointRecord>| record.map(PointRow::from))
}

pub(super) fn counts_by_state(conn: &mut Conn) -> QueryResult<Vec<(String, u64)>> {
    let rows: Vec<(String, i64)> =
        chains::table.group_by(chains::state).select((chains::state, diesel::dsl::count_star())).load(conn)?;
    Ok(rows.into_iter().map(|(state, n)| (state, n.unsigned_abs())).collect())
}
