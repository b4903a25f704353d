//! Whose drive it is, what changed in it, page by page, and what each change needs.

use serde_json::Value;

use super::chosen;
use super::facets::{
    content_half, content_tag, is, is_complete, kept, sharing_changed, tag, want_permissions, wants_permissions,
};
use super::places::Trail;
use super::rules::Rules;
use super::versions::{self, Versions};
use crate::clock;
use crate::features::entries::{self, is_removed};
use crate::features::{
    Change, ContainerChanges, Cursor, KnownVersion, Need, Next, OneDriveOptions, Page, RemoteContainer, RemoteItem,
    Source, Walk, WalkError,
};
use crate::graph::{DriveEndpoint, Endpoint, GraphError, JsonPage};

/// A link carries it on.
const PAGE_ITEMS: &str = "500";
/// Preferences are not part of a link: they are sent with every page. Deletions are told as such, folders that the app may
/// not read do not hide what is below, and a change of permissions is reported where it was made.
const PREFERENCES: [&str; 4] =
    ["deltashowremovedasdeleted", "deltatraversepermissiongaps", "deltashowsharingchanges", "hierarchicalsharing"];

/// The user's own drive, as the one container there is.
pub(super) async fn drive(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let endpoint = Endpoint::Drive(DriveEndpoint::OfUser { user: source.user });
    let drive = match source.graph.get(endpoint).query("$select", "id,name,driveType").json().await {
        Err(error @ GraphError::NotFound { .. }) => return Err(WalkError::NotApplicable(error.to_string())),
        other => other.map_err(walk_error)?,
    };
    let id = drive["id"].as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| GraphError::protocol(endpoint, "the drive has no id"))?.to_owned();
    let name = drive["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("OneDrive").to_owned();
    let container = RemoteContainer { id, parent: None, name, hidden: false, well_known: None, n_items: None };
    let mut present = vec![container];
    if source.options.onedrive.versions != Versions::None {
        present.push(versions::container(&present[0].id));
    }
    let passed_over = Some(chosen::passed_over(&source.options.onedrive));
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor: None, passed_over })
}

pub(super) async fn page(source: Source<'_>, drive: &str, walk: &Walk) -> Result<Page, WalkError> {
    let Some(rules) = Rules::of(&source.options.onedrive) else {
        let (value, next) = match walk {
            Walk::Start => read_page(source, drive, None).await?,
            Walk::Since(Cursor(link)) | Walk::Resume(Cursor(link)) => read_page(source, drive, Some(link)).await?,
        };
        let change = |id, entry| Some(change(id, entry, &source.options.onedrive));
        let changes = entries::read(value, change).ok_or_else(|| without_id(drive))?;
        return Ok(Page { begins_full_walk: false, changes, next });
    };
    let trail = match walk {
        Walk::Start => Trail::over_everything(),
        Walk::Since(cursor) => Trail::over_changes(cursor)?,
        Walk::Resume(cursor) => Trail::resumed(cursor)?,
    };
    let (value, next) = read_page(source, drive, Some(trail.link.as_str()).filter(|link| !link.is_empty())).await?;
    let changes =
        chosen::changes(source, drive, &rules, &trail, (value, &next)).await?.ok_or_else(|| without_id(drive))?;
    let next = match next {
        Next::Page(Cursor(link)) => Next::Page(trail.goes_on(link)),
        Next::Done(Cursor(link)) => Next::Done(trail.ends(link, clock::now().timestamp())),
    };
    Ok(Page { begins_full_walk: false, changes, next })
}

/// The entries of a page, and the link to the next; the first page of all without a link.
async fn read_page(source: Source<'_>, drive: &str, link: Option<&str>) -> Result<(Vec<Value>, Next), WalkError> {
    let changes = Endpoint::Drive(DriveEndpoint::Changes { drive });
    let call = match link {
        None => source.graph.get(Endpoint::Drive(DriveEndpoint::Everything { drive })).query("$top", PAGE_ITEMS),
        // A link of another service is one from before the configuration changed: it is worth nothing now.
        Some(link) => source.graph.follow(changes, link).map_err(|_| WalkError::Expired)?,
    };
    let call = PREFERENCES.iter().fold(call, |call, preference| call.prefer(preference));
    let JsonPage { value, next, delta } = call.page().await.map_err(walk_error)?;
    match (next, delta) {
        (Some(next), _) => Ok((value, Next::Page(Cursor(next)))),
        (None, Some(delta)) => Ok((value, Next::Done(Cursor(delta)))),
        (None, None) => Err(GraphError::protocol(changes, "the page has neither nextLink nor deltaLink").into()),
    }
}

fn without_id(drive: &str) -> GraphError {
    GraphError::protocol(Endpoint::Drive(DriveEndpoint::Changes { drive }), "an entry has no id")
}

pub(super) fn change(id: String, mut entry: Value, options: &OneDriveOptions) -> Change {
    if is(&entry, "deleted") || is_removed(&entry) || is_excluded(&entry, options) {
        return Change::Removed { id };
    }
    if options.permissions {
        want_permissions(&mut entry);
    }
    versions::want_versions(&mut entry, options.versions);
    let properties = is_complete(&entry).then_some(entry);
    Change::Present(RemoteItem { id, properties })
}

