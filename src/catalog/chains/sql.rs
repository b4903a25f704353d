//! Table `chains`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::{Chain, ChainKey};
use crate::catalog::rebuild::REBUILDING;
use crate::db::schema::chains;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, FeatureName, PointNumber, PolicyId, ResourceId, StorageId};

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
    policy_id: Option<u32>,
    options: String,
    unsearched: bool,
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
            policy: self.policy_id.map(PolicyId::new),
            options: self.options,
            unsearched: self.unsearched,
        })
    }
}

pub(super) fn insert(conn: &mut Conn, key: &ChainKey, now: DateTime<Utc>) -> QueryResult<()> {
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

pub(super) fn by_key(conn: &mut Conn, key: &ChainKey) -> QueryResult<Chain> {
    chains::table
        .filter(chains::resource_id.eq(key.resource.get()))
        .filter(chains::feature.eq(key.feature.as_str()))
        .filter(chains::storage_id.eq(key.storage.get()))
        .select(ChainRecord::as_select())
        .first(conn)?
        .into_chain()
}

pub(super) fn find(conn: &mut Conn, key: &ChainKey) -> QueryResult<Option<Chain>> {
    by_key(conn, key).optional()
}

pub(super) fn set_options(conn: &mut Conn, chain: ChainId, options: &str) -> QueryResult<bool> {
    let changed = diesel::update(chains::table.find(chain.get()).filter(chains::options.ne(options)))
        .set(chains::options.eq(options))
        .execute(conn)?;
    Ok(changed > 0)
}

pub(super) fn set_passed_over(conn: &mut Conn, chain: ChainId, json: &str) -> QueryResult<()> {
    diesel::update(chains::table.find(chain.get()).filter(chains::passed_over.ne(json)))
        .set(chains::passed_over.eq(json))
        .execute(conn)
        .map(drop)
}

pub(super) fn passed_over(conn: &mut Conn, chain: ChainId) -> QueryResult<String> {
    chains::table.find(chain.get()).select(chains::passed_over).first(conn)
}

/// As many as these resources have: features times storages for each.
pub(super) fn of_resources(conn: &mut Conn, resources: &[ResourceId]) -> QueryResult<Vec<Chain>> {
    let records: Vec<ChainRecord> = chains::table
        .filter(chains::resource_id.eq_any(resources.iter().map(|id| id.get())))
        .order(chains::id)
        .select(ChainRecord::as_select())
        .load(conn)?;
    records.into_iter().map(ChainRecord::into_chain).collect()
}

pub(in crate::catalog) fn by_id(conn: &mut Conn, id: ChainId) -> QueryResult<Option<Chain>> {
    let record = chains::table.find(id.get()).select(ChainRecord::as_select()).first(conn).optional()?;
    record.map(ChainRecord::into_chain).transpose()
}

/// Those of the chains that are of a storage, in the order of their ids.
pub(in crate::catalog) fn among(conn: &mut Conn, storage: StorageId, ids: &[ChainId]) -> QueryResult<Vec<ChainId>> {
    let ids: Vec<u32> = chains::table
        .filter(chains::id.eq_any(ids.iter().map(|id| id.get())).and(chains::storage_id.eq(storage.get())))
        .order(chains::id)
        .select(chains::id)
        .load(conn)?;
    Ok(ids.into_iter().map(ChainId::new).collect())
}

pub(super) fn list(
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

pub(in crate::catalog) fn set_protected(
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

pub(super) fn counts_by_state(conn: &mut Conn) -> QueryResult<Vec<(String, u64)>> {
    let rows: Vec<(String, i64)> =
        chains::table.group_by(chains::state).select((chains::state, diesel::dsl::count_star())).load(conn)?;
    Ok(rows.into_iter().map(|(state, n)| (state, n.unsigned_abs())).collect())
}

pub(super) fn last_points(conn: &mut Conn, ids: &[ChainId]) -> QueryResult<Vec<(ChainId, Option<PointNumber>)>> {
    let rows: Vec<(u32, u32)> = chains::table
        .filter(chains::id.eq_any(ids.iter().map(|id| id.get())))
        .select((chains::id, chains::last_point))
        .load(conn)?;
    let point = |last: u32| (last > 0).then(|| PointNumber::new(last));
    Ok(rows.into_iter().map(|(id, last)| (ChainId::new(id), point(last))).collect())
}

pub(super) fn n_unsearched(conn: &mut Conn) -> QueryResult<u64> {
    let n: i64 = chains::table.filter(chains::unsearched.eq(true)).count().get_result(conn)?;
    Ok(n.unsigned_abs())
}

pub(in crate::catalog) fn set_rebuilding(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    diesel::update(chains::table.find(chain.get()))
        .set((
            chains::state.eq(REBUILDING),
            chains::state_detail.eq(Some("its rebuild has not ended: run \"kodo rebuild-catalog\" again")),
        ))
        .execute(conn)
        .map(drop)
}

pub(in crate::catalog) fn rebuilding(conn: &mut Conn, storage: StorageId) -> QueryResult<Vec<ChainKey>> {
    let records: Vec<ChainRecord> = chains::table
        .filter(chains::storage_id.eq(storage.get()).and(chains::state.eq(REBUILDING)))
        .select(ChainRecord::as_select())
        .load(conn)?;
    records.into_iter().map(|record| Ok(record.into_chain()?.key)).collect()
}

/// Puts a chain into use again.
pub(in crate::catalog) fn set_rebuilt(
    conn: &mut Conn,
    chain: ChainId,
    last: Option<(PointNumber, Option<DateTime<Utc>>)>,
) -> QueryResult<()> {
    diesel::update(chains::table.find(chain.get()))
        .set((
            chains::state.eq(if last.is_some() { "protected" } else { "unprotected" }),
            chains::state_detail.eq(None::<String>),
            chains::last_point.eq(last.map_or(0, |(number, _)| number.get())),
            chains::sealed_at.eq(last.and_then(|(_, at)| at).map(|at| at.naive_utc())),
            chains::unsearched.eq(false),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn set_policy(conn: &mut Conn, chain: ChainId, policy: PolicyId) -> QueryResult<()> {
    let target = chains::table.find(chain.get());
    diesel::update(target).set(chains::policy_id.eq(Some(policy.get()))).execute(conn).map(drop)
}
