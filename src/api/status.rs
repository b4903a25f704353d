//! `/status`: how everything stands, on one page.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::agents::AgentView;
use super::error::ApiResult;
use super::readers::storage_error;
use super::rehearsals::ScoreView;
use super::storages::{self, StorageView};
use crate::catalog::rehearsals;
use crate::db::{Conn, QueryResult};
use crate::ids::RehearsalId;
use crate::queue::agents;
use crate::{catalog, repository};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    pub version: String,
    pub agents: Vec<AgentView>,
    pub tasks: OpenTasks,
    pub chains: ChainCounts,
    pub open_issues: u64,
    /// The newest rehearsal that went to its end; `null`: there was none.
    pub rehearsal: Option<LastRehearsal>,
    pub storages: Vec<StorageView>,
}

/// How faithful restores were when that was tried last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LastRehearsal {
    pub id: RehearsalId,
    pub finished_at: DateTime<Utc>,
    #[serde(flatten)]
    pub total: ScoreView,
}

/// Tasks that have not ended.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct OpenTasks {
    pub queued: u64,
    pub leased: u64,
}

/// Chains by state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChainCounts {
    /// All of them, with exceptions or without.
    pub protected: u64,
    /// Chains with items that could not be captured.
    pub with_exceptions: u64,
    pub unprotected: u64,
    pub not_applicable: u64,
    /// Chains that hold something that a search does not look at, until `kodo rebuild-catalog`.
    pub unsearched: u64,
}

pub async fn show(app: Data<Shared>) -> ApiResult<Json<StatusView>> {
    let agents = agents::list(&app.db).await?;
    let open = app.queue.open_counts().await?;
    let chains = app.db.run("count chains", catalog::chains::counts_by_state).await?;
    let unsearched = app.db.run("count chains without words", catalog::chains::n_unsearched).await?;
    let open_issues = app.db.run("count issues", catalog::issues::total).await?;
    let with_exceptions = app.db.run("count chains with issues", catalog::issues::chains_with_any).await?;
    let rehearsal = app.db.run("read the newest rehearsal", newest_rehearsal).await?;
    let mut storages = Vec::new();
    for storage in repository::list_storages(&app.db).await.map_err(storage_error)? {
        storages.push(storages::view(&app, storage).await?);
    }
    let in_state = |wanted: &str| chains.iter().find(|(state, _)| state == wanted).map_or(0, |(_, n)| *n);
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        agents: agents.into_iter().map(AgentView::from).collect(),
        tasks: OpenTasks { queued: open.queued, leased: open.leased },
        chains: ChainCounts {
            protected: in_state("protected"),
            with_exceptions,
            unprotected: in_state("unprotected"),
            not_applicable: in_state("not_applicable"),
            unsearched,
        },
        open_issues,
        rehearsal,
        storages,
    }))
}

fn newest_rehearsal(conn: &mut Conn) -> QueryResult<Option<LastRehearsal>> {
    let Some(newest) = rehearsals::newest_finished(conn)? else { return Ok(None) };
    let Some(finished_at) = newest.finished_at else { return Ok(None) };
    let total = ScoreView::sum(&rehearsals::scores(conn, newest.id)?);
    Ok(Some(LastRehearsal { id: newest.id, finished_at, total }))
}
