use crate::{Tenant, restored, send};
use kodo_simulator::FaultPlan;
use reqwest::Method;
use serde_json::json;

fn plan(rule: serde_json::Value) -> FaultPlan {
    serde_json::from_value(json!({"seed": 1, "rules": [rule]})).expect("a plan")
}

#[actix_web::test]
async fn a_status_fault_strikes_as_often_as_declared() {
    let tenant = Tenant::small().await;
    let rule =
        json!({"match": "/users", "kind": "status", "status": 503, "retry_after": 1, "times": 2, "body": "html"});
    tenant.simulator.set_faults(plan(rule));

    let answers = [tenant.get("/users").await, tenant.get("/users").await, tenant.get("/users").await];

    let statuses: Vec<u16> = answers.iter().map(|a| a.status.as_u16()).collect();
    assert_eq!(statuses, vec![503, 503, 200]);
    assert_eq!(answers[0].headers["retry-after"], "1");
    assert!(answers[0].headers["content-type"].to_str().expect("text").starts_with("text/html"));
}

#[actix_web::test]
async fn a_reset_and_a_cut_body_fail_the_transfer() {
    let tenant = Tenant::small().await;
    for kind in ["reset", "cut_body"] {
        tenant.simulator.set_faults(plan(json!({"match": "/users", "kind": kind, "times": 1})));

        let outcome = match tenant.request(reqwest::Method::GET, "/users").send().await {
            Ok(response) => response.bytes().await.map(|_| ()),
            Err(error) => Err(error),
        };

        assert!(outcome.is_err(), "{kind}");
        assert_eq!(tenant.get("/users").await.status, 200);
    }
}

#[actix_web::test]
async fn a_poisoned_item_stays_poisoned_and_others_stay_well() {
    let tenant = Tenant::small().await;
    let bad = tenant.create("inbox", restored("bad")).await;
    let good = tenant.create("inbox", restored("good")).await;
    let rule = json!({"match": "messages/*/$value", "kind": "poison", "items": ["<bad@example.org>"]});
    tenant.simulator.set_faults(plan(rule));
    let value = |message: &serde_json::Value| {
        format!("/users/{}/messages/{}/$value", tenant.user(), message["id"].as_str().expect("an id"))
    };

    for _ in 0..2 {
        let answer = tenant.get(&value(&bad)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (500, "ErrorMimeContentConversionFailed"));
    }
    assert_eq!(tenant.get(&value(&good)).await.status, 200);
}

#[actix_web::test]
async fn delta_faults_disturb_but_the_walk_still_ends() {
    let tenant = Tenant::small().await;
    let plan = json!({"seed": 3, "rules": [
        {"match": "messages/delta", "kind": "empty_pages"},
        {"match": "messages/delta", "kind": "duplicate_entries"},
        {"match": "messages/delta", "kind": "removed_first"},
    ]});
    tenant.simulator.set_faults(serde_json::from_value(plan).expect("a plan"));
    let mut url = format!("/users/{}/mailFolders/inbox/messages/delta?$select=id", tenant.user());
    let (mut empty, mut entries, mut removed) = (0, 0, 0);

    for _ in 0..100 {
        let answer = tenant.get(&url).await;
        empty += usize::from(answer.values().is_empty());
        entries += answer.values().len();
        removed += answer.values().iter().filter(|v| v.get("@removed").is_some()).count();
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }

    let folder = tenant.get(&format!("/users/{}/mailFolders/inbox", tenant.user())).await;
    let total = folder.body["totalItemCount"].as_u64().expect("a count") as usize;
    assert!(empty > 0 && entries > total, "{empty} {entries} {total}");
    assert!(removed >= 1, "{removed}");
}

#[actix_web::test]
async fn control_characters_spoil_strict_parsers() {
    let tenant = Tenant::small().await;
    tenant.simulator.set_faults(plan(json!({"match": "inbox/messages", "kind": "control_characters"})));

    let answer = tenant.get(&format!("/users/{}/mailFolders/inbox/messages", tenant.user())).await;

    assert!(answer.body.is_string(), "not JSON any more");
}

#[actix_web::test]
async fn an_unavailable_service_may_answer_nothing_at_all() {
    let tenant = Tenant::small().await;
    tenant
        .simulator
        .set_faults(plan(json!({"match": "messages/delta", "kind": "status", "status": 503, "body": "empty"})));

    let answer = tenant.get(&format!("/users/{}/mailFolders/inbox/messages/delta", tenant.user())).await;

    assert_eq!((answer.status.as_u16(), answer.body), (503, json!("")));
    assert!(!answer.headers.contains_key("retry-after"));
}

#[actix_web::test]
async fn top_is_no_page_size_but_the_end_of_the_listing() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders/inbox/messages?$select=id", tenant.user());
    let count = tenant.get(&format!("/users/{}/mailFolders/inbox", tenant.user())).await;

    let cut = tenant.get(&format!("{path}&$top=2")).await;
    let paged = send(tenant.request(Method::GET, &path).header("Prefer", "odata.maxpagesize=2")).await;

    assert!(count.body["totalItemCount"].as_u64().expect("a count") > 2);
    assert_eq!((cut.values().len(), cut.body.get("@odata.nextLink")), (2, None));
    assert_eq!(paged.values().len(), 2);
    assert!(paged.body["@odata.nextLink"].is_string());
}
