//! Writing a message as RFC 5322 text: the head from its JSON, then its body and its attachments as parts of one
//! multipart. What is written here is read by mail programs, and by this feature's own restore.
//!
//! Equal input makes equal bytes. Everything but an attached message is base64 in even lines, which the storage can undo
//! and make again to the byte.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::fields::{text, time};
use super::mime::clean_name;
use crate::features::Content;
use crate::features::encoded::EncodedText;
use crate::graph::Body;

/// A longer value of a header is written in encoded words, which can be broken anywhere.
const PLAIN_VALUE_MAX: usize = 900;
/// Bytes of text in one encoded word, which may have 75 signs.
const WORD_BYTES: usize = 42;
const HEADERS_MAX: usize = 500;
const ADDRESSES_MAX: usize = 5_000;

/// Headers that are written from other properties, or that describe the text as it once was.
const NOT_COPIED: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-transfer-encoding",
];

/// What an attachment's part says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub name: String,
    pub content_type: String,
    pub inline: bool,
    pub content_id: Option<String>,
}

/// A message that is being written.
pub(super) struct Composition {
    boundary: String,
    text: EncodedText,
}

impl Composition {
    /// Writes the head and the body. `content` is what `body` and `internetMessageHeaders` say.
    pub(super) fn begin(id: &str, properties: &Value, content: &Value) -> io::Result<Self> {
        // The boundary stands in no line of base64, and no attached message can know it.
        let boundary = format!("=_kodo_{}", blake3::hash(id.as_bytes()).to_hex().split_at(32).0);
        let mut composition = Self { boundary, text: EncodedText::default() };
        composition.text.put(head(properties, &content["internetMessageHeaders"]).as_bytes())?;
        let boundary = &composition.boundary;
        let kind = format!("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n");
        composition.text.put(kind.as_bytes())?;
        let subtype = if text(&content["body"]["contentType"]).eq_ignore_ascii_case("html") { "html" } else { "plain" };
        let about = format!("Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        composition.begin_part(&about)?;
        composition.text.encode(text(&content["body"]["content"]).as_bytes())?;
        Ok(composition)
    }

    /// Adds an attachment behind the others.
    pub(super) fn attach(&mut self, label: &Label, content: Body) -> io::Result<()> {
        let is_message = label.content_type == "message/rfc822";
        self.begin_part(&part_head(label, is_message))?;
        if !is_message {
            return self.text.encode_body(content);
        }
        self.text.put_body(content)?;
        // The boundary must begin a line, whatever an attached message ends with.
        self.text.put(b"\r\n")
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.text.bytes()
    }

    pub(super) fn finish(mut self) -> io::Result<Content> {
        let end = format!("--{}--\r\n", self.boundary);
        self.text.put(end.as_bytes())?;
        self.text.finish()
    }

    fn begin_part(&mut self, about: &str) -> io::Result<()> {
        let begin = format!("--{}\r\n{about}", self.boundary);
        self.text.put(begin.as_bytes())
    }
}

/// The headers, without those that say how the text is built.
fn head(properties: &Value, transport: &Value) -> String {
    let mut head = String::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    // What came with the message on its way, oldest at the bottom as it was.
    for header in transport.as_array().into_iter().flatten().take(HEADERS_MAX) {
        let (name, value) = (text(&header["name"]), text(&header["value"]));
        let lower = name.to_ascii_lowercase();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if is_name && !NOT_COPIED.contains(&lower.as_str()) && !lower.starts_with("content-") {
            put(name, &unstructured(value));
        }
    }
    let from = if properties["from"].is_null() { &properties["sender"] } else { &properties["from"] };
    put("From", &person(from).unwrap_or_default());
    if properties["sender"] != *from {
        put("Sender", &person(&properties["sender"]).unwrap_or_default());
    }
    for (header, name) in
        [("Reply-To", "replyTo"), ("To", "toRecipients"), ("Cc", "ccRecipients"), ("Bcc", "bccRecipients")]
    {
        let all = properties[name].as_array().into_iter().flatten().take(ADDRESSES_MAX);
        put(header, &all.filter_map(person).collect::<Vec<_>>().join(",\r\n "));
    }
    put("Subject", &unstructured(text(&properties["subject"])));
    let times = ["sentDateTime", "receivedDateTime", "createdDateTime"];
    if let Some(sent) = times.iter().find_map(|name| time(&properties[name])) {
        put("Date", &sent.to_rfc2822());
    }
    let id = text(&properties["internetMessageId"]);
    if id.len() <= PLAIN_VALUE_MAX && id.bytes().all(|b| b.is_ascii_graphic()) {
        put("Message-ID", id);
    }
    head
}

/// A name and an address; `None` for who has no internet address. The properties hold everybody.
fn person(recipient: &Value) -> Option<String> {
    let address = text(&recipient["emailAddress"]["address"]);
    let bad = |b: u8| !b.is_ascii_graphic() || matches!(b, b'<' | b'>' | b',' | b';');
    if !address.contains('@') || address.len() > 320 || address.bytes().any(bad) {
        return None;
    }
    let name = without_controls(text(&recipient["emailAddress"]["name"]));
    Some(match name.as_str() {
        "" => format!("<{address}>"),
        name if is_plain(name) => {
            format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        name => format!("{} <{address}>", encoded_words(name)),
    })
}

fn unstructured(value: &str) -> String {
    let value = without_controls(value);
    if is_plain(&value) { value } else { encoded_words(&value) }
}

fn is_plain(value: &str) -> bool {
    value.is_ascii() && value.len() <= PLAIN_VALUE_MAX && !value.contains("=?")
}

/// Nothing in a value may end its header.
fn without_controls(value: &str) -> String {
    let spaced = value.replace("\r\n", "");
    spaced.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// RFC 2047. A word ends between two characters, never within one.
fn encoded_words(value: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= WORD_BYTES).last();
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = behind;
    }
    words.join("\r\n ")
}

fn part_head(label: &Label, is_message: bool) -> String {
    let is_type = label.content_type.split_once('/').is_some_and(|(kind, subtype)| {
        let token =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+._".contains(&b));
        token(kind) && token(subtype) && !matches!(kind, "multipart" | "message")
    });
    let content_type = if is_message || is_type { label.content_type.as_str() } else { "application/octet-stream" };
    let name = clean_name(&label.name);
    let name = if is_plain(&name) { name.replace('"', "'") } else { encoded_words(&name) };
    let disposition = if label.inline { "inline" } else { "attachment" };
    let mut head = format!(
        "Content-Type: {content_type};\r\n name=\"{name}\"\r\n\
         Content-Disposition: {disposition};\r\n filename=\"{name}\"\r\n"
    );
    if let Some(id) = label.content_id.as_deref().filter(|id| id.bytes().all(|b| b.is_ascii_graphic())) {
        head.push_str(&format!("Content-ID: <{}>\r\n", id.trim_matches(['<', '>'])));
    }
    head.push_str(if is_message { "\r\n" } else { "Content-Transfer-Encoding: base64\r\n\r\n" });
    head
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use bytes::Bytes;
    use serde_json::json;

    use super::super::mime::{self, Attachment};
    use super::*;
    use crate::features::encoded::MEMORY_BYTES_MAX;

    fn properties() -> Value {
        let person = |name: &str, address: &str| json!({"emailAddress": {"name": name, "address": address}});
        json!({
            "subject": "Grüße aus Köln,\r\nBcc: x@evil.example", "from": person("Ann \"A\" Müller", "ann@contoso.com"),
            "sender": person("Ann", "/O=EXCHANGE/CN=ann"), "toRecipients": [person("Bob, B.", "bob@contoso.com")],
            "sentDateTime": "2024-02-03T04:05:06Z", "internetMessageId": "<1@contoso.com>",
        })
    }

    fn composed(attachments: &[(Label, &[u8])]) -> Bytes {
        let content = json!({
            "body": {"contentType": "html", "content": "<p>Füße <img src=\"cid:logo\"></p>"},
            "internetMessageHeaders": [
                {"name": "Received", "value": "from a\r\n by b"}, {"name": "Content-Type", "value": "text/plain"},
                {"name": "In-Reply-To", "value": "<0@contoso.com>"}, {"name": "X bad", "value": "y"},
            ],
        });
        let mut composition = Composition::begin("AAMk", &properties(), &content).unwrap();
        for (label, bytes) in attachments {
            composition.attach(label, Body::Memory(Bytes::copy_from_slice(bytes))).unwrap();
        }
        let written = composition.bytes();
        let Content::Mime(text) = composition.finish().unwrap() else { panic!("it is small") };
        assert!(text.len() as u64 > written);
        text
    }

    fn label(name: &str, content_type: &str, content_id: Option<&str>) -> Label {
        Label {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            inline: content_id.is_some(),
            content_id: content_id.map(str::to_owned),
        }
    }

    #[test]
    fn a_composed_message_is_read_back_as_it_was() {
        let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let nested = b"From: c@d.e\r\nSubject: inner\r\nContent-Type: text/plain\r\n\r\ninner text";

        let letter = mime::read(&composed(&[
            (label("Übersicht.bin", "application/octet-stream", None), &noise),
            (label("logo.png", "image/png", Some("logo")), b"png"),
            (label("inner", "message/rfc822", None), nested),
        ]));

        assert!(letter.body.html);
        assert_eq!(letter.body.text, "<p>Füße <img src=\"cid:logo\"></p>");
        assert_eq!(letter.in_reply_to, "<0@contoso.com>");
        let [Attachment::File(file), Attachment::File(logo), Attachment::Message { name, original, .. }] =
            &letter.attachments[..]
        else {
            panic!("{:?}", letter.attachments)
        };
        assert_eq!(
            (file.name.as_str(), file.content.as_ref(), file.inline),
            ("Übersicht.bin", noise.as_slice(), false)
        );
        assert_eq!((logo.content_id.as_deref(), logo.inline), (Some("logo"), true));
        assert_eq!((name.as_str(), original.content.trim_ascii_end()), ("inner", nested.as_slice()));
    }

    #[test]
    fn nothing_in_a_value_ends_its_header() {
        let text = composed(&[]);
        let message = mail_parser::MessageParser::default().parse(text.as_ref()).unwrap();

        assert_eq!(message.subject(), Some("Grüße aus Köln,Bcc: x@evil.example"));
        assert!(message.bcc().is_none());
        let from = message.from().unwrap().first().unwrap();
        assert_eq!((from.name(), from.address()), (Some("Ann \"A\" Müller"), Some("ann@contoso.com")));
        let to = message.to().unwrap().first().unwrap();
        assert_eq!((to.name(), to.address()), (Some("Bob, B."), Some("bob@contoso.com")));
        assert_eq!(message.date().unwrap().to_timestamp(), 1_706_933_106);
        assert_eq!(message.message_id(), Some("1@contoso.com"));
        assert!(text.split(|b| *b == b'\n').all(|line| line.len() <= 999));
    }

    #[test]
    fn equal_input_makes_equal_bytes_in_memory_and_in_a_file() {
        let large = vec![7; MEMORY_BYTES_MAX];
        let write = |content: Body| {
            let mut composition = Composition::begin("AAMk", &properties(), &json!({})).unwrap();
            composition.attach(&label("a", "", None), content).unwrap();
            let Content::Spooled { mut file, bytes } = composition.finish().unwrap() else { panic!("it is large") };
            let mut all = Vec::new();
            file.read_to_end(&mut all).unwrap();
            assert_eq!(all.len() as u64, bytes);
            all
        };
        let mut spooled = tempfile::tempfile().unwrap();
        spooled.write_all(&large).unwrap();
        spooled.seek(SeekFrom::Start(0)).unwrap();

        let from_file = write(Body::Spooled { file: spooled, bytes: large.len() as u64 });

        assert!(from_file == write(Body::Memory(large.into())));
    }
}
