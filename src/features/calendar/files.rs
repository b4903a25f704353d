//! The attachments of a stored event and of its exceptions, ready to be attached again.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::features::attaching::{Attachment, File, Holder, attach, list_attachments};
use crate::features::exchange::text;
use crate::features::{Form, Piece, RestoreError, Source, StoredContent, StoredItem, read_bundle};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// What a message that is attached to an event is made of. Recipients of an attached message get nothing.
const OF_MESSAGE: [&str; 12] = [
    "@odata.type",
    "subject",
    "body",
    "from",
    "sender",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "importance",
    "categories",
    "sentDateTime",
    "receivedDateTime",
];

/// What is attached to all that belongs to one item, by the id of the event or exception that has it.
pub(super) struct Files {
    pieces: HashMap<(String, String, Form), Piece>,
}

/// The attachments of one event.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    pub wanted: Vec<Wanted>,
    pub remarks: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Wanted {
    pub attachment: Attachment,
    look: Look,
}

/// By what an attachment is known again: Exchange gives it another id wherever it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    name: String,
    bytes: Option<u64>,
    inline: bool,
}

impl Look {
    fn of(attachment: &Value) -> Self {
        Self {
            name: text(&attachment["name"]).to_owned(),
            // What Exchange counts of an attached item differs from place to place.
            bytes: attachment["size"].as_u64().filter(|_| is_of(attachment, "fileattachment")),
            inline: attachment["isInline"] == true,
        }
    }
}

impl Files {
    pub(super) fn of(item: &StoredItem) -> Result<Self, RestoreError> {
        let pieces = match &item.content {
            StoredContent::None => Vec::new(),
            StoredContent::Whole(bundle) => {
                read_bundle(bundle).map_err(|error| RestoreError::Item(error.to_string()))?
            }
            StoredContent::Large(_) => {
                return Err(RestoreError::Item("the attachments are too large to be read at once".to_owned()));
            }
        };
        let keyed = |piece: Piece| ((piece.label.owner.clone(), piece.label.id.clone(), piece.label.form), piece);
        Ok(Self { pieces: pieces.into_iter().map(keyed).collect() })
    }

    /// Those of an event or an exception of the stored item.
    pub(super) fn attached_to(&self, event: &Value) -> Attachments {
        let mut attachments = Attachments::default();
        for attachment in listed(event) {
            match self.attachment(text(&event["id"]), attachment) {
                Ok((made, remark)) => {
                    attachments.wanted.push(Wanted { attachment: made, look: Look::of(attachment) });
                    attachments.remarks.extend(remark.map(str::to_owned));
                }
                Err(why) => attachments.remarks.push(why.to_owned()),
            }
        }
        attachments
    }

