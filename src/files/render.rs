//! The files that one item becomes.

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::Value;

use super::{calendar, contact, names};
use crate::catalog::{ContentRef, VersionRow};
use crate::features::mailbox::KIND_STREAM;
use crate::features::{self, Piece};
use crate::repository::{Reader, StoreError};

/// Attachments of an event that are put into its file; more stand beside it, as they are stored.
const ATTACHED_BYTES_MAX: u64 = 8 << 20;
/// The same for the photo of a contact.
const PHOTO_BYTES_MAX: u64 = 8 << 20;

/// Whether the properties are wanted, as JSON beside the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Properties {
    #[default]
    LeftOut,
    Beside,
}

/// What an item becomes.
#[derive(Debug, Default)]
pub struct Rendered {
    pub files: Vec<FileOf>,
    /// What the files lack, for people.
    pub remarks: Vec<String>,
    /// Why a part of the item cannot be read, where others can.
    pub unreadable: Option<String>,
}

#[derive(Debug)]
pub struct FileOf {
    /// With its ending; the same every time, and in its folder the only one.
    pub name: String,
    pub media_type: &'static str,
    pub source: Source,
    /// When the item was changed last, or received.
    pub modified: SystemTime,
}

#[derive(Debug)]
pub enum Source {
    Made(Bytes),
    /// As it is stored.
    Stored(ContentRef),
}

/// The files of an item that is no folder. An error is about the storage; what is about this item alone is told in the
/// answer.
pub async fn render(
    reader: &Reader,
    feature: &str,
    row: &VersionRow,
    properties: Properties,
) -> Result<Rendered, StoreError> {
    let mut item = Rendering { row, stem: names::stem(&row.version), rendered: Rendered::default() };
    match feature {
        "calendar" => item.event(reader).await?,
        "contacts" => item.contact(reader).await?,
        // What only Exchange reads.
        "mailbox" if row.version.kind == KIND_STREAM => item.stored("stream", UNKNOWN),
        "mailbox" => item.stored("eml", "message/rfc822"),
        "onedrive" => item.file(),
        _ => item.stored("bin", UNKNOWN),
    }
    // An item without any other form has this one.
    if properties == Properties::Beside || item.rendered.files.is_empty() {
        match reader.read(row.version.properties.pack, row.version.properties.blob).await {
            Ok(json) => item.made("json", "application/json", json),
            Err(err) => item.lack(err)?,
        }
    }
    Ok(item.rendered)
}

const UNKNOWN: &str = "application/octet-stream";

struct Rendering<'a> {
    row: &'a VersionRow,
    stem: String,
    rendered: Rendered,
}

impl Rendering<'_> {
    fn push(&mut self, name: String, media_type: &'static str, source: Source) {
        let modified = self.row.version.time.into();
        self.rendered.files.push(FileOf { name, media_type, source, modified });
    }

    fn made(&mut self, ending: &str, media_type: &'static str, bytes: Bytes) {
        self.push(format!("{}.{ending}", self.stem), media_type, Source::Made(bytes));
    }

    fn stored(&mut self, ending: &str, media_type: &'static str) {
        if let Some(content) = self.row.version.content {
            self.push(format!("{}.{ending}", self.stem), media_type, Source::Stored(content));
        }
    }

    fn file(&mut self) {
        let version = &self.row.version;
        if let Some(content) = version.content {
            let name = names::file_name(&version.name, &version.key.to_string());
            self.push(name, UNKNOWN, Source::Stored(content));
        }
    }

    /// Notes a part that cannot be read; what concerns more than the item is an error.
    fn lack(&mut self, err: StoreError) -> Result<(), StoreError> {
        if !err.is_damage() {
            return Err(err);
        }
        self.rendered.unreadable = Some(err.to_string());
        Ok(())
    }

    async fn event(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let event = match Event::read(reader, self.row).await {
            Ok(event) => event,
            // The attachments are worth having without it.
            Err(err) => {
                self.stored("attachments.eml", "message/rfc822");
                return self.lack(err);
            }
        };
        let text = calendar::file(&event.properties, &event.attached);
        self.made("ics", "text/calendar; charset=utf-8", text.into());
        if let Some(why) = event.left_out {
            self.stored("attachments.eml", "message/rfc822");
            self.rendered.remarks.push(why);
        }
        Ok(())
    }

    async fn contact(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let card = match Card::read(reader, self.row).await {
            Ok(card) => card,
            Err(err) => {
                self.stored("jpg", UNKNOWN);
                return self.lack(err);
            }
        };
        let text = contact::card(&card.properties, card.photo.as_ref());
        self.made("vcf", "text/vcard; charset=utf-8", text.into());
        if let Some(why) = card.left_out {
            self.stored("jpg", UNKNOWN);
            self.rendered.remarks.push(why);
        }
        Ok(())
    }
}

/// An event read back.
pub(super) struct Event {
    pub properties: Value,
    pub attached: Vec<Piece>,
    /// Why its attachments are not here.
    pub left_out: Option<String>,
}

impl Event {
    pub(super) async fn read(reader: &Reader, row: &VersionRow) -> Result<Self, StoreError> {
        let properties = properties(reader, row).await?;
        let Some(content) = row.version.content else {
            return Ok(Self { properties, attached: Vec::new(), left_out: None });
        };
        let bundle = match reader.content(content.pack, content.blob, ATTACHED_BYTES_MAX).await {
            Ok(bundle) => bundle,
            Err(StoreError::TooLarge { bytes, .. }) => {
                let why = format!(
                    "its {} attachments, {bytes} bytes, stand beside it",
                    calendar::attachment_names(&properties).len()
                );
                return Ok(Self { properties, attached: Vec::new(), left_out: Some(why) });
            }
            Err(err) if err.is_damage() => {
                return Ok(Self { properties, attached: Vec::new(), left_out: Some(err.to_string()) });
            }
            Err(err) => return Err(err),
        };
        match features::read_bundle(&bundle) {
            Ok(attached) => Ok(Self { properties, attached, left_out: None }),
            Err(err) => Ok(Self { properties, attached: Vec::new(), left_out: Some(err.to_string()) }),
        }
    }
}

/// A contact read back.
pub(super) struct Card {
    pub properties: Value,
    pub photo: Option<Bytes>,
    /// Why its photo is not here.
    pub left_out: Option<String>,
}

impl Card {
    pub(super) async fn read(reader: &Reader, row: &VersionRow) -> Result<Self, StoreError> {
        let properties = properties(reader, row).await?;
        let Some(content) = row.version.content else { return Ok(Self { properties, photo: None, left_out: None }) };
        match reader.content(content.pack, content.blob, PHOTO_BYTES_MAX).await {
            Ok(photo) => Ok(Self { properties, photo: Some(photo), left_out: None }),
            Err(StoreError::TooLarge { bytes, .. }) => {
                let why = format!("its photo, {bytes} bytes, stands beside it");
                Ok(Self { properties, photo: None, left_out: Some(why) })
            }
            Err(err) if err.is_damage() => Ok(Self { properties, photo: None, left_out: Some(err.to_string()) }),
            Err(err) => Err(err),
        }
    }
}

async fn properties(reader: &Reader, row: &VersionRow) -> Result<Value, StoreError> {
    let json = reader.read(row.version.properties.pack, row.version.properties.blob).await?;
    serde_json::from_slice(&json).map_err(|err| StoreError::Item(format!("the stored properties are not JSON: {err}")))
}
