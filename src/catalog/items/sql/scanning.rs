//! The versions of a chain from the first to the last, in the order of their rows, so that each is read once.

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use super::{VersionRecord, item_key};
use crate::catalog::items::{Span, VersionRow};
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber, VersionNumber};

/// Versions behind `after`. The chain is given as a range of one, so that MariaDB begins at the page: see `listing`.
fn behind(chain: ChainId, after: VersionNumber, limit: u32) -> item_versions::BoxedQuery<'static, Mysql> {
    item_versions::table
        .filter(item_versions::chain_id.ge(chain.get()).and(item_versions::chain_id.le(chain.get())))
        .filter(item_versions::version_number.gt(after.get()))
        .order((item_versions::chain_id, item_versions::version_number))
        .limit(limit.into())
        .into_boxed()
}

pub(in crate::catalog::items) fn scan(
    conn: &mut Conn,
    chain: ChainId,
    after: VersionNumber,
    limit: u32,
) -> QueryResult<Vec<VersionRow>> {
    let records: Vec<VersionRecord> = behind(chain, after, limit).select(VersionRecord::as_select()).load(conn)?;
    records.into_iter().map(VersionRecord::into_row).collect()
}

/// The bytes of the references of the versions that [`scan`] would return.
pub(in crate::catalog::items) fn scan_bytes(
    conn: &mut Conn,
    chain: ChainId,
    after: VersionNumber,
    limit: u32,
) -> QueryResult<Vec<u64>> {
    let bytes = diesel::dsl::sql::<Unsigned<BigInt>>("CAST(COALESCE(LENGTH(refs), 0) AS UNSIGNED)");
    behind(chain, after, limit).select(bytes).load(conn)
}

pub(in crate::catalog::items) fn spans(
    conn: &mut Conn,
    chain: ChainId,
    after: VersionNumber,
    limit: u32,
) -> QueryResult<Vec<Span>> {
    let rows: Vec<(u32, Vec<u8>, u32, u32)> = behind(chain, after, limit)
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

/// These versions, in no order.
pub(super) fn numbered(conn: &mut Conn, chain: ChainId, numbers: &[u32]) -> QueryResult<Vec<VersionRow>> {
    let records: Vec<VersionRecord> = item_versions::table
        .filter(item_versions::chain_id.eq(chain.get()))
        .filter(item_versions::version_number.eq_any(numbers))
        .select(VersionRecord::as_select())
        .load(conn)?;
    records.into_iter().map(VersionRecord::into_row).collect()
}
