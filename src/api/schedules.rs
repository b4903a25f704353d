//! `/schedules`: who, what and when.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::{Accepted, Created};
use super::error::ApiResult;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::checked_name;
use super::{Shared, resolve};
use crate::ids::{FeatureName, OrganizationId, PolicyId, ResourceId, RunId, ScheduleId, TenantId};
use crate::scheduler::{self, Enabled, NewSchedule, Selection, Who};

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

impl From<Selection> for SelectionView {
    fn from(selection: Selection) -> Self {
        let (everyone, resources) = match selection.who {
            Who::Everyone => (true, Vec::new()),
            Who::Resources(resources) => (false, resources),
        };
        Self { tenant_id: selection.tenant, everyone, resources }
    }
}

impl From<scheduler::ScheduleView> for ScheduleView {
    fn from(schedule: scheduler::ScheduleView) -> Self {
        Self {
            id: schedule.id,
            organization_id: schedule.organization,
            policy_id: schedule.policy,
            name: schedule.name,
            selection: schedule.selection.into(),
            features: schedule.features,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            enabled: schedule.enabled == Enabled::Yes,
            next_fire_at: schedule.next_fire_at,
            created_at: schedule.created_at,
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<ScheduleView>>> {
    let all = app.scheduler.schedules(None).await?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.id, ScheduleView::from)?))
}

pub async fn add(app: Data<Shared>, body: Json<NewScheduleBody>) -> ApiResult<Created<ScheduleView>> {
    let body = body.into_inner();
    let tenant = resolve::tenant(&app, &body.tenant).await?;
    let policy = resolve::policy(&app, Some(&body.policy)).await?;
    resolve::check_features(&body.features)?;
    let who = match body.resources {
        None => Who::Everyone,
        Some(named) => Who::Resources(resolve::resource_ids(&app, Some(tenant.id), &named).await?),
    };
    let new = NewSchedule {
        organization: tenant.organization,
        policy: policy.id,
        name: checked_name("schedule", &body.name)?,
        selection: Selection { tenant: tenant.id, who },
        features: body.features,
        cron: body.cron,
        time_zone: body.time_zone,
        enabled: Enabled::Yes,
    };
    let id = app.scheduler.add_schedule(new).await?;
    Ok(Created(app.scheduler.schedule(id).await?.into()))
}

/// Fires the schedule now; its next firing stays as it is.
pub async fn run(app: Data<Shared>, schedule: Path<String>) -> ApiResult<Accepted<RunStarted>> {
    let schedule = resolve::schedule(&app, &Ref::of(&schedule)).await?;
    Ok(Accepted(RunStarted { run_id: app.scheduler.start_now(schedule).await? }))
}
