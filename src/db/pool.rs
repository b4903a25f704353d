//! Connections that wait for their next use.
//!
//! One on which a call went well a moment ago is not asked whether it still lives: that would be one more round trip for
//! each call. Should it be dead after all, the call that finds out is made again, and the connection is asked.

use std::time::{Duration, Instant};

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

pub(super) struct Manager(ConnectionManager<Conn>);

pub(super) struct Pooled {
    pub conn: Conn,
    /// When a call went well on it; `None`: the last one did not.
    pub worked: Option<Instant>,
}

impl Manager {
    pub(super) fn new(url: &str) -> Self {
        Self(ConnectionManager::new(url))
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = Error;

    fn connect(&self) -> Result<Pooled, Error> {
        let mut conn = self.0.connect()?;
        conn.batch_execute(SESSION).map_err(Error::QueryError)?;
        Ok(Pooled { conn, worked: Some(Instant::now()) })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Error> {
        match pooled.worked {
            Some(worked) if worked.elapsed() < TRUSTED_FOR => Ok(()),
            _ => self.0.is_valid(&mut pooled.conn),
        }
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        self.0.has_broken(&mut pooled.conn)
    }
}
