//! A message attached to a message.

use bytes::Bytes;
use chrono::SecondsFormat;
use mail_parser::{Address, Encoding, Message, MessagePart};
use serde_json::{Value, json};

use super::mime::{Attachment, File, body, clean_name};

/// Larger ones go as a file: an item has to fit into one request.
const ITEM_BYTES_MAX: usize = 1 << 20;
const ADDRESSES_MAX: usize = 500;

/// As an item where Graph takes it whole, else as an .eml file.
pub(super) fn attachment(
    message: &Message<'_>,
    text: Bytes,
    content_id: Option<String>,
    remarks: &mut Vec<String>,
) -> Attachment {
    let subject = message.subject().map(clean_name).filter(|subject| !subject.is_empty());
    let name = subject.unwrap_or_else(|| "attached message".to_owned());
    let original = File {
        name: format!("{name}.eml"),
        content_type: "application/octet-stream".to_owned(),
        inline: false,
        content_id,
        content: text,
    };
    let (mut shown, used) = body(message, &message.raw_message);
    // Blank lines between an attached message and the boundary behind it are nobody's text.
    shown.text.truncate(shown.text.trim_end_matches(['\r', '\n']).len());
    let has_more = message.attachments.iter().any(|id| !used.contains(id));
    if has_more || original.content.len() > ITEM_BYTES_MAX {
        remarks.push(TOO_RICH.to_owned());
        return Attachment::File(original);
    }
    let mut item = json!({
        "@odata.type": "#microsoft.graph.message",
        "subject": message.subject().unwrap_or_default(),
        "body": { "contentType": if shown.html { "html" } else { "text" }, "content": shown.text },
    });
    let people = [
        ("toRecipients", message.to()),
        ("ccRecipients", message.cc()),
        ("bccRecipients", message.bcc()),
        ("replyTo", message.reply_to()),
    ];
    for (name, addresses) in people {
        let recipients = recipients(addresses);
        if !recipients.is_empty() {
            item[name] = Value::Array(recipients);
        }
    }
    let from = recipients(message.from()).into_iter().next();
    let sender = recipients(message.sender()).into_iter().next().or_else(|| from.clone());
    for (name, person) in [("from", from), ("sender", sender)] {
        if let Some(person) = person {
            item[name] = person;
        }
    }
    if let Some(id) = message.message_id() {
        item["internetMessageId"] = json!(format!("<{id}>"));
    }
    if let Some(date) = message.date().filter(|date| date.is_valid()) {
        let sent = chrono::DateTime::from_timestamp(date.to_timestamp(), 0)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        item["sentDateTime"] = json!(sent);
        item["receivedDateTime"] = json!(sent);
    }
    Attachment::Message { name, item, original }
}

pub(super) const TOO_RICH: &str = "an attached message with attachments of its own is restored as an .eml file";

/// The text of an attached message: as it stands in the outer one, or as it was decoded.
pub(super) fn text(part: &MessagePart<'_>, message: &Message<'_>, raw: &Bytes) -> Bytes {
    match part.encoding {
        Encoding::None => {
            let (start, end) = (part.offset_body as usize, (part.offset_end as usize).min(raw.len()));
            raw.slice(start.min(end)..end)
        }
        Encoding::Base64 | Encoding::QuotedPrintable => Bytes::copy_from_slice(&message.raw_message),
    }
}

fn recipients(addresses: Option<&Address<'_>>) -> Vec<Value> {
    let all = addresses.into_iter().flat_map(|addresses| match addresses {
        Address::List(list) => list.iter().collect::<Vec<_>>(),
        Address::Group(groups) => groups.iter().flat_map(|group| &group.addresses).collect(),
    });
    let recipient = |(name, address): (Option<&str>, &str)| json!({ "emailAddress": { "name": name.unwrap_or(address), "address": address } });
    all.filter_map(|person| Some((person.name.as_deref(), person.address.as_deref()?)))
        .take(ADDRESSES_MAX)
        .map(recipient)
        .collect()
}
