//! Several pieces of content as one: the attachments of an event, an item that has no text of its own.
//!
//! A bundle is a MIME multipart, so that the storage takes it apart like a message: what is attached here and in a mail
//! or lies as a file in OneDrive is stored once. Each piece is base64 in even lines, which the storage can undo and make
//! again to the byte; its header says what it is. Names and ids are percent-encoded, so that nothing in them can end a
//! header, and the boundary has signs that base64 has not. Equal pieces in equal order make equal bytes.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::Content;
use super::encoded::EncodedText;
use crate::graph::Body;

const BOUNDARY: &str = "=_kodo_bundle";
const HEAD: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_kodo_bundle\"\r\n\r\n";

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The Graph id of the item that has it: an event, an exception of one, a message.
    pub owner: String,
    /// The piece's own Graph id.
    pub id: String,
    pub form: Form,
    /// As Graph tells it.
    pub name: String,
    pub content_type: String,
    pub inline: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Its bytes.
    Content,
    /// The JSON that Graph has for it: an attached item has both.
    Json,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Json => "json",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Content, Self::Json].into_iter().find(|form| form.name() == name)
    }
}

/// A bundle that is being written.
#[derive(Debug, Default)]
pub struct Bundle(EncodedText);

/// A piece that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub label: Label,
    pub content: Bytes,
}

/// Bytes that are no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bundle cannot be read: {0}")]
pub struct BundleError(&'static str);

impl Bundle {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.bytes() == 0
    }

    /// Adds a piece behind the others.
    pub fn add(&mut self, label: &Label, content: Body) -> io::Result<()> {
        if self.is_empty() {
            self.0.put(HEAD.as_bytes())?;
        }
        self.0.put(head_of(label).as_bytes())?;
        self.0.encode_body(content)
    }

    /// The whole bundle; `None` when nothing was added.
    pub fn finish(mut self) -> io::Result<Option<Content>> {
        if self.is_empty() {
            return Ok(None);
        }
        self.0.put(format!("--{BOUNDARY}--\r\n").as_bytes())?;
        self.0.finish().map(Some)
    }
}

fn head_of(label: &Label) -> String {
    let Label { owner, id, form, name, content_type, inline } = label;
    let (owner, id, name) = (encoded(owner), encoded(id), encoded(name));
    let place = if *inline { "inline" } else { "attachment" };
    format!(
        "--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: {place}; filename*=UTF-8''{name}\r\nX-Kodo-Owner: {owner}\r\nX-Kodo-Id: {id}\r\n\
         X-Kodo-Form: {}\r\nX-Kodo-Type: {}\r\n\r\n",
        media_type(content_type),
        form.name(),
        encoded(content_type),
    )
}

