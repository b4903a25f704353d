//! Items as chance has it: keys are hashes, so that those behind any key are a random sample.

use diesel::mysql::Mysql;
use diesel::prelude::*;

use super::item_key;
use crate::catalog::items::Drawing;
use crate::db::schema::item_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber};

/// The chain is given as a range of one, so that the index of keys is walked: see `listing`.
fn eligible(chain: ChainId, point: PointNumber, drawing: &Drawing<'_>) -> item_versions::BoxedQuery<'static, Mysql> {
    let passed_by: Vec<u32> = drawing.passed_by.iter().copied().map(ContainerId::get).collect();
    item_versions::table
        .filter(item_versions::chain_id.ge(chain.get()).and(item_versions::chain_id.le(chain.get())))
        .filter(item_versions::from_point.le(point.get()))
        .filter(item_versions::to_point.gt(point.get()))
        .filter(item_versions::bytes.le(drawing.bytes_max))
        .filter(item_versions::kind.ne_all(drawing.not_kinds.to_vec()))
        .filter(item_versions::container_id.ne_all(passed_by))
        .order((item_versions::chain_id, item_versions::item_key, item_versions::from_point))
        .into_boxed()
}

pub(in crate::catalog::items) fn draw(
    conn: &mut Conn,
    chain: ChainId,
    point: PointNumber,
    drawing: &Drawing<'_>,
    limit: u32,
) -> QueryResult<Vec<ItemKey>> {
    let start = drawing.from.as_bytes().to_vec();
    let behind = eligible(chain, point, drawing).filter(item_versions::item_key.ge(start.clone()));
    let mut keys: Vec<Vec<u8>> = behind.limit(limit.into()).select(item_versions::item_key).load(conn)?;
    let left = limit.saturating_sub(u32::try_from(keys.len()).unwrap_or(limit));
    if left > 0 {
        let before = eligible(chain, point, drawing).filter(item_versions::item_key.lt(start));
        let found: Vec<Vec<u8>> = before.limit(left.into()).select(item_versions::item_key).load(conn)?;
        keys.extend(found);
    }
    keys.iter().map(|key| item_key(key)).collect()
}
