//! Where a restore of events goes: the calendar, made if it is missing, and what it holds already.

use serde_json::{Value, json};

use super::calendars::{self, READ_ONLY};
use super::marker::{Marker, Progress};
use crate::features::exchange::{PAGE_SIZE, text};
use crate::features::marking::expand;
use crate::features::{Identity, Noted, Noting, Opened, Opening, PathStep, RestoreError, Source, change_tag};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};
use crate::ids::ItemKey;

pub(super) const PRESENT_PROPERTIES: &str = "id,changeKey,iCalUId,lastModifiedDateTime";

/// The calendar at `path`: the default one in every language, others by what they are called. Calendars do not nest:
/// below a folder of its own, a calendar is made whose name tells of both.
pub(super) async fn open_calendar(
    target: Source<'_>,
    path: &[PathStep],
    opening: Opening,
) -> Result<Option<Opened>, RestoreError> {
    let [step] = path else {
        let names: Vec<&str> = path.iter().map(|step| step.name.as_str()).collect();
        if names.is_empty() {
            return Err(RestoreError::Item("an event cannot be restored without a calendar".to_owned()));
        }
        return named(target, &names.join(": "), opening).await;
    };
    match step.well_known.as_deref() {
        Some(READ_ONLY) => Ok(Some(Opened::found(READ_ONLY.to_owned()))),
        Some(_) => Ok(Some(Opened::found(calendars::default(target).await?))),
        None => named(target, &step.name, opening).await,
    }
}

async fn named(target: Source<'_>, name: &str, opening: Opening) -> Result<Option<Opened>, RestoreError> {
    if opening != Opening::CreateNew {
        let found = calendars::find(target, name).await?;
        if found.is_some() || opening == Opening::Look {
            return Ok(found.map(Opened::found));
        }
    }
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Calendars };
    match target.graph.post(endpoint).prefer(IMMUTABLE_IDS).body(&json!({ "name": name })).json().await {
        Ok(made) => match made["id"].as_str() {
            Some(id) => Ok(Some(Opened::new(id.to_owned()))),
            None => Err(GraphError::protocol(endpoint, "the calendar has no id").into()),
        },
        // Somebody was faster, or our own request had been carried out after all.
        Err(error @ GraphError::Ambiguous { .. }) => {
            let found = calendars::find(target, name).await?;
            found.ok_or(RestoreError::Graph(error)).map(|id| Some(Opened::found(id)))
        }
        // Another calendar has the name, such as one that somebody shares.
        Err(error @ (GraphError::Conflict { .. } | GraphError::Refused { .. } | GraphError::BadItem { .. })) => {
            let found = calendars::find(target, name).await?;
            found.ok_or_else(|| RestoreError::Item(error.to_string())).map(|id| Some(Opened::found(id)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Lists a calendar. An event that an interrupted restore left without all that belongs to it is deleted here.
pub(super) async fn list(
    target: Source<'_>,
    calendar: &str,
    opening: Opening,
    noting: &mut dyn Noting,
) -> Result<(), RestoreError> {
    if calendar == READ_ONLY {
        return Ok(());
    }
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Events { calendar } };
    let mut call = target.graph.get(endpoint).query("$select", PRESENT_PROPERTIES).query("$expand", &expand());
    loop {
        let page = call.prefer(IMMUTABLE_IDS).prefer(PAGE_SIZE).page().await?;
        let mut noted = Vec::with_capacity(page.value.len());
        for event in page.value {
            let Some(id) = event["id"].as_str() else { continue };
            let marker = Marker::of(&event);
            let begun = marker.is_some_and(|marker| marker.progress == Progress::Begun);
            if begun && (opening == Opening::Look || deleted(target, id).await?) {
                continue;
            }
            noted.push(Noted::new(id, identity(&event), marker.map(|marker| marker.key)));
        }
        noting.note(noted).await?;
        match page.next {
            Some(next) => call = target.graph.follow(endpoint, &next)?,
            None => return Ok(()),
        }
    }
}

/// Deletes an unfinished event, unless somebody has made a meeting of it: its attendees would be told.
async fn deleted(target: Source<'_>, event: &str) -> Result<bool, GraphError> {
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event } };
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id,attendees").json().await {
        Ok(read) if has_attendees(&read) => return Ok(false),
        Ok(_) => {}
        Err(GraphError::NotFound { .. }) => return Ok(true),
        Err(error) => return Err(error),
    }
    match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

pub(super) fn has_attendees(event: &Value) -> bool {
    event["attendees"].as_array().is_some_and(|attendees| !attendees.is_empty())
}

/// What tells an event, on the target or in a backup, from others. Whether its state is another one is seen when it is
/// read whole: a list does not show what belongs to a series.
pub(super) fn identity(event: &Value) -> Identity {
    let uid = text(&event["iCalUId"]);
    let modified = chrono::DateTime::parse_from_rfc3339(text(&event["lastModifiedDateTime"])).ok();
    Identity {
        natural_key: (!uid.is_empty()).then(|| ItemKey::of(uid)),
        change_tag: event["changeKey"].as_str().map(change_tag),
        state: None,
        modified: modified.map(|at| at.with_timezone(&chrono::Utc)),
    }
}
