//! What of a file must come back, and clearing a drive of a rehearsal.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::OneDrive;
use super::identity::{content, may_be_rewritten};
use super::names::{self, Level};
use super::target::{Folder, TOP, delete, drive_of, find, id_of};
use crate::features::rehearsing::{NotCounted, Portrait, Rehearsing, print_of};
use crate::features::{RestoreError, Source, StoredContent, StoredItem, instant};
use crate::graph::Endpoint;

const NOT_COUNTED: [NotCounted; 6] = [
    NotCounted { field: "author, last editor", properties: &["createdBy", "lastModifiedBy"] },
    NotCounted { field: "shortcuts to other drives", properties: &["remoteItem"] },
    NotCounted { field: "sharing", properties: &["shared"] },
    NotCounted { field: "older versions of files, with their content, author and time", properties: &[] },
    NotCounted { field: "special folders (Documents, Pictures …)", properties: &["specialFolder"] },
    NotCounted { field: "the recycle bin", properties: &[] },
];
const STAYS: &str = "the files lie in the recycle bin until SharePoint empties it or somebody does";

impl Rehearsing for OneDrive {
    fn portrait(&self, item: &StoredItem) -> Result<Portrait, RestoreError> {
        let file = item.json()?;
        let mut portrait = Portrait::default();
        for (part, value) in content_of(&file, item)? {
            portrait.note("files of every size, to the byte", part, value);
        }
        for name in ["createdDateTime", "lastModifiedDateTime"] {
            // To the second: SharePoint keeps no more.
            let seconds = instant(&file["fileSystemInfo"][name]).map(|at| at.timestamp());
            portrait.note("created and modified time", name, json!(seconds));
        }
        portrait.note("description", "", file["description"].clone());
        Ok(portrait)
    }

    fn not_counted(&self) -> &'static [NotCounted] {
        &NOT_COUNTED
    }

    fn clear<'a>(
        &'a self,
        target: Source<'a>,
        top: &'a str,
    ) -> BoxFuture<'a, Result<Option<&'static str>, RestoreError>> {
        Box::pin(clear(target, top))
    }
}

/// The bytes, and what the service says of them. Of what SharePoint rewrites when it arrives, neither tells anything.
fn content_of(file: &Value, item: &StoredItem) -> Result<Vec<(&'static str, Value)>, RestoreError> {
    if may_be_rewritten(file["name"].as_str().unwrap_or_default()) {
        return Ok(Vec::new());
    }
    let bytes = match &item.content {
        StoredContent::None => print_of(&[]),
        StoredContent::Whole(bytes) => print_of(bytes),
        StoredContent::Large(_) => {
            return Err(RestoreError::Item("the file is too large to be compared whole".to_owned()));
        }
    };
    Ok(vec![("bytes", bytes), ("length and hash", json!(content(file)))])
}

async fn clear(target: Source<'_>, top: &str) -> Result<Option<&'static str>, RestoreError> {
    let drive = drive_of(target).await?;
    let root = Folder { drive: &drive, item: TOP };
    let Some(found) = find(target, root, &names::safe(top, Level::Top)).await? else { return Ok(None) };
    let id = id_of(&found, Endpoint::DriveTarget(root.named(top)))?;
    delete(target, &drive, id).await?;
    Ok(Some(STAYS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::onedrive::KIND_FILE;
    use crate::ids::ItemKey;

    fn drawn(name: &str, bytes: &'static [u8], modified: &str) -> Portrait {
        let hash = format!("{}", bytes.len());
        let properties = json!({
            "id": name, "name": name, "size": bytes.len(), "file": {"hashes": {"quickXorHash": hash}},
            "fileSystemInfo": {"createdDateTime": "2024-01-01T00:00:00Z", "lastModifiedDateTime": modified},
            "lastModifiedBy": {"user": {"displayName": "Ann"}},
        });
        let content = StoredContent::Whole(bytes.into());
        let properties = properties.to_string().into();
        OneDrive.portrait(&StoredItem { key: ItemKey::of(name), kind: KIND_FILE, properties, content }).unwrap()
    }

    const MONDAY: &str = "2024-02-05T10:00:00Z";

    #[test]
    fn other_bytes_and_another_date_are_differences_and_fractions_of_a_second_are_none() {
        let stored = drawn("a.txt", b"abc", MONDAY);

        let other = stored.likeness(&drawn("a.txt", b"abd", "2024-02-05T10:00:01Z"));

        let named = other.named();
        let expected =
            [("created and modified time", "lastModifiedDateTime"), ("files of every size, to the byte", "bytes")];
        assert_eq!(named, expected);
        assert!(stored.likeness(&drawn("a.txt", b"abc", "2024-02-05T10:00:00.4567Z")).differences.is_empty());
    }

    #[test]
    fn what_sharepoint_rewrites_is_not_compared_by_its_bytes() {
        let stored = drawn("a.docx", b"abc", MONDAY);

        assert!(stored.likeness(&drawn("a.docx", b"rewritten", MONDAY)).differences.is_empty());
        assert_eq!(stored.n_fields(), 2);
    }
}
