//! Doing again what a restore could not bring back, and nothing else.

use std::collections::HashSet;

use super::sql;
use crate::catalog::parts;
use crate::db::{Conn, Db, DbError, QueryResult, TxError};
use crate::ids::{ChainId, RestoreId, TaskId};
use crate::queue::{self, Queue};

const PARTS_PAGE: u32 = 500;

/// Why nothing was begun again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no restore {0}")]
    NoRestore(RestoreId),
    #[error("restore {0} is still at work: wait until it has ended, or cancel it")]
    AtWork(RestoreId),
    #[error("nothing of restore {0} failed or was left undone")]
    NothingFailed(RestoreId),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Queues the parts again of which something failed, or was left undone. Items that are settled are not looked at again,
/// because the restore remembers them. Returns how many parts those are.
pub async fn retry(db: &Db, queue: &Queue, restore: RestoreId) -> Result<u64, RetryError> {
    let begun = db
        .transaction("retry a restore", move |conn| -> Result<u64, TxError<RetryError>> {
            if !sql::lock(conn, restore)? {
                return Err(TxError::Refused(RetryError::NoRestore(restore)));
            }
            let undone = undone(conn, restore)?;
            let ended = queue::ended_of_restore(conn, restore)?;
            let Some(ended) = ended else { return Err(TxError::Refused(RetryError::AtWork(restore))) };
            let again: Vec<TaskId> =
                ended.into_iter().filter(|(chain, _)| undone.contains(chain)).map(|(_, task)| task).collect();
            if again.is_empty() {
                return Err(TxError::Refused(RetryError::NothingFailed(restore)));
            }
            Ok(queue::begin_again(conn, &again)?)
        })
        .await
        .map_err(|err| match err {
            TxError::Db(err) => RetryError::Db(err),
            TxError::Refused(why) => why,
        })?;
    queue.notify();
    Ok(begun)
}

/// The chains of which not everything is settled.
fn undone(conn: &mut Conn, restore: RestoreId) -> QueryResult<HashSet<ChainId>> {
    let mut undone = HashSet::new();
    let mut after = ChainId::new(0);
    loop {
        let page = parts::list(conn, restore, after, PARTS_PAGE)?;
        let Some(last) = page.last() else { return Ok(undone) };
        after = last.chain;
        let is_undone = |part: &&parts::Part| {
            part.told.failed > 0 || part.asked.is_none_or(|asked| part.told.total() < asked.items)
        };
        undone.extend(page.iter().filter(is_undone).map(|part| part.chain));
    }
}
