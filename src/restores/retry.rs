//! Doing again what a restore could not bring back, and nothing else.

use std::collections::BTreeMap;

use super::sql;
use crate::catalog::{Part, parts, points, rehearsals};
use crate::db::{Conn, Db, DbError, QueryResult, TxError};
use crate::ids::{ChainId, PointNumber, RehearsalId, RestoreId, TaskId};
use crate::queue::{self, EndedTask, Queue, TaskState};

const PARTS_PAGE: u32 = 500;

/// Why nothing was begun again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no restore {0}")]
    NoRestore(RestoreId),
    #[error("restore {0} is still at work: wait until it has ended, or cancel it")]
    AtWork(RestoreId),
    #[error("restore {restore} belongs to rehearsal {rehearsal}, whose copies are deleted: start another rehearsal")]
    OfRehearsal { restore: RestoreId, rehearsal: RehearsalId },
    #[error("nothing of restore {0} failed or was left undone")]
    NothingFailed(RestoreId),
    #[error("point {point} of chain {chain} was given up since: restore another point")]
    PointGone { chain: ChainId, point: PointNumber },
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
            if let Some(rehearsal) = rehearsals::of_restore(conn, restore)? {
                return Err(TxError::Refused(RetryError::OfRehearsal { restore, rehearsal }));
            }
            let Some(ended) = queue::ended_of_restore(conn, restore)? else {
                return Err(TxError::Refused(RetryError::AtWork(restore)));
            };
            let parts = all_parts(conn, restore)?;
            let again: Vec<EndedTask> = ended.into_iter().filter(|task| is_undone(task, &parts)).collect();
            if again.is_empty() {
                return Err(TxError::Refused(RetryError::NothingFailed(restore)));
            }
            for part in again.iter().filter_map(|task| parts.get(&task.chain)) {
                let (chain, point) = (part.chain, part.point);
                // From here to the commit nobody can give the point up, and who wants to afterwards finds the task.
                if !points::lock_sealed(conn, chain, point)? {
                    return Err(TxError::Refused(RetryError::PointGone { chain, point }));
                }
            }
            Ok(queue::begin_again(conn, &again.iter().map(|task| task.id).collect::<Vec<TaskId>>())?)
        })
        .await
        .map_err(TxError::joined)?;
    queue.notify();
    Ok(begun)
}

/// Whether a part failed as a whole, or something of it did or was not reached.
fn is_undone(task: &EndedTask, parts: &BTreeMap<ChainId, Part>) -> bool {
    let is_unsettled =
        |part: &Part| part.told.failed > 0 || part.asked.is_none_or(|asked| part.told.total() < asked.items);
    task.state != TaskState::Succeeded || parts.get(&task.chain).is_some_and(is_unsettled)
}

/// As many as a request may have.
fn all_parts(conn: &mut Conn, restore: RestoreId) -> QueryResult<BTreeMap<ChainId, Part>> {
    let mut all = BTreeMap::new();
    let mut after = ChainId::new(0);
    loop {
        let page = parts::list(conn, restore, after, PARTS_PAGE)?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.chain;
        all.extend(page.into_iter().map(|part| (part.chain, part)));
    }
}
