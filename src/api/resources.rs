//! `/resources`: the users that have data.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reference::Ref;
use crate::ids::{ResourceId, TenantId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceView {
    pub id: ResourceId,
    pub tenant_id: TenantId,
    pub kind: String,
    pub name: String,
    pub address: String,
    /// `active`, `disabled` or `deleted`.
    pub state: String,
    /// The last time that the directory listed it.
    pub seen_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceQuery {
    tenant: Option<Ref>,
    /// A part of the name or address.
    text: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}
