//! The contact folders of a user, read whole each time: a delta without a token tells all levels in one page or two.
//!
//! The default folder is in no list; it answers to its name. What is beside it has the top of the mailbox for a parent,
//! which is no contact folder.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use crate::features::exchange::{PAGE_SIZE, containers_error, walk_error};
use crate::features::{ContainerChanges, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

const PROPERTIES: &str = "id,displayName,parentFolderId";
/// The default folder in every language.
pub(super) const DEFAULT: &str = "contacts";
const FOLDERS_MAX: usize = 10_000;
const PAGES_MAX: usize = 1_000;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFolder {
    id: String,
    display_name: Option<String>,
    parent_folder_id: Option<String>,
    #[serde(rename = "@removed", default)]
    removed: Option<Value>,
}

pub(super) async fn containers(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let endpoint = at(source, Outlook::ContactFolder { folder: DEFAULT });
    let default = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", PROPERTIES).json().await;
    let default = wire(default.map_err(containers_error)?, endpoint)?;
    let others = match all_by_delta(source).await {
        // Not every server has a delta of contact folders.
        Err(WalkError::Graph(GraphError::Refused { .. })) => all_by_listing(source, &default.id).await?,
        others => others?,
    };
    Ok(ContainerChanges {
        whole: true,
        present: present(default, others),
        removed: Vec::new(),
        cursor: None,
        passed_over: None,
    })
}

fn at<'a>(source: Source<'a>, what: Outlook<'a>) -> Endpoint<'a> {
    Endpoint::Outlook { user: source.user, what }
}

async fn all_by_delta(source: Source<'_>) -> Result<Vec<WireFolder>, WalkError> {
    let endpoint = at(source, Outlook::ContactFoldersDelta);
    let mut call = source.graph.get(endpoint).query("$select", PROPERTIES);
    let mut folders = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await.map_err(walk_error)?;
        for folder in page.value {
            folders.push(wire(folder, endpoint)?);
        }
        match page.next {
            Some(next) if folders.len() <= FOLDERS_MAX => call = source.graph.follow(endpoint, &next)?,
            None if folders.len() <= FOLDERS_MAX => return Ok(folders),
            Some(_) | None => break,
        }
    }
    Err(too_many(endpoint))
}

/// Level by level.
async fn all_by_listing(source: Source<'_>, default: &str) -> Result<Vec<WireFolder>, WalkError> {
    let mut all = list(source, Outlook::ContactFolders).await?;
    let mut seen: HashSet<String> = all.iter().map(|folder| folder.id.clone()).collect();
    seen.insert(default.to_owned());
    let mut waiting: Vec<String> = seen.iter().cloned().collect();
    while let Some(folder) = waiting.pop() {
        let below = match list(source, Outlook::ContactChildFolders { folder: &folder }).await {
            // Deleted since its parent was listed.
            Err(WalkError::Graph(GraphError::NotFound { .. })) => continue,
            below => below?,
        };
        for child in below {
            if seen.insert(child.id.clone()) {
                waiting.push(child.id.clone());
                all.push(child);
            }
        }
        if all.len() > FOLDERS_MAX {
            return Err(too_many(at(source, Outlook::ContactFolders)));
        }
    }
    Ok(all)
}

async fn list(source: Source<'_>, what: Outlook<'_>) -> Result<Vec<WireFolder>, WalkError> {
    let endpoint = Endpoint::Outlook { user: source.user, what };
    let query = [("$select", PROPERTIES)];
    let listed = source.graph.list(endpoint, FOLDERS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await;
    listed.map_err(walk_error)?.into_iter().map(|folder| wire(folder, endpoint)).collect()
}

fn wire(folder: Value, endpoint: Endpoint<'_>) -> Result<WireFolder, WalkError> {
    serde_json::from_value(folder).map_err(|error| {
        GraphError::protocol(endpoint, &format!("a contact folder has an unexpected shape: {error}")).into()
    })
}

fn too_many(endpoint: Endpoint<'_>) -> WalkError {
    GraphError::protocol(endpoint, &format!("there are more than {FOLDERS_MAX} contact folders")).into()
}

/// The folders as they are: of a folder that is told twice, the last word counts.
fn present(default: WireFolder, others: Vec<WireFolder>) -> Vec<RemoteContainer> {
    let default_id = default.id.clone();
    let mut folders = HashMap::from([(default_id.clone(), default)]);
    for folder in others {
        if folder.removed.is_none() {
            folders.insert(folder.id.clone(), folder);
        } else if folder.id != default_id {
            folders.remove(&folder.id);
        }
    }
    let known: HashSet<String> = folders.keys().cloned().collect();
    let container = |folder: WireFolder| {
        let is_default = folder.id == default_id;
        RemoteContainer {
            parent: folder.parent_folder_id.filter(|parent| !is_default && known.contains(parent)),
            name: folder.display_name.unwrap_or_default(),
            hidden: false,
            well_known: is_default.then(|| DEFAULT.to_owned()),
            n_items: None,
            id: folder.id,
        }
    };
    folders.into_values().map(container).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn folders_beside_the_default_one_are_at_the_top() {
        let folder = |json: Value| serde_json::from_value(json).unwrap();
        let default = folder(json!({"id": "d", "displayName": "Kontakte", "parentFolderId": "root"}));
        let others = vec![
            folder(json!({"id": "gone", "displayName": "Old", "parentFolderId": "root"})),
            folder(json!({"id": "a", "displayName": "A", "parentFolderId": "root"})),
            folder(json!({"id": "b", "displayName": "B", "parentFolderId": "a"})),
            folder(json!({"id": "c", "displayName": "C", "parentFolderId": "d"})),
            folder(json!({"id": "gone", "@removed": {"reason": "deleted"}})),
        ];

        let mut found: Vec<_> = present(default, others)
            .into_iter()
            .map(|folder| (folder.name, folder.parent, folder.well_known.is_some()))
            .collect();
        found.sort();

        let parent = |id: &str| Some(id.to_owned());
        assert_eq!(
            found,
            [
                ("A".to_owned(), None, false),
                ("B".to_owned(), parent("a"), false),
                ("C".to_owned(), parent("d"), false),
                ("Kontakte".to_owned(), None, true),
            ]
        );
    }
}
