//! An item that somebody moved to another folder since it was backed up: found by its id, and moved back.

use serde_json::json;

use super::identity::of_present;
use super::target::{Folder, PRESENT_PROPERTIES, item_error};
use crate::features::{Present, RestoreError, Source, StoredItem};
use crate::graph::{DriveEndpoint, DriveTarget, Endpoint, GraphError};

/// The item itself, if its drive still has it. What was deleted is not found by its id.
pub(super) async fn locate(target: Source<'_>, item: &StoredItem) -> Result<Option<Present>, RestoreError> {
    let stored = item.json().unwrap_or_default();
    let (Some(id), Some(drive)) = (stored["id"].as_str(), stored["parentReference"]["driveId"].as_str()) else {
        return Ok(None);
    };
    let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive, item: id });
    match target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).json().await {
        Ok(found) => Ok(Some(Present { id: id.to_owned(), identity: of_present(&found) })),
        Err(GraphError::NotFound { .. } | GraphError::Refused { .. } | GraphError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An item that is moved within its drive keeps its id.
pub(super) async fn move_back(target: Source<'_>, container: &str, id: &str) -> Result<Option<String>, RestoreError> {
    let folder = Folder::of(container)?;
    let to = folder.own_id(target).await?;
    let endpoint = Endpoint::DriveTarget(DriveTarget::Item { drive: folder.drive, item: id });
    let body = json!({ "parentReference": { "id": to } });
    target.graph.patch(endpoint).body(&body).done().await.map_err(item_error)?;
    Ok(Some(id.to_owned()))
}
