//! The table `audit`. Nothing here changes or deletes a row.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::Datetime;

use crate::db::Conn;
use crate::db::schema::audit;

pub(super) struct NewLine {
    pub admin_id: u32,
    pub admin_name: String,
    pub address: String,
    pub action: String,
    pub details: String,
}

#[derive(Queryable)]
pub(super) struct Line {
    pub id: u64,
    pub at: NaiveDateTime,
    pub admin_id: u32,
    pub admin_name: String,
    pub address: String,
    pub action: String,
    pub details: String,
}

pub(super) fn insert(conn: &mut Conn, line: &NewLine) -> QueryResult<()> {
    diesel::insert_into(audit::table)
        .values((
            audit::at.eq(diesel::dsl::sql::<Datetime>("NOW(3)")),
            audit::admin_id.eq(line.admin_id),
            audit::admin_name.eq(&line.admin_name),
            audit::address.eq(&line.address),
            audit::action.eq(&line.action),
            audit::details.eq(&line.details),
        ))
        .execute(conn)
        .map(|_| ())
}

/// Newest first, older than `before`.
pub(super) fn list(conn: &mut Conn, before: Option<u64>, limit: u32) -> QueryResult<Vec<Line>> {
    audit::table.filter(audit::id.lt(before.unwrap_or(u64::MAX))).order(audit::id.desc()).limit(limit.into()).load(conn)
}
