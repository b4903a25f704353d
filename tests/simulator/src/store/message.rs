//! What the mailbox holds of a message: its meaning, never its wire form. MIME and JSON are
//! both made from this when somebody asks.

use crate::dice::Dice;
use bytes::Bytes;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub address: String,
}

#[derive(Clone, Debug, Default)]
pub struct Message {
    pub subject: String,
    pub body: Body,
    pub from: Option<Person>,
    pub sender: Option<Person>,
    pub to: Vec<Person>,
    pub cc: Vec<Person>,
    pub bcc: Vec<Person>,
    pub reply_to: Vec<Person>,
    pub internet_message_id: String,
    pub sent: i64,
    pub received: i64,
    pub created: i64,
    pub modified: i64,
    pub is_read: bool,
    pub is_draft: bool,
    pub flag: Flag,
    pub categories: Vec<String>,
    pub importance: Importance,
    pub read_receipt: bool,
    pub delivery_receipt: bool,
    pub other_inbox: bool,
    pub conversation: u64,
    /// Transport headers and `x-` headers, in order; differ from mailbox to mailbox.
    pub headers: Vec<(String, String)>,
    pub attachments: Vec<Attachment>,
    pub next_attachment: u32,
    /// Single-value extended properties as the client named them.
    pub properties: Vec<(String, String)>,
    pub class: Class,
    pub wire: Wire,
    /// Set when the message came in as MIME: Exchange would convert, we keep what we were given.
    pub raw_mime: Option<Bytes>,
}

#[derive(Clone, Debug, Default)]
pub struct Body {
    pub html: bool,
    pub content: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Importance {
    Low,
    #[default]
    Normal,
    High,
}

impl Importance {
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "low" => Some(Self::Low),
            "normal" => Some(Self::Normal),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flag {
    pub status: FlagStatus,
    pub start: Option<String>,
    pub due: Option<String>,
    pub completed: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlagStatus {
    #[default]
    NotFlagged,
    Flagged,
    Complete,
}

impl FlagStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFlagged => "notFlagged",
            Self::Flagged => "flagged",
            Self::Complete => "complete",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Class {
    #[default]
    Note,
    SmimeSigned,
    /// Carries the iCalendar text.
    MeetingRequest {
        start: i64,
        end: i64,
        location: String,
        ics: String,
    },
    /// A message class that a client set by `String 0x001A`.
    Other(String),
}

impl Class {
    pub fn name(&self) -> &str {
        match self {
            Self::Note => "IPM.Note",
            Self::SmimeSigned => "IPM.Note.SMIME.MultipartSigned",
            Self::MeetingRequest { .. } => "IPM.Schedule.Meeting.Request",
            Self::Other(name) => name,
        }
    }
}

/// How the MIME of this message is written; a freshly created one is plain UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    pub encoding: Encoding,
    pub charset: Charset,
    pub fault: Option<MimeFault>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    QuotedPrintable,
    Base64,
    EightBit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    #[default]
    Utf8,
    Latin1,
    Windows1252,
    Koi8R,
    Iso2022Jp,
}

/// Real mailboxes hold mail that no parser likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MimeFault {
    NoClosingBoundary,
    RawBytesInHeader,
    BareLineFeeds,
    UnknownCharset,
    NoHeaders,
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub number: u32,
    pub name: String,
    pub content_type: String,
    pub is_inline: bool,
    pub content_id: Option<String>,
    pub modified: i64,
    pub content: AttachmentContent,
}

#[derive(Clone, Debug)]
pub enum AttachmentContent {
    File(Blob),
    Item(Box<Message>),
    Reference,
}

impl Attachment {
    pub fn size(&self) -> usize {
        match &self.content {
            AttachmentContent::File(blob) => blob.len(),
            AttachmentContent::Item(item) => item.body.content.len() + 600,
            AttachmentContent::Reference => 382,
        }
    }

    pub fn odata_type(&self) -> &'static str {
        match self.content {
            AttachmentContent::File(_) => "#microsoft.graph.fileAttachment",
            AttachmentContent::Item(_) => "#microsoft.graph.itemAttachment",
            AttachmentContent::Reference => "#microsoft.graph.referenceAttachment",
        }
    }
}

/// File content: held when a client sent it, computed from a seed when we invented it.
#[derive(Clone, Debug)]
pub enum Blob {
    Held(Bytes),
    Made { seed: u64, len: usize, text: bool },
}

impl Blob {
    pub fn len(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::Made { len, .. } => *len,
        }
    }

    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Held(bytes) => bytes.clone(),
            Self::Made { seed, len, text } => make_blob(*seed, *len, *text),
        }
    }
}

fn make_blob(seed: u64, len: usize, text: bool) -> Bytes {
    const WORDS: [&str; 8] = ["ledger", "quarter", "site", "invoice", "plan", "review", "total", "draft"];
    let mut dice = Dice::new(seed);
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        if text {
            out.extend_from_slice(dice.pick(&WORDS).as_bytes());
            out.extend_from_slice(if dice.percent(12) { b"\r\n" } else { b", " });
        } else {
            out.extend_from_slice(&dice.next_u64().to_le_bytes());
        }
    }
    out.truncate(len);
    Bytes::from(out)
}

impl Message {
    /// As Graph reports it: inline attachments do not count.
    pub fn has_attachments(&self) -> bool {
        self.attachments.iter().any(|a| !a.is_inline)
    }

    pub fn attach(&mut self, mut attachment: Attachment) -> u32 {
        self.next_attachment += 1;
        attachment.number = self.next_attachment;
        self.attachments.push(attachment);
        self.next_attachment
    }

    pub fn set_property(&mut self, id: &str, value: &str) {
        let same = |have: &str| have.eq_ignore_ascii_case(id);
        self.properties.retain(|(have, _)| !same(have));
        self.properties.push((id.to_owned(), value.to_owned()));
    }
}
