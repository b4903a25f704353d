//! Ids and keys that look like Exchange's: long, base64, case-sensitive, and unreadable to a
//! client that tries to be clever. A checksum makes a changed letter an unknown id.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Which of the two id kinds a request asked for with `Prefer: IdType="ImmutableId"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    Mutable,
    Immutable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Folder(u32),
    Item { kind: IdKind, item: u64, incarnation: u32 },
    Attachment { kind: IdKind, item: u64, incarnation: u32, number: u32 },
}

/// What a name of a calendar, an event or a contact is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub what: What,
    pub kind: IdKind,
    pub item: u64,
    pub incarnation: u32,
    /// Of an attachment, else 0.
    pub number: u32,
    /// Days since the common era of the original start of an occurrence, else 0.
    pub day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Calendar,
    CalendarGroup,
    Event,
    EventAttachment,
    ContactFolder,
    Contact,
    Rule,
}

impl What {
    const ALL: [Self; 7] = [
        Self::Calendar,
        Self::CalendarGroup,
        Self::Event,
        Self::EventAttachment,
        Self::ContactFolder,
        Self::Contact,
        Self::Rule,
    ];

    fn tag(self) -> u8 {
        match self {
            Self::Calendar => 2,
            Self::CalendarGroup => 3,
            Self::ContactFolder => 4,
            Self::Event => 10,
            Self::Contact => 11,
            Self::Rule => 12,
            Self::EventAttachment => 19,
        }
    }
}

impl Name {
    /// Of a thing that is never moved, so that both id kinds are one.
    pub fn fixed(what: What, number: u32) -> Self {
        Self { what, kind: IdKind::Mutable, item: number.into(), incarnation: 0, number: 0, day: 0 }
    }

    pub fn write(&self, mailbox: &str) -> String {
        let incarnation = lasting(self.kind, self.incarnation);
        encode_with_day(mailbox, self.what.tag(), self.kind, self.item, incarnation, self.number, self.day)
    }

    pub fn read(mailbox: &str, text: &str) -> Option<Self> {
        let raw = open(mailbox, text)?;
        let what = What::ALL.into_iter().find(|what| what.tag() == raw[40])?;
        Some(Self {
            what,
            kind: kind_of(&raw),
            item: item_of(&raw),
            incarnation: number_at(&raw, 49),
            number: number_at(&raw, 53),
            day: number_at(&raw, DAY_AT),
        })
    }
}

const TAG_FOLDER: u8 = 1;
const TAG_ITEM: u8 = 9;
const TAG_ATTACHMENT: u8 = 18;
const RAW_LEN: usize = 110;
const DAY_AT: usize = 92;

pub fn folder_id(mailbox: &str, folder: u32) -> String {
    encode(mailbox, TAG_FOLDER, IdKind::Mutable, u64::from(folder), 0, 0)
}

pub fn item_id(mailbox: &str, kind: IdKind, item: u64, incarnation: u32) -> String {
    encode(mailbox, TAG_ITEM, kind, item, lasting(kind, incarnation), 0)
}

pub fn attachment_id(mailbox: &str, kind: IdKind, item: u64, incarnation: u32, number: u32) -> String {
    encode(mailbox, TAG_ATTACHMENT, kind, item, lasting(kind, incarnation), number)
}

pub fn decode(mailbox: &str, text: &str) -> Option<Id> {
    let raw = open(mailbox, text)?;
    let (kind, item) = (kind_of(&raw), item_of(&raw));
    match raw[40] {
        TAG_FOLDER => Some(Id::Folder(item as u32)),
        TAG_ITEM => Some(Id::Item { kind, item, incarnation: number_at(&raw, 49) }),
        TAG_ATTACHMENT => {
            Some(Id::Attachment { kind, item, incarnation: number_at(&raw, 49), number: number_at(&raw, 53) })
        }
        _ => None,
    }
}

