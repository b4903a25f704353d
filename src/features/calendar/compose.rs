//! From a stored event, or one that was read, to what Graph takes to make it. Pure.
//!
//! What mails people is never part of it: no attendees, no online meeting, no address of a room.

use chrono::{DateTime, Duration, NaiveDateTime, NaiveTime, Utc};
use serde_json::{Map, Value, json};

use super::meeting;
use super::recurring::{self, Recurring};
use crate::features::exchange::text;

/// Taken over as they are.
const PLAIN: [&str; 6] =
    ["subject", "importance", "sensitivity", "categories", "isAllDay", "reminderMinutesBeforeStart"];
/// What is set when an event is made, and never compared.
pub(super) const AT_CREATION: [&str; 4] =
    ["responseRequested", "isOnlineMeeting", "hideAttendees", "allowNewTimeProposals"];
/// What an invited person decides alone.
const PRIVATE: [&str; 4] = ["categories", "showAs", "isReminderOn", "reminderMinutesBeforeStart"];
/// What an exception of a series has of its own.
const OF_EXCEPTION: [&str; 11] = [
    "subject",
    "importance",
    "sensitivity",
    "categories",
    "isAllDay",
    "reminderMinutesBeforeStart",
    "isReminderOn",
    "showAs",
    "body",
    "location",
    "locations",
];
/// How a place looks that Graph takes: ids of a place are Exchange's own, and mail to a room would book it.
const OF_LOCATION: [&str; 5] = ["displayName", "locationType", "locationUri", "address", "coordinates"];
/// The zones of the world lie between these, so that a time without its zone is known within them.
const EARLIEST: Duration = Duration::hours(14);
const LATEST: Duration = Duration::hours(12);
const CUSTOM: &str = "tzone://";

/// An event that is ready to be made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Composed {
    pub fields: Map<String, Value>,
    /// By how many days its dates are later than the original's; see [`recurring`].
    pub shift: i64,
    /// Its reminder is on if it turns out that the event has not begun.
    pub reminder_waits: bool,
    pub remarks: Vec<String>,
}

/// `Err`: it cannot be made; the text says why.
pub(super) fn compose(original: &Value, now: DateTime<Utc>) -> Result<Composed, String> {
    let mut fields = Map::new();
    for name in PLAIN.into_iter().chain(["hideAttendees", "allowNewTimeProposals"]) {
        if !original[name].is_null() {
            fields.insert(name.to_owned(), original[name].clone());
        }
    }
    let show_as = text(&original["showAs"]);
    if !show_as.is_empty() && show_as != "unknown" {
        fields.insert("showAs".to_owned(), json!(show_as));
    }
    fields.insert("responseRequested".to_owned(), json!(false));
    fields.insert("isOnlineMeeting".to_owned(), json!(false));
    fields.insert("body".to_owned(), meeting::body(original));
    let (name, place) = place(original);
    fields.insert(name.to_owned(), place);
    let (start, end) = (moment(original, "start")?, moment(original, "end")?);
    let mut remarks = meeting::remarks(original);
    let zoned = is_zoned(original);
    if !zoned {
        remarks.push("its time zone has no name that Microsoft knows: it is restored in UTC".to_owned());
    }
    let mut shift = 0;
    if original["recurrence"].is_object() {
        let Recurring { recurrence, shift: by } = recurring::recurring(&original["recurrence"], start.date(), zoned)?;
        fields.insert("recurrence".to_owned(), recurrence);
        shift = by;
    }
    let zone = text(&original["start"]["timeZone"]);
    for (name, at) in [("start", start), ("end", end)] {
        let written = at.format("%Y-%m-%dT%H:%M:%S.0000000").to_string();
        fields.insert(name.to_owned(), json!({ "dateTime": written, "timeZone": zone }));
    }
    let mut composed = Composed { fields, shift, reminder_waits: false, remarks };
    remind(&mut composed, original, (start, end), now);
    Ok(composed)
}

impl Composed {
    /// What a PATCH of `current` must say so that it becomes as this.
    pub(super) fn differences(&self, current: &Self) -> Map<String, Value> {
        let differs = |(name, value): &(&String, &Value)| {
            !AT_CREATION.contains(&name.as_str()) && !same(name, value, current.fields.get(*name))
        };
        let fields = self.fields.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone()));
        together(fields.collect(), &self.fields)
    }

    /// What of it an invited person may change without a word to anybody.
    pub(super) fn private_differences(&self, current: &Self) -> Map<String, Value> {
        let mut fields = self.differences(current);
        fields.retain(|name, _| PRIVATE.contains(&name.as_str()));
        fields
    }

    /// What an occurrence of `series` must be told to become this exception.
    pub(super) fn as_exception_of(&self, series: &Self) -> Map<String, Value> {
        let mut fields = self.differences(series);
        fields.retain(|name, _| OF_EXCEPTION.contains(&name.as_str()));
        for name in ["start", "end"] {
            fields.insert(name.to_owned(), self.fields[name].clone());
        }
        fields
    }
}

