//! Adding the attachments to a restored message or event, one after the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::Source;
use crate::graph::{Endpoint, FileUpload, GraphError, IMMUTABLE_IDS, Outlook};

/// From this size on Microsoft wants an upload session.
const SESSION_BYTES_MIN: usize = 3 << 20;
/// More than Exchange lets an item have.
const ATTACHMENTS_MAX: usize = 10_000;
/// How often one attachment is begun when it stays unclear whether it arrived.
const TRIES_MAX: u32 = 3;

/// What is to be attached.
#[derive(Debug)]
pub(super) enum Attachment {
    File(File),
    /// A message without attachments of its own; `original` is attached instead when Graph does not take it.
    Message {
        name: String,
        item: serde_json::Value,
        original: File,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub name: String,
    pub content_type: String,
    pub inline: bool,
    pub content_id: Option<String>,
    pub content: Bytes,
}

/// What gets the attachments, by its immutable id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder<'a> {
    Message(&'a str),
    /// An event, or an occurrence of a series.
    Event(&'a str),
}

impl<'a> Holder<'a> {
    pub(super) fn attachments(self, user: &'a str) -> Endpoint<'a> {
        match self {
            Self::Message(message) => Endpoint::Attachments { user, message },
            Self::Event(event) => Endpoint::Outlook { user, what: Outlook::EventAttachments { event } },
        }
    }

    fn upload(self, user: &'a str) -> Endpoint<'a> {
        match self {
            Self::Message(message) => Endpoint::AttachmentUpload { user, message },
            Self::Event(event) => Endpoint::Outlook { user, what: Outlook::EventAttachmentUpload { event } },
        }
    }
}

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub count: usize,
    pub remarks: Vec<String>,
}

/// Adds all to what has `before` attachments. What Microsoft refuses is a remark; an error means that the rest is
/// missing.
pub(super) async fn attach(
    target: Source<'_>,
    holder: Holder<'_>,
    before: usize,
    attachments: &[&Attachment],
) -> Result<Attached, GraphError> {
    let mut attached = Attached::default();
    for attachment in attachments.iter().copied() {
        let held = before + attached.count;
        let outcome = match attachment {
            Attachment::File(file) => attach_surely(target, holder, held, Piece::File(file)).await,
            Attachment::Message { name, item, original } => {
                let piece = Piece::Item { name, item };
                match attach_surely(target, holder, held, piece).await {
                    Err(error) if is_refusal(&error) => {
                        attached.remarks.push("an attached message is restored as an .eml file".to_owned());
                        attach_surely(target, holder, held, Piece::File(original)).await
                    }
                    outcome => outcome,
                }
            }
        };
        match outcome {
            Ok(()) => attached.count += 1,
            Err(error) if is_refusal(&error) => {
                attached.remarks.push(format!("an attachment could not be restored: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(attached)
}

/// Microsoft does not take this one thing; it may well take the others.
pub(super) fn is_refusal(error: &GraphError) -> bool {
    match error {
        GraphError::BadItem { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Refused { .. }
        | GraphError::Conflict { .. }
        | GraphError::Protocol { .. } => true,
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. }
        | GraphError::Forbidden { .. }
        | GraphError::NoService { .. }
        | GraphError::NotFound { .. }
        | GraphError::Resync { .. }
        | GraphError::Quota { .. }
        | GraphError::Locked { .. } => false,
    }
}

#[derive(Clone, Copy)]
enum Piece<'a> {
    File(&'a File),
    Item { name: &'a str, item: &'a serde_json::Value },
}

/// Adds one. After an unclear end the attachments are counted: there were `before` of them.
async fn attach_surely(
    target: Source<'_>,
    holder: Holder<'_>,
    before: usize,
    piece: Piece<'_>,
) -> Result<(), GraphError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match attach_once(target, holder, piece).await {
            Err(error @ GraphError::Ambiguous { .. }) => {
                if count_attachments(target, holder).await? > before {
                    return Ok(());
                }
                if tries >= TRIES_MAX {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}

async fn attach_once(target: Source<'_>, holder: Holder<'_>, piece: Piece<'_>) -> Result<(), GraphError> {
    let post = |body: serde_json::Value| {
        target.graph.post(holder.attachments(target.user)).prefer(IMMUTABLE_IDS).body(&body).done()
    };
    let file = match piece {
        Piece::Item { name, item } => {
            return post(json!({ "@odata.type": "#microsoft.graph.itemAttachment", "name": name, "item": item })).await;
        }
        Piece::File(file) => file,
    };
    if file.content.len() < SESSION_BYTES_MIN {
        match post(file_attachment(file)).await {
            Err(GraphError::TooLarge { .. }) => {}
            outcome => return outcome,
        }
    }
    let upload = FileUpload {
        name: &file.name,
        content_type: &file.content_type,
        inline: file.inline,
        content_id: file.content_id.as_deref(),
        content: file.content.clone(),
    };
    target.graph.upload_attachment(holder.upload(target.user), &upload).await
}

fn file_attachment(file: &File) -> serde_json::Value {
    let mut attachment = json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": STANDARD.encode(&file.content),
        "isInline": file.inline,
    });
    if let Some(content_id) = &file.content_id {
        attachment["contentId"] = json!(content_id);
    }
    attachment
}

/// How many attachments there are, inline ones included.
pub(super) async fn count_attachments(target: Source<'_>, holder: Holder<'_>) -> Result<usize, GraphError> {
    Ok(list_attachments(target, holder, "id").await?.len())
}

/// What `properties` says of each attachment.
pub(super) async fn list_attachments(
    target: Source<'_>,
    holder: Holder<'_>,
    properties: &str,
) -> Result<Vec<serde_json::Value>, GraphError> {
    let query = [("$select", properties)];
    target.graph.list(holder.attachments(target.user), ATTACHMENTS_MAX, &query, &[IMMUTABLE_IDS]).await
}