/// Whether the policy does not want this file. One that was renamed into an excluded extension leaves the backup.
pub(super) fn is_excluded(entry: &Value, options: &OneDriveOptions) -> bool {
    let Some((_, extension)) = entry["name"].as_str().and_then(|name| name.rsplit_once('.')) else { return false };
    let excluded = |wanted: &String| wanted.trim_start_matches('.').to_lowercase() == extension.to_lowercase();
    is(entry, "file") && options.exclude_extensions.iter().any(excluded)
}

/// A file is read again when its hash or its length changed; a name, a folder or a date is a property.
pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    let (Some(known), Some(entry)) = (known, &item.properties) else { return Need::Everything };
    let properties = kept(entry.clone());
    let has_all = known.has_content || !is(&properties, "file");
    if !has_all || content_half(known.change_tag) != content_tag(&properties) {
        return Need::Everything;
    }
    let same = known.change_tag == tag(&properties) && !(wants_permissions(entry) && sharing_changed(entry));
    if same { Need::Nothing } else { Need::Properties }
}

pub(super) fn walk_error(error: GraphError) -> WalkError {
    match error {
        // The whole site: an administrator blocked it, or the subscription lapsed.
        GraphError::Locked { .. } => WalkError::NotApplicable(format!("the drive is locked: {error}")),
        error => entries::walk_error(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(id: &str, hash: &str) -> Value {
        json!({"id": id, "name": format!("{id}.txt"), "size": 3, "file": {"hashes": {"quickXorHash": hash}},
               "parentReference": {"driveId": "d", "id": "r"}})
    }

    fn item(properties: Value) -> RemoteItem {
        RemoteItem { id: "f".into(), properties: Some(properties) }
    }

    fn told(entries: Vec<Value>, options: &OneDriveOptions) -> Vec<(String, Option<bool>)> {
        let told = |change| match change {
            Change::Present(item) => (item.id, Some(item.properties.is_some())),
            Change::Removed { id } | Change::LeftOut { id } => (id, None),
        };
        let change = |id, entry| Some(change(id, entry, options));
        entries::read(entries, change).unwrap().into_iter().map(told).collect()
    }

    #[test]
    fn the_last_entry_of_an_id_counts_and_the_deleted_facet_is_a_removal() {
        let gone = |id: &str| json!({"id": id, "size": 0, "deleted": {"state": "deleted"}});
        let entries = vec![file("a", "1"), gone("b"), file("a", "2"), json!({"id": "c"}), file("b", "1"), gone("a")];

        let expected = [("c", Some(false)), ("b", Some(true)), ("a", None)];
        assert_eq!(told(entries, &OneDriveOptions::default()), expected.map(|(id, told)| (id.to_owned(), told)));
    }

    #[test]
    fn a_file_with_an_excluded_extension_is_not_there() {
        let options = OneDriveOptions { exclude_extensions: vec![".TXT".into()], ..OneDriveOptions::default() };
        let mut folder = file("b", "1");
        folder["file"] = Value::Null;
        folder["folder"] = json!({});

        let expected = [("a", None), ("b", Some(true))];
        assert_eq!(told(vec![file("a", "1"), folder], &options), expected.map(|(id, told)| (id.to_owned(), told)));
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let known =
            |properties: Value, has_content| KnownVersion { change_tag: tag(&kept(properties)), flags: 0, has_content };
        let mut moved = file("f", "1");
        moved["parentReference"]["id"] = json!("elsewhere");
        let folder = json!({"id": "f", "name": "F", "folder": {}, "parentReference": {"id": "r"}});

        assert_eq!(need(&item(file("f", "1")), None), Need::Everything);
        assert_eq!(need(&item(file("f", "1")), Some(&known(file("f", "1"), true))), Need::Nothing);
        assert_eq!(need(&item(file("f", "1")), Some(&known(file("f", "1"), false))), Need::Everything);
        assert_eq!(need(&item(moved), Some(&known(file("f", "1"), true))), Need::Properties);
        assert_eq!(need(&item(file("f", "2")), Some(&known(file("f", "1"), true))), Need::Everything);
        assert_eq!(need(&item(folder.clone()), Some(&known(folder, false))), Need::Nothing);
        let by_id = RemoteItem { id: "f".into(), properties: None };
        assert_eq!(need(&by_id, Some(&known(file("f", "1"), true))), Need::Everything);
    }

    #[test]
    fn permissions_are_read_when_they_are_wanted_first_and_when_sharing_changed() {
        let mut shared = file("f", "1");
        shared["shared"] = json!({"scope": "users"});
        let mut wanted = shared.clone();
        want_permissions(&mut wanted);
        let known = |entry: &Value| KnownVersion { change_tag: tag(&kept(entry.clone())), flags: 0, has_content: true };
        let mut changed = wanted.clone();
        changed["@microsoft.graph.sharedChanged"] = json!("True");

        assert_eq!(need(&item(wanted.clone()), Some(&known(&shared))), Need::Properties);
        assert_eq!(need(&item(wanted.clone()), Some(&known(&wanted))), Need::Nothing);
        assert_eq!(need(&item(changed), Some(&known(&wanted))), Need::Properties);
    }
}
