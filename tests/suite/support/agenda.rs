//! What a restored calendar must be, given what it was: the table for calendars in docs/FIDELITY.md as code.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate, NaiveDateTime, Utc};
use kodo_simulator::Simulator;
use serde_json::{Value, json};

/// Microsoft gives every event its own, and lets nobody set them.
const NEVER: [&str; 7] =
    ["id", "iCalUId", "createdDateTime", "lastModifiedDateTime", "transactionId", "calendarId", "seriesMasterId"];
const CUSTOM_ZONE: &str = "tzone://Microsoft/Custom";

/// A user's own calendars that can be written: their events, and whose they are.
pub struct Agenda {
    pub events: Vec<Value>,
    owner: Value,
}

impl Agenda {
    pub fn of(tenant: &Simulator, user: &str) -> Self {
        Self::where_calendar(tenant, user, |_| true)
    }

    /// Of the calendars with such names.
    pub fn where_calendar(tenant: &Simulator, user: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let whole = tenant.calendar_fingerprint(user).unwrap();
        let calendars = whole["calendars"].as_array().unwrap();
        let owner = &calendars.iter().find(|calendar| calendar["isDefaultCalendar"] == true).unwrap()["owner"];
        let own = |id: &Value| {
            let calendar = calendars.iter().find(|calendar| calendar["id"] == *id).unwrap();
            let name = calendar["name"].as_str().unwrap();
            calendar["canEdit"] == true && calendar["owner"]["address"] == owner["address"] && wanted(name)
        };
        let events = whole["events"].as_array().unwrap().iter().filter(|event| own(&event["calendarId"]));
        Self { events: events.cloned().collect(), owner: json!({ "emailAddress": owner }) }
    }

    /// The same agenda in calendars of other names.
    pub fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        for event in &mut self.events {
            event["calendar"] = json!(rename(event["calendar"].as_str().unwrap()));
        }
        self
    }

    pub fn find(&self, has: impl Fn(&Value) -> bool) -> &Value {
        self.events.iter().find(|event| has(event)).expect("the tenant has such an event")
    }

    /// What differs from what a restore of `before` makes, for people.
    pub fn differences_from(&self, before: &Self) -> Vec<String> {
        let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
        for event in &before.events {
            let made = restored(event.clone(), &self.owner);
            expected.entry(key(&made)).or_insert_with(Vec::new).push(made);
        }
        for event in &self.events {
            found.entry(key(event)).or_insert_with(Vec::new).push(sorted(event.clone()));
        }
        let mut differences = Vec::new();
        for (key, made) in &expected {
            let there = found.remove(key).unwrap_or_default();
            if there.len() != made.len() {
                differences.push(format!("{key:?}: {} instead of {}", there.len(), made.len()));
                continue;
            }
            for (made, there) in made.iter().zip(&there) {
                compare(made, there, &format!("{key:?}"), &mut differences);
            }
        }
        differences.extend(found.keys().map(|key| format!("{key:?} is too much")));
        differences
    }

    pub fn assert_restored_from(&self, before: &Self) {
        let differences = self.differences_from(before);
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }
}

/// By what events are known again.
fn key(event: &Value) -> [String; 4] {
    ["calendar", "subject", "type", "start"].map(|name| event[name].to_string())
}

fn compare(expected: &Value, found: &Value, place: &str, differences: &mut Vec<String>) {
    for (name, value) in expected.as_object().unwrap() {
        if name == "exceptions" {
            let (ours, theirs) = (value.as_array().unwrap(), found[name].as_array().unwrap());
            if ours.len() != theirs.len() {
                differences.push(format!("{place}: {} exceptions became {}", ours.len(), theirs.len()));
            }
            for (ours, theirs) in ours.iter().zip(theirs) {
                compare(ours, theirs, &format!("an exception of {place}"), differences);
            }
        } else if *value != found[name] {
            differences.push(format!("{name} of {place}: {value} became {}", found[name]));
        }
    }
}

fn sorted(mut event: Value) -> Value {
    event["attachments"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    if let Some(exceptions) = event.get_mut("exceptions").and_then(Value::as_array_mut) {
        for exception in exceptions {
            *exception = sorted(exception.take());
        }
    }
    event
}

/// The event as it comes back. A property that is left out is not compared.
fn restored(event: Value, owner: &Value) -> Value {
    let mut made = event;
    for name in NEVER {
        made.as_object_mut().unwrap().remove(name);
    }
    if is_meeting(&made) {
        // What is kept of the meeting stands in the text.
        made.as_object_mut().unwrap().remove("bodyHash");
    }
    for (name, value) in [
        ("attendees", json!([])),
        ("organizer", owner.clone()),
        ("isOrganizer", json!(true)),
        ("responseStatus", json!({"response": "organizer", "time": "0001-01-01T00:00:00Z"})),
        ("responseRequested", json!(false)),
        ("isOnlineMeeting", json!(false)),
        ("onlineMeeting", Value::Null),
        ("onlineMeetingProvider", json!("unknown")),
        ("isCancelled", json!(false)),
        ("isDraft", json!(false)),
    ] {
        made[name] = value;
    }
    if is_over(&made) {
        made["isReminderOn"] = json!(false);
    }
    if made["originalStartTimeZone"] == CUSTOM_ZONE {
        (made["originalStartTimeZone"], made["originalEndTimeZone"]) = (json!("UTC"), json!("UTC"));
        if made["recurrence"].is_object() {
            made["recurrence"]["range"]["recurrenceTimeZone"] = json!("UTC");
        }
    }
    // A link to a file in the cloud has no address in Graph v1.0.
    made["attachments"].as_array_mut().unwrap().retain(|attachment| attachment["kind"] != "reference");
    if let Some(exceptions) = made.get_mut("exceptions").and_then(Value::as_array_mut) {
        for exception in exceptions {
            *exception = restored(exception.take(), owner);
        }
    }
    sorted(made)
}

fn is_meeting(event: &Value) -> bool {
    event["attendees"] != json!([]) || event["isOrganizer"] == false || event["isOnlineMeeting"] == true
}

fn is_over(event: &Value) -> bool {
    let start = event["start"]["dateTime"].as_str().unwrap();
    let start = NaiveDateTime::parse_from_str(start, "%Y-%m-%dT%H:%M:%S%.f").unwrap();
    let now = Utc::now().naive_utc();
    let range = &event["recurrence"]["range"];
    let day = |name: &str| range[name].as_str().unwrap().parse::<NaiveDate>().unwrap();
    match range["type"].as_str() {
        None => start < now,
        Some("noEnd") => false,
        Some("endDate") => day("endDate") + Days::new(3) < now.date(),
        Some("numbered") => {
            let length = match event["recurrence"]["pattern"]["type"].as_str().unwrap() {
                "daily" => 1,
                "weekly" => 7,
                "absoluteMonthly" | "relativeMonthly" => 31,
                _ => 366,
            };
            day("startDate") + Days::new(length * range["numberOfOccurrences"].as_u64().unwrap() + 3) < now.date()
        }
        Some(other) => panic!("no range {other}"),
    }
}
