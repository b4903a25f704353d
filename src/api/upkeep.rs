//! `/storages/{storage}/…`: the tasks that keep a storage in order, started by hand.

use actix_web::web::{Data, Json, Path};
use serde::{Deserialize, Serialize};

use super::answer::Accepted;
use super::error::{ApiError, ApiResult};
use super::reference::Ref;
use super::tenants::TaskStarted;
use super::{Shared, resolve};
use crate::queue::work::{CollectWork, PruneWork, VerifyWork};
use crate::scheduler::Upkeep;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// 1 to 4; 3 unless given.
    #[serde(default)]
    pub level: Option<u8>,
    /// Stored bytes to read at most; all unless given.
    #[serde(default)]
    pub bytes_max: Option<u64>,
}

pub async fn prune(app: Data<Shared>, storage: Path<String>) -> ApiResult<Accepted<TaskStarted>> {
    let storage = resolve::storage(&app, &Ref::of(&storage)).await?;
    start(&app, Upkeep::Prune(PruneWork { storage })).await
}

pub async fn collect(app: Data<Shared>, storage: Path<String>) -> ApiResult<Accepted<TaskStarted>> {
    let storage = resolve::storage(&app, &Ref::of(&storage)).await?;
    start(&app, Upkeep::Collect(CollectWork { storage })).await
}

pub async fn verify(
    app: Data<Shared>,
    storage: Path<String>,
    body: Json<VerifyBody>,
) -> ApiResult<Accepted<TaskStarted>> {
    let storage = resolve::storage(&app, &Ref::of(&storage)).await?;
    let level = body.level.unwrap_or(3);
    if !(1..=4).contains(&level) {
        return Err(ApiError::Unprocessable(format!("there is no level {level} of verification: give 1 to 4")));
    }
    start(&app, Upkeep::Verify(VerifyWork { storage, level, bytes_max: body.bytes_max })).await
}

pub(super) async fn start(app: &Shared, upkeep: Upkeep) -> ApiResult<Accepted<TaskStarted>> {
    match app.scheduler.start_upkeep(upkeep).await? {
        Some(task_id) => Ok(Accepted(TaskStarted { task_id })),
        None => Err(ApiError::Conflict("such a task of this storage ended just now: ask again".to_owned())),
    }
}
