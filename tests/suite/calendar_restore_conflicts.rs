//! Restoring events where something is there already, against a simulated tenant.

use std::collections::BTreeMap;

use bytes::Bytes;
use kodo::features::{
    Existing, OnConflict, Opening, PathStep, RestoreError, Restored, Restoring, StoredContent, StoredItem, bring_back,
    find,
};
use kodo::ids::ItemKey;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::agenda::Agenda;
use crate::support::collected::Collected;
use crate::support::tenant::Tenant;

async fn tenant() -> Tenant {
    Tenant::start(Options { users: 2, messages: 2, events: 42, ..Options::default() }).await
}

async fn backed_up(tenant: &Tenant, user: &str) -> Collected {
    let mut kept = Collected::default();
    kept.run(find("calendar").unwrap(), tenant.source(user)).await.unwrap();
    kept
}

fn restoring() -> &'static dyn Restoring {
    find("calendar").unwrap().restoring().expect("calendars are restored")
}

/// The calendar and what it holds, for each calendar of a backup.
async fn open(tenant: &Tenant, user: &str, kept: &Collected) -> BTreeMap<String, (String, Existing)> {
    let mut open = BTreeMap::new();
    for (id, container) in &kept.containers {
        let (name, well_known) = (container.name.clone(), container.well_known.clone());
        let path = [PathStep { name, well_known, hidden: false }];
        let target = tenant.source(user);
        let calendar = restoring().open_container(target, &path, Opening::Create).await.unwrap().unwrap();
        let existing = restoring().existing(target, &calendar, Opening::Create).await.unwrap();
        open.insert(id.clone(), (calendar, existing));
    }
    open
}

/// What became of each event, by its id.
type Outcomes = BTreeMap<String, Result<Restored, RestoreError>>;

async fn restored(tenant: &Tenant, user: &str, kept: &Collected, on_conflict: OnConflict) -> Outcomes {
    let open = open(tenant, user, kept).await;
    let mut outcomes = Outcomes::new();
    for (id, item) in &kept.items {
        let (calendar, existing) = &open[&item.container];
        let stored = StoredItem {
            key: ItemKey::of(id),
            kind: item.summary.kind,
            properties: Bytes::from(item.properties.to_string()),
            content: item.content.clone().map_or(StoredContent::None, StoredContent::Whole),
        };
        let outcome = bring_back(restoring(), tenant.source(user), calendar, &stored, existing, on_conflict).await;
        outcomes.insert(id.clone(), outcome);
    }
    outcomes
}

fn count(outcomes: &Outcomes, is: impl Fn(&Restored) -> bool) -> usize {
    outcomes.values().filter(|outcome| is(outcome.as_ref().unwrap())).count()
}

fn id_of(event: &Value) -> &str {
    event["id"].as_str().unwrap()
}

fn assert_silent(tenant: &Tenant) {
    assert!(tenant.simulator.notices().is_empty(), "{:?}", tenant.simulator.notices());
    tenant.assert_no_violations();
}

fn change(tenant: &Tenant, user: &str, event: &Value, set: Value) {
    let wanted = json!({"action": "change", "id": event["id"], "set": set});
    tenant.simulator.calendar_edit(user, wanted).unwrap();
}

