//! References to files in the cloud, which a message has in the place of attachments.
//!
//! They are told by the list of attachments alone: in the MIME text each is a small page with a link. Asking for that
//! list costs a request, so it is asked for where the text leaves room for one.

use serde_json::{Value, json};

use super::fields::text;
use super::{IMMUTABLE_IDS, PAGE_SIZE};
use crate::features::{Content, Source};
use crate::graph::{Endpoint, GraphError};

/// More than Exchange lets a message have.
pub(super) const ATTACHMENTS_MAX: usize = 10_000;
const LISTED: &str = "id,name,contentType,size,isInline,lastModifiedDateTime";

/// Whether the message may refer to files: it has attachments, and in its text there is none, or a page among them.
pub(super) fn may_have_some(properties: &Value, content: &Content) -> bool {
    if properties["hasAttachments"] != true {
        return false;
    }
    match content {
        Content::Mime(mime) => leaves_room(mime),
        // One request more is little beside a large download.
        Content::Spooled { .. } => true,
        Content::Raw(_) => false,
    }
}

fn leaves_room(mime: &[u8]) -> bool {
    let mut any_attached = false;
    for line in mime.split(|byte| *byte == b'\n') {
        // Lines of base64 have neither of these signs where they count.
        let is_head = line.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b' ' | b'\t'));
        if !is_head || !(line.contains(&b':') || line.contains(&b'=')) || line.len() > 1_000 {
            continue;
        }
        let line = line.to_ascii_lowercase();
        let says = |what: &[u8]| line.windows(what.len()).any(|part| part == what);
        any_attached |= line.starts_with(b"content-disposition:") && says(b"attachment");
        if says(b"name") && [".html", ".htm", ".url"].iter().any(|end| says(end.as_bytes())) {
            return true;
        }
    }
    !any_attached
}

/// The attachments of a message without their content.
pub(super) async fn list(source: Source<'_>, message: &str) -> Result<Vec<Value>, GraphError> {
    let endpoint = Endpoint::Attachments { user: source.user, message };
    source.graph.list(endpoint, ATTACHMENTS_MAX, &[("$select", LISTED)], &[IMMUTABLE_IDS, PAGE_SIZE]).await
}

pub(super) fn is_reference(attachment: &Value) -> bool {
    text(&attachment["@odata.type"]).eq_ignore_ascii_case("#microsoft.graph.referenceAttachment")
}

/// What the properties say of the references among these attachments; `None` when there is none.
pub(super) fn noted(attachments: &[Value]) -> Option<Value> {
    let one = |attachment: &Value| {
        json!({
            "name": attachment["name"],
            "contentType": attachment["contentType"],
            "size": attachment["size"],
            "isInline": attachment["isInline"],
            "lastModifiedDateTime": attachment["lastModifiedDateTime"],
        })
    };
    let all: Vec<Value> = attachments.iter().filter(|attachment| is_reference(attachment)).map(one).collect();
    (!all.is_empty()).then_some(Value::Array(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "From: a@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhi\r\n--x\r\n";

    #[test]
    fn the_list_is_asked_for_where_the_text_leaves_room_for_a_reference() {
        let file = "Content-Disposition: attachment;\r\n filename=\"a.pdf\"\r\n\r\nJVBERi0=\r\n--x--\r\n";
        let page = "Content-Type: text/html; name=\"Plan.docx.HTML\"\r\ncontent-disposition: Attachment\r\n\r\n\r\n";

        assert!(!leaves_room(format!("{HEAD}{file}").as_bytes()));
        assert!(leaves_room(format!("{HEAD}{file}--x\r\n{page}").as_bytes()));
        assert!(leaves_room(HEAD.as_bytes()));
    }

    #[test]
    fn a_message_without_attachments_costs_no_request() {
        let content = Content::Mime(HEAD.into());

        assert!(!may_have_some(&json!({ "hasAttachments": false }), &content));
        assert!(may_have_some(&json!({ "hasAttachments": true }), &content));
    }

    #[test]
    fn references_are_noted_and_files_are_not() {
        let attachment = |kind: &str| json!({ "@odata.type": format!("#microsoft.graph.{kind}"), "name": kind });

        let some = noted(&[attachment("fileAttachment"), attachment("referenceAttachment")]).unwrap();

        assert_eq!(some.as_array().map(Vec::len), Some(1));
        assert_eq!(some[0]["name"], "referenceAttachment");
        assert_eq!(noted(&[attachment("fileAttachment")]), None);
    }
}
