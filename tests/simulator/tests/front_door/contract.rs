use crate::{IMMUTABLE, Tenant, restored, send};
use kodo_simulator::{FaultPlan, Options};
use reqwest::Method;
use serde_json::{Value, json};

/// The reasons of all requests that were off the contract.
fn off_contract(tenant: &Tenant) -> Vec<String> {
    let violations = tenant.simulator.violations();
    violations.into_iter().filter(|one| one.kind == "off_contract").map(|one| one.reason).collect()
}

#[actix_web::test]
async fn a_well_formed_client_is_on_the_contract_in_every_mail_operation() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let made = tenant.create("inbox", restored("on the contract")).await;
    let id = made["id"].as_str().expect("an id");
    let message = format!("/users/{user}/messages/{id}");
    let attachment = json!({"@odata.type": "#microsoft.graph.itemAttachment", "name": "inner", "item": {
        "@odata.type": "#microsoft.graph.message", "subject": "inner", "body": {"contentType": "html", "content": "x"},
    }});
    let folder = tenant.post(&format!("/users/{user}/mailFolders"), json!({"displayName": "New"})).await;

    let answers = [
        tenant.post(&format!("{message}/attachments"), attachment).await,
        tenant.get(&format!("{message}/attachments?$expand=microsoft.graph.itemattachment/item")).await,
        tenant.patch(&message, json!({"isRead": false, "flag": {"flagStatus": "flagged"}})).await,
        tenant
            .get(&format!("{message}?$select=id,subject,internetMessageHeaders&$expand=attachments($select=name)"))
            .await,
        tenant.get(&format!("/users/{user}/messages?$top=25")).await,
        tenant.get(&format!("/users/{user}/mailFolders/delta()?$select=displayName")).await,
        tenant.get(&format!("/users/{user}/mailboxSettings")).await,
        tenant.post(&format!("{message}/copy"), json!({"destinationId": folder.body["id"]})).await,
        tenant.post(&format!("{message}/move"), json!({"destinationId": folder.body["id"]})).await,
        send(
            tenant
                .request(Method::GET, &format!("/users('{user}')/mailFolders('inbox')/messages/delta"))
                .header("Prefer", format!("{IMMUTABLE}, odata.maxpagesize=500")),
        )
        .await,
        tenant.get("/users?$select=id,assignedPlans,assignedLicenses,proxyAddresses,userType&$top=999").await,
        tenant.get("/users/delta?$select=id,displayName").await,
        tenant.get("/organization?$select=id").await,
        tenant.get(&format!("/users/{user}/messages/AAMk-nothing")).await,
    ];

    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201, 200, 200, 200, 200, 200, 200, 201, 201, 200, 200, 200, 200, 400]);
    assert_eq!(off_contract(&tenant), Vec::<String>::new());
}

#[actix_web::test]
async fn a_request_that_the_contract_does_not_know_is_in_the_log() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let inbox = format!("/users/{user}/mailFolders/inbox/messages");
    let message = |extra: Value| {
        let mut body = restored("off the contract");
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        body
    };

    for (method, path, body, expected) in [
        (Method::GET, format!("{inbox}?$select=id,subjekt"), None, "'subjekt'"),
        (Method::GET, format!("{inbox}?$expand=recipients"), None, "'recipients'"),
        (Method::GET, format!("{inbox}?$expand=attachments($select=bytes)"), None, "'bytes'"),
        (Method::GET, format!("{inbox}?$top=ten"), None, "'ten'"),
        (Method::GET, format!("{inbox}?page=2"), None, "'page'"),
        (Method::GET, format!("/users/{user}/mailboxSettings?$expand=user"), None, "'$expand'"),
        (Method::PUT, inbox.clone(), None, "method"),
        (Method::POST, inbox.clone(), Some(message(json!({"subjekt": "x"}))), "/subjekt"),
        (Method::POST, inbox.clone(), Some(message(json!({"isRead": "yes"}))), "/isRead"),
        (Method::POST, inbox.clone(), Some(message(json!({"importance": "urgent"}))), "'urgent'"),
        (Method::POST, inbox.clone(), Some(message(json!({"categories": null}))), "/categories"),
        (
            Method::POST,
            inbox.clone(),
            Some(message(json!({"toRecipients": [{"email": "a@b.c"}]}))),
            "/toRecipients/0/email",
        ),
        (
            Method::POST,
            inbox.clone(),
            Some(message(json!({"@odata.type": "#microsoft.graph.event"}))),
            "#microsoft.graph.event",
        ),
        (Method::POST, inbox.clone(), None, "missing"),
    ] {
        tenant.simulator.clear_violations();
        let request = tenant.request(method.clone(), &path);
        send(match &body {
            Some(body) => request.json(body),
            None => request,
        })
        .await;

        let reasons = off_contract(&tenant);
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{method} {path} {body:?}: {reasons:?}");
    }
}

#[actix_web::test]
async fn faults_are_no_breach_of_the_contract() {
    let tenant = Tenant::small().await;
    let rules = json!([
        {"match": "/users", "kind": "status", "status": 500, "body": "html", "times": 1},
        {"match": "/users", "kind": "status", "status": 429, "body": "empty", "times": 1},
        {"match": "inbox/messages", "kind": "control_characters", "times": 1},
    ]);
    let plan: FaultPlan = serde_json::from_value(json!({"seed": 1, "rules": rules})).expect("a plan");
    tenant.simulator.set_faults(plan);

    let first = tenant.get("/users").await.status.as_u16();
    let second = tenant.get("/users").await.status.as_u16();
    tenant.get(&format!("/users/{}/mailFolders/inbox/messages", tenant.user())).await;

    assert_eq!((first, second), (500, 429));
    assert!(tenant.simulator.contract_breaches().is_empty());
    let log: Value = tenant.get(&format!("{}/log", tenant.simulator.control_url())).await.body;
    assert_eq!(log["contract_breaches"], json!([]));
}

#[actix_web::test]
async fn checking_can_be_switched_off() {
    let tenant = Tenant::start(Options { users: 1, contract: false, ..Options::default() }).await;

    tenant.get(&format!("/users/{}/mailFolders/inbox/messages?page=2", tenant.user())).await;

    assert_eq!(off_contract(&tenant), Vec::<String>::new());
}
