//! `/policies`: how backups are kept.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Created;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::checked_name;
use super::{Shared, resolve};
use crate::ids::{OrganizationId, PolicyId, StorageId};
use crate::scheduler::{self, Unacceptable};

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

impl From<scheduler::PolicyView> for PolicyView {
    fn from(policy: scheduler::PolicyView) -> Self {
        Self {
            id: policy.id,
            organization_id: policy.organization,
            name: policy.name,
            storage_id: policy.storage,
            created_at: policy.created_at,
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<PolicyView>>> {
    let all = app.scheduler.policies(None).await?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.id, PolicyView::from)?))
}

pub async fn add(app: Data<Shared>, body: Json<NewPolicyBody>) -> ApiResult<Created<PolicyView>> {
    let name = checked_name("policy", &body.name)?;
    let organization = resolve::organization(&app, body.organization.as_ref()).await?;
    let storage = resolve::storage(&app, &body.storage).await?;
    let id = app.scheduler.add_policy(organization, &name, storage).await?;
    Ok(Created(app.scheduler.policy(id).await?.into()))
}

impl From<Unacceptable> for ApiError {
    fn from(err: Unacceptable) -> Self {
        match err {
            Unacceptable::Timing(_) | Unacceptable::Invalid(_) => Self::Unprocessable(err.to_string()),
            Unacceptable::NameTaken(_) => Self::Conflict(err.to_string()),
            Unacceptable::Missing(_) => Self::NotFound(err.to_string()),
            Unacceptable::Db(err) => err.into(),
        }
    }
}
