//! `/audit`: who was given content, and who decided about that.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::ApiResult;
use super::page::{Page, PageQuery};
use crate::access::audit::{self, Entry};
use crate::ids::AdminId;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditView {
    pub id: u64,
    pub at: DateTime<Utc>,
    pub admin_id: AdminId,
    /// As the admin was called then.
    pub admin_name: String,
    /// Where the request came from.
    pub address: String,
    /// `download_item`, `start_export`, `download_export` or `content_of_policy`.
    pub action: String,
    pub details: serde_json::Value,
}

impl From<Entry> for AuditView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            admin_id: entry.admin,
            admin_name: entry.admin_name,
            address: entry.address,
            action: entry.action,
            details: serde_json::from_str(&entry.details).unwrap_or(serde_json::Value::String(entry.details)),
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<AuditView>>> {
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?);
    let read = audit::list(&app.db, before, rows + 1).await?;
    Ok(Json(Page::cut(read, rows, |entry| entry.id, AuditView::from)))
}
