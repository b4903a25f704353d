//! Table `exports`.

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use crate::db::schema::exports;
use crate::db::{Conn, QueryResult};
use crate::ids::{ExportId, TaskId};

#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = exports)]
pub(super) struct Row {
    pub id: u64,
    pub organization_id: u32,
    pub request: String,
    pub passphrase_sealed: Option<Vec<u8>>,
    pub task_id: Option<u64>,
    pub requested_by: String,
    pub created_at: NaiveDateTime,
    pub expires_at: Option<NaiveDateTime>,
}

#[derive(Clone, Insertable)]
#[diesel(table_name = exports)]
pub(super) struct NewRow {
    pub organization_id: u32,
    pub request: String,
    pub passphrase_sealed: Option<Vec<u8>>,
    pub requested_by: String,
    pub created_at: NaiveDateTime,
    pub expires_at: Option<NaiveDateTime>,
}

pub(super) fn insert(conn: &mut Conn, row: &NewRow) -> QueryResult<ExportId> {
    diesel::insert_into(exports::table).values(row).execute(conn)?;
    // diesel's mysql backend has no RETURNING; the value belongs to this connection.
    diesel::select(sql::<Unsigned<BigInt>>("LAST_INSERT_ID()")).get_result::<u64>(conn).map(ExportId::new)
}

pub(super) fn set_task(conn: &mut Conn, id: ExportId, task: TaskId) -> QueryResult<usize> {
    diesel::update(exports::table.find(id.get())).set(exports::task_id.eq(task.get())).execute(conn)
}

/// Forgets the passphrases of downloads that have expired.
pub(super) fn forget_passphrases(conn: &mut Conn, now: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(exports::table.filter(exports::expires_at.lt(now)).filter(exports::passphrase_sealed.is_not_null()))
        .set(exports::passphrase_sealed.eq(None::<Vec<u8>>))
        .execute(conn)
}

pub(super) fn find(conn: &mut Conn, id: ExportId) -> QueryResult<Option<Row>> {
    exports::table.find(id.get()).select(Row::as_select()).first(conn).optional()
}

/// Newest first, older than `before`.
pub(super) fn list(conn: &mut Conn, before: Option<ExportId>, limit: u32) -> QueryResult<Vec<Row>> {
    let before = before.map_or(u64::MAX, ExportId::get);
    exports::table
        .filter(exports::id.lt(before))
        .order(exports::id.desc())
        .limit(limit.into())
        .select(Row::as_select())
        .load(conn)
}

pub(super) fn set_request(conn: &mut Conn, id: ExportId, request: &str) -> QueryResult<usize> {
    diesel::update(exports::table.find(id.get())).set(exports::request.eq(request)).execute(conn)
}
