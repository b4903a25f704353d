//! The table `scopes`. Times are the database's.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use diesel::dsl::{insert_or_ignore_into, select, sql};
use diesel::prelude::*;
use diesel::sql_types::Datetime;

use super::{REASON_CHARS_MAX, ScopeState};
use crate::db::Conn;
use crate::db::schema::scopes;
use crate::ids::TenantId;

type Row = (Option<NaiveDateTime>, String, String, NaiveDateTime);

const COLUMNS: (scopes::fenced_until, scopes::reason, scopes::used, scopes::forget_at) =
    (scopes::fenced_until, scopes::reason, scopes::used, scopes::forget_at);

pub(super) fn now(conn: &mut Conn) -> QueryResult<Duration> {
    select(sql::<Datetime>("NOW(6)")).first(conn).map(since_1970)
}

pub(super) fn read(conn: &mut Conn, tenant: TenantId, name: &str) -> QueryResult<ScopeState> {
    let row = scopes::table.find((tenant.get(), name)).select(COLUMNS).first(conn).optional()?;
    Ok(row.map(state).unwrap_or_default())
}

/// The row, which is there afterwards, locked for the rest of the transaction.
pub(super) fn lock(conn: &mut Conn, tenant: TenantId, name: &str) -> QueryResult<ScopeState> {
    let locked =
        |conn: &mut Conn| scopes::table.find((tenant.get(), name)).select(COLUMNS).for_update().first::<Row>(conn);
    if let Some(row) = locked(conn).optional()? {
        return Ok(state(row));
    }
    let new = (
        scopes::tenant_id.eq(tenant.get()),
        scopes::name.eq(name),
        scopes::used.eq(""),
        scopes::forget_at.eq(sql::<Datetime>("NOW(6) + INTERVAL 1 HOUR")),
    );
    // Another agent may write it at the same time; a row that is not there cannot be locked.
    insert_or_ignore_into(scopes::table).values(new).execute(conn)?;
    locked(conn).map(state)
}

pub(super) fn write(conn: &mut Conn, tenant: TenantId, name: &str, after: &ScopeState) -> QueryResult<()> {
    let reason = after.fence.as_ref().map_or("", |(_, reason)| reason);
    let reason = reason.char_indices().nth(REASON_CHARS_MAX).map_or(reason, |(end, _)| &reason[..end]);
    diesel::update(scopes::table.find((tenant.get(), name)))
        .set((
            scopes::fenced_until.eq(after.fence.as_ref().map(|(until, _)| date(*until))),
            scopes::reason.eq(reason),
            scopes::used.eq(&after.used),
            scopes::forget_at.eq(date(after.forget_at)),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn forget(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
    let quiet = scopes::forget_at.lt(sql::<Datetime>("NOW(6)"));
    let found: Vec<(u32, String)> =
        scopes::table.filter(quiet.clone()).limit(limit).select((scopes::tenant_id, scopes::name)).load(conn)?;
    let mut forgotten = 0;
    for (tenant, name) in found {
        // Asked once more: somebody may use it again by now.
        forgotten += diesel::delete(scopes::table.find((tenant, name)).filter(quiet.clone())).execute(conn)?;
    }
    Ok(forgotten)
}

fn state((fenced_until, reason, used, forget_at): Row) -> ScopeState {
    let fence = fenced_until.map(|until| (since_1970(until), reason));
    ScopeState { fence, used, forget_at: since_1970(forget_at) }
}

fn since_1970(date: NaiveDateTime) -> Duration {
    Duration::from_micros(u64::try_from(date.and_utc().timestamp_micros()).unwrap_or(0))
}

/// Rounded up to what the column holds.
fn date(moment: Duration) -> NaiveDateTime {
    let micros = i64::try_from(moment.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX);
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH).naive_utc()
}
