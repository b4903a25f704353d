//! Tables `rehearsals`, `rehearsal_scores` and `rehearsal_differences`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use super::{Compared, Difference, NewRehearsal, Rehearsal, Score};
use crate::db::schema::{rehearsal_differences, rehearsal_scores, rehearsals};
use crate::db::{Conn, QueryResult};
use crate::ids::{
    ChainId, FeatureName, ItemKey, OrganizationId, PointNumber, RehearsalId, ResourceId, RestoreId, TaskId,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = rehearsals)]
struct RehearsalRecord {
    id: u64,
    organization_id: u32,
    sandbox_resource: u32,
    seed: u64,
    per_feature: u32,
    restore_id: u64,
    task_id: u64,
    cancel_requested: bool,
    requested_by: String,
    created_at: NaiveDateTime,
    finished_at: Option<NaiveDateTime>,
}

impl From<RehearsalRecord> for Rehearsal {
    fn from(row: RehearsalRecord) -> Self {
        Self {
            id: RehearsalId::new(row.id),
            organization: OrganizationId::new(row.organization_id),
            sandbox: ResourceId::new(row.sandbox_resource),
            seed: row.seed,
            per_feature: row.per_feature,
            restore: RestoreId::new(row.restore_id),
            task: TaskId::new(row.task_id),
            cancel_requested: row.cancel_requested,
            requested_by: row.requested_by,
            created_at: row.created_at.and_utc(),
            finished_at: row.finished_at.map(|at| at.and_utc()),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = rehearsal_scores)]
struct ScoreRecord {
    chain_id: u32,
    point: u32,
    feature: String,
    n_sampled: u32,
    n_compared: u32,
    n_missing: u32,
    n_left_out: u32,
    n_fields: u64,
    n_back: u64,
    remark: Option<String>,
    compared_at: Option<NaiveDateTime>,
    stays: Option<String>,
    cleared_at: Option<NaiveDateTime>,
}

impl ScoreRecord {
    fn into_score(self) -> QueryResult<Score> {
        let feature: FeatureName =
            self.feature.parse().map_err(|err| diesel::result::Error::DeserializationError(Box::new(err)))?;
        let compared = Compared {
            n_compared: self.n_compared,
            n_missing: self.n_missing,
            n_left_out: self.n_left_out,
            n_fields: self.n_fields,
            n_back: self.n_back,
            remark: self.remark,
        };
        Ok(Score {
            chain: ChainId::new(self.chain_id),
            point: PointNumber::new(self.point),
            feature,
            n_sampled: self.n_sampled,
            compared: self.compared_at.map(|_| compared),
            stays: self.stays,
            is_cleared: self.cleared_at.is_some(),
        })
    }
}

pub(super) fn insert(conn: &mut Conn, new: &NewRehearsal, now: DateTime<Utc>) -> QueryResult<RehearsalId> {
    diesel::insert_into(rehearsals::table)
        .values((
            rehearsals::organization_id.eq(new.organization.get()),
            rehearsals::sandbox_resource.eq(new.sandbox.get()),
            rehearsals::seed.eq(new.seed),
            rehearsals::per_feature.eq(new.per_feature),
            rehearsals::restore_id.eq(0_u64),
            rehearsals::task_id.eq(0_u64),
            rehearsals::requested_by.eq(&new.requested_by),
            rehearsals::created_at.eq(now.naive_utc()),
        ))
        .execute(conn)?;
    // diesel's mysql backend has no RETURNING; the value belongs to this connection.
    diesel::select(sql::<Unsigned<BigInt>>("LAST_INSERT_ID()")).get_result::<u64>(conn).map(RehearsalId::new)
}

pub(super) fn set_work(conn: &mut Conn, id: RehearsalId, restore: RestoreId, task: TaskId) -> QueryResult<()> {
    diesel::update(rehearsals::table.find(id.get()))
        .set((rehearsals::restore_id.eq(restore.get()), rehearsals::task_id.eq(task.get())))
        .execute(conn)
        .map(drop)
}

pub(super) fn find(conn: &mut Conn, id: RehearsalId) -> QueryResult<Option<Rehearsal>> {
    let row = rehearsals::table.find(id.get()).select(RehearsalRecord::as_select()).first(conn).optional()?;
    Ok(row.map(Rehearsal::from))
}

pub(super) fn of_restore(conn: &mut Conn, restore: RestoreId) -> QueryResult<Option<RehearsalId>> {
    let row = rehearsals::table.filter(rehearsals::restore_id.eq(restore.get())).select(rehearsals::id);
    Ok(row.first::<u64>(conn).optional()?.map(RehearsalId::new))
}

pub(super) fn list(
    conn: &mut Conn,
    organization: Option<OrganizationId>,
    before: Option<RehearsalId>,
    limit: u32,
) -> QueryResult<Vec<Rehearsal>> {
    let before = before.map_or(u64::MAX, RehearsalId::get);
    let mut query = rehearsals::table.filter(rehearsals::id.lt(before)).into_boxed();
    if let Some(organization) = organization {
        query = query.filter(rehearsals::organization_id.eq(organization.get()));
    }
    let page = query.order(rehearsals::id.desc()).limit(limit.into()).select(RehearsalRecord::as_select());
    Ok(page.load::<RehearsalRecord>(conn)?.into_iter().map(Rehearsal::from).collect())
}

pub(super) fn newest_finished(conn: &mut Conn) -> QueryResult<Option<Rehearsal>> {
    let row = rehearsals::table
        .filter(rehearsals::finished_at.is_not_null().and(rehearsals::cancel_requested.eq(false)))
        .order(rehearsals::id.desc())
        .select(RehearsalRecord::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Rehearsal::from))
}

