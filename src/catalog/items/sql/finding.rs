//! Versions of items of which only the beginning of the key is known.

use diesel::prelude::*;

use super::VersionRecord;
use crate::catalog::items::VersionRow;
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
        let of_item = |(chain, beginning): &(ChainId, &[u8])| {
            let filled = |with: u8| {
                let mut key = beginning.to_vec();
                key.resize(KEY_BYTES, with);
                hex::encode(key)
            };
            format!("(chain_id={chain} AND item_key BETWEEN x'{}' AND x'{}')", filled(0), filled(u8::MAX))
        };
        let any = keys.iter().map(of_item).collect::<Vec<_>>().join(" OR ");
        // Left to itself the server weighs every index for each of the keys, which takes it longer than to read the rows.
        let text = format!("SELECT * FROM item_versions FORCE INDEX (item_versions_key) WHERE {any}");
        let records: Vec<VersionRecord> = diesel::sql_query(text).load(conn)?;
        for record in records {
            found.push((ChainId::new(record.chain_id), record.into_row()?));
        }
    }
    Ok(found)
}
