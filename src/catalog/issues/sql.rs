//! Table `issues`.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::prelude::*;

use super::{ItemIssue, OpenIssue, next_point};
use crate::catalog::fit;
use crate::catalog::rebuild::RebuiltIssue;
use crate::db::schema::issues;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber};

#[derive(Queryable, Selectable)]
#[diesel(table_name = issues)]
struct IssueRecord {
    item_key: Vec<u8>,
    container_id: u32,
    graph_id: String,
    name: String,
    reason: String,
    skipped: bool,
    message: String,
    attempts: u32,
    next_point: u32,
    first_at: NaiveDateTime,
    last_at: NaiveDateTime,
}

pub(super) fn put(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    key: ItemKey,
    issue: &ItemIssue,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (reason, message) = (fit(&issue.reason, 64), fit(&issue.message, 1000));
    let row = issues::table.find((chain.get(), key.as_bytes().to_vec()));
    let known: Option<(u32, u32)> = row.select((issues::attempts, issues::last_point)).first(conn).optional()?;
    // Both a walk and a retry may have met it: that is one attempt.
    let attempts = known.map_or(1, |(before, last)| if last < point.get() { before.saturating_add(1) } else { before });
    let next = next_point(point, attempts, issue.skipped).get();
    let row = issues::table.find((chain.get(), key.as_bytes().to_vec()));
    let again = diesel::update(row)
        .set((
            issues::container_id.eq(issue.container.get()),
            issues::graph_id.eq(&issue.graph_id),
            (issues::reason.eq(&reason), issues::skipped.eq(issue.skipped)),
            issues::message.eq(&message),
            issues::attempts.eq(attempts),
            (issues::last_point.eq(point.get()), issues::next_point.eq(next)),
            issues::last_at.eq(now.naive_utc()),
        ))
        .execute(conn)?;
    if again > 0 {
        return Ok(());
    }
    diesel::insert_into(issues::table)
        .values((
            issues::chain_id.eq(chain.get()),
            issues::item_key.eq(key.as_bytes().to_vec()),
            issues::container_id.eq(issue.container.get()),
            issues::graph_id.eq(&issue.graph_id),
            issues::name.eq(fit(&issue.name, 255)),
            (issues::reason.eq(&reason), issues::skipped.eq(issue.skipped)),
            (issues::message.eq(&message), issues::attempts.eq(1)),
            (issues::first_point.eq(point.get()), issues::last_point.eq(point.get()), issues::next_point.eq(next)),
            (issues::first_at.eq(now.naive_utc()), issues::last_at.eq(now.naive_utc())),
        ))
        .execute(conn)
        .map(drop)
}

/// Whether the issue of an item knows its Graph id; `None`: the item has no issue.
pub(super) fn is_named(conn: &mut Conn, chain: ChainId, key: ItemKey) -> QueryResult<Option<bool>> {
    issues::table.find((chain.get(), key.as_bytes().to_vec())).select(issues::graph_id.ne("")).first(conn).optional()
}

pub(in crate::catalog) fn insert_rebuilt(conn: &mut Conn, chain: ChainId, rebuilt: &RebuiltIssue) -> QueryResult<()> {
    let (open, first, last) = rebuilt;
    put(conn, chain, *first, open.key, &open.issue, open.first_at)?;
    diesel::update(issues::table.find((chain.get(), open.key.as_bytes().to_vec())))
        .set((
            issues::attempts.eq(open.attempts),
            (issues::last_point.eq(last.get()), issues::next_point.eq(open.next_point.get())),
            issues::last_at.eq(open.last_at.naive_utc()),
        ))
        .execute(conn)
        .map(drop)
}

pub(in crate::catalog) fn delete_of(conn: &mut Conn, chain: ChainId) -> QueryResult<()> {
    diesel::delete(issues::table.filter(issues::chain_id.eq(chain.get()))).execute(conn).map(drop)
}

