//! A message whose text Exchange cannot produce: read as its parts, which are then written as mail by kodo itself.
//!
//! The result says that it is one: by its kind, by a flag, and by a warning in its properties. When the service reports
//! the message anew, its text is asked for again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::capture::{capture_error, is_lasting};
use super::compose::{Composition, Label};
use super::fields::{summary, text, words};
use super::references::{self, is_reference};
use super::{IMMUTABLE_IDS, KIND_PARTS, NOTES, attached};
use crate::features::{CaptureError, Captured, Source, flag};
use crate::graph::{Body, Endpoint, GraphError};

/// What the properties lack to make a message of them.
const CONTENT: &str = "body,internetMessageHeaders";
/// Without it Exchange takes out of a body what it thinks unsafe to show.
const UNSAFE_HTML: &str = "outlook.allow-unsafe-html";
/// Exchange takes no message above 150 MiB; in base64 that is a third more.
const BYTES_MAX: u64 = 210 << 20;
/// An inline picture up to this size is read with its JSON, which alone tells its content id.
const INLINE_BYTES_MAX: u64 = 16 << 20;

/// Puts the message together. `refusal`: why there is no text. What is lacking in the result is named in its warning.
pub(super) async fn capture(
    source: Source<'_>,
    id: &str,
    mut properties: Value,
    refusal: &str,
) -> Result<Captured, CaptureError> {
    let endpoint = Endpoint::Message { user: source.user, message: id };
    let call = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).prefer(UNSAFE_HTML).query("$select", CONTENT);
    let content = call.json().await.map_err(capture_error)?;
    if !content["body"]["content"].is_string() {
        return Err(capture_error(GraphError::protocol(endpoint, "the message has no body")));
    }
    let attachments = references::list(source, id).await.map_err(capture_error)?;
    let mut composition = Composition::begin(id, &properties, &content).map_err(not_written)?;
    let mut warning = format!(
        "Microsoft could not produce the text of this message, so it was put together from its properties, its body and \
         its attachments. Parts of the original may be missing. {refusal}"
    );
    for attachment in attachments.iter().filter(|attachment| !is_reference(attachment)) {
        match read(source, id, attachment, composition.bytes()).await {
            Ok((label, body)) => composition.attach(&label, body).map_err(not_written)?,
            Err(error) if is_lasting(&error) => {
                let name = text(&attachment["name"]);
                warning.push_str(&format!("; attachment \"{name}\" is missing: {error}"));
            }
            Err(error) => return Err(capture_error(error)),
        }
    }
    let content = composition.finish().map_err(not_written)?;
    let mut summary = summary(&properties);
    summary.kind = KIND_PARTS;
    summary.words = words(&properties, &attached::names_in(&content));
    summary.flags |= flag::KEPT_AS_PARTS;
    properties[NOTES] = json!({ "warning": warning });
    if let Some(noted) = references::noted(&attachments) {
        properties[NOTES]["references"] = noted;
        summary.flags |= flag::REFERENCES;
    }
    Ok(Captured { summary, properties: Bytes::from(properties.to_string()), content: Some(content) })
}

/// This machine could not hold it; it may the next time.
fn not_written(error: std::io::Error) -> CaptureError {
    CaptureError::Item { reason: "transient", message: format!("cannot write a temporary file: {error}") }
}

/// One attachment that has content. `written`: the bytes of the message so far.
async fn read(source: Source<'_>, message: &str, listed: &Value, written: u64) -> Result<(Label, Body), GraphError> {
    let (user, attachment) = (source.user, text(&listed["id"]));
    let size = listed["size"].as_u64().unwrap_or_default();
    let content = Endpoint::AttachmentContent { user, message, attachment };
    if written + size / 3 * 4 > BYTES_MAX {
        return Err(GraphError::protocol(content, "the message is larger than Exchange lets one be"));
    }
    let is_file = text(&listed["@odata.type"]).eq_ignore_ascii_case("#microsoft.graph.fileAttachment");
    let mut label = Label {
        name: text(&listed["name"]).to_owned(),
        content_type: text(&listed["contentType"]).to_ascii_lowercase(),
        inline: listed["isInline"] == true,
        content_id: None,
    };
    if is_file && label.inline && size <= INLINE_BYTES_MAX {
        let endpoint = Endpoint::Attachment { user, message, attachment };
        let json = source.graph.get(endpoint).prefer(IMMUTABLE_IDS).json().await?;
        let bytes = STANDARD.decode(text(&json["contentBytes"]));
        let bytes = bytes.map_err(|_| GraphError::protocol(endpoint, "its content is not base64"))?;
        label.content_id = json["contentId"].as_str().map(str::to_owned);
        return Ok((label, Body::Memory(bytes.into())));
    }
    let body = source.graph.get(content).prefer(IMMUTABLE_IDS).download().await?;
    if !is_file {
        label.content_type = item_type(&body).to_owned();
    }
    Ok((label, body))
}

/// An attached item is a message, an appointment or a person; only its text says which.
fn item_type(body: &Body) -> &'static str {
    match body {
        Body::Memory(bytes) if bytes.trim_ascii_start().starts_with(b"BEGIN:VCALENDAR") => "text/calendar",
        Body::Memory(bytes) if bytes.trim_ascii_start().starts_with(b"BEGIN:VCARD") => "text/vcard",
        Body::Memory(_) | Body::Spooled { .. } => "message/rfc822",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attached_item_is_told_by_its_text() {
        let kind = |text: &'static str| item_type(&Body::Memory(Bytes::from_static(text.as_bytes())));

        assert_eq!(kind("BEGIN:VCALENDAR\r\n"), "text/calendar");
        assert_eq!(kind("\r\nBEGIN:VCARD\r\n"), "text/vcard");
        assert_eq!(kind("Received: from a\r\n"), "message/rfc822");
    }
}
