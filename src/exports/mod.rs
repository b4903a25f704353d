//! A request to hand content out as files, and how far it has come.
//!
//! Owns: the table `exports`, what makes a request acceptable, and the task that carries it out. Does not own: the files
//! (`files`), the writing to a path (`workers`), whether somebody may have content (`api`).
//!
//! An export is downloaded, and then it is written while it is read and lies nowhere; or an agent writes it into a
//! directory that its configuration allows, where it is deleted after a time.
//!
//! Invariants: a row and its task are committed together; the state of an export is derived from its task and the time,
//! and never stored; all of one export is of one organization.

mod request;
mod sql;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::clock;
use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{ExportId, OrganizationId, TaskId};
use crate::queue::work::{self, ExportForm, ExportPart, ExportSelection, ExportWork};
use crate::queue::{self, NewTask, Priority, Queue, TaskKind, TaskState, TaskView};
use crate::secret::Sealer;

pub use request::{Destination, KEEP_HOURS_DEFAULT, NewExport, PARTS_MAX, StartError, When};

/// An export as it was asked for.
#[derive(Clone, Debug)]
pub struct Export {
    pub id: ExportId,
    pub organization: OrganizationId,
    pub parts: Vec<ExportPart>,
    pub form: ExportForm,
    pub selection: Option<ExportSelection>,
    /// `None`: it is downloaded.
    pub path: Option<ExportPath>,
    pub is_encrypted: bool,
    pub passphrase_sealed: Option<Vec<u8>>,
    pub task: Option<TaskId>,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// Of a download.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where an agent writes an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportPath {
    pub directory: String,
    pub file: String,
    pub keep_hours: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// It can be downloaded.
    Ready,
    Queued,
    Running,
    Succeeded,
    /// It ended, and some items could not be written.
    Incomplete,
    Failed,
    Cancelled,
    /// Its time is over.
    Expired,
}

impl ExportState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// The part of a request that the row keeps as JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    parts: Vec<ExportPart>,
    form: ExportForm,
    selection: Option<ExportSelection>,
    path: Option<ExportPath>,
    encrypted: bool,
}

/// Checks the request, then writes the export, and its task if it has one, in one transaction.
pub async fn start(
    db: &Db,
    queue: &Queue,
    sealer: &Sealer,
    new: NewExport,
    requested_by: String,
) -> Result<ExportId, StartError> {
    request::check(&new)?;
    let (parts, organization) = request::parts(db, &new).await?;
    let sealed = new.passphrase.as_ref().map(|phrase| sealer.seal(work::EXPORT_PASSPHRASE, phrase.expose().as_bytes()));
    let sealed = sealed.transpose().map_err(StartError::Here)?;
    let now = clock::now();
    let work = move |conn: &mut Conn| -> Result<ExportId, TxError<StartError>> {
        for part in &parts {
            // From here to the commit nobody can give the point up, and who wants to afterwards finds the task.
            if !catalog::points::lock_sealed(conn, part.chain, part.point)? {
                let gone = format!("point {} of chain {} was given up just now", part.point, part.chain);
                return Err(TxError::Refused(StartError::Refused(gone)));
            }
        }
        sql::forget_passphrases(conn, now.naive_utc())?;
        let is_download = new.destination == Destination::Download;
        let mut request = Request {
            parts: parts.clone(),
            form: new.form,
            selection: new.selection.clone(),
            path: path(&new, ExportId::new(0)),
            encrypted: sealed.is_some(),
        };
        let row = sql::NewRow {
            organization_id: organization.get(),
            request: work::to_json(&request),
            passphrase_sealed: sealed.clone().filter(|_| is_download),
            requested_by: requested_by.clone(),
            created_at: now.naive_utc(),
            expires_at: is_download.then(|| (now + TimeDelta::hours(new.keep_hours.into())).naive_utc()),
        };
        let id = sql::insert(conn, &row)?;
        if let Some(path) = path(&new, id) {
            let sealed = sealed.as_ref().map(hex::encode);
            enqueue(conn, id, organization, &request, &path, sealed, &requested_by)?;
            // The name of the file has the id in it, which is known now.
            request.path = Some(path);
            sql::set_request(conn, id, &work::to_json(&request))?;
        }
        Ok(id)
    };
    let id = db.transaction("start an export", work).await.map_err(TxError::joined)?;
    queue.notify();
    Ok(id)
}

/// [`None`]: there is no such export.
pub async fn get(db: &Db, id: ExportId) -> Result<Option<Export>, DbError> {
    db.run("read an export", move |conn| sql::find(conn, id)).await?.map(export).transpose()
}

