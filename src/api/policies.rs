//! `/policies`: how backups are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reference::Ref;
use crate::ids::{OrganizationId, PolicyId, StorageId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyView {
    pub id: PolicyId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub storage_id: StorageId,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPolicyBody {
    /// May be left out where there is only one.
    #[serde(default)]
    pub organization: Option<Ref>,
    pub name: String,
    pub storage: Ref,
}
