//! The folders of a mailbox: a whole walk at first, then what the folder delta says and the hidden ones.
//!
//! Graph's folder delta is not known to report hidden folders, so those at the top are listed at every call.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::folder_requests::{
    AT_ONCE, FOLDERS_MAX, WireFolder, list, list_top, one_by_one, root_id, too_many, walk_delta, well_known_ids,
};
use crate::features::{ContainerChanges, Cursor, PassedOver, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError};

/// Hidden folders whose disappearance is noticed; the cursor has to stay small.
const HIDDEN_MAX: usize = 200;

/// Why a search folder is no container.
const SEARCH: &str = "a search folder: it only shows messages of other folders";

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
    let listed = descend(source, top, Ask::Everyone).await?;
    let hidden = below(&hidden_top, &listed);
    folders.extend(listed.into_iter().map(|folder| (folder.id.clone(), folder)));
    let well_known = well_known_ids(source, &WELL_KNOWN).await?;
    let state = State { root, delta, well_known, hidden };
    let searches = folders.values().filter(|folder| folder.is_search());
    let passed_over = searches.filter_map(|folder| Some(left_out(folder.display_name.clone()?, SEARCH))).collect();
    let present = folders.into_values().filter_map(|folder| container(folder, &state)).collect();
    let cursor = Some(state.cursor());
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor, passed_over: Some(passed_over) })
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
    let (removed, cursor) = (removed.into_iter().collect(), Some(state.cursor()));
    Ok(ContainerChanges { whole: false, present, removed, cursor, passed_over: None })
}

impl State {
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("strings and maps of strings are JSON"))
    }
}

fn left_out(name: String, why: &str) -> PassedOver {
    PassedOver { name, why: why.to_owned() }
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

/// Which folders are asked for children.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// All: the count that Graph gives may leave out hidden ones.
    Everyone,
    /// Those that have some by Graph's count, or every run would ask all of them again.
    Parents,
}

impl Ask {
    fn asks(self, folder: &WireFolder) -> bool {
        !folder.is_search() && (self == Self::Everyone || folder.child_folder_count != Some(0))
    }
}

/// `folders` and everything below them.
async fn descend(source: Source<'_>, folders: Vec<WireFolder>, ask: Ask) -> Result<Vec<WireFolder>, WalkError> {
    let mut seen: HashSet<String> = folders.iter().map(|folder| folder.id.clone()).collect();
    let mut level: Vec<String> = folders.iter().filter(|f| ask.asks(f)).map(|f| f.id.clone()).collect();
    let mut all = folders;
    while !level.is_empty() {
        let listings = stream::iter(level).map(|id| async move {
            match list(source, Endpoint::ChildFolders { user: source.user, folder: &id }).await {
                // Deleted since its parent was listed.
                Err(WalkError::Graph(GraphError::NotFound { .. })) => Ok(Vec::new()),
                listed => listed,
            }
        });
        let children: Vec<Vec<WireFolder>> = listings.buffer_unordered(AT_ONCE).try_collect().await?;
        level = Vec::new();
        for folder in children.into_iter().flatten() {
            if seen.insert(folder.id.clone()) {
                if ask.asks(&folder) {
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
    let mut hidden = descend(source, top, Ask::Parents).await?;
    let found: HashSet<&str> = hidden.iter().map(|folder| folder.id.as_str()).collect();
    let missing = state.hidden.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
    state.hidden = hidden.iter().map(|folder| folder.id.clone()).take(HIDDEN_MAX).collect();
    for (id, folder) in one_by_one(source, missing).await? {
        hidden.push(folder.unwrap_or_else(|| WireFolder::gone(id)));
    }
    Ok(hidden)
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
