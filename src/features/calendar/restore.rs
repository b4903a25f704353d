//! Bringing one event or series back, without a word to anybody: made, with all that belongs to it, or brought up to date.

use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};

use super::calendars::READ_ONLY;
use super::compose::{Composed, compose};
use super::files::{Attachments, Files};
use super::marker::{Marker, Progress};
use super::occurrences::{Deviations, deviate};
use super::target::identity;
use super::update;
use crate::clock;
use crate::features::attaching::{Holder, attach, is_refusal};
use crate::features::exchange::text;
use crate::features::marking::find_marked;
use crate::features::{Action, Recognised, RestoreError, Restored, Source, StoredItem};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// How often a creation with an unclear end is begun again after the event was not found.
const CREATIONS_MAX: u32 = 3;
const READ_ONLY_CALENDAR: &str = "Microsoft lets nobody write into this calendar (holidays, birthdays and the like); \
    restored to a folder of its own, its events become ordinary ones";
/// What is left of an event when Graph does not take all of it.
const BARE: [&str; 10] = [
    "subject",
    "body",
    "start",
    "end",
    "isAllDay",
    "recurrence",
    "showAs",
    "isReminderOn",
    "responseRequested",
    "isOnlineMeeting",
];

pub(super) fn recognise(calendar: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
    if calendar == READ_ONLY {
        return Ok(Recognised::LeftOut { why: READ_ONLY_CALENDAR });
    }
    Ok(Recognised::Item(identity(&item.json()?)))
}

pub(super) async fn carry_out(
    target: Source<'_>,
    calendar: &str,
    item: &StoredItem,
    action: &Action,
) -> Result<Restored, RestoreError> {
    let stored = Stored::of(item, item.json()?)?;
    match action {
        Action::Create | Action::CreateBeside => {
            let remarks = create_whole(target, calendar, &stored).await?;
            Ok(Restored::Created { remarks })
        }
        Action::Update { id } => update::update(target, calendar, id, &stored).await,
    }
}

/// An estimate: the event, what is attached to it, what deviates from it, and its mark at the end.
pub(super) fn requests_to_create(item: &StoredItem) -> u64 {
    let Ok(event) = item.json() else { return 1 };
    let n_listed = |of: &Value, name: &str| of[name].as_array().map_or(0, |all| all.len() as u64);
    let n_attachments = n_listed(&event, "attachments");
    let changed = event["exceptionOccurrences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let in_changed: u64 = changed.iter().map(|exception| 1 + n_listed(exception, "attachments")).sum();
    match n_attachments + n_listed(&event, "cancelledOccurrences") + in_changed {
        0 => 1,
        more => 3 + more,
    }
}

/// An event of a restore point, and what Graph is to make of it.
pub(super) struct Stored<'a> {
    item: &'a StoredItem,
    pub original: Value,
    pub composed: Composed,
}

impl<'a> Stored<'a> {
    fn of(item: &'a StoredItem, original: Value) -> Result<Self, RestoreError> {
        let composed = compose(&original, clock::now()).map_err(RestoreError::Item)?;
        Ok(Self { item, original, composed })
    }
}

/// Creates it with its attachments, cancelled dates and exceptions. Says what will differ from the original.
pub(super) async fn create_whole(
    target: Source<'_>,
    calendar: &str,
    stored: &Stored<'_>,
) -> Result<Vec<String>, RestoreError> {
    let Stored { item, original, composed } = stored;
    let files = Files::of(item)?;
    let attachments = files.attached_to(original);
    let deviations = Deviations::of(original, composed)?;
    let at_once = attachments.wanted.is_empty() && deviations.is_empty() && !composed.reminder_waits;
    let marker = Marker { key: item.key, progress: if at_once { Progress::Whole } else { Progress::Begun } };
    let (made, mut remarks) = create(target, calendar, composed, &marker).await?;
    if !at_once {
        remarks.extend(complete(target, &made, stored, &files, &attachments, &deviations).await?);
    }
    remarks.extend(composed.remarks.iter().cloned());
    remarks.extend(attachments.remarks);
    remarks.sort();
    remarks.dedup();
    Ok(remarks)
}

