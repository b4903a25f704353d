//! Table `outcomes`.

use diesel::prelude::*;

use super::{Outcome, OutcomeRow};
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

impl OutcomeRecord {
    fn into_row(self) -> Option<OutcomeRow> {
        Some(OutcomeRow {
            chain: ChainId::new(self.chain_id),
            key: ItemKey::from_slice(&self.item_key)?,
            outcome: Outcome::parse(&self.outcome)?,
            remark: self.remark,
            bytes: self.bytes,
        })
    }
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

/// What is recorded of these items.
pub(super) fn of(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    keys: &[ItemKey],
) -> QueryResult<Vec<(ItemKey, Outcome, u64)>> {
    let wanted: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let found: Vec<(Vec<u8>, String, u64)> = outcomes::table
        .filter(outcomes::restore_id.eq(restore.get()))
        .filter(outcomes::chain_id.eq(chain.get()))
        .filter(outcomes::item_key.eq_any(wanted))
        .select((outcomes::item_key, outcomes::outcome, outcomes::bytes))
        .load(conn)?;
    let known = |(key, outcome, bytes): (Vec<u8>, String, u64)| {
        Some((ItemKey::from_slice(&key)?, Outcome::parse(&outcome)?, bytes))
    };
    Ok(found.into_iter().filter_map(known).collect())
}

pub(super) fn list(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    after: Option<ItemKey>,
    limit: u32,
) -> QueryResult<Vec<OutcomeRow>> {
    let mut query = outcomes::table
        .filter(outcomes::restore_id.eq(restore.get()))
        .filter(outcomes::chain_id.eq(chain.get()))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(outcomes::item_key.gt(after.as_bytes().to_vec()));
    }
    let page = query.order(outcomes::item_key).limit(limit.into()).select(OutcomeRecord::as_select());
    Ok(page.load::<OutcomeRecord>(conn)?.into_iter().filter_map(OutcomeRecord::into_row).collect())
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
    Ok(records.into_iter().filter_map(OutcomeRecord::into_row).collect())
}
