use crate::{Answer, IMMUTABLE, Tenant, send};
use kodo_simulator::{FaultKind, FaultPlan, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};

async fn get(tenant: &Tenant, path: &str, prefer: &str) -> Answer {
    let prefer = format!("{IMMUTABLE}, odata.maxpagesize=9{prefer}");
    send(tenant.request(Method::GET, path).header("Prefer", prefer)).await
}

/// Follows a list or a walk to its end: all entries, and the delta link if there is one.
async fn all(tenant: &Tenant, start: &str) -> (Vec<Value>, String) {
    let (mut url, mut found) = (start.to_owned(), Vec::new());
    loop {
        let answer = get(tenant, &url, "").await;
        assert_eq!(answer.status, 200, "{url} {}", answer.body);
        found.extend(answer.values().iter().cloned());
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => return (found, answer.body["@odata.deltaLink"].as_str().unwrap_or_default().to_owned()),
        }
    }
}

fn truth(tenant: &Tenant, keep: impl Fn(&Value) -> bool) -> Value {
    let whole = tenant.simulator.calendar_fingerprint(&tenant.user()).expect("a fingerprint");
    whole["events"].as_array().expect("events").iter().find(|event| keep(event)).expect("such an event").clone()
}

/// The weekly series with exceptions and cancelled dates.
fn series(tenant: &Tenant) -> Value {
    truth(tenant, |event| event["recurrence"]["pattern"]["type"] == "weekly" && event["cancelled"] != json!([]))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

fn event(tenant: &Tenant, id: &str) -> String {
    format!("/users/{}/events/{id}", tenant.user())
}

#[actix_web::test]
async fn calendars_are_own_read_only_and_shared_ones() {
    let tenant = Tenant::small().await;
    let (calendars, _) = all(&tenant, &format!("/users/{}/calendars", tenant.user())).await;
    let default = tenant.get(&format!("/users/{}/calendar", tenant.user())).await.body;

    let owner = &default["owner"]["address"];
    assert_eq!(default["isDefaultCalendar"], true);
    assert!(calendars.iter().any(|c| c["owner"]["address"] != *owner), "one shared to the user");
    assert!(calendars.iter().any(|c| c["canEdit"] == false && c["owner"]["address"] == *owner), "holidays");
    let groups = tenant.get(&format!("/users/{}/calendarGroups", tenant.user())).await;
    let path = format!("/users/{}/calendarGroups/{}/calendars", tenant.user(), text(&groups.values()[0], "id"));
    assert_eq!(tenant.get(&path).await.values().len(), 2, "the default and an own one");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn a_list_and_a_walk_have_series_and_single_events_and_no_occurrences() {
    let tenant = Tenant::small().await;
    let default = tenant.get(&format!("/users/{}/calendar", tenant.user())).await;
    let path = format!("/users/{}/calendars/{}/events", tenant.user(), text(&default.body, "id"));

    let (listed, _) = all(&tenant, &format!("{path}?$select=id,type")).await;
    let (walked, link) = all(&tenant, &format!("{path}/delta?$select=id,type")).await;

    assert!(listed.len() > 9, "more than one page");
    assert!(listed.iter().all(|e| ["singleInstance", "seriesMaster"].contains(&text(e, "type"))));
    let ids = |all: &[Value]| all.iter().map(|e| text(e, "id").to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&walked));
    assert!(link.contains("$deltatoken="));
}

#[actix_web::test]
async fn a_series_tells_its_exceptions_and_cancelled_dates_only_when_asked() {
    let tenant = Tenant::small().await;
    let series = series(&tenant);
    let path = event(&tenant, text(&series, "id"));

    let plain = get(&tenant, &path, "").await.body;
    let asked = format!("{path}?$expand=exceptionOccurrences&$select=subject,cancelledOccurrences,recurrence");
    let asked = get(&tenant, &asked, "").await.body;

    assert!(plain.get("cancelledOccurrences").is_none() && plain.get("exceptionOccurrences").is_none());
    let cancelled: Vec<&str> =
        asked["cancelledOccurrences"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(cancelled[0], format!("OID.{}.2026-03-30", text(&series, "id")));
    let exceptions = asked["exceptionOccurrences"].as_array().expect("a list");
    assert_eq!((exceptions.len(), &exceptions[0]["type"]), (2, &json!("exception")));
    assert_eq!(exceptions[0]["seriesMasterId"], series["id"]);
    assert_eq!(exceptions[0]["hasAttachments"], true);
    let files = get(&tenant, &format!("{}/attachments", event(&tenant, text(&exceptions[0], "id"))), "").await;
    assert_eq!(files.values()[0]["name"], "Minutes.docx");
    let own = get(&tenant, &format!("{path}/attachments"), "").await;
    assert_eq!(own.values().len(), 0, "the exception has its own attachments");
}

#[actix_web::test]
async fn instances_keep_their_hour_across_summer_time_in_the_zone_asked_for() {
    let tenant = Tenant::small().await;
    let series = series(&tenant);
    let path = format!(
        "{}/instances?startDateTime=2026-03-23T00:00:00Z&endDateTime=2026-04-02T00:00:00Z",
        event(&tenant, text(&series, "id"))
    );

    let utc = get(&tenant, &path, "").await;
    let local = get(&tenant, &path, ", outlook.timezone=\"W. Europe Standard Time\"").await;

    let hours = |answer: &Answer| -> Vec<String> {
        answer.values().iter().map(|one| text(&one["start"], "dateTime")[5..13].to_owned()).collect()
    };
    let (utc_hours, local_hours) = (hours(&utc), hours(&local));
    assert_eq!(utc_hours.len(), 3, "the 30th is cancelled");
    assert_eq!(local_hours.iter().map(|h| &h[6..]).collect::<std::collections::BTreeSet<_>>().len(), 1);
    assert_ne!(utc_hours[0][6..], utc_hours[2][6..], "an hour earlier by UTC");
    assert_eq!(local.values()[2]["originalStartTimeZone"], "W. Europe Standard Time");
    assert_eq!(local.values()[2]["type"], "exception");
    let unknown = get(&tenant, &path, ", outlook.timezone=\"tzone://Microsoft/Custom\"").await;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (400, "TimeZoneNotSupportedException"));
}

#[actix_web::test]
async fn changes_moves_and_deletions_of_events_arrive_by_delta() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let start = format!("/users/{user}/events/delta");
    let (walked, link) = all(&tenant, &start).await;
    let id = |index: usize| text(&walked[index], "id").to_owned();
    let edit = |wanted: Value| tenant.simulator.calendar_edit(&user, wanted).expect("edited");
    edit(json!({"action": "change", "id": id(0), "set": {"subject": "Other"}}));
    edit(json!({"action": "move", "id": id(1), "calendar": "Projects"}));
    edit(json!({"action": "delete", "id": id(2)}));

    let (changes, _) = all(&tenant, &link).await;

    assert_eq!((&changes[0]["id"], &changes[0]["subject"]), (&walked[0]["id"], &json!("Other")));
    assert_eq!((&changes[1]["id"], &changes[1]["@removed"]["reason"]), (&walked[1]["id"], &json!("deleted")));
    assert_eq!((&changes[2]["id"], &changes[2]["@removed"]["reason"]), (&walked[2]["id"], &json!("deleted")));
    assert_eq!(changes.len(), 3);
    let moved = get(&tenant, &event(&tenant, &id(1)), "").await;
    assert_eq!(moved.status, 200, "the immutable id lives on");
    tenant.simulator.expire_delta(Some(&user)).expect("expired");
    assert_eq!(get(&tenant, &link, "").await.code(), "SyncStateNotFound");
}