/// Adds what belongs to an event that was just made, and marks it as whole.
async fn complete(
    target: Source<'_>,
    made: &Made,
    stored: &Stored<'_>,
    files: &Files,
    attachments: &Attachments,
    deviations: &Deviations<'_>,
) -> Result<Vec<String>, RestoreError> {
    let wanted: Vec<_> = attachments.wanted.iter().map(|wanted| &wanted.attachment).collect();
    let attached = attach(target, Holder::Event(&made.id), 0, &wanted).await.map_err(restore_error)?;
    let mut remarks = attached.remarks;
    if !deviations.is_empty() {
        let series = &stored.composed;
        remarks.extend(deviate(target, &made.id, series, deviations, files).await.map_err(restore_error)?);
    }
    let marker = Marker { key: stored.item.key, progress: Progress::Whole };
    let mut body = json!({ "singleValueExtendedProperties": [marker.property()] });
    if stored.composed.reminder_waits {
        if made.begins.is_some_and(|begins| begins > clock::now().naive_utc()) {
            body["isReminderOn"] = json!(true);
        } else {
            remarks.push("its time is over: the reminder is off".to_owned());
        }
    }
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event: &made.id } };
    target.graph.patch(endpoint).prefer(IMMUTABLE_IDS).body(&body).done().await?;
    Ok(remarks)
}

/// An event that was created.
struct Made {
    id: String,
    /// In UTC.
    begins: Option<NaiveDateTime>,
}

impl Made {
    fn of(event: &Value) -> Option<Self> {
        let begins = NaiveDateTime::parse_from_str(text(&event["start"]["dateTime"]), "%Y-%m-%dT%H:%M:%S%.f");
        Some(Self { id: event["id"].as_str()?.to_owned(), begins: begins.ok() })
    }
}

/// Creates the event alone. Says what could not be taken over.
async fn create(
    target: Source<'_>,
    calendar: &str,
    composed: &Composed,
    marker: &Marker,
) -> Result<(Made, Vec<String>), RestoreError> {
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Events { calendar } };
    let no_id = || GraphError::protocol(endpoint, "the created event has no id");
    let mut fields = composed.fields.clone();
    fields.insert("singleValueExtendedProperties".to_owned(), json!([marker.property()]));
    // The same for all attempts: Exchange makes one event of them.
    fields.insert("transactionId".to_owned(), json!(uuid::Uuid::new_v4()));
    let mut remarks = Vec::new();
    let mut creations = 0;
    loop {
        creations += 1;
        let call = target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&Value::Object(fields.clone()));
        match call.json().await {
            Ok(created) => return Ok((Made::of(&created).ok_or_else(no_id)?, remarks)),
            Err(error @ (GraphError::Ambiguous { .. } | GraphError::Conflict { .. })) => {
                let found = find_marked(target, endpoint, &marker.to_string(), "id,start").await?;
                if let Some(made) = found.as_ref().and_then(Made::of) {
                    return Ok((made, remarks));
                }
                if creations >= CREATIONS_MAX || matches!(error, GraphError::Conflict { .. }) {
                    return Err(restore_error(error));
                }
            }
            Err(GraphError::BadItem { .. } | GraphError::Refused { .. }) if remarks.is_empty() => {
                strip(&mut fields);
                remarks
                    .push("Microsoft did not take all of it: its place, importance or categories are missing".into());
            }
            Err(error) => return Err(restore_error(error)),
        }
    }
}

fn strip(fields: &mut Map<String, Value>) {
    const OURS: [&str; 2] = ["singleValueExtendedProperties", "transactionId"];
    fields.retain(|name, _| BARE.contains(&name.as_str()) || OURS.contains(&name.as_str()));
}

/// What concerns this event alone must not end the restore of the others.
pub(super) fn restore_error(error: GraphError) -> RestoreError {
    if is_refusal(&error) { RestoreError::Item(error.to_string()) } else { RestoreError::Graph(error) }
}
