//! What of a contact can be brought back, and the JSON that does so. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::marker::Marker;
use crate::features::exchange::{instant, text};
use crate::features::{Identity, change_tag, marking};
use crate::ids::ItemKey;

const TEXTS: [&str; 23] = [
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
const LISTS: [&str; 5] = ["businessPhones", "homePhones", "imAddresses", "children", "categories"];
const ADDRESSES: [&str; 3] = ["businessAddress", "homeAddress", "otherAddress"];
const ADDRESS_PARTS: [&str; 5] = ["street", "city", "state", "countryOrRegion", "postalCode"];
/// Exchange makes it anew from the parts of the name unless it is sent along.
const DISPLAY_NAME: &str = "displayName";
/// Exchange has room for so many.
const EMAILS_MAX: usize = 3;
/// What Exchange takes of any text without a second thought.
const SAFE_TEXT_CHARS: usize = 255;
const NOTES: &str = "personalNotes";

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Full,
    /// Without what Microsoft may refuse: a second try with it is better than no contact.
    Bare,
}

/// All that a restore brings back of a contact, each thing in one form only; what is empty is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub fields: BTreeMap<&'static str, Value>,
    /// Extended properties: what identifies them, in lower case, with their own spelling and their value.
    pub extended: BTreeMap<String, (String, String)>,
}

impl Person {
    pub(super) fn of(contact: &Value) -> Self {
        let mut fields = BTreeMap::new();
        for name in TEXTS {
            let held = text(&contact[name]);
            fields.insert(name, if held.is_empty() { Value::Null } else { json!(held) });
        }
        for name in LISTS {
            let held = contact[name].as_array().into_iter().flatten().map(text).filter(|one| !one.is_empty());
            fields.insert(name, held.collect());
        }
        for name in ADDRESSES {
            fields.insert(name, address(&contact[name]));
        }
        fields.insert("birthday", contact["birthday"].clone());
        fields.insert("emailAddresses", emails(&contact["emailAddresses"]));
        Self { fields, extended: extended(contact) }
    }
}

fn address(held: &Value) -> Value {
    let part = |name: &str| (name.to_owned(), held[name].clone());
    let filled = ADDRESS_PARTS.map(part).into_iter().filter(|(_, value)| !text(value).is_empty());
    let filled: Map<String, Value> = filled.collect();
    if filled.is_empty() { Value::Null } else { Value::Object(filled) }
}

/// Exchange tells three of them even where fewer are filled in.
fn emails(held: &Value) -> Value {
    let all = held.as_array().into_iter().flatten();
    let filled = all.filter(|email| !text(&email["address"]).is_empty() || !text(&email["name"]).is_empty());
    filled.map(|email| json!({ "name": text(&email["name"]), "address": text(&email["address"]) })).collect()
}

fn extended(contact: &Value) -> BTreeMap<String, (String, String)> {
    let all = contact["singleValueExtendedProperties"].as_array().into_iter().flatten();
    let filled = all.filter_map(|one| Some((one["id"].as_str()?, one["value"].as_str()?)));
    filled
        .filter(|(id, value)| !value.is_empty() && !id.eq_ignore_ascii_case(marking::PROPERTY))
        .map(|(id, value)| (id.to_ascii_lowercase(), (id.to_owned(), value.to_owned())))
        .collect()
}

/// What tells a contact from others, and one state of it from another. Its photo is not among it: whoever has one is
/// compared when it comes to it.
pub(super) fn identity(contact: &Value, has_photo: bool) -> Identity {
    Identity {
        natural_key: natural_key(contact),
        change_tag: contact["changeKey"].as_str().map(change_tag),
        state: (!has_photo).then(|| state(contact)),
        modified: instant(&contact["lastModifiedDateTime"]),
    }
}

fn state(contact: &Value) -> u64 {
    let person = Person::of(contact);
    let extended: BTreeMap<&String, &String> = person.extended.iter().map(|(id, (_, value))| (id, value)).collect();
    change_tag(&json!([person.fields, extended]).to_string())
}

/// Address and name, or either of them.
fn natural_key(contact: &Value) -> Option<ItemKey> {
    let emails = emails(&contact["emailAddresses"]);
    let email = text(&emails[0]["address"]).trim().to_lowercase();
    let names = ["displayName", "fileAs", "companyName"];
    let name = names.iter().map(|name| text(&contact[name]).trim()).find(|name| !name.is_empty());
    let name = name.unwrap_or_default().to_lowercase();
    (!email.is_empty() || !name.is_empty()).then(|| ItemKey::of(&format!("{email}\n{name}")))
}

