//! `/exports`: handing content out as files.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::answer::Created;
use super::content_rules::{self, Asking};
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve;
use crate::access::audit::Action;
use crate::catalog::{self, Chain};
use crate::clock;
use crate::exports::{self, Destination, Export, KEEP_HOURS_DEFAULT, NewExport, PARTS_MAX, StartError, When};
use crate::ids::{ChainId, ContainerId, ExportId, FeatureName, OrganizationId, PointNumber, TaskId};
use crate::queue::TaskView;
use crate::queue::work::{ExportForm, ExportLayout, ExportPart, ExportSelection};
use crate::secret::Secret;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewExportBody {
    /// Either chains, or `resource` with the features that are wanted of it; without `features`, all that it has.
    pub chains: Vec<ChainId>,
    pub resource: Option<Ref>,
    pub features: Vec<FeatureName>,
    /// Of one chain; left out: the newest restore point.
    pub point: Option<PointNumber>,
    /// Of each chain the newest restore point that was sealed by then.
    pub at: Option<DateTime<Utc>>,
    /// All that is directly in these; together with `items`: the union. Both left out: everything. Of one chain.
    pub containers: Option<Vec<ContainerId>>,
    /// Keys of items; a folder among items is all that is below it.
    pub items: Option<Vec<String>>,
    /// `item_files`: a file for each item; `folder_files`: one for each folder, as .mbox, .ics or .vcf.
    pub layout: ExportLayout,
    /// The properties of each item as JSON beside it.
    pub properties: bool,
    /// Seals what is in the files with AES-256.
    pub passphrase: Option<String>,
    /// One of the directories that the configuration allows: an agent writes there. Left out: it is downloaded.
    pub directory: Option<String>,
    /// How the name of the file in the directory begins.
    pub name: Option<String>,
    /// For how long it can be downloaded, or lies in the directory.
    pub keep_hours: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportView {
    pub id: ExportId,
    pub organization_id: OrganizationId,
    pub parts: Vec<ExportPart>,
    pub layout: ExportLayout,
    pub properties: bool,
    /// How many containers and items were chosen; `null`: everything.
    pub selected: Option<u64>,
    pub encrypted: bool,
    /// Where an agent writes it; `null`: it is downloaded.
    pub path: Option<String>,
    pub task_id: Option<TaskId>,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// `ready` to be downloaded, `queued`, `running`, `succeeded`, `incomplete`, `failed`, `cancelled` or `expired`.
    pub state: String,
    /// When it ceases to be there.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why it failed or what it waits for.
    pub last_error: Option<String>,
    pub items_done: u64,
    pub items_total: Option<u64>,
    pub bytes_done: u64,
    /// Items that could not be written; the report in the archive names them.
    pub not_written: u64,
}

pub async fn start(app: Data<Shared>, asking: Asking, body: Json<NewExportBody>) -> ApiResult<Created<ExportView>> {
    let body = body.into_inner();
    let chains = chains(&app, &body).await?;
    for chain in &chains {
        content_rules::check(&app, chain).await?;
    }
    let new = NewExport {
        chains: chains.iter().map(|chain| chain.id).collect(),
        when: when(&body)?,
        form: ExportForm { layout: body.layout, properties: body.properties },
        selection: selection(body.containers, body.items)?,
        passphrase: body.passphrase.map(Secret::new),
        destination: destination(&app, body.directory, body.name)?,
        keep_hours: body.keep_hours.unwrap_or(KEEP_HOURS_DEFAULT),
    };
    let details = json!({
        "chains": new.chains, "whole": new.selection.is_none(), "to_path": new.destination != Destination::Download,
    });
    asking.note(&app, Action::StartExport, details).await?;
    let id = exports::start(&app.db, &app.queue, &app.sealer, new, asking.caller.name).await?;
    Ok(Created(view(&app, found(&app, id).await?).await?))
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<ExportView>>> {
    let (rows, before) = (query.rows(app.rows_max)?, query.after()?);
    let read = exports::list(&app.db, before, rows + 1).await?;
    let page = Page::cut(read, rows, |export| export.id, |export| export);
    let mut items = Vec::with_capacity(page.items.len());
    for export in page.items {
        items.push(view(&app, export).await?);
    }
    Ok(Json(Page { items, next: page.next, notes: page.notes }))
}

pub async fn show(app: Data<Shared>, export: Path<ExportId>) -> ApiResult<Json<ExportView>> {
    let found = found(&app, *export).await?;
    Ok(Json(view(&app, found).await?))
}

pub(super) async fn found(app: &Shared, id: ExportId) -> ApiResult<Export> {
    exports::get(&app.db, id).await?.ok_or_else(|| ApiError::not_found("export", id))
}

async fn view(app: &Shared, export: Export) -> ApiResult<ExportView> {
    let task: Option<TaskView> = match export.task {
        Some(task) => app.queue.get(task).await?,
        None => None,
    };
    let (state, expires_at) = exports::state(&export, task.as_ref(), clock::now());
    let progress = task.as_ref().map(|task| task.progress.clone()).unwrap_or_default();
    let selected = export.selection.as_ref().map(|all| (all.containers.len() + all.items.len()) as u64);
    Ok(ExportView {
        id: export.id,
        organization_id: export.organization,
        parts: export.parts,
        layout: export.form.layout,
        properties: export.form.properties,
        selected,
        encrypted: export.is_encrypted,
        path: export.path.map(|path| format!("{}/{}", path.directory, path.file)),
        task_id: export.task,
        requested_by: export.requested_by,
        created_at: export.created_at,
        state: state.as_str().to_owned(),
        expires_at,
        last_error: task.as_ref().and_then(|task| task.last_error.clone()),
        items_done: progress.items_done,
        items_total: progress.items_total,
        bytes_done: progress.bytes_done,
        not_written: task.map_or(0, |task| task.n_issues),
    })
}

/// The chains that are named, or those of a resource.
async fn chains(app: &Shared, body: &NewExportBody) -> ApiResult<Vec<Chain>> {
    match (&body.resource, body.chains.as_slice()) {
        (None, ids) if !ids.is_empty() && body.features.is_empty() => {
            let mut chains = Vec::with_capacity(ids.len().min(PARTS_MAX));
            for &id in ids.iter().take(PARTS_MAX + 1) {
                let found = app.db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
                chains.push(found.ok_or_else(|| ApiError::not_found("chain", id))?);
            }
            Ok(chains)
        }
        (Some(named), []) => chains_of(app, named, &body.features).await,
        _ => Err(ApiError::BadRequest("name either chains, or a resource and its features".to_owned())),
    }
}

/// Of each feature the chain that was sealed last, among several storages.
async fn chains_of(app: &Shared, named: &Ref, features: &[FeatureName]) -> ApiResult<Vec<Chain>> {
    let resource = resolve::resource(app, named).await?.id;
    let all = resolve::chains(app, Some(resource), ChainId::new(0), resolve::CHAINS_MAX).await?;
    let mut newest: Vec<Chain> = Vec::new();
    for chain in all.into_iter().filter(|chain| chain.last_point > 0) {
        if !features.is_empty() && !features.contains(&chain.key.feature) {
            continue;
        }
        match newest.iter_mut().find(|other| other.key.feature == chain.key.feature) {
            Some(other) if other.sealed_at < chain.sealed_at => *other = chain,
            Some(_) => {}
            None => newest.push(chain),
        }
    }
    let missing = features.iter().find(|feature| !newest.iter().any(|chain| chain.key.feature == **feature));
    match (missing, newest.is_empty()) {
        (Some(feature), _) => {
            Err(ApiError::NotFound(format!("{feature} of resource {named} was never backed up: back it up first")))
        }
        (None, true) => Err(ApiError::NotFound(format!("resource {named} was never backed up: back it up first"))),
        (None, false) => Ok(newest),
    }
}

fn when(body: &NewExportBody) -> ApiResult<When> {
    match (body.point, body.at) {
        (None, None) => Ok(When::Newest),
        (Some(point), None) => Ok(When::Point(point)),
        (None, Some(at)) => Ok(When::At(at)),
        (Some(_), Some(_)) => Err(ApiError::BadRequest("give either a point or a time".to_owned())),
    }
}

fn selection(containers: Option<Vec<ContainerId>>, items: Option<Vec<String>>) -> ApiResult<Option<ExportSelection>> {
    if containers.is_none() && items.is_none() {
        return Ok(None);
    }
    let items = items.unwrap_or_default().iter().map(|key| parse_key(key)).collect::<ApiResult<_>>()?;
    Ok(Some(ExportSelection { containers: containers.unwrap_or_default(), items }))
}

fn destination(app: &Shared, directory: Option<String>, name: Option<String>) -> ApiResult<Destination> {
    let Some(directory) = directory else { return Ok(Destination::Download) };
    let allowed = &app.workshop.exports.directories;
    if app.workshop.exports.allows(&directory) {
        return Ok(Destination::Directory { directory, name });
    }
    let known: Vec<String> = allowed.iter().map(|one| one.display().to_string()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(ApiError::Unprocessable(format!(
        "{directory} is not among the directories that exports may be written into (exports.directories: {known})"
    )))
}

impl From<StartError> for ApiError {
    fn from(err: StartError) -> Self {
        match err {
            StartError::NoChain(_) => Self::NotFound(err.to_string()),
            StartError::Refused(text) => Self::Unprocessable(text),
            StartError::Db(err) => err.into(),
            StartError::Here(err) => Self::internal(&err),
        }
    }
}