/// What other programs are told: a multipart or a message cannot be base64, and what is no media type says nothing.
fn media_type(content_type: &str) -> &str {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b));
    match content_type.split_once('/') {
        Some((kind, rest))
            if plain(kind) && plain(rest) && !matches!(&*kind.to_ascii_lowercase(), "multipart" | "message") =>
        {
            content_type
        }
        Some(_) | None => "application/octet-stream",
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Takes a bundle apart again.
pub fn read_bundle(bundle: &[u8]) -> Result<Vec<Piece>, BundleError> {
    let text = std::str::from_utf8(bundle).map_err(|_| BundleError("it is not text"))?;
    let end = format!("--{BOUNDARY}--\r\n");
    let body = text.strip_prefix(HEAD).ok_or(BundleError("it begins otherwise"))?;
    let body = body.strip_suffix(end.as_str()).ok_or(BundleError("its end is missing"))?;
    let delimiter = format!("--{BOUNDARY}\r\n");
    let mut parts = body.split(delimiter.as_str());
    if parts.next() != Some("") {
        return Err(BundleError("something is before its first piece"));
    }
    parts.map(piece).collect()
}

fn piece(part: &str) -> Result<Piece, BundleError> {
    let (head, lines) = part.split_once("\r\n\r\n").ok_or(BundleError("a piece has no header"))?;
    let field = |name: &str| {
        let line = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.ok_or(BundleError("a piece lacks a header"))
    };
    let text = |name: &str| field(name).and_then(|value| decoded(value).ok_or(BundleError("a header is not encoded")));
    let disposition = field("Content-Disposition")?;
    let (place, name) = disposition.split_once("; filename*=UTF-8''").ok_or(BundleError("a piece has no name"))?;
    let label = Label {
        owner: text("X-Kodo-Owner")?,
        id: text("X-Kodo-Id")?,
        form: Form::of(field("X-Kodo-Form")?).ok_or(BundleError("a piece has an unknown form"))?,
        name: decoded(name).ok_or(BundleError("a name is not encoded"))?,
        content_type: text("X-Kodo-Type")?,
        inline: place == "inline",
    };
    let digits: String = lines.split("\r\n").collect();
    let content = STANDARD.decode(digits).map_err(|_| BundleError("a piece is not base64"))?;
    Ok(Piece { label, content: content.into() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::*;
    use crate::features::encoded::LINE_BYTES;

    fn label(name: &str) -> Label {
        Label {
            owner: "AAMk/+=".into(),
            id: "a 1".into(),
            form: Form::Content,
            name: name.into(),
            content_type: "application/pdf".into(),
            inline: false,
        }
    }

    fn bundle(pieces: &[Piece]) -> Option<Content> {
        let mut bundle = Bundle::new();
        for piece in pieces {
            bundle.add(&piece.label, Body::Memory(piece.content.clone())).unwrap();
        }
        bundle.finish().unwrap()
    }

    fn in_memory(content: Content) -> Bytes {
        let Content::Mime(bytes) = content else { panic!("it is small") };
        bytes
    }

    #[test]
    fn a_bundle_of_nothing_is_no_content() {
        assert!(bundle(&[]).is_none());
    }

    #[test]
    fn other_programs_read_a_bundle_as_a_message_with_attachments() {
        let content = Bytes::from((0..5000_u32).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>());
        let pieces = [Piece { label: label("Überblick 1.pdf"), content: content.clone() }];

        let text = in_memory(bundle(&pieces).unwrap());

        let message = MessageParser::default().parse(&text[..]).unwrap();
        let attachment = message.attachment(0).unwrap();
        assert_eq!(attachment.contents(), &content[..]);
        assert_eq!(attachment.attachment_name(), Some("Überblick 1.pdf"));
        assert!(attachment.is_content_type("application", "pdf"));
        // The storage undoes base64 only in lines of one width.
        let lines: Vec<&str> = std::str::from_utf8(&text).unwrap().split("\r\n").collect();
        assert_eq!(lines.iter().filter(|line| line.len() == 76).count(), 5000 / LINE_BYTES);
    }

    #[test]
    fn a_long_bundle_goes_to_a_file_and_is_the_same() {
        let content = Bytes::from((0..6_u32 << 20).map(|n| (n / 3 % 253) as u8).collect::<Vec<_>>());
        let mut spooled = tempfile::tempfile().unwrap();
        spooled.write_all(&content).unwrap();
        spooled.seek(SeekFrom::Start(0)).unwrap();
        let body = Body::Spooled { file: spooled, bytes: content.len() as u64 };
        let mut writing = Bundle::new();
        writing.add(&label("small"), Body::Memory(Bytes::from_static(b"x"))).unwrap();
        writing.add(&label("large"), body).unwrap();

        let Some(Content::Spooled { mut file, bytes }) = writing.finish().unwrap() else { panic!("it is long") };

        let mut whole = Vec::new();
        file.read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, bytes);
        let pieces = read_bundle(&whole).unwrap();
        assert_eq!(pieces[0].content, "x");
        assert!(pieces[1].label.name == "large" && pieces[1].content == content);
    }

    #[test]
    fn what_is_no_media_type_is_not_told_as_one() {
        for odd in ["message/rfc822", "multipart/mixed", "", "text", "text/plain\r\nX: y", "a b/c", "text/x; y=z"] {
            assert_eq!(media_type(odd), "application/octet-stream", "{odd}");
        }
        assert_eq!(media_type("image/svg+xml"), "image/svg+xml");
    }

    #[test]
    fn a_damaged_bundle_is_an_error() {
        let text = in_memory(bundle(&[Piece { label: label("a"), content: Bytes::from_static(b"abc") }]).unwrap());

        for end in 0..text.len() {
            assert!(read_bundle(&text[..end]).is_err(), "{end}");
        }
    }

    fn any_piece() -> impl Strategy<Value = Piece> {
        let content = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            Just(b"--=_kodo_bundle\r\n\r\n--=_kodo_bundle--\r\n".to_vec()),
        ];
        let words = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
        (words, any::<bool>(), any::<bool>(), content).prop_map(
            |((owner, id, name, content_type), inline, json, bytes)| {
                let form = if json { Form::Json } else { Form::Content };
                let label = Label { owner, id, form, name, content_type, inline };
                Piece { label, content: bytes.into() }
            },
        )
    }

    proptest! {
        #[test]
        fn any_pieces_come_back(pieces in prop::collection::vec(any_piece(), 1..6)) {
            let text = in_memory(bundle(&pieces).unwrap());

            prop_assert_eq!(read_bundle(&text).unwrap(), pieces);
        }
    }
}
