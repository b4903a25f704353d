//! Writing to a drive by single requests: folders, small content, properties, deletion, invitations.

use super::items::{quota, wanted};
use super::view::Shown;
use super::{ItemAt, bad_request, item_not_found, names, owner};
use crate::app::{App, User};
use crate::clock::{iso, parse_iso};
use crate::company::files::mime_of;
use crate::graph::Call;
use crate::graph::odata::Query;
use crate::locks::{read, write};
use crate::notices::Notice;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::drive::content::Content;
use crate::store::drive::item::{File, Grant, Item, Kind, Permission};
use crate::store::drive::{Drive, DriveRefusal, Stamp};
use crate::store::message::{Blob, Person};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Of names that SharePoint rewrites; the client knows more of them.
const OFFICE: [&str; 3] = [".docx", ".xlsx", ".pptx"];
const SETTABLE: [&str; 6] =
    ["name", "parentReference", "fileSystemInfo", "description", "@microsoft.graph.conflictBehavior", "@odata.type"];

/// What is done when a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    Fail,
    Replace,
    Rename,
}

impl OnConflict {
    /// As the annotation of a body says it.
    pub fn of(body: &Map<String, Value>, default: Self) -> Result<Self, Refusal> {
        match body.get("@microsoft.graph.conflictBehavior").and_then(Value::as_str) {
            None => Ok(default),
            Some("fail") => Ok(Self::Fail),
            Some("replace") => Ok(Self::Replace),
            Some("rename") => Ok(Self::Rename),
            Some(other) => Err(bad_request(&format!("'{other}' is no conflict behavior."))),
        }
    }
}

/// Where content is written to.
#[derive(Clone, Debug)]
pub enum Spot {
    Named { parent: u64, name: String },
    Over { item: u64 },
}

/// The dates that a client gives to what it writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dates {
    pub created: Option<i64>,
    pub modified: Option<i64>,
}

impl Dates {
    pub fn of(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let moment = |name: &str| match &body.get("fileSystemInfo").unwrap_or(&Value::Null)[name] {
            Value::String(text) => parse_iso(text).map(Some).ok_or_else(|| bad_request("A date is not valid.")),
            _ => Ok(None),
        };
        Ok(Self { created: moment("createdDateTime")?, modified: moment("lastModifiedDateTime")? })
    }
}

/// The app itself, now.
pub fn stamp(app: &App, client: &str) -> Stamp {
    Stamp { at: app.clock.now(), by: Person { name: "KODO".into(), address: format!("app:{client}") } }
}

pub fn refused(why: DriveRefusal) -> Refusal {
    match why {
        DriveRefusal::NameTaken => name_taken(),
        DriveRefusal::NotFound => item_not_found(),
        DriveRefusal::Protected => Refusal::new(403, "accessDenied", "The root folder cannot be changed."),
    }
}

pub fn name_taken() -> Refusal {
    Refusal::new(409, "nameAlreadyExists", "An item with the same name already exists under the parent.")
}

pub fn check_lock(item: &Item) -> Result<(), Refusal> {
    if !item.locked {
        return Ok(());
    }
    Err(Refusal::new(423, "notAllowed", "The file is locked for shared use.").inner("resourceLocked"))
}

pub fn body(call: &Call) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(&call.request.body).map_err(|_| bad_request("Unable to read JSON request payload."))
}

/// An item as it is answered right after it was written.
pub fn shown(call: &Call, user: &User, drive: &Drive, number: u64) -> Result<Value, Refusal> {
    let item = drive.item(number).ok_or_else(item_not_found)?;
    let query = Query::default();
    let mut out = Shown { call, user, drive, query: &query, in_delta: false }.item(item);
    out.insert("@odata.context".into(), json!(call.context("drives/items/$entity")));
    Ok(Value::Object(out))
}

pub fn create_folder(call: &Call) -> Answer {
    let user = owner(call)?;
    let body = body(call)?;
    let (Some(name), true) =
        (body.get("name").and_then(Value::as_str), body.get("folder").is_some_and(Value::is_object))
    else {
        return Err(bad_request("A name and the folder facet are needed."));
    };
    let on_conflict = OnConflict::of(&body, OnConflict::Fail)?;
    let mut drive = write(&user.drive);
    let parent = wanted(call, &drive)?.number;
    names::check(call, &drive, parent, name)?;
    let present = drive.below(parent, name).map(|item| (item.number, item.is_container()));
    let name = match (present, on_conflict) {
        (Some((number, true)), OnConflict::Replace) => {
            return Ok(Reply::json(201, shown(call, user, &drive, number)?));
        }
        (Some(_), OnConflict::Rename) => free_name(&drive, parent, name),
        (Some(_), OnConflict::Fail | OnConflict::Replace) => return Err(name_taken()),
        (None, _) => name.to_owned(),
    };
    let at = stamp(call.app, call.client_id);
    let number = drive.add(parent, &name, Kind::Folder { special: None }, &at).map_err(refused)?;
    Ok(Reply::json(201, shown(call, user, &drive, number)?))
}

