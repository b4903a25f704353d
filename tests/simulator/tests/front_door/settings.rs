use crate::{Tenant, restored, send};
use kodo_simulator::{FaultPlan, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};

#[actix_web::test]
async fn settings_categories_and_rules_answer_and_change() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let base = format!("/users/{user}");
    let edit = json!({"time_zone": "Tokyo Standard Time", "reply": "Away", "add_category": "New", "add_rule": "Later"});

    let before = tenant.get(&format!("{base}/mailFolders/inbox/messageRules")).await;
    tenant.simulator.settings_edit(&user, edit).expect("edited");
    let settings = tenant.get(&format!("{base}/mailboxSettings")).await;
    let categories = tenant.get(&format!("{base}/outlook/masterCategories")).await;
    let rules = tenant.get(&format!("{base}/mailFolders/inbox/messageRules")).await;

    assert_eq!(settings.body["timeZone"], "Tokyo Standard Time");
    assert_eq!(settings.body["automaticRepliesSetting"]["status"], "alwaysEnabled");
    assert_eq!(settings.body["workingHours"]["daysOfWeek"][0], "monday");
    assert!(categories.values().iter().any(|category| category["displayName"] == "New"));
    assert_eq!(rules.values().len(), before.values().len() + 1);
    let inner = tenant.get(&format!("{base}/mailFolders/archive/messageRules")).await;
    assert_eq!(inner.values(), &Vec::<Value>::new());
    let known = tenant.simulator.settings_fingerprint(&user).expect("a fingerprint");
    assert_eq!(&known["rules"], &json!(rules.values()));
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn roles_of_an_area_open_no_other() {
    let mut tenant = Tenant::small().await;
    let wanted = json!({"client_id": "calendar-only", "secret": "s", "roles": ["Calendars.Read"]});
    tenant.simulator.register_app(wanted).expect("registered");
    let answer = tenant.login(&[("client_id", "calendar-only"), ("client_secret", "s")]).await;
    tenant.token = answer.body["access_token"].as_str().expect("a token").to_owned();
    let base = format!("/users/{}", tenant.user());

    for (path, status) in [
        ("calendars", 200),
        ("contactFolders", 403),
        ("mailboxSettings", 403),
        ("mailFolders/inbox/messageRules", 403),
        ("outlook/masterCategories", 403),
        ("mailFolders", 403),
    ] {
        assert_eq!(tenant.get(&format!("{base}/{path}")).await.status, status, "{path}");
    }
    assert_eq!(tenant.post(&format!("{base}/events"), json!({})).await.code(), "ErrorAccessDenied");
}

#[actix_web::test]
async fn no_mailbox_means_no_calendar_and_no_contacts() {
    let tenant = Tenant::small().await;
    let user = tenant.user_of_state("unlicensed");
    for path in ["calendars", "contactFolders", "mailboxSettings"] {
        assert_eq!(tenant.get(&format!("/users/{user}/{path}")).await.code(), "MailboxNotEnabledForRESTAPI", "{path}");
    }
}

#[actix_web::test]
async fn mail_deleted_from_deleted_items_can_be_recovered() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    tenant.create("deleteditems", restored("lost")).await;
    let edit = json!({"internet_message_id": "<lost@example.org>", "folder": "deleteditems", "delete": true});

    tenant.simulator.edit(&user, edit).expect("deleted");

    let listed = tenant.get(&format!("/users/{user}/mailFolders/recoverableitemsdeletions/messages")).await;
    assert_eq!(listed.values()[0]["subject"], "lost");
    let edit = json!({"internet_message_id": "<lost@example.org>", "delete": true});
    tenant.simulator.edit(&user, edit).expect("deleted for good");
    let listed = tenant.get(&format!("/users/{user}/mailFolders/recoverableitemsdeletions/messages")).await;
    assert_eq!(listed.values().len(), 0);
}

#[actix_web::test]
async fn a_message_without_mime_keeps_its_json_and_its_attachments() {
    let tenant = Tenant::small().await;
    let made = tenant.create("inbox", restored("odd")).await;
    let path = format!("/users/{}/messages/{}", tenant.user(), made["id"].as_str().expect("an id"));
    let rule = json!({"kind": "poison", "match": "messages/*/$value", "items": ["<odd@example.org>"]});
    let rule: FaultRule = serde_json::from_value(rule).expect("a rule");
    tenant.simulator.set_faults(FaultPlan { seed: 1, rules: vec![rule] });

    let mime = tenant.get(&format!("{path}/$value")).await;
    let json = tenant.get(&path).await;
    let files = send(tenant.request(Method::GET, &format!("{path}/attachments"))).await;

    assert_eq!((mime.status.as_u16(), mime.code()), (500, "ErrorMimeContentConversionFailed"));
    assert_eq!((json.status.as_u16(), files.status.as_u16()), (200, 200));
}
