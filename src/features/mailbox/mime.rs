//! From the MIME text of a message to what Graph can create: a body, a message class and attachments. Pure, and
//! never at a loss: what cannot be understood is attached as it is.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::text_to_html;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::nested;
use super::repair;
use super::smime::{self, Entity};
pub(super) use crate::features::attaching::{Attachment, File};

/// A message taken apart.
#[derive(Debug, Default)]
pub(super) struct Letter {
    pub body: Body,
    pub attachments: Vec<Attachment>,
    /// The message class, where it is not the ordinary one.
    pub class: Option<&'static str>,
    /// Raw `Content-Type` of an opaque S/MIME message, which Exchange keeps beside the attachment.
    pub content_type: Option<String>,
    /// For the thread: the message ids that this one answers.
    pub in_reply_to: String,
    pub references: String,
    /// What will differ from the original.
    pub remarks: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub html: bool,
    pub text: String,
}

/// Messages in messages in messages: beyond this the parser's result would be too deep to be dropped safely.
const NESTED_MAX: usize = 50;
/// A body beyond this does not fit into a request; it is attached.
const BODY_JSON_BYTES_MAX: usize = 3 << 20;
/// A text without headers up to this size is shown as the body.
const BARE_TEXT_BYTES_MAX: usize = 1 << 20;
const NAME_CHARS_MAX: usize = 200;

/// Takes a message apart. Whatever the input, it returns: in the worst case with the whole text as an attachment.
pub(super) fn read(raw: &Bytes) -> Letter {
    // The parser promises not to panic; should it break that, one odd mail must not end a restore.
    let parsed = catch_unwind(AssertUnwindSafe(|| parse(raw).or_else(|| parse(&repair::headed(raw)?)))).ok().flatten();
    let mut letter = parsed.unwrap_or_else(|| unreadable(raw));
    shrink_body(&mut letter);
    letter
}

fn parse(raw: &Bytes) -> Option<Letter> {
    if n_nested(raw) > NESTED_MAX || raw.trim_ascii_start().starts_with(b"--") {
        return None;
    }
    let message = MessageParser::default().parse(raw.as_ref()).filter(has_mail_headers)?;
    if let Some(closed) = repair::closed(&message, raw)
        && let Some(message) = MessageParser::default().parse(closed.as_ref())
    {
        return Some(convert(&message, &closed));
    }
    Some(convert(&message, raw))
}

fn convert(message: &Message<'_>, raw: &Bytes) -> Letter {
    let mut letter = Letter {
        in_reply_to: message_ids(message.in_reply_to()),
        references: message_ids(message.references()),
        ..Letter::default()
    };
    match smime::entity(message, raw) {
        Some(Entity::Signed { content }) => {
            letter.body = body(message, raw).0;
            letter.class = Some("IPM.Note.SMIME.MultipartSigned");
            letter.attachments = vec![Attachment::File(smime::attachment("multipart/signed", content))];
        }
        Some(Entity::Opaque { content, content_type }) => {
            letter.class = Some("IPM.Note.SMIME");
            letter.content_type = Some(content_type);
            letter.attachments = vec![Attachment::File(smime::attachment("application/pkcs7-mime", content))];
        }
        None => take_apart(message, raw, &mut letter),
    }
    letter
}

fn take_apart(message: &Message<'_>, raw: &Bytes, letter: &mut Letter) {
    let (body, used) = body(message, raw);
    let shown = |content_id: &str| body.html && body.text.contains(&format!("cid:{content_id}"));
    let mut damaged = false;
    for &id in message.attachments.iter().filter(|id| !used.contains(id)) {
        let Some(part) = message.parts.get(id as usize) else { continue };
        damaged |= part.is_encoding_problem;
        letter.attachments.push(attachment(part, raw, letter.attachments.len() + 1, &shown, &mut letter.remarks));
    }
    damaged |= used.iter().filter_map(|id| message.parts.get(*id as usize)).any(|part| part.is_encoding_problem);
    letter.body = body;
    if damaged {
        letter.remarks.push("parts of the message are damaged; the whole text is attached as original.eml".to_owned());
        letter.attachments.push(Attachment::File(original(raw)));
    }
}

