//! Reading one message: its properties when the walk did not bring them, and its MIME text.

use bytes::Bytes;
use serde_json::Value;

use super::fields::{is_complete, summary, without_envelope};
use super::{IMMUTABLE_IDS, MESSAGE_PROPERTIES};
use crate::features::{CaptureError, Captured, Content, Need, RemoteItem, Source};
use crate::graph::{Body, Endpoint, GraphError};

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem, need: Need) -> Result<Captured, CaptureError> {
    let properties = match &item.properties {
        Some(properties) => properties.clone(),
        None => read_properties(source, &item.id).await?,
    };
    let content = match need {
        Need::Nothing | Need::Properties => None,
        Need::Everything => Some(read_mime(source, &item.id).await?),
    };
    Ok(Captured { summary: summary(&properties), properties: Bytes::from(properties.to_string()), content })
}

async fn read_properties(source: Source<'_>, message: &str) -> Result<Value, CaptureError> {
    let endpoint = Endpoint::Message { user: source.user, message };
    let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", MESSAGE_PROPERTIES);
    let properties = without_envelope(call.json().await.map_err(capture_error)?);
    if !is_complete(&properties) {
        return Err(capture_error(GraphError::protocol(
            endpoint,
            "it has no changeKey or other properties are missing",
        )));
    }
    Ok(properties)
}

async fn read_mime(source: Source<'_>, message: &str) -> Result<Content, CaptureError> {
    let endpoint = Endpoint::MessageMime { user: source.user, message };
    match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).download().await.map_err(mime_error)? {
        // Exchange always writes headers: nothing at all is a failure that did not say so.
        Body::Memory(bytes) if bytes.is_empty() => Err(CaptureError::Item {
            reason: "mime_unavailable",
            message: GraphError::protocol(endpoint, "the text is empty").to_string(),
        }),
        Body::Memory(bytes) => Ok(Content::Mime(bytes)),
        Body::Spooled { file, bytes } => Ok(Content::Spooled { file, bytes }),
    }
}

/// A refusal of the text alone means that Exchange cannot produce it; the message is there.
fn mime_error(error: GraphError) -> CaptureError {
    match error {
        GraphError::Refused { .. } | GraphError::Conflict { .. } => {
            CaptureError::Item { reason: "mime_unavailable", message: error.to_string() }
        }
        error => capture_error(error),
    }
}

fn capture_error(error: GraphError) -> CaptureError {
    let reason = match &error {
        GraphError::NotFound { .. } => return CaptureError::Gone,
        GraphError::BadItem { answer } if answer.says("ErrorCorruptData") => "corrupt",
        GraphError::BadItem { answer } if answer.says("ErrorCannotOpenFileAttachment") => "attachment_unreadable",
        GraphError::BadItem { answer } if answer.says("ErrorInvalidRecipients") => "recipients_invalid",
        GraphError::BadItem { .. } => "mime_unavailable",
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