fn free_name(drive: &Drive, parent: u64, name: &str) -> String {
    let (stem, ending) = name.rfind('.').map_or((name, ""), |at| name.split_at(at));
    let mut names = (1..).map(|number| format!("{stem} {number}{ending}"));
    names.find(|name| drive.below(parent, name).is_none()).unwrap_or_default()
}

pub fn patch(call: &Call) -> Answer {
    let user = owner(call)?;
    let body = body(call)?;
    if let Some(name) = body.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        call.violation("read_only_property", format!("'{name}' in the body of a drive item"));
        return Err(bad_request(&format!("The property '{name}' cannot be set.")));
    }
    let dates = Dates::of(&body)?;
    let at = stamp(call.app, call.client_id);
    let mut drive = write(&user.drive);
    let item = wanted(call, &drive)?;
    check_lock(item)?;
    let (number, old_name) = (item.number, item.name.clone());
    let parent = match body.get("parentReference").and_then(|parent| parent["id"].as_str()) {
        Some(id) => drive.by_id(id).ok_or_else(item_not_found)?.number,
        None => item.parent,
    };
    let name = body.get("name").and_then(Value::as_str);
    if let Some(name) = name {
        names::check(call, &drive, parent, name)?;
    }
    if name.is_some() || parent != item.parent {
        drive.settle(number, parent, name.unwrap_or(&old_name), &at).map_err(refused)?;
    }
    drive.update(number, &at, |item| {
        set_dates(item, dates);
        item.editor = at.by.clone();
        match body.get("description") {
            Some(Value::String(text)) if !text.is_empty() => item.description = Some(text.clone()),
            Some(_) => item.description = None,
            None => {}
        }
    });
    Ok(Reply::ok(shown(call, user, &drive, number)?))
}

fn set_dates(item: &mut Item, dates: Dates) {
    item.created = dates.created.unwrap_or(item.created);
    item.modified = dates.modified.unwrap_or(item.modified);
}

pub fn delete(call: &Call) -> Answer {
    let user = owner(call)?;
    let mut drive = write(&user.drive);
    let number = {
        let item = wanted(call, &drive)?;
        check_lock(item)?;
        item.number
    };
    drive.remove(number, call.app.clock.now()).map_err(refused)?;
    Ok(Reply::empty(204))
}

/// The item or the free name that a path is about.
pub fn spot(call: &Call, drive: &Drive) -> Result<Spot, Refusal> {
    let ItemAt::Below { id, path } = &call.target.drive.item else {
        return Ok(Spot::Over { item: wanted(call, drive)?.number });
    };
    let folder = if id == "root" { drive.items().next() } else { drive.by_id(id) };
    let folder = folder.ok_or_else(item_not_found)?;
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent =
        drive.below(folder.number, above).filter(|item| item.is_container()).ok_or_else(item_not_found)?.number;
    names::check(call, drive, parent, name)?;
    Ok(Spot::Named { parent, name: name.to_owned() })
}

/// Content in one request. It takes neither dates nor a description.
pub fn put_content(call: &Call) -> Answer {
    let user = owner(call)?;
    let mut drive = write(&user.drive);
    let spot = spot(call, &drive)?;
    let content = Content::blob(Blob::Held(call.request.body.clone()));
    let at = stamp(call.app, call.client_id);
    let put = put(call.app, &mut drive, &spot, (content, Dates::default()), (OnConflict::Replace, &at))?;
    let answer = shown(call, user, &drive, put.number)?;
    promote(call.app, &mut drive, put.number);
    Ok(Reply::json(if put.is_new { 201 } else { 200 }, answer))
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    pub number: u64,
    pub is_new: bool,
}

