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

mod sql;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::catalog::{self, Chain};
use crate::clock;
use crate::db::{Conn, Db, DbError, TxError};
use crate::files::names;
use crate::ids::{ChainId, ExportId, OrganizationId, PointNumber, ResourceId, TaskId};
use crate::queue::work::{self, ExportForm, ExportPart, ExportSelection, ExportWork};
use crate::queue::{self, NewTask, Priority, Queue, TaskKind, TaskState, TaskView};
use crate::secret::{Sealer, Secret};
use crate::tenants;

/// Containers and items that one request may name; more are named by their container.
pub const SELECTED_MAX: usize = 10_000;
/// Chains in one export.
pub const PARTS_MAX: usize = 200;
pub const KEEP_HOURS_DEFAULT: u32 = 24;
pub const KEEP_HOURS_MAX: u32 = 24 * 90;
/// What a passphrase of an archive must at least have: the format makes guessing cheap.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
const PASSPHRASE_CHARS_MAX: usize = 200;
const POINTS_PAGE: u32 = 500;

/// What is to be handed out.
pub struct NewExport {
    pub chains: Vec<ChainId>,
    pub when: When,
    pub form: ExportForm,
    /// `None`: everything that the points hold. Only of one chain.
    pub selection: Option<ExportSelection>,
    pub passphrase: Option<Secret<String>>,
    pub destination: Destination,
    pub keep_hours: u32,
}

/// As of which restore points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Newest,
    /// Of the one chain.
    Point(PointNumber),
    /// Of each chain the newest that was sealed by then.
    At(DateTime<Utc>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Download,
    /// One that the configuration allows, and how the file's name begins.
    Directory {
        directory: String,
        name: Option<String>,
    },
}

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

/// Why an export was not begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("there is no chain {0}")]
    NoChain(ChainId),
    /// It cannot be done as asked; the text says what would work.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("{0:#}")]
    Here(anyhow::Error),
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
    check(&new)?;
    let (parts, organization) = parts(db, &new).await?;
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
    let id = db.transaction("start an export", work).await.map_err(|err| match err {
        TxError::Db(err) => StartError::Db(err),
        TxError::Refused(why) => why,
    })?;
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

/// The chains with their points and folders, and the organization that all of them are of.
async fn parts(db: &Db, new: &NewExport) -> Result<(Vec<ExportPart>, OrganizationId), StartError> {
    let mut parts = Vec::with_capacity(new.chains.len());
    let mut organization = None;
    for &id in &new.chains {
        let chain = db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
        let chain = chain.ok_or(StartError::NoChain(id))?;
        let (folder, of) = owner(db, chain.key.resource).await?;
        if *organization.get_or_insert(of) != of {
            return Err(StartError::Refused(format!("chain {id} is of another organization than those before it")));
        }
        parts.push(ExportPart { chain: id, point: point(db, &chain, new.when).await?, folder });
    }
    match organization {
        Some(organization) => Ok((parts, organization)),
        None => Err(StartError::Refused("name at least one chain".to_owned())),
    }
}

/// What the resource is called, and whose it is.
async fn owner(db: &Db, resource: ResourceId) -> Result<(String, OrganizationId), StartError> {
    let resource = tenants::get_resource(db, resource).await?;
    let tenant = tenants::get_tenant(db, resource.tenant).await?;
    let called = [&resource.address, &resource.name, &resource.graph_id];
    let called = called.into_iter().find(|name| !name.trim().is_empty()).cloned().unwrap_or_default();
    Ok((names::safe(&called), tenant.organization))
}

async fn point(db: &Db, chain: &Chain, when: When) -> Result<PointNumber, StartError> {
    let (id, last) = (chain.id, chain.last_point);
    if last == 0 {
        return Err(StartError::Refused(format!("chain {id} has no restore point yet: back it up first")));
    }
    match when {
        When::Newest => Ok(PointNumber::new(last)),
        When::Point(number) => {
            let point = db.run("read a restore point", move |conn| catalog::points::get(conn, id, number)).await?;
            match point.map(|point| point.state.closed()) {
                Some(None) => Ok(number),
                Some(Some(why)) => Err(StartError::Refused(format!("point {number} of chain {id} {why}"))),
                None => Err(StartError::Refused(format!("chain {id} has no point {number}; the newest is {last}"))),
            }
        }
        When::At(at) => {
            let found = db.run("find a restore point", move |conn| sealed_by(conn, id, at)).await?;
            found.ok_or_else(|| StartError::Refused(format!("chain {id} has no restore point from before {at}")))
        }
    }
}

