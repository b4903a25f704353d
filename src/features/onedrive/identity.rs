//! What tells an item of a drive, on the target or in a backup, from others, and one state of it from another. Pure.
//!
//! OneDrive items take no marker. A file that a restore put there is recognised by its name and what is in it; one that
//! SharePoint rewrites on arrival, by the dates that it was given, as long as no person has changed it since.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::facets::{is, kind};
use super::{KIND_FILE, KIND_FOLDER, KIND_PACKAGE};
use crate::features::{Identity, change_tag, instant as time};
use crate::ids::ItemKey;

/// Into these SharePoint writes properties of the library, so that neither length nor hash stays what was sent.
const REWRITTEN_ENDINGS: [&str; 24] = [
    "doc", "docm", "docx", "dot", "dotm", "dotx", "pot", "potm", "potx", "pps", "ppsm", "ppsx", "ppt", "pptm", "pptx",
    "vsdx", "xls", "xlsb", "xlsm", "xlsx", "xltx", "jpeg", "jpg", "png",
];

/// The identity of an item in a backup; `name` is what the target would call it.
pub(super) fn of_stored(properties: &Value, name: &str) -> Identity {
    Identity { change_tag: may_be_rewritten(name).then(|| trace(properties, name)), ..of(properties, name) }
}

/// The identity of an item on the target.
pub(super) fn of_present(properties: &Value) -> Identity {
    let name = properties["name"].as_str().unwrap_or_default();
    let untouched = is(&properties["lastModifiedBy"], "application") && may_be_rewritten(name);
    Identity { change_tag: untouched.then(|| trace(properties, name)), ..of(properties, name) }
}

fn of(properties: &Value, name: &str) -> Identity {
    let kind = kind(properties);
    let (what, state) = match kind {
        KIND_FILE => ("file", state(properties, name)),
        // A folder is there or not; what is in it is told item by item.
        KIND_FOLDER | KIND_PACKAGE => ("folder", Some(change_tag(&format!("folder {name}")))),
        _ => ("other", None),
    };
    Identity {
        natural_key: Some(ItemKey::of(&format!("{what} {}", name.to_lowercase()))),
        change_tag: None,
        state,
        modified: modified(properties),
    }
}

/// All that a restore brings back of a file; nothing without a hash, which business drives nearly always have.
fn state(properties: &Value, name: &str) -> Option<u64> {
    let description = properties["description"].as_str().unwrap_or_default();
    let content = content(properties)?;
    Some(change_tag(&format!("{content} {} {name}\n{description}", dates(properties))))
}

/// What is in a file, as the service says it.
pub(super) fn content(properties: &Value) -> Option<String> {
    match properties["size"].as_u64()? {
        // Empty files have a hash or not.
        0 => Some("0".to_owned()),
        bytes => Some(format!("{bytes} {}", properties["file"]["hashes"]["quickXorHash"].as_str()?)),
    }
}

/// What a restore leaves on a file whose content does not stay what was sent.
fn trace(properties: &Value, name: &str) -> u64 {
    change_tag(&format!("restored {} {}", dates(properties), name.to_lowercase()))
}

/// To the second: SharePoint keeps no more.
fn dates(properties: &Value) -> String {
    let seconds = |name: &str| time(&properties["fileSystemInfo"][name]).map(|time| time.timestamp());
    format!("{:?} {:?}", seconds("createdDateTime"), seconds("lastModifiedDateTime"))
}

pub(super) fn modified(properties: &Value) -> Option<DateTime<Utc>> {
    time(&properties["fileSystemInfo"]["lastModifiedDateTime"]).or_else(|| time(&properties["lastModifiedDateTime"]))
}

/// Whether the length and the hash of a file of this name say nothing about what was sent.
pub(super) fn may_be_rewritten(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| REWRITTEN_ENDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(name: &str, hash: &str, modified: &str) -> Value {
        json!({"id": "f", "name": name, "size": 3, "file": {"hashes": {"quickXorHash": hash}},
               "fileSystemInfo": {"createdDateTime": "2024-01-01T00:00:00Z", "lastModifiedDateTime": modified}})
    }

    fn by_app(mut file: Value) -> Value {
        file["lastModifiedBy"] = json!({"application": {"displayName": "KODO"}});
        file
    }

    const MONDAY: &str = "2024-02-05T10:00:00Z";

    #[test]
    fn a_file_is_the_same_when_everything_that_comes_back_is() {
        let stored = of_stored(&file("a.txt", "H", MONDAY), "a.txt");

        assert_eq!(of_present(&file("a.txt", "H", "2024-02-05T10:00:00.4567Z")).state, stored.state);
        for other in [
            file("A.txt", "H", MONDAY),
            file("a.txt", "G", MONDAY),
            file("a.txt", "H", "2024-02-05T10:00:01Z"),
            json!({"description": "words", "name": "a.txt", "size": 3, "file": {"hashes": {"quickXorHash": "H"}}}),
        ] {
            assert_ne!(of_present(&other).state, stored.state, "{other}");
        }
        assert_eq!(of_present(&file("A.TXT", "G", MONDAY)).natural_key, stored.natural_key);
        assert_eq!(stored.change_tag, None);
    }

    #[test]
    fn what_sharepoint_rewrote_is_recognised_until_a_person_changes_it() {
        let stored = of_stored(&file("a.docx", "H", MONDAY), "a.docx");
        let rewritten = file("a.docx", "G", MONDAY);

        assert_eq!(of_present(&by_app(rewritten.clone())).change_tag, stored.change_tag);
        // One whose dates were put back by whoever encrypted it.
        assert_eq!(of_present(&rewritten).change_tag, None);
        assert_ne!(of_present(&by_app(file("a.docx", "G", "2024-02-06T00:00:00Z"))).change_tag, stored.change_tag);
        assert_eq!(of_present(&by_app(file("a.txt", "G", MONDAY))).change_tag, None);
    }

    #[test]
    fn a_folder_is_the_same_whatever_is_in_it_and_no_file_of_its_name() {
        let folder =
            |modified: &str| json!({"name": "F", "folder": {}, "fileSystemInfo": {"lastModifiedDateTime": modified}});
        let stored = of_stored(&folder(MONDAY), "F");

        assert_eq!(of_present(&folder("2020-01-01T00:00:00Z")).state, stored.state);
        assert_ne!(of_present(&file("F", "H", MONDAY)).natural_key, stored.natural_key);
    }

    #[test]
    fn without_a_hash_nothing_is_the_same_but_empty_files_are() {
        let mut unhashed = file("a", "H", MONDAY);
        unhashed["file"] = json!({});
        let mut empty = unhashed.clone();
        empty["size"] = json!(0);

        assert_eq!(of_stored(&unhashed, "a").state, None);
        assert!(of_stored(&empty, "a").state.is_some());
    }
}
