//! What a client may write to settings, categories and rules, and what disturbs people.

use crate::{Answer, Tenant, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn write(tenant: &Tenant, method: Method, path: &str, body: Value) -> Answer {
    send(tenant.request(method, &format!("/users/{}{path}", tenant.user())).json(&body)).await
}

fn truth(tenant: &Tenant) -> Value {
    tenant.simulator.settings_fingerprint(&tenant.user()).expect("a fingerprint")
}

#[actix_web::test]
async fn settings_change_but_for_what_is_read_only() {
    let tenant = Tenant::small().await;
    let settings = json!({
        "timeZone": "Tokyo Standard Time", "dateFormat": "yyyy-MM-dd", "language": {"locale": "de-DE"},
        "workingHours": {"startTime": "06:00:00.0000000"},
        "automaticRepliesSetting": {"status": "disabled", "internalReplyMessage": "Gone"},
    });

    let changed = write(&tenant, Method::PATCH, "/mailboxSettings", settings).await;

    assert_eq!(changed.status, 200, "{}", changed.body);
    let now = &truth(&tenant)["mailboxSettings"];
    assert_eq!((&now["timeZone"], &now["dateFormat"]), (&json!("Tokyo Standard Time"), &json!("yyyy-MM-dd")));
    assert_eq!(now["language"]["displayName"], "German (Germany)");
    assert_eq!(now["workingHours"]["startTime"], "06:00:00.0000000");
    assert_eq!(now["automaticRepliesSetting"]["internalReplyMessage"], "Gone");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    assert!(tenant.simulator.contract_breaches().is_empty(), "{:?}", tenant.simulator.contract_breaches());
    let refused = write(&tenant, Method::PATCH, "/mailboxSettings", json!({"userPurpose": "room"})).await;
    assert_eq!(refused.status, 400);
    let unknown = write(&tenant, Method::PATCH, "/mailboxSettings", json!({"timeZone": "Moon"})).await;
    assert_eq!(unknown.code(), "ErrorInvalidTimeZone");
}

#[actix_web::test]
async fn a_category_keeps_its_name_and_changes_its_color() {
    let tenant = Tenant::small().await;
    let made =
        write(&tenant, Method::POST, "/outlook/masterCategories", json!({"displayName": "A", "color": "preset3"}))
            .await;
    let id = made.body["id"].as_str().expect("an id").to_owned();

    let one = format!("/outlook/masterCategories/{id}");
    assert_eq!(write(&tenant, Method::PATCH, &one, json!({"color": "none"})).await.body["color"], "none");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    let twice = write(&tenant, Method::POST, "/outlook/masterCategories", json!({"displayName": "a"})).await;
    assert_eq!(twice.status, 409);
    assert_eq!(write(&tenant, Method::PATCH, &one, json!({"displayName": "B"})).await.status, 400);
}

#[actix_web::test]
async fn a_rule_is_made_and_changed_and_one_that_forwards_is_told() {
    let tenant = Tenant::small().await;
    let rules = "/mailFolders/inbox/messageRules";
    let to = json!([{"emailAddress": {"address": "thief@example.com"}}]);
    let rule = json!({"displayName": "R", "sequence": 1, "isEnabled": false, "actions": {"forwardTo": to}});

    let made = write(&tenant, Method::POST, rules, rule).await;

    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    assert!(tenant.simulator.contract_breaches().is_empty(), "{:?}", tenant.simulator.contract_breaches());
    let one = format!("{rules}/{}", made.body["id"].as_str().expect("an id"));
    let changed = write(&tenant, Method::PATCH, &one, json!({"isEnabled": true})).await;
    assert_eq!((changed.status.as_u16(), &changed.body["actions"]["forwardTo"]), (200, &to));
    assert_eq!(tenant.violation_kinds(), ["sends_mail"]);
    let nowhere = json!({"displayName": "R", "sequence": 1, "actions": {"moveToFolder": "AAMk"}});
    assert_eq!(write(&tenant, Method::POST, rules, nowhere).await.code(), "ErrorInvalidIdMalformed");
    assert_eq!(write(&tenant, Method::POST, rules, json!({"displayName": "R", "sequence": 1})).await.status, 400);
}
