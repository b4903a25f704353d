//! What of an event or series must come back, and clearing calendars of a rehearsal.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::Calendar;
use super::calendars::named;
use super::compose::{AT_CREATION, Composed, compose};
use super::files::{Attachments, Files};
use super::occurrences::Deviations;
use crate::clock;
use crate::features::attaching::Attachment;
use crate::features::exchange::text;
use crate::features::rehearsing::{NotCounted, Portrait, Rehearsing, legible_body, print_of};
use crate::features::{RestoreError, Source, StoredItem};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// What is composed of an event to make it again, by the names of docs/FIDELITY.md.
const FIELDS: [(&str, &str); 14] = [
    ("subject", "subject"),
    ("body", "body"),
    ("start", BOUNDS),
    ("end", BOUNDS),
    ("isAllDay", "whole days"),
    ("categories", "categories"),
    ("importance", "importance"),
    ("sensitivity", "sensitivity"),
    ("showAs", "show-as"),
    ("reminderMinutesBeforeStart", "reminder minutes"),
    ("isReminderOn", "reminder"),
    ("location", "places"),
    ("locations", "places"),
    ("recurrence", "series with every pattern and range"),
];
const BOUNDS: &str = "start and end";
const ATTACHMENTS: &str = "attachments, also of changed occurrences";
const CHANGED: &str = "changed occurrences";
const CANCELLED: &str = "cancelled dates";
const ZONE: &str = "time zone";

const NOT_COUNTED: [NotCounted; 5] = [
    NotCounted {
        field: "attendees and their answers, organiser",
        properties: &[
            "attendees",
            "hideAttendees",
            "organizer",
            "isOrganizer",
            "responseRequested",
            "responseStatus",
            "allowNewTimeProposals",
        ],
    },
    NotCounted {
        field: "online meeting",
        properties: &["isOnlineMeeting", "onlineMeetingProvider", "onlineMeetingUrl", "onlineMeeting"],
    },
    NotCounted { field: "cancelled or draft meetings", properties: &["isCancelled", "isDraft"] },
    NotCounted {
        field: "iCalendar id, created and last modified time",
        properties: &[
            "id",
            "changeKey",
            "iCalUId",
            "transactionId",
            "seriesMasterId",
            "webLink",
            "createdDateTime",
            "lastModifiedDateTime",
        ],
    },
    NotCounted { field: "colours, groups and permissions of calendars", properties: &[] },
];
const STAYS: &str = "the calendars lie in Deleted Items until Exchange empties it or somebody does";

impl Rehearsing for Calendar {
    fn portrait(&self, item: &StoredItem) -> Result<Portrait, RestoreError> {
        portrait(item)
    }

    fn not_counted(&self) -> &'static [NotCounted] {
        &NOT_COUNTED
    }

    fn clear<'a>(
        &'a self,
        target: Source<'a>,
        top: &'a str,
    ) -> BoxFuture<'a, Result<Option<&'static str>, RestoreError>> {
        Box::pin(clear(target, top))
    }
}

/// Composed as if it were to be made again: what a meeting was stands in its text then, before and after.
fn portrait(item: &StoredItem) -> Result<Portrait, RestoreError> {
    let event = item.json()?;
    let composed = compose(&event, clock::now()).map_err(RestoreError::Item)?;
    let files = Files::of(item)?;
    let mut portrait = Portrait::default();
    for (name, field) in FIELDS {
        let part = if field == BOUNDS { name } else { "" };
        let value = composed.fields.get(name).map(|value| comparable(name, value));
        portrait.note(field, part, value.unwrap_or_default());
    }
    portrait.note(ZONE, "", json!(text(&event["start"]["timeZone"])));
    portrait.note(ATTACHMENTS, "", prints(&files.attached_to(&event)));
    let deviations = Deviations::of(&event, &composed)?;
    portrait.note(CANCELLED, "", json!(deviations.cancelled_days()));
    portrait.note(CHANGED, "", deviations.changed().map(|one| changed(&files, one)).collect());
    Ok(portrait)
}

/// A changed occurrence by when it would have been, with all that is composed of it.
fn changed(files: &Files, (original, stored, composed): (chrono::DateTime<chrono::Utc>, &Value, &Composed)) -> Value {
    let fields = composed.fields.iter().filter(|(name, _)| !AT_CREATION.contains(&name.as_str()));
    let fields: Map<String, Value> = fields.map(|(name, value)| (name.clone(), comparable(name, value))).collect();
    json!([original.timestamp(), fields, prints(&files.attached_to(stored))])
}

