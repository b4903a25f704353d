//! Reads the JSON of a message that a client sends, and refuses what Graph refuses.

use super::Call;
use super::{attachments, extended};
use crate::clock::parse_iso;
use crate::reply::Refusal;
use crate::store::folder::Changed;
use crate::store::message::{Body, Flag, FlagStatus, Importance, Message, Person};
use serde_json::{Map, Value};

/// What the JSON is for; decides which properties may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create,
    EditDraft,
    EditSent,
    /// The item inside an item attachment.
    Nested,
}

const READ_ONLY: [&str; 9] = [
    "id",
    "changeKey",
    "parentFolderId",
    "conversationId",
    "receivedDateTime",
    "createdDateTime",
    "lastModifiedDateTime",
    "hasAttachments",
    "webLink",
];
/// Read-only too, but Outlook ignores these instead of refusing.
const IGNORED: [&str; 6] =
    ["sentDateTime", "isDraft", "bodyPreview", "uniqueBody", "conversationIndex", "unsubscribeData"];
const SETTABLE_ALWAYS: [&str; 7] = [
    "isRead",
    "flag",
    "categories",
    "importance",
    "singleValueExtendedProperties",
    "inferenceClassification",
    "@odata.type",
];

pub fn object(call: &Call) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(&call.request.body).map_err(|_| Refusal::bad_body("Were expecting JSON object."))
}

pub fn apply(
    call: &Call,
    message: &mut Message,
    body: &Map<String, Value>,
    purpose: Purpose,
) -> Result<Changed, Refusal> {
    let mut changed = Changed(0);
    for (name, value) in body {
        refuse_read_only(call, name, purpose)?;
        changed = changed.with(set(call, message, name, value, purpose)?);
    }
    Ok(changed)
}

fn refuse_read_only(call: &Call, name: &str, purpose: Purpose) -> Result<(), Refusal> {
    let annotation = name.contains("@odata.") && name != "@odata.type";
    let read_only = match purpose {
        Purpose::Nested => {
            ["isDraft", "hasAttachments", "parentFolderId", "internetMessageHeaders", "attachments"].contains(&name)
        }
        Purpose::Create | Purpose::EditDraft | Purpose::EditSent => READ_ONLY.contains(&name) || annotation,
    };
    if read_only {
        call.violation("read_only_property", format!("'{name}' in the body of a {purpose:?}"));
        return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
    }
    if purpose == Purpose::EditSent && !SETTABLE_ALWAYS.contains(&name) {
        let text = format!("The property '{name}' can be set only while the message is a draft.");
        return Err(Refusal::new(400, "ErrorInvalidPropertySet", &text));
    }
    Ok(())
}

fn set(call: &Call, m: &mut Message, name: &str, value: &Value, purpose: Purpose) -> Result<Changed, Refusal> {
    let wrong = || wrong_value(name);
    let truth = || value.as_bool().ok_or_else(wrong);
    match name {
        "isRead" => {
            m.is_read = truth()?;
            return Ok(Changed::READ);
        }
        "flag" => {
            m.flag = read_flag(value).ok_or_else(wrong)?;
            return Ok(Changed::FLAG);
        }
        "categories" => {
            m.categories = strings(value).ok_or_else(wrong)?;
            return Ok(Changed::CATEGORIES);
        }
        "importance" => m.importance = value.as_str().and_then(Importance::parse).ok_or_else(wrong)?,
        "singleValueExtendedProperties" => extended::set_properties(call, m, value, purpose)?,
        "attachments" => attach_all(call, m, value)?,
        "@odata.type" if value != "#microsoft.graph.message" => {
            return Err(Refusal::bad_request("Only microsoft.graph.message can be created."));
        }
        "sentDateTime" | "receivedDateTime" | "createdDateTime" | "lastModifiedDateTime"
            if purpose == Purpose::Nested =>
        {
            let at = value.as_str().and_then(parse_iso).ok_or_else(wrong)?;
            match name {
                "sentDateTime" => m.sent = at,
                "receivedDateTime" => m.received = at,
                "createdDateTime" => m.created = at,
                _ => m.modified = at,
            }
        }
        "@odata.type" => {}
        other if IGNORED.contains(&other) => {}
        _ if set_content(m, name, value)? || purpose == Purpose::Nested => {}
        _ => {
            let text = format!("The property '{name}' does not exist on type 'microsoft.graph.message'.");
            return Err(Refusal::new(400, "RequestBodyRead", &text));
        }
    }
    Ok(Changed::ALL)
}