#[actix_web::test]
async fn a_view_walk_is_bound_to_its_window_and_expands_series() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let window = "startDateTime=2026-03-01T00:00:00Z&endDateTime=2026-04-01T00:00:00Z";
    let path = format!("/users/{user}/calendarView/delta");
    let edit = |wanted: Value| tenant.simulator.calendar_edit(&user, wanted).expect("edited");
    let outside = edit(json!({"action": "create", "subject": "Far away", "start": "2026-09-01T09:00:00"}));
    let selected = get(&tenant, &format!("{path}?{window}&$select=id"), "").await;
    let (walked, link) = all(&tenant, &format!("{path}?{window}")).await;
    let series = series(&tenant);
    let of_series = |entry: &&Value| entry["seriesMasterId"] == series["id"];

    assert_eq!(selected.status, 400);
    assert!(get(&tenant, &path, "").await.code() == "ErrorInvalidParameter", "a walk needs its window");
    let occurrence = walked.iter().find(of_series).expect("an occurrence").clone();
    assert!(occurrence.get("subject").is_none(), "an occurrence is thin");
    assert!(walked.iter().all(|entry| entry["id"] != outside["id"]), "the window holds");
    edit(json!({"action": "cancel", "id": series["id"], "date": &text(&occurrence["start"], "dateTime")[..10]}));
    edit(json!({"action": "delete", "id": outside["id"]}));
    let (changes, _) = all(&tenant, &link).await;

    let removed: Vec<&Value> = changes.iter().filter(|e| e.get("@removed").is_some()).map(|e| &e["id"]).collect();
    assert!(removed.contains(&&occurrence["id"]), "the cancelled one");
    assert!(removed.contains(&&outside["id"]), "what is removed is told wherever it was");
    let kept = changes.iter().filter(|e| e.get("@removed").is_none());
    assert!(kept.into_iter().any(|e| e["id"] == series["id"]), "the series that changed");
}

