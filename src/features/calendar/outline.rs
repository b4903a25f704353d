//! What a walk tells of an event, and what browse and search show of it. Pure.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Value, json};

use super::{KIND_EVENT, KIND_SERIES};
use crate::features::exchange::{STATE, text};
use crate::features::words::Words;
use crate::features::{Change, FeatureOptions, RemoteItem, Summary, change_tag, flag};

/// What an outline is made of.
pub(super) const PROPERTIES: &str = "id,changeKey,type,seriesMasterId,originalStartTimeZone,start";

/// What must be known of an event before it can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outline {
    pub change_key: String,
    /// The zone in which it was made; empty when Graph does not tell times in it.
    pub zone: String,
    pub is_series: bool,
    pub start: DateTime<Utc>,
}

impl Outline {
    /// Of an event with times in UTC; `None` when something is missing.
    pub(super) fn of_event(event: &Value) -> Option<Self> {
        Some(Self {
            change_key: event["changeKey"].as_str()?.to_owned(),
            zone: askable(text(&event["originalStartTimeZone"])).to_owned(),
            is_series: event["type"].as_str()? == "seriesMaster",
            start: start_utc(&event["start"])?,
        })
    }

    fn to_properties(&self) -> Value {
        json!({ STATE: self.change_key, "zone": self.zone, "series": self.is_series, "start": self.start })
    }

    /// As a walk reported it.
    pub(super) fn of_item(item: &RemoteItem) -> Option<Self> {
        let told = item.properties.as_ref()?;
        Some(Self {
            change_key: told[STATE].as_str()?.to_owned(),
            zone: told["zone"].as_str()?.to_owned(),
            is_series: told["series"].as_bool()?,
            start: serde_json::from_value(told["start"].clone()).ok()?,
        })
    }
}

/// An entry of a walk. What is told of one occurrence is a change of its series.
pub(super) fn read(entry: Value, _options: &FeatureOptions) -> Option<Change> {
    let part_of_series = matches!(text(&entry["type"]), "occurrence" | "exception");
    if let (true, Some(series)) = (part_of_series, entry["seriesMasterId"].as_str()) {
        return Some(Change::Present(RemoteItem { id: series.to_owned(), properties: None }));
    }
    let properties = Outline::of_event(&entry).map(|outline| outline.to_properties());
    Some(Change::Present(RemoteItem { id: entry["id"].as_str()?.to_owned(), properties }))
}

/// A zone that can be named in a request; UTC needs no naming, and a custom zone has no name that Graph knows.
fn askable(zone: &str) -> &str {
    let plain = zone.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\');
    if plain && !zone.starts_with("tzone://") && !zone.eq_ignore_ascii_case("UTC") { zone } else { "" }
}

/// Graph writes a time and its zone apart, and the time without an offset.
fn start_utc(start: &Value) -> Option<DateTime<Utc>> {
    if !start["timeZone"].as_str()?.eq_ignore_ascii_case("UTC") {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(start["dateTime"].as_str()?, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(time.and_utc())
}

/// The columns for browse and search.
pub(super) fn summary(event: &Value, start: DateTime<Utc>, has_attachments: bool) -> Summary {
    let organizer = &event["organizer"]["emailAddress"];
    let party = if text(&organizer["address"]).is_empty() { &organizer["name"] } else { &organizer["address"] };
    Summary {
        kind: if text(&event["type"]) == "seriesMaster" { KIND_SERIES } else { KIND_EVENT },
        flags: flags(event, has_attachments),
        change_tag: change_tag(text(&event["changeKey"])),
        name: text(&event["subject"]).to_owned(),
        party: text(party).to_owned(),
        time: start,
        parent: None,
        words: words(event),
    }
}

/// What is searched of an event besides its columns; of a series also what its exceptions say.
fn words(event: &Value) -> String {
    let mut words = Words::default();
    let exceptions = event["exceptionOccurrences"].as_array().into_iter().flatten();
    for told in std::iter::once(event).chain(exceptions) {
        if told["subject"] != event["subject"] {
            words.text(text(&told["subject"]));
        }
        words.text(text(&told["organizer"]["emailAddress"]["name"])).text(text(&told["location"]["displayName"]));
        words.recipients(&told["attendees"]);
        for attached in told["attachments"].as_array().into_iter().flatten() {
            words.attachment(text(&attached["name"]));
        }
    }
    words.take()
}

fn flags(event: &Value, has_attachments: bool) -> u16 {
    let importance = text(&event["importance"]);
    [
        (event["isDraft"] == true, flag::DRAFT),
        (has_attachments, flag::ATTACHMENTS),
        (importance.eq_ignore_ascii_case("high"), flag::HIGH_IMPORTANCE),
        (importance.eq_ignore_ascii_case("low"), flag::LOW_IMPORTANCE),
    ]
    .into_iter()
    .filter_map(|(set, bit)| set.then_some(bit))
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({
            "id": "e", "changeKey": "k", "type": "seriesMaster", "seriesMasterId": null, "subject": "Plan",
            "originalStartTimeZone": "W. Europe Standard Time", "importance": "high", "isDraft": false,
            "start": {"dateTime": "2026-03-30T07:00:00.0000000", "timeZone": "UTC"},
            "organizer": {"emailAddress": {"name": "Ann", "address": "ann@contoso.com"}},
        })
    }

    fn item(entry: Value) -> RemoteItem {
        let Some(Change::Present(item)) = read(entry, &FeatureOptions::default()) else { panic!("it is present") };
        item
    }

    #[test]
    fn a_walk_carries_what_the_capture_needs() {
        let outline = Outline::of_item(&item(event())).unwrap();

        assert_eq!(outline, Outline::of_event(&event()).unwrap());
        assert_eq!((outline.change_key.as_str(), outline.is_series), ("k", true));
        assert_eq!(outline.zone, "W. Europe Standard Time");
        assert_eq!(outline.start.to_rfc3339(), "2026-03-30T07:00:00+00:00");
    }

    #[test]
    fn an_entry_that_lacks_something_is_asked_for_again() {
        for missing in ["changeKey", "type", "start"] {
            let mut entry = event();
            entry.as_object_mut().unwrap().remove(missing);
            assert_eq!(item(entry), RemoteItem { id: "e".into(), properties: None }, "{missing}");
        }
    }

    #[test]
    fn what_is_told_of_an_occurrence_is_a_change_of_its_series() {
        let entry = json!({"id": "o", "type": "exception", "seriesMasterId": "e", "changeKey": "k"});

        assert_eq!(item(entry), RemoteItem { id: "e".into(), properties: None });
    }

    #[test]
    fn only_a_zone_with_a_name_is_asked_for() {
        for (zone, asked) in [
            ("Tokyo Standard Time", "Tokyo Standard Time"),
            ("Europe/Berlin", "Europe/Berlin"),
            ("UTC", ""),
            ("tzone://Microsoft/Custom", ""),
            ("x\", y=\"z", ""),
            ("Mitteleuropäische Zeit", ""),
        ] {
            assert_eq!(askable(zone), asked, "{zone}");
        }
    }

    #[test]
    fn a_summary_is_read_from_the_properties() {
        let start = start_utc(&event()["start"]).unwrap();

        let summary = summary(&event(), start, true);

        assert_eq!((summary.kind, summary.flags), (KIND_SERIES, flag::ATTACHMENTS | flag::HIGH_IMPORTANCE));
        assert_eq!((summary.name.as_str(), summary.party.as_str()), ("Plan", "ann@contoso.com"));
        assert_eq!((summary.time, summary.change_tag), (start, change_tag("k")));
    }
}