/// Who, what and how of the text; true if it was such a property.
fn set_content(m: &mut Message, name: &str, value: &Value) -> Result<bool, Refusal> {
    let wrong = || wrong_value(name);
    match name {
        "subject" => m.subject = value.as_str().unwrap_or_default().to_owned(),
        "body" => m.body = read_body(value).ok_or_else(wrong)?,
        "from" => m.from = read_person(value),
        "sender" => m.sender = read_person(value),
        "toRecipients" => m.to = read_people(value).ok_or_else(wrong)?,
        "ccRecipients" => m.cc = read_people(value).ok_or_else(wrong)?,
        "bccRecipients" => m.bcc = read_people(value).ok_or_else(wrong)?,
        "replyTo" => {
            m.reply_to = read_people(value).ok_or_else(wrong)?;
            if m.reply_to.iter().any(|p| !p.address.contains('@')) {
                return Err(Refusal::new(400, "ErrorInvalidRecipients", "At least one recipient is not valid."));
            }
        }
        "internetMessageId" => m.internet_message_id = value.as_str().map(str::to_owned).ok_or_else(wrong)?,
        "internetMessageHeaders" => m.headers = read_headers(value)?,
        "isReadReceiptRequested" => m.read_receipt = value.as_bool().unwrap_or(false),
        "isDeliveryReceiptRequested" => m.delivery_receipt = value.as_bool().unwrap_or(false),
        "inferenceClassification" => m.other_inbox = value.as_str() == Some("other"),
        _ => return Ok(false),
    }
    Ok(true)
}

pub fn wrong_value(name: &str) -> Refusal {
    let text = format!("Cannot read the value of the property '{name}'.");
    Refusal::new(400, "RequestBodyRead", &text)
}

fn attach_all(call: &Call, m: &mut Message, value: &Value) -> Result<(), Refusal> {
    for one in value.as_array().into_iter().flatten() {
        let attachment = attachments::read(call, one)?;
        m.attach(attachment);
    }
    Ok(())
}

fn read_headers(value: &Value) -> Result<Vec<(String, String)>, Refusal> {
    let mut out = Vec::new();
    for one in value.as_array().into_iter().flatten() {
        let (name, value) = (one["name"].as_str().unwrap_or_default(), one["value"].as_str().unwrap_or_default());
        if !name.to_ascii_lowercase().starts_with("x-") {
            let text = format!("The internet message header name '{name}' should start with 'x-' or 'X-'.");
            return Err(Refusal::new(400, "InvalidInternetMessageHeader", &text));
        }
        out.push((name.to_owned(), value.to_owned()));
    }
    if out.len() > 5 {
        let text = "Maximum number of headers in one message should be less than or equal to 5.";
        return Err(Refusal::new(400, "InvalidInternetMessageHeaderCollection", text));
    }
    Ok(out)
}

pub fn read_body(value: &Value) -> Option<Body> {
    let content = value.get("content").and_then(Value::as_str).unwrap_or_default();
    let html = match value.get("contentType").and_then(Value::as_str).unwrap_or("text").to_ascii_lowercase().as_str() {
        "html" => true,
        "text" => false,
        _ => return None,
    };
    Some(Body { html, content: content.to_owned() })
}

pub fn read_person(value: &Value) -> Option<Person> {
    let address = value.get("emailAddress")?;
    let text = |name: &str| address.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Person { name: text("name"), address: text("address") })
}

pub fn read_people(value: &Value) -> Option<Vec<Person>> {
    value.as_array()?.iter().map(read_person).collect()
}

pub fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

fn read_flag(value: &Value) -> Option<Flag> {
    let status = match value.get("flagStatus").and_then(Value::as_str)?.to_ascii_lowercase().as_str() {
        "notflagged" => FlagStatus::NotFlagged,
        "flagged" => FlagStatus::Flagged,
        "complete" => FlagStatus::Complete,
        _ => return None,
    };
    let at = |name: &str| value.get(name)?.get("dateTime")?.as_str().map(str::to_owned);
    // A due date without a start date is refused by Outlook, a start without a due date too.
    let (start, due) = (at("startDateTime"), at("dueDateTime"));
    if status == FlagStatus::Flagged && due.is_some() && start.is_none() {
        return None;
    }
    Some(Flag { status, start, due, completed: at("completedDateTime") })
}
