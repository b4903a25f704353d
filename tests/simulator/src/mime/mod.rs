//! MIME as Exchange would generate it: made from the stored meaning at every request, the same
//! bytes each time. Categories, flags, read state and extended properties are not in it.

mod charset;
pub mod read;
mod sanitise;

pub use sanitise::without_scripts;

use crate::clock::mail_date;
use crate::dice::hash_text;
use crate::store::message::{
    Attachment, AttachmentContent, Charset, Class, Encoding, Importance, Message, MimeFault, Person,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// What stands in the MIME for an attachment that is a link.
pub const LINK_FILE: &str = "<html><body><a href=\"https://invented.example/shared\">shared file</a></body></html>";

pub fn write(message: &Message) -> Bytes {
    if let Some(raw) = &message.raw_mime {
        return raw.clone();
    }
    let mut out = Vec::with_capacity(2048 + message.body.content.len() * 2);
    write_into(&mut out, message);
    match message.wire.fault {
        Some(MimeFault::BareLineFeeds) => out.retain(|byte| *byte != b'\r'),
        Some(MimeFault::NoHeaders) => {
            if let Some(at) = out.windows(4).position(|four| four == b"\r\n\r\n") {
                out.drain(..at + 4);
            }
        }
        _ => {}
    }
    Bytes::from(out)
}

fn write_into(out: &mut Vec<u8>, message: &Message) {
    write_headers(out, message);
    let signed = message.attachments.iter().find(|a| a.content_type == "multipart/signed");
    if let (true, Some(AttachmentContent::File(entity))) =
        (message.class.name().starts_with("IPM.Note.SMIME"), signed.map(|a| &a.content))
    {
        out.extend_from_slice(&entity.bytes());
        return;
    }
    let boundaries = Boundaries(hash_text(&message.internet_message_id));
    let (inline, attached): (Vec<&Attachment>, Vec<&Attachment>) =
        message.attachments.iter().partition(|a| a.is_inline);
    if attached.is_empty() {
        write_related(out, message, &inline, &boundaries);
        return;
    }
    let boundary = boundaries.named("mixed");
    line(out, &format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n"));
    open(out, &boundary);
    write_related(out, message, &inline, &boundaries);
    for attachment in attached {
        open(out, &boundary);
        write_attachment(out, attachment);
    }
    if message.wire.fault != Some(MimeFault::NoClosingBoundary) {
        line(out, &format!("\r\n--{boundary}--"));
    }
}

struct Boundaries(u64);

impl Boundaries {
    fn named(&self, part: &str) -> String {
        format!("_004_{:016X}{part}_", self.0)
    }
}

fn write_headers(out: &mut Vec<u8>, message: &Message) {
    let wish = message.wire.charset;
    for (name, value) in &message.headers {
        line(out, &format!("{name}: {value}"));
    }
    if let Some(from) = &message.from {
        line(out, &format!("From: {}", mailboxes(std::slice::from_ref(from), wish)));
    }
    if message.sender.is_some() && message.sender != message.from {
        let sender: Vec<Person> = message.sender.iter().cloned().collect();
        line(out, &format!("Sender: {}", mailboxes(&sender, wish)));
    }
    for (name, people) in
        [("To", &message.to), ("CC", &message.cc), ("BCC", &message.bcc), ("Reply-To", &message.reply_to)]
    {
        if !people.is_empty() {
            line(out, &format!("{name}: {}", mailboxes(people, wish)));
        }
    }
    if message.wire.fault == Some(MimeFault::RawBytesInHeader) {
        out.extend_from_slice(b"X-Comment: na\xefve \xff\xfe header\r\n");
    }
    line(out, &format!("Subject: {}", encoded_words(&message.subject, wish)));
    line(out, &format!("Date: {}", mail_date(message.sent)));
    line(out, &format!("Message-ID: {}", message.internet_message_id));
    match message.importance {
        Importance::High => line(out, "Importance: high\r\nX-Priority: 1"),
        Importance::Low => line(out, "Importance: low\r\nX-Priority: 5"),
        Importance::Normal => {}
    }
    line(out, "MIME-Version: 1.0");
}

fn write_related(out: &mut Vec<u8>, message: &Message, inline: &[&Attachment], boundaries: &Boundaries) {
    if inline.is_empty() {
        write_body(out, message, boundaries);
        return;
    }
    let boundary = boundaries.named("related");
    line(out, &format!("Content-Type: multipart/related; boundary=\"{boundary}\"\r\n"));
    open(out, &boundary);
    write_body(out, message, boundaries);
    for attachment in inline {
        open(out, &boundary);
        write_attachment(out, attachment);
    }
    line(out, &format!("\r\n--{boundary}--"));
}

fn write_body(out: &mut Vec<u8>, message: &Message, boundaries: &Boundaries) {
    let calendar = match &message.class {
        Class::MeetingRequest { ics, .. } => Some(ics),
        Class::Note | Class::SmimeSigned | Class::Other(_) => None,
    };
    if !message.body.html && calendar.is_none() {
        write_text(out, message, "plain", &message.body.content);
        return;
    }
    let boundary = boundaries.named("alt");
    line(out, &format!("Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n"));
    open(out, &boundary);
    if message.body.html {
        write_text(out, message, "plain", &without_tags(&message.body.content));
        open(out, &boundary);
        write_text(out, message, "html", &message.body.content);
    } else {
        write_text(out, message, "plain", &message.body.content);
    }
    if let Some(ics) = calendar {
        open(out, &boundary);
        line(out, "Content-Type: text/calendar; charset=\"utf-8\"; method=REQUEST");
        line(out, "Content-Transfer-Encoding: base64\r\n");
        line(out, &base64_lines(ics.as_bytes()));
    }
    line(out, &format!("\r\n--{boundary}--"));
}

fn write_text(out: &mut Vec<u8>, message: &Message, subtype: &str, text: &str) {
    let (bytes, charset) = charset::encode(text, message.wire.charset);
    let label = match message.wire.fault {
        Some(MimeFault::UnknownCharset) => "x-unknown-8bit",
        _ => charset.label(),
    };
    line(out, &format!("Content-Type: text/{subtype}; charset=\"{label}\""));
    match message.wire.encoding {
        Encoding::QuotedPrintable => {
            line(out, "Content-Transfer-Encoding: quoted-printable\r\n");
            line(out, &quoted_printable(&bytes));
        }
        Encoding::Base64 => {
            line(out, "Content-Transfer-Encoding: base64\r\n");
            line(out, &base64_lines(&bytes));
        }
        Encoding::EightBit => {
            line(out, "Content-Transfer-Encoding: 8bit\r\n");
            out.extend_from_slice(&bytes);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_attachment(out: &mut Vec<u8>, attachment: &Attachment) {
    let name = encoded_words(&attachment.name, Charset::Utf8);
    match &attachment.content {
        AttachmentContent::File(blob) => {
            let kind =
                if attachment.content_type.is_empty() { "application/octet-stream" } else { &attachment.content_type };
            let disposition = if attachment.is_inline { "inline" } else { "attachment" };
            line(out, &format!("Content-Type: {kind}; name=\"{name}\""));
            if let Some(id) = &attachment.content_id {
                line(out, &format!("Content-ID: <{id}>"));
            }
            line(out, &format!("Content-Disposition: {disposition}; filename=\"{name}\"; size={}", blob.len()));
            line(out, "Content-Transfer-Encoding: base64\r\n");
            line(out, &base64_lines(&blob.bytes()));
        }
        AttachmentContent::Item(item) => {
            line(out, "Content-Type: message/rfc822");
            line(out, &format!("Content-Disposition: attachment; filename=\"{name}.eml\"\r\n"));
            write_into(out, item);
            line(out, "");
        }
        AttachmentContent::Reference => {
            line(out, &format!("Content-Type: text/html; name=\"{name}.html\""));
            line(out, "Content-Disposition: attachment\r\n");
            line(out, LINK_FILE);
        }
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn open(out: &mut Vec<u8>, boundary: &str) {
    line(out, &format!("\r\n--{boundary}"));
}

fn mailboxes(people: &[Person], wish: Charset) -> String {
    let one = |p: &Person| {
        if p.name.is_empty() {
            return format!("<{}>", p.address);
        }
        let name = if p.name.is_ascii() { format!("\"{}\"", p.name) } else { encoded_words(&p.name, wish) };
        format!("{name} <{}>", p.address)
    };
    people.iter().map(one).collect::<Vec<_>>().join(",\r\n\t")
}

/// RFC 2047, in pieces of at most 40 bytes so that no line grows beyond the limit.
fn encoded_words(text: &str, wish: Charset) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > 30 {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    pieces.push(piece);
    let word = |piece: &String| {
        let (bytes, charset) = charset::encode(piece, wish);
        format!("=?{}?B?{}?=", charset.label(), STANDARD.encode(bytes))
    };
    pieces.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

pub fn base64_lines(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut out = String::with_capacity(encoded.len() + encoded.len() / 38 + 4);
    let mut rest = encoded.as_str();
    while rest.len() > 76 {
        let (head, tail) = rest.split_at(76);
        out.push_str(head);
        out.push_str("\r\n");
        rest = tail;
    }
    out.push_str(rest);
    out
}

pub fn quoted_printable(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    let mut column = 0;
    for byte in bytes {
        if *byte == b'\r' {
            continue;
        }
        if *byte == b'\n' {
            out.push_str("\r\n");
            column = 0;
            continue;
        }
        let plain = (b' '..=b'~').contains(byte) && *byte != b'=';
        if column > 72 {
            out.push_str("=\r\n");
            column = 0;
        }
        if plain {
            out.push(char::from(*byte));
            column += 1;
        } else {
            out.push('=');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
            column += 3;
        }
    }
    out
}

/// What is left of HTML when the tags are gone; how Exchange makes the text part.
pub fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut inside = false;
    for c in html.replace("</p>", "\r\n\r\n").replace("<br>", "\r\n").chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
}