    fn attachment(&self, owner: &str, listed: &Value) -> Result<(Attachment, Option<&'static str>), &'static str> {
        if is_of(listed, "referenceattachment") {
            return Err("a link to a file in the cloud is not restored: Microsoft does not tell where it leads");
        }
        let piece = |form| self.pieces.get(&(owner.to_owned(), text(&listed["id"]).to_owned(), form));
        let content = piece(Form::Content);
        if !is_of(listed, "itemattachment") {
            let content = content.ok_or("an attachment is missing in the restore point")?;
            return Ok((Attachment::File(file(listed, content.content.clone())), None));
        }
        let item = piece(Form::Json).and_then(|json| serde_json::from_slice::<Value>(&json.content).ok());
        let original = content.map(|content| item_file(listed, item.as_ref(), content.content.clone()));
        match (item.as_ref().and_then(message), original) {
            (Some(item), Some(original)) => {
                let name = text(&listed["name"]).to_owned();
                Ok((Attachment::Message { name, item, original }, None))
            }
            (None, Some(original)) => Ok((Attachment::File(original), Some("an attached item is restored as a file"))),
            (_, None) => Err("an attached item is missing in the restore point"),
        }
    }
}

fn is_of(attachment: &Value, kind: &str) -> bool {
    text(&attachment["@odata.type"]).to_ascii_lowercase().ends_with(kind)
}

pub(super) fn listed(event: &Value) -> &[Value] {
    event["attachments"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// By what the attachments of an event are known again, those that can be restored.
pub(super) fn looks(attachments: &[Value]) -> Vec<Look> {
    let held = attachments.iter().filter(|one| !is_of(one, "referenceattachment"));
    let mut looks: Vec<Look> = held.map(Look::of).collect();
    looks.sort_by(|one, other| (&one.name, one.bytes).cmp(&(&other.name, other.bytes)));
    looks
}

fn file(listed: &Value, content: Bytes) -> File {
    let named = |name: &str, otherwise: &str| match text(&listed[name]) {
        "" => otherwise.to_owned(),
        value => value.to_owned(),
    };
    File {
        name: named("name", "attachment"),
        content_type: named("contentType", "application/octet-stream"),
        inline: listed["isInline"] == true,
        content_id: listed["contentId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned),
        content,
    }
}

/// An attached item as Graph writes it as a file.
fn item_file(listed: &Value, item: Option<&Value>, content: Bytes) -> File {
    let kind = item.map_or("", |item| text(&item["@odata.type"]));
    let (ending, content_type) = match kind {
        "#microsoft.graph.event" => (".ics", "text/calendar"),
        "#microsoft.graph.contact" => (".vcf", "text/vcard"),
        _ => (".eml", "message/rfc822"),
    };
    let file = file(listed, content);
    File { name: format!("{}{ending}", file.name), content_type: content_type.to_owned(), ..file }
}

/// The item as Graph takes it; `None`: as a file it loses less.
fn message(item: &Value) -> Option<Value> {
    let is_message = text(&item["@odata.type"]) == "#microsoft.graph.message";
    if !is_message || item["hasAttachments"] == true || text(&item["body"]["content"]).contains("cid:") {
        return None;
    }
    let taken = OF_MESSAGE.iter().filter(|name| !item[**name].is_null());
    Some(taken.map(|name| ((*name).to_owned(), item[*name].clone())).collect::<Map<_, _>>().into())
}

/// Attaches what an occurrence lacks, and takes off what it took over from its series and must not have.
pub(super) async fn put_right(
    target: Source<'_>,
    occurrence: &str,
    attachments: &Attachments,
) -> Result<Vec<String>, GraphError> {
    let holder = Holder::Event(occurrence);
    let there = list_attachments(target, holder, "id,name,size,isInline").await?;
    let mut n_there = there.len();
    let mut missing: Vec<&Wanted> = attachments.wanted.iter().collect();
    for one in there {
        let look = Look::of(&one);
        if let Some(at) = missing.iter().position(|wanted| wanted.look == look) {
            missing.remove(at);
            continue;
        }
        let what = Outlook::EventAttachment { event: occurrence, attachment: text(&one["id"]) };
        let endpoint = Endpoint::Outlook { user: target.user, what };
        match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
            Ok(()) | Err(GraphError::NotFound { .. }) => n_there -= 1,
            Err(error) => return Err(error),
        }
    }
    let missing: Vec<&Attachment> = missing.into_iter().map(|wanted| &wanted.attachment).collect();
    Ok(attach(target, holder, n_there, &missing).await?.remarks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::features::{Bundle, Content, Label};
    use crate::graph::Body;
    use crate::ids::ItemKey;

    fn stored(pieces: &[(&str, Form, &[u8])]) -> StoredItem {
        let mut bundle = Bundle::new();
        for (id, form, content) in pieces {
            let (owner, id, form) = ("e".to_owned(), (*id).to_owned(), *form);
            let label = Label { owner, id, form, name: String::new(), content_type: String::new(), inline: false };
            bundle.add(&label, Body::Memory(Bytes::copy_from_slice(content))).unwrap();
        }
        let content = match bundle.finish().unwrap() {
            Some(Content::Mime(bytes)) => StoredContent::Whole(bytes),
            _ => StoredContent::None,
        };
        StoredItem { key: ItemKey::of("e"), kind: 1, properties: Bytes::new(), content }
    }

    fn event(attachments: Value) -> Value {
        json!({"id": "e", "attachments": attachments})
    }

    #[test]
    fn files_come_back_with_what_is_known_of_them() {
        let files = Files::of(&stored(&[("1", Form::Content, b"abc")])).unwrap();
        let listed = event(json!([{"@odata.type": "#microsoft.graph.fileAttachment", "id": "1", "name": "a.png",
            "contentType": "image/png", "isInline": true, "contentId": "logo"}]));

        let attached = files.attached_to(&listed);

        let Attachment::File(file) = &attached.wanted[0].attachment else { panic!("it is a file") };
        assert_eq!((file.name.as_str(), file.content_type.as_str(), file.inline), ("a.png", "image/png", true));
        assert_eq!((file.content_id.as_deref(), &file.content[..]), (Some("logo"), &b"abc"[..]));
    }

    #[test]
    fn an_attached_message_comes_back_as_one_and_other_items_as_files() {
        let mail = json!({"@odata.type": "#microsoft.graph.message", "id": "x", "subject": "Hi", "changeKey": "k"});
        let card = json!({"@odata.type": "#microsoft.graph.contact", "displayName": "Bob"});
        let files = Files::of(&stored(&[
            ("1", Form::Json, mail.to_string().as_bytes()),
            ("1", Form::Content, b"Subject: Hi\r\n\r\n"),
            ("2", Form::Json, card.to_string().as_bytes()),
            ("2", Form::Content, b"BEGIN:VCARD"),
        ]));
        let item = |id: &str| json!({"@odata.type": "#microsoft.graph.itemAttachment", "id": id, "name": "it"});

        let attached = files.unwrap().attached_to(&event(json!([item("1"), item("2"), item("3")])));

        let [first, second] = &attached.wanted[..] else { panic!("two can be attached") };
        let Attachment::Message { item, original, .. } = &first.attachment else { panic!("it is a message") };
        assert_eq!(item, &json!({"@odata.type": "#microsoft.graph.message", "subject": "Hi"}));
        assert_eq!(original.name, "it.eml");
        let Attachment::File(card) = &second.attachment else { panic!("it is a file") };
        assert_eq!((card.name.as_str(), card.content_type.as_str()), ("it.vcf", "text/vcard"));
        assert_eq!(attached.remarks.len(), 2, "{:?}", attached.remarks);
    }

    #[test]
    fn a_link_and_what_is_missing_are_told() {
        let files = Files::of(&stored(&[])).unwrap();
        let listed = event(json!([
            {"@odata.type": "#microsoft.graph.referenceAttachment", "id": "1", "name": "Plan"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "id": "2", "name": "a", "unreadable": true},
        ]));

        let attached = files.attached_to(&listed);

        assert!(attached.wanted.is_empty() && attached.remarks.len() == 2, "{:?}", attached.remarks);
        assert!(attached.remarks[0].contains("link") && attached.remarks[1].contains("missing"));
    }
}
