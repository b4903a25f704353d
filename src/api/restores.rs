//! `/restores`: bringing items back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Page;
use super::reference::Ref;
use super::runs::ProgressView;
use crate::ids::{ChainId, ContainerId, FeatureName, OrganizationId, PointNumber, ResourceId, RestoreId, TaskId};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewRestoreBody {
    /// Either the chain, or `resource` and `feature`.
    pub chain: Option<ChainId>,
    pub resource: Option<Ref>,
    pub feature: Option<FeatureName>,
    /// Left out: the newest restore point.
    pub point: Option<PointNumber>,
    /// Left out: where the data came from.
    pub target_resource: Option<Ref>,
    /// A new folder at the top that receives everything; left out: each item in its own place.
    pub target_folder: Option<String>,
    /// Restores all that is directly in these; together with `items`: the union. Both left out: everything.
    pub containers: Option<Vec<ContainerId>>,
    /// Keys of items.
    pub items: Option<Vec<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreStarted {
    pub restore_id: RestoreId,
    pub task_id: TaskId,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreView {
    pub id: RestoreId,
    pub organization_id: OrganizationId,
    pub chain_id: ChainId,
    pub point: PointNumber,
    pub target_resource_id: ResourceId,
    pub target_folder: Option<String>,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// `queued`, `running`, `succeeded`, `incomplete`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed or what it waits for.
    pub last_error: Option<String>,
    pub progress: ProgressView,
    pub outcomes: OutcomeCountsView,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct OutcomeCountsView {
    pub created: u64,
    /// It was there already.
    pub skipped: u64,
    pub failed: u64,
    pub bytes: u64,
}

/// One restore, with what is worth saying about its items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreDetail {
    #[serde(flatten)]
    pub restore: RestoreView,
    /// Items that failed, or that came back with something missing.
    pub remarks: Page<OutcomeView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutcomeView {
    pub key: String,
    /// `created`, `skipped` or `failed`.
    pub outcome: String,
    pub remark: Option<String>,
    pub bytes: u64,
}