/// The bytes of an id that this mailbox handed out.
fn open(mailbox: &str, text: &str) -> Option<Vec<u8>> {
    let raw = URL_SAFE.decode(text).ok()?;
    let ours = raw.len() == RAW_LEN
        && checksum(&raw[..RAW_LEN - 8]) == raw[RAW_LEN - 8..]
        && &raw[4..40] == mailbox.as_bytes();
    ours.then_some(raw)
}

fn kind_of(raw: &[u8]) -> IdKind {
    if raw[1] == 3 { IdKind::Mutable } else { IdKind::Immutable }
}

fn item_of(raw: &[u8]) -> u64 {
    (u64::from(number_at(raw, 41)) << 32) | u64::from(number_at(raw, 45))
}

fn number_at(raw: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

/// The change key: new with every change of the item.
pub fn change_key(item: u64, change: u64) -> String {
    let mut raw = [0u8; 20];
    raw[0] = 9;
    raw[4] = 0x16;
    raw[8..16].copy_from_slice(&crate::dice::hash(&[item, change]).to_be_bytes());
    raw[16..].copy_from_slice(&(change as u32).to_be_bytes());
    STANDARD.encode(raw)
}

pub fn conversation_id(conversation: u64) -> String {
    let mut raw = [0u8; 44];
    raw[1] = 1;
    raw[4..12].copy_from_slice(&conversation.to_be_bytes());
    raw[12..20].copy_from_slice(&crate::dice::hash(&[conversation, 7]).to_be_bytes());
    URL_SAFE.encode(raw)
}

pub fn conversation_index(conversation: u64) -> String {
    let mut raw = [0u8; 22];
    raw[0] = 1;
    raw[6..14].copy_from_slice(&conversation.to_be_bytes());
    STANDARD.encode(raw)
}

fn lasting(kind: IdKind, incarnation: u32) -> u32 {
    match kind {
        IdKind::Mutable => incarnation,
        IdKind::Immutable => 0,
    }
}

fn encode(mailbox: &str, tag: u8, kind: IdKind, item: u64, incarnation: u32, number: u32) -> String {
    encode_with_day(mailbox, tag, kind, item, incarnation, number, 0)
}

fn encode_with_day(mailbox: &str, tag: u8, kind: IdKind, item: u64, incarnation: u32, number: u32, day: u32) -> String {
    let mut raw = [0u8; RAW_LEN];
    raw[..4].copy_from_slice(match kind {
        IdKind::Mutable => &[0x00, 0x03, 0x24, 0x00],
        IdKind::Immutable => &[0x00, 0x09, 0x00, 0x2c],
    });
    raw[4..40].copy_from_slice(mailbox.as_bytes());
    raw[40] = tag;
    raw[41..49].copy_from_slice(&item.to_be_bytes());
    raw[49..53].copy_from_slice(&incarnation.to_be_bytes());
    raw[53..57].copy_from_slice(&number.to_be_bytes());
    let noise = blake3::hash(&raw[..57]);
    raw[60..92].copy_from_slice(noise.as_bytes());
    raw[DAY_AT..DAY_AT + 4].copy_from_slice(&day.to_be_bytes());
    let sum = checksum(&raw[..RAW_LEN - 8]);
    raw[RAW_LEN - 8..].copy_from_slice(&sum);
    URL_SAFE.encode(raw)
}

fn checksum(raw: &[u8]) -> [u8; 8] {
    let digest = blake3::hash(raw);
    let mut out = [0u8; 8];
    out.copy_from_slice(&digest.as_bytes()[..8]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: &str = "6a7e3d52-0001-4a4a-8e1c-2b9b3f6c1d00";

    #[test]
    fn an_id_reads_back_and_one_changed_letter_does_not() {
        let id = item_id(BOX, IdKind::Mutable, 77, 3);
        assert!(id.ends_with('='));
        assert_eq!(decode(BOX, &id), Some(Id::Item { kind: IdKind::Mutable, item: 77, incarnation: 3 }));
        assert_eq!(decode(BOX, &id.to_lowercase()), None);
    }
}
