//! `/policies`: how backups are kept.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Created;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::checked_name;
use super::{Shared, resolve};
use crate::catalog::Keep;
use crate::ids::{OrganizationId, PolicyId, StorageId};
use crate::scheduler::{self, Unacceptable};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyView {
    pub id: PolicyId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub storage_id: StorageId,
    pub keep: KeepBody,
    pub created_at: DateTime<Utc>,
}

/// For how long restore points are kept. A point that one of the rules keeps is kept; a rule of 0, or left out, is not
/// set; without any rule every point is kept. The newest point always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepBody {
    /// The newest points.
    pub last: u32,
    /// Every point of so many days before the newest one.
    pub days: u32,
    /// The newest point of each of so many days that have one; weeks, months and years alike.
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}

impl From<Keep> for KeepBody {
    fn from(keep: Keep) -> Self {
        let Keep { last, days, daily, weekly, monthly, yearly } = keep;
        Self { last, days, daily, weekly, monthly, yearly }
    }
}

impl From<KeepBody> for Keep {
    fn from(body: KeepBody) -> Self {
        let KeepBody { last, days, daily, weekly, monthly, yearly } = body;
        Self { last, days, daily, weekly, monthly, yearly }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPolicyBody {
    /// May be left out where there is only one.
    #[serde(default)]
    pub organization: Option<Ref>,
    pub name: String,
    pub storage: Ref,
    /// Left out: every restore point is kept.
    #[serde(default)]
    pub keep: KeepBody,
}

impl From<scheduler::PolicyView> for PolicyView {
    fn from(policy: scheduler::PolicyView) -> Self {
        Self {
            id: policy.id,
            organization_id: policy.organization,
            name: policy.name,
            storage_id: policy.storage,
            keep: policy.keep.into(),
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
    let id = app.scheduler.add_policy(organization, &name, storage, body.keep.into()).await?;
    Ok(Created(app.scheduler.policy(id).await?.into()))
}

/// Replaces the rules. What they give up is given up by the next prune of the storage.
pub async fn keep(app: Data<Shared>, policy: Path<String>, body: Json<KeepBody>) -> ApiResult<Json<PolicyView>> {
    let id = resolve::policy(&app, Some(&Ref::of(&policy))).await?.id;
    app.scheduler.set_keep(id, body.into_inner().into()).await?;
    Ok(Json(app.scheduler.policy(id).await?.into()))
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
