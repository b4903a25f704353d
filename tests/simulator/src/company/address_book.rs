//! The contacts of one user, in folders as people make them.

use super::{World, text};
use crate::dice::{Dice, hash};
use crate::store::contact::{Address, Contact, ContactFolder, Contacts, DEFAULT_FOLDER, Photo};
use crate::store::message::{Blob, Charset, Person};

const MADE: i64 = 1_760_000_000;
const BORN: i64 = 86_400 * 365;

/// Fills the contacts of a user; a third of them has a photo.
pub fn furnish(world: &World, salt: u64, contacts: &mut Contacts, count: usize) {
    if count == 0 {
        return;
    }
    let mut folder = |parent, name: &str| contacts.add_container(parent, ContactFolder { name: name.to_owned() });
    let suppliers = folder(0, "Suppliers");
    let freight = folder(suppliers, "Freight");
    let overseas = folder(freight, "Overseas/Air");
    let private = folder(0, "Privat & Familie");
    folder(DEFAULT_FOLDER, "Old");
    let folders = [DEFAULT_FOLDER, suppliers, DEFAULT_FOLDER, freight, DEFAULT_FOLDER, overseas, private];
    for number in 0..count {
        let mut dice = Dice::of(&[world.seed, 120, salt, number as u64]);
        contacts.add(folders[number % folders.len()], make(world, &mut dice, number as u64));
    }
}

pub fn make(world: &World, dice: &mut Dice, number: u64) -> Contact {
    let (given, surname) = (dice.word(&text::GIVEN), dice.word(&text::SURNAMES));
    let who = dice.pick(&world.outsiders).clone();
    let host = dice.word(&text::OUTSIDE_HOSTS);
    let phone = |dice: &mut Dice| format!("+49 30 {:07}", dice.below(10_000_000));
    let mut contact = Contact {
        emails: vec![Person { name: format!("{given} {surname}"), address: who.address }],
        business_phones: (0..1 + dice.below(2)).map(|_| phone(dice)).collect(),
        created: MADE,
        modified: MADE + dice.below(1_000_000) as i64,
        ..Contact::default()
    };
    for (name, value) in [
        ("displayName", format!("{given} {surname}")),
        ("givenName", given.to_owned()),
        ("surname", surname.to_owned()),
        ("fileAs", format!("{surname}, {given}")),
        ("initials", format!("{}{}.", initial(given), initial(surname))),
        ("companyName", host.trim_end_matches(".example").to_owned()),
        ("jobTitle", dice.word(&text::TITLES).to_owned()),
        ("department", dice.word(&text::DEPARTMENTS).to_owned()),
        ("mobilePhone", phone(dice)),
    ] {
        contact.texts.insert(name, value);
    }
    if number.is_multiple_of(4) {
        enrich(dice, &mut contact, host, given);
    }
    if number.is_multiple_of(3) {
        contact.photo = Some(photo(hash(&[world.seed, 15, number]), dice.below(4) as u32));
    }
    contact
}

pub fn photo(seed: u64, size: u32) -> Photo {
    let side = 48 << size;
    Photo { side, blob: Blob::Made { seed, len: side as usize * 40, text: false } }
}

// Every field that a contact can have.
fn enrich(dice: &mut Dice, contact: &mut Contact, host: &str, given: &str) {
    let note = text::paragraphs(dice, Charset::Utf8, 2);
    for (name, value) in [
        ("personalNotes", note),
        ("assistantName", dice.word(&text::GIVEN).to_owned()),
        ("manager", dice.word(&text::GIVEN).to_owned()),
        ("spouseName", dice.word(&text::GIVEN).to_owned()),
        ("middleName", "Maria".to_owned()),
        ("nickName", given.to_lowercase()),
        ("title", "Dr.".to_owned()),
        ("generation", "Jr.".to_owned()),
        ("profession", "Spediteur".to_owned()),
        ("officeLocation", format!("Building {}", dice.below(9))),
        ("businessHomePage", format!("https://{host}")),
        ("yomiGivenName", "はなこ".to_owned()),
        ("yomiSurname", "やまだ".to_owned()),
        ("yomiCompanyName", "さくら".to_owned()),
    ] {
        contact.texts.insert(name, value);
    }
    for local in ["office", "home"] {
        contact.emails.push(Person { name: local.to_owned(), address: format!("{local}{}@{host}", dice.below(900)) });
    }
    contact.home_phones = vec![format!("+49 40 {:07}", dice.below(10_000_000))];
    contact.im_addresses = vec![format!("sip:{}@{host}", dice.below(900))];
    contact.children = vec!["Mia".into(), "Ben".into()];
    contact.birthday = Some(BORN + dice.below(12_000) as i64 * 86_400 + 43_200);
    contact.categories = vec![dice.word(&text::CATEGORIES).to_owned()];
    contact.business_address = address(dice);
    contact.home_address = address(dice);
    contact.other_address = Address { city: "Wien".into(), ..Address::default() };
    let id = "String {00020329-0000-0000-c000-000000000046} Name CustomerNumber";
    contact.properties.push((id.to_owned(), format!("C-{}", dice.below(90_000))));
    // What Outlook shows and Graph has no name for.
    for (id, value) in [
        ("String 0x3A02", "+49 30 555 0101"),
        ("Integer 0x0036", "2"),
        ("Boolean {00062008-0000-0000-c000-000000000046} Id 0x8506", "true"),
        ("SystemTime 0x3A41", "2011-06-18T00:00:00Z"),
        ("String {00062004-0000-0000-c000-000000000046} Id 0x804F", "Kunde seit 2009"),
    ] {
        contact.properties.push((id.to_owned(), value.to_owned()));
    }
}

fn address(dice: &mut Dice) -> Address {
    Address {
        street: format!("Hafenstraße {}", 1 + dice.below(200)),
        city: "Hamburg".into(),
        state: "HH".into(),
        country: "Germany".into(),
        postal_code: format!("{:05}", 20_000 + dice.below(9_000)),
    }
}

fn initial(name: &str) -> String {
    name.chars().take(1).collect()
}
