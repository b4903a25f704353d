//! Table `restores`.

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use crate::db::schema::restores;
use crate::db::{Conn, QueryResult};
use crate::ids::RestoreId;

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = restores)]
pub(super) struct Row {
    pub id: u64,
    pub organization_id: u32,
    pub chain_id: u32,
    pub point: u32,
    pub target_resource: u32,
    pub request: String,
    pub requested_by: String,
    pub created_at: NaiveDateTime,
}

#[derive(Clone, Insertable)]
#[diesel(table_name = restores)]
pub(super) struct NewRow {
    pub organization_id: u32,
    pub chain_id: u32,
    pub point: u32,
    pub target_resource: u32,
    pub request: String,
    pub requested_by: String,
    pub created_at: NaiveDateTime,
}

pub(super) fn insert(conn: &mut Conn, row: &NewRow) -> QueryResult<RestoreId> {
    diesel::insert_into(restores::table).values(row).execute(conn)?;
    // diesel's mysql backend has no RETURNING; the value belongs to this connection.
    diesel::select(sql::<Unsigned<BigInt>>("LAST_INSERT_ID()")).get_result::<u64>(conn).map(RestoreId::new)
}

pub(super) fn find(conn: &mut Conn, id: RestoreId) -> QueryResult<Option<Row>> {
    restores::table.find(id.get()).select(Row::as_select()).first(conn).optional()
}

/// Newest first, older than `before`.
pub(super) fn list(conn: &mut Conn, before: Option<RestoreId>, limit: u32) -> QueryResult<Vec<Row>> {
    let before = before.map_or(u64::MAX, RestoreId::get);
    restores::table
        .filter(restores::id.lt(before))
        .order(restores::id.desc())
        .limit(limit.into())
        .select(Row::as_select())
        .load(conn)
}

/// Whether there is such a restore, locked for the rest of the transaction.
pub(super) fn lock(conn: &mut Conn, id: RestoreId) -> QueryResult<bool> {
    let found: Option<u64> = restores::table.find(id.get()).select(restores::id).for_update().first(conn).optional()?;
    Ok(found.is_some())
}
