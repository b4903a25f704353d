//! New messages: as JSON into any folder, or as MIME, always a draft, never into a folder.

use super::Call;
use super::folders;
use super::input::{self, Purpose};
use super::messages::answer_with;
use crate::app::User;
use crate::dice::hash_text;
use crate::locks::{read, write};
use crate::mime;
use crate::reply::{Answer, Refusal};
use crate::store::message::Message;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const REQUEST_MAX: usize = 4 * 1024 * 1024;

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    if call.request.body.len() >= REQUEST_MAX {
        call.violation("too_large", "a message of 4 MB or more in one request");
        return Err(Refusal::too_large());
    }
    let (folder, message) = match call.request.content_type().split(';').next().unwrap_or_default().trim() {
        "application/json" => from_json(call, user)?,
        "text/plain" => from_mime(call, user)?,
        other => {
            let text = format!("The content type '{other}' is not supported.");
            return Err(Refusal::new(415, "UnsupportedMediaType", &text));
        }
    };
    let made = write(&user.mailbox).add(folder, message);
    let id = call.target.user_name.as_str();
    let reply = answer_with(call, user, made, 201)?;
    Ok(reply.with("Location", call.url(&format!("/users('{id}')/messages"))))
}

fn from_json(call: &Call, user: &User) -> Result<(u32, Message), Refusal> {
    let folder = {
        let mailbox = read(&user.mailbox);
        let id = folders::find(&mailbox, call.target.folder.as_deref().unwrap_or("drafts"))?;
        if mailbox.folder(id).is_some_and(|f| f.search) {
            return Err(Refusal::bad_request("Items cannot be created in a search folder."));
        }
        id
    };
    let body = input::object(call)?;
    let mut message = fresh(call);
    // A new draft counts as read, by its author.
    message.is_read = false;
    input::apply(call, &mut message, &body, Purpose::Create)?;
    match body.get("isRead").and_then(serde_json::Value::as_bool) {
        Some(is_read) => message.is_read = is_read,
        None => message.is_read |= message.is_draft,
    }
    complete(call, &mut message);
    Ok((folder, message))
}

fn from_mime(call: &Call, user: &User) -> Result<(u32, Message), Refusal> {
    if call.target.folder.is_some() {
        call.violation("mime_into_folder", "MIME can be posted to /users/{id}/messages only");
        return Err(Refusal::bad_body("Were expecting JSON, found text."));
    }
    let compact: Vec<u8> = call.request.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let raw = STANDARD.decode(compact).map_err(|_| {
        Refusal::new(400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
    })?;
    let read_mime = mime::read::draft_from(raw.into());
    let mut message =
        read_mime.ok_or_else(|| Refusal::new(400, "ErrorMimeContentInvalid", "The MIME content is invalid."))?;
    let now = call.app.clock.now();
    message.sent = now;
    message.received = now;
    message.is_read = true;
    complete(call, &mut message);
    Ok((read(&user.mailbox).well_known("drafts").unwrap_or_default(), message))
}

fn fresh(call: &Call) -> Message {
    let now = call.app.clock.now();
    Message { sent: now, received: now, is_draft: true, ..Message::default() }
}

fn complete(call: &Call, message: &mut Message) {
    let now = call.app.clock.now();
    message.created = now;
    message.modified = now;
    if message.internet_message_id.is_empty() {
        message.internet_message_id = format!("<{}@{}>", uuid::Uuid::new_v4().simple(), call.app.world.domain);
    }
    if message.conversation == 0 {
        let topic = message.subject.rsplit(": ").next().unwrap_or_default().to_lowercase();
        message.conversation = hash_text(&topic);
    }
}
