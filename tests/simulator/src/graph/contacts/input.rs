//! Reads the JSON of a contact that a client sends, and refuses what Exchange refuses.

use super::super::Call;
use super::super::extended::is_property_id;
use crate::clock::parse_iso;
use crate::reply::Refusal;
use crate::store::contact::{Address, Contact, TEXTS};
use crate::store::message::Person;
use serde_json::{Map, Value};

const READ_ONLY: [&str; 5] = ["id", "changeKey", "parentFolderId", "createdDateTime", "lastModifiedDateTime"];
/// They follow from `emailAddresses`.
const DERIVED: [&str; 3] = ["primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress"];
/// How many values a property has room for.
const ROOM: [(&str, usize); 4] = [("businessPhones", 2), ("homePhones", 2), ("imAddresses", 3), ("children", 100)];
const EMAILS_MAX: usize = 3;
const TEXT_CHARS_MAX: usize = 255;
/// Notes and addresses of pages are longer than names.
const LONG: [(&str, usize); 2] = [("personalNotes", 1_000_000), ("businessHomePage", 2_048)];
/// What a display name is made of when nobody says what it is to be.
const NAMES: [&str; 3] = ["givenName", "middleName", "surname"];

pub fn apply(call: &Call, contact: &mut Contact, body: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, value) in body {
        let annotation = name.contains("@odata.") && name != "@odata.type";
        if READ_ONLY.contains(&name.as_str()) || annotation {
            call.violation("read_only_property", format!("'{name}' in the body of a contact"));
            return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
        }
        if DERIVED.contains(&name.as_str()) {
            call.violation("property_without_effect", format!("'{name}' follows from emailAddresses"));
            continue;
        }
        set(contact, name, value)?;
    }
    // A later change of a part of the name makes the whole anew, unless it is sent along.
    if !body.contains_key("displayName") && NAMES.iter().any(|name| body.contains_key(*name)) {
        let parts: Vec<&str> = NAMES.iter().map(|name| contact.text(name)).filter(|part| !part.is_empty()).collect();
        let whole = parts.join(" ");
        contact.texts.insert("displayName", whole);
    }
    Ok(())
}

fn set(contact: &mut Contact, name: &str, value: &Value) -> Result<(), Refusal> {
    let wrong = || wrong_value(name);
    if let Some(text) = TEXTS.iter().find(|text| **text == name) {
        return set_text(contact, text, value);
    }
    if let Some((_, room)) = ROOM.iter().find(|(list, _)| *list == name) {
        let all = strings(value).ok_or_else(wrong)?;
        if all.len() > *room {
            return Err(too_many(name, *room));
        }
        match name {
            "businessPhones" => contact.business_phones = all,
            "homePhones" => contact.home_phones = all,
            "imAddresses" => contact.im_addresses = all,
            _ => contact.children = all,
        }
        return Ok(());
    }
    match name {
        "@odata.type" if value == "#microsoft.graph.contact" => {}
        "@odata.type" => return Err(Refusal::bad_request("Only microsoft.graph.contact can be created.")),
        "categories" => contact.categories = strings(value).ok_or_else(wrong)?,
        "birthday" if value.is_null() => contact.birthday = None,
        "birthday" => contact.birthday = Some(value.as_str().and_then(parse_iso).ok_or_else(wrong)?),
        "emailAddresses" => contact.emails = emails(value)?,
        "homeAddress" => contact.home_address = address(value).ok_or_else(wrong)?,
        "businessAddress" => contact.business_address = address(value).ok_or_else(wrong)?,
        "otherAddress" => contact.other_address = address(value).ok_or_else(wrong)?,
        "singleValueExtendedProperties" => set_properties(contact, value)?,
        _ => {
            let text = format!("The property '{name}' does not exist on type 'microsoft.graph.contact'.");
            return Err(Refusal::new(400, "RequestBodyRead", &text));
        }
    }
    Ok(())
}

fn set_text(contact: &mut Contact, name: &'static str, value: &Value) -> Result<(), Refusal> {
    let Some(text) = value.as_str() else {
        contact.texts.remove(name);
        return if value.is_null() { Ok(()) } else { Err(wrong_value(name)) };
    };
    let max = LONG.iter().find(|(long, _)| *long == name).map_or(TEXT_CHARS_MAX, |(_, max)| *max);
    if text.chars().count() > max {
        let text = format!("The property '{name}' is longer than {max} characters.");
        return Err(Refusal::new(400, "ErrorPropertyValidationFailure", &text));
    }
    contact.texts.insert(name, text.to_owned());
    Ok(())
}

fn emails(value: &Value) -> Result<Vec<Person>, Refusal> {
    let all = value.as_array().ok_or_else(|| wrong_value("emailAddresses"))?;
    if all.len() > EMAILS_MAX {
        return Err(too_many("emailAddresses", EMAILS_MAX));
    }
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    Ok(all.iter().map(|one| Person { name: text(one, "name"), address: text(one, "address") }).collect())
}

fn address(value: &Value) -> Option<Address> {
    if value.is_null() {
        return Some(Address::default());
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    value.is_object().then(|| Address {
        street: text("street"),
        city: text("city"),
        state: text("state"),
        country: text("countryOrRegion"),
        postal_code: text("postalCode"),
    })
}

fn set_properties(contact: &mut Contact, value: &Value) -> Result<(), Refusal> {
    let wrong = || Refusal::new(400, "ErrorInvalidProperty", "Extended properties need an id and a value.");
    for one in value.as_array().ok_or_else(wrong)? {
        let (Some(id), Some(value)) = (one["id"].as_str(), one["value"].as_str()) else {
            return Err(wrong());
        };
        if !is_property_id(id) {
            let text = format!("'{id}' is not the id of an extended property.");
            return Err(Refusal::new(400, "ErrorInvalidExtendedProperty", &text));
        }
        if !fits(id.split(' ').next().unwrap_or_default(), value) {
            let text = format!("The value of '{id}' does not have the type that its id says.");
            return Err(Refusal::new(400, "ErrorInvalidExtendedPropertyValue", &text));
        }
        contact.set_property(id, value);
    }
    Ok(())
}

fn fits(kind: &str, value: &str) -> bool {
    match kind.to_ascii_lowercase().as_str() {
        "integer" => value.parse::<i32>().is_ok(),
        "long" => value.parse::<i64>().is_ok(),
        "boolean" => ["true", "false"].contains(&value.to_ascii_lowercase().as_str()),
        "systemtime" => parse_iso(value).is_some(),
        _ => true,
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

fn too_many(name: &str, room: usize) -> Refusal {
    let text = format!("The property '{name}' has room for {room} values.");
    Refusal::new(400, "ErrorPropertyValidationFailure", &text)
}

fn wrong_value(name: &str) -> Refusal {
    let text = format!("Cannot read the value of the property '{name}'.");
    Refusal::new(400, "RequestBodyRead", &text)
}
