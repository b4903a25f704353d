//! The JSON of a message, a folder, an attachment: what Graph shows of the stored truth.

use super::odata::Query;
use crate::clock::iso;
use crate::mime::without_tags;
use crate::request::Prefer;
use crate::store::folder::{Changed, Folder};
use crate::store::ids;
use crate::store::message::{Attachment, AttachmentContent, Body, Class, Flag, FlagStatus, Message, Person};
use crate::store::{Found, Mailbox};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

pub const MESSAGE_PROPERTIES: [&str; 32] = [
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "categories",
    "receivedDateTime",
    "sentDateTime",
    "hasAttachments",
    "internetMessageId",
    "internetMessageHeaders",
    "subject",
    "bodyPreview",
    "importance",
    "parentFolderId",
    "conversationId",
    "conversationIndex",
    "isDeliveryReceiptRequested",
    "isReadReceiptRequested",
    "isRead",
    "isDraft",
    "webLink",
    "inferenceClassification",
    "body",
    "uniqueBody",
    "sender",
    "from",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "flag",
    "attachments",
];

/// One found item with what is needed to name it.
pub struct Shown<'a> {
    pub mailbox: &'a str,
    pub found: &'a Found,
    pub message: &'a Message,
    pub prefer: &'a Prefer,
}

impl Shown<'_> {
    fn id(&self) -> String {
        ids::item_id(self.mailbox, self.prefer.kind(), self.found.item, self.found.incarnation)
    }

    fn change_key(&self) -> String {
        ids::change_key(self.found.item, self.found.change)
    }

    /// All that the query selects and expands.
    pub fn json(&self, query: &Query) -> Map<String, Value> {
        let m = self.message;
        let mut out = self.head();
        let mut put = |name: &str, value: &dyn Fn() -> Value| {
            if query.wants(name) {
                out.insert(name.to_owned(), value());
            }
        };
        put("changeKey", &|| json!(self.change_key()));
        put("createdDateTime", &|| json!(iso(m.created)));
        put("lastModifiedDateTime", &|| json!(iso(m.modified)));
        put("categories", &|| json!(m.categories));
        put("receivedDateTime", &|| json!(iso(m.received)));
        put("sentDateTime", &|| json!(iso(m.sent)));
        put("hasAttachments", &|| json!(m.has_attachments()));
        put("internetMessageId", &|| json!(m.internet_message_id));
        put("subject", &|| json!(m.subject));
        put("bodyPreview", &|| json!(preview(&m.body)));
        put("importance", &|| json!(m.importance.name()));
        put("parentFolderId", &|| json!(ids::folder_id(self.mailbox, self.found.folder)));
        put("conversationId", &|| json!(ids::conversation_id(m.conversation)));
        put("conversationIndex", &|| json!(ids::conversation_index(m.conversation)));
        put("isDeliveryReceiptRequested", &|| json!(m.delivery_receipt));
        put("isReadReceiptRequested", &|| json!(m.read_receipt));
        put("isRead", &|| json!(m.is_read));
        put("isDraft", &|| json!(m.is_draft));
        put("webLink", &|| {
            json!(format!("https://outlook.office365.com/owa/?ItemID={}&viewmodel=ReadMessageItem", self.id()))
        });
        put("inferenceClassification", &|| json!(if m.other_inbox { "other" } else { "focused" }));
        put("body", &|| body_json(&m.body, self.prefer));
        put("sender", &|| recipient(m.sender.as_ref()));
        put("from", &|| recipient(m.from.as_ref()));
        put("toRecipients", &|| recipients(&m.to));
        put("ccRecipients", &|| recipients(&m.cc));
        put("bccRecipients", &|| recipients(&m.bcc));
        put("replyTo", &|| recipients(&m.reply_to));
        put("flag", &|| flag(&m.flag));
        self.extras(query, &mut out);
        out
    }

    /// Only what changed, as delta shows an update.
    pub fn partial(&self, query: &Query, changed: Changed) -> Map<String, Value> {
        let mut out = self.head();
        if changed.has(Changed::READ) && query.wants("isRead") {
            out.insert("isRead".into(), json!(self.message.is_read));
        }
        if changed.has(Changed::FLAG) && query.wants("flag") {
            out.insert("flag".into(), flag(&self.message.flag));
        }
        if changed.has(Changed::CATEGORIES) && query.wants("categories") {
            out.insert("categories".into(), json!(self.message.categories));
        }
        out
    }

    fn head(&self) -> Map<String, Value> {
        let mut out = Map::new();
        // Graph names the type of a plain message only in delta pages, see there.
        if let Class::MeetingRequest { .. } = self.message.class {
            out.insert("@odata.type".into(), json!("#microsoft.graph.eventMessageRequest"));
        }
        out.insert("@odata.etag".into(), json!(format!("W/\"{}\"", self.change_key())));
        out.insert("id".into(), json!(self.id()));
        out
    }

    fn extras(&self, query: &Query, out: &mut Map<String, Value>) {
        let m = self.message;
        // Graph leaves the transport headers out unless they are named.
        if query.select.is_some() && query.wants("internetMessageHeaders") {
            let all: Vec<Value> = m.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            out.insert("internetMessageHeaders".into(), json!(all));
        }
        if let (Class::MeetingRequest { start, end, location, .. }, None) = (&m.class, &query.select) {
            let at = |seconds: i64| json!({"dateTime": iso(seconds).replace('Z', ".0000000"), "timeZone": "UTC"});
            out.insert("meetingMessageType".into(), json!("meetingRequest"));
            out.insert("meetingRequestType".into(), json!("newMeetingRequest"));
            out.insert("type".into(), json!("singleInstance"));
            out.insert("startDateTime".into(), at(*start));
            out.insert("endDateTime".into(), at(*end));
            out.insert("location".into(), json!({"displayName": location}));
            out.insert("isOutOfDate".into(), json!(false));
            out.insert("isAllDay".into(), json!(false));
        }
        if query.expand.attachments {
            let one = |a: &Attachment| Value::Object(self.attachment(a, true, false));
            out.insert("attachments".into(), m.attachments.iter().map(one).collect());
        }
        if !query.expand.properties.is_empty() {
            let found: Vec<Value> = query
                .expand
                .properties
                .iter()
                .filter_map(|id| property_value(m, id).map(|value| json!({"id": id, "value": value})))
                .collect();
            // A message without any of them has no such member at all.
            if !found.is_empty() {
                out.insert("singleValueExtendedProperties".into(), json!(found));
            }
        }
    }

    pub fn attachment(&self, a: &Attachment, with_bytes: bool, nested: bool) -> Map<String, Value> {
        let id =
            ids::attachment_id(self.mailbox, self.prefer.kind(), self.found.item, self.found.incarnation, a.number);
        attachment_json(&id, a, self.prefer, with_bytes, nested)
    }
}

