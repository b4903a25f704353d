//! Where contacts go: the folder, created if it is missing, and what it holds already.

use serde_json::{Value, json};

use super::capture::EXTENDED;
use super::folders::DEFAULT;
use super::marker::Marker;
use super::person::identity;
use crate::features::exchange::{PAGE_SIZE, text};
use crate::features::{Noted, Noting, Opened, Opening, PathStep, Present, RestoreError, Source, StoredItem, marking};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

const CHILDREN_MAX: usize = 10_000;
/// Entries are whole contacts, with many extended properties.
const PAGE_SIZE_CONTACTS: &str = "odata.maxpagesize=100";
/// Contact folders at the top stand beside mail folders, and no two of all these are called the same.
const BESIDE_MAIL: &str = " (contacts)";

/// The extended properties of a contact and our mark.
pub(super) fn expand() -> String {
    let wanted = EXTENDED.iter().copied().chain([marking::PROPERTY]).map(|id| format!("id eq '{id}'"));
    format!("singleValueExtendedProperties($filter={})", wanted.collect::<Vec<_>>().join(" or "))
}

pub(super) fn at<'a>(target: Source<'a>, what: Outlook<'a>) -> Endpoint<'a> {
    Endpoint::Outlook { user: target.user, what }
}

/// The folder at the end of `path`. The default one is found by its name in every language; others by what they are
/// called.
pub(super) async fn open_folder(
    target: Source<'_>,
    path: &[PathStep],
    above: Option<&Opened>,
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    let Some(step) = path.last() else {
        return Err(RestoreError::Item("a contact cannot be restored without a folder".to_owned()));
    };
    match &step.well_known {
        Some(_) => Ok(Some(Opened::found(default_folder(target).await?))),
        None => child(target, above, &step.name, opening).await,
    }
}

async fn default_folder(target: Source<'_>) -> Result<String, RestoreError> {
    let endpoint = at(target, Outlook::ContactFolder { folder: DEFAULT });
    let folder = target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id").json().await?;
    id_of(&folder, endpoint)
}

/// A folder at the top that was made under this name, or under the one that stands in for it.
pub(super) async fn top_folder(target: Source<'_>, name: &str) -> Result<Option<String>, RestoreError> {
    let beside = format!("{name}{BESIDE_MAIL}");
    find_child(target, at(target, Outlook::ContactFolders), &[name, &beside]).await
}

async fn child(
    target: Source<'_>,
    parent: Option<&Opened>,
    name: &str,
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    let folder = parent.map(|parent| parent.id.as_str());
    let endpoint = at(target, folder.map_or(Outlook::ContactFolders, |folder| Outlook::ContactChildFolders { folder }));
    let instead = parent.is_none().then(|| format!("{name}{BESIDE_MAIL}"));
    let names: Vec<&str> = [Some(name), instead.as_deref()].into_iter().flatten().collect();
    // At the top, an earlier restore may have made the one that stands in for it.
    if !parent.is_some_and(|parent| parent.is_new) {
        let found = find_child(target, endpoint, &names).await?;
        if found.is_some() || opening == Opening::Look {
            return Ok(found.map(Opened::found));
        }
    }
    let mut refused = None;
    for name in &names {
        let body = json!({ "displayName": name });
        match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await {
            Ok(folder) => return Ok(Some(Opened::new(id_of(&folder, endpoint)?))),
            // Somebody was faster, our own request had been carried out after all, or a mail folder has the name.
            Err(error @ GraphError::Conflict { .. }) => match find_child(target, endpoint, &[name]).await? {
                Some(found) => return Ok(Some(Opened::found(found))),
                None => refused = Some(RestoreError::Item(error.to_string())),
            },
            Err(error @ GraphError::Ambiguous { .. }) => {
                let found = find_child(target, endpoint, &[name]).await?;
                return found.ok_or(RestoreError::Graph(error)).map(|id| Some(Opened::found(id)));
            }
            Err(error @ (GraphError::Refused { .. } | GraphError::BadItem { .. })) => {
                return Err(RestoreError::Item(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// The first of these names that there is. Exchange does not tell upper from lower case in names of folders.
async fn find_child(
    target: Source<'_>,
    endpoint: Endpoint<'_>,
    names: &[&str],
) -> Result<Option<String>, RestoreError> {
    let query = [("$select", "id,displayName")];
    let children = target.graph.list(endpoint, CHILDREN_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await?;
    let called = |name: &&str| {
        let wanted = name.to_lowercase();
        children.iter().find(|child| text(&child["displayName"]).to_lowercase() == wanted)
    };
    names.iter().find_map(called).map(|child| id_of(child, endpoint)).transpose()
}

fn id_of(folder: &Value, endpoint: Endpoint<'_>) -> Result<String, RestoreError> {
    let id = folder["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| GraphError::protocol(endpoint, "the folder has no id").into())
}

/// Lists a folder. A contact that an interrupted restore left without its photo is deleted here.
pub(super) async fn list(
    target: Source<'_>,
    folder: &str,
    opening: Opening,
    noting: &mut dyn Noting,
) -> Result<(), RestoreError> {
    let endpoint = at(target, Outlook::Contacts { folder });
    let mut call = target.graph.get(endpoint).query("$expand", &expand());
    loop {
        let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE_CONTACTS).page().await?;
        let mut noted = Vec::with_capacity(page.value.len());
        for contact in page.value {
            let Some(id) = contact["id"].as_str() else { continue };
            let marker = Marker::of(&contact);
            if marker.is_some_and(|marker| marker.is_partial) {
                if opening != Opening::Look {
                    delete(target, id).await?;
                }
                continue;
            }
            noted.push(Noted::new(id, identity(&contact, false), marker.map(|marker| marker.key)));
        }
        noting.note(noted).await?;
        match page.next {
            Some(next) => call = target.graph.follow(endpoint, &next)?,
            None => return Ok(()),
        }
    }
}

async fn delete(target: Source<'_>, contact: &str) -> Result<(), RestoreError> {
    match target.graph.delete(at(target, Outlook::Contact { contact })).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The contact itself, if it is in any folder of contacts; a bin is none.
pub(super) async fn locate(target: Source<'_>, item: &StoredItem) -> Result<Option<Present>, RestoreError> {
    let stored = item.json().unwrap_or_default();
    let Some(id) = stored["id"].as_str() else { return Ok(None) };
    let Some(found) = read(target, id).await? else { return Ok(None) };
    let endpoint = at(target, Outlook::ContactFolder { folder: text(&found["parentFolderId"]) });
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id").json().await {
        Ok(_) => Ok(Some(Present { id: id.to_owned(), identity: identity(&found, false) })),
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A contact with all that can be brought back but its photo; `None`: it is gone, or the id is of another mailbox.
pub(super) async fn read(target: Source<'_>, contact: &str) -> Result<Option<Value>, RestoreError> {
    let endpoint = at(target, Outlook::Contact { contact });
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$expand", &expand()).json().await {
        Ok(contact) => Ok(Some(contact)),
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. } | GraphError::BadItem { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
