//! A mailbox as one canonical JSON document, for comparing what was with what was restored. Ids,
//! change keys and the dates nobody can set are not in it. One message per line, in the order of
//! folder path and internetMessageId, written piece by piece so that size does not matter.

use crate::app::User;
use crate::clock::iso;
use crate::graph::exchange;
use crate::locks::read;
use crate::mime::{self, LINK_FILE};
use crate::store::Found;
use crate::store::folder::TOP;
use crate::store::ids::{self, IdKind};
use crate::store::message::{Attachment, AttachmentContent, Class, Importance, Message, Person};
use actix_web::HttpResponse;
use bytes::Bytes;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

const PER_PIECE: usize = 200;

/// What is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Whole,
    /// With each message's immutable id, the hash of Exchange's stream of it, and that of its MIME as if its importance
    /// were normal.
    WithIds,
    /// Only what Graph lets a client bring back. A link attachment has no address in v1.0, so it may come back as the
    /// small page that its MIME has; a meeting request cannot be created, so its calendar part may come back as an
    /// attachment of an ordinary message.
    Restorable,
}

pub fn stream(user: Arc<User>, detail: Detail) -> HttpResponse {
    let pieces = Pieces::new(user, detail).map(Ok::<Bytes, Infallible>);
    HttpResponse::Ok().content_type("application/json").streaming(futures_util::stream::iter(pieces))
}

/// The whole document at once.
pub fn whole(user: &Arc<User>, detail: Detail) -> Vec<u8> {
    Pieces::new(Arc::clone(user), detail).flat_map(|piece| piece.to_vec()).collect()
}

struct Pieces {
    user: Arc<User>,
    detail: Detail,
    folders: Vec<(String, u32)>,
    folder: usize,
    items: std::vec::IntoIter<u64>,
    state: State,
    first: bool,
}

#[derive(PartialEq)]
enum State {
    Head,
    Messages,
    Done,
}

impl Pieces {
    fn new(user: Arc<User>, detail: Detail) -> Self {
        let mut folders: Vec<(String, u32)> = {
            let mailbox = read(&user.mailbox);
            mailbox
                .folders()
                .filter(|f| mailbox.is_visible(f.id) && f.id != TOP && !f.search)
                .map(|f| (mailbox.path(f.id), f.id))
                .collect()
        };
        folders.sort();
        Self { user, detail, folders, folder: 0, items: Vec::new().into_iter(), state: State::Head, first: true }
    }

    fn head(&self) -> Bytes {
        let mailbox = read(&self.user.mailbox);
        let folders: Vec<Value> = self
            .folders
            .iter()
            .filter_map(|(path, id)| mailbox.folder(*id).map(|f| (path, f)))
            .map(|(path, f)| json!({"path": path, "hidden": f.hidden, "well_known": f.well_known, "messages": f.total}))
            .collect();
        Bytes::from(format!("{{\"folders\":{},\n\"messages\":[\n", json!(folders)))
    }

    fn sorted_items(&self, folder: u32) -> Vec<u64> {
        let mailbox = read(&self.user.mailbox);
        let mut all: Vec<(String, i64, u64)> = mailbox
            .item_numbers(folder)
            .into_iter()
            .filter_map(|item| mailbox.item(item))
            .map(|found| (found.internet_id(), found.received(), found.item))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, _, item)| item).collect()
    }

    fn messages(&mut self) -> Option<Bytes> {
        let mut out = String::new();
        for _ in 0..PER_PIECE {
            let item = loop {
                if let Some(item) = self.items.next() {
                    break item;
                }
                let Some((_, folder)) = self.folders.get(self.folder) else {
                    return (!out.is_empty()).then(|| Bytes::from(out));
                };
                self.items = self.sorted_items(*folder).into_iter();
                self.folder += 1;
            };
            let path = self.folders.get(self.folder.saturating_sub(1)).map_or("", |(path, _)| path.as_str());
            let found = read(&self.user.mailbox).item(item);
            let Some(found) = found else { continue };
            if !self.first {
                out.push_str(",\n");
            }
            self.first = false;
            out.push_str(&self.line(path, &found).to_string());
        }
        Some(Bytes::from(out))
    }

    fn line(&self, path: &str, found: &Found) -> Value {
        let mut line = match self.detail {
            Detail::Restorable => restorable(&found.message()),
            Detail::Whole | Detail::WithIds => describe(&found.message()),
        };
        line["folder"] = json!(path);
        if self.detail == Detail::WithIds {
            let guid = read(&self.user.mailbox).guid.clone();
            line["immutable_id"] = json!(ids::item_id(&guid, IdKind::Immutable, found.item, found.incarnation));
            // Its importance is told beside it, and a client need not read a text again when that changes.
            let ordinary = Message { importance: Importance::Normal, ..Message::clone(&found.message()) };
            line["streamHash"] = json!(blake3::hash(&exchange::stream(found)).to_hex().as_str());
            line["mimeHash"] = json!(blake3::hash(&mime::write(&ordinary)).to_hex().as_str());
        }
        line
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Head => {
                self.state = State::Messages;
                Some(self.head())
            }
            State::Messages => match self.messages() {
                Some(piece) => Some(piece),
                None => {
                    self.state = State::Done;
                    Some(Bytes::from_static(b"\n]}\n"))
                }
            },
            State::Done => None,
        }
    }
}

