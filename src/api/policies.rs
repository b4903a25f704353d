//! `/policies`: how backups are kept.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Created;
use super::content_rules::Asking;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::checked_name;
use super::{Shared, resolve};
use crate::access::audit::Action;
use crate::catalog::Keep;
use crate::features::FeatureOptions;
use crate::ids::{OrganizationId, PolicyId, StorageId};
use crate::scheduler::{self, ContentDownload, NewPolicy, Unacceptable};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyView {
    pub id: PolicyId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub storage_id: StorageId,
    pub keep: KeepBody,
    /// What is captured: every option of every feature with its value, chosen or not.
    pub options: Value,
    /// Whether anybody is handed out content of chains under it. Restores are not touched.
    pub content_download: bool,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOutBody {
    pub content_download: bool,
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
    /// By feature and name, such as `{"onedrive": {"permissions": true}}`; what is not named has its default.
    #[serde(default)]
    pub options: Option<Value>,
}

impl PolicyView {
    fn new(policy: scheduler::PolicyView) -> ApiResult<Self> {
        let options = FeatureOptions::parse(&policy.options).map_err(|why| {
            ApiError::internal(&anyhow::anyhow!("policy {} has options that cannot be read: {why}", policy.id))
        })?;
        Ok(Self {
            id: policy.id,
            organization_id: policy.organization,
            name: policy.name,
            storage_id: policy.storage,
            keep: policy.keep.into(),
            options: options.to_json(),
            content_download: policy.content_download == ContentDownload::Allowed,
            created_at: policy.created_at,
        })
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<PolicyView>>> {
    let all = app.scheduler.policies(None).await?;
    let all = all.into_iter().map(PolicyView::new).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.id, |one| one)?))
}

pub async fn show(app: Data<Shared>, policy: Path<String>) -> ApiResult<Json<PolicyView>> {
    let found = resolve::policy(&app, Some(&Ref::of(&policy))).await?;
    Ok(Json(PolicyView::new(found)?))
}

pub async fn add(app: Data<Shared>, body: Json<NewPolicyBody>) -> ApiResult<Created<PolicyView>> {
    let name = checked_name("policy", &body.name)?;
    let organization = resolve::organization(&app, body.organization.as_ref()).await?;
    let storage = resolve::storage(&app, &body.storage).await?;
    let options = match &body.options {
        Some(chosen) => FeatureOptions::changed("{}", chosen).map_err(ApiError::Unprocessable)?,
        None => "{}".to_owned(),
    };
    let new = NewPolicy { organization, name, storage, keep: body.keep.into(), options };
    let id = app.scheduler.add_policy(new).await?;
    Ok(Created(PolicyView::new(app.scheduler.policy(id).await?)?))
}

/// Changes the options that are named, by feature and name; `null` gives one its default again. The next run of each
/// chain under the policy goes by it and walks whole: what is wanted now may be among what was passed over.
pub async fn choose(app: Data<Shared>, policy: Path<String>, body: Json<Value>) -> ApiResult<Json<PolicyView>> {
    let id = resolve::policy(&app, Some(&Ref::of(&policy))).await?.id;
    let change = body.into_inner();
    app.scheduler.change_options(id, move |before| FeatureOptions::changed(before, &change)).await?;
    Ok(Json(PolicyView::new(app.scheduler.policy(id).await?)?))
}

/// Replaces the rules. What they give up is given up by the next prune of the storage.
pub async fn keep(app: Data<Shared>, policy: Path<String>, body: Json<KeepBody>) -> ApiResult<Json<PolicyView>> {
    let id = resolve::policy(&app, Some(&Ref::of(&policy))).await?.id;
    app.scheduler.set_keep(id, body.into_inner().into()).await?;
    Ok(Json(PolicyView::new(app.scheduler.policy(id).await?)?))
}

/// Allows or forbids that content of chains under the policy is looked at, downloaded and exported.
pub async fn hand_out(
    app: Data<Shared>,
    asking: Asking,
    policy: Path<String>,
    body: Json<HandOutBody>,
) -> ApiResult<Json<PolicyView>> {
    let id = resolve::policy(&app, Some(&Ref::of(&policy))).await?.id;
    let HandOutBody { content_download } = body.into_inner();
    let details = json!({ "policy": id, "content_download": content_download });
    asking.note(&app, Action::ContentOfPolicy, details).await?;
    let to = if content_download { ContentDownload::Allowed } else { ContentDownload::Forbidden };
    app.scheduler.set_content_download(id, to).await?;
    Ok(Json(PolicyView::new(app.scheduler.policy(id).await?)?))
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
