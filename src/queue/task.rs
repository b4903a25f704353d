//! What a task is: kinds, priorities, states, leases and outcomes.

use chrono::{DateTime, Utc};

use crate::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};

/// What a task does. An agent leases only the kinds it is given, so a newer kind waits for a newer agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// One feature of one resource: [`super::work::BackupWork`].
    Backup,
    /// One chain's part of a restore: [`super::work::RestoreWork`].
    Restore,
    /// The users of one tenant: [`super::work::SyncWork`].
    SyncResources,
    /// What retention gives up in one storage: [`super::work::PruneWork`].
    Prune,
    /// The space that nothing needs any more in one storage: [`super::work::CollectWork`].
    Collect,
    /// Whether one storage still holds what was stored: [`super::work::VerifyWork`].
    Verify,
    /// What restore points hold, as an archive at a path: [`super::work::ExportWork`].
    Export,
    /// The end of such an archive: [`super::work::ExpireExportWork`].
    ExpireExport,
    /// What became of a rehearsal's restore: [`super::work::RehearseWork`].
    Rehearse,
}

impl TaskKind {
    pub const ALL: [Self; 9] = [
        Self::Backup,
        Self::Restore,
        Self::SyncResources,
        Self::Prune,
        Self::Collect,
        Self::Verify,
        Self::Export,
        Self::ExpireExport,
        Self::Rehearse,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::SyncResources => "sync_resources",
            Self::Prune => "prune",
            Self::Collect => "collect",
            Self::Verify => "verify",
            Self::Export => "export",
            Self::ExpireExport => "expire_export",
            Self::Rehearse => "rehearse",
        }
    }

    /// `None`: a kind of another version.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl std::fmt::Display for TaskKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How urgent a task is. The column holds the number; the lower one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody waits for lost data.
    Restore,
    /// Somebody pressed a button.
    Manual,
    Scheduled,
}

impl Priority {
    pub const fn number(self) -> u8 {
        match self {
            Self::Restore => 10,
            Self::Manual => 20,
            Self::Scheduled => 30,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    Queued,
    Leased,
    Succeeded,
    Failed,
    Cancelled,
}

impl TaskState {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Leased, Self::Succeeded, Self::Failed, Self::Cancelled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Nothing changes such a task any more.
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Queued | Self::Leased => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl std::fmt::Display for TaskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task that is to be queued.
#[derive(Clone, Debug)]
pub struct NewTask {
    pub kind: TaskKind,
    pub priority: Priority,
    pub organization: OrganizationId,
    pub tenant: Option<TenantId>,
    pub resource: Option<ResourceId>,
    pub run: Option<RunId>,
    pub restore: Option<RestoreId>,
    /// JSON of the struct that [`super::work`] has for the kind.
    pub work: String,
    /// At most one *leased* task has this key: ASCII, at most [`NewTask::KEY_BYTES_MAX`] bytes.
    pub exclusive_key: Option<String>,
    /// At most one *unfinished* task has this key; a second one is not queued. Bounds as above.
    pub open_key: Option<String>,
}

impl NewTask {
    /// The length of the columns `exclusive_key` and `open_key`.
    pub const KEY_BYTES_MAX: usize = 96;

    /// What is wrong with a key that its column cannot hold.
    pub(super) fn unfit(&self) -> Option<String> {
        let fits = |key: &&String| key.is_ascii() && key.len() <= Self::KEY_BYTES_MAX;
        let unfit = [&self.exclusive_key, &self.open_key].into_iter().flatten().find(|key| !fits(key))?;
        Some(format!("the key {unfit:?} of a {} task is not ASCII of at most {} bytes", self.kind, Self::KEY_BYTES_MAX))
    }
}

/// The right to work on a task until it expires; `epoch` tells this lease from every other of the same task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    pub task: TaskId,
    pub epoch: u32,
}

/// The lease expired or the task was given to somebody else: stop, and commit nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease on task {task} is lost")]
pub struct LeaseLost {
    pub task: TaskId,
}

/// A task as the agent that leased it sees it.
#[derive(Clone, Debug)]
pub struct LeasedTask {
    pub id: TaskId,
    pub lease: Lease,
    pub kind: TaskKind,
    pub work: String,
    pub organization: OrganizationId,
    pub tenant: Option<TenantId>,
    pub resource: Option<ResourceId>,
    pub run: Option<RunId>,
    pub restore: Option<RestoreId>,
    /// How many attempts failed or were lost before this one.
    pub attempts: u32,
    pub agent: AgentId,
    /// By the database's clock, and only for display: an agent measures its lease from before it asked.
    pub expires_at: DateTime<Utc>,
}

/// How a task ended, as its worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded {
        /// JSON that the kind defines.
        result: String,
        /// Items that were not captured or restored this time; any makes the run incomplete.
        n_issues: u64,
    },
    /// For good: a retry would not help. See [`super::Queue::retry`] for the rest.
    Failed {
        error: String,
    },
    Cancelled,
}

/// What a worker tells about a task that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// A word or two for people: "inbox", "listing folders".
    pub phase: String,
    pub items_done: u64,
    pub items_total: Option<u64>,
    pub bytes_done: u64,
    /// What holds the task up just now, such as "throttled by Microsoft until 10:42".
    pub waits_for: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_states_survive_the_way_to_the_column_and_back() {
        for kind in TaskKind::ALL {
            assert_eq!(TaskKind::parse(kind.as_str()), Some(kind));
        }
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
        assert_eq!(TaskKind::parse("from_the_future"), None);
    }

    #[test]
    fn restores_go_before_manual_backups_before_scheduled_ones() {
        assert!(Priority::Restore.number() < Priority::Manual.number());
        assert!(Priority::Manual.number() < Priority::Scheduled.number());
    }
}
