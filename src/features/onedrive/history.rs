//! A file with the states that it was in: put one over the other, the oldest first, so that OneDrive keeps each as a
//! version and the present state is the last.
//!
//! All of it stands under a working name, and whoever does not know what has arrived begins the file anew: no state is
//! missing, and none is there twice.

use serde_json::{Value, json};

use super::putting::{Sending, Spot, dates};
use super::target::{self, Folder, find, item_error};
use super::versions::VERSIONS_MAX;
use crate::features::{RestoreError, Source, StoredContent, StoredItem, StoredParts};
use crate::graph::{DriveEndpoint, Endpoint, GraphError};

/// How often a file is begun of which it is not known what has arrived.
const ROUNDS_MAX: u32 = 3;
const IN_THE_WAY: &str = "something else has its working name on the target";

/// A file that has been put there with its history.
pub(super) struct Put {
    pub id: String,
    pub remarks: Vec<String>,
}

/// What could not be read back of a history.
#[derive(Default)]
struct Lost {
    versions: usize,
    why: String,
}

/// Puts `older` and then `present` into a folder, under the working name that `present` has.
pub(super) async fn put(
    target: Source<'_>,
    folder: Folder<'_>,
    present: &Sending<'_>,
    older: &dyn StoredParts,
) -> Result<Put, RestoreError> {
    let mut rounds = 0;
    loop {
        rounds += 1;
        remove(target, folder, present.name).await?;
        match put_once(target, folder, present, older).await {
            Ok(Some(put)) => return Ok(put),
            Ok(None) if rounds < ROUNDS_MAX => {}
            Ok(None) => return Err(RestoreError::Item(IN_THE_WAY.to_owned())),
            Err(RestoreError::Graph(GraphError::Ambiguous { .. })) if rounds < ROUNDS_MAX => {}
            Err(error @ RestoreError::Item(_)) => {
                remove(target, folder, present.name).await?;
                return Err(error);
            }
            // What is left under its working name goes with the next attempt.
            Err(error) => return Err(error),
        }
    }
}

/// `None`: something took the working name meanwhile.
async fn put_once(
    target: Source<'_>,
    folder: Folder<'_>,
    present: &Sending<'_>,
    older: &dyn StoredParts,
) -> Result<Option<Put>, RestoreError> {
    let mut id: Option<String> = None;
    let (mut n_sent, mut lost) = (0, Lost::default());
    for index in 0..older.n_parts() {
        let part = match readable(older.read(index).await) {
            Ok(part) => part,
            Err(RestoreError::Item(why)) => {
                lost.versions += 1;
                lost.why = why;
                continue;
            }
            Err(error) => return Err(error),
        };
        let original = state(&part, present.original)?;
        let sending = Sending { item: &part, original: &original, name: present.name };
        let Some(put) = sending.put(target, spot(folder, id.as_deref())).await? else { return Ok(None) };
        n_sent += 1;
        id = Some(put);
    }
    let Some(id) = present.put(target, spot(folder, id.as_deref())).await? else { return Ok(None) };
    let mut remarks = Vec::new();
    if lost.versions > 0 {
        remarks.push(format!("{} of its older versions cannot be read: {}", lost.versions, lost.why));
    }
    let endpoint = Endpoint::Drive(DriveEndpoint::Versions { drive: folder.drive, item: &id });
    let there = target.graph.list(endpoint, VERSIONS_MAX, &[], &[]).await.map_err(item_error)?;
    // The present state is among them.
    let n_kept = there.len().saturating_sub(1);
    if n_kept != n_sent {
        remarks.push(format!("OneDrive keeps {n_kept} older versions of it, and {n_sent} were sent"));
    }
    Ok(Some(Put { id, remarks }))
}

fn spot<'a>(folder: Folder<'a>, id: Option<&'a str>) -> Spot<'a> {
    match id {
        None => Spot::New(folder),
        Some(item) => Spot::Next { drive: folder.drive, item },
    }
}

/// A version whose content the backup lacks is none.
fn readable(part: Result<StoredItem, RestoreError>) -> Result<StoredItem, RestoreError> {
    let part = part?;
    let expected = part.json()?["size"].as_u64();
    let bytes = match &part.content {
        StoredContent::None => 0,
        StoredContent::Whole(content) => content.len() as u64,
        StoredContent::Large(content) => content.bytes(),
    };
    if expected.is_some_and(|expected| expected != bytes) {
        return Err(RestoreError::Item("the restore point does not hold its whole content".to_owned()));
    }
    Ok(part)
}

/// What a version is as a state of its file: its name and length, and the time when the file was changed to become it.
fn state(part: &StoredItem, file: &Value) -> Result<Value, RestoreError> {
    let version = part.json()?;
    let mut state = json!({ "name": file["name"], "size": version["size"], "fileSystemInfo": dates(file) });
    if version["lastModifiedDateTime"].is_string() {
        state["fileSystemInfo"]["lastModifiedDateTime"] = version["lastModifiedDateTime"].clone();
    }
    Ok(state)
}

async fn remove(target: Source<'_>, folder: Folder<'_>, name: &str) -> Result<(), RestoreError> {
    match find(target, folder, name).await?.as_ref().and_then(|found| found["id"].as_str()) {
        Some(id) => target::delete(target, folder.drive, id).await,
        None => Ok(()),
    }
}
