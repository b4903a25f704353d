//! The calendar feature against a simulated tenant: a backup holds what the calendars hold, through every fault.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use kodo::features::{Feature, Form, Piece, WalkError, find, read_bundle};
use kodo_simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::support::collected::{Collected, Item};
use crate::support::tenant::{Tenant, client_with};

const CUSTOM_ZONE: &str = "tzone://Microsoft/Custom";

fn calendar() -> &'static dyn Feature {
    find("calendar").unwrap()
}

async fn tenant() -> Tenant {
    Tenant::start(Options { users: 2, messages: 2, events: 42, ..Options::default() }).await
}

/// What the user has in calendars of their own, by id.
pub fn truth(tenant: &Simulator, user: &str) -> BTreeMap<String, Value> {
    let fingerprint = tenant.calendar_fingerprint(user).unwrap();
    let calendars = fingerprint["calendars"].as_array().unwrap();
    let default = calendars.iter().find(|calendar| calendar["isDefaultCalendar"] == true).unwrap();
    let own = calendars.iter().filter(|calendar| calendar["owner"]["address"] == default["owner"]["address"]);
    let own: BTreeSet<&str> = own.map(|calendar| calendar["id"].as_str().unwrap()).collect();
    let events = fingerprint["events"].as_array().unwrap().iter();
    let events = events.filter(|event| own.contains(event["calendarId"].as_str().unwrap()));
    events.map(|event| (event["id"].as_str().unwrap().to_owned(), event.clone())).collect()
}

/// The moment that a time of an event means, by the zones as everybody else knows them.
fn moment(time: &Value) -> i64 {
    let local = NaiveDateTime::parse_from_str(time["dateTime"].as_str().unwrap(), "%Y-%m-%dT%H:%M:%S%.f").unwrap();
    let zone: Tz = match time["timeZone"].as_str().unwrap() {
        "UTC" => Tz::UTC,
        "W. Europe Standard Time" => Tz::Europe__Berlin,
        "Eastern Standard Time" => Tz::America__New_York,
        "Tokyo Standard Time" => Tz::Asia__Tokyo,
        other => panic!("the tenant has no zone {other}"),
    };
    zone.from_local_datetime(&local).earliest().expect("no event lies in the hour that is left out").timestamp()
}

fn assert_times(expected: &Value, captured: &Value) {
    let zone = expected["originalStartTimeZone"].as_str().unwrap();
    let zone = if zone == CUSTOM_ZONE { "UTC" } else { zone };
    for name in ["start", "end"] {
        assert_eq!(captured[name]["timeZone"], zone, "{captured}");
        if expected["isAllDay"] == true {
            // A whole day is the same day everywhere.
            assert_eq!(captured[name]["dateTime"], expected[name]["dateTime"]);
        } else {
            assert_eq!(moment(&captured[name]), moment(&expected[name]), "{name} of {captured}");
        }
    }
}

/// One event of a calendar, or one exception of a series.
fn assert_event(expected: &Value, captured: &Value, pieces: &[Piece]) {
    const COMPARED_OTHERWISE: [&str; 9] =
        ["start", "end", "bodyType", "bodyHash", "attachments", "exceptions", "cancelled", "calendar", "calendarId"];
    for (name, value) in expected.as_object().unwrap() {
        if !COMPARED_OTHERWISE.contains(&name.as_str()) {
            assert_eq!(captured[name], *value, "{name} of {expected}");
        }
    }
    assert_times(expected, captured);
    assert_eq!(captured["body"]["contentType"], expected["bodyType"]);
    assert_eq!(hash(captured["body"]["content"].as_str().unwrap().as_bytes()), expected["bodyHash"]);
    assert_attachments(expected, captured, pieces);
}

