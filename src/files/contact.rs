//! A contact as vCard 3.0 (RFC 2426), the version that most programs read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::json::{instant, text, texts};
use super::lines::{Lines, escaped};
use crate::features::contacts::picture_type;

/// Telephones that Graph has no name for, by the id of their property.
const MORE_PHONES: [(&str, &str); 14] = [
    ("0x3A02", "MSG"),
    ("0x3A1A", "PREF"),
    ("0x3A1B", "WORK"),
    ("0x3A1D", "VOICE"),
    ("0x3A1E", "CAR"),
    ("0x3A1F", "VOICE"),
    ("0x3A21", "PAGER"),
    ("0x3A23", "FAX"),
    ("0x3A24", "WORK,FAX"),
    ("0x3A25", "HOME,FAX"),
    ("0x3A2D", "ISDN"),
    ("0x3A2E", "WORK"),
    ("0x3A2F", "HOME"),
    ("0x3A57", "WORK"),
];
/// Further properties that Graph has no name for.
const MORE_TEXTS: [(&str, &str); 5] = [
    ("0x3A0D", "X-LOCATION"),
    ("0x3A43", "X-HOBBIES"),
    ("0x3A47", "X-REFERRED-BY"),
    ("0x3A4C", "X-FTP-SITE"),
    ("0x3A0C", "X-LANGUAGE"),
];
const ANNIVERSARY: &str = "0x3A41";

pub fn card(contact: &Value, photo: Option<&Bytes>) -> String {
    let mut out = Lines::default();
    out.raw("BEGIN", "VCARD");
    out.raw("VERSION", "3.0");
    out.raw("PRODID", "-//KODO//Export//EN");
    out.text_if_any("UID", text(&contact["id"]));
    names(contact, &mut out);
    work(contact, &mut out);
    reach(contact, &mut out);
    more(contact, &mut out);
    if let Some(photo) = photo {
        out.with(
            "PHOTO",
            &[("ENCODING", "b"), ("TYPE", &picture(photo).to_ascii_uppercase())],
            &STANDARD.encode(photo),
        );
    }
    if let Some(time) = instant(&contact["lastModifiedDateTime"]) {
        out.raw("REV", &time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    out.raw("END", "VCARD");
    out.into_text()
}

/// Parts of one value, each of which may have anything in it.
fn structured(parts: &[&str]) -> String {
    parts.iter().map(|part| escaped(part)).collect::<Vec<_>>().join(";")
}

fn names(contact: &Value, out: &mut Lines) {
    let of = |name: &str| text(&contact[name]);
    let parts = ["surname", "givenName", "middleName", "title", "generation"].map(of);
    out.raw("N", &structured(&parts));
    let first_address = contact["emailAddresses"].as_array().and_then(|all| all.first()).map(|one| &one["address"]);
    let called = [of("displayName"), of("fileAs"), of("companyName"), first_address.map(text).unwrap_or_default()];
    out.text("FN", called.into_iter().find(|name| !name.trim().is_empty()).unwrap_or("-"));
    out.text_if_any("NICKNAME", of("nickName"));
    out.text_if_any("X-INITIALS", of("initials"));
    out.text_if_any("SORT-STRING", of("fileAs"));
    out.text_if_any("X-PHONETIC-FIRST-NAME", of("yomiGivenName"));
    out.text_if_any("X-PHONETIC-LAST-NAME", of("yomiSurname"));
    out.text_if_any("X-PHONETIC-ORG", of("yomiCompanyName"));
}

fn work(contact: &Value, out: &mut Lines) {
    let of = |name: &str| text(&contact[name]);
    let organization = [of("companyName"), of("department"), of("officeLocation")];
    if organization.iter().any(|part| !part.is_empty()) {
        out.raw("ORG", structured(&organization).trim_end_matches(';'));
    }
    out.text_if_any("TITLE", of("jobTitle"));
    out.text_if_any("ROLE", of("profession"));
    out.text_if_any("X-MANAGER", of("manager"));
    out.text_if_any("X-ASSISTANT", of("assistantName"));
    out.text_if_any("X-SPOUSE", of("spouseName"));
    for child in texts(&contact["children"]) {
        out.text("X-CHILD", child);
    }
    out.text_if_any("URL", of("businessHomePage"));
}

fn reach(contact: &Value, out: &mut Lines) {
    let mut phones: Vec<(&str, &str)> = Vec::new();
    phones.extend(texts(&contact["businessPhones"]).into_iter().map(|number| ("WORK,VOICE", number)));
    phones.extend(texts(&contact["homePhones"]).into_iter().map(|number| ("HOME,VOICE", number)));
    phones.push(("CELL", text(&contact["mobilePhone"])));
    phones.extend(MORE_PHONES.into_iter().map(|(id, kind)| (kind, extended(contact, id))));
    for (kind, number) in phones.into_iter().filter(|(_, number)| !number.trim().is_empty()) {
        typed("TEL", kind, number, out);
    }
    for email in contact["emailAddresses"].as_array().into_iter().flatten() {
        let address = text(&email["address"]);
        if !address.is_empty() {
            out.with("EMAIL", &[("TYPE", "INTERNET"), ("X-NAME", text(&email["name"]))], &escaped(address));
        }
    }
    for address in texts(&contact["imAddresses"]) {
        out.text("IMPP", address);
    }
    for (name, kind) in [("businessAddress", "WORK"), ("homeAddress", "HOME"), ("otherAddress", "POSTAL")] {
        let of = |part: &str| text(&contact[name][part]);
        let parts = ["", "", of("street"), of("city"), of("state"), of("postalCode"), of("countryOrRegion")];
        if parts.iter().any(|part| !part.is_empty()) {
            out.with("ADR", &[("TYPE", kind)], &structured(&parts));
        }
    }
}

/// Several types of one thing are several parameters: within one, the comma would be quoted.
fn typed(name: &str, kinds: &str, value: &str, out: &mut Lines) {
    let parameters: Vec<(&str, &str)> = kinds.split(',').map(|kind| ("TYPE", kind)).collect();
    out.with(name, &parameters, &escaped(value));
}

fn more(contact: &Value, out: &mut Lines) {
    let categories: Vec<String> = texts(&contact["categories"]).into_iter().map(escaped).collect();
    if !categories.is_empty() {
        out.raw("CATEGORIES", &categories.join(","));
    }
    let day = |value: &str| value.get(..10).filter(|day| day.parse::<chrono::NaiveDate>().is_ok()).map(str::to_owned);
    if let Some(birthday) = day(text(&contact["birthday"])) {
        out.raw("BDAY", &birthday);
    }
    if let Some(anniversary) = day(extended(contact, ANNIVERSARY)) {
        out.raw("X-ANNIVERSARY", &anniversary);
    }
    for (id, name) in MORE_TEXTS {
        out.text_if_any(name, extended(contact, id));
    }
    out.text_if_any("NOTE", text(&contact["personalNotes"]));
}

/// A property that Graph tells by its id alone, such as `String 0x3A1F`.
fn extended<'a>(contact: &'a Value, id: &str) -> &'a str {
    let all = contact["singleValueExtendedProperties"].as_array().into_iter().flatten();
    let is_it = |property: &&Value| text(&property["id"]).to_ascii_lowercase().ends_with(&id.to_ascii_lowercase());
    all.into_iter().find(is_it).map(|property| text(&property["value"])).unwrap_or_default()
}

