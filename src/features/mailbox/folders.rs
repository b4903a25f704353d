//! The folders of a mailbox: a whole walk at first, then what the folder delta says and the hidden ones.
//!
//! Graph's folder delta is not known to report hidden folders, so those at the top are listed at every call.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{IMMUTABLE_IDS, PAGE_SIZE};
use crate::features::{ContainerChanges, Cursor, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError};

const FOLDER_PROPERTIES: &str = "id,displayName,parentFolderId,childFolderCount,totalItemCount,isHidden";
/// Exchange keeps mailboxes far below this.
const FOLDERS_MAX: usize = 50_000;
const DELTA_PAGES_MAX: usize = 10_000;
/// Listings under way at once. The client itself holds a mailbox to four.
const LISTINGS_AT_ONCE: usize = 4;
/// Hidden folders whose disappearance is noticed; the cursor has to stay small.
const HIDDEN_MAX: usize = 200;

/// Default folders have these names in every language. `recoverableitemsdeletions`, `searchfolders` and the root are
/// left out: they are not folders that a user keeps mail in.
const WELL_KNOWN: [&str; 14] = [
    "inbox",
    "sentitems",
    "drafts",
    "deleteditems",
    "archive",
    "junkemail",
    "outbox",
    "clutter",
    "conflicts",
    "conversationhistory",
    "localfailures",
    "serverfailures",
    "syncissues",
    "scheduled",
];

/// What the next call needs to know; the caller keeps it as an opaque cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    root: String,
    delta: String,
    /// Well-known name to folder id. A name that is missing had no folder.
    well_known: BTreeMap<String, String>,
    /// Hidden folders at the top and what is below them.
    hidden: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFolder {
    id: String,
    #[serde(rename = "@odata.type", default)]
    odata_type: Option<String>,
    #[serde(rename = "@removed", default)]
    removed: Option<Value>,
    display_name: Option<String>,
    parent_folder_id: Option<String>,
    total_item_count: Option<u64>,
    is_hidden: Option<bool>,
}

pub(super) async fn containers(source: Source<'_>, since: Option<&Cursor>) -> Result<ContainerChanges, WalkError> {
    match since {
        None => whole(source).await,
        Some(cursor) => {
            // A cursor of an older format is as good as an expired one.
            let state: State = serde_json::from_str(&cursor.0).map_err(|_| WalkError::Expired)?;
            changes(source, state).await
        }
    }
}

/// Everything. The delta is walked before the listing, so that what changes in between is reported again later
/// rather than missed.
async fn whole(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let root = root_id(source).await?;
    let (reported, delta) = walk_delta(source, None).await?;
    let mut folders: HashMap<String, WireFolder> = HashMap::new();
    for folder in reported.into_iter().filter(|folder| folder.removed.is_none()) {
        folders.insert(folder.id.clone(), folder);
    }
    let top = list_top(source).await?;
    let hidden_top: Vec<String> = top.iter().filter(|f| f.is_hidden == Some(true)).map(|f| f.id.clone()).collect();
    let listed = descend(source, top).await?;
    let hidden = below(&hidden_top, &listed);
    folders.extend(listed.into_iter().map(|folder| (folder.id.clone(), folder)));
    let well_known = well_known_ids(source, &WELL_KNOWN).await?;
    let state = State { root, delta, well_known, hidden };
    let present = folders.into_values().filter_map(|folder| container(folder, &state)).collect();
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor: Some(state.cursor()) })
}

/// What changed since `state`, and the hidden folders as they are now.
async fn changes(source: Source<'_>, mut state: State) -> Result<ContainerChanges, WalkError> {
    let (mut reported, delta) = walk_delta(source, Some(&state.delta)).await?;
    state.delta = delta;
    reported.extend(hidden_folders(source, &mut state).await?);
    let mut present: HashMap<String, WireFolder> = HashMap::new();
    let mut removed = HashSet::new();
    for folder in reported {
        // The same folder may be reported twice; the last word counts.
        if folder.removed.is_some() {
            present.remove(&folder.id);
            removed.insert(folder.id);
        } else {
            removed.remove(&folder.id);
            present.insert(folder.id.clone(), folder);
        }
    }
    let incomplete: Vec<String> = present.values().filter(|f| !f.is_complete()).map(|f| f.id.clone()).collect();
    for (id, folder) in one_by_one(source, incomplete).await? {
        match folder {
            Some(folder) => drop(present.insert(id, folder)),
            None => {
                present.remove(&id);
                removed.insert(id);
            }
        }
    }
    // A default folder may have been made since; none of them is hidden, and hidden ones are listed at every call.
    let news_at_top = present.values().any(|folder| {
        folder.parent_folder_id.as_ref() == Some(&state.root)
            && folder.is_hidden != Some(true)
            && !state.well_known.values().any(|id| *id == folder.id)
    });
    if news_at_top {
        let absent: Vec<&str> = WELL_KNOWN.into_iter().filter(|name| !state.well_known.contains_key(*name)).collect();
        state.well_known.extend(well_known_ids(source, &absent).await?);
    }
    state.well_known.retain(|_, id| !removed.contains(id));
    let present = present.into_values().filter_map(|folder| container(folder, &state)).collect();
    Ok(ContainerChanges { whole: false, present, removed: removed.into_iter().collect(), cursor: Some(state.cursor()) })
}

