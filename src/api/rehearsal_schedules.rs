//! `/rehearsal_schedules`: when restores are rehearsed. An organization has one schedule at most.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::Created;
use super::content_rules::Asking;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::{Shared, rehearsals, resolve};
use crate::access::audit::Action;
use crate::ids::{OrganizationId, ResourceId};
use crate::restores::rehearsals::{
    NewSchedule, PER_FEATURE_DEFAULT, SandboxRule, Schedule, ScheduleError, remove_schedule, schedules, set_schedule,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRehearsalScheduleBody {
    /// Left out: the only one there is.
    #[serde(default)]
    pub organization: Option<Ref>,
    /// The sandbox: a user of the organization whose data do not matter.
    pub into: Ref,
    /// Items of each feature at most; 25 unless given.
    #[serde(default)]
    pub sample: Option<u32>,
    #[serde(default)]
    pub although_protected: bool,
    pub cron: String,
    /// An IANA name, such as `Europe/Prague`.
    pub time_zone: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RehearsalScheduleView {
    pub organization_id: OrganizationId,
    pub sandbox_resource_id: ResourceId,
    pub sample: u32,
    pub although_protected: bool,
    pub cron: String,
    pub time_zone: String,
    pub next_fire_at: Option<DateTime<Utc>>,
    /// Why the last firing began nothing.
    pub last_problem: Option<String>,
}

impl From<Schedule> for RehearsalScheduleView {
    fn from(schedule: Schedule) -> Self {
        Self {
            organization_id: schedule.organization,
            sandbox_resource_id: schedule.sandbox,
            sample: schedule.per_feature,
            although_protected: schedule.rule == SandboxRule::AlthoughProtected,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            next_fire_at: schedule.next_fire_at,
            last_problem: schedule.last_problem,
        }
    }
}

impl From<ScheduleError> for ApiError {
    fn from(err: ScheduleError) -> Self {
        match err {
            ScheduleError::Sandbox(err) => err.into(),
            ScheduleError::Timing(bad) => Self::Unprocessable(bad.to_string()),
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<RehearsalScheduleView>>> {
    let all = schedules(&app.db).await?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.organization, RehearsalScheduleView::from)?))
}

/// Sets the schedule; one that the organization had is replaced.
pub async fn set(
    app: Data<Shared>,
    asking: Asking,
    body: Json<NewRehearsalScheduleBody>,
) -> ApiResult<Created<RehearsalScheduleView>> {
    let body = body.into_inner();
    let organization = resolve::organization(&app, body.organization.as_ref()).await?;
    let sandbox = rehearsals::sandbox(&app, Some(&body.into)).await?;
    let new = NewSchedule {
        organization,
        sandbox: sandbox.id,
        rule: rehearsals::rule(&app, &sandbox, body.although_protected).await?,
        per_feature: body.sample.unwrap_or(PER_FEATURE_DEFAULT),
        cron: body.cron,
        time_zone: body.time_zone,
    };
    let details = json!({ "organization": organization, "sandbox": new.sandbox });
    asking.note(&app, Action::ScheduleRehearsals, details).await?;
    Ok(Created(set_schedule(&app.db, new).await?.into()))
}

pub async fn remove(
    app: Data<Shared>,
    asking: Asking,
    organization: Path<String>,
) -> ApiResult<Json<serde_json::Value>> {
    let organization = resolve::organization(&app, Some(&Ref::of(&organization))).await?;
    let details = json!({ "organization": organization, "sandbox": null });
    asking.note(&app, Action::ScheduleRehearsals, details).await?;
    if remove_schedule(&app.db, organization).await? {
        return Ok(Json(json!({ "organization_id": organization })));
    }
    Err(ApiError::NotFound(format!("organization {organization} has no schedule of rehearsals")))
}
