//! What keeps a storage in order: retention, collection and verification, queued day by day or by hand.

use std::time::Duration;

use super::{NoRefusal, Scheduler, only_db};
use crate::db::{Conn, DbError};
use crate::ids::{OrganizationId, StorageId, TaskId};
use crate::queue::work::{CollectWork, PruneWork, VerifyWork, to_json};
use crate::queue::{self, NewTask, Priority, TaskKind};
use crate::repository::storages;

/// How often each storage is put in order.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Storages that one tick queues tasks for at most.
const STORAGES_MAX: u32 = 100;
/// What the daily verification reads at most: a whole storage of 1.5 TB in a month.
const DAILY_VERIFY_BYTES: u64 = 50 << 30;
const DAILY_VERIFY_LEVEL: u8 = 3;

/// One task that keeps a storage in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upkeep {
    Prune(PruneWork),
    Collect(CollectWork),
    Verify(VerifyWork),
}

impl Upkeep {
    fn daily(storage: StorageId) -> [Self; 3] {
        [
            Self::Prune(PruneWork { storage }),
            Self::Collect(CollectWork { storage }),
            Self::Verify(VerifyWork { storage, level: DAILY_VERIFY_LEVEL, bytes_max: Some(DAILY_VERIFY_BYTES) }),
        ]
    }

    fn task(&self, priority: Priority) -> NewTask {
        let (kind, open_key, work) = match self {
            Self::Prune(work) => (TaskKind::Prune, work.open_key(), to_json(work)),
            Self::Collect(work) => (TaskKind::Collect, work.open_key(), to_json(work)),
            Self::Verify(work) => (TaskKind::Verify, work.open_key(), to_json(work)),
        };
        NewTask {
            kind,
            priority,
            organization: OrganizationId::INSTALLATION,
            tenant: None,
            resource: None,
            run: None,
            restore: None,
            open_key: Some(open_key),
            exclusive_key: None,
            work,
        }
    }
}

impl Scheduler {
    /// Queues one task for a storage, or finds the one of its kind that is queued or running already. `None`: that one
    /// ended at this very moment.
    pub async fn start_upkeep(&self, upkeep: Upkeep) -> Result<Option<TaskId>, DbError> {
        let work = move |conn: &mut Conn| -> Result<Option<TaskId>, NoRefusal> {
            let task = upkeep.task(Priority::Manual);
            queue::enqueue(conn, std::slice::from_ref(&task))?;
            Ok(queue::open_task(conn, &task.open_key.unwrap_or_default())?)
        };
        let task = self.db.transaction("queue upkeep of a storage", work).await.map_err(only_db)?;
        self.queue.notify();
        Ok(task)
    }

    pub(super) async fn queue_upkeep(&self) -> Result<u64, DbError> {
        let work = |conn: &mut Conn| -> Result<u64, NoRefusal> {
            let due = storages::take_upkeep_due(conn, EVERY, STORAGES_MAX)?;
            let daily = due.into_iter().flat_map(Upkeep::daily);
            let tasks: Vec<NewTask> = daily.map(|upkeep| upkeep.task(Priority::Scheduled)).collect();
            Ok(queue::enqueue(conn, &tasks)?)
        };
        self.db.transaction("queue upkeep", work).await.map_err(only_db)
    }
}
