//! Who was given content or had it brought back, and who decided about that. Rows are added and never changed or deleted.

mod sql;

use chrono::{DateTime, Utc};

use super::Caller;
use crate::db::{Conn, Db, DbError};
use crate::ids::AdminId;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Took the content of one item.
    DownloadItem,
    /// Looked at what one item says.
    PreviewItem,
    /// Asked for an export.
    StartExport,
    /// Took an export.
    DownloadExport,
    /// Asked for a restore.
    StartRestore,
    /// Stopped what was left of a restore.
    CancelRestore,
    /// Had a restore try again what failed or was left undone.
    RetryRestore,
    /// Asked for a rehearsal: for some minutes the owner of the sandbox has a sample of what others have.
    StartRehearsal,
    /// Stopped a rehearsal.
    CancelRehearsal,
    /// Decided that there are rehearsals from time to time, or none any more.
    ScheduleRehearsals,
    /// Said of a policy whether content under it is handed out.
    ContentOfPolicy,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DownloadItem => "download_item",
            Self::PreviewItem => "preview_item",
            Self::StartExport => "start_export",
            Self::DownloadExport => "download_export",
            Self::StartRestore => "start_restore",
            Self::CancelRestore => "cancel_restore",
            Self::RetryRestore => "retry_restore",
            Self::StartRehearsal => "start_rehearsal",
            Self::CancelRehearsal => "cancel_rehearsal",
            Self::ScheduleRehearsals => "schedule_rehearsals",
            Self::ContentOfPolicy => "content_of_policy",
        }
    }
}

/// One line of the trail.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: u64,
    pub at: DateTime<Utc>,
    pub admin: AdminId,
    /// As the admin was called then.
    pub admin_name: String,
    /// Where the request came from.
    pub address: String,
    pub action: String,
    /// JSON that the action defines: ids, never names of people or things.
    pub details: String,
}

/// Writes a line, by the database's clock. What it speaks of is done only when this has succeeded.
pub async fn note(
    db: &Db,
    caller: &Caller,
    address: &str,
    action: Action,
    details: serde_json::Value,
) -> Result<(), DbError> {
    let line = sql::NewLine {
        admin_id: caller.admin.get(),
        admin_name: caller.name.clone(),
        address: address.to_owned(),
        action: action.as_str().to_owned(),
        details: details.to_string(),
    };
    let write = move |conn: &mut Conn| Ok(sql::insert(conn, &line)?);
    db.transaction("write to the audit trail", write).await.map_err(super::only_db)
}

/// Newest first, older than `before`.
pub async fn list(db: &Db, before: Option<u64>, limit: u32) -> Result<Vec<Entry>, DbError> {
    let rows = db.run("read the audit trail", move |conn| sql::list(conn, before, limit)).await?;
    let entry = |row: sql::Line| Entry {
        id: row.id,
        at: row.at.and_utc(),
        admin: AdminId::new(row.admin_id),
        admin_name: row.admin_name,
        address: row.address,
        action: row.action,
        details: row.details,
    };
    Ok(rows.into_iter().map(entry).collect())
}
