//! `/issues`: items that could not be backed up.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::{self, ChainWanted};
use crate::catalog::{self, OpenIssue};
use crate::ids::{ChainId, ContainerId, FeatureName, ItemKey};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueView {
    pub chain_id: ChainId,
    /// 32 hexadecimal digits.
    pub key: String,
    pub container_id: ContainerId,
    pub name: String,
    pub reason: String,
    pub message: String,
    pub attempts: u32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

impl IssueView {
    fn new(chain_id: ChainId, open: OpenIssue) -> Self {
        Self {
            chain_id,
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
    let chain = resolve::chain(&app, wanted).await?.id;
    let read = move |conn: &mut crate::db::Conn| catalog::issues::list(conn, chain, after, rows + 1);
    let read = app.db.run("list issues", read).await?;
    Ok(Json(Page::cut(read, rows, |open| open.key.to_string(), |open| IssueView::new(chain, open))))
}

/// The key of an item as requests and cursors write it.
pub fn parse_key(text: &str) -> ApiResult<ItemKey> {
    let key = ItemKey::from_hex(text);
    key.ok_or_else(|| ApiError::BadRequest(format!("the key of an item is 32 hexadecimal digits, not \"{text}\"")))
}