/// What kind of picture it is, in small letters.
fn picture(bytes: &[u8]) -> &'static str {
    picture_type(bytes).trim_start_matches("image/")
}

/// The ending of the file of a photo.
pub fn picture_ending(bytes: &[u8]) -> &'static str {
    match picture(bytes) {
        "jpeg" => "jpg",
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contact_is_a_card_with_all_that_it_has() {
        let contact = json!({
            "id": "c", "displayName": "Eva Muster", "givenName": "Eva", "surname": "Muster; geb. X",
            "companyName": "Contoso", "department": "R,D", "businessPhones": ["+49 1"], "mobilePhone": "+49 2",
            "emailAddresses": [{"name": "Eva", "address": "eva@example.com"}], "categories": ["A,B", "C"],
            "homeAddress": {"street": "Weg 1\nHinterhaus", "city": "Bonn", "postalCode": "53111"},
            "birthday": "1980-02-29T11:59:00Z", "personalNotes": "Line 1\r\nLine 2",
            "singleValueExtendedProperties": [{"id": "String 0x3a24", "value": "+49 3"}],
        });

        let card = card(&contact, Some(&Bytes::from_static(b"\x89PNG....")));

        for line in [
            "N:Muster\\; geb. X;Eva;;;",
            "FN:Eva Muster",
            "ORG:Contoso;R\\,D",
            "TEL;TYPE=WORK;TYPE=VOICE:+49 1",
            "TEL;TYPE=CELL:+49 2",
            "TEL;TYPE=WORK;TYPE=FAX:+49 3",
            "EMAIL;TYPE=INTERNET;X-NAME=Eva:eva@example.com",
            "ADR;TYPE=HOME:;;Weg 1\\nHinterhaus;Bonn;;53111;",
            "CATEGORIES:A\\,B,C",
            "BDAY:1980-02-29",
            "NOTE:Line 1\\nLine 2",
            "PHOTO;ENCODING=b;TYPE=PNG:iVBORy4uLi4=",
        ] {
            assert!(card.contains(&format!("\r\n{line}\r\n")), "{line} is not in {card}");
        }
    }

    #[test]
    fn a_contact_of_nothing_still_has_the_names_that_a_card_must_have() {
        let card = card(&json!({}), None);

        assert!(card.contains("\r\nN:;;;;\r\nFN:-\r\n"), "{card}");
    }
}
