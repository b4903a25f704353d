//! The table `damaged_versions`.

use chrono::NaiveDateTime;
use diesel::dsl::{DuplicatedKeys, exists, select, sql};
use diesel::prelude::*;
use diesel::sql_types::{Datetime, Integer, Unsigned};

use super::{After, Mark, MarkRow};
use crate::db::schema::damaged_versions;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey, PackId, PointNumber, StorageId};

#[derive(Queryable, Selectable)]
#[diesel(table_name = damaged_versions)]
struct MarkRecord {
    chain_id: u32,
    item_key: Vec<u8>,
    from_point: u32,
    properties_pack: u32,
    pack_id: u32,
    found_at: NaiveDateTime,
}

impl MarkRecord {
    fn into_row(self) -> QueryResult<MarkRow> {
        let malformed = || diesel::result::Error::DeserializationError("an item key is not 16 bytes long".into());
        let mark = Mark {
            chain: ChainId::new(self.chain_id),
            key: ItemKey::from_slice(&self.item_key).ok_or_else(malformed)?,
            from: PointNumber::new(self.from_point),
            properties_pack: PackId::new(self.properties_pack),
            pack: PackId::new(self.pack_id),
        };
        Ok(MarkRow { mark, found_at: self.found_at.and_utc() })
    }
}

pub(super) fn put(conn: &mut Conn, storage: StorageId, marks: &[Mark]) -> QueryResult<()> {
    let rows: Vec<_> = marks
        .iter()
        .map(|mark| {
            (
                damaged_versions::chain_id.eq(mark.chain.get()),
                damaged_versions::item_key.eq(mark.key.as_bytes().as_slice()),
                damaged_versions::from_point.eq(mark.from.get()),
                damaged_versions::storage_id.eq(storage.get()),
                damaged_versions::properties_pack.eq(mark.properties_pack.get()),
                damaged_versions::pack_id.eq(mark.pack.get()),
                damaged_versions::found_at.eq(sql::<Datetime>("NOW(3)")),
            )
        })
        .collect();
    diesel::insert_into(damaged_versions::table)
        .values(rows)
        .on_conflict(DuplicatedKeys)
        .do_update()
        .set((
            damaged_versions::properties_pack.eq(sql::<Unsigned<Integer>>("VALUES(properties_pack)")),
            damaged_versions::pack_id.eq(sql::<Unsigned<Integer>>("VALUES(pack_id)")),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn any_in(conn: &mut Conn, chain: ChainId) -> QueryResult<bool> {
    select(exists(damaged_versions::table.filter(damaged_versions::chain_id.eq(chain.get())))).get_result(conn)
}

pub(super) fn of(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<Vec<Mark>> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    let records: Vec<MarkRecord> = damaged_versions::table
        .filter(damaged_versions::chain_id.eq(chain.get()).and(damaged_versions::item_key.eq_any(keys)))
        .select(MarkRecord::as_select())
        .load(conn)?;
    records.into_iter().map(|record| record.into_row().map(|row| row.mark)).collect()
}

pub(super) fn list(conn: &mut Conn, storage: StorageId, after: Option<After>, limit: u32) -> QueryResult<Vec<MarkRow>> {
    let mut query = damaged_versions::table.filter(damaged_versions::storage_id.eq(storage.get())).into_boxed();
    if let Some((chain, key, from)) = after {
        let (chain, key, from) = (chain.get(), key.as_bytes().to_vec(), from.get());
        let later_point = damaged_versions::item_key.eq(key.clone()).and(damaged_versions::from_point.gt(from));
        let later_item = damaged_versions::item_key.gt(key).or(later_point);
        let later = damaged_versions::chain_id.gt(chain).or(damaged_versions::chain_id.eq(chain).and(later_item));
        query = query.filter(later);
    }
    let records: Vec<MarkRecord> = query
        .order((damaged_versions::chain_id, damaged_versions::item_key, damaged_versions::from_point))
        .limit(limit.into())
        .select(MarkRecord::as_select())
        .load(conn)?;
    records.into_iter().map(MarkRecord::into_row).collect()
}

pub(super) fn delete(conn: &mut Conn, mark: &Mark) -> QueryResult<()> {
    let row = damaged_versions::table.find((mark.chain.get(), mark.key.as_bytes().to_vec(), mark.from.get()));
    diesel::delete(row.filter(damaged_versions::properties_pack.eq(mark.properties_pack.get()))).execute(conn).map(drop)
}

pub(super) fn count(conn: &mut Conn, storage: StorageId) -> QueryResult<u64> {
    let n: i64 =
        damaged_versions::table.filter(damaged_versions::storage_id.eq(storage.get())).count().get_result(conn)?;
    Ok(n.unsigned_abs())
}
