//! The folders of a mailbox: a whole walk at first, then what the folder delta says and the hidden ones.
//!
//! Graph's folder delta is not known to report hidden folders, so those at the top are listed at every call, and all of
//! them now and then. What a policy leaves out is known by the ids of the folders; when a folder moves in or out, the
//! whole is looked at again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::folder_requests::{
    AT_ONCE, FOLDERS_MAX, WireFolder, list, list_top, one_by_one, recoverable_items, root_id, too_many, walk_delta,
    well_known_ids,
};
use super::{settings, streams};
use crate::clock;
use crate::features::{ContainerChanges, Cursor, MailboxOptions, PassedOver, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError};

/// Hidden folders whose disappearance is noticed; the cursor has to stay small.
const HIDDEN_MAX: usize = 200;
/// Folders that a policy leaves out and the cursor names. With more of them each call looks at everything.
const LEFT_OUT_MAX: usize = 200;
/// How long changes are trusted: then all folders are listed, whatever the delta said.
const LISTED_ANEW_AFTER_S: i64 = 7 * 24 * 3600;
/// Where Exchange keeps what was deleted from Deleted Items. It stands beside the tree that people see; its name is
/// taken for its id.
pub(super) const RECOVERABLE: &str = "recoverableitemsdeletions";
pub(super) const RECOVERABLE_NAME: &str = "Recoverable Items";

/// Why a folder is no container.
const SEARCH: &str = "a search folder: it only shows messages of other folders";
const POLICY: &str = "the policy leaves it out";

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
    /// Folders that the policy does not want, and what is below them.
    left_out: Vec<String>,
    /// When all folders were listed last, in seconds.
    listed_s: i64,
}

pub(super) async fn containers(source: Source<'_>, since: Option<&Cursor>) -> Result<ContainerChanges, WalkError> {
    match since {
        None => whole(source).await,
        Some(cursor) => {
            // A cursor of an older format is as good as an expired one.
            let state: State = serde_json::from_str(&cursor.0).map_err(|_| WalkError::Expired)?;
            if state.is_stale(clock::now().timestamp()) {
                return Err(WalkError::Expired);
            }
            changes(source, state).await
        }
    }
}

/// Everything. The delta is walked before the listing, so that what changes in between is reported again later
/// rather than missed.
async fn whole(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let options = &source.options.mailbox;
    let root = root_id(source).await?;
    let listing = async {
        let (reported, delta) = walk_delta(source, None).await?;
        let top = list_top(source).await?;
        let hidden_top: Vec<String> = top.iter().filter(|f| f.is_hidden == Some(true)).map(|f| f.id.clone()).collect();
        Ok((reported, delta, hidden_top, descend(source, top, Ask::Everyone).await?))
    };
    // Beside each other: a first backup is to use its mailbox fully from the beginning.
    let ((reported, delta, hidden_top, listed), well_known) =
        tokio::try_join!(listing, well_known_ids(source, &WELL_KNOWN))?;
    let hidden = below(&hidden_top, &listed, HIDDEN_MAX);
    let mut folders: HashMap<String, WireFolder> = HashMap::new();
    for folder in reported.into_iter().filter(|folder| folder.removed.is_none()).chain(listed) {
        folders.insert(folder.id.clone(), folder);
    }
    let left_out = below(&unwanted(&well_known, options), folders.values(), FOLDERS_MAX);
    let mut passed_over: Vec<_> = left_out.iter().filter_map(|id| passed_by(folders.remove(id)?, POLICY)).collect();
    passed_over.extend(
        folders.values().filter(|folder| folder.is_search()).cloned().filter_map(|folder| passed_by(folder, SEARCH)),
    );
    let left_out = left_out.into_iter().take(LEFT_OUT_MAX + 1).collect();
    let state = State { root, delta, well_known, hidden, left_out, listed_s: clock::now().timestamp() };
    let mut present: Vec<_> = folders.into_values().filter_map(|folder| container(folder, &state)).collect();
    if options.recoverable_items {
        present.extend(recoverable_items(source).await?);
    } else {
        passed_over.push(PassedOver { name: RECOVERABLE_NAME.to_owned(), why: POLICY.to_owned() });
    }
    if options.settings {
        present.push(settings::container());
    }
    if options.exchange_streams {
        match streams::container(source).await? {
            Ok(own) => present.push(own),
            Err(refused) => passed_over.push(refused),
        }
    }
    let cursor = Some(state.cursor());
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor, passed_over: Some(passed_over) })
}