/// The newest point that was sealed by then. Bounded by the points that there are.
fn sealed_by(conn: &mut Conn, chain: ChainId, at: DateTime<Utc>) -> crate::db::QueryResult<Option<PointNumber>> {
    let mut before = PointNumber::OPEN;
    loop {
        let page = catalog::points::sealed(conn, chain, before, POINTS_PAGE)?;
        if let Some((number, _)) = page.iter().find(|(_, sealed_at)| *sealed_at <= at) {
            return Ok(Some(*number));
        }
        match page.last() {
            Some((last, _)) if page.len() == POINTS_PAGE as usize => before = *last,
            _ => return Ok(None),
        }
    }
}

fn check(new: &NewExport) -> Result<(), StartError> {
    let refuse = |why: String| Err(StartError::Refused(why));
    if !(1..=PARTS_MAX).contains(&new.chains.len()) {
        return refuse(format!("an export is of 1 to {PARTS_MAX} chains, not {}", new.chains.len()));
    }
    let single = matches!(new.when, When::Point(_)) || new.selection.is_some();
    if single && new.chains.len() > 1 {
        return refuse("a point or a selection is of one chain: name one feature, or give a time instead".to_owned());
    }
    if let Some(selection) = &new.selection {
        let n_selected = selection.containers.len() + selection.items.len();
        if !(1..=SELECTED_MAX).contains(&n_selected) {
            return refuse(format!("a selection names 1 to {SELECTED_MAX} containers and items, not {n_selected}"));
        }
    }
    if !(1..=KEEP_HOURS_MAX).contains(&new.keep_hours) {
        return refuse(format!("keep_hours is {}, not between 1 and {KEEP_HOURS_MAX}", new.keep_hours));
    }
    let fits = PASSPHRASE_CHARS_MIN..=PASSPHRASE_CHARS_MAX;
    if new.passphrase.as_ref().is_some_and(|phrase| !fits.contains(&phrase.expose().chars().count())) {
        return refuse(format!("the passphrase has {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_CHARS_MAX} characters"));
    }
    match &new.destination {
        Destination::Directory { name: Some(name), .. } if names::safe(name) != *name => {
            refuse(format!("\"{name}\" is not a name for a file: \"{}\" would be one", names::safe(name)))
        }
        Destination::Directory { .. } | Destination::Download => Ok(()),
    }
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

    fn new() -> NewExport {
        NewExport {
            chains: vec![ChainId::new(1)],
            when: When::Newest,
            form: ExportForm::default(),
            selection: None,
            passphrase: None,
            destination: Destination::Download,
            keep_hours: 1,
        }
    }

    fn refused(new: &NewExport) -> String {
        check(new).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words() {
        let two = || vec![ChainId::new(1), ChainId::new(2)];
        let to = |name: &str| Destination::Directory { directory: "/x".into(), name: Some(name.into()) };

        assert!(check(&new()).is_ok());
        assert!(check(&NewExport { chains: two(), ..new() }).is_ok());
        assert!(refused(&NewExport { chains: Vec::new(), ..new() }).contains("chains"));
        assert!(
            refused(&NewExport { chains: two(), when: When::Point(PointNumber::new(1)), ..new() }).contains("time")
        );
        assert!(refused(&NewExport { selection: Some(ExportSelection::default()), ..new() }).contains("selection"));
        assert!(refused(&NewExport { keep_hours: 0, ..new() }).contains("keep_hours"));
        assert!(refused(&NewExport { passphrase: Some(Secret::new("short".into())), ..new() }).contains("12 to 200"));
        assert!(refused(&NewExport { destination: to("../etc"), ..new() }).contains("name for a file"));
        assert!(check(&NewExport { destination: to("ann 2026"), ..new() }).is_ok());
    }

    #[test]
    fn the_file_of_an_export_has_its_number_in_its_name() {
        let to = |name: Option<&str>| Destination::Directory { directory: "/x".into(), name: name.map(str::to_owned) };

        let named = |name| path(&NewExport { destination: to(name), ..new() }, ExportId::new(7)).unwrap().file;

        assert_eq!(named(None), "kodo-export-7.zip");
        assert_eq!(named(Some("ann")), "ann-7.zip");
    }
}
