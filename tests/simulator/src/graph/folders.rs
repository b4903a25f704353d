//! Mail folders: lists, one folder, create, rename, move, delete.

use super::view::folder_json;
use super::{Call, Route};
use crate::app::User;
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::request::encode;
use crate::store::folder::{Folder, TOP};
use crate::store::ids::{self, Id};
use crate::store::{FolderRefusal, Mailbox};
use serde_json::{Value, json};

const FOLDER_PROPERTIES: [&str; 8] = [
    "id",
    "displayName",
    "parentFolderId",
    "childFolderCount",
    "unreadItemCount",
    "totalItemCount",
    "sizeInBytes",
    "isHidden",
];

/// The folder that the path names, by id or by well-known name.
pub fn wanted(call: &Call, user: &User) -> Result<u32, Refusal> {
    let name = call.target.folder.as_deref().unwrap_or("msgfolderroot");
    find(&read(&user.mailbox), name)
}

pub fn find(mailbox: &Mailbox, name: &str) -> Result<u32, Refusal> {
    if let Some(id) = mailbox.well_known(name) {
        return Ok(id);
    }
    match ids::decode(&mailbox.guid, name) {
        Some(Id::Folder(id)) if mailbox.folder(id).is_some() => Ok(id),
        Some(Id::Folder(_)) => Err(Refusal::item_not_found()),
        _ => Err(Refusal::bad_id()),
    }
}

/// (total, unread); a search folder shows what lies elsewhere.
pub fn counts(mailbox: &Mailbox, folder: &Folder) -> (i64, i64) {
    if folder.search {
        let unread = mailbox.well_known("inbox").and_then(|id| mailbox.folder(id)).map_or(0, |f| f.unread);
        return (unread, unread);
    }
    (folder.total, folder.unread)
}

pub fn list(call: &Call) -> Answer {
    call.query.check_select(&FOLDER_PROPERTIES, "mailFolder")?;
    let user = call.user()?;
    let parent = wanted(call, user)?;
    let mailbox = read(&user.mailbox);
    let size = call.query.top.or(call.request.prefer.page_size).unwrap_or(10).max(1);
    let skip = call.query.skip;
    let all: Vec<&Folder> = mailbox.children(parent).filter(|f| call.query.include_hidden || !f.hidden).collect();
    let value: Vec<Value> =
        all.iter().skip(skip).take(size).map(|f| Value::Object(folder_json(&mailbox, f, &call.query))).collect();
    let mut out = json!({"@odata.context": call.context("users/mailFolders"), "value": value});
    if skip + size < all.len() {
        let rest = call.query.without(&["$skip"]);
        let joint = if rest.is_empty() { String::new() } else { format!("{rest}&") };
        out["@odata.nextLink"] = json!(call.url(&format!("{}?{joint}$skip={}", own_path(call), skip + size)));
    }
    Ok(Reply::ok(out))
}

/// The path of this request, encoded again.
pub fn own_path(call: &Call) -> String {
    call.request.segments.iter().skip(1).map(|s| format!("/{}", encode(s))).collect()
}

pub fn one(call: &Call) -> Answer {
    call.query.check_select(&FOLDER_PROPERTIES, "mailFolder")?;
    let user = call.user()?;
    let id = wanted(call, user)?;
    folder_answer(call, user, id, 200)
}

fn folder_answer(call: &Call, user: &User, id: u32, status: u16) -> Answer {
    let mailbox = read(&user.mailbox);
    let folder = mailbox.folder(id).ok_or_else(Refusal::item_not_found)?;
    let mut out = folder_json(&mailbox, folder, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/mailFolders/$entity")));
    Ok(Reply::json(status, Value::Object(out)))
}

fn body(call: &Call) -> Result<serde_json::Map<String, Value>, Refusal> {
    serde_json::from_slice(&call.request.body).map_err(|_| Refusal::bad_body("Were expecting JSON object."))
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let parent = match call.target.route {
        Route::ChildFolders => wanted(call, user)?,
        _ => TOP,
    };
    let body = body(call)?;
    if let Some(name) = body.keys().find(|name| !["displayName", "isHidden", "@odata.type"].contains(&name.as_str())) {
        call.violation("read_only_property", format!("'{name}' cannot be set on a new folder"));
        return Err(Refusal::bad_request(&format!("The property '{name}' cannot be set.")));
    }
    if body.get("@odata.type").is_some_and(|kind| kind != "#microsoft.graph.mailFolder") {
        return Err(Refusal::bad_request("Only plain folders can be created."));
    }
    let name = body.get("displayName").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || name.chars().count() > 255 {
        return Err(Refusal::new(400, "ErrorFolderPropertyInvalid", "The folder needs a display name."));
    }
    let hidden = body.get("isHidden").and_then(Value::as_bool).unwrap_or(false);
    let made = write(&user.mailbox).create_folder(parent, name, hidden).map_err(refusal)?;
    folder_answer(call, user, made, 201)
}

pub fn rename(call: &Call) -> Answer {
    let user = call.user()?;
    let id = wanted(call, user)?;
    let body = body(call)?;
    let Some(name) = body.get("displayName").and_then(Value::as_str).filter(|_| body.len() == 1) else {
        return Err(Refusal::bad_request("Only displayName can be changed."));
    };
    write(&user.mailbox).rename_folder(id, name).map_err(refusal)?;
    folder_answer(call, user, id, 200)
}

pub fn relocate(call: &Call) -> Answer {
    let user = call.user()?;
    let id = wanted(call, user)?;
    let body = body(call)?;
    let name = body.get("destinationId").and_then(Value::as_str).unwrap_or_default();
    let to = find(&read(&user.mailbox), name)?;
    write(&user.mailbox).move_folder(id, to).map_err(refusal)?;
    folder_answer(call, user, id, 201)
}

pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let id = wanted(call, user)?;
    write(&user.mailbox).delete_folder(id).map_err(refusal)?;
    Ok(Reply::empty(204))
}

fn refusal(why: FolderRefusal) -> Refusal {
    match why {
        FolderRefusal::NameTaken => {
            Refusal::new(409, "ErrorFolderExists", "A folder with the specified name already exists.")
        }
        FolderRefusal::NotFound => Refusal::item_not_found(),
        FolderRefusal::Protected => {
            Refusal::new(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be changed.")
        }
    }
}