pub fn attachment_json(
    id: &str,
    a: &Attachment,
    prefer: &Prefer,
    with_bytes: bool,
    nested: bool,
) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("@odata.type".into(), json!(a.odata_type()));
    out.insert("id".into(), json!(id));
    out.insert("lastModifiedDateTime".into(), json!(iso(a.modified)));
    out.insert("name".into(), json!(a.name));
    out.insert("contentType".into(), if a.content_type.is_empty() { Value::Null } else { json!(a.content_type) });
    out.insert("size".into(), json!(a.size()));
    out.insert("isInline".into(), json!(a.is_inline));
    match &a.content {
        AttachmentContent::File(blob) => {
            out.insert("@odata.mediaContentType".into(), json!(a.content_type));
            out.insert("contentId".into(), json!(a.content_id));
            out.insert("contentLocation".into(), Value::Null);
            if with_bytes {
                out.insert("contentBytes".into(), json!(STANDARD.encode(blob.bytes())));
            }
        }
        AttachmentContent::Item(item) if nested => {
            out.insert("item".into(), Value::Object(nested_item(item, prefer)));
        }
        AttachmentContent::Item(_) | AttachmentContent::Reference => {}
    }
    out
}

fn nested_item(m: &Message, prefer: &Prefer) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in [
        ("@odata.type", json!("#microsoft.graph.message")),
        ("subject", json!(m.subject)),
        ("body", body_json(&m.body, prefer)),
        ("from", recipient(m.from.as_ref())),
        ("sender", recipient(m.sender.as_ref())),
        ("toRecipients", recipients(&m.to)),
        ("ccRecipients", recipients(&m.cc)),
        ("bccRecipients", recipients(&m.bcc)),
        ("replyTo", recipients(&m.reply_to)),
        ("internetMessageId", json!(m.internet_message_id)),
        ("sentDateTime", json!(iso(m.sent))),
        ("receivedDateTime", json!(iso(m.received))),
        ("createdDateTime", json!(iso(m.created))),
        ("lastModifiedDateTime", json!(iso(m.modified))),
        ("importance", json!(m.importance.name())),
        ("isRead", json!(m.is_read)),
        ("isDraft", json!(m.is_draft)),
        ("hasAttachments", json!(m.has_attachments())),
        ("categories", json!(m.categories)),
        ("flag", flag(&m.flag)),
    ] {
        out.insert(name.into(), value);
    }
    out
}

