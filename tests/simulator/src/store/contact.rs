//! The contacts of one user and the folders they are in.

use super::message::{Blob, Person};
use super::shelf::Shelf;
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

#[derive(Clone, Debug)]
pub struct Photo {
    pub side: u32,
    pub blob: Blob,
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
