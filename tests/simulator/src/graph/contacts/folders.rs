//! Contact folders: the default one is in no list, but answers to its name.

use super::super::Call;
use super::super::odata::paged;
use super::view::{FOLDER_PROPERTIES, folder_json};
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::contact::{Contacts, DEFAULT_FOLDER};
use crate::store::ids::{Name, What};
use serde_json::{Value, json};

/// The folder that the path names, or the default one if it names none.
pub fn wanted(call: &Call, contacts: &Contacts) -> Result<u32, Refusal> {
    let Some(text) = &call.target.folder else {
        return Ok(DEFAULT_FOLDER);
    };
    if text.eq_ignore_ascii_case("contacts") {
        return Ok(DEFAULT_FOLDER);
    }
    match Name::read(&contacts.guid, text) {
        Some(name) if name.what == What::ContactFolder => {
            let id = name.item as u32;
            if contacts.container(id).is_some() { Ok(id) } else { Err(Refusal::item_not_found()) }
        }
        Some(_) | None => Err(Refusal::bad_id()),
    }
}

pub fn list(call: &Call) -> Answer {
    call.query.check_select(&FOLDER_PROPERTIES, "contactFolder")?;
    let user = call.user()?;
    let contacts = read(&user.contacts);
    let parent = match &call.target.folder {
        Some(_) => wanted(call, &contacts)?,
        None => 0,
    };
    let below = contacts.containers().filter(|folder| folder.parent == parent && folder.id != DEFAULT_FOLDER);
    let all = below.map(|folder| Value::Object(folder_json(&contacts, folder, &call.query))).collect();
    paged(call, "users/contactFolders", all)
}

pub fn one(call: &Call) -> Answer {
    call.query.check_select(&FOLDER_PROPERTIES, "contactFolder")?;
    let user = call.user()?;
    let contacts = read(&user.contacts);
    let folder = contacts.container(wanted(call, &contacts)?).ok_or_else(Refusal::item_not_found)?;
    let mut out = folder_json(&contacts, folder, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/contactFolders/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}