/// The body of the creating request, and what could not be taken over.
pub(super) fn creation(original: &Value, marker: &Marker, detail: Detail) -> (Value, Vec<String>) {
    let person = Person::of(original);
    let mut remarks = Vec::new();
    let mut body: Map<String, Value> = person
        .fields
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let mut properties = vec![marker.property()];
    match detail {
        Detail::Full => {
            properties.extend(person.extended.values().map(|(id, value)| json!({ "id": id, "value": value })));
        }
        Detail::Bare => {
            if !person.extended.is_empty() {
                remarks
                    .push("fields that Graph has no name for are left out: Microsoft refused the contact".to_owned());
            }
            remarks.extend(shorten(&mut body));
        }
    }
    body.insert("singleValueExtendedProperties".to_owned(), Value::Array(properties));
    (Value::Object(body), remarks)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Down to what Exchange is known to have room for.
fn shorten(body: &mut Map<String, Value>) -> Vec<String> {
    let mut remarks = Vec::new();
    for (name, value) in body.iter_mut() {
        let before = value.clone();
        match value {
            Value::String(long) if name != NOTES => {
                *long = long.chars().take(SAFE_TEXT_CHARS).collect();
            }
            Value::Array(emails) if name == "emailAddresses" => {
                emails.retain(|email| text(&email["address"]).contains('@'));
                emails.truncate(EMAILS_MAX);
            }
            Value::Array(phones) if name.ends_with("Phones") => phones.truncate(2),
            Value::Array(addresses) if name == "imAddresses" => addresses.truncate(3),
            _ => {}
        }
        if *value != before {
            remarks.push(format!("{name} is shortened: Microsoft refused the whole"));
        }
    }
    remarks
}

/// What makes `current` as the backup has it, and what could not be taken over; `None`: it is so already.
pub(super) fn update(original: &Value, current: &Value) -> (Option<Value>, Vec<String>) {
    let (wanted, held) = (Person::of(original), Person::of(current));
    let mut remarks = Vec::new();
    let mut body: Map<String, Value> = Map::new();
    for (name, value) in wanted.fields.iter().filter(|(name, value)| held.fields.get(*name) != Some(*value)) {
        let value = if ADDRESSES.contains(name) { whole_address(value) } else { value.clone() };
        body.insert((*name).to_owned(), value);
    }
    let mut properties = Vec::new();
    for (key, (id, value)) in &wanted.extended {
        if held.extended.get(key).is_none_or(|(_, held)| held != value) {
            properties.push(json!({ "id": id, "value": value }));
        }
    }
    for (id, _) in held.extended.iter().filter(|(key, _)| !wanted.extended.contains_key(*key)).map(|(_, held)| held) {
        if id.to_ascii_lowercase().starts_with("string ") {
            properties.push(json!({ "id": id, "value": "" }));
        } else {
            remarks.push(format!("{id} stays: nobody can clear a field that is no text"));
        }
    }
    if !properties.is_empty() {
        body.insert("singleValueExtendedProperties".to_owned(), Value::Array(properties));
    }
    if body.is_empty() {
        return (None, remarks);
    }
    body.entry(DISPLAY_NAME).or_insert_with(|| wanted.fields[DISPLAY_NAME].clone());
    (Some(Value::Object(body)), remarks)
}

/// What an address lacks is cleared part by part.
fn whole_address(value: &Value) -> Value {
    ADDRESS_PARTS.iter().map(|part| ((*part).to_owned(), value[part].clone())).collect::<Map<_, _>>().into()
}

/// Sets the mark, and leaves the name as it is.
pub(super) fn marking(original: &Value, marker: &Marker) -> Value {
    let mut body = json!({ "singleValueExtendedProperties": [marker.property()] });
    if !text(&original[DISPLAY_NAME]).is_empty() {
        body[DISPLAY_NAME] = original[DISPLAY_NAME].clone();
    }
    body
}

/// The media type of a photo, by how it begins.
pub fn picture_type(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        _ => "image/jpeg",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eva() -> Value {
        json!({
            "id": "AAMk", "changeKey": "k", "parentFolderId": "f", "createdDateTime": "2020-01-01T00:00:00Z",
            "lastModifiedDateTime": "2024-02-03T04:05:06Z", "displayName": "Eva Muster", "surname": "Muster",
            "emailAddresses": [{"name": "Eva", "address": "Eva@Example.com"}, {"name": "", "address": null}],
            "primaryEmailAddress": {"name": "Eva", "address": "Eva@Example.com"}, "businessPhones": ["1"],
            "homeAddress": {"city": "Wien", "street": ""}, "otherAddress": {}, "birthday": null,
            "singleValueExtendedProperties": [{"id": "String 0x3A02", "value": "2"}, {"id": "Integer 0x36", "value": "1"}],
        })
    }

    fn marker() -> Marker {
        Marker { key: ItemKey::of("AAMk"), is_partial: true }
    }

    #[test]
    fn a_contact_is_created_with_all_that_is_filled_in_and_nothing_that_is_read_only() {
        let (body, remarks) = creation(&eva(), &marker(), Detail::Full);

        assert_eq!(remarks, [] as [&str; 0]);
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        let filled = [
            "businessPhones",
            "displayName",
            "emailAddresses",
            "homeAddress",
            "singleValueExtendedProperties",
            "surname",
        ];
        assert_eq!(names, filled);
        assert_eq!(body["emailAddresses"], json!([{"name": "Eva", "address": "Eva@Example.com"}]));
        assert_eq!(Marker::of(&body), Some(marker()));
        assert_eq!(body["singleValueExtendedProperties"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_second_try_leaves_out_what_may_be_refused_and_says_so() {
        let mut long = eva();
        long["jobTitle"] = json!("x".repeat(400));
        long["emailAddresses"] = json!([{"name": "x", "address": "/o=old"}, {"name": "y", "address": "y@b.example"}]);

        let (body, remarks) = creation(&long, &marker(), Detail::Bare);

        assert_eq!(body["jobTitle"].as_str().unwrap().len(), SAFE_TEXT_CHARS);
        assert_eq!(body["emailAddresses"].as_array().unwrap().len(), 1);
        assert_eq!(body["singleValueExtendedProperties"], json!([marker().property()]));
        assert_eq!(remarks.len(), 3, "{remarks:?}");
    }

    #[test]
    fn an_update_says_what_differs_clears_what_the_backup_lacks_and_keeps_the_name() {
        let mut now = eva();
        now["surname"] = json!("Meier");
        now["jobTitle"] = json!("Pilot");
        now["homeAddress"] = json!({"city": "Graz", "postalCode": "8010"});
        now["singleValueExtendedProperties"] = json!([{"id": "String 0x3a1b", "value": "9"}, {"id": "Integer 0x36", "value": "1"}, {"id": "Boolean 0x1", "value": "true"}]);

        let (body, remarks) = update(&eva(), &now);

        let body = body.unwrap();
        assert_eq!((&body["surname"], &body["jobTitle"]), (&json!("Muster"), &Value::Null));
        assert_eq!(body["displayName"], "Eva Muster");
        assert_eq!(body["homeAddress"]["city"], "Wien");
        assert_eq!(body["homeAddress"]["postalCode"], Value::Null);
        let properties = json!([{"id": "String 0x3A02", "value": "2"}, {"id": "String 0x3a1b", "value": ""}]);
        assert_eq!(body["singleValueExtendedProperties"], properties);
        assert!(body.get("businessPhones").is_none());
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert_eq!(update(&eva(), &eva()), (None, Vec::new()));
    }

    #[test]
    fn contacts_are_the_same_by_address_and_name_and_in_one_state_whatever_their_ids() {
        let mut other = eva();
        (other["id"], other["changeKey"]) = (json!("BBMk"), json!("other"));
        other["displayName"] = json!("EVA MUSTER");
        other["emailAddresses"][0]["address"] = json!("eva@example.com");
        let mut marked = eva();
        marked["singleValueExtendedProperties"].as_array_mut().unwrap().push(marker().property());

        let (ours, theirs) = (identity(&eva(), false), identity(&other, false));

        assert_eq!(ours.natural_key, theirs.natural_key);
        assert_ne!(ours.state, theirs.state);
        assert_eq!(ours.state, identity(&marked, false).state, "the mark is no difference");
        assert_eq!(identity(&eva(), true).state, None, "nobody knows the photo of the other");
        assert_eq!(identity(&json!({}), false).natural_key, None);
    }

    #[test]
    fn a_picture_is_known_by_how_it_begins() {
        assert_eq!(picture_type(b"\x89PNG\r\n"), "image/png");
        assert_eq!(picture_type(&[0xFF, 0xD8, 0xFF]), "image/jpeg");
    }
}
