//! Events as iCalendar (RFC 5545): a single event, or a series with its exceptions and cancelled dates.
//!
//! Made of the JSON that was captured; nothing is asked of anybody. There is no `METHOD`: whoever opens the file sees
//! events, and nobody is invited.

mod definition;
mod event;
mod moment;
mod recurrence;
mod zones;

use std::collections::HashSet;

use chrono_tz::Tz;
use serde_json::Value;

use super::json::text;
use super::lines::Lines;
use crate::features::Piece;

const BEGIN: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//KODO//Export//EN\r\nCALSCALE:GREGORIAN\r\n";
const END: &str = "END:VCALENDAR\r\n";

/// A calendar that is being written, item by item. A zone is defined where it is first used.
#[derive(Debug, Default)]
pub struct Calendar {
    defined: HashSet<Tz>,
}

impl Calendar {
    /// What stands before all items.
    pub fn begin() -> &'static str {
        BEGIN
    }

    pub fn end() -> &'static str {
        END
    }

    /// One item: an event, or a series and its exceptions. `attached` are the pieces of its bundle; those that are left
    /// out are told by their names.
    pub fn item(&mut self, item: &Value, attached: &[Piece]) -> String {
        let mut out = Lines::default();
        let mut events = Lines::default();
        let mut zones = Vec::new();
        let master = event::Master::of(item);
        event::write(item, &event::Place::Alone, attached, &mut zones, &mut events);
        for exception in item["exceptionOccurrences"].as_array().into_iter().flatten() {
            event::write(exception, &event::Place::In(&master), attached, &mut zones, &mut events);
        }
        for zone in zones {
            if self.defined.insert(zone) {
                definition::write(zone, &mut out);
            }
        }
        out.append(&events);
        out.into_text()
    }
}

/// One item as a file of its own.
pub fn file(item: &Value, attached: &[Piece]) -> String {
    let mut calendar = Calendar::default();
    let events = calendar.item(item, attached);
    [BEGIN, events.as_str(), END].concat()
}

/// The names of what is attached to an item and its exceptions, to say what a file lacks.
pub fn attachment_names(item: &Value) -> Vec<String> {
    let exceptions = item["exceptionOccurrences"].as_array().into_iter().flatten();
    let lists = std::iter::once(item).chain(exceptions).filter_map(|event| event["attachments"].as_array());
    lists.flatten().map(|attachment| text(&attachment["name"]).to_owned()).collect()
}