pub(super) fn request_cancel(conn: &mut Conn, id: RehearsalId) -> QueryResult<()> {
    let unfinished = rehearsals::table.find(id.get()).filter(rehearsals::finished_at.is_null());
    diesel::update(unfinished).set(rehearsals::cancel_requested.eq(true)).execute(conn).map(drop)
}

pub(super) fn finish(conn: &mut Conn, id: RehearsalId, now: DateTime<Utc>) -> QueryResult<()> {
    let row = rehearsals::table.find(id.get());
    diesel::update(row).set(rehearsals::finished_at.eq(Some(now.naive_utc()))).execute(conn).map(drop)
}

pub(super) fn insert_score(
    conn: &mut Conn,
    id: RehearsalId,
    (chain, point): (ChainId, PointNumber),
    feature: &FeatureName,
    n_sampled: u32,
) -> QueryResult<()> {
    diesel::insert_into(rehearsal_scores::table)
        .values((
            rehearsal_scores::rehearsal_id.eq(id.get()),
            rehearsal_scores::chain_id.eq(chain.get()),
            rehearsal_scores::point.eq(point.get()),
            rehearsal_scores::feature.eq(feature.as_str()),
            rehearsal_scores::n_sampled.eq(n_sampled),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn scores(conn: &mut Conn, id: RehearsalId) -> QueryResult<Vec<Score>> {
    let rows: Vec<ScoreRecord> = rehearsal_scores::table
        .filter(rehearsal_scores::rehearsal_id.eq(id.get()))
        .order(rehearsal_scores::chain_id)
        .select(ScoreRecord::as_select())
        .load(conn)?;
    rows.into_iter().map(ScoreRecord::into_score).collect()
}

pub(super) fn set_compared(
    conn: &mut Conn,
    id: RehearsalId,
    chain: ChainId,
    compared: &Compared,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(rehearsal_scores::table.find((id.get(), chain.get())))
        .set((
            rehearsal_scores::n_compared.eq(compared.n_compared),
            rehearsal_scores::n_missing.eq(compared.n_missing),
            rehearsal_scores::n_left_out.eq(compared.n_left_out),
            rehearsal_scores::n_fields.eq(compared.n_fields),
            rehearsal_scores::n_back.eq(compared.n_back),
            rehearsal_scores::remark.eq(compared.remark.as_deref()),
            rehearsal_scores::compared_at.eq(Some(now.naive_utc())),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn set_cleared(
    conn: &mut Conn,
    id: RehearsalId,
    chain: ChainId,
    stays: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(rehearsal_scores::table.find((id.get(), chain.get())))
        .set((rehearsal_scores::stays.eq(stays), rehearsal_scores::cleared_at.eq(Some(now.naive_utc()))))
        .execute(conn)
        .map(drop)
}

fn differences_of(id: RehearsalId) -> rehearsal_differences::BoxedQuery<'static, diesel::mysql::Mysql> {
    rehearsal_differences::table.filter(rehearsal_differences::rehearsal_id.eq(id.get())).into_boxed()
}

pub(super) fn count_differences(conn: &mut Conn, id: RehearsalId) -> QueryResult<i64> {
    differences_of(id).count().get_result(conn)
}

pub(super) fn delete_differences(conn: &mut Conn, id: RehearsalId, chain: ChainId) -> QueryResult<()> {
    let of_part = rehearsal_differences::rehearsal_id.eq(id.get()).and(rehearsal_differences::chain_id.eq(chain.get()));
    diesel::delete(rehearsal_differences::table.filter(of_part)).execute(conn).map(drop)
}

pub(super) fn insert_differences(conn: &mut Conn, id: RehearsalId, differences: &[Difference]) -> QueryResult<()> {
    let row = |difference: &Difference| {
        (
            rehearsal_differences::rehearsal_id.eq(id.get()),
            rehearsal_differences::chain_id.eq(difference.chain.get()),
            rehearsal_differences::item_key.eq(difference.key.as_bytes().to_vec()),
            rehearsal_differences::field.eq(crate::catalog::fit(&difference.field, 190)),
            rehearsal_differences::part.eq(crate::catalog::fit(&difference.part, 190)),
        )
    };
    let rows: Vec<_> = differences.iter().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(rehearsal_differences::table).values(rows).execute(conn).map(drop)
}

pub(super) fn differences(
    conn: &mut Conn,
    id: RehearsalId,
    after: u64,
    limit: u32,
) -> QueryResult<Vec<(u64, Difference)>> {
    let rows: Vec<(u64, u32, Vec<u8>, String, String)> = differences_of(id)
        .filter(rehearsal_differences::id.gt(after))
        .order(rehearsal_differences::id)
        .limit(limit.into())
        .select((
            rehearsal_differences::id,
            rehearsal_differences::chain_id,
            rehearsal_differences::item_key,
            rehearsal_differences::field,
            rehearsal_differences::part,
        ))
        .load(conn)?;
    let difference = |(id, chain, key, field, part): (u64, u32, Vec<u8>, String, String)| {
        let key = ItemKey::from_slice(&key)?;
        Some((id, Difference { chain: ChainId::new(chain), key, field, part }))
    };
    Ok(rows.into_iter().filter_map(difference).collect())
}
