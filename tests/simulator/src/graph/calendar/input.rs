//! Reads the JSON of an event that a client sends, and refuses what Outlook refuses.

use super::super::Call;
use super::super::input::{read_body, read_person, strings, wrong_value};
use super::super::{attachments, extended};
use super::recurring;
use crate::clock::parse_iso;
use crate::reply::Refusal;
use crate::store::event::{Attendee, Event, Response, Role, Sensitivity, ShowAs};
use crate::store::message::Importance;
use crate::store::zone::{Zone, day_of, midnight};
use serde_json::{Map, Value};

/// What the JSON is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Create,
    Change,
    /// Of one occurrence of a series.
    ChangeOccurrence,
}

const REFUSED: [&str; 6] = ["id", "changeKey", "createdDateTime", "lastModifiedDateTime", "hasAttachments", "webLink"];
/// Read-only too, but Outlook ignores these instead of refusing.
const IGNORED: [&str; 20] = [
    "@odata.type",
    "iCalUId",
    "uid",
    "bodyPreview",
    "isCancelled",
    "isDraft",
    "isOrganizer",
    "organizer",
    "responseStatus",
    "seriesMasterId",
    "type",
    "occurrenceId",
    "onlineMeeting",
    "onlineMeetingUrl",
    "onlineMeetingProvider",
    "isOnlineMeeting",
    "originalStart",
    "originalStartTimeZone",
    "originalEndTimeZone",
    "allowNewTimeProposals",
];

pub fn wrong(name: &str) -> Refusal {
    wrong_value(name)
}

pub fn named_zone(name: &str) -> Result<Zone, Refusal> {
    Zone::find(name).ok_or_else(|| {
        let text = format!("A valid TimeZone value must be specified. '{name}' is not supported.");
        Refusal::new(400, "TimeZoneNotSupportedException", &text)
    })
}

pub fn apply(call: &Call, event: &mut Event, body: &Map<String, Value>, purpose: Purpose) -> Result<(), Refusal> {
    for (name, value) in body {
        let annotation = name.contains("@odata.") && name != "@odata.type";
        if annotation || REFUSED.contains(&name.as_str()) {
            call.violation("read_only_property", format!("'{name}' in the body of a {purpose:?} of an event"));
            return Err(Refusal::bad_request(&format!("The property '{name}' is read-only and cannot be set.")));
        }
        set(call, event, name, value, purpose)?;
    }
    reminder(event, body);
    times(event, body, purpose)?;
    let Some(wanted) = body.get("recurrence").filter(|wanted| !wanted.is_null()) else { return Ok(()) };
    if purpose == Purpose::ChangeOccurrence {
        return Err(Refusal::bad_request("An occurrence has no recurrence of its own."));
    }
    event.recurrence = Some(recurring::read(wanted, day_of(event.start), event.zone)?);
    Ok(())
}

fn set(call: &Call, e: &mut Event, name: &str, value: &Value, purpose: Purpose) -> Result<(), Refusal> {
    let wrong = || wrong_value(name);
    let truth = || value.as_bool().ok_or_else(wrong);
    match name {
        "subject" => e.subject = value.as_str().unwrap_or_default().to_owned(),
        "body" => e.body = read_body(value).ok_or_else(wrong)?,
        "categories" => e.categories = strings(value).ok_or_else(wrong)?,
        "importance" => e.importance = value.as_str().and_then(Importance::parse).ok_or_else(wrong)?,
        "sensitivity" => e.sensitivity = value.as_str().and_then(sensitivity).ok_or_else(wrong)?,
        "showAs" => e.show_as = value.as_str().and_then(show_as).ok_or_else(wrong)?,
        "location" => e.location = value["displayName"].as_str().unwrap_or_default().to_owned(),
        "locations" => {
            let all = value.as_array().ok_or_else(wrong)?;
            e.location = all.first().map_or("", |first| first["displayName"].as_str().unwrap_or_default()).to_owned();
        }
        "responseRequested" => e.response_requested = truth()?,
        "hideAttendees" => e.hide_attendees = truth()?,
        "attendees" => e.attendees = value.as_array().ok_or_else(wrong)?.iter().filter_map(attendee).collect(),
        "transactionId" if purpose == Purpose::Create => e.transaction_id = value.as_str().map(str::to_owned),
        "transactionId" => return Err(Refusal::bad_request("The transactionId of an event cannot be changed.")),
        "singleValueExtendedProperties" => {
            for (id, value) in extended::properties(value)? {
                e.set_property(id, value);
            }
        }
        "attachments" if purpose == Purpose::Create => {
            for one in value.as_array().into_iter().flatten() {
                e.attach(attachments::read(call, one)?);
            }
        }
        "start" | "end" | "isAllDay" | "recurrence" | "isReminderOn" | "reminderMinutesBeforeStart" => {}
        other if IGNORED.contains(&other) => {}
        _ => {
            let text = format!("The property '{name}' does not exist on type 'microsoft.graph.event'.");
            return Err(Refusal::new(400, "RequestBodyRead", &text));
        }
    }
    Ok(())
}