fn describe(m: &Message) -> Value {
    let mut attachments: Vec<Value> = m.attachments.iter().map(attachment).collect();
    attachments.sort_by_key(Value::to_string);
    json!({
        "internetMessageId": m.internet_message_id,
        "subject": m.subject,
        "from": m.from.as_ref().map(person),
        "sender": m.sender.as_ref().map(person),
        "to": m.to.iter().map(person).collect::<Vec<_>>(),
        "cc": m.cc.iter().map(person).collect::<Vec<_>>(),
        "bcc": m.bcc.iter().map(person).collect::<Vec<_>>(),
        "replyTo": m.reply_to.iter().map(person).collect::<Vec<_>>(),
        "sent": iso(m.sent),
        "received": iso(m.received),
        "isRead": m.is_read,
        "isDraft": m.is_draft,
        "flag": {"status": m.flag.status.name(), "start": m.flag.start, "due": m.flag.due, "completed": m.flag.completed},
        "categories": m.categories,
        "importance": m.importance.name(),
        "messageClass": m.class.name(),
        "bodyType": if m.body.html { "html" } else { "text" },
        "bodyHash": blake3::hash(m.body.content.as_bytes()).to_hex().as_str(),
        "attachments": attachments,
    })
}

fn restorable(m: &Message) -> Value {
    let mut line = describe(m);
    let mut invitation = Value::Null;
    if let Class::MeetingRequest { ics, .. } = &m.class {
        invitation = json!(blake3::hash(ics.trim_end().as_bytes()).to_hex().as_str());
        line["messageClass"] = json!(Class::Note.name());
    }
    let mut kept = Vec::new();
    for attachment in &m.attachments {
        match &attachment.content {
            AttachmentContent::Reference => kept.push(json!({"kind": "link", "name": attachment.name})),
            AttachmentContent::File(blob) if blob.bytes().trim_ascii_end() == LINK_FILE.as_bytes() => {
                kept.push(json!({"kind": "link", "name": attachment.name.trim_end_matches(".html")}));
            }
            AttachmentContent::File(blob) if attachment.content_type.starts_with("text/calendar") => {
                invitation = json!(blake3::hash(blob.bytes().trim_ascii_end()).to_hex().as_str());
            }
            AttachmentContent::File(_) | AttachmentContent::Item(_) => kept.push(self::attachment(attachment)),
        }
    }
    kept.sort_by_key(Value::to_string);
    line["attachments"] = json!(kept);
    line["invitation"] = invitation;
    line
}

fn person(p: &Person) -> Value {
    json!({"name": p.name, "address": p.address})
}

pub fn attachment(a: &Attachment) -> Value {
    let (kind, size, hash) = match &a.content {
        AttachmentContent::File(blob) => ("file", blob.len(), blake3::hash(&blob.bytes()).to_hex().to_string()),
        AttachmentContent::Item(item) => {
            let inner = describe(item);
            let text = json!([
                inner["subject"],
                inner["from"],
                inner["to"],
                inner["cc"],
                inner["bodyType"],
                inner["bodyHash"]
            ])
            .to_string();
            ("item", 0, blake3::hash(text.as_bytes()).to_hex().to_string())
        }
        AttachmentContent::Reference => ("reference", 0, String::new()),
    };
    json!({
        "kind": kind, "name": a.name, "contentType": a.content_type, "isInline": a.is_inline,
        "contentId": a.content_id, "size": size, "hash": hash,
    })
}