/// The body, and the parts that it stands for: those shown, and their alternatives in another format.
pub(super) fn body(message: &Message<'_>, raw: &[u8]) -> (Body, Vec<u32>) {
    let is_text = |id: &&u32| {
        let part = message.parts.get(**id as usize);
        part.is_some_and(|part| matches!(part.body, PartType::Text(_) | PartType::Html(_)) && !is_calendar(part))
    };
    let html: Vec<u32> = message.html_body.iter().filter(is_text).copied().collect();
    let text: Vec<u32> = message.text_body.iter().filter(is_text).copied().collect();
    let shown = if html.is_empty() { &text } else { &html };
    let parts = || shown.iter().filter_map(|id| message.parts.get(*id as usize));
    let any_html = parts().any(|part| matches!(part.body, PartType::Html(_)));
    let mut body = Body { html: any_html, text: String::new() };
    for part in parts() {
        let text = part_text(part, raw);
        match &part.body {
            PartType::Text(_) if any_html => body.text.push_str(&text_to_html(&text)),
            _ => body.text.push_str(&text),
        }
    }
    let mut used = html;
    used.extend(text);
    (body, used)
}

/// The text of a body part. Line ends are those of mail, and the one that the encoding added at the end is gone.
fn part_text(part: &MessagePart<'_>, raw: &[u8]) -> String {
    let mut text = match &part.body {
        PartType::Text(text) | PartType::Html(text) => match recoded(part, raw, text) {
            Some(better) => better,
            None => text.clone().into_owned(),
        },
        _ => return String::new(),
    };
    if part.encoding != Encoding::Base64 {
        text = with_crlf(text);
        if text.ends_with("\r\n") {
            text.truncate(text.len() - 2);
        }
    }
    text
}

/// A part whose charset is unknown or wrong is read as Western European rather than lost to replacement characters.
fn recoded(part: &MessagePart<'_>, raw: &[u8], text: &str) -> Option<String> {
    if !text.contains('\u{fffd}') {
        return None;
    }
    let bytes = decoded_text(part, raw);
    if std::str::from_utf8(&bytes).is_ok() {
        return None;
    }
    let named = part.content_type().and_then(|kind| kind.attribute("charset"));
    let known = named.is_some_and(|name| charset_decoder(name.as_bytes()).is_some() && !is_utf8(name));
    if known {
        return None;
    }
    charset_decoder(b"windows-1252").map(|decode| decode(&bytes))
}

fn is_utf8(charset: &str) -> bool {
    matches!(charset.to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii")
}

fn with_crlf(text: String) -> String {
    let bare = |text: &str| {
        text.bytes().zip(std::iter::once(b' ').chain(text.bytes())).any(|(b, before)| b == b'\n' && before != b'\r')
    };
    if bare(&text) { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text }
}

fn attachment(
    part: &MessagePart<'_>,
    raw: &Bytes,
    number: usize,
    shown: &dyn Fn(&str) -> bool,
    remarks: &mut Vec<String>,
) -> Attachment {
    let content_id =
        part.content_id().map(|id| id.trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty());
    let disposed_inline = part.content_disposition().is_some_and(|disposition| disposition.is_inline());
    let inline = content_id.as_deref().is_some_and(|id| disposed_inline || shown(id));
    if is_calendar(part) && part.attachment_name().is_none() {
        remarks
            .push("Microsoft lets nobody create an invitation: it is an ordinary message with invite.ics".to_owned());
        let content = Bytes::from(decoded_text(part, raw).into_owned());
        let content_type = "text/calendar".to_owned();
        return Attachment::File(File {
            name: "invite.ics".to_owned(),
            content_type,
            inline: false,
            content_id,
            content,
        });
    }
    if let PartType::Message(message) = &part.body {
        return nested::attachment(message, nested::text(part, message, raw), content_id, remarks);
    }
    let kind = part.content_type();
    let content_type = match kind.map(|kind| (kind.ctype(), kind.subtype())) {
        Some((kind, Some(subtype))) => format!("{kind}/{subtype}"),
        Some((_, None)) | None => "application/octet-stream".to_owned(),
    };
    let name = part.attachment_name().map(clean_name).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("attachment {number}{}", ending(&content_type)));
    Attachment::File(File { name, content_type, inline, content_id, content: content(part, raw) })
}

fn content(part: &MessagePart<'_>, raw: &Bytes) -> Bytes {
    match &part.body {
        PartType::Binary(Cow::Borrowed(bytes)) | PartType::InlineBinary(Cow::Borrowed(bytes)) => raw.slice_ref(bytes),
        PartType::Binary(Cow::Owned(bytes)) | PartType::InlineBinary(Cow::Owned(bytes)) => bytes.clone().into(),
        // The bytes as they were sent, not converted to another charset: a file must keep its content.
        PartType::Text(_) | PartType::Html(_) => decoded_text(part, raw).into_owned().into(),
        PartType::Message(message) => nested::text(part, message, raw),
        PartType::Multipart(_) => Bytes::new(),
    }
}

