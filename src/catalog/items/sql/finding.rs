//! Versions of items of which only the beginning of the key is known.

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::VersionRecord;
use crate::catalog::items::VersionRow;
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Keys in one statement.
const KEYS_AT_ONCE: usize = 100;
const KEY_BYTES: usize = 16;

pub(in crate::catalog::items) fn beginning_with(
    conn: &mut Conn,
    keys: &[(ChainId, &[u8])],
) -> QueryResult<Vec<(ChainId, VersionRow)>> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_AT_ONCE) {
        // No chain has the id 0: the beginning of a row of alternatives.
        let mut any: Box<dyn BoxableExpression<item_versions::table, Mysql, SqlType = Bool>> =
            Box::new(item_versions::chain_id.eq(0).and(item_versions::item_key.eq(Vec::new())));
        for (chain, beginning) in keys {
            let filled = |with: u8| {
                let mut key = beginning.to_vec();
                key.resize(KEY_BYTES, with);
                key
            };
            let range = item_versions::item_key.between(filled(0), filled(u8::MAX));
            any = Box::new(any.or(item_versions::chain_id.eq(chain.get()).and(range)));
        }
        let records: Vec<VersionRecord> =
            item_versions::table.filter(any).select(VersionRecord::as_select()).load(conn)?;
        for record in records {
            found.push((ChainId::new(record.chain_id), record.into_row()?));
        }
    }
    Ok(found)
}
