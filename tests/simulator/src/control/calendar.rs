//! Calendars as one canonical document, and what their owner does to them.

use super::edits::RandomEdits;
use super::fingerprint::attachment;
use super::{Controlled, bad, tally};
use crate::app::{App, User};
use crate::clock::parse_iso;
use crate::company::{agenda, mail};
use crate::dice::{Dice, hash_text};
use crate::graph::calendar::{calendar_json, view, whole};
use crate::graph::odata::Query;
use crate::locks::{read, write};
use crate::store::calendar::{Calendar, Calendars, DEFAULT_CALENDAR, EventsDelta};
use crate::store::event::{Event, Instance};
use crate::store::ids::{IdKind, Name, What};
use crate::store::message::{Blob, Body, Person};
use crate::store::recurrence::{Pattern, Range};
use crate::store::shelf::Entry;
use crate::store::zone::{Zone, day_of};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};

/// How far into a series a random edit looks for a day.
const SEASON: i64 = 90 * 86_400;

/// Every event with its immutable id, all that a client can see of it, and hashes of content.
pub fn fingerprint(user: &User) -> Value {
    let calendars = read(&user.calendars);
    let shelf = &calendars.shelf;
    let shown = |calendar| {
        let mut out = Value::Object(calendar_json(&shelf.guid, calendar, &Query::default()));
        if let Some(all) = out.as_object_mut() {
            all.remove("changeKey");
        }
        out
    };
    let events: Vec<Value> = shelf.entries().map(|entry| line(&calendars, entry)).collect();
    json!({"calendars": shelf.containers().map(shown).collect::<Vec<_>>(), "events": events})
}

fn line(calendars: &Calendars, entry: &Entry<Event>) -> Value {
    let event = &entry.content;
    let guid = &calendars.shelf.guid;
    let mut out = describe(guid, entry, &Instance::of(event));
    out["calendar"] = json!(calendars.shelf.container(entry.container).map(|calendar| calendar.info.name.as_str()));
    out["cancelled"] = event.cancelled.iter().map(|day| json!(day.to_string())).collect();
    out["exceptions"] = event.exception_instances().iter().map(|instance| describe(guid, entry, instance)).collect();
    out
}

fn describe(guid: &str, entry: &Entry<Event>, instance: &Instance) -> Value {
    let event = &instance.event;
    let mut out = whole(guid, entry, instance);
    for volatile in ["@odata.etag", "changeKey", "webLink", "body", "bodyPreview"] {
        out.remove(volatile);
    }
    out.insert("bodyType".into(), json!(if event.body.html { "html" } else { "text" }));
    out.insert("bodyHash".into(), json!(blake3::hash(event.body.content.as_bytes()).to_hex().as_str()));
    out.insert("attachments".into(), event.attachments.iter().map(attachment).collect());
    Value::Object(out)
}

/// Only the default calendar is left, empty.
pub fn wipe(user: &User) {
    write(&user.calendars).shelf.wipe(&[DEFAULT_CALENDAR]);
}

pub fn random(app: &App, user: &User, wanted: &RandomEdits) -> Controlled {
    Ok(tally(wanted, 140, |dice| one_edit(app, user, dice)))
}