/// The default folders that the policy leaves out.
fn unwanted(well_known: &BTreeMap<String, String>, options: &MailboxOptions) -> Vec<String> {
    let names = [("deleteditems", options.deleted_items), ("junkemail", options.junk)];
    names.iter().filter(|(_, wanted)| !wanted).filter_map(|(name, _)| well_known.get(*name).cloned()).collect()
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
    if state.has_crossing(present.values(), &unwanted(&state.well_known, &source.options.mailbox)) {
        return Err(WalkError::Expired);
    }
    present.retain(|id, _| !state.left_out.contains(id));
    state.left_out.retain(|id| !removed.contains(id));
    state.well_known.retain(|_, id| !removed.contains(id));
    let present = present.into_values().filter_map(|folder| container(folder, &state)).collect();
    let (removed, cursor) = (removed.into_iter().collect(), Some(state.cursor()));
    Ok(ContainerChanges { whole: false, present, removed, cursor, passed_over: None })
}

impl State {
    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("strings and maps of strings are JSON"))
    }

    /// Whether changes do not say enough any more.
    fn is_stale(&self, now_s: i64) -> bool {
        self.left_out.len() > LEFT_OUT_MAX || now_s - self.listed_s >= LISTED_ANEW_AFTER_S
    }

    /// Whether one of these folders moved to or from where the policy wants nothing captured, or is new there. What is
    /// below it moved with it and is not reported.
    fn has_crossing<'a>(&self, mut folders: impl Iterator<Item = &'a WireFolder>, unwanted: &[String]) -> bool {
        let left_out = |id: &String| self.left_out.contains(id);
        folders.any(|folder| {
            let belongs = unwanted.contains(&folder.id) || folder.parent_folder_id.as_ref().is_some_and(left_out);
            belongs != left_out(&folder.id)
        })
    }
}

/// A folder that is no container; one without a name is not worth telling.
fn passed_by(folder: WireFolder, why: &str) -> Option<PassedOver> {
    Some(PassedOver { name: folder.display_name?, why: why.to_owned() })
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

/// The ids of `top` and of all that is below them in `folders`, `max` of them.
fn below<'a>(top: &[String], folders: impl IntoIterator<Item = &'a WireFolder>, max: usize) -> Vec<String> {
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for folder in folders {
        children.entry(folder.parent_folder_id.as_deref().unwrap_or_default()).or_default().push(&folder.id);
    }
    let mut queue: VecDeque<&str> = top.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    while let Some(id) = queue.pop_front() {
        if found.len() >= max {
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
            left_out: vec!["bin".into(), "below".into()],
            listed_s: 1_000_000,
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

        let found = below(&["top".to_owned()], &folders, HIDDEN_MAX);

        assert_eq!(found.iter().map(String::as_str).collect::<HashSet<_>>(), HashSet::from(["top", "a", "b"]));
    }
    #[test]
    fn a_folder_that_moves_in_or_out_of_what_is_left_out_is_noticed() {
        let crosses = |json: Value| state().has_crossing([folder(json)].iter(), &["bin".to_owned()]);
        let at = |id: &str, parent: &str| json!({"id": id, "displayName": id, "parentFolderId": parent});

        for (id, parent, crossing) in [
            ("bin", "root", false),
            ("below", "bin", false),
            ("other", "in", false),
            ("other", "bin", true),
            ("other", "below", true),
            ("below", "in", true),
        ] {
            assert_eq!(crosses(at(id, parent)), crossing, "{id} in {parent}");
        }
        assert!(state().has_crossing([folder(at("in", "root"))].iter(), &["in".to_owned()]));
    }

    #[test]
    fn only_what_the_policy_does_not_want_is_left_out() {
        let known = ["deleteditems", "inbox", "junkemail"].map(|name| (name.to_owned(), format!("{name} id")));
        let known = BTreeMap::from(known);
        let all = MailboxOptions::default();

        assert!(unwanted(&known, &all).is_empty());
        assert_eq!(unwanted(&known, &MailboxOptions { junk: false, ..all.clone() }), ["junkemail id"]);
        assert_eq!(unwanted(&known, &MailboxOptions { deleted_items: false, ..all }), ["deleteditems id"]);
    }

    #[test]
    fn after_a_week_or_with_too_many_left_out_everything_is_listed() {
        let mut many = state();
        many.left_out = (0..=LEFT_OUT_MAX).map(|n| n.to_string()).collect();

        assert!(!state().is_stale(1_000_000 + LISTED_ANEW_AFTER_S - 1));
        assert!(state().is_stale(1_000_000 + LISTED_ANEW_AFTER_S));
        assert!(many.is_stale(1_000_000));
    }
}
