//! Events: lists of a calendar, one event, what a series has in a window, its exceptions.

use super::super::messages::{check_kind, item_faults};
use super::super::odata::{Query, paged};
use super::super::{Call, Target};
use super::calendars::{self, id_of};
use super::filter::Filter;
use super::view::{EVENT_PROPERTIES, Shown, event_id};
use crate::app::User;
use crate::clock::parse_iso;
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::event::{Event, EventKind, Instance};
use crate::store::ids::{IdKind, Name, What};
use crate::store::shelf::Entry;
use crate::store::zone::Zone;
use chrono::NaiveDate;
use serde_json::{Map, Value, json};

/// An event of the path, with the series it belongs to.
pub struct Wanted {
    pub guid: String,
    pub entry: Entry<Event>,
    pub instance: Instance,
}

/// The event that the path names, if its id is of the kind this request works with.
pub fn wanted(call: &Call, user: &User) -> Result<Wanted, Refusal> {
    let calendars = read(&user.calendars);
    let guid = calendars.shelf.guid.clone();
    let text = call.target.message.as_deref().unwrap_or_default();
    let name = Name::read(&guid, text).filter(|name| name.what == What::Event).ok_or_else(Refusal::bad_id)?;
    check_kind(call, name.kind)?;
    let entry = calendars.shelf.entry(name.item).cloned().ok_or_else(Refusal::item_not_found)?;
    let elsewhere = call.target.folder.is_some() && calendars::wanted(call, &calendars)? != entry.container;
    if elsewhere || name.kind == IdKind::Mutable && name.incarnation != entry.incarnation {
        return Err(Refusal::item_not_found());
    }
    drop(calendars);
    let instance = match name.day {
        0 => Some(Instance::of(&entry.content)),
        day => i32::try_from(day)
            .ok()
            .and_then(NaiveDate::from_num_days_from_ce_opt)
            .and_then(|day| entry.content.on_day(day)),
    };
    let instance = instance.ok_or_else(Refusal::item_not_found)?;
    item_faults(call, &event_id(&guid, IdKind::Immutable, &entry, instance.day))?;
    Ok(Wanted { guid, entry, instance })
}

/// The zone that the request wants to see times in.
pub fn wanted_zone(call: &Call) -> Result<Zone, Refusal> {
    let Some(name) = &call.request.prefer.time_zone else {
        return Ok(Zone::Utc);
    };
    Zone::find(name).ok_or_else(|| {
        let text = format!(
            "A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name}'."
        );
        Refusal::new(400, "TimeZoneNotSupportedException", &text)
    })
}

/// From and until of a view, in seconds since 1970.
pub fn window(call: &Call) -> Result<(i64, i64), Refusal> {
    let at = |wanted: &str| {
        let given = call.query.all.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let (_, text) = given.ok_or_else(|| {
            let text = "This request requires a time window specified by the query string parameters \
                        StartDateTime and EndDateTime.";
            Refusal::new(400, "ErrorInvalidParameter", text)
        })?;
        let day = text.parse::<NaiveDate>().ok().map(crate::store::zone::midnight);
        parse_iso(text).or(day).ok_or_else(|| {
            let text = format!("The value '{text}' of parameter '{wanted}' is invalid.");
            Refusal::new(400, "ErrorInvalidParameter", &text)
        })
    };
    let (from, until) = (at("startDateTime")?, at("endDateTime")?);
    if from > until {
        return Err(Refusal::new(400, "ErrorInvalidParameter", "The start of the window is after its end."));
    }
    Ok((from, until))
}

fn shape(call: &Call) -> Result<Zone, Refusal> {
    if let Some(filter) = &call.query.filter {
        let text = format!("The query filter contains one or more invalid nodes: {filter}");
        return Err(Refusal::new(400, "ErrorInvalidUrlQueryFilter", &text));
    }
    selected(call)
}

fn selected(call: &Call) -> Result<Zone, Refusal> {
    call.query.check_select(&EVENT_PROPERTIES, "event")?;
    wanted_zone(call)
}

fn show(call: &Call, guid: &str, entry: &Entry<Event>, instance: &Instance, zone: Zone) -> Map<String, Value> {
    let shown = Shown { guid, entry, instance, prefer: &call.request.prefer, zone };
    let mut out = shown.json(&call.query);
    if call.query.select.is_none() {
        shown.add_calendar_links(&call.url(&format!("/users('{}')", user_of(call.target))), &mut out);
    }
    out
}

