//! Reads just enough of a MIME message that a client posted to show it as a draft.

use crate::store::message::{Body, Message, Person};
use bytes::Bytes;

/// None when there is no header at all, which Exchange refuses.
pub fn draft_from(mime: Bytes) -> Option<Message> {
    let text = String::from_utf8_lossy(&mime).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))?;
    let headers = unfold(head);
    if headers.is_empty() {
        return None;
    }
    let all = |name: &str| -> Vec<&str> {
        headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    };
    let first = |name: &str| all(name).first().copied().unwrap_or_default().to_owned();
    let html = first("Content-Type").to_ascii_lowercase().starts_with("text/html");
    let mut message = Message {
        subject: first("Subject"),
        body: Body { html, content: body.to_owned() },
        from: people(&first("From")).into_iter().next(),
        sender: people(&first("Sender")).into_iter().next(),
        to: people(&first("To")),
        cc: people(&first("Cc")),
        bcc: people(&first("Bcc")),
        reply_to: people(&first("Reply-To")),
        internet_message_id: first("Message-ID"),
        is_draft: true,
        ..Message::default()
    };
    if message.sender.is_none() {
        message.sender = message.from.clone();
    }
    message.headers = headers.into_iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("x-")).collect();
    message.raw_mime = Some(mime);
    Some(message)
}

fn unfold(head: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = out.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            out.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    out
}

fn people(list: &str) -> Vec<Person> {
    list.split(',')
        .map(str::trim)
        .filter(|one| one.contains('@'))
        .map(|one| match one.split_once('<') {
            Some((name, address)) => Person {
                name: name.trim().trim_matches('"').to_owned(),
                address: address.trim_end_matches('>').trim().to_owned(),
            },
            None => Person { name: one.to_owned(), address: one.to_owned() },
        })
        .collect()
}
