//! An event that is not in its calendar any more, and not gone: somebody put it into another one.
//!
//! Graph moves no events between calendars, so it is brought up to date where it is, or left there.

use super::calendars;
use super::target::{PRESENT_PROPERTIES, identity};
use crate::features::exchange::text;
use crate::features::{Present, RestoreError, Source, StoredItem};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// The event itself, when one of the user's calendars has it. One in Deleted Items answers to its id, and is in none.
pub(super) async fn locate(target: Source<'_>, item: &StoredItem) -> Result<Option<Present>, RestoreError> {
    let original = item.json()?;
    let event = text(&original["id"]);
    if event.is_empty() || !is_in(target, Outlook::Event { event }).await? {
        return Ok(None);
    }
    for calendar in calendars::own_ids(target).await? {
        let what = Outlook::CalendarEvent { calendar: &calendar, event };
        let endpoint = Endpoint::Outlook { user: target.user, what };
        let call = target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", PRESENT_PROPERTIES);
        match call.json().await {
            Ok(found) => return Ok(Some(Present { id: event.to_owned(), identity: identity(&found) })),
            Err(error) if is_none(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn is_in(target: Source<'_>, what: Outlook<'_>) -> Result<bool, RestoreError> {
    let endpoint = Endpoint::Outlook { user: target.user, what };
    match target.graph.get(endpoint).prefer(IMMUTABLE_IDS).query("$select", "id").done().await {
        Ok(()) => Ok(true),
        Err(error) if is_none(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// An id of another mailbox is no id here.
fn is_none(error: &GraphError) -> bool {
    matches!(error, GraphError::NotFound { .. } | GraphError::Refused { .. } | GraphError::BadItem { .. })
}
