//! Making, changing and deleting events, and what people would be told of it.

use super::super::Call;
use super::super::input::object;
use super::calendars;
use super::events::{Wanted, show_one, wanted};
use super::input::{self, Purpose};
use crate::app::User;
use crate::clock::iso;
use crate::locks::{read, write};
use crate::notices::Notice;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::calendar::Calendars;
use crate::store::event::{Event, Online, Response};
use crate::store::message::Person;
use crate::store::zone::day_of;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const REQUEST_MAX: usize = 4 * 1024 * 1024;

pub fn create(call: &Call) -> Answer {
    let user = call.user()?;
    if call.request.body.len() >= REQUEST_MAX {
        call.violation("too_large", "an event of 4 MB or more in one request");
        return Err(Refusal::too_large());
    }
    let calendar = {
        let calendars = read(&user.calendars);
        let id = calendars::wanted(call, &calendars)?;
        check_writable(call, &calendars, id)?;
        id
    };
    let body = object(call)?;
    let mut event = fresh(call, user);
    input::apply(call, &mut event, &body, Purpose::Create)?;
    if body.get("isOnlineMeeting") == Some(&Value::Bool(true)) {
        let key = uuid::Uuid::new_v4().simple().to_string();
        event.online = Some(Online {
            join_url: format!("https://teams.example/l/meetup-join/19%3ameeting_{key}%40thread.v2/0"),
            conference_id: "100000001".into(),
            toll_number: "+49 30 00000000".into(),
        });
    }
    let mut calendars = write(&user.calendars);
    let same = |have: &Event| have.transaction_id.is_some() && have.transaction_id == event.transaction_id;
    let known = calendars.shelf.entries().find(|entry| same(&entry.content)).map(|entry| entry.item);
    let item = match known {
        // The client asks again for what it got no answer to.
        Some(item) => item,
        None => {
            if event.online.is_some() {
                tell(call, user, "online_meeting", &event);
            }
            if !event.attendees.is_empty() {
                tell(call, user, "invitation", &event);
            }
            calendars.shelf.add(calendar, event)
        }
    };
    drop(calendars);
    let reply = show_one(call, user, (item, None), 201)?;
    let id = call.target.user_name.as_str();
    Ok(reply.with("Location", call.url(&format!("/users('{id}')/events"))))
}

fn fresh(call: &Call, user: &User) -> Event {
    let (now, profile) = (call.app.clock.now(), user.profile());
    Event {
        organizer: Some(Person { name: profile.display_name, address: profile.principal_name }),
        own: true,
        response: Response::Organizer,
        ical_uid: format!(
            "040000008200E00074C5B7101A82E008{}",
            uuid::Uuid::new_v4().simple().to_string().to_uppercase()
        ),
        reminder: Some(15),
        response_requested: true,
        created: now,
        modified: now,
        ..Event::default()
    }
}

/// Notes what people would get to see of this.
pub fn tell(call: &Call, user: &User, kind: &'static str, event: &Event) {
    let to: Vec<String> = event.attendees.iter().map(|attendee| attendee.person.address.clone()).collect();
    let violation = if kind == "online_meeting" { "makes_meeting" } else { "mails_attendees" };
    call.violation(violation, format!("{kind} for {} attendees", to.len()));
    call.app.watch.notices.add(Notice {
        at: iso(call.app.clock.now()),
        kind,
        user: user.id.clone(),
        subject: event.subject.clone(),
        to,
    });
}

/// Whether changes of this event are mailed: it is a meeting of this mailbox.
pub fn is_told(event: &Event) -> bool {
    event.own && !event.attendees.is_empty()
}

pub fn check_writable(call: &Call, calendars: &Calendars, calendar: u32) -> Result<(), Refusal> {
    if calendars.shelf.container(calendar).is_some_and(|calendar| calendar.info.can_edit) {
        return Ok(());
    }
    call.violation("read_only_calendar", "nobody can write into a calendar whose canEdit is false");
    Err(Refusal::new(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."))
}

/// The event of the path, in a calendar that can be written.
pub fn writable(call: &Call, user: &User) -> Result<Wanted, Refusal> {
    let found = wanted(call, user)?;
    check_writable(call, &read(&user.calendars), found.entry.container)?;
    Ok(found)
}

pub fn change(call: &Call) -> Answer {
    let user = call.user()?;
    let found = writable(call, user)?;
    let body = object(call)?;
    let day = found.instance.day;
    let purpose = if day.is_some() { Purpose::ChangeOccurrence } else { Purpose::Change };
    let before = &found.instance.event;
    let mut trial = Event::clone(before);
    input::apply(call, &mut trial, &body, purpose)?;
    if is_told(before) || is_told(&trial) {
        tell(call, user, "update", &trial);
    }
    if body.get("isOnlineMeeting") == Some(&Value::Bool(true)) && before.online.is_none() {
        tell(call, user, "online_meeting", &trial);
    }
    let now = call.app.clock.now();
    let mut refused = None;
    // Applied again on the current state: another request may have changed the event meanwhile.
    write(&user.calendars).shelf.update(found.entry.item, |event| {
        event.change(day, now, |event| {
            let old = (event.start, event.end, event.recurrence.clone());
            refused = input::apply(call, event, &body, purpose).err();
            if old != (event.start, event.end, event.recurrence.clone()) {
                // Exchange drops what deviates from a series whose times change.
                (event.exceptions, event.cancelled) = (BTreeMap::new(), BTreeSet::new());
                follow(event);
            }
        });
    });
    match refused {
        Some(refused) => Err(refused),
        None => show_one(call, user, (found.entry.item, day), 200),
    }
}

/// A series begins on the day of its event.
fn follow(event: &mut Event) {
    if let Some(recurrence) = &mut event.recurrence {
        (recurrence.start, recurrence.zone) = (day_of(event.start), event.zone);
    }
}

/// Whoever was invited hears that the event is no more.
pub fn tell_of_end(call: &Call, user: &User, event: &Event) {
    if is_told(event) && !event.is_draft && !event.is_cancelled {
        tell(call, user, "cancellation", event);
    }
}

pub fn delete(call: &Call) -> Answer {
    let user = call.user()?;
    let found = writable(call, user)?;
    tell_of_end(call, user, &found.instance.event);
    let now = call.app.clock.now();
    let shelf = &mut write(&user.calendars).shelf;
    match found.instance.day {
        Some(day) => shelf.update(found.entry.item, |event| event.cancel_day(day, now)),
        None => shelf.remove(found.entry.item),
    };
    Ok(Reply::empty(204))
}
