//! The calendars of a mailbox, those shared to it among them, and the groups they are shown in.

use super::super::Call;
use super::super::input::object;
use super::super::odata::{Query, paged};
use super::writes;
use crate::locks::{read, write};
use crate::reply::{Answer, Refusal, Reply};
use crate::store::calendar::{Calendar, Calendars, DEFAULT_CALENDAR, GROUPS};
use crate::store::ids::{self, Name, What};
use crate::store::message::Person;
use crate::store::shelf::Container;
use serde_json::{Map, Value, json};

const CALENDAR_PROPERTIES: [&str; 14] = [
    "id",
    "name",
    "color",
    "hexColor",
    "isDefaultCalendar",
    "changeKey",
    "canShare",
    "canViewPrivateItems",
    "canEdit",
    "allowedOnlineMeetingProviders",
    "defaultOnlineMeetingProvider",
    "isTallyingResponses",
    "isRemovable",
    "owner",
];
const GROUP_PROPERTIES: [&str; 4] = ["id", "name", "classId", "changeKey"];

/// The calendar that the path names, or the default one if it names none.
pub fn wanted(call: &Call, calendars: &Calendars) -> Result<u32, Refusal> {
    let Some(text) = &call.target.folder else {
        return Ok(DEFAULT_CALENDAR);
    };
    match Name::read(&calendars.shelf.guid, text) {
        Some(name) if name.what == What::Calendar => {
            let id = name.item as u32;
            if calendars.shelf.container(id).is_some() { Ok(id) } else { Err(Refusal::item_not_found()) }
        }
        Some(_) | None => Err(Refusal::bad_id()),
    }
}

pub fn list(call: &Call) -> Answer {
    list_where(call, |_| true)
}

pub fn list_of_group(call: &Call) -> Answer {
    let wanted = wanted_group(call)?;
    list_where(call, |calendar| calendar.group == wanted)
}

fn list_where(call: &Call, keep: impl Fn(&Calendar) -> bool) -> Answer {
    call.query.check_select(&CALENDAR_PROPERTIES, "calendar")?;
    let user = call.user()?;
    let calendars = read(&user.calendars);
    let guid = &calendars.shelf.guid;
    let kept = calendars.shelf.containers().filter(|calendar| keep(&calendar.info));
    let all = kept.map(|calendar| Value::Object(calendar_json(guid, calendar, &call.query))).collect();
    paged(call, "users/calendars", all)
}

pub fn one(call: &Call) -> Answer {
    call.query.check_select(&CALENDAR_PROPERTIES, "calendar")?;
    let user = call.user()?;
    let calendars = read(&user.calendars);
    let id = wanted(call, &calendars)?;
    let calendar = calendars.shelf.container(id).ok_or_else(Refusal::item_not_found)?;
    let mut out = calendar_json(&calendars.shelf.guid, calendar, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/calendars/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

pub fn id_of(guid: &str, calendar: u32) -> String {
    Name::fixed(What::Calendar, calendar).write(guid)
}

pub fn calendar_json<T>(guid: &str, calendar: &Container<Calendar, T>, query: &Query) -> Map<String, Value> {
    let info = &calendar.info;
    let is_default = calendar.id == DEFAULT_CALENDAR;
    let mut out = Map::new();
    out.insert("id".into(), json!(id_of(guid, calendar.id)));
    for (name, value) in [
        ("name", json!(info.name)),
        ("color", json!(info.color.0)),
        ("hexColor", json!(info.color.1)),
        ("isDefaultCalendar", json!(is_default)),
        ("changeKey", json!(ids::change_key(calendar.id.into(), calendar.change))),
        ("canShare", json!(info.can_edit)),
        ("canViewPrivateItems", json!(info.can_edit)),
        ("canEdit", json!(info.can_edit)),
        ("allowedOnlineMeetingProviders", json!(["teamsForBusiness"])),
        ("defaultOnlineMeetingProvider", json!("teamsForBusiness")),
        ("isTallyingResponses", json!(is_default)),
        ("isRemovable", json!(!is_default)),
        ("owner", json!({"name": info.owner.name, "address": info.owner.address})),
    ] {
        if query.wants(name) {
            out.insert(name.into(), value);
        }
    }
    out
}

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    let body = object(call)?;
    if let Some(name) = body.keys().find(|name| !["name", "color", "hexColor", "@odata.type"].contains(&name.as_str()))
    {
        call.violation("read_only_property", format!("'{name}' in the body of a new calendar"));
        return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
    }
    let name = body.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Refusal::new(400, "ErrorRequiredPropertyMissing", "A calendar needs a name."))?;
    let profile = user.profile();
    let owner = Person { name: profile.display_name, address: profile.principal_name };
    let mut calendars = write(&user.calendars);
    if calendars.shelf.containers().any(|have| have.info.name.eq_ignore_ascii_case(name)) {
        return Err(Refusal::new(409, "ErrorFolderExists", "A folder with the specified name already exists."));
    }
    let id = calendars.shelf.add_container(0, Calendar::of(&owner, name));
    let made = calendars.shelf.container(id).ok_or_else(Refusal::item_not_found)?;
    let mut out = calendar_json(&calendars.shelf.guid, made, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/calendars/$entity")));
    Ok(Reply::json(201, Value::Object(out)))
}

/// With all events in it. Whoever was invited to one of them is told.
pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let mut calendars = write(&user.calendars);
    let id = wanted(call, &calendars)?;
    let can_edit = calendars.shelf.container(id).is_some_and(|calendar| calendar.info.can_edit);
    if id == DEFAULT_CALENDAR || !can_edit {
        return Err(Refusal::new(403, "ErrorCannotDeleteObject", "This calendar cannot be deleted."));
    }
    for entry in calendars.shelf.held_in(id) {
        writes::tell_of_end(call, user, &entry.content);
    }
    calendars.shelf.remove_container(id);
    Ok(Reply::empty(204))
}

fn wanted_group(call: &Call) -> Result<usize, Refusal> {
    let user = call.user()?;
    let text = call.target.folder.as_deref().unwrap_or_default();
    match Name::read(&read(&user.calendars).shelf.guid, text) {
        Some(name) if name.what == What::CalendarGroup => Ok(name.item as usize),
        Some(_) | None => Err(Refusal::bad_id()),
    }
}

pub fn groups(call: &Call) -> Answer {
    call.query.check_select(&GROUP_PROPERTIES, "calendarGroup")?;
    let guid = read(&call.user()?.calendars).shelf.guid.clone();
    let all = (0..GROUPS.len()).map(|index| Value::Object(group_json(&guid, index, &call.query))).collect();
    paged(call, "users/calendarGroups", all)
}

pub fn group(call: &Call) -> Answer {
    call.query.check_select(&GROUP_PROPERTIES, "calendarGroup")?;
    let index = wanted_group(call)?;
    let guid = read(&call.user()?.calendars).shelf.guid.clone();
    let mut out = group_json(&guid, index, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/calendarGroups/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

fn group_json(guid: &str, index: usize, query: &Query) -> Map<String, Value> {
    let (name, class) = GROUPS[index.min(GROUPS.len() - 1)];
    let mut out = Map::new();
    out.insert("id".into(), json!(Name::fixed(What::CalendarGroup, index as u32).write(guid)));
    for (property, value) in
        [("name", json!(name)), ("classId", json!(class)), ("changeKey", json!(ids::change_key(index as u64, 1)))]
    {
        if query.wants(property) {
            out.insert(property.into(), value);
        }
    }
    out
}