pub(super) fn delete(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<()> {
    diesel::delete(issues::table)
        .filter(issues::chain_id.eq(chain.get()))
        .filter(issues::item_key.eq_any(keys.iter().map(|key| key.as_bytes().as_slice())))
        .execute(conn)
        .map(drop)
}

/// Open issues whose items are asked for again by the backup of `next_max` or an earlier one.
pub(super) fn list(
    conn: &mut Conn,
    chain: ChainId,
    next_max: PointNumber,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OpenIssue>> {
    let mut query = issues::table
        .filter(issues::chain_id.eq(chain.get()))
        .filter(issues::next_point.le(next_max.get()))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(issues::item_key.gt(after.as_bytes().to_vec()));
    }
    let records: Vec<IssueRecord> =
        query.order(issues::item_key).limit(limit.into()).select(IssueRecord::as_select()).load(conn)?;
    let malformed = || diesel::result::Error::DeserializationError("an item key is not 16 bytes long".into());
    let open = |record: IssueRecord| {
        Ok(OpenIssue {
            key: ItemKey::from_slice(&record.item_key).ok_or_else(malformed)?,
            issue: ItemIssue {
                graph_id: record.graph_id,
                container: ContainerId::new(record.container_id),
                name: record.name,
                reason: record.reason,
                skipped: record.skipped,
                message: record.message,
            },
            attempts: record.attempts,
            first_at: record.first_at.and_utc(),
            last_at: record.last_at.and_utc(),
            next_point: PointNumber::new(record.next_point),
        })
    };
    records.into_iter().map(open).collect()
}

pub(super) fn delete_in(conn: &mut Conn, chain: ChainId, container: ContainerId) -> QueryResult<()> {
    diesel::delete(issues::table)
        .filter(issues::chain_id.eq(chain.get()))
        .filter(issues::container_id.eq(container.get()))
        .execute(conn)
        .map(drop)
}

pub(super) fn ask_again(conn: &mut Conn, chain: ChainId, key: Option<ItemKey>) -> QueryResult<usize> {
    let mut rows = diesel::update(issues::table.filter(issues::chain_id.eq(chain.get()))).into_boxed();
    if let Some(key) = key {
        rows = rows.filter(issues::item_key.eq(key.as_bytes().to_vec()));
    }
    rows.set(issues::next_point.eq(0)).execute(conn)
}

pub(super) fn counts_of(conn: &mut Conn, chains: &[ChainId]) -> QueryResult<Vec<(ChainId, bool, u64)>> {
    let rows: Vec<(u32, bool, i64)> = issues::table
        .filter(issues::chain_id.eq_any(chains.iter().map(|chain| chain.get())))
        .group_by((issues::chain_id, issues::skipped))
        .select((issues::chain_id, issues::skipped, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(chain, skipped, n)| (ChainId::new(chain), skipped, n.unsigned_abs())).collect())
}

pub(super) fn counts_by_container(conn: &mut Conn, chain: ChainId) -> QueryResult<Vec<(ContainerId, u64)>> {
    let rows: Vec<(u32, i64)> = issues::table
        .filter(issues::chain_id.eq(chain.get()))
        .group_by(issues::container_id)
        .select((issues::container_id, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(container, n)| (ContainerId::new(container), n.unsigned_abs())).collect())
}

pub(super) fn chains_with_any(conn: &mut Conn) -> QueryResult<u64> {
    let n: i64 = issues::table.select(diesel::dsl::count(issues::chain_id).aggregate_distinct()).first(conn)?;
    Ok(n.unsigned_abs())
}

pub(super) fn count(conn: &mut Conn, chain: ChainId) -> QueryResult<u64> {
    let count: i64 = issues::table.filter(issues::chain_id.eq(chain.get())).count().get_result(conn)?;
    Ok(count.unsigned_abs())
}

pub(super) fn total(conn: &mut Conn) -> QueryResult<u64> {
    let count: i64 = issues::table.count().get_result(conn)?;
    Ok(count.unsigned_abs())
}

pub(super) fn containers_among(
    conn: &mut Conn,
    chain: ChainId,
    containers: &[ContainerId],
) -> QueryResult<Vec<ContainerId>> {
    let found: Vec<u32> = issues::table
        .filter(issues::chain_id.eq(chain.get()))
        .filter(issues::container_id.eq_any(containers.iter().map(|id| id.get())))
        .select(issues::container_id)
        .distinct()
        .load(conn)?;
    Ok(found.into_iter().map(ContainerId::new).collect())
}