fn one_edit(app: &App, user: &User, dice: &mut Dice) -> (&'static str, String) {
    let now = app.clock.now();
    let mut calendars = write(&user.calendars);
    let roll = dice.below(100);
    let editable: Vec<u32> = calendars.shelf.containers().filter(|c| c.info.can_edit).map(|c| c.id).collect();
    let items: Vec<u64> =
        calendars.shelf.entries().filter(|e| editable.contains(&e.container)).map(|e| e.item).collect();
    if roll < 20 || items.is_empty() {
        let owner = owner(user);
        let event = Event { created: now, modified: now, ..agenda::plain(&app.world, dice, &owner) };
        let item = calendars.shelf.add(*dice.pick(&editable), event);
        return ("new_event", id_of(&calendars, item));
    }
    let item = *dice.pick(&items);
    let id = id_of(&calendars, item);
    let shelf = &mut calendars.shelf;
    let kind = match roll {
        20..=39 => {
            shelf.update(item, |e| e.change(None, now, |e| e.subject.push_str(" (new)")));
            "subject"
        }
        40..=49 => {
            shelf.update(item, |e| e.change(None, now, |e| (e.start, e.end) = (e.start + 1800, e.end + 1800)));
            "later"
        }
        50..=57 => {
            shelf.update(item, |e| {
                e.change(None, now, |e| {
                    e.attach(made_file("Added.pdf", 4000));
                })
            });
            "attach"
        }
        58..=67 => {
            let here = shelf.entry(item).map(|entry| entry.container);
            let others: Vec<u32> = editable.into_iter().filter(|id| Some(*id) != here).collect();
            if !others.is_empty() {
                shelf.move_item(item, *dice.pick(&others));
            }
            "move"
        }
        68..=79 => {
            shelf.remove(item);
            "delete"
        }
        _ => return on_some_day(&mut calendars, &items, dice, now, roll < 90),
    };
    (kind, id)
}

/// Cancels or changes one occurrence of a series of their own.
fn on_some_day(
    calendars: &mut Calendars,
    items: &[u64],
    dice: &mut Dice,
    now: i64,
    cancel: bool,
) -> (&'static str, String) {
    let shelf = &mut calendars.shelf;
    let series: Vec<(u64, Vec<NaiveDate>)> = items
        .iter()
        .filter_map(|item| {
            let event = &shelf.entry(*item)?.content;
            Some((*item, event.recurrence.as_ref()?.days(day_of(event.start + SEASON))))
        })
        .filter(|(_, days)| !days.is_empty())
        .collect();
    if series.is_empty() {
        return ("nothing", String::new());
    }
    let (item, days) = dice.pick(&series);
    let day = *dice.pick(days);
    shelf.update(*item, |event| {
        if cancel {
            event.cancel_day(day, now);
        } else {
            event.change_day(day, now, |event| event.subject.push_str(" (today)"));
        }
    });
    (if cancel { "cancel_occurrence" } else { "change_occurrence" }, id_of(calendars, *item))
}

fn owner(user: &User) -> Person {
    let profile = user.profile();
    Person { name: profile.display_name, address: profile.principal_name }
}

fn id_of(calendars: &Calendars, item: u64) -> String {
    view::name(IdKind::Immutable, item, 0, None).write(&calendars.shelf.guid)
}

fn made_file(name: &str, size: usize) -> crate::store::message::Attachment {
    mail::file(name, "application/octet-stream", Blob::Made { seed: hash_text(name), len: size, text: false })
}

/// One declared change. Ids are immutable ones, calendars are named, days are `2026-03-30`.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum CalendarEdit {
    /// An hour, or a day; a series of so many days if `daily` is given.
    Create {
        calendar: Option<String>,
        subject: String,
        start: String,
        zone: Option<String>,
        daily: Option<u32>,
    },
    /// Of an event, or of what a series has on one day.
    Change {
        id: String,
        date: Option<NaiveDate>,
        set: Change,
    },
    Cancel {
        id: String,
        date: NaiveDate,
    },
    Move {
        id: String,
        calendar: String,
    },
    Delete {
        id: String,
    },
    AddCalendar {
        name: String,
    },
    RenameCalendar {
        name: String,
        to: String,
    },
    RemoveCalendar {
        name: String,
    },
    /// How the service takes `events/delta`.
    EventsDelta {
        mode: EventsDelta,
        small_page: Option<usize>,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub location: Option<String>,
    pub categories: Option<Vec<String>>,
    /// Later by so many minutes.
    pub shift_minutes: i64,
    /// The name of a file.
    pub attach: Option<String>,
    /// Its length; a small one if nothing is said.
    pub attach_bytes: Option<usize>,
}

