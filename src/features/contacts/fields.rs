//! Reading a contact as Graph writes it. Pure.

use serde_json::{Value, json};

use super::KIND_CONTACT;
use crate::features::exchange::{STATE, instant, text};
use crate::features::words::Words;
use crate::features::{Change, ContactsOptions, FeatureOptions, RemoteItem, Summary, change_tag};

/// What a walk asks for.
pub(super) const OUTLINE: &str = "id,changeKey";

/// An entry of a walk.
pub(super) fn read(entry: Value, options: &FeatureOptions) -> Option<Change> {
    let properties = entry["changeKey"].as_str().map(|key| json!({ STATE: state(key, &options.contacts) }));
    Some(Change::Present(RemoteItem { id: entry["id"].as_str()?.to_owned(), properties }))
}

/// A contact captured without its photo is another than the same with it: when the policy changes, it is read again.
fn state(change_key: &str, options: &ContactsOptions) -> String {
    if options.photos { change_key.to_owned() } else { format!("{change_key} without a photo") }
}

/// The columns for browse and search.
pub(super) fn summary(contact: &Value, options: &ContactsOptions) -> Summary {
    let names = ["displayName", "fileAs", "companyName"];
    let addresses = contact["emailAddresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut addresses = addresses.iter().map(|email| text(&email["address"]));
    Summary {
        kind: KIND_CONTACT,
        flags: 0,
        change_tag: change_tag(&state(text(&contact["changeKey"]), options)),
        name: names
            .iter()
            .map(|name| text(&contact[name]))
            .find(|name| !name.is_empty())
            .unwrap_or_default()
            .to_owned(),
        party: addresses.find(|address| !address.is_empty()).unwrap_or_default().to_owned(),
        time: instant(&contact["lastModifiedDateTime"])
            .or_else(|| instant(&contact["createdDateTime"]))
            .unwrap_or_default(),
        parent: None,
        words: words(contact),
    }
}

/// What is searched of a contact besides its columns.
fn words(contact: &Value) -> String {
    let mut words = Words::default();
    for name in ["displayName", "fileAs", "companyName", "nickName", "jobTitle", "department", "mobilePhone"] {
        words.text(text(&contact[name]));
    }
    for email in contact["emailAddresses"].as_array().into_iter().flatten() {
        words.text(text(&email["address"])).text(text(&email["name"]));
    }
    for phones in ["businessPhones", "homePhones"] {
        for phone in contact[phones].as_array().into_iter().flatten() {
            words.text(text(phone));
        }
    }
    words.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{KnownVersion, Need, exchange};

    const WITHOUT: ContactsOptions = ContactsOptions { photos: false };
    const WITH: ContactsOptions = ContactsOptions { photos: true };

    #[test]
    fn a_contact_is_shown_by_its_name_and_first_address() {
        let contact = json!({
            "changeKey": "k", "displayName": "", "fileAs": "Muster, Eva", "lastModifiedDateTime": "2024-02-03T04:05:06Z",
            "emailAddresses": [{"name": "", "address": null}, {"name": "Eva", "address": "eva@example.com"}],
        });

        let summary = summary(&contact, &WITH);

        assert_eq!((summary.name.as_str(), summary.party.as_str()), ("Muster, Eva", "eva@example.com"));
        assert_eq!(summary.time.to_rfc3339(), "2024-02-03T04:05:06+00:00");
        assert_eq!((summary.kind, summary.change_tag), (KIND_CONTACT, change_tag("k")));
    }

    #[test]
    fn a_contact_is_read_again_when_photos_are_wanted_now() {
        let contact = json!({"id": "c", "changeKey": "k"});
        let need = |captured_with: &ContactsOptions, walked_with: ContactsOptions| {
            let tag = summary(&contact, captured_with).change_tag;
            let known = KnownVersion { change_tag: tag, flags: 0, has_content: false };
            let options = FeatureOptions { contacts: walked_with, ..FeatureOptions::default() };
            let Some(Change::Present(item)) = read(contact.clone(), &options) else { panic!("it is present") };
            exchange::need(&item, Some(&known))
        };

        assert_eq!(need(&WITH, WITH), Need::Nothing);
        assert_eq!(need(&WITHOUT, WITHOUT), Need::Nothing);
        assert_eq!(need(&WITHOUT, WITH), Need::Everything);
        assert_eq!(need(&WITH, WITHOUT), Need::Everything);
    }
}