/// Exports, newest first, older than `before`.
pub async fn list(db: &Db, before: Option<ExportId>, limit: u32) -> Result<Vec<Export>, DbError> {
    let rows = db.run("list exports", move |conn| sql::list(conn, before, limit)).await?;
    rows.into_iter().map(export).collect()
}

/// What an export has come to, and until when it can be had. A task that was forgotten ended long ago.
pub fn state(export: &Export, task: Option<&TaskView>, now: DateTime<Utc>) -> (ExportState, Option<DateTime<Utc>>) {
    let Some(path) = &export.path else {
        let expired = export.expires_at.is_none_or(|at| at <= now);
        return (if expired { ExportState::Expired } else { ExportState::Ready }, export.expires_at);
    };
    let Some(task) = task else { return (ExportState::Expired, None) };
    let until = task.finished_at.map(|ended| ended + TimeDelta::hours(path.keep_hours.into()));
    let state = match task.state {
        TaskState::Queued => ExportState::Queued,
        TaskState::Leased => ExportState::Running,
        TaskState::Failed => ExportState::Failed,
        TaskState::Cancelled => ExportState::Cancelled,
        TaskState::Succeeded if until.is_some_and(|until| until <= now) => ExportState::Expired,
        TaskState::Succeeded if task.n_issues > 0 => ExportState::Incomplete,
        TaskState::Succeeded => ExportState::Succeeded,
    };
    (state, until.filter(|_| task.state == TaskState::Succeeded))
}

fn path(new: &NewExport, id: ExportId) -> Option<ExportPath> {
    match &new.destination {
        Destination::Download => None,
        Destination::Directory { directory, name } => Some(ExportPath {
            directory: directory.clone(),
            file: format!("{}-{id}.zip", name.as_deref().unwrap_or("kodo-export")),
            keep_hours: new.keep_hours,
        }),
    }
}

fn enqueue(
    conn: &mut Conn,
    id: ExportId,
    organization: OrganizationId,
    request: &Request,
    path: &ExportPath,
    passphrase_sealed: Option<String>,
    requested_by: &str,
) -> Result<(), TxError<StartError>> {
    let work = ExportWork {
        export: id,
        parts: request.parts.clone(),
        form: request.form,
        selection: request.selection.clone(),
        directory: path.directory.clone(),
        file: path.file.clone(),
        keep_hours: path.keep_hours,
        passphrase_sealed,
        requested_by: requested_by.to_owned(),
    };
    let task = NewTask {
        kind: TaskKind::Export,
        priority: Priority::Manual,
        organization,
        tenant: None,
        resource: None,
        run: None,
        restore: None,
        work: work::to_json(&work),
        exclusive_key: None,
        open_key: Some(ExportWork::open_key(id)),
    };
    queue::enqueue(conn, &[task])?;
    let task = queue::open_task(conn, &ExportWork::open_key(id))?;
    let task = task.ok_or(TxError::Db(DbError::NotFound))?;
    sql::set_task(conn, id, task)?;
    Ok(())
}

fn export(row: sql::Row) -> Result<Export, DbError> {
    let request: Request = serde_json::from_str(&row.request)
        .map_err(|err| DbError::Query(format!("the request of export {} is not understood: {err}", row.id)))?;
    Ok(Export {
        id: ExportId::new(row.id),
        organization: OrganizationId::new(row.organization_id),
        parts: request.parts,
        form: request.form,
        selection: request.selection,
        path: request.path,
        is_encrypted: request.encrypted,
        passphrase_sealed: row.passphrase_sealed,
        task: row.task_id.map(TaskId::new),
        requested_by: row.requested_by,
        created_at: row.created_at.and_utc(),
        expires_at: row.expires_at.map(|time| time.and_utc()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChainId;

    #[test]
    fn the_file_of_an_export_has_its_number_in_its_name() {
        let named = |name: Option<&str>| {
            let destination = Destination::Directory { directory: "/x".into(), name: name.map(str::to_owned) };
            let new = NewExport {
                chains: vec![ChainId::new(1)],
                when: When::Newest,
                form: ExportForm::default(),
                selection: None,
                passphrase: None,
                destination,
                keep_hours: 1,
            };
            path(&new, ExportId::new(7)).map(|path| path.file)
        };

        assert_eq!(named(None).as_deref(), Some("kodo-export-7.zip"));
        assert_eq!(named(Some("ann")).as_deref(), Some("ann-7.zip"));
    }
}