/// Puts content into place, whichever way it came.
pub fn put(
    app: &App,
    drive: &mut Drive,
    spot: &Spot,
    (content, dates): (Arc<Content>, Dates),
    (on_conflict, at): (OnConflict, &Stamp),
) -> Result<Put, Refusal> {
    check_room(app, drive, content.len())?;
    let present = match spot {
        Spot::Over { item } => Some(*item),
        Spot::Named { parent, name } => drive.below(*parent, name).map(|item| item.number),
    };
    let put = match (spot, present) {
        (Spot::Named { parent, name }, None) => {
            let kind = Kind::File(File::new(mime_of(name), content));
            Put { number: drive.add(*parent, name, kind, at).map_err(refused)?, is_new: true }
        }
        (Spot::Named { parent, name }, Some(_)) if on_conflict == OnConflict::Rename => {
            let name = free_name(drive, *parent, name);
            let kind = Kind::File(File::new(mime_of(&name), content));
            Put { number: drive.add(*parent, &name, kind, at).map_err(refused)?, is_new: true }
        }
        (Spot::Named { .. }, Some(_)) if on_conflict == OnConflict::Fail => return Err(name_taken()),
        (Spot::Over { .. }, None) => return Err(item_not_found()),
        (_, Some(number)) => {
            let item = drive.item(number).ok_or_else(item_not_found)?;
            check_lock(item)?;
            if item.file().is_none() {
                return Err(name_taken());
            }
            drive.overwrite(number, content, at);
            Put { number, is_new: false }
        }
    };
    drive.update(put.number, at, |item| {
        set_dates(item, dates);
        item.editor = at.by.clone();
    });
    Ok(put)
}

pub fn check_room(app: &App, drive: &Drive, bytes: u64) -> Result<(), Refusal> {
    let used = drive.items().next().map_or(0, |root| root.size);
    if used + bytes <= quota(app) {
        return Ok(());
    }
    Err(Refusal::new(507, "quotaLimitReached", "There is not enough space in the drive."))
}

/// Once the client has its answer, SharePoint writes the library's properties into office files.
pub fn promote(app: &App, drive: &mut Drive, number: u64) {
    let is_office = |name: &str| OFFICE.iter().any(|ending| name.to_lowercase().ends_with(ending));
    let item = drive.item(number).filter(|item| read(&app.limits).rewrite_office && is_office(&item.name));
    if let Some(content) = item.and_then(Item::file).and_then(|file| Content::rewritten(&file.content)) {
        drive.rewrite(number, content);
    }
}

/// Lets people in. Whoever has them told by mail sends mail.
pub fn invite(call: &Call) -> Answer {
    let user = owner(call)?;
    let body = body(call)?;
    let recipients = body.get("recipients").and_then(Value::as_array).cloned().unwrap_or_default();
    if body.get("sendInvitation").and_then(Value::as_bool) != Some(false) {
        call.violation("sends_mail", "an invitation that is mailed to the people invited");
        let to = recipients.iter().filter_map(|recipient| invited(call.app, recipient)).map(|person| person.address);
        call.app.watch.notices.add(Notice {
            at: iso(call.app.clock.now()),
            kind: "sharing",
            user: user.id.clone(),
            subject: "Somebody shared something with you".to_owned(),
            to: to.collect(),
        });
    }
    if body.get("requireSignIn").and_then(Value::as_bool) != Some(true) {
        call.violation("opens_to_anybody", "an invitation that does not ask for a login");
    }
    let role = body.get("roles").and_then(|roles| roles[0].as_str()).unwrap_or_default();
    if !["read", "write"].contains(&role) {
        return Err(bad_request("The roles must be read or write."));
    }
    let found: Vec<Person> = recipients.iter().filter_map(|recipient| invited(call.app, recipient)).collect();
    if found.len() < recipients.len() || found.is_empty() {
        let text = "One or more users could not be resolved.";
        return Err(bad_request(text).inner("noResolvedUsers"));
    }
    let at = stamp(call.app, call.client_id);
    let mut drive = write(&user.drive);
    let number = wanted(call, &drive)?.number;
    for person in found {
        let permission = Permission { grant: Grant::Person(person), may_write: role == "write" };
        drive.share(number, permission, &at);
    }
    drop(drive);
    super::sharing::list(call)
}

fn invited(app: &App, recipient: &Value) -> Option<Person> {
    let name = recipient["objectId"].as_str().or_else(|| recipient["email"].as_str())?;
    let profile = app.user(name)?.profile();
    Some(Person { name: profile.display_name, address: profile.principal_name })
}
