//! The contacts of one user and the folders they are in.

use super::message::{Blob, Person};
use super::shelf::Shelf;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Every mailbox has this folder; no list of folders shows it.
pub const DEFAULT_FOLDER: u32 = 1;
pub const DEFAULT_NAME: &str = "Contacts";

/// The properties that are plain text.
pub const TEXTS: [&str; 23] = [
    "assistantName",
    "businessHomePage",
    "companyName",
    "department",
    "displayName",
    "fileAs",
    "generation",
    "givenName",
    "initials",
    "jobTitle",
    "manager",
    "middleName",
    "mobilePhone",
    "nickName",
    "officeLocation",
    "personalNotes",
    "profession",
    "spouseName",
    "surname",
    "title",
    "yomiCompanyName",
    "yomiGivenName",
    "yomiSurname",
];

#[derive(Clone, Debug)]
pub struct ContactFolder {
    pub name: String,
}

#[derive(Clone, Debug, Default)]
pub struct Contact {
    /// Values of `TEXTS`.
    pub texts: BTreeMap<&'static str, String>,
    /// Exchange keeps three of them.
    pub emails: Vec<Person>,
    pub business_phones: Vec<String>,
    pub home_phones: Vec<String>,
    pub im_addresses: Vec<String>,
    pub children: Vec<String>,
    pub home_address: Address,
    pub business_address: Address,
    pub other_address: Address,
    pub birthday: Option<i64>,
    pub categories: Vec<String>,
    pub photo: Option<Photo>,
    pub created: i64,
    pub modified: i64,
    /// Single-value extended properties.
    pub properties: Vec<(String, String)>,
}

impl Contact {
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    pub fn set_property(&mut self, id: &str, value: &str) {
        self.properties.retain(|(have, _)| !have.eq_ignore_ascii_case(id));
        self.properties.push((id.to_owned(), value.to_owned()));
    }

    pub fn property(&self, id: &str) -> Option<&str> {
        let held = self.properties.iter().find(|(have, _)| have.eq_ignore_ascii_case(id));
        held.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub struct Photo {
    pub side: u32,
    pub blob: Blob,
}

/// How a JPEG begins.
const JPEG: [u8; 4] = [0xFF, 0xD8, 0xFF, 0xE0];

impl Photo {
    /// As a client sent it; what was invented begins like a picture.
    pub fn bytes(&self) -> Bytes {
        match &self.blob {
            Blob::Held(bytes) => bytes.clone(),
            Blob::Made { .. } => {
                let mut bytes = self.blob.bytes().to_vec();
                bytes.iter_mut().zip(JPEG).for_each(|(byte, of_jpeg)| *byte = of_jpeg);
                Bytes::from(bytes)
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Address {
    pub street: String,
    pub city: String,
    pub state: String,
    pub country: String,
    pub postal_code: String,
}

pub type Contacts = Shelf<ContactFolder, Contact>;

pub fn new_contacts(guid: String) -> Contacts {
    let mut shelf = Shelf::new(guid);
    shelf.add_container(0, ContactFolder { name: DEFAULT_NAME.to_owned() });
    shelf
}

impl Contacts {
    /// Names from the top, joined by `/`. The default folder is above all others.
    pub fn path(&self, id: u32) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(folder) = self.container(at) {
            names.push(folder.info.name.replace('/', "\\/"));
            at = folder.parent;
        }
        names.reverse();
        names.join("/")
    }

    pub fn by_path(&self, path: &str) -> Option<u32> {
        self.containers().map(|folder| folder.id).find(|id| self.path(*id) == path)
    }
}
