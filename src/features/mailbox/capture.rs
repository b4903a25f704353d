//! Reading one message: its properties when the walk did not bring them, its MIME text, and what the text does not tell.

use bytes::Bytes;
use serde_json::{Value, json};

use super::fields::{is_complete, summary, without_envelope, words};
use super::{IMMUTABLE_IDS, MESSAGE_PROPERTIES, NOTES, attached, parts, references, settings};
use crate::features::exchange::Trouble;
use crate::features::{CaptureError, Captured, Content, Need, RemoteItem, Source, flag};
use crate::graph::{Body, Endpoint, GraphError};

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem, need: Need) -> Result<Captured, CaptureError> {
    if settings::is_own(&item.id) {
        return settings::capture(source, item).await;
    }
    let properties = match &item.properties {
        Some(properties) => properties.clone(),
        None => read_properties(source, &item.id).await?,
    };
    match need {
        Need::Nothing | Need::Properties => Ok(captured(&properties, 0, None)),
        Need::Everything => match read_mime(source, &item.id).await {
            Ok(content) => with_references(source, &item.id, properties, content).await,
            Err(NoText::Refused { reason, message }) => {
                match parts::capture(source, &item.id, properties, &message).await {
                    // The first refusal says more than those that followed from it.
                    Err(CaptureError::Item { .. }) => Err(CaptureError::Item { reason, message }),
                    outcome => outcome,
                }
            }
            Err(NoText::Other(error)) => Err(error),
        },
    }
}

fn captured(properties: &Value, more_flags: u16, content: Option<Content>) -> Captured {
    let mut summary = summary(properties);
    summary.flags |= more_flags;
    if let Some(content) = &content {
        summary.words = words(properties, &attached::names_in(content));
    }
    Captured { summary, properties: Bytes::from(properties.to_string()), content }
}

/// Notes what the message refers to, where it may refer to something.
async fn with_references(
    source: Source<'_>,
    message: &str,
    mut properties: Value,
    content: Content,
) -> Result<Captured, CaptureError> {
    if !references::may_have_some(&properties, &content) {
        return Ok(captured(&properties, 0, Some(content)));
    }
    let noted = match references::list(source, message).await {
        Ok(attachments) => references::noted(&attachments).map(|noted| json!({ "references": noted })),
        Err(error) if is_lasting(&error) => {
            let warning = format!("whether it refers to files in the cloud is not known: {error}");
            Some(json!({ "warning": warning }))
        }
        Err(error) => return Err(capture_error(error)),
    };
    let Some(noted) = noted else { return Ok(captured(&properties, 0, Some(content))) };
    properties[NOTES] = noted;
    Ok(captured(&properties, flag::REFERENCES, Some(content)))
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

/// Why there is no MIME text.
enum NoText {
    /// Exchange cannot produce it; the message is there.
    Refused {
        reason: &'static str,
        message: String,
    },
    Other(CaptureError),
}

async fn read_mime(source: Source<'_>, message: &str) -> Result<Content, NoText> {
    let endpoint = Endpoint::MessageMime { user: source.user, message };
    match source.graph.get(endpoint).prefer(IMMUTABLE_IDS).download().await.map_err(no_text)? {
        // Exchange always writes headers: nothing at all is a failure that did not say so.
        Body::Memory(bytes) if bytes.is_empty() => Err(NoText::Refused {
            reason: "mime_unavailable",
            message: GraphError::protocol(endpoint, "the text is empty").to_string(),
        }),
        Body::Memory(bytes) => Ok(Content::Mime(bytes)),
        Body::Spooled { file, bytes } => Ok(Content::Spooled { file, bytes }),
    }
}

fn no_text(error: GraphError) -> NoText {
    match error {
        GraphError::Refused { .. } | GraphError::Conflict { .. } => {
            NoText::Refused { reason: "mime_unavailable", message: error.to_string() }
        }
        GraphError::BadItem { .. } => match capture_error(error) {
            CaptureError::Item { reason, message } => NoText::Refused { reason, message },
            other => NoText::Other(other),
        },
        error => NoText::Other(capture_error(error)),
    }
}

/// Whether asking again on the next run would not help.
pub(super) fn is_lasting(error: &GraphError) -> bool {
    match error {
        GraphError::BadItem { .. }
        | GraphError::Refused { .. }
        | GraphError::Conflict { .. }
        | GraphError::NotFound { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Protocol { .. } => true,
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Forbidden { .. }
        | GraphError::NoService { .. }
        | GraphError::Resync { .. }
        | GraphError::Quota { .. }
        | GraphError::Locked { .. } => false,
    }
}

pub(super) fn capture_error(error: GraphError) -> CaptureError {
    Trouble::of(error).into()
}