impl State {
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("strings and maps of strings are JSON"))
    }
}

impl WireFolder {
    fn is_complete(&self) -> bool {
        self.is_search() || (self.display_name.is_some() && self.parent_folder_id.is_some())
    }

    fn gone(id: String) -> Self {
        Self {
            id,
            odata_type: None,
            removed: Some(Value::Null),
            display_name: None,
            parent_folder_id: None,
            total_item_count: None,
            is_hidden: None,
        }
    }

    /// A search folder shows messages of other folders.
    fn is_search(&self) -> bool {
        self.odata_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("#microsoft.graph.mailSearchFolder"))
    }
}

fn container(folder: WireFolder, state: &State) -> Option<RemoteContainer> {
    if folder.is_search() || folder.id == state.root {
        return None;
    }
    let well_known = state.well_known.iter().find(|(_, id)| **id == folder.id).map(|(name, _)| name.clone());
    Some(RemoteContainer {
        parent: folder.parent_folder_id.filter(|parent| *parent != state.root),
        name: folder.display_name.unwrap_or_default(),
        hidden: folder.is_hidden.unwrap_or(false),
        well_known,
        n_items: folder.total_item_count,
        id: folder.id,
    })
}

/// The root's id; a mailbox that Graph does not reach is told apart here.
async fn root_id(source: Source<'_>) -> Result<String, WalkError> {
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
async fn walk_delta(source: Source<'_>, since: Option<&str>) -> Result<(Vec<WireFolder>, String), WalkError> {
    let endpoint = Endpoint::MailFoldersDelta { user: source.user };
    let mut call = match since {
        Some(link) => source.graph.follow(endpoint, link)?,
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

async fn list_top(source: Source<'_>) -> Result<Vec<WireFolder>, WalkError> {
    list(source, Endpoint::MailFolders { user: source.user }).await
}

async fn list(source: Source<'_>, endpoint: Endpoint<'_>) -> Result<Vec<WireFolder>, WalkError> {
    let query = [("includeHiddenFolders", "true"), ("$select", FOLDER_PROPERTIES)];
    let folders = source.graph.list(endpoint, FOLDERS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await?;
    folders.into_iter().map(|folder| wire(folder, endpoint)).collect()
}

/// `folders` and everything below them. Every folder is asked for children: the count that Graph gives may leave out
/// hidden ones.
async fn descend(source: Source<'_>, folders: Vec<WireFolder>) -> Result<Vec<WireFolder>, WalkError> {
    let mut seen: HashSet<String> = folders.iter().map(|folder| folder.id.clone()).collect();
    let mut level: Vec<String> = folders.iter().filter(|f| !f.is_search()).map(|f| f.id.clone()).collect();
    let mut all = folders;
    while !level.is_empty() {
        let listings = stream::iter(level).map(|id| async move {
            match list(source, Endpoint::ChildFolders { user: source.user, folder: &id }).await {
                // Deleted since its parent was listed.
                Err(WalkError::Graph(GraphError::NotFound { .. })) => Ok(Vec::new()),
                listed => listed,
            }
        });
        let children: Vec<Vec<WireFolder>> = listings.buffer_unordered(LISTINGS_AT_ONCE).try_collect().await?;
        level = Vec::new();
        for folder in children.into_iter().flatten() {
            if seen.insert(folder.id.clone()) {
                if !folder.is_search() {
                    level.push(folder.id.clone());
                }
                all.push(folder);
            }
        }
        if all.len() > FOLDERS_MAX {
            return Err(too_many(Endpoint::MailFolders { user: source.user }));
        }
    }
    Ok(all)
}

/// The hidden folders at the top and below them; those that were there before and are not now are asked for by
/// name, because they may have moved.
async fn hidden_folders(source: Source<'_>, state: &mut State) -> Result<Vec<WireFolder>, WalkError> {
    let top = list_top(source).await?.into_iter().filter(|folder| folder.is_hidden == Some(true)).collect();
    let mut hidden = descend(source, top).await?;
    let found: HashSet<&str> = hidden.iter().map(|folder| folder.id.as_str()).collect();
    let missing = state.hidden.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
    state.hidden = hidden.iter().map(|folder| folder.id.clone()).take(HIDDEN_MAX).collect();
    for (id, folder) in one_by_one(source, missing).await? {
        hidden.push(folder.unwrap_or_else(|| WireFolder::gone(id)));
    }
    Ok(hidden)
}

/// Each of these folders, or `None` if it does not exist.
async fn one_by_one(source: Source<'_>, ids: Vec<String>) -> Result<Vec<(String, Option<WireFolder>)>, WalkError> {
    let answers = stream::iter(ids).map(|id| async move {
        let endpoint = Endpoint::MailFolder { user: source.user, folder: &id };
        let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", FOLDER_PROPERTIES);
        match call.json().await {
            Ok(folder) => wire(folder, endpoint).map(|folder| (id.clone(), Some(folder))),
            Err(GraphError::NotFound { .. }) => Ok((id.clone(), None)),
            Err(error) => Err(error.into()),
        }
    });
    answers.buffer_unordered(LISTINGS_AT_ONCE).try_collect().await
}

async fn well_known_ids(source: Source<'_>, names: &[&str]) -> Result<BTreeMap<String, String>, WalkError> {
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
    let found: Vec<Option<(String, String)>> = answers.buffer_unordered(LISTINGS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The ids of `top` and of all that is below them in `folders`.
fn below(top: &[String], folders: &[WireFolder]) -> Vec<String> {
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for folder in folders {
        children.entry(folder.parent_folder_id.as_deref().unwrap_or_default()).or_default().push(&folder.id);
    }
    let mut queue: VecDeque<&str> = top.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    while let Some(id) = queue.pop_front() {
        if found.len() >= HIDDEN_MAX {
            break;
        }
        found.push(id.to_owned());
        // Taken out, so that a cycle ends.
        queue.extend(children.remove(id).unwrap_or_default());
    }
    found
}

fn wire(folder: Value, endpoint: Endpoint<'_>) -> Result<WireFolder, WalkError> {
    serde_json::from_value(folder)
        .map_err(|error| GraphError::protocol(endpoint, &format!("a folder has an unexpected shape: {error}")).into())
}

fn too_many(endpoint: Endpoint<'_>) -> WalkError {
    GraphError::protocol(endpoint, &format!("there are more than {FOLDERS_MAX} folders")).into()
}

pub(super) fn walk_error(error: GraphError) -> WalkError {
    match error {
        GraphError::Resync { .. } => WalkError::Expired,
        GraphError::NoService { .. } => WalkError::NotApplicable(error.to_string()),
        error => WalkError::Graph(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> State {
        State {
            root: "root".into(),
            delta: "https://graph.microsoft.com/v1.0/users/u/mailFolders/delta?$deltatoken=t".into(),
            well_known: BTreeMap::from([("inbox".to_owned(), "in".to_owned())]),
            hidden: vec!["h".into()],
        }
    }

    fn folder(json: Value) -> WireFolder {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_folder_below_the_root_is_at_the_top_and_a_default_folder_is_named() {
        let wire =
            folder(json!({"id": "in", "displayName": "Posteingang", "parentFolderId": "root", "totalItemCount": 7}));

        let container = container(wire, &state()).unwrap();

        assert_eq!(container.parent, None);
        assert_eq!(container.well_known.as_deref(), Some("inbox"));
        assert_eq!((container.n_items, container.hidden), (Some(7), false));
    }

    #[test]
    fn search_folders_and_the_root_are_not_containers() {
        let search = json!({"id": "s", "@odata.type": "#microsoft.graph.mailSearchFolder", "displayName": "Unread"});

        assert_eq!(container(folder(search), &state()), None);
        assert_eq!(container(folder(json!({"id": "root", "displayName": "Top"})), &state()), None);
    }

    #[test]
    fn the_cursor_keeps_all_that_the_next_call_needs() {
        let back: State = serde_json::from_str(&state().cursor().0).unwrap();

        assert_eq!(back, state());
    }

    #[test]
    fn what_is_below_is_found_once_even_in_a_cycle() {
        let folders = [("a", "top"), ("b", "a"), ("top", "b"), ("c", "other")]
            .map(|(id, parent)| folder(json!({"id": id, "displayName": id, "parentFolderId": parent})));

        let found = below(&["top".to_owned()], &folders);

        assert_eq!(found.iter().map(String::as_str).collect::<HashSet<_>>(), HashSet::from(["top", "a", "b"]));
    }
}
