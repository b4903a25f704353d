//! The versions of a chain from the first to the last: in the order of their items' keys and points, or of their rows.

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use super::{VersionRecord, item_key};
use crate::catalog::BATCH_ROWS;
use crate::catalog::items::{Span, VersionRow};
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, PointNumber, VersionNumber};

/// The keys of versions behind `after`. The chain is given as a range of one, so that MariaDB begins at the page: see
/// `listing`. Only columns of the index are asked for, so that it is this index that is walked; the rows lie elsewhere.
fn behind(chain: ChainId, after: Option<(ItemKey, PointNumber)>) -> item_versions::BoxedQuery<'static, Mysql> {
    let query = item_versions::table
        .filter(item_versions::chain_id.ge(chain.get()).and(item_versions::chain_id.le(chain.get())))
        .order((item_versions::chain_id, item_versions::item_key, item_versions::from_point))
        .into_boxed();
    let Some((key, from)) = after else { return query };
    let key = key.as_bytes().to_vec();
    let later = item_versions::item_key.eq(key.clone()).and(item_versions::from_point.gt(from.get()));
    query.filter(item_versions::item_key.ge(key.clone())).filter(item_versions::item_key.gt(key).or(later))
}

/// The numbers of the versions of a page, in its order.
fn page(conn: &mut Conn, chain: ChainId, after: Option<(ItemKey, PointNumber)>, limit: u32) -> QueryResult<Vec<u32>> {
    behind(chain, after).limit(limit.into()).select(item_versions::version_number).load(conn)
}

fn numbered(chain: ChainId, numbers: &[u32]) -> item_versions::BoxedQuery<'_, Mysql> {
    item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(item_versions::version_number.eq_any(numbers))
        .into_boxed()
}

pub(in crate::catalog::items) fn scan(
    conn: &mut Conn,
    chain: ChainId,
    after: Option<(ItemKey, PointNumber)>,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    let mut rows = Vec::new();
    for batch in page(conn, chain, after, limit)?.chunks(BATCH_ROWS) {
        let records: Vec<VersionRecord> = numbered(chain, batch).select(VersionRecord::as_select()).load(conn)?;
        let found = records.into_iter().map(VersionRecord::into_row).collect::<QueryResult<Vec<_>>>()?;
        rows.extend(found);
    }
    rows.sort_unstable_by_key(|row| (row.version.key, row.from));
    Ok(rows)
}

/// The bytes of the references of the versions that [`scan`] would return.
pub(in crate::catalog::items) fn scan_bytes(
    conn: &mut Conn,
    chain: ChainId,
    after: Option<(ItemKey, PointNumber)>,
    limit: u32,
) -> QueryResult<Vec<u64>> {
    let mut all = Vec::new();
    for batch in page(conn, chain, after, limit)?.chunks(BATCH_ROWS) {
        let bytes = diesel::dsl::sql::<Unsigned<BigInt>>("CAST(COALESCE(LENGTH(refs), 0) AS UNSIGNED)");
        let found: Vec<(Vec<u8>, u32, u64)> =
            numbered(chain, batch).select((item_versions::item_key, item_versions::from_point, bytes)).load(conn)?;
        all.extend(found);
    }
    all.sort_unstable();
    Ok(all.into_iter().map(|(_, _, bytes)| bytes).collect())
}

/// In the order of the rows themselves, so that each is read once. The chain is a range of one here too.
pub(in crate::catalog::items) fn spans(
    conn: &mut Conn,
    chain: ChainId,
    after: VersionNumber,
    limit: u32,
) -> QueryResult<Vec<Span>> {
    let rows: Vec<(u32, Vec<u8>, u32, u32)> = item_versions::table
        .filter(item_versions::chain_id.ge(chain.get()).and(item_versions::chain_id.le(chain.get())))
        .filter(item_versions::version_number.gt(after.get()))
        .order((item_versions::chain_id, item_versions::version_number))
        .limit(limit.into())
        .select((
            item_versions::version_number,
            item_versions::item_key,
            item_versions::from_point,
            item_versions::to_point,
        ))
        .load(conn)?;
    let span = |(number, key, from, to): (u32, Vec<u8>, u32, u32)| {
        let number = VersionNumber::new(number);
        Ok(Span { number, key: item_key(&key)?, from: PointNumber::new(from), to: PointNumber::new(to) })
    };
    rows.into_iter().map(span).collect()
}