fn user_of(target: &Target) -> &str {
    target.user.as_deref().map_or(target.user_name.as_str(), |user| user.id.as_str())
}

/// Single events and series of a calendar; never occurrences.
pub fn list(call: &Call) -> Answer {
    let zone = selected(call)?;
    let filter = call.query.filter.as_deref().map(Filter::parse).transpose()?;
    let user = call.user()?;
    let (guid, entries) = {
        let calendars = read(&user.calendars);
        let id = calendars::wanted(call, &calendars)?;
        (calendars.shelf.guid.clone(), calendars.shelf.held_in(id))
    };
    let all = entries
        .iter()
        .filter(|entry| filter.as_ref().is_none_or(|filter| filter.accepts(&entry.content)))
        .map(|entry| Value::Object(show(call, &guid, entry, &Instance::of(&entry.content), zone)))
        .collect();
    paged(call, "users/calendars/events", all)
}

/// Everything that happens in a window, in the order of time.
pub fn view(call: &Call) -> Answer {
    let zone = shape(call)?;
    let (from, until) = window(call)?;
    let user = call.user()?;
    let (guid, entries) = {
        let calendars = read(&user.calendars);
        let id = calendars::wanted(call, &calendars)?;
        (calendars.shelf.guid.clone(), calendars.shelf.held_in(id))
    };
    let mut found: Vec<(&Entry<Event>, Instance)> = entries
        .iter()
        .flat_map(|entry| entry.content.instances(from, until).into_iter().map(move |instance| (entry, instance)))
        .collect();
    found.sort_by_key(|(entry, instance)| (instance.event.start_utc(), entry.item));
    let all = found.iter().map(|(entry, instance)| Value::Object(show(call, &guid, entry, instance, zone))).collect();
    paged(call, "users/calendar/calendarView", all)
}

pub fn one(call: &Call) -> Answer {
    let zone = shape(call)?;
    let found = wanted(call, call.user()?)?;
    let mut out = show(call, &found.guid, &found.entry, &found.instance, zone);
    out.insert("@odata.context".into(), json!(call.context("users/events/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

/// An event as it is now, after a change; or what it has on one day.
pub fn show_one(call: &Call, user: &User, (item, day): (u64, Option<NaiveDate>), status: u16) -> Answer {
    let zone = wanted_zone(call)?;
    let calendars = read(&user.calendars);
    let entry = calendars.shelf.entry(item).cloned().ok_or_else(Refusal::item_not_found)?;
    let guid = calendars.shelf.guid.clone();
    drop(calendars);
    let instance = match day {
        None => Instance::of(&entry.content),
        Some(day) => entry.content.on_day(day).ok_or_else(Refusal::item_not_found)?,
    };
    let mut out = show(call, &guid, &entry, &instance, zone);
    out.insert("@odata.context".into(), json!(call.context("users/events/$entity")));
    Ok(Reply::json(status, Value::Object(out)))
}

/// Occurrences and exceptions of a series in a window.
pub fn instances(call: &Call) -> Answer {
    let zone = shape(call)?;
    let (from, until) = window(call)?;
    let found = wanted(call, call.user()?)?;
    if found.instance.kind != EventKind::SeriesMaster {
        return Err(Refusal::new(
            400,
            "ErrorInvalidRequest",
            "Your request can't be completed. Only a series master has instances.",
        ));
    }
    let all = found.entry.content.instances(from, until);
    let all = all.iter().map(|one| Value::Object(show(call, &found.guid, &found.entry, one, zone))).collect();
    paged(call, "users/events/instances", all)
}

pub fn exceptions(call: &Call) -> Answer {
    let zone = shape(call)?;
    let found = wanted(call, call.user()?)?;
    let all = found.instance.event.exception_instances();
    let all = all.iter().map(|one| Value::Object(show(call, &found.guid, &found.entry, one, zone))).collect();
    paged(call, "users/events/exceptionOccurrences", all)
}

/// An event with everything in it, told without a request.
pub fn whole(guid: &str, entry: &Entry<Event>, instance: &Instance) -> Map<String, Value> {
    let prefer = crate::request::Prefer { immutable: true, unsafe_html: true, ..Default::default() };
    let shown = Shown { guid, entry, instance, prefer: &prefer, zone: Zone::Utc };
    let mut out = shown.json(&Query::default());
    out.insert("calendarId".into(), json!(id_of(guid, entry.container)));
    out
}
