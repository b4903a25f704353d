//! Connections that wait for their next use.
//!
//! One on which a call went well a moment ago is not asked whether it still lives: that would be one more round trip for
//! each call. Should it be dead after all, the call that finds out is made again, and the connection is asked.
//!
//! Each keeps the statements prepared that were made on it, and a server keeps so many for all its clients together. When
//! it keeps no more, this process gives its connections up, and with them their statements, and makes new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::connection::SimpleConnection;
use diesel::r2d2::{ConnectionManager, Error, ManageConnection};

use super::Conn;

/// READ COMMITTED, because a lease must see what others committed; strict, so that nothing is cut short silently.
/// The isolation is set by statement, because its variable has another name before MariaDB 11.1.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET SESSION time_zone = '+00:00', \
     sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     innodb_lock_wait_timeout = 20, wait_timeout = 28800";
/// How long a connection on which a call went well is taken to live.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

pub(super) struct Manager {
    connections: ConnectionManager<Conn>,
    generation: Generation,
}

/// Connections of an earlier one are given up.
#[derive(Clone, Default)]
pub(super) struct Generation(Arc<AtomicU64>);

impl Generation {
    /// Gives up those that are there now; `seen` is the generation of the one on which it was found necessary.
    pub(super) fn end(&self, seen: u64) {
        // Whoever comes second finds that the first has done it.
        self.0.fetch_max(seen + 1, Ordering::Relaxed);
    }

    fn current(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) struct Pooled {
    pub conn: Conn,
    /// When a call went well on it; `None`: the last one did not.
    pub worked: Option<Instant>,
    pub generation: u64,
}

impl Manager {
    pub(super) fn new(url: &str, generation: Generation) -> Self {
        Self { connections: ConnectionManager::new(url), generation }
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = Error;

    fn connect(&self) -> Result<Pooled, Error> {
        let generation = self.generation.current();
        let mut conn = self.connections.connect()?;
        conn.batch_execute(SESSION).map_err(Error::QueryError)?;
        Ok(Pooled { conn, worked: Some(Instant::now()), generation })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Error> {
        if pooled.generation < self.generation.current() {
            return Err(Error::ConnectionError(ConnectionError::BadConnection("it was given up".to_owned())));
        }
        match pooled.worked {
            Some(worked) if worked.elapsed() < TRUSTED_FOR => Ok(()),
            _ => self.connections.is_valid(&mut pooled.conn),
        }
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.generation < self.generation.current() || self.connections.has_broken(&mut pooled.conn)
    }
}