fn comparable(name: &str, value: &Value) -> Value {
    match name {
        "body" => legible_body(value),
        // The zone is a field of its own.
        "start" | "end" => value["dateTime"].clone(),
        "categories" => {
            let mut categories: Vec<&str> = value.as_array().into_iter().flatten().map(text).collect();
            categories.sort_unstable();
            json!(categories)
        }
        "location" => match text(&value["displayName"]) {
            "" => Value::Null,
            name => json!([{ "displayName": name }]),
        },
        _ => value.clone(),
    }
}

fn prints(attachments: &Attachments) -> Value {
    let print = |attachment: &Attachment| match attachment {
        Attachment::File(file) => json!([file.name, file.inline, print_of(&file.content)]),
        Attachment::Message { name, item, .. } => json!([name, text(&item["subject"]), legible_body(&item["body"])]),
    };
    let mut all: Vec<Value> = attachments.wanted.iter().map(|wanted| print(&wanted.attachment)).collect();
    all.sort_by_key(Value::to_string);
    Value::Array(all)
}

/// Nobody is invited to what a restore made, so that nobody hears of its end.
async fn clear(target: Source<'_>, top: &str) -> Result<Option<&'static str>, RestoreError> {
    let begins = format!("{top}: ").to_lowercase();
    let mut stays = None;
    let ours = |(_, name): &(String, String)| name.to_lowercase().starts_with(&begins);
    for (calendar, _) in named(target).await?.into_iter().filter(ours) {
        let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Calendar { calendar: &calendar } };
        match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
            Ok(()) => stays = Some(STAYS),
            Err(GraphError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(stays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::StoredContent;
    use crate::features::calendar::KIND_EVENT;
    use crate::features::calendar::capture::PROPERTIES;
    use crate::ids::ItemKey;

    fn drawn(change: impl FnOnce(&mut Value)) -> Portrait {
        let mut event = json!({
            "id": "e", "type": "singleInstance", "subject": "Plan", "categories": ["Red"], "isAllDay": false,
            "start": {"dateTime": "2026-12-30T09:00:00.0000000", "timeZone": "W. Europe Standard Time"},
            "end": {"dateTime": "2026-12-30T10:00:00.0000000", "timeZone": "W. Europe Standard Time"},
            "body": {"contentType": "html", "content": "<p>Agenda</p>"}, "isOrganizer": true,
            "organizer": {"emailAddress": {"name": "Ann", "address": "ann@x.y"}},
            "attendees": [{"type": "required", "emailAddress": {"name": "Bob", "address": "bob@x.y"}}],
        });
        change(&mut event);
        let item = StoredItem {
            key: ItemKey::of("e"),
            kind: KIND_EVENT,
            properties: event.to_string().into(),
            content: StoredContent::None,
        };
        portrait(&item).unwrap()
    }

    #[test]
    fn a_meeting_that_came_back_with_its_attendees_in_the_text_is_whole() {
        let as_restored = |event: &mut Value| {
            event["body"] = super::super::meeting::body(event);
            event["attendees"] = json!([]);
        };
        let stored = drawn(|_| {});

        assert!(stored.likeness(&drawn(as_restored)).differences.is_empty());
        let without = stored.likeness(&drawn(|event| event["attendees"] = json!([])));
        assert_eq!(without.differences.iter().map(|one| one.field).collect::<Vec<_>>(), ["body"]);
    }

    #[test]
    fn a_category_a_start_and_a_zone_are_fields_of_their_own() {
        let found = drawn(|_| {}).likeness(&drawn(|event| {
            event["categories"] = json!([]);
            event["start"]["dateTime"] = json!("2026-12-30T08:00:00.0000000");
        }));

        assert_eq!(found.named(), [("categories", ""), (BOUNDS, "start")]);
    }

    #[test]
    fn every_property_that_is_captured_is_compared_or_told_as_not_counted() {
        const COMPARED: [&str; 6] = [
            "type",
            "cancelledOccurrences",
            "originalStart",
            "originalStartTimeZone",
            "originalEndTimeZone",
            "hasAttachments",
        ];
        for property in PROPERTIES.split(',').map(str::trim) {
            let compared = COMPARED.contains(&property) || FIELDS.iter().any(|(name, _)| *name == property);
            let passed_by = NOT_COUNTED.iter().any(|one| one.properties.contains(&property));
            assert!(compared != passed_by, "{property}");
        }
    }
}
