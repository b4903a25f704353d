//! Where a restore goes: the folder, created if it is missing, and what it holds already.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::fields::{state, text, time};
use super::folders::RECOVERABLE;
use super::marker::{self, Marker};
use super::{IMMUTABLE_IDS, PAGE_SIZE, settings, streams};
use crate::features::attaching::{Holder, count_attachments};
use crate::features::{Identity, Noted, Noting, Opened, Opening, PathStep, RestoreError, Source, change_tag};
use crate::graph::{Endpoint, GraphError};
use crate::ids::ItemKey;

const CHILDREN_MAX: usize = 50_000;
const CHECKS_AT_ONCE: usize = 4;
pub(super) const PRESENT_PROPERTIES: &str = "id,changeKey,internetMessageId,hasAttachments,isRead,importance,categories,flag,\
    lastModifiedDateTime";

/// The folder at the end of `path`. A default folder is found by its name in every language; others by what they are
/// called.
pub(super) async fn open_folder(
    target: Source<'_>,
    path: &[PathStep],
    above: Option<&Opened>,
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    let Some(step) = path.last() else {
        return Err(RestoreError::Item("a message cannot be restored without a folder".to_owned()));
    };
    match step.well_known.as_deref() {
        Some(streams::CONTAINER) => return Ok(Some(Opened::found(streams::CONTAINER.to_owned()))),
        Some(name) if settings::is_own(name) => return Ok(Some(Opened::found(settings::open(path)))),
        Some(_) | None => {}
    }
    if let Some(id) = default_folder(target, step).await? {
        return Ok(Some(Opened::found(id)));
    }
    match above {
        Some(above) => child(target, above, step, opening).await,
        None => child(target, &Opened::found("msgfolderroot".to_owned()), step, opening).await,
    }
}

/// What kodo made up is no folder in another one.
pub(super) fn is_own(path: &[PathStep]) -> bool {
    let name = path.last().and_then(|step| step.well_known.as_deref());
    name.is_some_and(|name| name == streams::CONTAINER || settings::is_own(name))
}

async fn default_folder(target: Source<'_>, step: &PathStep) -> Result<Option<String>, RestoreError> {
    // Exchange lets nobody put mail among the recoverable items: they come back into an ordinary folder.
    let Some(name) = step.well_known.as_ref().filter(|name| *name != RECOVERABLE) else { return Ok(None) };
    let endpoint = Endpoint::MailFolder { user: target.user, folder: name };
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id").json().await {
        Ok(folder) => id_of(&folder, endpoint).map(Some),
        // This mailbox does not have it: an ordinary folder of the same name does as well.
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn child(
    target: Source<'_>,
    parent: &Opened,
    step: &PathStep,
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    if !parent.is_new && opening != Opening::CreateNew {
        let found = find_child(target, &parent.id, &step.name).await?;
        if found.is_some() || opening == Opening::Look {
            return Ok(found.map(Opened::found));
        }
    }
    let endpoint = Endpoint::ChildFolders { user: target.user, folder: &parent.id };
    let mut body = json!({ "displayName": step.name });
    if step.hidden {
        body["isHidden"] = json!(true);
    }
    match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await {
        Ok(folder) => Ok(Some(Opened::new(id_of(&folder, endpoint)?))),
        // Somebody was faster, or our own request had been carried out after all.
        Err(error @ (GraphError::Conflict { .. } | GraphError::Ambiguous { .. })) => {
            let found = find_child(target, &parent.id, &step.name).await?;
            found.map_or(Err(RestoreError::Graph(error)), |id| Ok(Some(Opened::found(id))))
        }
        Err(error @ (GraphError::Refused { .. } | GraphError::BadItem { .. })) => {
            Err(RestoreError::Item(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Exchange does not tell upper from lower case in folder names.
pub(super) async fn find_child(target: Source<'_>, parent: &str, name: &str) -> Result<Option<String>, RestoreError> {
    let endpoint = Endpoint::ChildFolders { user: target.user, folder: parent };
    let query = [("includeHiddenFolders", "true"), ("$select", "id,displayName")];
    let children = target.graph.list(endpoint, CHILDREN_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await?;
    let wanted = name.to_lowercase();
    let is_search =
        |child: &Value| text(&child["@odata.type"]).eq_ignore_ascii_case("#microsoft.graph.mailSearchFolder");
    let found = children.iter().find(|child| !is_search(child) && text(&child["displayName"]).to_lowercase() == wanted);
    found.map(|child| id_of(child, endpoint)).transpose()
}

fn id_of(folder: &Value, endpoint: Endpoint<'_>) -> Result<String, RestoreError> {
    let id = folder["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| GraphError::protocol(endpoint, "the folder has no id").into())
}

struct Found {
    id: String,
    identity: Identity,
    marker: Option<Marker>,
    has_attachments: bool,
}

/// Lists a folder. A message that an interrupted restore left without some of its attachments is deleted here.
pub(super) async fn list(
    target: Source<'_>,
    folder: &str,
    opening: Opening,
    noting: &mut dyn Noting,
) -> Result<(), RestoreError> {
    if streams::is_stream(folder) {
        return Ok(());
    }
    if settings::is_own(folder) {
        return noting.note(settings::existing(target, folder).await?).await;
    }
    let endpoint = Endpoint::FolderMessages { user: target.user, folder };
    let mut call = target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).query("$expand", &marker::expand());
    loop {
        let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await?;
        let found = page.value.into_iter().filter_map(found);
        let complete = stream::iter(found).map(|found| complete_or_deleted(target, found, opening));
        let complete: Vec<Option<Found>> = complete.buffer_unordered(CHECKS_AT_ONCE).try_collect().await?;
        let complete = complete.into_iter().flatten();
        let noted = complete.map(|found| Noted::new(&found.id, found.identity, found.marker.map(|marker| marker.key)));
        noting.note(noted.collect()).await?;
        match page.next {
            Some(next) => call = target.graph.follow(endpoint, &next)?,
            None => return Ok(()),
        }
    }
}

fn found(message: Value) -> Option<Found> {
    Some(Found {
        id: message["id"].as_str()?.to_owned(),
        identity: identity(&message),
        marker: Marker::of(&message),
        has_attachments: message["hasAttachments"].as_bool().unwrap_or(false),
    })
}

/// What is the same for all copies of a mail.
fn natural_key(message: &Value) -> Option<ItemKey> {
    let id = text(&message["internetMessageId"]);
    (!id.is_empty()).then(|| ItemKey::of(id))
}

/// What tells a message, on the target or in a backup, from others, and one state of it from another.
pub(super) fn identity(message: &Value) -> Identity {
    Identity {
        natural_key: natural_key(message),
        change_tag: message["changeKey"].as_str().map(change_tag),
        state: Some(state(message)),
        modified: time(&message["lastModifiedDateTime"]),
    }
}

async fn complete_or_deleted(
    target: Source<'_>,
    found: Found,
    opening: Opening,
) -> Result<Option<Found>, RestoreError> {
    let expected = found.marker.map_or(0, |marker| marker.n_attachments);
    // One attachment that is not inline shows in the listing; more must be counted.
    if expected == 0 || (expected == 1 && found.has_attachments) {
        return Ok(Some(found));
    }
    match count_attachments(target, Holder::Message(&found.id)).await {
        Ok(count) if count >= expected => return Ok(Some(found)),
        Ok(_) if opening == Opening::Look => return Ok(None),
        Ok(_) => {}
        Err(GraphError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let message = Endpoint::Message { user: target.user, message: &found.id };
    match target.graph.delete(message).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
