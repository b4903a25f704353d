//! What lies in a drive: folders, files with their older versions, notebooks, shortcuts.

use super::content::Content;
use crate::store::message::Person;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Item {
    pub number: u64,
    /// 0 for the root.
    pub parent: u64,
    pub name: String,
    pub kind: Kind,
    /// When the file was made and changed, as the client that sent it says.
    pub created: i64,
    pub modified: i64,
    /// When the service took note of the last change.
    pub touched: i64,
    pub author: Person,
    pub editor: Person,
    pub description: Option<String>,
    pub permissions: Vec<Permission>,
    /// Raised by every change; the number in the eTag.
    pub revision: u64,
    /// Of a folder: of everything below.
    pub size: u64,
    /// Somebody has it open: it can be read, and nobody can write to it.
    pub locked: bool,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Folder {
        special: Option<&'static str>,
    },
    File(File),
    /// A OneNote notebook: a package to the drive, a folder to those who look in.
    Notebook,
    Shortcut(Pointer),
}

#[derive(Clone, Debug)]
pub struct File {
    pub mime: String,
    pub content: Arc<Content>,
    pub version: u32,
    /// Oldest first, without the current one.
    pub older: Vec<Version>,
    /// The name of the find, of a file with a virus.
    pub malware: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Version {
    pub number: u32,
    pub at: i64,
    pub by: Person,
    pub content: Arc<Content>,
}

/// Where in another drive a shortcut leads.
#[derive(Clone, Debug)]
pub struct Pointer {
    pub drive: String,
    pub item: String,
    pub owner: Person,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    pub grant: Grant,
    pub may_write: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    Person(Person),
    /// `anonymous` or `organization`.
    Link {
        scope: &'static str,
    },
}

impl Item {
    pub fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. } | Kind::Notebook)
    }

    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) => Some(file),
            Kind::Folder { .. } | Kind::Notebook | Kind::Shortcut(_) => None,
        }
    }
}

impl File {
    pub fn new(mime: &str, content: Arc<Content>) -> Self {
        Self { mime: mime.to_owned(), content, version: 1, older: Vec::new(), malware: None }
    }

    /// Parts of a notebook cannot be downloaded, whoever asks.
    pub fn is_note(&self) -> bool {
        self.mime == super::NOTE_MIME
    }
}