#[actix_web::test]
async fn a_calendar_may_have_no_delta_or_only_small_pages() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let path = format!("/users/{user}/events/delta");
    let mode = |wanted: Value| tenant.simulator.calendar_edit(&user, wanted).expect("set");

    mode(json!({"action": "events_delta", "mode": "unsupported"}));
    let unsupported = get(&tenant, &path, "").await;
    mode(json!({"action": "events_delta", "mode": "unavailable"}));
    let unavailable = get(&tenant, &path, "").await;
    mode(json!({"action": "events_delta", "mode": "unavailable", "small_page": 9}));
    let small = get(&tenant, &path, "").await;

    assert_eq!(unsupported.status, 400);
    assert!(text(&unsupported.body["error"], "message").starts_with("Parameter 'DeltaToken' not supported"));
    assert_eq!((unavailable.status.as_u16(), &unavailable.body), (503, &json!("")));
    assert_eq!(small.status, 200);
}

#[actix_web::test]
async fn bodies_are_sanitised_unless_the_danger_is_asked_for() {
    let tenant = Tenant::small().await;
    let (events, _) = all(&tenant, &format!("/users/{}/events?$select=id,bodyPreview,body", tenant.user())).await;
    let found = events.iter().find(|e| text(&e["body"], "content").contains("<p>Agenda</p>")).expect("the event");

    let raw = get(&tenant, &event(&tenant, text(found, "id")), ", outlook.allow-unsafe-html").await;

    assert!(!text(&found["body"], "content").contains("script"));
    assert!(text(&raw.body["body"], "content").contains("<script>track()</script>"));
}

#[actix_web::test]
async fn files_items_and_links_of_an_event() {
    let tenant = Tenant::small().await;
    let found =
        truth(&tenant, |e| e["attachments"].as_array().is_some_and(|all| all.iter().any(|a| a["kind"] == "item")));
    let path = format!("{}/attachments", event(&tenant, text(&found, "id")));
    let listed = get(&tenant, &path, "").await;
    let of = |kind: &str| {
        let wanted = format!("#microsoft.graph.{kind}Attachment");
        let one = listed.values().iter().find(|a| a["@odata.type"] == wanted).expect("such an attachment");
        format!("{path}/{}", text(one, "id"))
    };

    let item = get(&tenant, &format!("{}/$value", of("item")), "").await;
    let link = get(&tenant, &format!("{}/$value", of("reference")), "").await;
    let one = get(&tenant, &of("reference"), "").await;

    assert!(item.body.as_str().expect("MIME").contains("MIME-Version: 1.0"));
    assert_eq!((link.status.as_u16(), one.status.as_u16()), (405, 200));
    assert_eq!(tenant.violation_kinds(), ["reference_value"]);
}

#[actix_web::test]
async fn answering_an_invitation_is_refused_and_noted() {
    let tenant = Tenant::small().await;

    let sent = tenant.post(&format!("/users/{}/events/x/accept", tenant.user()), json!({})).await;

    assert_eq!(sent.status, 400);
    assert_eq!(tenant.violation_kinds(), ["sends_mail"]);
}

#[actix_web::test]
async fn faults_strike_events_by_their_immutable_id() {
    let tenant = Tenant::small().await;
    let id = text(&series(&tenant), "id").to_owned();
    let rule = json!({"kind": FaultKind::Poison, "match": "events/*", "items": [id]});
    let rule: FaultRule = serde_json::from_value(rule).expect("a rule");
    tenant.simulator.set_faults(FaultPlan { seed: 1, rules: vec![rule] });

    let struck = get(&tenant, &event(&tenant, &id), "").await;

    assert_eq!((struck.status.as_u16(), struck.code()), (500, "ErrorCorruptData"));
}

#[actix_web::test]
async fn random_edits_of_calendars_are_repeatable_and_seen_by_delta() {
    let (one, two) = (Tenant::small().await, Tenant::small().await);
    let (_, link) = all(&one, &format!("/users/{}/events/delta", one.user())).await;

    let done = one.simulator.calendar_random_edits(&one.user(), 3, 40).expect("edited");
    let again = two.simulator.calendar_random_edits(&two.user(), 3, 40).expect("edited");

    assert_eq!(done["counts"], again["counts"]);
    for kind in ["new_event", "delete", "cancel_occurrence", "change_occurrence"] {
        assert!(done["counts"][kind].as_u64().unwrap_or(0) > 0, "{kind} in {}", done["counts"]);
    }
    assert!(!all(&one, &link).await.0.is_empty());
}
