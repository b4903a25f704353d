//! `/tenants`: Entra tenants, the credentials KODO has for them, and whether these work.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::reference::Ref;
use crate::ids::{OrganizationId, TaskId, TenantId};
use crate::secret::Secret;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantView {
    pub id: TenantId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    /// `secret` or `certificate`; the credential itself is never given out.
    pub credential_kind: String,
    /// `unchecked`, `ready` or `failing`.
    pub state: String,
    /// What to fix when it is failing.
    pub state_detail: Option<String>,
    pub checked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenantBody {
    /// May be left out where there is only one.
    pub organization: Option<Ref>,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    pub client_secret: Option<Secret<String>>,
    pub certificate: Option<CertificateBody>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateBody {
    /// PEM
    pub certificate: String,
    /// PEM
    pub private_key: Secret<String>,
}

/// A task was queued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskStarted {
    pub task_id: TaskId,
}
