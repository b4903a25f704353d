//! What a client does to contacts: create, change, delete, and give a photo.

use super::super::Call;
use super::super::input::object;
use super::{folders, input, people};
use crate::locks::write;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::contact::{Contact, Photo};
use crate::store::message::Blob;

const REQUEST_MAX: usize = 4 * 1024 * 1024;
/// How pictures begin that Exchange takes: JPEG, PNG, GIF, BMP.
const PICTURES: [&[u8]; 4] = [&[0xFF, 0xD8, 0xFF], &[0x89, b'P', b'N', b'G'], b"GIF8", b"BM"];
/// Of a picture that nobody measures.
const SIDE: u32 = 96;

pub fn create(call: &Call) -> Answer {
    check_size(call)?;
    let user = call.user()?;
    let now = call.app.clock.now();
    let mut contact = Contact { created: now, modified: now, ..Contact::default() };
    input::apply(call, &mut contact, &object(call)?)?;
    let mut contacts = write(&user.contacts);
    let folder = folders::wanted(call, &contacts)?;
    let made = contacts.add(folder, contact);
    let entry = contacts.entry(made).ok_or_else(Refusal::item_not_found)?;
    Ok(people::shown(call, &contacts.guid, entry, 201))
}

pub fn patch(call: &Call) -> Answer {
    check_size(call)?;
    let (guid, entry) = people::wanted(call)?;
    let body = object(call)?;
    let now = call.app.clock.now();
    let mut contacts = write(&call.user()?.contacts);
    // Somebody may have deleted it since it was found.
    let current = contacts.entry(entry.item).ok_or_else(Refusal::item_not_found)?;
    let mut changed = (*current.content).clone();
    input::apply(call, &mut changed, &body)?;
    changed.modified = now;
    contacts.update(entry.item, |contact| *contact = changed);
    let entry = contacts.entry(entry.item).ok_or_else(Refusal::item_not_found)?;
    Ok(people::shown(call, &guid, entry, 200))
}

pub fn delete(call: &Call) -> Answer {
    let (_, entry) = people::wanted(call)?;
    write(&call.user()?.contacts).remove(entry.item);
    Ok(Reply::empty(204))
}

pub fn put_photo(call: &Call) -> Answer {
    let (_, entry) = people::wanted(call)?;
    check_size(call)?;
    if !call.request.content_type().starts_with("image/") {
        let text = format!("The content type '{}' is not supported.", call.request.content_type());
        return Err(Refusal::new(415, "UnsupportedMediaType", &text));
    }
    let bytes = call.request.body.clone();
    if !PICTURES.iter().any(|begins| bytes.starts_with(begins)) {
        return Err(Refusal::new(400, "ErrorInvalidImage", "The photo is not a picture."));
    }
    let now = call.app.clock.now();
    write(&call.user()?.contacts).update(entry.item, |contact| {
        contact.photo = Some(Photo { side: SIDE, blob: Blob::Held(bytes) });
        contact.modified = now;
    });
    Ok(Reply::empty(200))
}

fn check_size(call: &Call) -> Result<(), Refusal> {
    if call.request.body.len() < REQUEST_MAX {
        return Ok(());
    }
    call.violation("too_large", "4 MB or more in one request");
    Err(Refusal::too_large())
}