impl Change {
    fn apply(self, event: &mut Event) {
        if let Some(subject) = self.subject {
            event.subject = subject;
        }
        if let Some(content) = self.body {
            event.body = Body { html: true, content };
        }
        if let Some(location) = self.location {
            event.location = location;
        }
        if let Some(categories) = self.categories {
            event.categories = categories;
        }
        if let Some(name) = self.attach {
            event.attach(made_file(&name, self.attach_bytes.unwrap_or(3000)));
        }
        event.start += self.shift_minutes * 60;
        event.end += self.shift_minutes * 60;
    }
}

pub fn single(app: &App, user: &User, wanted: CalendarEdit) -> Controlled {
    let now = app.clock.now();
    let mut calendars = write(&user.calendars);
    let item = match wanted {
        CalendarEdit::Create { calendar, subject, start, zone, daily } => {
            let calendar = calendar.map_or(Ok(DEFAULT_CALENDAR), |name| named(&calendars, &name))?;
            let zone = zone.map_or(Some(Zone::Utc), |name| Zone::find(&name)).ok_or_else(|| bad("no such zone"))?;
            let start = parse_iso(&start).ok_or_else(|| bad("start is not a time"))?;
            let mut dice = Dice::of(&[hash_text(&subject), calendars.shelf.seq()]);
            let base = agenda::plain(&app.world, &mut dice, &owner(user));
            let event = Event { subject, start, end: start + 3600, zone, created: now, modified: now, ..base };
            let event = match daily {
                Some(count) => agenda::series(event, Pattern::Daily, day_of(start), Range::Numbered(count)),
                None => event,
            };
            calendars.shelf.add(calendar, event)
        }
        CalendarEdit::Change { id, date, set: wanted } => {
            let (item, of_id) = find(&calendars, &id)?;
            calendars.shelf.update(item, |event| event.change(date.or(of_id), now, |event| wanted.apply(event)));
            item
        }
        CalendarEdit::Cancel { id, date } => {
            let (item, _) = find(&calendars, &id)?;
            calendars.shelf.update(item, |event| event.cancel_day(date, now));
            item
        }
        CalendarEdit::Move { id, calendar } => {
            let ((item, _), to) = (find(&calendars, &id)?, named(&calendars, &calendar)?);
            calendars.shelf.move_item(item, to);
            item
        }
        CalendarEdit::Delete { id } => {
            let (item, _) = find(&calendars, &id)?;
            calendars.shelf.remove(item);
            item
        }
        other => return on_calendar(user, &mut calendars, other),
    };
    Ok(json!({"id": id_of(&calendars, item)}))
}

fn on_calendar(user: &User, calendars: &mut Calendars, wanted: CalendarEdit) -> Controlled {
    match wanted {
        CalendarEdit::AddCalendar { name } => {
            calendars.shelf.add_container(0, Calendar::of(&owner(user), &name));
        }
        CalendarEdit::RenameCalendar { name, to } => {
            let id = named(calendars, &name)?;
            calendars.shelf.change_container(id, |calendar| calendar.name = to);
        }
        CalendarEdit::RemoveCalendar { name } => {
            let id = named(calendars, &name)?;
            if id == DEFAULT_CALENDAR {
                return Err(bad("the default calendar stays"));
            }
            calendars.shelf.remove_container(id);
        }
        CalendarEdit::EventsDelta { mode, small_page } => {
            (calendars.events_delta, calendars.small_page) = (mode, small_page.unwrap_or(0));
        }
        _ => return Err(bad("not a change of a calendar")),
    }
    Ok(json!({}))
}

fn named(calendars: &Calendars, name: &str) -> Result<u32, super::ControlError> {
    calendars.by_name(name).ok_or_else(|| bad(format!("no calendar '{name}'")))
}

fn find(calendars: &Calendars, id: &str) -> Result<(u64, Option<NaiveDate>), super::ControlError> {
    let name = Name::read(&calendars.shelf.guid, id).filter(|name| name.what == What::Event);
    let name = name.ok_or_else(|| bad("no id of an event"))?;
    calendars.shelf.entry(name.item).ok_or_else(|| bad("no such event"))?;
    let day = i32::try_from(name.day).ok().filter(|day| *day > 0).and_then(NaiveDate::from_num_days_from_ce_opt);
    Ok((name.item, day))
}
