//! The JSON of a contact and of a contact folder.

use super::super::odata::Query;
use super::super::view::held_properties;
use crate::clock::iso;
use crate::request::Prefer;
use crate::store::contact::{Address, Contact, ContactFolder, Contacts, TEXTS};
use crate::store::folder::TOP;
use crate::store::ids::{self, Name, What};
use crate::store::message::Person;
use crate::store::shelf::{Container, Entry};
use serde_json::{Map, Value, json};

pub const FOLDER_PROPERTIES: [&str; 3] = ["id", "displayName", "parentFolderId"];

/// Besides those that are plain text.
const OTHERS: [&str; 18] = [
    "id",
    "changeKey",
    "createdDateTime",
    "lastModifiedDateTime",
    "categories",
    "parentFolderId",
    "birthday",
    "emailAddresses",
    "primaryEmailAddress",
    "secondaryEmailAddress",
    "tertiaryEmailAddress",
    "imAddresses",
    "children",
    "homePhones",
    "businessPhones",
    "homeAddress",
    "businessAddress",
    "otherAddress",
];

pub fn contact_properties() -> Vec<&'static str> {
    OTHERS.iter().chain(TEXTS.iter()).copied().collect()
}

pub fn folder_id(guid: &str, folder: u32) -> String {
    Name::fixed(What::ContactFolder, folder).write(guid)
}

pub fn contact_name(prefer: &Prefer, item: u64, incarnation: u32) -> Name {
    Name { what: What::Contact, kind: prefer.kind(), item, incarnation, number: 0, day: 0 }
}

pub fn folder_json(
    contacts: &Contacts,
    folder: &Container<ContactFolder, Contact>,
    query: &Query,
) -> Map<String, Value> {
    let guid = &contacts.guid;
    // Those at the top are beside the default folder, below the top of the store.
    let parent = match folder.parent {
        0 => ids::folder_id(guid, TOP),
        parent => folder_id(guid, parent),
    };
    let mut out = Map::new();
    out.insert("id".into(), json!(folder_id(guid, folder.id)));
    for (name, value) in [("parentFolderId", json!(parent)), ("displayName", json!(folder.info.name))] {
        if query.wants(name) {
            out.insert(name.into(), value);
        }
    }
    out
}

/// All that the query selects and expands.
pub fn contact_json(guid: &str, entry: &Entry<Contact>, prefer: &Prefer, query: &Query) -> Map<String, Value> {
    let c = &entry.content;
    let key = ids::change_key(entry.item, entry.change);
    let email = |index: usize| c.emails.get(index).map_or(Value::Null, person);
    let mut out = Map::new();
    out.insert("@odata.etag".into(), json!(format!("W/\"{key}\"")));
    out.insert("id".into(), json!(contact_name(prefer, entry.item, entry.incarnation).write(guid)));
    let mut all = vec![
        ("createdDateTime", json!(iso(c.created))),
        ("lastModifiedDateTime", json!(iso(c.modified))),
        ("changeKey", json!(key)),
        ("categories", json!(c.categories)),
        ("parentFolderId", json!(folder_id(guid, entry.container))),
        ("birthday", c.birthday.map_or(Value::Null, |at| json!(iso(at)))),
        ("emailAddresses", c.emails.iter().map(person).collect()),
        ("primaryEmailAddress", email(0)),
        ("secondaryEmailAddress", email(1)),
        ("tertiaryEmailAddress", email(2)),
        ("imAddresses", json!(c.im_addresses)),
        ("children", json!(c.children)),
        ("homePhones", json!(c.home_phones)),
        ("businessPhones", json!(c.business_phones)),
        ("homeAddress", address(&c.home_address)),
        ("businessAddress", address(&c.business_address)),
        ("otherAddress", address(&c.other_address)),
    ];
    all.extend(TEXTS.iter().map(|name| (*name, c.texts.get(name).map_or(Value::Null, |text| json!(text)))));
    out.extend(all.into_iter().filter(|(name, _)| query.wants(name)).map(|(name, value)| (name.to_owned(), value)));
    let found = held_properties(&c.properties, &query.expand.properties);
    if !found.is_empty() {
        out.insert("singleValueExtendedProperties".into(), json!(found));
    }
    out
}

fn person(p: &Person) -> Value {
    json!({"name": p.name, "address": p.address})
}

/// Only what is filled in; an empty address is an empty object.
fn address(a: &Address) -> Value {
    let all = [
        ("street", &a.street),
        ("city", &a.city),
        ("state", &a.state),
        ("countryOrRegion", &a.country),
        ("postalCode", &a.postal_code),
    ];
    let filled = all.into_iter().filter(|(_, text)| !text.is_empty());
    Value::Object(filled.map(|(name, text)| (name.to_owned(), json!(text))).collect())
}
