//! A message that somebody moved to another folder since it was backed up: found by its immutable id, and moved back.

use serde_json::json;

use super::fields::text;
use super::target::{PRESENT_PROPERTIES, identity};
use super::{IMMUTABLE_IDS, settings};
use crate::features::{Present, RestoreError, Source, StoredItem};
use crate::graph::{Endpoint, GraphError};

/// What is in these is as good as gone, and so is what is in a folder below them.
const BINS: [&str; 2] = ["deleteditems", "recoverableitemsdeletions"];
/// Exchange nests no deeper than 300.
const DEPTH_MAX: usize = 300;

/// The message itself, if the mailbox still has it outside of its bins.
pub(super) async fn locate(target: Source<'_>, item: &StoredItem) -> Result<Option<Present>, RestoreError> {
    if settings::is_small(item.kind) {
        return Ok(None);
    }
    let stored = item.json().unwrap_or_default();
    let Some(id) = stored["id"].as_str() else { return Ok(None) };
    let endpoint = Endpoint::Message { user: target.user, message: id };
    let select = format!("{PRESENT_PROPERTIES},parentFolderId");
    let found = match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", &select).json().await {
        Ok(found) => found,
        // An id of another mailbox is refused rather than not found.
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. } | GraphError::BadItem { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(id) = found["id"].as_str() else { return Ok(None) };
    if is_in_bin(target, text(&found["parentFolderId"])).await? {
        return Ok(None);
    }
    Ok(Some(Present { id: id.to_owned(), identity: identity(&found) }))
}

async fn is_in_bin(target: Source<'_>, folder: &str) -> Result<bool, RestoreError> {
    let mut ends = Vec::new();
    for name in BINS.iter().chain(&["msgfolderroot"]) {
        ends.push(folder_ids(target, name).await?.map(|(id, _)| id));
    }
    let mut here = folder.to_owned();
    for _ in 0..DEPTH_MAX {
        match ends.iter().position(|end| end.as_deref() == Some(here.as_str())) {
            Some(at) => return Ok(at < BINS.len()),
            None => match folder_ids(target, &here).await? {
                Some((id, parent)) if !parent.is_empty() && parent != id => here = parent,
                // What is not below the folders that people see is none of theirs.
                Some(_) | None => return Ok(true),
            },
        }
    }
    Ok(true)
}

/// A folder's own id and its parent's.
async fn folder_ids(target: Source<'_>, folder: &str) -> Result<Option<(String, String)>, RestoreError> {
    let endpoint = Endpoint::MailFolder { user: target.user, folder };
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id,parentFolderId").json().await {
        Ok(found) => Ok(Some((text(&found["id"]).to_owned(), text(&found["parentFolderId"]).to_owned()))),
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// With immutable ids a message that is moved keeps its own.
pub(super) async fn move_back(target: Source<'_>, folder: &str, id: &str) -> Result<Option<String>, RestoreError> {
    let endpoint = Endpoint::MessageMove { user: target.user, message: id };
    let body = json!({ "destinationId": folder });
    match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await {
        Ok(moved) => Ok(Some(moved["id"].as_str().unwrap_or(id).to_owned())),
        // Carried out after all, or not: to move it where it is does no harm.
        Err(GraphError::Ambiguous { .. }) => {
            let moved = target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await?;
            Ok(Some(moved["id"].as_str().unwrap_or(id).to_owned()))
        }
        Err(error @ (GraphError::NotFound { .. } | GraphError::Refused { .. } | GraphError::Conflict { .. })) => {
            Err(RestoreError::Item(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
