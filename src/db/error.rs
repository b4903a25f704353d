//! What can go wrong with the database, told apart by what the caller can do.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be had. Retry later; an administrator looks at the server.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A deadlock, a lock wait or a snapshot conflict outlasted all retries. Retry later.
    #[error("the database is contended: {0}")]
    Contended(String),
    /// The connection broke before anything was committed. Retry later.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    /// All connections together have as many statements prepared as the server keeps. Retry later, on other connections.
    #[error("the database server keeps no more prepared statements: raise its max_prepared_stmt_count ({0})")]
    TooManyStatements(String),
    /// The connection broke during COMMIT: it may or may not have happened.
    #[error("the connection to the database was lost during a commit; whether it happened is unknown: {0}")]
    CommitUnknown(String),
    /// A row with this unique key exists already.
    #[error("already exists: {0}")]
    Duplicate(String),
    /// The row that was asked for does not exist.
    #[error("not found")]
    NotFound,
    /// Anything else: a defect, or a database in a state that no version of kodo leaves behind.
    #[error("database call failed: {0}")]
    Query(String),
}

impl DbError {
    pub(super) fn of(err: DieselError) -> Self {
        match &err {
            DieselError::NotFound => Self::NotFound,
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                Self::Duplicate(info.message().to_owned())
            }
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, info) => {
                Self::Contended(info.message().to_owned())
            }
            DieselError::DatabaseError(_, info) => Self::by_text(info.message()),
            DieselError::BrokenTransactionManager => Self::Lost(err.to_string()),
            _ => Self::Query(err.to_string()),
        }
    }

    /// diesel does not hand out MariaDB's error numbers, so the texts of 1205, 1213, 1020, 1047, 1461, 2006 and 2013
    /// decide.
    fn by_text(message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        if has(&["lock wait timeout", "deadlock found", "record has changed since last read", "wsrep has not yet"]) {
            Self::Contended(message.to_owned())
        } else if has(&["server has gone away", "lost connection", "connection was killed", "server shutdown"]) {
            Self::Lost(message.to_owned())
        } else if has(&["max_prepared_stmt_count"]) {
            Self::TooManyStatements(message.to_owned())
        } else {
            Self::Query(message.to_owned())
        }
    }

    pub(super) fn while_committing(self) -> Self {
        match self {
            Self::Lost(text) | Self::Unreachable(text) => Self::CommitUnknown(text),
            other => other,
        }
    }

    pub(super) fn during(self, what: &'static str) -> Self {
        match self {
            Self::Unreachable(text) => Self::Unreachable(text),
            Self::Contended(text) => Self::Contended(format!("{what}: {text}")),
            Self::Lost(text) => Self::Lost(format!("{what}: {text}")),
            Self::TooManyStatements(text) => Self::TooManyStatements(format!("{what}: {text}")),
            Self::CommitUnknown(text) => Self::CommitUnknown(format!("{what}: {text}")),
            Self::Duplicate(text) => Self::Duplicate(text),
            Self::NotFound => Self::NotFound,
            Self::Query(text) => Self::Query(format!("{what}: {text}")),
        }
    }
}

/// Why a transaction did not happen: the database failed, or the work inside refused.
#[derive(Debug, thiserror::Error)]
pub enum TxError<E> {
    #[error(transparent)]
    Db(DbError),
    #[error("{0}")]
    Refused(E),
}

impl<E> TxError<E> {
    /// The same error where the work inside can refuse for more reasons.
    pub fn widen<F: From<E>>(self) -> TxError<F> {
        match self {
            Self::Db(err) => TxError::Db(err),
            Self::Refused(why) => TxError::Refused(why.into()),
        }
    }
}

impl<E: From<DbError>> TxError<E> {
    /// As the one error of whoever knows a failed database as one of its reasons.
    pub fn joined(self) -> E {
        match self {
            Self::Db(err) => err.into(),
            Self::Refused(why) => why,
        }
    }
}

impl<E> From<DbError> for TxError<E> {
    fn from(err: DbError) -> Self {
        Self::Db(err)
    }
}

impl<E> From<DieselError> for TxError<E> {
    fn from(err: DieselError) -> Self {
        Self::Db(DbError::of(err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mariadb_messages_are_classified_by_what_to_do() {
        let contended = "Record has changed since last read in table 'tasks'";
        assert!(matches!(DbError::by_text(contended), DbError::Contended(_)));
        assert!(matches!(DbError::by_text("MySQL server has gone away"), DbError::Lost(_)));
        assert!(matches!(DbError::by_text("Unknown column 'x'"), DbError::Query(_)));
        let full = "Can't create more than max_prepared_stmt_count statements (current value: 16382)";
        assert!(matches!(DbError::by_text(full), DbError::TooManyStatements(_)));
        let lost = DbError::by_text("Lost connection to server during query").while_committing();
        assert!(matches!(lost, DbError::CommitUnknown(_)));
    }
}