/// A start is nothing without its end, and the length of a day not without both.
fn together(mut fields: Map<String, Value>, all: &Map<String, Value>) -> Map<String, Value> {
    if ["start", "end", "isAllDay", "recurrence"].iter().any(|name| fields.contains_key(*name)) {
        for name in ["start", "end", "isAllDay"] {
            if let Some(value) = all.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }
    fields
}

/// Exchange writes HTML in its own way: what counts is what people read.
fn same(name: &str, ours: &Value, theirs: Option<&Value>) -> bool {
    let Some(theirs) = theirs else { return false };
    if name == "body" { legible(ours) == legible(theirs) } else { ours == theirs }
}

fn legible(body: &Value) -> String {
    let content = text(&body["content"]);
    if text(&body["contentType"]) == "text" {
        return content.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let mut read = String::with_capacity(content.len());
    let mut in_tag = false;
    for sign in content.chars() {
        match sign {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                read.push(' ');
            }
            sign if !in_tag => read.push(sign),
            _ => {}
        }
    }
    read.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn place(original: &Value) -> (&'static str, Value) {
    let all = original["locations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<Value> = all.iter().map(location).filter(|place| !text(&place["displayName"]).is_empty()).collect();
    if named.is_empty() {
        return ("location", json!({ "displayName": text(&original["location"]["displayName"]) }));
    }
    ("locations", Value::Array(named))
}

fn location(original: &Value) -> Value {
    let filled = |value: &Value| match value {
        Value::Null => false,
        Value::Object(members) => members.values().any(|member| !member.is_null()),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => true,
    };
    let taken = OF_LOCATION.iter().filter(|name| filled(&original[**name]));
    taken.map(|name| ((*name).to_owned(), original[*name].clone())).collect::<Map<_, _>>().into()
}

fn moment(original: &Value, name: &str) -> Result<NaiveDateTime, String> {
    let written = text(&original[name]["dateTime"]);
    let at = NaiveDateTime::parse_from_str(written.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f");
    let at = at.map_err(|_| format!("its {name} cannot be read"))?;
    if original["isAllDay"] == true && at.time() != NaiveTime::MIN {
        // A day that was asked for in UTC begins at another hour: the midnight beside it is meant.
        return Ok((at + LATEST).date().and_time(NaiveTime::MIN));
    }
    Ok(at)
}

/// Whether its times are told in the zone that it was made in.
fn is_zoned(original: &Value) -> bool {
    let (zone, made_in) = (text(&original["start"]["timeZone"]), text(&original["originalStartTimeZone"]));
    !made_in.starts_with(CUSTOM) && (made_in.is_empty() || made_in.eq_ignore_ascii_case("UTC") || zone != "UTC")
}

/// Whatever lies behind us does not ring any more.
fn remind(composed: &mut Composed, original: &Value, (start, end): (NaiveDateTime, NaiveDateTime), now: DateTime<Utc>) {
    let wanted = original["isReminderOn"] == true;
    let now = now.naive_utc();
    let (over, doubtful) = match composed.fields.get("recurrence") {
        Some(recurrence) => {
            let last = recurring::ended_by(recurrence).map(|day| day.and_time(NaiveTime::MIN) + (end - start));
            (last.is_some_and(|last| last + Duration::hours(24) + LATEST < now), false)
        }
        None => (start + LATEST <= now, start - EARLIEST <= now),
    };
    if wanted && over {
        composed.remarks.push("its time is over: the reminder is off".to_owned());
    }
    composed.reminder_waits = wanted && !over && doubtful;
    composed.fields.insert("isReminderOn".to_owned(), json!(wanted && !over && !doubtful));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn event() -> Value {
        json!({
            "id": "e", "changeKey": "k", "iCalUId": "u", "webLink": "w", "type": "singleInstance", "subject": "Plan",
            "importance": "high", "sensitivity": "private", "categories": ["Red"], "showAs": "oof", "isAllDay": false,
            "isReminderOn": true, "reminderMinutesBeforeStart": 30, "responseRequested": true, "isOnlineMeeting": true,
            "originalStartTimeZone": "W. Europe Standard Time", "isOrganizer": true, "hideAttendees": false,
            "start": {"dateTime": "2026-12-30T09:00:00.0000000", "timeZone": "W. Europe Standard Time"},
            "end": {"dateTime": "2026-12-30T10:00:00.0000000", "timeZone": "W. Europe Standard Time"},
            "body": {"contentType": "html", "content": "<p>Agenda</p>"}, "recurrence": null,
            "attendees": [{"type": "required", "emailAddress": {"name": "Bob", "address": "bob@x.y"}}],
            "location": {"displayName": "Room 1"},
            "locations": [{"displayName": "Room 1", "locationEmailAddress": "room@x.y", "uniqueId": "Room 1",
                "locationType": "conferenceRoom", "address": {}, "uniqueIdType": "private"}],
        })
    }

    fn composed(event: &Value) -> Composed {
        compose(event, now()).unwrap()
    }

    #[test]
    fn nothing_that_mails_anybody_is_sent() {
        let made = composed(&event()).fields;

        let names: Vec<&str> = made.keys().map(String::as_str).collect();
        for never in ["attendees", "organizer", "id", "iCalUId", "changeKey", "onlineMeeting", "responseStatus"] {
            assert!(!names.contains(&never), "{names:?}");
        }
        assert_eq!((&made["isOnlineMeeting"], &made["responseRequested"]), (&json!(false), &json!(false)));
        assert_eq!(made["locations"], json!([{"displayName": "Room 1", "locationType": "conferenceRoom"}]));
        assert!(made["body"]["content"].as_str().unwrap().contains("bob@x.y"));
    }

    #[test]
    fn the_reminder_of_what_is_over_is_off_and_that_of_what_comes_is_on() {
        let at = |day: &str| {
            let mut event = event();
            event["start"]["dateTime"] = json!(day);
            event["end"]["dateTime"] = json!(day);
            let made = composed(&event);
            (made.fields["isReminderOn"] == true, made.reminder_waits)
        };

        assert_eq!(at("2026-11-24T09:00:00"), (false, false));
        assert_eq!(at("2026-11-25T13:00:00"), (false, true), "its zone decides whether it is over");
        assert_eq!(at("2026-11-26T09:00:00"), (true, false));
    }

    #[test]
    fn the_reminder_of_a_series_is_on_until_its_end() {
        let until = |day: &str| {
            let mut series = event();
            series["start"]["dateTime"] = json!("2026-01-05T09:00:00");
            series["end"]["dateTime"] = json!("2026-01-05T10:00:00");
            series["recurrence"] = json!({"pattern": {"type": "daily", "interval": 1},
                "range": {"type": "endDate", "startDate": "2026-01-05", "endDate": day}});
            composed(&series).fields["isReminderOn"] == true
        };

        assert!(until("2026-11-25") && until("2027-01-01") && !until("2026-11-20"));
    }

    #[test]
    fn a_whole_day_is_a_whole_day_in_utc_too() {
        let mut day = event();
        day["isAllDay"] = json!(true);
        day["originalStartTimeZone"] = json!("tzone://Microsoft/Custom");
        day["start"] = json!({"dateTime": "2026-12-29T22:30:00.0000000", "timeZone": "UTC"});
        day["end"] = json!({"dateTime": "2026-12-30T22:30:00.0000000", "timeZone": "UTC"});

        let made = composed(&day);

        assert_eq!(made.fields["start"]["dateTime"], "2026-12-30T00:00:00.0000000");
        assert_eq!(made.fields["end"]["dateTime"], "2026-12-31T00:00:00.0000000");
        assert!(made.remarks.iter().any(|remark| remark.contains("UTC")), "{:?}", made.remarks);
    }

    #[test]
    fn an_exception_says_what_it_has_of_its_own() {
        let mut exception = event();
        exception["subject"] = json!("Plan (moved)");
        exception["start"]["dateTime"] = json!("2026-12-31T09:00:00.0000000");

        let told = composed(&exception).as_exception_of(&composed(&event()));

        assert_eq!(told.keys().collect::<Vec<_>>(), ["end", "isAllDay", "start", "subject"]);
    }

    #[test]
    fn the_same_text_in_other_html_is_no_difference() {
        let mut read = event();
        read["body"]["content"] = json!("<html><head></head><body>\r\n<p>Agenda</p></body></html>");
        let (ours, theirs) = (composed(&event()), composed(&read));
        assert_eq!(ours.differences(&theirs), Map::new());

        read["categories"] = json!([]);
        read["subject"] = json!("Other");
        let theirs = composed(&read);

        assert_eq!(ours.differences(&theirs).keys().collect::<Vec<_>>(), ["categories", "subject"]);
        assert_eq!(ours.private_differences(&theirs).keys().collect::<Vec<_>>(), ["categories"]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut odd = event();
        odd["end"] = Value::Null;

        assert!(compose(&odd, now()).unwrap_err().contains("its end"));
    }
}
