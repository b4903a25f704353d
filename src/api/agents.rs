//! `/agents`: the processes that have workers.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::ApiResult;
use super::{Page, Shared};
use crate::ids::AgentId;
use crate::queue::agents;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentView {
    pub id: AgentId,
    pub name: String,
    pub host: String,
    pub version: String,
    pub workers: u32,
    /// Tasks that it works on now.
    pub busy: u64,
    /// `active`, `paused` or `draining`.
    pub state: String,
    /// It sent a heartbeat lately.
    pub online: bool,
    pub started_at: DateTime<Utc>,
    pub heartbeat_at: DateTime<Utc>,
}

impl From<agents::AgentView> for AgentView {
    fn from(agent: agents::AgentView) -> Self {
        Self {
            id: agent.id,
            name: agent.name,
            host: agent.host,
            version: agent.version,
            workers: agent.workers,
            busy: agent.n_leased,
            state: agent.state.as_str().to_owned(),
            online: agent.online,
            started_at: agent.started_at,
            heartbeat_at: agent.heartbeat_at,
        }
    }
}

pub async fn list(app: Data<Shared>) -> ApiResult<Json<Page<AgentView>>> {
    let agents = agents::list(&app.db).await?;
    Ok(Json(Page::of_all(agents.into_iter().map(AgentView::from).collect())))
}
