//! Upload sessions of Outlook attachments: parts in order, without Authorization, below 4 MB each.

use crate::app::App;
use crate::graph::calendar;
use crate::locks::{lock, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::request::Request;
use crate::store::folder::Changed;
use crate::store::ids::{self, IdKind, Name, What};
use crate::store::message::{Attachment, AttachmentContent, Blob};
use bytes::Bytes;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub const LIFE_SECONDS: i64 = 3 * 3600;
const PART_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Mutex<Session>>>>,
    /// What was uploaded and is attached somewhere: equal contents are held once.
    kept: Mutex<HashMap<blake3::Hash, Bytes>>,
}

#[derive(Debug)]
pub struct Session {
    planned: Planned,
    received: Vec<u8>,
    expires: i64,
}

/// What gets the attachment.
#[derive(Clone, Copy, Debug)]
pub enum Holder {
    Message(u64),
    /// An event, or what a series has on one day.
    Event {
        item: u64,
        day: Option<NaiveDate>,
    },
}

impl Holder {
    pub fn area(self) -> &'static str {
        match self {
            Self::Message(_) => "Messages",
            Self::Event { .. } => "Events",
        }
    }
}

/// What the client announced.
#[derive(Clone, Debug)]
pub struct Planned {
    pub client_id: String,
    pub user_id: String,
    pub holder: Holder,
    pub size: u64,
    pub name: String,
    pub content_type: String,
    pub is_inline: bool,
    pub content_id: Option<String>,
    pub kind: IdKind,
}

impl Sessions {
    pub fn open(&self, planned: Planned, now: i64) -> String {
        let key = uuid::Uuid::new_v4().simple().to_string();
        let session = Session { planned, received: Vec::new(), expires: now + LIFE_SECONDS };
        lock(&self.open).insert(key.clone(), Arc::new(Mutex::new(session)));
        key
    }

    pub fn find(&self, key: &str, now: i64) -> Option<Arc<Mutex<Session>>> {
        let found = lock(&self.open).get(key).cloned()?;
        let alive = lock(&found).expires > now;
        alive.then_some(found)
    }

    /// Holds content that was uploaded, or what equals it.
    fn keep(&self, content: Vec<u8>) -> Blob {
        let hash = blake3::hash(&content);
        let mut kept = lock(&self.kept);
        kept.retain(|_, content| !content.is_unique());
        let held = kept.entry(hash).or_insert_with(|| content.into());
        Blob::Held(held.clone())
    }

    fn close(&self, key: &str) {
        lock(&self.open).remove(key);
    }
}

/// What a session was opened for, so that its requests count for that app and mailbox.
pub fn owner(app: &App, request: &Request) -> Option<Planned> {
    let session = app.sessions.find(key_of(request), app.clock.now())?;
    let owner = lock(&session).planned.clone();
    Some(owner)
}

fn key_of(request: &Request) -> &str {
    request.segments.last().map_or("", String::as_str)
}

pub fn answer(app: &App, request: &Request) -> Answer {
    let violation = |kind, reason: &str| app.violation(kind, &request.method, &request.path, reason);
    if request.header("authorization").is_some() {
        violation("authorization_on_upload_url", "the upload URL carries its own token");
        return Err(Refusal::new(
            401,
            "InvalidAuthenticationToken",
            "Authorization must not be sent to an upload URL.",
        ));
    }
    let key = key_of(request);
    let gone = || Refusal::new(404, "ErrorItemNotFound", "The upload session is not found.");
    let session = app.sessions.find(key, app.clock.now()).ok_or_else(gone)?;
    match request.method.as_str() {
        "PUT" => {}
        "DELETE" => {
            app.sessions.close(key);
            return Ok(Reply::empty(204));
        }
        _ => {
            violation("method_not_allowed", "an upload URL takes PUT and DELETE");
            return Err(Refusal::method());
        }
    }
    if !request.content_type().starts_with("application/octet-stream") {
        return Err(Refusal::new(415, "UnsupportedMediaType", "Parts are application/octet-stream."));
    }
    let mut session = lock(&session);
    take_part(&mut session, request).inspect_err(|refusal| violation("bad_range", &refusal.message))?;
    let have = session.received.len() as u64;
    if have < session.planned.size {
        return Ok(Reply::ok(json!({
            "@odata.context": format!("{}/api/v2.0/$metadata#Users/Messages/AttachmentSessions/$entity", app.origin()),
            "ExpirationDateTime": crate::clock::iso(session.expires),
            "NextExpectedRanges": [have.to_string()],
        })));
    }
    let location = finish(app, &mut session)?;
    app.sessions.close(key);
    Ok(Reply::empty(201).with("Location", location))
}

fn take_part(session: &mut Session, request: &Request) -> Result<(), Refusal> {
    let range = request.header("content-range").and_then(parse_range);
    let bad = |text: String| Refusal::new(400, "ErrorInvalidContentRange", &text);
    let Some((first, last, total)) = range else {
        return Err(bad("Content-Range must be 'bytes first-last/total'.".into()));
    };
    let have = session.received.len() as u64;
    if total != session.planned.size {
        return Err(bad(format!("total {total} differs from the announced size {}", session.planned.size)));
    }
    if first != have {
        return Err(bad(format!("part begins at {first}, expected {have}")));
    }
    if last < first || last >= total || last - first + 1 != request.body.len() as u64 {
        return Err(bad(format!("range {first}-{last} does not fit a body of {} bytes", request.body.len())));
    }
    if request.body.len() as u64 >= PART_MAX {
        return Err(Refusal::new(413, "RequestEntityTooLarge", "A part must be smaller than 4 MB."));
    }
    session.received.extend_from_slice(&request.body);
    Ok(())
}

pub fn parse_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

fn finish(app: &App, session: &mut Session) -> Result<String, Refusal> {
    let planned = session.planned.clone();
    let user = app.user(&planned.user_id).ok_or_else(Refusal::item_not_found)?;
    let now = app.clock.now();
    let attachment = Attachment {
        number: 0,
        name: planned.name,
        content_type: planned.content_type,
        is_inline: planned.is_inline,
        content_id: planned.content_id,
        modified: now,
        content: AttachmentContent::File(app.sessions.keep(std::mem::take(&mut session.received))),
    };
    let (holder, kind) = (planned.holder, planned.kind);
    let (held_by, attachment) = match holder {
        Holder::Message(item) => {
            let mut mailbox = write(&user.mailbox);
            let mut number = 0;
            let stored = mailbox.update(item, Changed::ALL, |message| {
                message.modified = now;
                number = message.attach(attachment);
            });
            let found = mailbox.item(item).filter(|_| stored).ok_or_else(Refusal::item_not_found)?;
            let (guid, item, incarnation) = (&mailbox.guid, found.item, found.incarnation);
            (ids::item_id(guid, kind, item, incarnation), ids::attachment_id(guid, kind, item, incarnation, number))
        }
        Holder::Event { item, day } => {
            let mut calendars = write(&user.calendars);
            let number = calendar::attach(&mut calendars, holder, attachment, now);
            let number = number.ok_or_else(Refusal::item_not_found)?;
            let incarnation = calendars.shelf.entry(item).map_or(0, |entry| entry.incarnation);
            let event = calendar::view::name(kind, item, incarnation, day);
            let attachment = Name { what: What::EventAttachment, number, ..event };
            (event.write(&calendars.shelf.guid), attachment.write(&calendars.shelf.guid))
        }
    };
    let (origin, user, area) = (app.origin(), &user.id, holder.area());
    Ok(format!("{origin}/api/v2.0/Users('{user}')/{area}('{held_by}')/Attachments('{attachment}')"))
}
