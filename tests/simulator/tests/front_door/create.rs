use crate::{Tenant, restored, send};
use reqwest::Method;
use serde_json::json;

const NAMED: &str = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name kodo";

#[actix_web::test]
async fn message_flags_decide_at_create_whether_it_is_a_draft() {
    let tenant = Tenant::small().await;

    let sent = tenant.create("inbox", restored("sent")).await;
    let draft = tenant.create("inbox", json!({"subject": "draft"})).await;

    assert_eq!((&sent["isDraft"], &draft["isDraft"]), (&json!(false), &json!(true)));
    assert_eq!(sent["sentDateTime"], "2020-01-02T03:04:05Z");
    assert_eq!(sent["receivedDateTime"], "2020-01-02T03:04:06Z");
    assert_eq!(sent["internetMessageId"], "<sent@example.org>");
}

#[actix_web::test]
async fn patching_the_flags_later_changes_nothing() {
    let tenant = Tenant::small().await;
    let draft = tenant.create("inbox", json!({"subject": "draft"})).await;
    let path = format!("/users/{}/messages/{}", tenant.user(), draft["id"].as_str().expect("an id"));
    let body = json!({"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "1"}]});

    let answer = tenant.patch(&path, body).await;

    assert_eq!((answer.status.as_u16(), &answer.body["isDraft"]), (200, &json!(true)));
}

#[actix_web::test]
async fn read_only_properties_are_refused_and_noted() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders/inbox/messages", tenant.user());

    for (name, value) in [
        ("id", json!("y")),
        ("changeKey", json!("y")),
        ("parentFolderId", json!("y")),
        ("receivedDateTime", json!("2026-01-02T03:04:05Z")),
        ("hasAttachments", json!(true)),
        ("@odata.etag", json!("y")),
    ] {
        let answer = tenant.post(&path, json!({"subject": "x", name: value})).await;
        assert_eq!(answer.status, 400, "{name}");
    }

    let kinds = tenant.violation_kinds();
    assert_eq!(kinds, vec!["read_only_property"; 6]);
}

#[actix_web::test]
async fn a_sent_message_takes_only_a_few_properties() {
    let tenant = Tenant::small().await;
    let sent = tenant.create("inbox", restored("patch")).await;
    let path = format!("/users/{}/messages/{}", tenant.user(), sent["id"].as_str().expect("an id"));

    let good =
        tenant.patch(&path, json!({"isRead": false, "categories": ["A"], "flag": {"flagStatus": "flagged"}})).await;
    let bad = tenant.patch(&path, json!({"subject": "other"})).await;

    assert_eq!((&good.body["isRead"], &good.body["flag"]["flagStatus"]), (&json!(false), &json!("flagged")));
    assert_eq!((bad.status.as_u16(), bad.code()), (400, "ErrorInvalidPropertySet"));
}

#[actix_web::test]
async fn named_properties_are_stored_found_and_expanded() {
    let tenant = Tenant::small().await;
    let mut body = restored("named");
    body["singleValueExtendedProperties"].as_array_mut().expect("a list").push(json!({"id": NAMED, "value": "v1"}));
    tenant.create("inbox", body).await;
    let messages = format!("/users/{}/messages", tenant.user());
    let expand = format!("$expand=singleValueExtendedProperties($filter=id eq '{NAMED}' or id eq 'String 0x001A')");

    let any = format!("singleValueExtendedProperties/any(ep: ep/id eq '{NAMED}' and ep/value eq 'v1')");
    let found = tenant.get(&format!("{messages}?$filter={any}&{expand}")).await;
    let present = format!("singleValueExtendedProperties/any(ep: ep/id eq '{NAMED}' and ep/value ne null)");
    let counted = tenant.get(&format!("{messages}?$filter={present}")).await;

    assert_eq!(found.values().len(), 1, "{}", found.body);
    let expected = json!([{"id": NAMED, "value": "v1"}, {"id": "String 0x001A", "value": "IPM.Note"}]);
    assert_eq!(found.values()[0]["singleValueExtendedProperties"], expected);
    assert_eq!(counted.values().len(), 1);
}

#[actix_web::test]
async fn mime_makes_drafts_and_never_enters_a_folder() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let mime = "RnJvbTogYUBleGFtcGxlLm9yZw0KU3ViamVjdDogaGkNCg0KYm9keQ0K";
    let post = |path: String, body: &'static str| {
        send(tenant.request(Method::POST, &path).header("Content-Type", "text/plain").body(body))
    };

    let made = post(format!("/users/{user}/messages"), mime).await;
    let folder = post(format!("/users/{user}/mailFolders/inbox/messages"), mime).await;
    let garbage = post(format!("/users/{user}/messages"), "***").await;

    assert_eq!((made.status.as_u16(), &made.body["isDraft"], &made.body["subject"]), (201, &json!(true), &json!("hi")));
    assert_eq!((folder.status.as_u16(), folder.code()), (400, "UnableToDeserializePostBody"));
    assert_eq!(garbage.status, 400);
}

#[actix_web::test]
async fn four_megabytes_are_too_much() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders/inbox/messages", tenant.user());
    let body = json!({"subject": "x", "body": {"contentType": "text", "content": "a".repeat(4 << 20)}});

    let answer = tenant.post(&path, body).await;

    assert_eq!(answer.status, 413);
}

#[actix_web::test]
async fn sending_mail_is_noted() {
    let tenant = Tenant::small().await;

    let answer = tenant.post(&format!("/users/{}/sendMail", tenant.user()), json!({})).await;

    assert!(answer.status.is_client_error());
    assert_eq!(tenant.violation_kinds(), vec!["sends_mail"]);
}

#[actix_web::test]
async fn folders_refuse_a_name_twice() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders", tenant.user());

    let first = tenant.post(&path, json!({"displayName": "Restore"})).await;
    let second = tenant.post(&path, json!({"displayName": "restore"})).await;

    assert_eq!(first.status, 201);
    assert_eq!((second.status.as_u16(), second.code()), (409, "ErrorFolderExists"));
}

#[actix_web::test]
async fn a_deleted_message_is_not_found_by_its_message_id_any_more() {
    let tenant = Tenant::small().await;
    let made = tenant.create("inbox", restored("bin")).await;
    let messages = format!("/users/{}/messages", tenant.user());
    let filter = format!("{messages}?$filter=internetMessageId eq '<bin@example.org>'");
    assert_eq!(tenant.get(&filter).await.values().len(), 1);

    let path = format!("{messages}/{}", made["id"].as_str().expect("an id"));
    let deleted = send(tenant.request(Method::DELETE, &path)).await;

    assert_eq!(deleted.status, 204);
    assert_eq!(tenant.get(&filter).await.values().len(), 0);
}
