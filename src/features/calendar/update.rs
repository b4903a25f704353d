//! Bringing an event that is there up to date. Whoever is invited to it must not hear of it.
//!
//! Microsoft mails the attendees of a meeting whatever its organiser's mailbox changes about it: such an event stays as it
//! is. What one was invited to belongs to its organiser; only what one decides alone is brought back.

use serde_json::{Map, Value};

use super::compose::{Composed, compose};
use super::occurrences::Deviations;
use super::restore::{Stored, create_whole, restore_error};
use super::target::has_attendees;
use super::{capture, files};
use crate::clock;
use crate::features::attaching::{Holder, list_attachments};
use crate::features::exchange::text;
use crate::features::{RestoreError, Restored, Source};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

const ATTENDEES_WOULD_HEAR: &str =
    "it has attendees, and Microsoft would mail every change to them: it is left as it is";

pub(super) async fn update(
    target: Source<'_>,
    calendar: &str,
    id: &str,
    stored: &Stored<'_>,
) -> Result<Restored, RestoreError> {
    let current = match read(target, id, &stored.original).await {
        Ok(current) => current,
        Err(GraphError::NotFound { .. }) => {
            let remarks = create_whole(target, calendar, stored).await?;
            return Ok(Restored::Created { remarks });
        }
        Err(error) => return Err(restore_error(error)),
    };
    if has_attendees(&current) && current["isOrganizer"] != false {
        return Ok(Restored::LeftAlone { why: ATTENDEES_WOULD_HEAR });
    }
    let composed = compose(&current, clock::now()).map_err(RestoreError::Item)?;
    if current["isOrganizer"] == false {
        let remarks = vec!["what its organiser decides is left as it is".to_owned()];
        return patch(target, id, stored.composed.private_differences(&composed), remarks).await;
    }
    let alone = |event: &Value| text(&event["type"]) == "singleInstance" && files::listed(event).is_empty();
    if alone(&stored.original) && alone(&current) {
        let differences = stored.composed.differences(&composed);
        return patch(target, id, differences, stored.composed.remarks.clone()).await;
    }
    if is_as(stored, &current, &composed)? {
        return Ok(Restored::AlreadyThere);
    }
    anew(target, calendar, id, stored).await
}

async fn read(target: Source<'_>, id: &str, original: &Value) -> Result<Value, GraphError> {
    let zone = Some(text(&original["start"]["timeZone"])).filter(|zone| !zone.eq_ignore_ascii_case("UTC"));
    let mut event = capture::read_whole(target, id, zone.unwrap_or_default()).await?;
    list_files(target, &mut event).await?;
    if let Some(exceptions) = event["exceptionOccurrences"].as_array_mut() {
        for exception in exceptions {
            list_files(target, exception).await?;
        }
    }
    Ok(event)
}

/// Lists in an event what is attached to it, as a capture does.
async fn list_files(target: Source<'_>, event: &mut Value) -> Result<(), GraphError> {
    // Graph counts no inline attachments; what shows them names them.
    if event["hasAttachments"] == true || text(&event["body"]["content"]).contains("cid:") {
        let holder = Holder::Event(text(&event["id"]));
        event["attachments"] = Value::Array(list_attachments(target, holder, "id,name,size,isInline").await?);
    }
    Ok(())
}

async fn patch(
    target: Source<'_>,
    id: &str,
    fields: Map<String, Value>,
    remarks: Vec<String>,
) -> Result<Restored, RestoreError> {
    if fields.is_empty() {
        return Ok(Restored::AlreadyThere);
    }
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event: id } };
    let call = target.graph.patch(endpoint).prefer(IMMUTABLE_IDS).body(&Value::Object(fields));
    call.done().await.map_err(restore_error)?;
    Ok(Restored::Updated { remarks })
}

fn is_as(stored: &Stored<'_>, current: &Value, composed: &Composed) -> Result<bool, RestoreError> {
    let looks = |event: &Value| files::looks(files::listed(event));
    let ours = Deviations::of(&stored.original, &stored.composed)?;
    let theirs = Deviations::of(current, composed)?;
    Ok(stored.composed.differences(composed).is_empty()
        && looks(&stored.original) == looks(current)
        && ours.is_as(&theirs))
}

/// Exchange forgets what deviates from a series whose times change, and never brings back a cancelled date. The former
/// event goes first: were the work cut off in between, the next attempt would find nothing and create it.
async fn anew(target: Source<'_>, calendar: &str, id: &str, stored: &Stored<'_>) -> Result<Restored, RestoreError> {
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event: id } };
    match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) | Err(GraphError::NotFound { .. }) => {}
        Err(error) => return Err(restore_error(error)),
    }
    let mut remarks = create_whole(target, calendar, stored).await?;
    remarks.push("what was there is in Deleted Items".to_owned());
    Ok(Restored::Updated { remarks })
}
