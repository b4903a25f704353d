//! What a container holds, in the order of the index that listings walk.

use std::cmp::Reverse;

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::scanning::numbered;
use super::{VersionRecord, item_key, parent, parent_key, raw};
use crate::catalog::BATCH_ROWS;
use crate::catalog::items::{After, Held, VersionRow, Within};
use crate::catalog::tallies::Holding;
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber, VersionNumber, WalkNumber};

/// Versions in a container, parent by parent and newest first, behind `after`.
///
/// Chain and container are given as ranges of one: for equalities MariaDB looks up just these two columns of the index
/// and walks it from the newest item down to the page, so that the pages of a large folder get slower and slower. With
/// ranges it begins at the page. The order names both, because only then is it that of the index.
fn newest_first(
    chain: ChainId,
    container: ContainerId,
    after: Option<After>,
) -> item_versions::BoxedQuery<'static, Mysql> {
    let query = item_versions::table
        .filter(item_versions::chain_id.ge(chain.get()).and(item_versions::chain_id.le(chain.get())))
        .filter(item_versions::container_id.ge(container.get()).and(item_versions::container_id.le(container.get())))
        .order((
            item_versions::chain_id.desc(),
            item_versions::container_id.desc(),
            item_versions::parent_key.desc(),
            item_versions::item_time.desc(),
            item_versions::version_number.desc(),
        ))
        .into_boxed();
    let Some(After { parent, time, number }) = after else { return query };
    let (parent, time) = (parent_key(parent), time.naive_utc());
    let before = item_versions::item_time.eq(time).and(item_versions::version_number.lt(number.get()));
    let earlier = item_versions::item_time.lt(time).or(before);
    query
        .filter(item_versions::parent_key.le(parent.clone()))
        .filter(item_versions::parent_key.lt(parent.clone()).or(item_versions::parent_key.eq(parent).and(earlier)))
}

/// Open versions in a container; with `unmet_by`, only those that this full walk has not met.
pub(in crate::catalog::items) fn open_in(
    conn: &mut Conn,
    chain: ChainId,
    container: ContainerId,
    unmet_by: Option<WalkNumber>,
    after: Option<After>,
    limit: u32,
) -> QueryResult<Vec<Held>> {
    let mut query = newest_first(chain, container, after).filter(item_versions::to_point.eq(PointNumber::OPEN.get()));
    if let Some(walk) = unmet_by {
        query = query.filter(item_versions::full_walk.ne(walk.get()));
    }
    let columns =
        (item_versions::item_key, item_versions::parent_key, item_versions::item_time, item_versions::version_number);
    let found: Vec<(Vec<u8>, Vec<u8>, NaiveDateTime, u32)> = query.limit(limit.into()).select(columns).load(conn)?;
    let held = |(key, held_by, time, number): (Vec<u8>, Vec<u8>, NaiveDateTime, u32)| {
        let at = After { parent: parent(&held_by)?, time: time.and_utc(), number: VersionNumber::new(number) };
        Ok(Held { key: item_key(&key)?, at })
    };
    found.into_iter().map(held).collect()
}

/// What a container, or a parent in it, holds as of a point.
fn held_at(
    chain: ChainId,
    point: PointNumber,
    (container, within): (ContainerId, Within),
    after: Option<After>,
) -> item_versions::BoxedQuery<'static, Mysql> {
    let mut query = newest_first(chain, container, after);
    if let Within::Parent(holder) = within {
        let holder = parent_key(holder);
        query = query.filter(item_versions::parent_key.ge(holder.clone())).filter(item_versions::parent_key.le(holder));
    }
    query.filter(item_versions::from_point.le(point.get())).filter(item_versions::to_point.gt(point.get()))
}

/// Which items are on the page is read from the index alone, which tells since and until when a version is valid; only
/// then their rows are read. A row that a sealed point holds stays as long as the point does, so none goes in between.
pub(in crate::catalog::items) fn browse(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    place: (ContainerId, Within),
    after: Option<After>,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    let page = held_at(chain, point, place, after).limit(limit.into()).select(item_versions::version_number);
    let numbers: Vec<u32> = page.load(conn)?;
    let mut rows = Vec::with_capacity(numbers.len());
    for numbers in numbers.chunks(BATCH_ROWS) {
        rows.extend(numbered(conn, chain, numbers)?);
    }
    rows.sort_by_cached_key(|row| Reverse((parent_key(row.version.parent), row.version.time, row.number)));
    Ok(rows)
}

pub(in crate::catalog::items) fn named(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    (container, parent): (ContainerId, Option<ItemKey>),
    name: &str,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    // The column's collation takes letters of either case, and accents, for equal.
    let found = held_at(chain, point, (container, Within::Parent(parent)), None)
        .filter(item_versions::name.eq(name.to_owned()))
        .limit(limit.into())
        .select(VersionRecord::as_select());
    found.load::<VersionRecord>(conn)?.into_iter().map(VersionRecord::into_row).collect()
}

pub(in crate::catalog::items) fn held_by(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    container: ContainerId,
    parents: &[ItemKey],
) -> QueryResult<Vec<(ItemKey, Holding)>> {
    // CAST, because MariaDB's SUM of integers is a DECIMAL, for which diesel has no type here.
    let sums = (item_versions::parent_key, sql::<BigInt>("COUNT(*)"), sql::<BigInt>("CAST(SUM(bytes) AS SIGNED)"));
    let found: Vec<(Vec<u8>, i64, i64)> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(item_versions::container_id.eq(container.get()))
        .filter(item_versions::parent_key.eq_any(raw(parents)))
        .filter(item_versions::from_point.le(point.get()))
        .filter(item_versions::to_point.gt(point.get()))
        .group_by(item_versions::parent_key)
        .select(sums)
        .load(conn)?;
    let holding = |(key, items, bytes): (Vec<u8>, i64, i64)| {
        let holding = Holding { items: items.max(0).unsigned_abs(), bytes: bytes.max(0).unsigned_abs() };
        Ok((item_key(&key)?, holding))
    };
    found.into_iter().map(holding).collect()
}
