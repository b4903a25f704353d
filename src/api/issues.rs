//! `/issues`: items that could not be backed up.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use crate::catalog::{self, Chain, OpenIssue};
use crate::ids::{ChainId, ContainerId, FeatureName, ItemKey, PointNumber};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueView {
    pub chain_id: ChainId,
    /// 32 hexadecimal digits.
    pub key: String,
    pub container_id: ContainerId,
    pub name: String,
    pub reason: String,
    /// Its cause is permanent and documented, such as malware that Microsoft found in it.
    pub skipped: bool,
    pub message: String,
    /// Backups that failed to capture it, one after the other.
    pub attempts: u32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// 1: the next backup asks for it again; `null`: none does until Microsoft reports it anew.
    pub next_in_runs: Option<u32>,
}

impl IssueView {
    fn new(chain: &Chain, open: OpenIssue) -> Self {
        // The next backup writes the point behind the newest.
        let runs = open.next_point.get().saturating_sub(chain.last_point).max(1);
        Self {
            chain_id: chain.id,
            next_in_runs: (open.next_point != PointNumber::OPEN).then_some(runs),
            skipped: open.issue.skipped,
            key: open.key.to_string(),
            container_id: open.issue.container,
            name: open.issue.name,
            reason: open.issue.reason,
            message: open.issue.message,
            attempts: open.attempts,
            first_at: open.first_at,
            last_at: open.last_at,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuesQuery {
    chain: Option<ChainId>,
    resource: Option<Ref>,
    feature: Option<FeatureName>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// The open issues of one chain, in the order of their keys.
pub async fn list(app: Data<Shared>, query: Query<IssuesQuery>) -> ApiResult<Json<Page<IssueView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let (rows, after) = (page.rows(app.rows_max)?, page.after::<String>()?);
    let after = after.as_deref().map(parse_key).transpose()?;
    let wanted = ChainWanted { chain: query.chain, resource: query.resource.as_ref(), feature: query.feature.as_ref() };
    let chain = resolve::chain(&app, wanted).await?;
    let id = chain.id;
    let read = move |conn: &mut crate::db::Conn| catalog::issues::list(conn, id, after, rows + 1);
    let read = app.db.run("list issues", read).await?;
    Ok(Json(Page::cut(read, rows, |open| open.key.to_string(), |open| IssueView::new(&chain, open))))
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    /// Either the chain, or `resource` and `feature`.
    #[serde(default)]
    pub chain: Option<ChainId>,
    #[serde(default)]
    pub resource: Option<Ref>,
    #[serde(default)]
    pub feature: Option<FeatureName>,
    /// The key of one item; left out: all of the chain.
    #[serde(default)]
    pub item: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RetryView {
    pub chain_id: ChainId,
    /// Items that the next backup of the chain asks for again.
    pub items: u64,
}

/// Has the next backup ask again for items that could not be captured, also for those that were not due or skipped.
pub async fn retry(app: Data<Shared>, body: Json<RetryBody>) -> ApiResult<Json<RetryView>> {
    let wanted = ChainWanted { chain: body.chain, resource: body.resource.as_ref(), feature: body.feature.as_ref() };
    let key = body.item.as_deref().map(parse_key).transpose()?;
    let chain_id = resolve::chain(&app, wanted).await?.id;
    let ask = move |conn: &mut crate::db::Conn| catalog::issues::ask_again(conn, chain_id, key);
    let items = app.db.run("ask again for items", ask).await?;
    match (key, items) {
        (Some(key), 0) => Err(ApiError::NotFound(format!("item {key} of chain {chain_id} has no open issue"))),
        _ => Ok(Json(RetryView { chain_id, items })),
    }
}

/// The key of an item as requests and cursors write it.
pub fn parse_key(text: &str) -> ApiResult<ItemKey> {
    let key = ItemKey::from_hex(text);
    key.ok_or_else(|| ApiError::BadRequest(format!("the key of an item is 32 hexadecimal digits, not \"{text}\"")))
}
