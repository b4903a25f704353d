use crate::{Tenant, restored};
use kodo_simulator::Options;
use serde_json::{Value, json};

fn fingerprint(tenant: &Tenant, user: &str) -> Value {
    let bytes = tenant.simulator.fingerprint(user).expect("a fingerprint");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[actix_web::test]
async fn the_same_seed_gives_the_same_tenant() {
    let (one, two) = (Tenant::small().await, Tenant::small().await);
    assert_eq!(fingerprint(&one, &one.user()), fingerprint(&two, &two.user()));
}

#[actix_web::test]
async fn a_wiped_mailbox_keeps_its_well_known_folders_only() {
    let tenant = Tenant::small().await;
    let user = tenant.user();

    tenant.simulator.wipe_mailbox(&user).expect("wiped");

    let after = fingerprint(&tenant, &user);
    assert_eq!(after["messages"], json!([]));
    let folders = after["folders"].as_array().expect("folders");
    assert!(folders.iter().all(|f| !f["well_known"].is_null()));
    assert_eq!(tenant.get(&format!("/users/{user}/mailFolders/inbox")).await.body["totalItemCount"], 0);
    tenant.create("inbox", restored("again")).await;
    assert_eq!(fingerprint(&tenant, &user)["messages"][0]["subject"], "again");
}

#[actix_web::test]
async fn random_edits_are_repeatable_and_counted() {
    let (one, two) = (Tenant::small().await, Tenant::small().await);

    let done = one.simulator.random_edits(&one.user(), 5, 40).expect("edited");
    let again = two.simulator.random_edits(&two.user(), 5, 40).expect("edited");

    assert_eq!(done["counts"], again["counts"]);
    let total: u64 = done["counts"].as_object().expect("a map").values().filter_map(Value::as_u64).sum();
    assert_eq!(total, 40);
}

#[actix_web::test]
async fn a_lazy_mailbox_answers_and_takes_edits() {
    let tenant =
        Tenant::start(Options { users: 1, messages: 1, lazy_mailbox: Some(100_000), ..Options::default() }).await;
    let users = tenant.simulator.users();
    let lazy = users["users"].as_array().expect("users").iter().find(|u| u["lazy"] == true).expect("a lazy one");
    let user = lazy["id"].as_str().expect("an id").to_owned();
    let messages = format!("/users/{user}/mailFolders/inbox/messages");

    let page = tenant.get(&format!("{messages}/delta?$select=id,subject,internetMessageId")).await;
    let first = &page.values()[0];
    let before = tenant.get(&format!("/users/{user}/mailFolders/inbox")).await;
    let edit = json!({"internet_message_id": first["internetMessageId"], "delete": true});
    tenant.simulator.edit(&user, edit).expect("deleted");
    let after = tenant.get(&format!("/users/{user}/mailFolders/inbox")).await;

    let count = |answer: &crate::Answer| answer.body["totalItemCount"].as_u64().expect("a count");
    assert_eq!((count(&before), count(&after)), (50_000, 49_999));
    let gone = tenant.get(&format!("/users/{user}/messages/{}", first["id"].as_str().expect("an id"))).await;
    assert_eq!(gone.status, 404);
    let second = page.values()[1]["id"].as_str().expect("an id");
    let mime = tenant.get(&format!("/users/{user}/messages/{second}/$value")).await;
    assert!(mime.body.as_str().expect("text").contains("MIME-Version: 1.0"));
}

#[actix_web::test]
async fn https_is_served_under_its_own_authority() {
    let options = Options { users: 1, messages: 1, https: true, ..Options::default() };
    let simulator = kodo_simulator::Simulator::start(options).await.expect("the simulator starts");
    let pem = simulator.ca_pem().expect("a certificate").as_bytes();
    let authority = reqwest::Certificate::from_pem(pem).expect("a certificate");
    let client = reqwest::Client::builder().add_root_certificate(authority).build().expect("a client");

    let answer = client.get(format!("{}/info", simulator.control_url())).send().await.expect("an answer");

    assert_eq!(answer.status(), 200);
}

#[actix_web::test]
async fn a_restored_message_has_the_fingerprint_of_the_lost_one() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let before = fingerprint(&tenant, &user);
    let messages = before["messages"].as_array().expect("messages");
    let plain = |m: &&Value| m["attachments"] == json!([]) && m["folder"] == "Inbox" && m["messageClass"] == "IPM.Note";
    let lost = messages.iter().find(plain).expect("a plain message").clone();
    let filter = format!("$filter=internetMessageId eq '{}'", lost["internetMessageId"].as_str().expect("an id"));
    let read = tenant.get(&format!("/users/{user}/messages?{filter}")).await.values()[0].clone();
    tenant.simulator.wipe_mailbox(&user).expect("wiped");

    let mut body = json!({"singleValueExtendedProperties": [
        {"id": "Integer 0x0E07", "value": "0"},
        {"id": "SystemTime 0x0039", "value": read["sentDateTime"]},
        {"id": "SystemTime 0x0E06", "value": read["receivedDateTime"]},
    ]});
    for name in [
        "subject",
        "body",
        "from",
        "sender",
        "toRecipients",
        "ccRecipients",
        "bccRecipients",
        "replyTo",
        "isRead",
        "flag",
        "categories",
        "importance",
        "internetMessageId",
    ] {
        body[name] = read[name].clone();
    }
    tenant.create("inbox", body).await;

    assert_eq!(fingerprint(&tenant, &user)["messages"][0], lost);
}

#[actix_web::test]
async fn areas_besides_mail_are_controlled_over_http_too() {
    let tenant = Tenant::small().await;
    let base = format!("{}/users/{}", tenant.simulator.control_url(), tenant.user());
    let post = |path: &str, body: Value| tenant.client.post(format!("{base}/{path}")).json(&body);

    for (area, list, edit) in [
        ("calendar", "events", json!({"action": "add_calendar", "name": "More"})),
        ("contacts", "contacts", json!({"action": "create", "name": "Somebody"})),
        ("settings", "rules", json!({"add_rule": "More"})),
    ] {
        let edited = crate::send(post(&format!("{area}/edit"), edit)).await;
        let edits = crate::send(post(&format!("{area}/edits"), json!({"seed": 1, "count": 3}))).await;
        let unknown = crate::send(post(&format!("{area}/edit"), json!({"action": "juggle"}))).await;
        let told = crate::send(tenant.client.get(format!("{base}/{area}/fingerprint"))).await;

        assert_eq!((edited.status.as_u16(), edits.status.as_u16()), (200, 200), "{area}");
        assert_eq!(edits.body["edits"].as_array().expect("a list").len(), 3, "{area}");
        assert_eq!(unknown.status, 400, "{area}");
        assert!(!told.body[list].as_array().expect("a list").is_empty(), "{area}");
    }
    let wiped = crate::send(post("calendar/wipe", json!({}))).await;
    let left = tenant.simulator.calendar_fingerprint(&tenant.user()).expect("a fingerprint");
    assert_eq!((wiped.status.as_u16(), &left["events"]), (200, &json!([])));
    assert_eq!(left["calendars"].as_array().expect("a list").len(), 1);
}
