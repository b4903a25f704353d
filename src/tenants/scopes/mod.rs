//! Scopes of a tenant: whose limits requests count against, and how these stand, as all agents know it.
//!
//! Owns the table `scopes`. Does not know what stands in it: `graph` counts, and `workers` brings both together. Times
//! are the database's, so that agents need not agree on the time.

mod sql;

use std::convert::Infallible;
use std::time::Duration;

use crate::db::{Conn, Db, DbError, QueryResult, TxError};
use crate::ids::TenantId;

/// Rows that one call of [`forget`] deletes.
const FORGET_BATCH: i64 = 1_000;
const REASON_CHARS_MAX: usize = 255;

/// How a scope stands. Moments are the time since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeState {
    /// Until when no request leaves, and why.
    pub fence: Option<(Duration, String)>,
    /// What was used: text that `graph` understands.
    pub used: String,
    pub forget_at: Duration,
}

/// Changes how a scope stands, alone among all agents: `change` is given what stands there and the time, and returns
/// what is to stand there instead. It may be called several times.
pub async fn change<T, F>(db: &Db, tenant: TenantId, name: String, change: F) -> Result<T, DbError>
where
    T: Send + 'static,
    F: FnMut(ScopeState, Duration) -> (ScopeState, T) + Send + 'static,
{
    let mut change = change;
    let work = move |conn: &mut Conn| -> Result<T, TxError<Infallible>> {
        let before = sql::lock(conn, tenant, &name)?;
        // Read behind the lock: the time at which a statement begins may be long past when it has waited for others.
        let now = sql::now(conn)?;
        let (after, told) = change(before, now);
        sql::write(conn, tenant, &name, &after)?;
        Ok(told)
    };
    db.transaction("change a scope", work).await.map_err(|err| match err {
        TxError::Db(err) => err,
        TxError::Refused(never) => match never {},
    })
}

/// How a scope stands, and what time it is.
pub async fn read(db: &Db, tenant: TenantId, name: String) -> Result<(ScopeState, Duration), DbError> {
    db.run("read a scope", move |conn| Ok((sql::read(conn, tenant, &name)?, sql::now(conn)?))).await
}

/// Deletes what says nothing any more, a batch of it.
pub fn forget(conn: &mut Conn) -> QueryResult<usize> {
    sql::forget(conn, FORGET_BATCH)
}
