//! `/schedules`: who, what and when.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reference::Ref;
use crate::ids::{FeatureName, OrganizationId, PolicyId, ResourceId, RunId, ScheduleId, TenantId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScheduleView {
    pub id: ScheduleId,
    pub organization_id: OrganizationId,
    pub policy_id: PolicyId,
    pub name: String,
    pub selection: SelectionView,
    pub features: Vec<FeatureName>,
    pub cron: String,
    pub time_zone: String,
    pub enabled: bool,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Who: everyone of a tenant, or the resources that are named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SelectionView {
    pub tenant_id: TenantId,
    pub everyone: bool,
    pub resources: Vec<ResourceId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScheduleBody {
    pub name: String,
    pub policy: Ref,
    pub tenant: Ref,
    /// Ids or addresses; left out: everyone of the tenant.
    #[serde(default)]
    pub resources: Option<Vec<Ref>>,
    pub features: Vec<FeatureName>,
    pub cron: String,
    /// An IANA name, such as `Europe/Prague`.
    pub time_zone: String,
}

/// A run was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunStarted {
    pub run_id: RunId,
}
