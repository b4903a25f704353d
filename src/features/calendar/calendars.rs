//! The calendars of a user: a short list, read whole each time.

use serde::Deserialize;
use serde_json::Value;

use crate::features::exchange::{PAGE_SIZE, containers_error};
use crate::features::{ContainerChanges, PassedOver, RemoteContainer, Source, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

const PROPERTIES: &str = "id,name,isDefaultCalendar,owner";
/// Far more than Outlook shows.
const CALENDARS_MAX: usize = 5_000;
/// The default calendar in every language.
const WELL_KNOWN: &str = "calendar";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCalendar {
    id: String,
    name: Option<String>,
    is_default_calendar: Option<bool>,
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
}

pub(super) async fn containers(source: Source<'_>) -> Result<ContainerChanges, WalkError> {
    let endpoint = Endpoint::Outlook { user: source.user, what: Outlook::Calendars };
    let query = [("$select", PROPERTIES)];
    let listed = source.graph.list(endpoint, CALENDARS_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE]).await;
    let wire = |calendar: Value| {
        serde_json::from_value(calendar)
            .map_err(|error| GraphError::protocol(endpoint, &format!("a calendar has an unexpected shape: {error}")))
    };
    let calendars = listed.map_err(containers_error)?.into_iter().map(wire).collect::<Result<Vec<_>, _>>()?;
    let (present, passed_over) = own(calendars);
    Ok(ContainerChanges { whole: true, present, removed: Vec::new(), cursor: None, passed_over: Some(passed_over) })
}

/// Those whose owner is the default calendar's, and the others: the list has calendars in it that others share with the
/// user.
fn own(calendars: Vec<WireCalendar>) -> (Vec<RemoteContainer>, Vec<PassedOver>) {
    let owner = calendars.iter().find(|calendar| calendar.is_default()).and_then(WireCalendar::owner);
    let owner = owner.map(str::to_owned);
    let is_own = |calendar: &WireCalendar| match (calendar.owner(), &owner) {
        (Some(theirs), Some(ours)) => calendar.is_default() || theirs.eq_ignore_ascii_case(ours),
        // Rather one calendar too many than one too few.
        (None, _) | (_, None) => true,
    };
    let container = |calendar: WireCalendar| RemoteContainer {
        well_known: calendar.is_default().then(|| WELL_KNOWN.to_owned()),
        id: calendar.id,
        parent: None,
        name: calendar.name.unwrap_or_default(),
        hidden: false,
        n_items: None,
    };
    let (own, shared): (Vec<_>, Vec<_>) = calendars.into_iter().partition(is_own);
    let passed = |calendar: WireCalendar| PassedOver {
        name: calendar.name.unwrap_or_default(),
        why: "it is another user's, and protected with that user's calendars".to_owned(),
    };
    (own.into_iter().map(container).collect(), shared.into_iter().map(passed).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(calendars: Value) -> Vec<(String, Option<String>)> {
        let calendars = serde_json::from_value(calendars).unwrap();
        own(calendars).0.into_iter().map(|calendar| (calendar.name, calendar.well_known)).collect()
    }

    #[test]
    fn calendars_of_others_are_left_out() {
        let found = names(json!([
            {"id": "1", "name": "Bob", "isDefaultCalendar": false, "owner": {"name": "Bob", "address": "bob@x.y"}},
            {"id": "2", "name": "Kalender", "isDefaultCalendar": true, "owner": {"name": "A", "address": "ann@x.y"}},
            {"id": "3", "name": "Trips", "isDefaultCalendar": false, "owner": {"name": "A", "address": "Ann@X.Y"}},
            {"id": "4", "name": "Holidays", "isDefaultCalendar": false, "owner": null},
        ]));

        let named = |name: &str| (name.to_owned(), None);
        assert_eq!(found, [("Kalender".to_owned(), Some("calendar".to_owned())), named("Trips"), named("Holidays")]);
    }

    #[test]
    fn without_a_default_calendar_nothing_is_left_out() {
        assert_eq!(names(json!([{"id": "1", "name": "A", "owner": {"address": "a@b"}}, {"id": "2"}])).len(), 2);
    }
}