/// The bytes of a text part before they were read in a charset.
fn decoded_text<'x>(part: &MessagePart<'_>, raw: &'x [u8]) -> Cow<'x, [u8]> {
    let encoded = raw.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
    let decoded = match part.encoding {
        Encoding::Base64 => base64_decode(encoded),
        Encoding::QuotedPrintable => quoted_printable_decode(encoded),
        Encoding::None => None,
    };
    decoded.map_or(Cow::Borrowed(encoded), Cow::Owned)
}

fn is_calendar(part: &MessagePart<'_>) -> bool {
    part.is_content_type("text", "calendar")
}

/// Names are shown to people and become file names on their disks.
pub(super) fn clean_name(name: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c };
    name.trim().chars().take(NAME_CHARS_MAX).map(plain).collect()
}

fn ending(content_type: &str) -> &'static str {
    match content_type {
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        "image/gif" => ".gif",
        "application/pdf" => ".pdf",
        "text/html" => ".html",
        "text/plain" => ".txt",
        "text/calendar" => ".ics",
        _ => "",
    }
}

fn has_mail_headers(message: &Message<'_>) -> bool {
    let wanted = [
        HeaderName::MimeVersion,
        HeaderName::ContentType,
        HeaderName::From,
        HeaderName::To,
        HeaderName::Date,
        HeaderName::MessageId,
    ];
    message.parts.first().is_some_and(|part| part.headers.iter().any(|header| wanted.contains(&header.name)))
}

fn message_ids(value: &HeaderValue<'_>) -> String {
    let ids = value.as_text_list().unwrap_or_default();
    ids.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>().join(" ")
}

fn original(raw: &Bytes) -> File {
    File {
        name: "original.eml".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        inline: false,
        content_id: None,
        content: raw.clone(),
    }
}

/// A text that is no message: shown as it is if it is short and readable, and attached in any case.
fn unreadable(raw: &Bytes) -> Letter {
    let readable =
        std::str::from_utf8(raw).ok().filter(|text| raw.len() <= BARE_TEXT_BYTES_MAX && !text.starts_with("--"));
    let text = readable.unwrap_or("The text of this message could not be read. It is attached as original.eml.");
    Letter {
        body: Body { html: false, text: text.to_owned() },
        attachments: vec![Attachment::File(original(raw))],
        remarks: vec!["the message could not be read as mail; the whole text is attached as original.eml".to_owned()],
        ..Letter::default()
    }
}

fn shrink_body(letter: &mut Letter) {
    let escaped = letter.body.text.bytes().map(|b| if b < b' ' || b == b'"' || b == b'\\' { 2 } else { 1 });
    if escaped.sum::<usize>() <= BODY_JSON_BYTES_MAX {
        return;
    }
    let (name, content_type) = if letter.body.html { ("body.html", "text/html") } else { ("body.txt", "text/plain") };
    let content = Bytes::from(std::mem::take(&mut letter.body.text));
    letter.body.text = format!("The text of this message is too long to be created. It is attached as {name}.");
    letter.remarks.push(format!("the body is larger than Microsoft accepts; it is attached as {name}"));
    let (name, content_type) = (name.to_owned(), content_type.to_owned());
    letter.attachments.push(Attachment::File(File { name, content_type, inline: false, content_id: None, content }));
}

/// How many messages could stand inside this one. Found by the slash, so that long mail is looked through quickly.
fn n_nested(raw: &[u8]) -> usize {
    let types: [(&[u8], &[u8]); 3] = [(b"message", b"rfc822"), (b"message", b"global"), (b"multipart", b"digest")];
    let stands_at = |slash: usize| {
        types.iter().any(|(kind, subtype)| {
            let before = slash.checked_sub(kind.len()).and_then(|start| raw.get(start..slash));
            let after = raw.get(slash + 1..slash + 1 + subtype.len());
            before.is_some_and(|b| b.eq_ignore_ascii_case(kind))
                && after.is_some_and(|a| a.eq_ignore_ascii_case(subtype))
        })
    };
    raw.iter().enumerate().filter(|(at, byte)| **byte == b'/' && stands_at(*at)).count()
}
