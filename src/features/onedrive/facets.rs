//! Reading the JSON of a drive item: what is kept of it, what it is, and by what a change is told.

use serde_json::Value;

use super::{KIND_FILE, KIND_FOLDER, KIND_PACKAGE, KIND_SHORTCUT, PATHS, PERMISSIONS};
use crate::features::{SkipReason, Summary, change_tag, instant as time};
use crate::ids::ItemKey;

/// What changes without the item changing: links that expire or follow from the path, and what Graph reports or not
/// depending on how it was asked.
const NOT_KEPT: [&str; 6] = ["cTag", "webUrl", "webDavUrl", "content", "thumbnails", "children"];
/// Where a file can be read for a while, without a token.
const DOWNLOAD_URL: &str = "@microsoft.graph.downloadUrl";
const SHARING_CHANGED: &str = "@microsoft.graph.sharedChanged";
/// Files of a OneNote notebook.
const NOTE_TYPES: [&str; 2] = ["application/msonenote", "application/onenote"];

/// Whether an entry says all there is: delta may name changed properties alone.
pub(super) fn is_complete(entry: &Value) -> bool {
    let facets = ["root", "folder", "file", "package", "remoteItem"];
    let placed = is(entry, "root") || entry["parentReference"]["id"].is_string();
    let measured = !is(entry, "file") || entry["size"].is_u64();
    entry["name"].is_string() && placed && measured && facets.iter().any(|facet| is(entry, facet))
}

/// The properties as they are stored. The same whether delta or a request for the item brought them.
pub(super) fn kept(mut entry: Value) -> Value {
    let holds_others = is(&entry, "folder") || is(&entry, "package") || is(&entry, "root");
    if let Some(properties) = entry.as_object_mut() {
        properties.retain(|name, _| !name.starts_with('@') && !NOT_KEPT.contains(&name.as_str()));
        if holds_others {
            // Of what is below, which changes on its own.
            properties.remove("size");
        }
    }
    if let Some(folder) = entry["folder"].as_object_mut() {
        folder.remove("childCount");
    }
    if let Some(parent) = entry["parentReference"].as_object_mut() {
        parent.retain(|name, _| name == "id" || name == "driveId");
    }
    // Looking for what is not there leaves a null behind.
    if let Some(properties) = entry.as_object_mut() {
        properties.retain(|_, value| !value.is_null());
    }
    entry
}

pub(super) fn is(entry: &Value, facet: &str) -> bool {
    entry.get(facet).is_some_and(|value| !value.is_null())
}

pub(super) fn kind(properties: &Value) -> u8 {
    // A shortcut also has the facet of what it leads to.
    if is(properties, "remoteItem") {
        KIND_SHORTCUT
    } else if is(properties, "package") {
        KIND_PACKAGE
    } else if is(properties, "file") {
        KIND_FILE
    } else {
        KIND_FOLDER
    }
}

/// Why OneDrive does not hand this item out, and will not.
pub(super) fn skip_reason(properties: &Value) -> Option<(SkipReason, &'static str)> {
    let note = properties["file"]["mimeType"].as_str().is_some_and(|mime| NOTE_TYPES.contains(&mime));
    let notebook = properties["package"]["type"].as_str().is_some_and(|of| of.eq_ignore_ascii_case("oneNote"));
    if note || notebook {
        return Some((SkipReason::OneNote, "a part of a OneNote notebook, which OneDrive does not hand out as a file"));
    }
    is(properties, "malware").then_some((SkipReason::Malware, "Microsoft found malware in it and refuses the download"))
}

pub(super) fn download_url(entry: &Value) -> Option<&str> {
    entry[DOWNLOAD_URL].as_str()
}

/// Whether somebody was let in or shut out, which no property shows.
pub(super) fn sharing_changed(entry: &Value) -> bool {
    match &entry[SHARING_CHANGED] {
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        other => other.as_bool().unwrap_or(false),
    }
}

/// Marks an entry whose permissions are wanted. The mark is part of what the change tag is made of, so that the choice
/// itself is a change.
pub(super) fn want_permissions(entry: &mut Value) {
    if is(entry, "shared") {
        entry[PERMISSIONS] = Value::Bool(true);
    }
}

pub(super) fn wants_permissions(entry: &Value) -> bool {
    is(entry, PERMISSIONS)
}

/// What tells one state of a file's content from another, in half a change tag. Of a folder: what is wanted below it.
pub(super) fn content_tag(properties: &Value) -> u32 {
    if !is(properties, "file") {
        return properties[PATHS].as_str().map_or(0, half);
    }
    let hash = properties["file"]["hashes"]["quickXorHash"].as_str();
    // Without a hash any change may be one of the content.
    let hash = hash.or_else(|| properties["eTag"].as_str()).unwrap_or_default();
    half(&format!("{} {hash}", properties["size"]))
}

/// A change tag whose upper half is the content's and whose lower half is everything's.
pub(super) fn tag(properties: &Value) -> u64 {
    (u64::from(content_tag(properties)) << 32) | u64::from(half(&properties.to_string()))
}

