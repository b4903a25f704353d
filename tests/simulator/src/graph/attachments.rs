//! Attachments of a message: list, one, content, create, delete, and the start of an upload session.

use super::Call;
use super::input::{self, Purpose};
use super::messages::wanted;
use super::view::Shown;
use crate::app::User;
use crate::locks::{read as read_lock, write};
use crate::mime;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::Found;
use crate::store::folder::Changed;
use crate::store::ids::{self, Id};
use crate::store::message::{Attachment, AttachmentContent, Blob, Message};
use crate::upload::{Holder, Planned};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SMALL_MAX: usize = 3 * 1024 * 1024;
const LARGE_MAX: u64 = 150 * 1024 * 1024;

pub fn list(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let message = found.message();
    let value: Vec<Value> = message.attachments.iter().map(|a| show(call, user, &found, &message, a)).collect();
    Ok(Reply::ok(json!({"@odata.context": call.context("users/messages/attachments"), "value": value})))
}

fn show(call: &Call, user: &User, found: &Found, message: &Message, a: &Attachment) -> Value {
    let guid = read_lock(&user.mailbox).guid.clone();
    let shown = Shown { mailbox: &guid, found, message, prefer: &call.request.prefer };
    let with_bytes = call.query.wants("contentBytes");
    let mut out = shown.attachment(a, with_bytes, call.query.expand.nested_item);
    if call.query.select.is_some() {
        out.retain(|name, _| name.starts_with('@') || name == "id" || name == "item" || call.query.wants(name));
    }
    Value::Object(out)
}

fn wanted_number(call: &Call, user: &User, found: &Found) -> Result<u32, Refusal> {
    let text = call.target.attachment.as_deref().unwrap_or_default();
    match ids::decode(&read_lock(&user.mailbox).guid, text) {
        Some(Id::Attachment { kind, item, number, .. }) if kind == call.request.prefer.kind() && item == found.item => {
            Ok(number)
        }
        Some(Id::Attachment { .. }) => Err(Refusal::item_not_found()),
        Some(Id::Item { .. } | Id::Folder(_)) | None => Err(Refusal::bad_id()),
    }
}

fn pick(message: &Message, number: u32) -> Result<&Attachment, Refusal> {
    message.attachments.iter().find(|a| a.number == number).ok_or_else(Refusal::item_not_found)
}

pub fn one(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let message = found.message();
    let number = wanted_number(call, user, &found)?;
    let mut out = show(call, user, &found, &message, pick(&message, number)?);
    out["@odata.context"] = json!(call.context("users/messages/attachments/$entity"));
    Ok(Reply::ok(out))
}

pub fn value(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let message = found.message();
    let number = wanted_number(call, user, &found)?;
    let attachment = pick(&message, number)?;
    match &attachment.content {
        AttachmentContent::File(blob) => Ok(Reply::raw(&attachment.content_type, blob.bytes())),
        AttachmentContent::Item(item) => Ok(Reply::raw("text/plain", mime::write(item))),
        AttachmentContent::Reference => {
            call.violation("reference_value", "a reference attachment has no content");
            Err(Refusal::method())
        }
    }
}

pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    let number = wanted_number(call, user, &found)?;
    pick(&found.message(), number)?;
    write(&user.mailbox).update(found.item, Changed::ALL, |m| m.attachments.retain(|a| a.number != number));
    Ok(Reply::empty(204))
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    check_length(call)?;
    let body: Value =
        serde_json::from_slice(&call.request.body).map_err(|_| Refusal::bad_body("Were expecting JSON object."))?;
    let attachment = read(call, &body)?;
    let number = store(call, user, found.item, attachment)?;
    let found = read_lock(&user.mailbox).item(found.item).ok_or_else(Refusal::item_not_found)?;
    let message = found.message();
    let mut out = show(call, user, &found, &message, pick(&message, number)?);
    out["@odata.context"] = json!(call.context("users/messages/attachments/$entity"));
    Ok(Reply::json(201, out))
}

pub fn check_length(call: &Call) -> Result<(), Refusal> {
    if call.request.body.len() < 4 * 1024 * 1024 + 300_000 {
        return Ok(());
    }
    call.violation("too_large", "an attachment of 3 MB or more without upload session");
    Err(Refusal::too_large())
}

fn store(call: &Call, user: &User, item: u64, attachment: Attachment) -> Result<u32, Refusal> {
    let now = call.app.clock.now();
    let mut number = 0;
    let stored = write(&user.mailbox).update(item, Changed::ALL, |m| {
        m.modified = now;
        number = m.attach(attachment);
    });
    if stored { Ok(number) } else { Err(Refusal::item_not_found()) }
}

