//! Contacts of a folder, one contact, its photo.

use super::super::Call;
use super::super::filter::Filter;
use super::super::messages::{check_kind, item_faults};
use super::super::odata::paged;
use super::folders;
use super::view::{contact_json, contact_name, contact_properties};
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::request::Prefer;
use crate::store::contact::{Contact, Photo};
use crate::store::ids::{IdKind, Name, What};
use crate::store::shelf::Entry;
use serde_json::{Value, json};

/// The contact that the path names, if its id is of the kind this request works with.
pub fn wanted(call: &Call) -> Result<(String, Entry<Contact>), Refusal> {
    let contacts = read(&call.user()?.contacts);
    let guid = contacts.guid.clone();
    let text = call.target.message.as_deref().unwrap_or_default();
    let name = Name::read(&guid, text).filter(|name| name.what == What::Contact).ok_or_else(Refusal::bad_id)?;
    check_kind(call, name.kind)?;
    let entry = contacts.entry(name.item).cloned().ok_or_else(Refusal::item_not_found)?;
    let elsewhere = call.target.folder.is_some() && folders::wanted(call, &contacts)? != entry.container;
    if elsewhere || name.kind == IdKind::Mutable && name.incarnation != entry.incarnation {
        return Err(Refusal::item_not_found());
    }
    let lasting = Prefer { immutable: true, ..Prefer::default() };
    item_faults(call, &contact_name(&lasting, entry.item, 0).write(&guid))?;
    Ok((guid, entry))
}

fn check(call: &Call) -> Result<(), Refusal> {
    call.query.check_select(&contact_properties(), "contact")
}

pub fn list(call: &Call) -> Answer {
    check(call)?;
    let filter = call.query.filter.as_deref().map(Filter::parse).transpose()?;
    let wanted = filter.as_ref().map(|filter| filter.only_property().ok_or_else(unsupported)).transpose()?;
    let user = call.user()?;
    let contacts = read(&user.contacts);
    let mut held = contacts.held_in(folders::wanted(call, &contacts)?);
    if let Some((id, value)) = wanted {
        held.retain(|entry| entry.content.property(id).is_some_and(|held| value.is_none_or(|value| value == held)));
    }
    let show = |entry| Value::Object(contact_json(&contacts.guid, entry, &call.request.prefer, &call.query));
    paged(call, "users/contacts", held.iter().map(show).collect())
}

fn unsupported() -> Refusal {
    let text = "The query filter contains one or more invalid nodes: contacts are filtered by one extended property";
    Refusal::new(400, "ErrorInvalidUrlQueryFilter", text)
}

pub fn one(call: &Call) -> Answer {
    check(call)?;
    let (guid, entry) = wanted(call)?;
    Ok(shown(call, &guid, &entry, 200))
}

/// The contact as it is now.
pub fn shown(call: &Call, guid: &str, entry: &Entry<Contact>, status: u16) -> Reply {
    let mut out = contact_json(guid, entry, &call.request.prefer, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/contacts/$entity")));
    Reply::json(status, Value::Object(out))
}

// The same code as for a contact that is gone; only the text tells the difference.
fn photo_of(entry: &Entry<Contact>) -> Result<&Photo, Refusal> {
    let none = || Refusal::new(404, "ErrorItemNotFound", "The photo wasn't found.");
    entry.content.photo.as_ref().ok_or_else(none)
}

pub fn photo(call: &Call) -> Answer {
    let (_, entry) = wanted(call)?;
    let photo = photo_of(&entry)?;
    let etag = blake3::hash(&photo.bytes()).to_hex().as_str()[..16].to_owned();
    Ok(Reply::ok(json!({
        "@odata.context": call.context("users/contacts/photo/$entity"),
        "@odata.mediaContentType": "image/jpeg",
        "@odata.mediaEtag": format!("W/\"{etag}\""),
        "id": format!("{0}X{0}", photo.side),
        "height": photo.side,
        "width": photo.side,
    })))
}

pub fn photo_value(call: &Call) -> Answer {
    let (_, entry) = wanted(call)?;
    Ok(Reply::raw("image/jpeg", photo_of(&entry)?.bytes()))
}
