//! Table `outcomes`.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use super::{Outcome, OutcomeCounts, OutcomeRow};
use crate::catalog::fit;
use crate::db::schema::outcomes;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, RestoreId};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = outcomes)]
struct OutcomeRecord {
    restore_id: u64,
    chain_id: u32,
    item_key: Vec<u8>,
    outcome: String,
    remark: Option<String>,
    bytes: u64,
}

pub(super) fn replace(conn: &mut Conn, restore: RestoreId, rows: &[OutcomeRow]) -> QueryResult<()> {
    let records: Vec<OutcomeRecord> = rows
        .iter()
        .map(|row| OutcomeRecord {
            restore_id: restore.get(),
            chain_id: row.chain.get(),
            item_key: row.key.as_bytes().to_vec(),
            outcome: row.outcome.as_str().to_owned(),
            remark: row.remark.as_deref().map(|remark| fit(remark, 1000)),
            bytes: row.bytes,
        })
        .collect();
    diesel::replace_into(outcomes::table).values(records).execute(conn).map(drop)
}

pub(super) fn settled(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    keys: &[ItemKey],
) -> QueryResult<Vec<ItemKey>> {
    let wanted: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let found: Vec<Vec<u8>> = outcomes::table
        .filter(outcomes::restore_id.eq(restore.get()))
        .filter(outcomes::chain_id.eq(chain.get()))
        .filter(outcomes::item_key.eq_any(wanted))
        .filter(outcomes::outcome.ne(Outcome::Failed.as_str()))
        .select(outcomes::item_key)
        .load(conn)?;
    Ok(found.iter().filter_map(|key| ItemKey::from_slice(key)).collect())
}

pub(super) fn counts(conn: &mut Conn, restore: RestoreId) -> QueryResult<OutcomeCounts> {
    // CAST, because MariaDB's SUM of integers is a DECIMAL, for which diesel has no type here.
    let bytes = sql::<Unsigned<BigInt>>("CAST(COALESCE(SUM(bytes), 0) AS UNSIGNED)");
    let rows: Vec<(String, i64, u64)> = outcomes::table
        .filter(outcomes::restore_id.eq(restore.get()))
        .group_by(outcomes::outcome)
        .select((outcomes::outcome, count_star(), bytes))
        .load(conn)?;
    let mut counts = OutcomeCounts::default();
    for (outcome, n, bytes) in rows {
        let n = n.unsigned_abs();
        match Outcome::parse(&outcome) {
            Some(Outcome::Created) => {
                counts.created = n;
                counts.bytes += bytes;
            }
            Some(Outcome::Updated) => {
                counts.updated = n;
                counts.bytes += bytes;
            }
            Some(Outcome::Skipped) => counts.skipped = n,
            Some(Outcome::Failed) | None => counts.failed += n,
        }
    }
    Ok(counts)
}

pub(super) fn remarkable(
    conn: &mut Conn,
    restore: RestoreId,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OutcomeRow>> {
    let mut query = outcomes::table
        .filter(outcomes::restore_id.eq(restore.get()))
        .filter(outcomes::remark.is_not_null())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(outcomes::item_key.gt(after.as_bytes().to_vec()));
    }
    let records: Vec<OutcomeRecord> =
        query.order(outcomes::item_key).limit(limit.into()).select(OutcomeRecord::as_select()).load(conn)?;
    let rows = records.into_iter().filter_map(|record| {
        Some(OutcomeRow {
            chain: ChainId::new(record.chain_id),
            key: ItemKey::from_slice(&record.item_key)?,
            outcome: Outcome::parse(&record.outcome)?,
            remark: record.remark,
            bytes: record.bytes,
        })
    });
    Ok(rows.collect())
}
