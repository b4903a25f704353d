//! The tables `admins` and `api_tokens`. Times are the database's.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{exists, select, sql};
use diesel::expression::{SqlLiteral, TypedExpressionType};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Datetime, Nullable};

use super::Role;
use crate::db::Conn;
use crate::db::schema::{admins, api_tokens};
use crate::ids::AdminId;

fn db_now<ST: TypedExpressionType>() -> SqlLiteral<ST> {
    sql("NOW(3)")
}

pub(super) fn any_admin(conn: &mut Conn) -> QueryResult<bool> {
    select(exists(admins::table.select(admins::id))).get_result(conn)
}

pub(super) fn insert_admin(conn: &mut Conn, name: &str, role: Role) -> QueryResult<AdminId> {
    diesel::insert_into(admins::table)
        .values((admins::name.eq(name), admins::role.eq(role.as_str()), admins::created_at.eq(db_now::<Datetime>())))
        .execute(conn)?;
    admins::table.filter(admins::name.eq(name)).select(admins::id).first(conn).map(AdminId::new)
}

#[derive(Queryable)]
pub(super) struct AdminRow {
    pub id: u32,
    pub name: String,
    pub role: String,
    pub created_at: NaiveDateTime,
}

pub(super) fn list_admins(conn: &mut Conn, limit: i64) -> QueryResult<Vec<AdminRow>> {
    admins::table.order(admins::name).limit(limit).load(conn)
}

pub(super) fn insert_token(
    conn: &mut Conn,
    admin: AdminId,
    name: &str,
    hash: &[u8; 32],
    expires_at: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    diesel::insert_into(api_tokens::table)
        .values((
            api_tokens::admin_id.eq(admin.get()),
            api_tokens::name.eq(name),
            api_tokens::hash.eq(&hash[..]),
            api_tokens::created_at.eq(db_now::<Datetime>()),
            api_tokens::expires_at.eq(expires_at.map(|time| time.naive_utc())),
        ))
        .execute(conn)
        .map(|_| ())
}

#[derive(Queryable)]
pub(super) struct TokenRow {
    pub id: u32,
    pub admin_id: u32,
    pub name: String,
    pub created_at: NaiveDateTime,
    pub expires_at: Option<NaiveDateTime>,
    pub last_used_at: Option<NaiveDateTime>,
}

pub(super) fn list_tokens(conn: &mut Conn, admin: AdminId, limit: i64) -> QueryResult<Vec<TokenRow>> {
    api_tokens::table
        .filter(api_tokens::admin_id.eq(admin.get()))
        .order(api_tokens::id)
        .limit(limit)
        .select((
            api_tokens::id,
            api_tokens::admin_id,
            api_tokens::name,
            api_tokens::created_at,
            api_tokens::expires_at,
            api_tokens::last_used_at,
        ))
        .load(conn)
}

pub(super) fn delete_token(conn: &mut Conn, token: u32) -> QueryResult<usize> {
    diesel::delete(api_tokens::table.find(token)).execute(conn)
}

#[derive(Queryable)]
pub(super) struct Found {
    pub token_id: u32,
    pub admin_id: u32,
    pub name: String,
    pub role: String,
    /// Since its use was noted last; `None`: never.
    pub unnoted_seconds: Option<i64>,
}

/// The admin of a token that has not expired.
pub(super) fn find_by_hash(conn: &mut Conn, hash: &[u8; 32]) -> QueryResult<Option<Found>> {
    api_tokens::table
        .inner_join(admins::table.on(admins::id.eq(api_tokens::admin_id)))
        .filter(api_tokens::hash.eq(&hash[..]))
        .filter(api_tokens::expires_at.is_null().or(api_tokens::expires_at.gt(db_now::<Nullable<Datetime>>())))
        .select((
            api_tokens::id,
            admins::id,
            admins::name,
            admins::role,
            sql::<Nullable<BigInt>>("TIMESTAMPDIFF(SECOND, last_used_at, NOW(3))"),
        ))
        .first(conn)
        .optional()
}

pub(super) fn note_use(conn: &mut Conn, token: u32) -> QueryResult<usize> {
    diesel::update(api_tokens::table.find(token))
        .set(api_tokens::last_used_at.eq(db_now::<Nullable<Datetime>>()))
        .execute(conn)
}
