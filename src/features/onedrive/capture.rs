//! Reading one item: its properties when the walk did not bring them, its permissions if they are wanted, and its bytes.

use bytes::Bytes;
use serde_json::{Value, json};

use super::chosen;
use super::content::{self, FileState};
use super::facets::{download_url, is, is_complete, kept, skip_reason, summary, want_permissions, wants_permissions};
use super::{KIND_FILE, PERMISSIONS, versions};
use crate::features::{CaptureError, Captured, Content, Need, RemoteItem, SkipReason, Source};
use crate::graph::{DriveEndpoint, Endpoint, GraphError};

/// Sharing beyond this many grants is not known at Microsoft.
const PERMISSIONS_MAX: usize = 5_000;

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem, need: Need) -> Result<Captured, CaptureError> {
    let entry = match &item.properties {
        Some(entry) => entry.clone(),
        None => read_item(source, None, &item.id).await?,
    };
    let drive = entry["parentReference"]["driveId"].as_str().map(str::to_owned);
    match capture_entry(source, &item.id, entry, need).await {
        // It was written to between the report and the read: what it is now is as good.
        Err(CaptureError::Changed { .. }) => {
            let entry = read_item(source, drive.as_deref(), &item.id).await?;
            capture_entry(source, &item.id, entry, need).await
        }
        captured => captured,
    }
}

async fn capture_entry(source: Source<'_>, id: &str, entry: Value, need: Need) -> Result<Captured, CaptureError> {
    let mut properties = kept(entry.clone());
    let summary = summary(&properties);
    let content = match need {
        Need::Nothing | Need::Properties => None,
        Need::Everything => {
            if let Some((reason, message)) = skip_reason(&properties) {
                return Err(CaptureError::Skipped { reason, message: message.to_owned() });
            }
            if summary.kind == KIND_FILE { Some(read_content(source, id, &entry).await?) } else { None }
        }
    };
    if wants_permissions(&properties) {
        properties[PERMISSIONS] = read_permissions(source, drive_of(&entry, id)?, id).await?;
    }
    Ok(Captured { summary, properties: Bytes::from(properties.to_string()), content })
}

async fn read_content(source: Source<'_>, id: &str, entry: &Value) -> Result<Content, CaptureError> {
    let drive = drive_of(entry, id)?;
    let Some(bytes) = entry["size"].as_u64() else {
        return Err(unreadable(drive, id, "it has no size"));
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let state = FileState {
        graph: source.graph.clone(),
        drive: drive.to_owned(),
        item: id.to_owned(),
        version: None,
        bytes,
        hash: text(&entry["file"]["hashes"]["quickXorHash"]),
        e_tag: text(&entry["eTag"]),
    };
    content::read(state, download_url(entry)).await
}

/// The item as it is now.
pub(super) async fn read_item(source: Source<'_>, drive: Option<&str>, id: &str) -> Result<Value, CaptureError> {
    let found;
    let drive = match drive {
        Some(drive) => drive,
        None => {
            let of_user = Endpoint::Drive(DriveEndpoint::OfUser { user: source.user });
            found = source.graph.get(of_user).query("$select", "id").json().await.map_err(capture_error)?;
            found["id"].as_str().ok_or_else(|| capture_error(GraphError::protocol(of_user, "the drive has no id")))?
        }
    };
    let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive, item: id });
    let mut entry = source.graph.get(endpoint).json().await.map_err(capture_error)?;
    if is(&entry, "deleted") {
        return Err(CaptureError::Gone);
    }
    if !is_complete(&entry) {
        return Err(unreadable(drive, id, "properties are missing"));
    }
    if source.options.onedrive.permissions {
        want_permissions(&mut entry);
    }
    versions::want_versions(&mut entry, source.options.onedrive.versions);
    // What the policy leaves out by now is as good as gone.
    let wanted = chosen::is_wanted(source, drive, &mut entry).await.map_err(capture_error)?;
    if wanted { Ok(entry) } else { Err(CaptureError::Gone) }
}

/// Everyone who may see the item. That they cannot be read is said in their place: the file itself is worth more.
async fn read_permissions(source: Source<'_>, drive: &str, id: &str) -> Result<Value, CaptureError> {
    let endpoint = Endpoint::Drive(DriveEndpoint::Permissions { drive, item: id });
    match source.graph.list(endpoint, PERMISSIONS_MAX, &[], &[]).await {
        Ok(permissions) => Ok(Value::Array(permissions)),
        Err(error @ (GraphError::Forbidden { .. } | GraphError::Refused { .. } | GraphError::Protocol { .. })) => {
            Ok(json!({ "unavailable": error.to_string() }))
        }
        Err(error) => Err(capture_error(error)),
    }
}

pub(super) fn drive_of<'a>(entry: &'a Value, id: &str) -> Result<&'a str, CaptureError> {
    let drive = entry["parentReference"]["driveId"].as_str();
    drive.ok_or_else(|| unreadable("", id, "it does not say in which drive it is"))
}

fn unreadable(drive: &str, item: &str, what: &str) -> CaptureError {
    capture_error(GraphError::protocol(Endpoint::Drive(DriveEndpoint::Item { drive, item }), what))
}

/// A refusal of one file's bytes says nothing about the others.
pub(super) fn content_error(error: GraphError) -> CaptureError {
    match error {
        GraphError::Forbidden { .. } => CaptureError::Item { reason: "forbidden", message: error.to_string() },
        error => capture_error(error),
    }
}

pub(super) fn capture_error(error: GraphError) -> CaptureError {
    let reason = match &error {
        GraphError::NotFound { .. } => return CaptureError::Gone,
        GraphError::BadItem { answer } if answer.tells_of_malware() => {
            return CaptureError::Skipped { reason: SkipReason::Malware, message: error.to_string() };
        }
        GraphError::BadItem { .. } => "corrupt",
        GraphError::Transient { .. } => "transient",
        GraphError::Refused { .. } | GraphError::Conflict { .. } | GraphError::Resync { .. } => "refused",
        GraphError::TooLarge { .. } => "too_large",
        GraphError::Locked { .. } => "locked",
        GraphError::Protocol { .. } => "unreadable",
        GraphError::Throttled { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Forbidden { .. }
        | GraphError::NoService { .. }
        | GraphError::Quota { .. } => return CaptureError::Graph(error),
    };
    CaptureError::Item { reason, message: error.to_string() }
}
