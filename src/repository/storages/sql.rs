//! The table `storages`.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Datetime;
use uuid::Uuid;

use crate::db::Conn;
use crate::db::schema::storages;
use crate::ids::StorageId;

/// Storages are few; a list longer than this is a defect.
const ROWS_MAX: i64 = 10_000;

#[derive(Clone, Debug)]
pub struct StorageRow {
    pub id: StorageId,
    pub name: String,
    pub backend: String,
    pub settings: String,
    pub store: Uuid,
    pub layout: String,
    pub key_sealed: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub struct NewStorage {
    pub name: String,
    pub backend: &'static str,
    pub settings: String,
    pub store: Uuid,
    pub layout: &'static str,
    pub key_sealed: Option<Vec<u8>>,
}

type Row = (u32, String, String, String, Vec<u8>, String, Option<Vec<u8>>);

fn of((id, name, backend, settings, store, layout, key_sealed): Row) -> QueryResult<StorageRow> {
    let store = Uuid::from_slice(&store).map_err(|err| DieselError::DeserializationError(err.into()))?;
    Ok(StorageRow { id: StorageId::new(id), name, backend, settings, store, layout, key_sealed })
}

type Columns = (
    storages::id,
    storages::name,
    storages::backend,
    storages::settings,
    storages::store_uuid,
    storages::layout,
    storages::key_sealed,
);

const COLUMNS: Columns = (
    storages::id,
    storages::name,
    storages::backend,
    storages::settings,
    storages::store_uuid,
    storages::layout,
    storages::key_sealed,
);

pub fn list(conn: &mut Conn) -> QueryResult<Vec<StorageRow>> {
    let rows: Vec<Row> = storages::table.select(COLUMNS).order(storages::name).limit(ROWS_MAX).load(conn)?;
    rows.into_iter().map(of).collect()
}

pub fn find(conn: &mut Conn, id: StorageId) -> QueryResult<Option<StorageRow>> {
    let row: Option<Row> = storages::table.find(id.get()).select(COLUMNS).first(conn).optional()?;
    row.map(of).transpose()
}

pub fn find_store(conn: &mut Conn, store: Uuid) -> QueryResult<Option<StorageRow>> {
    let named = storages::table.filter(storages::store_uuid.eq(store.as_bytes().as_slice()));
    let row: Option<Row> = named.select(COLUMNS).first(conn).optional()?;
    row.map(of).transpose()
}

pub fn find_name(conn: &mut Conn, name: &str) -> QueryResult<Option<StorageId>> {
    let id: Option<u32> =
        storages::table.filter(storages::name.eq(name)).select(storages::id).first(conn).optional()?;
    Ok(id.map(StorageId::new))
}

/// Takes the storages whose upkeep is due and says when it is due again. Two schedulers never take the same one.
pub fn take_upkeep_due(conn: &mut Conn, every: Duration, limit: u32) -> QueryResult<Vec<StorageId>> {
    let due: Vec<u32> = storages::table
        .filter(storages::next_upkeep_at.le(sql::<Datetime>("NOW(3)")))
        .order(storages::next_upkeep_at)
        .limit(limit.into())
        .select(storages::id)
        .for_update()
        .skip_locked()
        .load(conn)?;
    let next = sql::<Datetime>(&format!("NOW(3) + INTERVAL {} SECOND", every.as_secs()));
    diesel::update(storages::table.filter(storages::id.eq_any(&due)))
        .set(storages::next_upkeep_at.eq(next))
        .execute(conn)?;
    Ok(due.into_iter().map(StorageId::new).collect())
}

pub fn insert(conn: &mut Conn, new: &NewStorage) -> QueryResult<StorageId> {
    diesel::insert_into(storages::table)
        .values((
            storages::name.eq(&new.name),
            storages::backend.eq(new.backend),
            storages::settings.eq(&new.settings),
            storages::store_uuid.eq(new.store.as_bytes().as_slice()),
            storages::layout.eq(new.layout),
            storages::key_sealed.eq(&new.key_sealed),
            storages::created_at.eq(sql::<Datetime>("NOW(3)")),
            // Nothing can be due before there is a first restore point.
            storages::next_upkeep_at.eq(sql::<Datetime>("NOW(3) + INTERVAL 1 HOUR")),
        ))
        .execute(conn)?;
    storages::table
        .filter(storages::store_uuid.eq(new.store.as_bytes().as_slice()))
        .select(storages::id)
        .first(conn)
        .map(StorageId::new)
}
