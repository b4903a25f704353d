//! A calendar whose changes the server does not tell is listed, and what is deleted meanwhile hides nothing.

use std::collections::{BTreeMap, BTreeSet};

use kodo::features::{Change, Feature, Next, Walk, find};
use kodo_simulator::{Limits, Options};
use serde_json::{Value, json};

use crate::calendar_feature::truth;
use crate::support::tenant::Tenant;

const PAGES_MAX: usize = 200;
/// How often kodo lists a calendar at most that changes all the time.
const LISTINGS_MAX: usize = 4;

fn calendar() -> &'static dyn Feature {
    find("calendar").unwrap()
}

/// Two members whose calendars can only be listed, five events a page.
async fn tenant() -> Tenant {
    let tenant = Tenant::start(Options { users: 2, messages: 2, events: 42, ..Options::default() }).await;
    tenant.simulator.set_limits(Limits { page_size_max: 5, ..Limits::default() });
    let mode = json!({"action": "events_delta", "mode": "unsupported"});
    tenant.simulator.calendar_edit(&tenant.members()[0], mode).unwrap();
    tenant
}

/// Lists a calendar; after each page that does not end it, `meanwhile` may change it and sees what was met. Returns what
/// was met, and how often it was begun.
async fn listed(
    tenant: &Tenant,
    user: &str,
    calendar_id: &str,
    meanwhile: &mut dyn FnMut(&[String]),
) -> (Vec<String>, usize) {
    let mut met: Vec<String> = Vec::new();
    let mut begun = 0;
    let mut walk = Walk::Start;
    for _ in 0..PAGES_MAX {
        let page = calendar().page(tenant.source(user), calendar_id, &walk).await.unwrap();
        if page.begins_full_walk {
            met.clear();
            begun += 1;
        }
        for change in page.changes {
            let Change::Present(item) = change else { panic!("a listing tells what is there: {change:?}") };
            met.push(item.id);
        }
        match page.next {
            Next::Page(cursor) => walk = Walk::Resume(cursor),
            Next::Done(_) => return (met, begun),
        }
        meanwhile(&met);
    }
    panic!("the listing does not end");
}

/// The calendar of the user with the most events.
fn largest(tenant: &Tenant, user: &str) -> String {
    let all = truth(&tenant.simulator, user);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.values().filter_map(|event| event["calendarId"].as_str()).for_each(|id| *counts.entry(id).or_default() += 1);
    let (id, _) = counts.into_iter().max_by_key(|(_, count)| *count).expect("there are calendars");
    id.to_owned()
}

fn held(tenant: &Tenant, user: &str, calendar_id: &str) -> BTreeSet<String> {
    let is_here = |event: &Value| event["calendarId"] == calendar_id;
    truth(&tenant.simulator, user).into_iter().filter(|(_, event)| is_here(event)).map(|(id, _)| id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_while_a_calendar_is_listed_hides_no_other_event() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let id = largest(&tenant, user);
    let mut left = 2;
    let mut delete = |met: &[String]| {
        if left > 0 && met.len() >= 5 {
            left -= 1;
            let gone = json!({"action": "delete", "id": met[left]});
            tenant.simulator.calendar_edit(user, gone).unwrap();
        }
    };

    let (met, begun) = listed(&tenant, user, &id, &mut delete).await;

    let held = held(&tenant, user, &id);
    assert!(held.len() >= 15, "{} events make too few pages", held.len());
    assert!((2..LISTINGS_MAX).contains(&begun), "{begun}");
    assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_that_changes_all_the_time_is_listed_to_its_end() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let id = largest(&tenant, user);
    let mut deleted = BTreeSet::new();
    // As long as it is listed: every page but the first begins with something else than was expected.
    let mut delete = |met: &[String]| {
        let gone = met.iter().find(|id| !deleted.contains(*id)).expect("a page has events").clone();
        tenant.simulator.calendar_edit(user, json!({"action": "delete", "id": gone})).unwrap();
        deleted.insert(gone);
    };

    let (met, begun) = listed(&tenant, user, &id, &mut delete).await;

    let held = held(&tenant, user, &id);
    let met: BTreeSet<_> = met.into_iter().collect();
    assert!(held.len() >= 10, "{} events make too few pages", held.len());
    assert_eq!(begun, LISTINGS_MAX);
    // At the edge of each page of the last listing one may be missing.
    assert!(met.intersection(&held).count() + held.len() / 4 >= held.len(), "{} of {}", met.len(), held.len());
}
