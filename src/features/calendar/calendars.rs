//! The calendars of a user: a short list, read whole each time.

use serde::Deserialize;
use serde_json::Value;

use crate::features::exchange::{PAGE_SIZE, containers_error};
use crate::features::{ContainerChanges, PassedOver, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

const PROPERTIES: &str = "id,name,isDefaultCalendar,canEdit,owner";
/// Far more than Outlook shows.
const CALENDARS_MAX: usize = 5_000;
/// The default calendar in every language.
const WELL_KNOWN: &str = "calendar";
/// Stands for a calendar in which nobody can create anything: among the calendars of a backup as what it is well known
/// for, and for what a restore finds of this kind.
pub(super) const READ_ONLY: &str = "kodo:read-only-calendar";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCalendar {
    id: String,
    name: Option<String>,
    is_default_calendar: Option<bool>,
    can_edit: Option<bool>,
    owner: Option<WireOwner>,
}

#[derive(Debug, Deserialize)]
struct WireOwner {
    address: Option<String>,
}

impl WireCalendar {
    fn is_default(&self) -> bool {
        self.is_default_calendar == Some(true)
    }

    fn owner(&self) -> Option<&str> {
        self.owner.as_ref()?.address.as_deref()
    }

    fn well_known(&self) -> Option<&'static str> {
        match (self.is_default(), self.can_edit) {
            (true, _) => Some(WELL_KNOWN),
            (false, Some(false)) => Some(READ_ONLY),
            (false, Some(true) | None) => None,
        }
    }
}

pub(super) async fn containers(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let (own, shared) = own(list(source).await.map_err(containers_error)?);
    let present = own.into_iter().map(container).collect();
    let passed = |calendar: WireCalendar| PassedOver {
        name: calendar.name.unwrap_or_default(),
        why: "it is another user's, and protected with that user's calendars".to_owned(),
    };
    let passed_over = Some(shared.into_iter().map(passed).collect());
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor: None, passed_over })
}

/// The user's own calendar of this name, [`READ_ONLY`] when it is one of those.
pub(super) async fn find(source: Source<'_>, name: &str) -> Result<Option<String>, GraphError> {
    let (own, _) = own(list(source).await?);
    let wanted = name.to_lowercase();
    let found = own.into_iter().find(|calendar| calendar.name.as_deref().unwrap_or_default().to_lowercase() == wanted);
    Ok(found.map(|calendar| match calendar.well_known() {
        Some(READ_ONLY) => READ_ONLY.to_owned(),
        Some(_) | None => calendar.id,
    }))
}

/// The default calendar, which every mailbox has.
pub(super) async fn default(source: Source<'_>) -> Result<String, GraphError> {
    let found = list(source).await?.into_iter().find(WireCalendar::is_default);
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Calendars };
    found.map(|calendar| calendar.id).ok_or_else(|| GraphError::protocol(endpoint, "none of them is the default one"))
}

/// The ids and names of the user's own calendars.
pub(super) async fn named(source: Source<'_>) -> Result<Vec<(String, String)>, GraphError> {
    let (own, _) = own(list(source).await?);
    Ok(own.into_iter().map(|calendar| (calendar.id, calendar.name.unwrap_or_default())).collect())
}

/// The ids of the user's own calendars.
pub(super) async fn own_ids(source: Source<'_>) -> Result<Vec<String>, GraphError> {
    let (own, _) = own(list(source).await?);
    Ok(own.into_iter().map(|calendar| calendar.id).collect())
}

async fn list(source: Source<'_>) -> Result<Vec<WireCalendar>, GraphError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Calendars };
    let query = [("$select", PROPERTIES)];
    let listed = source.graph.list(endpoint, CALENDARS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await?;
    let wire = |calendar: Value| {
        serde_json::from_value(calendar)
            .map_err(|error| GraphError::protocol(endpoint, &format!("a calendar has an unexpected shape: {error}")))
    };
    listed.into_iter().map(wire).collect()
}

/// Those whose owner is the default calendar's, and the others: the list has calendars in it that others share with the
/// user.
fn own(calendars: Vec<WireCalendar>) -> (Vec<WireCalendar>, Vec<WireCalendar>) {
    let owner = calendars.iter().find(|calendar| calendar.is_default()).and_then(WireCalendar::owner);
    let owner = owner.map(str::to_owned);
    calendars.into_iter().partition(|calendar| match (calendar.owner(), &owner) {
        (Some(theirs), Some(ours)) => calendar.is_default() || theirs.eq_ignore_ascii_case(ours),
        // Rather one calendar too many than one too few.
        (None, _) | (_, None) => true,
    })
}

fn container(calendar: WireCalendar) -> RemoteContainer {
    RemoteContainer {
        well_known: calendar.well_known().map(str::to_owned),
        id: calendar.id,
        parent: None,
        name: calendar.name.unwrap_or_default(),
        hidden: false,
        n_items: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(calendars: Value) -> Vec<(String, Option<String>)> {
        let calendars = serde_json::from_value(calendars).unwrap();
        own(calendars).0.into_iter().map(container).map(|calendar| (calendar.name, calendar.well_known)).collect()
    }

    #[test]
    fn calendars_of_others_are_left_out() {
        let found = names(json!([
            {"id": "1", "name": "Bob", "isDefaultCalendar": false, "owner": {"name": "Bob", "address": "bob@x.y"}},
            {"id": "2", "name": "Kalender", "isDefaultCalendar": true, "owner": {"name": "A", "address": "ann@x.y"}},
            {"id": "3", "name": "Trips", "isDefaultCalendar": false, "owner": {"name": "A", "address": "Ann@X.Y"}},
            {"id": "4", "name": "Holidays", "isDefaultCalendar": false, "canEdit": false, "owner": null},
        ]));

        let named = |name: &str, well_known: Option<&str>| (name.to_owned(), well_known.map(str::to_owned));
        let holidays = named("Holidays", Some(READ_ONLY));
        assert_eq!(found, [named("Kalender", Some("calendar")), named("Trips", None), holidays]);
    }

    #[test]
    fn without_a_default_calendar_nothing_is_left_out() {
        assert_eq!(names(json!([{"id": "1", "name": "A", "owner": {"address": "a@b"}}, {"id": "2"}])).len(), 2);
    }
}