fn assert_attachments(expected: &Value, captured: &Value, pieces: &[Piece]) {
    let expected = expected["attachments"].as_array().unwrap();
    let kept = captured["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(kept.len(), expected.len(), "{captured}");
    let owner = captured["id"].as_str().unwrap();
    for (expected, kept) in expected.iter().zip(kept) {
        let piece = |form: Form| {
            let mut of_it = pieces.iter().filter(|piece| {
                (piece.label.owner.as_str(), piece.label.form) == (owner, form) && kept["id"] == piece.label.id.as_str()
            });
            (of_it.next(), of_it.count() == 0)
        };
        assert_eq!((&kept["name"], &kept["isInline"]), (&expected["name"], &expected["isInline"]));
        let (content, alone) = piece(Form::Content);
        assert!(alone);
        match expected["kind"].as_str().unwrap() {
            "file" => {
                let content = content.expect("a file has bytes");
                assert_eq!(hash(&content.content), expected["hash"]);
                assert_eq!(kept["contentId"], expected["contentId"]);
                assert_eq!(content.label.content_type, expected["contentType"].as_str().unwrap());
            }
            "item" => {
                let json: Value = serde_json::from_slice(&piece(Form::Json).0.unwrap().content).unwrap();
                assert_eq!(json["subject"], expected["name"]);
                let text = mail_parser::MessageParser::default().parse(&content.unwrap().content[..]).unwrap();
                assert_eq!(text.subject(), expected["name"].as_str());
            }
            "reference" => assert!(content.is_none() && kept["@odata.type"] == "#microsoft.graph.referenceAttachment"),
            other => panic!("no kind {other}"),
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn assert_item(expected: &Value, item: &Item) {
    let pieces = item.content.as_ref().map(|bundle| read_bundle(bundle).unwrap()).unwrap_or_default();
    assert_event(expected, &item.properties, &pieces);
    let start = Utc.timestamp_opt(moment(&expected["start"]), 0).unwrap();
    assert_eq!((item.summary.time, item.summary.name.as_str()), (start, expected["subject"].as_str().unwrap()));
    let exceptions = expected["exceptions"].as_array().unwrap();
    let kept = item.properties["exceptionOccurrences"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(kept.len(), exceptions.len());
    for (expected, kept) in exceptions.iter().zip(kept) {
        assert_event(expected, kept, &pieces);
    }
    let cancelled = item.properties["cancelledOccurrences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let days: Vec<&str> = cancelled.iter().map(|id| id.as_str().unwrap().rsplit('.').next().unwrap()).collect();
    assert_eq!(json!(days), expected["cancelled"]);
}

fn assert_same(tenant: &Tenant, user: &str, kept: &Collected) {
    assert_held(&truth(&tenant.simulator, user), kept);
}

pub fn assert_held(truth: &BTreeMap<String, Value>, kept: &Collected) {
    assert_eq!(kept.items.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (id, expected) in truth {
        let item = &kept.items[id];
        assert_eq!(kept.path(&item.container), expected["calendar"].as_str().unwrap());
        assert_item(expected, item);
    }
}

async fn backed_up(tenant: &Tenant, user: &str) -> Collected {
    let mut kept = Collected::default();
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    kept
}

fn requests(tenant: &Tenant) -> u64 {
    tenant.simulator.stats()["requests"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_backup_holds_exactly_what_the_calendars_hold() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];

    let kept = backed_up(&tenant, user).await;

    assert_eq!(kept.issues, BTreeMap::new());
    assert_same(&tenant, user, &kept);
    let truth = truth(&tenant.simulator, user);
    let all = |has: &dyn Fn(&Value) -> bool| truth.values().filter(|event| has(event)).count();
    let filled = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    assert!(all(&|event| filled(&event["cancelled"])) > 0, "some series has a cancelled date");
    let in_exceptions =
        |event: &Value| event["exceptions"].as_array().unwrap().iter().any(|e| filled(&e["attachments"]));
    assert!(all(&in_exceptions) > 0, "some exception has attachments");
    assert!(all(&|event| event["originalStartTimeZone"] == CUSTOM_ZONE) > 0, "some zone is a custom one");
    assert!(all(&|event| event["calendar"] == "Holidays in Germany") > 0, "a read-only calendar is captured too");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_run_reads_what_changed_and_nothing_else() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;

    for seed in 1..=3 {
        tenant.simulator.calendar_random_edits(user, seed, 15).unwrap();
        kept.run(calendar(), tenant.source(user)).await.unwrap();

        assert!(kept.captured.len() <= 15, "{} were read for 15 edits", kept.captured.len());
        assert_eq!(kept.n_full_walks, 0);
        assert_same(&tenant, user, &kept);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_calendars_cost_a_request_each_and_one_for_their_list() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;
    let before = requests(&tenant);

    kept.run(calendar(), tenant.source(user)).await.unwrap();

    assert_eq!(kept.captured, BTreeSet::new());
    assert_eq!(requests(&tenant) - before, kept.containers.len() as u64 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_a_series_is_read_with_the_series() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let edit = |wanted: Value| tenant.simulator.calendar_edit(user, wanted).unwrap();
    let made = edit(json!({
        "action": "create", "subject": "Round", "start": "2026-03-20T09:00:00Z", "zone": "W. Europe Standard Time",
        "daily": 30,
    }));
    let series = made["id"].as_str().unwrap().to_owned();
    let mut kept = backed_up(&tenant, user).await;
    // Nine o'clock on the wall, on both sides of the change to summer time.
    assert_eq!(kept.items[&series].properties["start"]["dateTime"], "2026-03-20T09:00:00.0000000");

    let on = |date: &str, set: Value| edit(json!({"action": "change", "id": series, "date": date, "set": set}));
    let runs: [&dyn Fn() -> Value; 5] = [
        &|| on("2026-03-30", json!({"subject": "Round with guests", "attach": "Guests.txt"})),
        &|| edit(json!({"action": "cancel", "id": series, "date": "2026-03-31"})),
        &|| on("2026-03-30", json!({"attach": "More guests.txt"})),
        &|| edit(json!({"action": "cancel", "id": series, "date": "2026-03-30"})),
        &|| edit(json!({"action": "move", "id": series, "calendar": "Projects"})),
    ];
    for change in runs {
        change();
        kept.run(calendar(), tenant.source(user)).await.unwrap();
        assert!(kept.captured.iter().eq([&series]), "{:?}", kept.captured);
        assert_same(&tenant, user, &kept);
    }
    assert!(kept.items[&series].content.is_none(), "the attachments went with the exception");

    edit(json!({"action": "delete", "id": series}));
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert!(kept.captured.is_empty() && !kept.items.contains_key(&series));
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calendars_come_go_and_are_renamed() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;
    let edit = |wanted: Value| tenant.simulator.calendar_edit(user, wanted).unwrap();

    edit(json!({"action": "add_calendar", "name": "Garden"}));
    edit(json!({"action": "create", "calendar": "Garden", "subject": "Dig", "start": "2026-04-01T10:00:00Z"}));
    edit(json!({"action": "rename_calendar", "name": "Projects", "to": "Old projects"}));
    kept.run(calendar(), tenant.source(user)).await.unwrap();

    assert_eq!(kept.captured.len(), 1);
    assert_same(&tenant, user, &kept);
    edit(json!({"action": "remove_calendar", "name": "Old projects"}));
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert_same(&tenant, user, &kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_tokens_cost_a_walk_and_read_no_event() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;
    let gone = kept.items.iter().find(|(_, item)| kept.path(&item.container) == "Calendar").unwrap().0.clone();
    tenant.simulator.calendar_edit(user, json!({"action": "delete", "id": gone})).unwrap();

    tenant.simulator.expire_delta(Some(user)).unwrap();
    kept.run(calendar(), tenant.source(user)).await.unwrap();

    assert_eq!((kept.captured.len(), kept.n_full_walks), (0, kept.containers.len()));
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_delta_calendars_are_listed_and_compared() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mode = |mode: &str| {
        tenant.simulator.calendar_edit(user, json!({"action": "events_delta", "mode": mode})).unwrap();
    };
    mode("unsupported");
    let mut kept = backed_up(&tenant, user).await;
    assert_same(&tenant, user, &kept);
    let before = requests(&tenant);

    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert_eq!(kept.captured, BTreeSet::new());
    assert_eq!(requests(&tenant) - before, kept.containers.len() as u64 + 1, "the way that works is remembered");

    tenant.simulator.calendar_random_edits(user, 5, 20).unwrap();
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert!(kept.captured.len() <= 20, "{}", kept.captured.len());
    assert_same(&tenant, user, &kept);

    mode("works");
    for _ in 0..40 {
        kept.run(calendar(), tenant.source(user)).await.unwrap();
        assert_eq!(kept.captured, BTreeSet::new());
    }
    assert_eq!(kept.n_full_walks, 0, "some time later the better way is found");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_delta_gives_up_pages_become_small_and_then_a_listing() {
    let mut tenant = tenant().await;
    tenant.graph = client_with(&tenant.simulator, |config| config.attempts_max = 1);
    let user = &tenant.members()[0];
    let mode = |wanted: Value| tenant.simulator.calendar_edit(user, wanted).unwrap();
    mode(json!({"action": "events_delta", "mode": "unavailable", "small_page": 10}));

    let mut kept = backed_up(&tenant, user).await;
    assert_same(&tenant, user, &kept);
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert_eq!((kept.n_full_walks, kept.captured.len()), (0, 0), "small pages of delta go on as such");

    mode(json!({"action": "events_delta", "mode": "unavailable"}));
    tenant.simulator.calendar_random_edits(user, 6, 10).unwrap();
    kept.run(calendar(), tenant.source(user)).await.unwrap();
    assert_eq!(kept.n_full_walks, kept.containers.len());
    assert!(kept.captured.len() <= 10, "{}", kept.captured.len());
    assert_same(&tenant, user, &kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_event_costs_itself_and_a_rotten_attachment_not_even_its_event() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let all = truth(&tenant.simulator, user);
    let find = |has: &dyn Fn(&Value) -> bool| all.iter().find(|(_, event)| has(event)).unwrap().0.clone();
    let n_files =
        |event: &Value| event["attachments"].as_array().unwrap().iter().filter(|a| a["kind"] == "file").count();
    let with_files = find(&|event| n_files(event) == 2);
    let rotten = find(&|event| event["type"] == "singleInstance" && n_files(event) == 0);
    let vanishing = find(&|event| event["type"] == "seriesMaster" && event["exceptions"] == json!([]));
    tenant.set_faults(json!([
        {"match": "attachments/*", "kind": "poison", "items": [with_files], "code": "ErrorCannotOpenFileAttachment"},
        {"match": format!("events/{}", rotten.replace('=', "%3D")), "kind": "poison", "items": [rotten]},
        {"match": format!("events/{}", rotten), "kind": "poison", "items": [rotten]},
        {"match": "events/*", "kind": "vanish", "items": [vanishing]},
    ]));

    let mut kept = backed_up(&tenant, user).await;

    let issues = BTreeMap::from([(with_files.clone(), "attachment_unreadable"), (rotten.clone(), "corrupt")]);
    assert_eq!(kept.issues, issues);
    assert_eq!(kept.items.len(), all.len() - 2);
    let known = kept.items[&with_files].properties["attachments"].as_array().unwrap();
    assert!(known.len() == 2 && known.iter().all(|attachment| attachment["unreadable"] == true), "{known:?}");
    tenant.simulator.clear_faults();
    let (events, source) = (kept.items[&with_files].container.clone(), tenant.source(user));
    kept.retry_issues(calendar(), source, &events).await;
    assert_eq!(kept.issues, BTreeMap::new());
    for id in [&with_files, &rotten] {
        assert_item(&all[id], &kept.items[id]);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_service_costs_time_and_no_event() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    tenant.set_faults(json!([
        {"kind": "status", "status": 503, "probability": 0.02, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "reset", "probability": 0.02},
        {"kind": "cut_body", "probability": 0.02},
        {"match": "events/delta", "kind": "empty_pages", "probability": 0.3},
        {"match": "events/delta", "kind": "duplicate_entries"},
        {"match": "events/delta", "kind": "removed_first"},
    ]));

    let kept = backed_up(&tenant, user).await;
    tenant.simulator.clear_faults();

    assert_eq!(kept.issues, BTreeMap::new());
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_mailbox_has_no_calendars_and_is_no_failure() {
    let tenant = tenant().await;
    let found = |user: String| {
        let tenant = &tenant;
        async move { calendar().containers(tenant.source(&user), None).await.map(|changes| changes.present.len()) }
    };

    for mailbox in ["unlicensed", "on_premises"] {
        let outcome = found(tenant.user_of_kind("member", mailbox)).await;
        assert!(matches!(&outcome, Err(WalkError::NotApplicable(why)) if !why.is_empty()), "{mailbox}: {outcome:?}");
    }
    assert!(matches!(found("no-such-user".into()).await, Err(WalkError::NotApplicable(_))));
    tenant.assert_no_violations();
}