fn reminder(event: &mut Event, body: &Map<String, Value>) {
    let minutes = body.get("reminderMinutesBeforeStart").and_then(Value::as_i64).and_then(|m| i32::try_from(m).ok());
    let minutes = minutes.or(event.reminder).unwrap_or(15);
    let on = body.get("isReminderOn").and_then(Value::as_bool).unwrap_or(event.reminder.is_some());
    event.reminder = on.then_some(minutes);
}

fn times(event: &mut Event, body: &Map<String, Value>, purpose: Purpose) -> Result<(), Refusal> {
    let unfit = |text: &str| Refusal::new(400, "ErrorPropertyValidationFailure", text);
    if let Some(all_day) = body.get("isAllDay") {
        event.all_day = all_day.as_bool().ok_or_else(|| wrong("isAllDay"))?;
    }
    match (body.get("start"), body.get("end")) {
        (Some(start), Some(end)) => {
            let (begins, zone) = time(start)?;
            let (ends, other) = time(end)?;
            if event.all_day && zone != other {
                return Err(unfit("The start and the end of an all-day event must be in the same time zone."));
            }
            event.start = begins;
            event.end = if zone == other { ends } else { zone.to_local(other.to_utc(ends)) };
            // What a series has on one day stays in the zone of the series.
            if purpose == Purpose::ChangeOccurrence && !event.all_day {
                (event.start, event.end) =
                    (event.zone.to_local(zone.to_utc(begins)), event.zone.to_local(zone.to_utc(event.end)));
            } else {
                event.zone = zone;
            }
        }
        (None, None) if purpose != Purpose::Create => return Ok(()),
        _ => return Err(unfit("An event needs both a start and an end.")),
    }
    if event.all_day && [event.start, event.end].iter().any(|at| *at != midnight(day_of(*at))) {
        return Err(unfit("An all-day event starts and ends at midnight."));
    }
    if event.end < event.start || event.all_day && event.end == event.start {
        return Err(unfit("The end of an event must be after its start."));
    }
    Ok(())
}

/// Seconds on the clock of the zone.
fn time(value: &Value) -> Result<(i64, Zone), Refusal> {
    let at = value["dateTime"].as_str().and_then(parse_iso).ok_or_else(|| wrong("dateTime"))?;
    Ok((at, named_zone(value["timeZone"].as_str().unwrap_or_default())?))
}

fn attendee(value: &Value) -> Option<Attendee> {
    let role = match value["type"].as_str() {
        Some("optional") => Role::Optional,
        Some("resource") => Role::Resource,
        _ => Role::Required,
    };
    // Whatever the client says of answers, nobody has answered yet.
    Some(Attendee { person: read_person(value)?, role, response: Response::None })
}

fn sensitivity(name: &str) -> Option<Sensitivity> {
    let all = [Sensitivity::Normal, Sensitivity::Personal, Sensitivity::Private, Sensitivity::Confidential];
    all.into_iter().find(|have| have.name() == name)
}

fn show_as(name: &str) -> Option<ShowAs> {
    let all = [ShowAs::Free, ShowAs::Tentative, ShowAs::Busy, ShowAs::OutOfOffice, ShowAs::WorkingElsewhere];
    all.into_iter().find(|have| have.name() == name)
}