fn is_plain(event: &Value) -> bool {
    event["type"] == "singleInstance" && event["attendees"] == json!([]) && event["attachments"] == json!([])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_invited_is_read_in_the_text_once_however_often_it_is_restored() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let first = backed_up(&tenant, user).await;
    let online = first.items.values().find(|item| item.properties["onlineMeeting"].is_object()).unwrap();
    let (subject, link) = (&online.properties["subject"], online.properties["onlineMeeting"]["joinUrl"].clone());
    let mut texts = Vec::new();

    let mut again = None;
    for _ in 0..2 {
        tenant.simulator.wipe_calendars(user).unwrap();
        restored(&tenant, user, again.as_ref().unwrap_or(&first), OnConflict::Skip).await;
        let kept = again.insert(backed_up(&tenant, user).await);
        let again = kept.items.values().find(|item| item.properties["subject"] == *subject).unwrap();
        texts.push(again.properties["body"]["content"].as_str().unwrap().to_owned());
    }

    assert_eq!(texts[0], texts[1]);
    let text = texts[0].replace("&amp;", "&");
    assert_eq!(text.matches(&format!("href=\"{}\"", link.as_str().unwrap())).count(), 1, "{text}");
    for attendee in online.properties["attendees"].as_array().unwrap() {
        let address = attendee["emailAddress"]["address"].as_str().unwrap();
        let answer = attendee["status"]["response"].as_str().unwrap();
        assert!(text.contains(&format!("{address}&gt;: {answer}")), "{address} is not in {text}");
    }
    assert_silent(&tenant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_brings_back_what_was_changed_and_leaves_meetings_in_peace() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let before = Agenda::of(&tenant.simulator, user);
    let kept = backed_up(&tenant, user).await;
    let plain = before.find(|event| is_plain(event) && event["isDraft"] == false);
    let series = before.find(|event| event["exceptions"].as_array().is_some_and(|all| all.len() == 2));
    let meeting = before.find(|event| event["attendees"] != json!([]) && event["isOrganizer"] == true);
    let invited = before.find(|event| event["isOrganizer"] == false);
    change(&tenant, user, plain, json!({"subject": "Spoiled", "location": "Nowhere", "categories": ["Spoiled"]}));
    change(&tenant, user, series, json!({"subject": "Spoiled"}));
    change(&tenant, user, meeting, json!({"subject": "Spoiled meeting"}));
    change(&tenant, user, invited, json!({"subject": "Organised anew", "categories": ["Spoiled"]}));

    let outcomes = restored(&tenant, user, &kept, OnConflict::Replace).await;

    let of = |event: &Value| outcomes[id_of(event)].as_ref().unwrap();
    for updated in [plain, series, invited] {
        assert!(matches!(of(updated), Restored::Updated { .. }), "{:?}", of(updated));
    }
    assert!(matches!(of(meeting), Restored::LeftAlone { why } if why.contains("attendees")), "{:?}", of(meeting));
    let others = count(&outcomes, |one| *one == Restored::AlreadyThere);
    let refused = count(&outcomes, |one| matches!(one, Restored::LeftAlone { why } if why.contains("nobody write")));
    assert_eq!((others + 4 + refused, refused), (outcomes.len(), 7), "{outcomes:#?}");
    let after = Agenda::of(&tenant.simulator, user);
    let here = |event: &Value, name: &str| after.find(|other| other["id"] == event["id"])[name].clone();
    for name in ["subject", "location", "categories", "start", "end"] {
        assert_eq!(here(plain, name), plain[name], "{name}");
    }
    assert_eq!(here(invited, "categories"), invited["categories"]);
    assert_eq!(here(invited, "subject"), "Organised anew", "that is its organiser's");
    assert_eq!(here(meeting, "subject"), "Spoiled meeting");
    let anew = after.find(|event| event["subject"] == series["subject"] && event["cancelled"] == series["cancelled"]);
    assert_eq!(anew["exceptions"].as_array().unwrap().len(), 2);
    assert_eq!(after.events.len(), before.events.len(), "nothing is doubled");
    assert_silent(&tenant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_what_a_restore_made_changes_nothing() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let kept = backed_up(&tenant, user).await;
    tenant.simulator.wipe_calendars(user).unwrap();
    restored(&tenant, user, &kept, OnConflict::Skip).await;
    let once = Agenda::of(&tenant.simulator, user);

    let outcomes = restored(&tenant, user, &kept, OnConflict::Replace).await;

    assert_eq!(count(&outcomes, |one| *one == Restored::AlreadyThere), once.events.len(), "{outcomes:#?}");
    assert_eq!(once.events, Agenda::of(&tenant.simulator, user).events);
    assert_silent(&tenant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeping_both_makes_one_copy_of_what_was_changed_and_no_second_one() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let before = Agenda::of(&tenant.simulator, user);
    let kept = backed_up(&tenant, user).await;
    let changed = before.find(is_plain);
    let meeting = before.find(|event| event["attendees"] != json!([]) && event["isOrganizer"] == true);
    for event in [changed, meeting] {
        change(&tenant, user, event, json!({"subject": "Spoiled"}));
    }

    let first = restored(&tenant, user, &kept, OnConflict::KeepBoth).await;
    let second = restored(&tenant, user, &kept, OnConflict::KeepBoth).await;

    assert_eq!(count(&first, |one| matches!(one, Restored::Created { .. })), 2);
    assert_eq!(count(&second, |one| matches!(one, Restored::Created { .. })), 0);
    let after = Agenda::of(&tenant.simulator, user);
    assert_eq!(after.events.len(), before.events.len() + 2);
    assert_eq!(after.events.iter().filter(|event| event["subject"] == "Spoiled").count(), 2);
    assert_silent(&tenant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_stays_and_an_event_that_was_deleted_comes_back() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let before = Agenda::of(&tenant.simulator, user);
    let kept = backed_up(&tenant, user).await;
    let (changed, gone) = (before.find(is_plain), before.find(|event| event["type"] == "seriesMaster"));
    change(&tenant, user, changed, json!({"subject": "Newer"}));
    tenant.simulator.calendar_edit(user, json!({"action": "delete", "id": gone["id"]})).unwrap();

    let outcomes = restored(&tenant, user, &kept, OnConflict::Skip).await;

    assert!(matches!(outcomes[id_of(changed)], Ok(Restored::LeftAlone { .. })));
    assert!(matches!(outcomes[id_of(gone)], Ok(Restored::Created { .. })));
    assert_eq!(count(&outcomes, |one| matches!(one, Restored::Created { .. })), 1);
    let after = Agenda::of(&tenant.simulator, user);
    assert_eq!(after.find(|event| event["id"] == changed["id"])["subject"], "Newer");
    assert_silent(&tenant);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_was_cut_off_is_made_anew_as_a_whole() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let before = Agenda::of(&tenant.simulator, user);
    let kept = backed_up(&tenant, user).await;
    tenant.simulator.wipe_calendars(user).unwrap();
    tenant.set_faults(json!([{"method": "PATCH", "kind": "status", "status": 403, "code": "ErrorAccessDenied"}]));

    let cut = restored(&tenant, user, &kept, OnConflict::Skip).await;
    tenant.simulator.clear_faults();
    let halves = cut.values().filter(|outcome| matches!(outcome, Err(RestoreError::Graph(_)))).count();
    assert!(halves > 0, "what has to be completed ends the attempt");
    let looked = Agenda::of(&tenant.simulator, user).events.len();
    assert_eq!(looked, before.events.len(), "what was begun is there");
    let whole = restored(&tenant, user, &kept, OnConflict::Skip).await;

    assert_eq!(count(&whole, |one| matches!(one, Restored::Created { .. })), halves);
    Agenda::of(&tenant.simulator, user).assert_restored_from(&before);
    assert_silent(&tenant);
}
