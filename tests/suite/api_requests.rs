//! Requests that cannot be read or done, and listings page by page.

use std::collections::BTreeSet;

use kodo_simulator::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;

fn small() -> Options {
    Options { users: 1, messages: 3, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_told_what_is_wrong() -> anyhow::Result<()> {
    let stage = Stage::serving(small()).await?;
    let http = Http::of(&stage)?;
    let organizations = "/api/v1/organizations";
    let json = Some("application/json");

    let cases = [
        (json, r#"{"name":"A","nmae":"B"}"#.to_owned(), 400, "unknown field `nmae`"),
        (json, r#"{"name":"#.to_owned(), 400, "body"),
        (json, "{}".to_owned(), 400, "missing field `name`"),
        (Some("text/plain"), r#"{"name":"A"}"#.to_owned(), 400, "application/json"),
        (json, format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20)), 413, "server.body_bytes_max"),
        (json, r#"{"name":"   "}"#.to_owned(), 422, "organization's name"),
        (json, r#"{"name":"12345"}"#.to_owned(), 422, "digits"),
    ];
    for (content_type, body, status, says) in cases {
        let answered = http.send(Method::POST, organizations, content_type, &body).await?;
        assert!(answered.problem(status).contains(says), "{says}: {answered:?}");
    }
    let unknown = http.get("/api/v1/runs?stat=failed").await?;
    assert!(unknown.problem(400).contains("unknown field `stat`"), "{unknown:?}");
    assert!(http.get("/api/v1/runs?state=odd").await?.problem(400).contains("not a state of a run"));
    http.get("/api/v1/runs/seven").await?.problem(404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_says_why() -> anyhow::Result<()> {
    let stage = Stage::ready(small()).await?;
    let http = Http::of(&stage)?;
    let user = stage.users().remove(0);

    let cases = [
        ("organizations", json!({ "name": "Contoso" }), 409, "already"),
        ("storages", json!({ "name": "disk", "backend": "filesystem", "path": "/tmp" }), 422, "already"),
        ("storages", json!({ "name": "no", "backend": "filesystem", "path": "/no/such/place" }), 503, "does not exist"),
        ("storages", json!({ "name": "no", "backend": "floppy", "path": "/tmp" }), 400, "unknown variant `floppy`"),
        ("policies", json!({ "name": "p", "storage": "attic" }), 404, "no storage \"attic\""),
        ("policies", json!({ "name": "standard", "storage": "disk" }), 409, "taken"),
        ("backups", json!({ "resources": ["nobody@nowhere.example"], "features": ["mailbox"] }), 404, "nobody"),
        ("backups", json!({ "resources": [user], "features": ["telepathy"] }), 422, "no feature"),
        ("backups", json!({ "resources": [], "features": ["mailbox"] }), 422, "resources"),
        ("restores", json!({ "resource": user, "feature": "mailbox" }), 404, "never backed up"),
        ("restores", json!({ "chain": 1, "resource": user }), 400, "either a chain"),
        (
            "tenants",
            json!({ "name": "contoso", "entra_tenant_id": "x", "client_id": "y", "client_secret": "z" }),
            409,
            "already",
        ),
        ("tenants", json!({ "name": "t", "entra_tenant_id": "x", "client_id": "y" }), 422, "either client_secret"),
        (
            "schedules",
            json!({ "name": "s", "policy": "standard", "tenant": "contoso", "features": ["mailbox"],
                    "cron": "every day", "time_zone": "UTC" }),
            422,
            "every day",
        ),
    ];
    for (path, body, status, says) in cases {
        let answered = http.post(&format!("/api/v1/{path}"), &body).await?;
        assert!(answered.problem(status).contains(says), "{path} {body}: {answered:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_walked_page_by_page_without_gap_or_repetition() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 7, messages: 1, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let whole = http.get("/api/v1/resources").await?.json;
    let expected: BTreeSet<u64> = ids(&whole).into_iter().collect();

    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..expected.len() {
        let page = http.get(&format!("/api/v1/resources?limit=2{cursor}")).await?.json;
        seen.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }

    assert!(expected.len() >= 7);
    assert_eq!(seen.len(), expected.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    http.get("/api/v1/resources?limit=0").await?.problem(400);
    http.get("/api/v1/resources?limit=100000").await?.problem(400);
    assert!(http.get("/api/v1/resources?cursor=made-up").await?.problem(400).contains("cursor"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_point_is_browsed_down_to_the_message() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 40, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;

    let top = http.get(&format!("/api/v1/browse?resource={user}&feature=mailbox")).await?.json;
    let inbox = list(&top["containers"]).into_iter().find(|one| one["well_known"] == "inbox").expect("an inbox");
    let place = format!("chain={}&point={}&container={}", top["chain_id"], top["point"], inbox["id"]);
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = http.get(&format!("/api/v1/browse?{place}&limit=3{cursor}")).await?.json;
        items.extend(list(&page["items"]));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    assert!(!items.is_empty());
    assert_eq!(json!(items.len()), inbox["items"]);
    let times: Vec<&str> = items.iter().filter_map(|item| item["time"].as_str()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    let item = format!("/api/v1/items/{}/{}/{}", top["chain_id"], top["point"], items[0]["key"].as_str().unwrap());
    let detail = http.get(&item).await?.json;
    assert_eq!(detail["name"], detail["properties"]["subject"]);
    let content = http.get(&format!("{item}/content")).await?;
    assert_eq!((content.status, content.content_type.as_str()), (200, "message/rfc822"));
    let internet_message_id = detail["properties"]["internetMessageId"].as_str().expect("a message has an id");
    assert!(content.text.contains(internet_message_id));
    let missing = format!("/api/v1/items/{}/{}/{}", top["chain_id"], top["point"], "0".repeat(32));
    http.get(&missing).await?.problem(404);
    Ok(())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn ids(page: &Value) -> Vec<u64> {
    list(&page["items"]).iter().filter_map(|item| item["id"].as_u64()).collect()
}