pub fn folder_json(mailbox: &Mailbox, folder: &Folder, query: &Query) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("id".into(), json!(ids::folder_id(&mailbox.guid, folder.id)));
    if folder.search {
        out.insert("@odata.type".into(), json!("#microsoft.graph.mailSearchFolder"));
        out.insert("isSupported".into(), json!(true));
        out.insert("filterQuery".into(), json!("isRead eq false"));
    }
    let (total, unread) = super::folders::counts(mailbox, folder);
    for (name, value) in [
        ("displayName", json!(folder.name)),
        ("parentFolderId", json!(ids::folder_id(&mailbox.guid, folder.parent))),
        ("childFolderCount", json!(mailbox.children(folder.id).count())),
        ("unreadItemCount", json!(unread)),
        ("totalItemCount", json!(total)),
        ("sizeInBytes", json!(total * 4096)),
        ("isHidden", json!(folder.hidden)),
    ] {
        if query.wants(name) {
            out.insert(name.into(), value);
        }
    }
    out
}

/// Those of the extended properties that are there, as an expand shows them.
pub fn held_properties(held: &[(String, String)], wanted: &[String]) -> Vec<Value> {
    let find = |id: &String| held.iter().find(|(have, _)| have.eq_ignore_ascii_case(id));
    wanted.iter().filter_map(|id| find(id).map(|(_, value)| json!({"id": id, "value": value}))).collect()
}

/// A property as the client stored it, or as it follows from the message.
pub fn property_value(m: &Message, id: &str) -> Option<String> {
    if let Some((_, value)) = m.properties.iter().find(|(have, _)| have.eq_ignore_ascii_case(id)) {
        return Some(value.clone());
    }
    let (kind, tag) = id.split_once(' ')?;
    let tag = tag.trim().to_ascii_lowercase();
    let value = match (kind.to_ascii_lowercase().as_str(), tag.trim_start_matches("0x").trim_start_matches('0')) {
        ("string", "1a") => m.class.name().to_owned(),
        ("string", "37") => m.subject.clone(),
        ("string", "1035") => m.internet_message_id.clone(),
        ("string", "7d") if !m.headers.is_empty() => {
            m.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
        }
        ("integer", "e07") => {
            let bits =
                i32::from(m.is_read) | if m.is_draft { 8 } else { 0 } | if m.has_attachments() { 0x10 } else { 0 };
            bits.to_string()
        }
        ("systemtime", "39") => iso(m.sent),
        ("systemtime", "e06") => iso(m.received),
        _ => return None,
    };
    Some(value)
}

pub fn preview(body: &Body) -> String {
    let text = if body.html { without_tags(&body.content) } else { body.content.clone() };
    text.chars().take(255).collect()
}

pub fn body_json(body: &Body, prefer: &Prefer) -> Value {
    if body.html && prefer.body_as_text {
        return json!({"contentType": "text", "content": without_tags(&body.content)});
    }
    json!({"contentType": if body.html { "html" } else { "text" }, "content": body.content})
}

pub fn recipient(person: Option<&Person>) -> Value {
    person.map_or(Value::Null, |p| json!({"emailAddress": {"name": p.name, "address": p.address}}))
}

fn recipients(people: &[Person]) -> Value {
    people.iter().map(|p| recipient(Some(p))).collect()
}

fn flag(flag: &Flag) -> Value {
    let at = |when: &String| json!({"dateTime": when, "timeZone": "UTC"});
    let mut out = json!({"flagStatus": flag.status.name()});
    if flag.status != FlagStatus::NotFlagged
        && let Some(map) = out.as_object_mut()
    {
        for (name, when) in
            [("startDateTime", &flag.start), ("dueDateTime", &flag.due), ("completedDateTime", &flag.completed)]
        {
            if let Some(when) = when {
                map.insert(name.to_owned(), at(when));
            }
        }
    }
    out
}
