//! `/backups`: back up these resources now.

use actix_web::web::{Data, Json};
use serde::{Deserialize, Serialize};

use super::answer::Accepted;
use super::error::{ApiError, ApiResult};
use super::reference::Ref;
use super::schedules::RunStarted;
use super::{Shared, resolve};
use crate::ids::FeatureName;
use crate::scheduler::{ManualBackup, Target};

/// Resources that one request may name; more are backed up by a schedule.
const RESOURCES_MAX: usize = 1_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackupBody {
    /// Ids or addresses.
    pub resources: Vec<Ref>,
    pub features: Vec<FeatureName>,
    /// May be left out where there is only one.
    #[serde(default)]
    pub policy: Option<Ref>,
}

pub async fn start(app: Data<Shared>, body: Json<NewBackupBody>) -> ApiResult<Accepted<RunStarted>> {
    if !(1..=RESOURCES_MAX).contains(&body.resources.len()) {
        return Err(ApiError::Unprocessable(format!("name 1 to {RESOURCES_MAX} resources")));
    }
    resolve::check_features(&body.features)?;
    let policy = resolve::policy(&app, body.policy.as_ref()).await?;
    let resources = resolve::resource_ids(&app, None, &body.resources).await?;
    let backup = ManualBackup {
        organization: policy.organization,
        resources,
        features: body.features.clone(),
        target: Target::Policy(policy.id),
    };
    Ok(Accepted(RunStarted { run_id: app.scheduler.start_backup(backup).await? }))
}
