use crate::{Answer, IMMUTABLE, Tenant, send};
use reqwest::Method;
use serde_json::{Value, json};

fn event(subject: &str) -> Value {
    let at =
        |hour: u32| json!({"dateTime": format!("2027-03-01T{hour:02}:00:00"), "timeZone": "W. Europe Standard Time"});
    json!({"subject": subject, "start": at(9), "end": at(10)})
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

fn guest() -> Value {
    json!([{"type": "required", "emailAddress": {"name": "Bob", "address": "bob@example.org"}}])
}

fn weekly() -> Value {
    json!({
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"},
        "range": {"type": "numbered", "startDate": "2027-03-01", "numberOfOccurrences": 8,
            "recurrenceTimeZone": "W. Europe Standard Time"},
    })
}

async fn ask(tenant: &Tenant, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = tenant.request(method, &format!("/users/{}{path}", tenant.user())).header("Prefer", IMMUTABLE);
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

async fn make(tenant: &Tenant, body: Value) -> Value {
    let answer = ask(tenant, Method::POST, "/events", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

fn path(event: &Value, tail: &str) -> String {
    format!("/events/{}{tail}", event["id"].as_str().expect("an id"))
}

fn kinds(tenant: &Tenant) -> Vec<&'static str> {
    tenant.simulator.notices().iter().map(|notice| notice.kind).collect()
}

async fn instances(tenant: &Tenant, series: &Value) -> Vec<Value> {
    let window = "startDateTime=2027-01-01T00:00:00Z&endDateTime=2027-12-31T00:00:00Z&$top=50";
    ask(tenant, Method::GET, &path(series, &format!("/instances?{window}")), None).await.values().clone()
}

#[actix_web::test]
async fn whatever_people_would_be_mailed_is_in_the_log() {
    let tenant = Tenant::small().await;
    let meeting = make(&tenant, with(with(event("Meeting"), "attendees", guest()), "recurrence", weekly())).await;
    let file = json!({"@odata.type": "#microsoft.graph.fileAttachment", "name": "a", "contentBytes": "YQ=="});
    let days = instances(&tenant, &meeting).await;

    ask(&tenant, Method::PATCH, &path(&meeting, ""), Some(json!({"subject": "Moved"}))).await;
    ask(&tenant, Method::POST, &path(&meeting, "/attachments"), Some(file)).await;
    ask(&tenant, Method::PATCH, &path(&days[1], ""), Some(json!({"subject": "Once"}))).await;
    ask(&tenant, Method::DELETE, &path(&days[2], ""), None).await;
    ask(&tenant, Method::DELETE, &path(&meeting, ""), None).await;

    let expected = ["invitation", "update", "update", "update", "cancellation", "cancellation"];
    assert_eq!(kinds(&tenant), expected);
    assert!(tenant.simulator.notices().iter().all(|notice| notice.to == ["bob@example.org"]));
    assert_eq!(tenant.violation_kinds(), vec!["mails_attendees"; 6]);
}

#[actix_web::test]
async fn an_event_without_attendees_mails_nobody_and_an_online_meeting_is_noted() {
    let tenant = Tenant::small().await;

    let alone = make(&tenant, event("Alone")).await;
    ask(&tenant, Method::PATCH, &path(&alone, ""), Some(json!({"showAs": "free", "sensitivity": "private"}))).await;
    ask(&tenant, Method::DELETE, &path(&alone, ""), None).await;
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    let online = make(&tenant, with(event("Online"), "isOnlineMeeting", json!(true))).await;

    assert!(online["onlineMeeting"]["joinUrl"].is_string());
    assert_eq!((kinds(&tenant), tenant.violation_kinds()), (vec!["online_meeting"], vec!["makes_meeting"]));
}

#[actix_web::test]
async fn a_series_is_made_changed_on_one_day_and_cancelled_on_another() {
    let tenant = Tenant::small().await;
    let series = make(&tenant, with(event("Round"), "recurrence", weekly())).await;
    let days = instances(&tenant, &series).await;
    assert_eq!(days.len(), 8);
    let starts: Vec<&str> = days.iter().filter_map(|day| day["start"]["dateTime"].as_str()).collect();
    assert_eq!((starts[0], starts[4]), ("2027-03-01T08:00:00.0000000", "2027-03-29T07:00:00.0000000"), "summer time");

    let changed = json!({"subject": "Round of four", "start": {"dateTime": "2027-03-30T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2027-03-30T10:00:00", "timeZone": "UTC"}});
    let exception = ask(&tenant, Method::PATCH, &path(&days[4], ""), Some(changed)).await;
    ask(&tenant, Method::DELETE, &path(&days[1], ""), None).await;

    assert_eq!((&exception.body["type"], &exception.body["id"]), (&json!("exception"), &days[4]["id"]));
    assert_eq!(exception.body["start"]["dateTime"], "2027-03-30T09:00:00.0000000");
    let query = "?$select=cancelledOccurrences,type&$expand=exceptionOccurrences";
    let whole = ask(&tenant, Method::GET, &path(&series, query), None).await.body;
    assert!(whole["cancelledOccurrences"][0].as_str().is_some_and(|id| id.ends_with(".2027-03-08")), "{whole}");
    assert_eq!(whole["exceptionOccurrences"][0]["subject"], "Round of four");
    assert_eq!(instances(&tenant, &series).await.len(), 7);
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn what_outlook_refuses_is_refused() {
    let tenant = Tenant::small().await;
    let day = |start: &str, end: &str| {
        let at = |text: &str| json!({"dateTime": text, "timeZone": "UTC"});
        json!({"subject": "x", "isAllDay": true, "start": at(start), "end": at(end)})
    };
    let zone = json!({"dateTime": "2027-03-01T09:00:00", "timeZone": "tzone://Microsoft/Custom"});
    let other_day = with(weekly(), "range", json!({"type": "noEnd", "startDate": "2027-03-08"}));

    for odd in [
        json!({"subject": "no times"}),
        with(event("x"), "start", zone),
        day("2027-03-01T09:00:00", "2027-03-02T00:00:00"),
        day("2027-03-01T00:00:00", "2027-03-01T00:00:00"),
        with(event("x"), "end", json!({"dateTime": "2027-03-01T08:00:00", "timeZone": "W. Europe Standard Time"})),
        with(event("x"), "recurrence", other_day),
        with(event("x"), "recurrence", with(weekly(), "pattern", json!({"type": "weekly", "interval": 1}))),
    ] {
        let answer = ask(&tenant, Method::POST, "/events", Some(odd.clone())).await;
        assert_eq!(answer.status, 400, "{odd}");
    }
    for name in ["id", "changeKey", "webLink", "createdDateTime"] {
        let odd = with(event("x"), name, json!("2027-03-01T00:00:00Z"));
        assert_eq!(ask(&tenant, Method::POST, "/events", Some(odd)).await.status, 400, "{name}");
    }
    assert_eq!(tenant.violation_kinds(), vec!["read_only_property"; 4]);
}

#[actix_web::test]
async fn one_transaction_makes_one_event() {
    let tenant = Tenant::small().await;
    let wanted = with(event("Once"), "transactionId", json!("8f0c7d31-0000-4000-8000-000000000001"));

    let (first, second) = (make(&tenant, wanted.clone()).await, make(&tenant, wanted).await);

    assert_eq!(first["id"], second["id"]);
}

#[actix_web::test]
async fn nobody_writes_into_a_read_only_calendar_and_names_of_calendars_are_taken_once() {
    let tenant = Tenant::small().await;
    let listed = ask(&tenant, Method::GET, "/calendars", None).await;
    let holidays = listed.values().iter().find(|calendar| calendar["canEdit"] == false).expect("holidays");
    let path = format!("/calendars/{}/events", holidays["id"].as_str().expect("an id"));

    let refused = ask(&tenant, Method::POST, &path, Some(event("x"))).await;
    let made = ask(&tenant, Method::POST, "/calendars", Some(json!({"name": "Garden"}))).await;
    let taken = ask(&tenant, Method::POST, "/calendars", Some(json!({"name": "garden"}))).await;

    assert_eq!((refused.status.as_u16(), refused.code()), (403, "ErrorAccessDenied"));
    assert_eq!((made.status.as_u16(), &made.body["canEdit"]), (201, &json!(true)));
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "ErrorFolderExists"));
    assert_eq!(tenant.violation_kinds(), ["read_only_calendar"]);
}

#[actix_web::test]
async fn an_event_is_found_by_a_property_that_a_client_set() {
    const NAMED: &str = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name kodo";
    let tenant = Tenant::small().await;
    let marked = with(event("Marked"), "singleValueExtendedProperties", json!([{"id": NAMED, "value": "it's"}]));
    let made = make(&tenant, marked).await;
    let filter = format!("singleValueExtendedProperties/any(ep: ep/id eq '{NAMED}' and ep/value eq 'it''s')");
    let expand = format!("singleValueExtendedProperties($filter=id eq '{NAMED}')");

    let found = ask(&tenant, Method::GET, &format!("/events?$filter={filter}&$expand={expand}"), None).await;

    assert_eq!((found.values().len(), &found.values()[0]["id"]), (1, &made["id"]));
    assert_eq!(found.values()[0]["singleValueExtendedProperties"][0]["value"], "it's");
}

#[actix_web::test]
async fn a_large_file_is_attached_to_one_occurrence_by_a_session() {
    const SIZE: usize = 3_500_000;
    let tenant = Tenant::small().await;
    let series = make(&tenant, with(event("Round"), "recurrence", weekly())).await;
    let day = instances(&tenant, &series).await.remove(2);
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "large.bin", "size": SIZE}});
    let open = ask(&tenant, Method::POST, &path(&day, "/attachments/createUploadSession"), Some(item)).await;
    let url = open.body["uploadUrl"].as_str().expect("a URL").to_owned();

    let put = tenant.client.put(url).header("Content-Type", "application/octet-stream");
    let put = put.header("Content-Range", format!("bytes 0-{}/{SIZE}", SIZE - 1)).body(vec![7_u8; SIZE]);
    let done = send(put).await;

    assert_eq!((open.status.as_u16(), done.status.as_u16()), (201, 201), "{}", done.body);
    let held = |of: Value| {
        let tenant = &tenant;
        async move { ask(tenant, Method::GET, &path(&of, "/attachments?$select=name,size"), None).await.values().len() }
    };
    assert_eq!((held(day).await, held(series).await), (1, 0));
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}
