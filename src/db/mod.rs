//! The only owner of database connections.
//!
//! Owns: the pool, the bounded door for blocking work, session settings, the retry wrapper, migrations, the managed
//! server. Does not own: any query. Those stand in the `sql.rs` of the module that owns the table.
//!
//! Invariants: every session is READ COMMITTED, UTC and strict; at most `pool_size` blocking calls run at once; a
//! transaction never spans an `.await`; what is retried has changed nothing.

mod connect;
mod error;
pub mod managed;
mod migrate;
mod pool;
mod prepared;
pub mod schema;

use std::sync::Arc;
use std::time::Instant;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::r2d2::{Pool, PooledConnection};
use tokio::sync::Semaphore;

pub use connect::{DatabaseConfig, check_server, connect};
pub use error::{DbError, TxError};
pub use migrate::migrate;
use pool::{Generation, Manager};
pub use prepared::{Kept, among, form};

/// The one place that names the connection type: a move to another client changes this line.
pub type Conn = diesel::mysql::MysqlConnection;
/// What a function of an `sql.rs` returns.
pub type QueryResult<T> = diesel::QueryResult<T>;

const RETRIES_MAX: u32 = 8;

/// A handle to the database; clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Manager>,
    generation: Generation,
    permits: Arc<Semaphore>,
}

impl Db {
    fn new(pool: Pool<Manager>, generation: Generation) -> Self {
        let permits = Arc::new(Semaphore::new(pool.max_size() as usize));
        Self { pool, generation, permits }
    }

    /// Runs one statement (or several that need no transaction). `what` names it in errors.
    ///
    /// Retried on deadlocks and lost connections, so `f` must be safe to run again: a read, or a conditional write.
    pub async fn run<T, F>(&self, what: &'static str, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> QueryResult<T> + Send + 'static,
    {
        let mut f = f;
        self.door(move |db| db.retrying(what, |conn| f(conn).map_err(DbError::of))).await
    }

    /// Runs `f` in one transaction: all of it happens or nothing does. `f` may run several times.
    ///
    /// Not cancel-safe in the sense that matters: once called, the transaction runs to its end even if the caller's
    /// future is dropped. [`DbError::CommitUnknown`] means that nobody can say whether it happened.
    pub async fn transaction<T, E, F>(&self, what: &'static str, f: F) -> Result<T, TxError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Conn) -> Result<T, TxError<E>> + Send + 'static,
    {
        let mut f = f;
        self.door(move |db| db.retrying(what, |conn| in_transaction(conn, &mut f))).await
    }

    #[expect(clippy::disallowed_methods, reason = "the bounded door that the lint points to")]
    async fn door<T, F>(&self, f: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> T + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let db = self.clone();
        let work = move || {
            let result = f(&db);
            drop(permit);
            result
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(join) => std::panic::resume_unwind(join.into_panic()),
        }
    }

    fn retrying<T, X: Retryable>(
        &self,
        what: &'static str,
        mut f: impl FnMut(&mut Conn) -> Result<T, X>,
    ) -> Result<T, X> {
        let mut tries = 0;
        loop {
            let outcome = match self.connection() {
                Ok(mut pooled) => {
                    let outcome = f(&mut pooled.conn);
                    pooled.worked = outcome.is_ok().then(Instant::now);
                    if outcome.as_ref().is_err_and(X::too_many_statements) {
                        self.generation.end(pooled.generation);
                    }
                    outcome
                }
                Err(err) => Err(X::from(err)),
            };
            match outcome {
                Ok(value) => return Ok(value),
                Err(err) if tries < RETRIES_MAX && err.changed_nothing() => {
                    tries += 1;
                    tracing::debug!(what, tries, "database call is tried again");
                    pause(tries);
                }
                Err(err) => return Err(err.named(what)),
            }
        }
    }

    fn connection(&self) -> Result<PooledConnection<Manager>, DbError> {
        self.pool.get().map_err(|err| DbError::Unreachable(err.to_string()))
    }
}

/// Errors that know whether the call they ended can be made again without harm.
trait Retryable: From<DbError> {
    fn changed_nothing(&self) -> bool;
    fn too_many_statements(&self) -> bool;
    fn named(self, what: &'static str) -> Self;
}

impl Retryable for DbError {
    fn changed_nothing(&self) -> bool {
        matches!(self, Self::Contended(_) | Self::Lost(_) | Self::TooManyStatements(_))
    }

    fn too_many_statements(&self) -> bool {
        matches!(self, Self::TooManyStatements(_))
    }

    fn named(self, what: &'static str) -> Self {
        self.during(what)
    }
}

impl<E> Retryable for TxError<E> {
    fn changed_nothing(&self) -> bool {
        matches!(self, Self::Db(err) if err.changed_nothing())
    }

    fn too_many_statements(&self) -> bool {
        matches!(self, Self::Db(err) if err.too_many_statements())
    }

    fn named(self, what: &'static str) -> Self {
        match self {
            Self::Db(err) => Self::Db(err.during(what)),
            refused @ Self::Refused(_) => refused,
        }
    }
}

fn in_transaction<T, E>(
    conn: &mut Conn,
    f: &mut impl FnMut(&mut Conn) -> Result<T, TxError<E>>,
) -> Result<T, TxError<E>> {
    AnsiTransactionManager::begin_transaction(conn)?;
    match f(conn) {
        Ok(value) => match AnsiTransactionManager::commit_transaction(conn) {
            Ok(()) => Ok(value),
            Err(err) => Err(TxError::Db(DbError::of(err).while_committing())),
        },
        Err(refused) => {
            if let Err(err) = AnsiTransactionManager::rollback_transaction(conn) {
                tracing::debug!(error = %err, "rollback failed; the server rolls back when the connection closes");
            }
            Err(refused)
        }
    }
}

/// Waits 5 ms × 2^tries with jitter, at most 1.3 s: the blocking pool's thread sleeps, no async worker does.
#[expect(clippy::disallowed_methods, reason = "a thread of the blocking pool, bounded by RETRIES_MAX")]
fn pause(tries: u32) {
    let ceiling_ms = 5u64 << tries.min(8);
    std::thread::sleep(std::time::Duration::from_millis(rand::random_range(ceiling_ms / 2..=ceiling_ms)));
}
