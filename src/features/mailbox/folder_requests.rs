//! The requests about mail folders, and a folder as Graph writes it.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::folders::{RECOVERABLE, RECOVERABLE_NAME};
use super::{IMMUTABLE_IDS, PAGE_SIZE};
pub(super) use crate::features::entries::walk_error;
use crate::features::{RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError};

const FOLDER_PROPERTIES: &str = "id,displayName,parentFolderId,childFolderCount,totalItemCount,isHidden";
/// Exchange keeps mailboxes far below this.
pub(super) const FOLDERS_MAX: usize = 50_000;
const DELTA_PAGES_MAX: usize = 10_000;
/// Requests under way at once. The client itself holds a mailbox to four.
pub(super) const AT_ONCE: usize = 4;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireFolder {
    pub id: String,
    #[serde(rename = "@odata.type", default)]
    pub odata_type: Option<String>,
    #[serde(rename = "@removed", default)]
    pub removed: Option<Value>,
    pub display_name: Option<String>,
    pub parent_folder_id: Option<String>,
    pub child_folder_count: Option<u64>,
    pub total_item_count: Option<u64>,
    pub is_hidden: Option<bool>,
}

impl WireFolder {
    pub(super) fn is_complete(&self) -> bool {
        self.is_search() || (self.display_name.is_some() && self.parent_folder_id.is_some())
    }

    pub(super) fn gone(id: String) -> Self {
        Self {
            id,
            odata_type: None,
            removed: Some(Value::Null),
            display_name: None,
            parent_folder_id: None,
            child_folder_count: None,
            total_item_count: None,
            is_hidden: None,
        }
    }

    /// A search folder shows messages of other folders.
    pub(super) fn is_search(&self) -> bool {
        self.odata_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("#microsoft.graph.mailSearchFolder"))
    }
}

/// The root's id; a mailbox that Graph does not reach is told apart here.
pub(super) async fn root_id(source: Source<'_>) -> Result<String, WalkError> {
    let root = Endpoint::MailFolder { user: source.user, folder: "msgfolderroot" };
    match source.graph.get(root).prefer(IMMUTABLE_IDS).query("$select", "id").json().await {
        Ok(folder) => Ok(folder["id"].as_str().unwrap_or_default().to_owned()),
        Err(error @ (GraphError::NoService { .. } | GraphError::NotFound { .. })) => {
            Err(WalkError::NotApplicable(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Walks the folder delta to its end.
pub(super) async fn walk_delta(
    source: Source<'_>,
    since: Option<&str>,
) -> Result<(Vec<WireFolder>, String), WalkError> {
    let endpoint = Endpoint::MailFoldersDelta { user: source.user };
    let mut call = match since {
        Some(link) => source.graph.follow(endpoint, link).map_err(|_| WalkError::Expired)?,
        None => source.graph.get(endpoint).query("$select", FOLDER_PROPERTIES),
    };
    let mut folders = Vec::new();
    for _ in 0..DELTA_PAGES_MAX {
        let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await.map_err(walk_error)?;
        for folder in page.value {
            folders.push(wire(folder, endpoint)?);
        }
        if folders.len() > FOLDERS_MAX {
            break;
        }
        match (page.next, page.delta) {
            (Some(next), _) => call = source.graph.follow(endpoint, &next)?,
            (None, Some(delta)) => return Ok((folders, delta)),
            (None, None) => return Err(GraphError::protocol(endpoint, "the last page has no deltaLink").into()),
        }
    }
    Err(too_many(endpoint))
}

pub(super) async fn list_top(source: Source<'_>) -> Result<Vec<WireFolder>, WalkError> {
    list(source, Endpoint::MailFolders { user: source.user }).await
}

pub(super) async fn list(source: Source<'_>, endpoint: Endpoint<'_>) -> Result<Vec<WireFolder>, WalkError> {
    let query = [("includeHiddenFolders", "true"), ("$select", FOLDER_PROPERTIES)];
    let folders = source.graph.list(endpoint, FOLDERS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await?;
    folders.into_iter().map(|folder| wire(folder, endpoint)).collect()
}

/// Each of these folders, or `None` if it does not exist.
pub(super) async fn one_by_one(
    source: Source<'_>,
    ids: Vec<String>,
) -> Result<Vec<(String, Option<WireFolder>)>, WalkError> {
    let answers = stream::iter(ids).map(|id| async move {
        let endpoint = Endpoint::MailFolder { user: source.user, folder: &id };
        let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", FOLDER_PROPERTIES);
        match call.json().await {
            Ok(folder) => wire(folder, endpoint).map(|folder| (id.clone(), Some(folder))),
            Err(GraphError::NotFound { .. }) => Ok((id.clone(), None)),
            Err(error) => Err(error.into()),
        }
    });
    answers.buffer_unordered(AT_ONCE).try_collect().await
}

pub(super) async fn well_known_ids(source: Source<'_>, names: &[&str]) -> Result<BTreeMap<String, String>, WalkError> {
    // Owned names: the compiler cannot prove a future over borrowed ones to be Send.
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let answers = stream::iter(names).map(|name| async move {
        let endpoint = Endpoint::MailFolder { user: source.user, folder: &name };
        match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id").json().await {
            Ok(folder) => Ok(folder["id"].as_str().map(|id| (name.clone(), id.to_owned()))),
            // Not every mailbox has every default folder, and not every cloud knows every name.
            Err(GraphError::NotFound { .. } | GraphError::Refused { .. }) => Ok(None),
            Err(error) => Err(WalkError::from(error)),
        }
    });
    let found: Vec<Option<(String, String)>> = answers.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn wire(folder: Value, endpoint: Endpoint<'_>) -> Result<WireFolder, WalkError> {
    serde_json::from_value(folder)
        .map_err(|error| GraphError::protocol(endpoint, &format!("a folder has an unexpected shape: {error}")).into())
}

pub(super) fn too_many(endpoint: Endpoint<'_>) -> WalkError {
    GraphError::protocol(endpoint, &format!("there are more than {FOLDERS_MAX} folders")).into()
}

/// What people deleted from Deleted Items and Exchange still keeps.
pub(super) async fn recoverable_items(source: Source<'_>) -> Result<Option<RemoteContainer>, WalkError> {
    let folder = match one_by_one(source, vec![RECOVERABLE.to_owned()]).await {
        Ok(mut found) => found.pop().and_then(|(_, folder)| folder),
        // Not every cloud knows the name.
        Err(WalkError::Graph(GraphError::Refused { .. })) => None,
        Err(error) => return Err(error),
    };
    Ok(folder.map(|folder| RemoteContainer {
        id: RECOVERABLE.to_owned(),
        parent: None,
        name: RECOVERABLE_NAME.to_owned(),
        hidden: false,
        well_known: Some(RECOVERABLE.to_owned()),
        n_items: folder.total_item_count,
    }))
}
