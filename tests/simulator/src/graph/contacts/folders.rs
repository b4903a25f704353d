//! Contact folders: the default one is in no list, but answers to its name.

use super::super::Call;
use super::super::input;
use super::super::odata::paged;
use super::view::{FOLDER_PROPERTIES, folder_json};
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::store::contact::{ContactFolder, Contacts, DEFAULT_FOLDER};
use crate::store::folder::TOP;
use crate::store::ids::{Name, What};
use serde_json::{Value, json};

const NAME_CHARS_MAX: usize = 255;

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

/// A folder beside the default one, or below another.
pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let body = input::object(call)?;
    if let Some(name) = body.keys().find(|name| !["displayName", "@odata.type"].contains(&name.as_str())) {
        call.violation("read_only_property", format!("'{name}' cannot be set on a new folder"));
        return Err(Refusal::bad_request(&format!("The property '{name}' cannot be set.")));
    }
    let name = body.get("displayName").and_then(Value::as_str).unwrap_or_default();
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::new(400, "ErrorFolderPropertyInvalid", "The folder needs a display name."));
    }
    let mut contacts = write(&user.contacts);
    let parent = match &call.target.folder {
        Some(_) => wanted(call, &contacts)?,
        None => 0,
    };
    let is_taken = |folder: &str| folder.to_lowercase() == name.to_lowercase();
    // At the top mail folders stand beside them.
    let beside = parent == 0 && read(&user.mailbox).children(TOP).any(|folder| is_taken(&folder.name));
    if beside || contacts.containers().any(|folder| folder.parent == parent && is_taken(&folder.info.name)) {
        return Err(Refusal::new(409, "ErrorFolderExists", "A folder with the specified name already exists."));
    }
    let made = contacts.add_container(parent, ContactFolder { name: name.to_owned() });
    let folder = contacts.container(made).ok_or_else(Refusal::item_not_found)?;
    let mut out = folder_json(&contacts, folder, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/contactFolders/$entity")));
    Ok(Reply::json(201, Value::Object(out)))
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

pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let mut contacts = write(&user.contacts);
    let id = wanted(call, &contacts)?;
    if id == DEFAULT_FOLDER {
        return Err(Refusal::new(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted."));
    }
    contacts.remove_container(id);
    Ok(Reply::empty(204))
}