/// Reads an attachment as a client sends it.
pub fn read(call: &Call, value: &Value) -> Result<Attachment, Refusal> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    for name in ["id", "size", "lastModifiedDateTime"] {
        if value.get(name).is_some_and(|v| !v.is_null()) && name != "size" {
            call.violation("read_only_property", format!("'{name}' in the body of an attachment"));
            return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
        }
    }
    let name = text("name").filter(|n| !n.is_empty());
    let Some(name) = name else {
        return Err(Refusal::new(400, "ErrorRequiredPropertyMissing", "Required property 'name' is missing."));
    };
    let content = match text("@odata.type").as_deref() {
        Some("#microsoft.graph.fileAttachment") => AttachmentContent::File(read_bytes(call, value)?),
        Some("#microsoft.graph.itemAttachment") => AttachmentContent::Item(Box::new(read_item(call, value)?)),
        _ => {
            return Err(Refusal::bad_request("An attachment needs an @odata.type that can be created."));
        }
    };
    let kind = match content {
        AttachmentContent::Item(_) => "message/rfc822".to_owned(),
        AttachmentContent::File(_) | AttachmentContent::Reference => {
            text("contentType").unwrap_or_else(|| "application/octet-stream".into())
        }
    };
    Ok(Attachment {
        number: 0,
        name,
        content_type: kind,
        is_inline: value.get("isInline").and_then(Value::as_bool).unwrap_or(false),
        content_id: text("contentId"),
        modified: call.app.clock.now(),
        content,
    })
}

fn read_bytes(call: &Call, value: &Value) -> Result<Blob, Refusal> {
    let Some(encoded) = value.get("contentBytes").and_then(Value::as_str) else {
        return Err(Refusal::new(400, "ErrorRequiredPropertyMissing", "Required property 'contentBytes' is missing."));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| {
        Refusal::new(400, "RequestBodyRead", "Cannot convert the value of 'contentBytes' to Edm.Binary.")
    })?;
    if bytes.len() >= SMALL_MAX {
        call.violation("too_large", "an attachment of 3 MB or more without upload session");
        return Err(Refusal::too_large());
    }
    Ok(Blob::Held(bytes.into()))
}

fn read_item(call: &Call, value: &Value) -> Result<Message, Refusal> {
    let Some(item) = value.get("item").and_then(Value::as_object) else {
        return Err(Refusal::new(400, "ErrorRequiredPropertyMissing", "Required property 'item' is missing."));
    };
    if item.get("@odata.type").is_some_and(|kind| kind != "#microsoft.graph.message") {
        return Err(Refusal::bad_request("Only messages can be attached as items here."));
    }
    let now = call.app.clock.now();
    let mut message = Message { sent: now, received: now, created: now, modified: now, ..Message::default() };
    input::apply(call, &mut message, item, Purpose::Nested)?;
    Ok(message)
}

pub fn create_session(call: &Call) -> Answer {
    let user = call.user()?;
    let found = wanted(call, user)?;
    open_session(call, user, Holder::Message(found.item))
}

pub fn open_session(call: &Call, user: &User, holder: Holder) -> Answer {
    let body = input::object(call)?;
    let item = body.get("AttachmentItem").or_else(|| body.get("attachmentItem")).unwrap_or(&Value::Null);
    let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(name), Some(size)) = (text("name"), item.get("size").and_then(Value::as_u64)) else {
        return Err(Refusal::bad_request("AttachmentItem needs attachmentType, name and size."));
    };
    if text("attachmentType").as_deref() != Some("file") {
        return Err(Refusal::bad_request("The attachmentType must be 'file'."));
    }
    if size < SMALL_MAX as u64 {
        call.violation("session_for_small", "an upload session for less than 3 MB");
    }
    if size > LARGE_MAX {
        return Err(Refusal::new(413, "ErrorAttachmentSizeLimitExceeded", "The attachment is larger than 150 MB."));
    }
    let planned = Planned {
        client_id: call.client_id.to_owned(),
        user_id: user.id.clone(),
        holder,
        size,
        name,
        content_type: text("contentType").unwrap_or_else(|| "application/octet-stream".into()),
        is_inline: item.get("isInline").and_then(Value::as_bool).unwrap_or(false),
        content_id: text("contentId"),
        kind: call.request.prefer.kind(),
    };
    let now = call.app.clock.now();
    let key = call.app.sessions.open(planned, now);
    let held_by = call.target.message.as_deref().unwrap_or_default();
    let url = format!(
        "{}/api/v2.0/Users('{}')/{}('{held_by}')/AttachmentSessions('{key}')?authtoken={key}",
        call.app.origin(),
        user.id,
        holder.area(),
    );
    Ok(Reply::json(
        201,
        json!({
            "@odata.context": call.context("microsoft.graph.uploadSession"),
            "uploadUrl": url,
            "expirationDateTime": crate::clock::iso(now + crate::upload::LIFE_SECONDS),
            "nextExpectedRanges": ["0-"],
        }),
    ))
}