/// The half of a change tag that is the content's.
pub(super) fn content_half(tag: u64) -> u32 {
    (tag >> 32) as u32
}

pub(super) fn half(text: &str) -> u32 {
    content_half(change_tag(text))
}

pub(super) fn summary(properties: &Value) -> Summary {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let person = &properties["lastModifiedBy"]["user"];
    let party = [&person["email"], &person["displayName"]].into_iter().find(|name| name.is_string());
    let times = [&properties["fileSystemInfo"]["lastModifiedDateTime"], &properties["lastModifiedDateTime"]];
    let parent = properties["parentReference"]["id"].as_str().filter(|_| !is(properties, "root"));
    Summary {
        kind: kind(properties),
        flags: 0,
        change_tag: tag(properties),
        name: text(&properties["name"]),
        party: party.map(text).unwrap_or_default(),
        time: times.into_iter().find_map(time).unwrap_or_default(),
        parent: parent.map(ItemKey::of),
        words: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({"id": "f", "name": "a.txt", "size": 3, "eTag": "\"{G},1\"", "cTag": "c", "webUrl": "https://x/a.txt",
               "@microsoft.graph.downloadUrl": "https://x/?tempauth=1",
               "file": {"mimeType": "text/plain", "hashes": {"quickXorHash": "YRDDGAAAAAAAAAAAAwAAAAAAAAA="}},
               "lastModifiedBy": {"user": {"displayName": "Ann", "email": "ann@contoso.com"}},
               "fileSystemInfo": {"lastModifiedDateTime": "2024-02-03T04:05:06Z"},
               "lastModifiedDateTime": "2025-01-01T00:00:00Z",
               "parentReference": {"driveId": "d", "id": "p", "siteId": "s", "path": "/drives/d/root:/P", "name": "P"}})
    }

    #[test]
    fn what_changes_on_its_own_is_not_kept() {
        let folder = json!({"id": "p", "name": "P", "size": 99, "folder": {"childCount": 4},
                            "parentReference": {"driveId": "d", "id": "r"}});

        let kept_file = kept(file());

        assert_eq!(kept(folder.clone()), kept(kept(folder)));
        assert_eq!(kept_file["parentReference"], json!({"driveId": "d", "id": "p"}));
        for gone in ["cTag", "webUrl", "@microsoft.graph.downloadUrl", "folder"] {
            assert!(!is(&kept_file, gone), "{gone}");
        }
        assert_eq!(kept(json!({"folder": {"childCount": 1}, "size": 1})), json!({"folder": {}}));
    }

    #[test]
    fn a_summary_is_read_from_the_properties() {
        let read = summary(&kept(file()));

        assert_eq!((read.kind, read.name.as_str(), read.party.as_str()), (KIND_FILE, "a.txt", "ann@contoso.com"));
        assert_eq!(read.time.to_rfc3339(), "2024-02-03T04:05:06+00:00");
        assert_eq!(read.parent, Some(ItemKey::of("p")));
        let root = json!({"name": "root", "root": {}, "folder": {}, "parentReference": {"driveId": "d", "id": "x"}});
        assert_eq!((summary(&root).parent, summary(&root).kind), (None, KIND_FOLDER));
    }

    #[test]
    fn a_change_of_the_content_is_told_from_any_other() {
        let before = tag(&kept(file()));
        let mut renamed = file();
        renamed["name"] = json!("b.txt");
        let mut grown = file();
        grown["size"] = json!(4);
        let mut rewritten = file();
        rewritten["file"]["hashes"]["quickXorHash"] = json!("SgAAAAAAAAAAAAAAAQAAAAAAAAA=");
        let mut elsewhere = file();
        elsewhere["webUrl"] = json!("https://x/P2/a.txt");

        assert_ne!(tag(&kept(renamed.clone())), before);
        assert_eq!(content_half(tag(&kept(renamed))), content_half(before));
        assert_ne!(content_half(tag(&kept(grown))), content_half(before));
        assert_ne!(content_half(tag(&kept(rewritten))), content_half(before));
        assert_eq!(tag(&kept(elsewhere)), before);
    }

    #[test]
    fn what_onedrive_never_hands_out_is_told_by_its_facets() {
        let reason = |properties: Value| skip_reason(&properties).map(|(reason, _)| reason);

        assert_eq!(reason(json!({"package": {"type": "oneNote"}})), Some(SkipReason::OneNote));
        assert_eq!(reason(json!({"file": {"mimeType": "application/msonenote"}})), Some(SkipReason::OneNote));
        assert_eq!(reason(json!({"file": {}, "malware": {"description": "x"}})), Some(SkipReason::Malware));
        assert_eq!(reason(json!({"package": {"type": "other"}})), None);
        assert_eq!(reason(file()), None);
    }

    #[test]
    fn an_entry_of_changed_properties_alone_is_incomplete() {
        assert!(is_complete(&file()));
        assert!(is_complete(&json!({"name": "root", "root": {}, "folder": {}})));
        assert!(!is_complete(&json!({"id": "f", "name": "b.txt"})));
        assert!(!is_complete(&json!({"name": "b.txt", "file": {}, "parentReference": {"id": "p"}})));
    }
}
