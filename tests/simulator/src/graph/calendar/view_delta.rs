//! Delta over a window of a calendar. The window is part of the token; series are expanded into
//! what they have in it; what is removed is told even if it never was in the window.

use super::super::Call;
use super::super::odata::Query;
use super::super::token::{Area, Phase, WalkToken};
use super::super::walk::{self, Place, Walk, refuse_options, removed};
use super::calendars::{self, id_of};
use super::events::{wanted_zone, window};
use super::view::{Shown, day_number, name};
use crate::locks::read;
use crate::reply::Answer;
use crate::store::calendar::Calendars;
use crate::store::changes::Fold;
use crate::store::event::{Event, EventKind, Instance};
use crate::store::ids::IdKind;
use crate::store::shelf::{Entry, Step};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::sync::Arc;

enum Row {
    Present(Entry<Event>, Instance),
    Removed(String),
}

pub fn page(call: &Call) -> Answer {
    let zone = wanted_zone(call)?;
    let user = call.user()?;
    let calendars = read(&user.calendars);
    let calendar = calendars::wanted(call, &calendars)?;
    let shelf = &calendars.shelf;
    let place = Place {
        guid: &shelf.guid,
        epoch: shelf.epoch,
        seq: shelf.seq(),
        area: Area::CalendarView,
        container: calendar,
    };
    let token = match walk::open(call, &place)? {
        Some(token) => token,
        None => {
            refuse_options(call, &["$select", "$expand", "$filter", "$orderby", "$search", "$top"])?;
            WalkToken { window: Some(window(call)?), ..walk::begin(call, &place) }
        }
    };
    let prefer = &call.request.prefer;
    let (guid, rows) = (shelf.guid.clone(), rows(&calendars, &token, prefer.kind()));
    drop(calendars);
    let path = match &call.target.folder {
        Some(_) => format!("calendars('{}')/calendarView/delta", id_of(&guid, calendar)),
        None => "calendarView/delta".to_owned(),
    };
    let ghost = name(prefer.kind(), u64::MAX >> 8, 1, None).write(&guid);
    Walk { token, type_name: "event", path: &path, ghost }.page(call, rows, |row| match row {
        Row::Removed(id) => removed("event", &id),
        Row::Present(entry, instance) => {
            let shown = Shown { guid: &guid, entry: &entry, instance: &instance, prefer, zone };
            let mut out = match instance.kind {
                EventKind::Occurrence => shown.thin(),
                EventKind::SingleInstance | EventKind::Exception | EventKind::SeriesMaster => {
                    shown.json(&Query::default())
                }
            };
            out.insert("@odata.type".into(), json!("#microsoft.graph.event"));
            Value::Object(out)
        }
    })
}

/// Whatever of an event is in the window, a series itself first.
fn seen(event: &Arc<Event>, (from, until): (i64, i64)) -> Vec<Instance> {
    let mut all = event.instances(from, until);
    if event.recurrence.is_some() && !all.is_empty() {
        all.insert(0, Instance::of(event));
    }
    all
}

fn rows(calendars: &Calendars, token: &WalkToken, kind: IdKind) -> Vec<(u64, Row)> {
    let shelf = &calendars.shelf;
    let window = token.window.unwrap_or_default();
    let Phase::Changes { from, .. } = token.phase else {
        let held = shelf.held_in(token.folder);
        return held
            .into_iter()
            .flat_map(|entry| {
                let all = seen(&entry.content, window);
                all.into_iter().map(move |one| (key(entry.item, one.day), Row::Present(entry.clone(), one)))
            })
            .collect();
    };
    let steps = shelf.changes(token.folder, from, token.upto, Fold::of(kind));
    steps.iter().flat_map(|step| changed(&shelf.guid, step, window, kind)).map(|row| (0, row)).collect()
}

/// Rises over the series and the days in it.
fn key(item: u64, day: Option<NaiveDate>) -> u64 {
    (item << 32) | u64::from(day_number(day))
}

fn changed(guid: &str, step: &Step<Event>, window: (i64, i64), kind: IdKind) -> Vec<Row> {
    let before = step.before.as_ref().map(|event| seen(event, window)).unwrap_or_default();
    let now = step.now.as_ref().map(|entry| seen(&entry.content, window)).unwrap_or_default();
    let gone = |day| Row::Removed(name(kind, step.item, step.incarnation, day).write(guid));
    let mut rows: Vec<Row> =
        before.iter().filter(|old| !now.iter().any(|new| new.day == old.day)).map(|old| gone(old.day)).collect();
    // Events that never were in the window are told of as removed when anything befalls them.
    if before.is_empty() && now.is_empty() {
        rows.push(gone(None));
    }
    if let Some(entry) = &step.now {
        rows.extend(now.into_iter().map(|one| Row::Present(entry.clone(), one)));
    }
    rows
}
