//! `/chains` and `/points`: what is protected, and as of when.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Accepted;
use super::error::{ApiError, ApiResult};
use super::moment::PointWanted;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use super::tenants::TaskStarted;
use super::{Shared, upkeep};
use crate::catalog::issues::IssueCounts;
use crate::catalog::points::GaveUp;
use crate::catalog::{self, Chain, PointRow, PointState};
use crate::db::Conn;
use crate::ids::{ChainId, FeatureName, PointNumber, PolicyId, ResourceId, RunId, StorageId};
use crate::queue::work::PruneWork;
use crate::scheduler::Upkeep;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainView {
    pub id: ChainId,
    pub resource_id: ResourceId,
    pub feature: FeatureName,
    pub storage_id: StorageId,
    /// `unprotected`, `protected`, `protected_with_exceptions`, `not_applicable` or `rebuilding`.
    pub state: String,
    pub state_detail: Option<String>,
    /// The newest restore point.
    pub last_point: Option<PointNumber>,
    pub sealed_at: Option<DateTime<Utc>>,
    /// The policy that says for how long its points are kept; without one, all are.
    pub policy_id: Option<PolicyId>,
    /// Items that could not be captured: they have open issues.
    pub exceptions: u64,
    /// Those of them that have a permanent, documented cause.
    pub skipped: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PointView {
    pub chain_id: ChainId,
    pub number: PointNumber,
    /// `sealed`; `open` while its backup works; `given_up` by hand and `expiring` on its way out.
    pub state: String,
    pub run_id: Option<RunId>,
    pub started_at: DateTime<Utc>,
    pub sealed_at: Option<DateTime<Utc>>,
    pub items: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub issues: u64,
    pub bytes_read: u64,
    pub bytes_stored: u64,
}

/// The state of a chain as it is shown: protected, with exceptions, is a state of its own.
pub fn shown_state(chain: &Chain, issues: IssueCounts) -> &str {
    match chain.state.as_str() {
        "protected" if issues.open > 0 => "protected_with_exceptions",
        state => state,
    }
}

impl ChainView {
    pub fn new(chain: Chain, issues: IssueCounts) -> Self {
        Self {
            state: shown_state(&chain, issues).to_owned(),
            exceptions: issues.open,
            skipped: issues.skipped,
            id: chain.id,
            resource_id: chain.key.resource,
            feature: chain.key.feature,
            storage_id: chain.key.storage,
            state_detail: chain.state_detail,
            last_point: (chain.last_point > 0).then(|| PointNumber::new(chain.last_point)),
            sealed_at: chain.sealed_at,
            policy_id: chain.policy,
        }
    }
}

impl From<PointRow> for PointView {
    fn from(point: PointRow) -> Self {
        Self {
            chain_id: point.chain,
            number: point.number,
            state: point.state.as_str().to_owned(),
            run_id: point.run,
            started_at: point.started_at,
            sealed_at: point.sealed_at,
            items: point.n_items,
            added: point.counts.added,
            changed: point.counts.changed,
            removed: point.counts.removed,
            issues: point.n_issues,
            bytes_read: point.counts.bytes_read,
            bytes_stored: point.counts.bytes_stored,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeletePointBody {
    /// Either the chain, or `resource` and `feature`.
    #[serde(default)]
    pub chain: Option<ChainId>,
    #[serde(default)]
    pub resource: Option<Ref>,
    #[serde(default)]
    pub feature: Option<FeatureName>,
    pub point: PointNumber,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainsQuery {
    resource: Option<Ref>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsQuery {
    chain: Option<ChainId>,
    resource: Option<Ref>,
    feature: Option<FeatureName>,
    /// Only the points that were sealed by then; the first of them is what the chain was as of then.
    as_of: Option<DateTime<Utc>>,
    limit: Option<u32>,
    cursor: Option<String>,
}

pub async fn chains(app: Data<Shared>, query: Query<ChainsQuery>) -> ApiResult<Json<Page<ChainView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let (rows, after) = (page.rows(app.rows_max)?, page.after()?.unwrap_or(ChainId::new(0)));
    let resource = match &query.resource {
        Some(wanted) => Some(resolve::resource(&app, wanted).await?.id),
        None => None,
    };
    let read = resolve::chains(&app, resource, after, rows + 1).await?;
    let ids: Vec<ChainId> = read.iter().map(|chain| chain.id).collect();
    let count = move |conn: &mut Conn| catalog::issues::counts_of(conn, &ids);
    let issues = app.db.run("count issues", count).await?;
    let view = |chain: Chain| {
        let issues = issues.get(&chain.id).copied().unwrap_or_default();
        ChainView::new(chain, issues)
    };
    Ok(Json(Page::cut(read, rows, |chain| chain.id, view)))
}

/// The points of one chain, newest first.
pub async fn list(app: Data<Shared>, query: Query<PointsQuery>) -> ApiResult<Json<Page<PointView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let (rows, mut before) = (page.rows(app.rows_max)?, page.after()?.unwrap_or(PointNumber::OPEN));
    let wanted = ChainWanted { chain: query.chain, resource: query.resource.as_ref(), feature: query.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    if let Some(moment) = query.as_of {
        let newest = PointWanted::AsOf(moment).resolve(&app, &chain).await?;
        before = before.min(PointNumber::new(newest.get().saturating_add(1)));
    }
    let chain = chain.id;
    let read = move |conn: &mut Conn| catalog::points::list(conn, chain, before, rows + 1);
    let read = app.db.run("list restore points", read).await?;
    Ok(Json(Page::cut(read, rows, |point| point.number, PointView::from)))
}

/// Gives up one sealed point, and starts the prune that deletes what only it needed. Safe to repeat.
pub async fn delete(app: Data<Shared>, body: Json<DeletePointBody>) -> ApiResult<Accepted<TaskStarted>> {
    let wanted = ChainWanted { chain: body.chain, resource: body.resource.as_ref(), feature: body.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    let (id, point) = (chain.id, body.point);
    let give_up = move |conn: &mut Conn| {
        let gave_up = catalog::points::give_up(conn, id, point)?;
        Ok((gave_up, catalog::points::get(conn, id, point)?.map(|row| row.state)))
    };
    match app.db.run("give up a restore point", give_up).await? {
        (GaveUp::Yes, _) | (GaveUp::NotSealed, Some(PointState::GivenUp | PointState::Expiring)) => {
            upkeep::start(&app, Upkeep::Prune(PruneWork { storage: chain.key.storage })).await
        }
        (GaveUp::Newest, _) => Err(ApiError::Conflict(format!(
            "point {point} is the newest of chain {id}, and the next backup builds on it: back up again first"
        ))),
        (GaveUp::NotSealed, Some(PointState::Open | PointState::Sealed | PointState::Aside)) => {
            Err(ApiError::Conflict(format!("point {point} of chain {id} is still being written")))
        }
        (GaveUp::NotSealed, None) => Err(ApiError::not_found("point", format!("{point} of chain {id}"))),
    }
}
