//! The report of a restore adds up to what was asked for, and what failed can be tried again.

use std::collections::HashSet;

use kodo::access::Role;
use kodo_simulator::{Limits, Options};
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 1, messages: 40, special_users: false, ..Options::default() }
}

fn lines(text: &str) -> anyhow::Result<Vec<Value>> {
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The sum of all outcomes.
fn told(restore: &Value) -> u64 {
    ["created", "updated", "skipped", "failed"].iter().filter_map(|name| restore["outcomes"][name].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_reported_and_tried_again_and_nothing_else_is() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let n_messages = stage.mailbox(&user)?.messages.len();
    stage.tenant.wipe_mailbox(&user)?;
    // Each message is tried a second time with less.
    let refused = json!({ "match": "mailFolders/*/messages", "method": "POST", "kind": "status", "status": 400,
        "code": "ErrorInvalidRequest", "probability": 0.6 });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 5, "rules": [refused] }))?);

    let ran = stage.run(&["restore", "--user", &user, "--wait", "--json"]);
    assert_eq!(ran.code, 3, "an incomplete restore says so: {ran:?}");
    let first: Value = serde_json::from_str(&ran.stdout)?;
    let failed = first["outcomes"]["failed"].as_u64().unwrap_or_default();
    assert!(failed > 0 && failed < n_messages as u64, "{first}");
    assert_eq!(told(&first), first["asked"]["items"].as_u64().unwrap_or_default(), "{first}");

    stage.tenant.clear_faults();
    let id = first["id"].to_string();
    let again = stage.expect(&["restore", "retry", &id, "--wait"])?;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["state"], json!("succeeded"), "{again}");
    assert_eq!(again["outcomes"]["created"], json!(n_messages), "{again}");
    assert_eq!(told(&again), told(&first), "{again}");
    assert_eq!(stage.mailbox(&user)?.messages.len(), n_messages, "no message twice");
    let nothing = stage.run(&["restore", "retry", &id]);
    assert!(nothing.code != 0 && nothing.stderr.contains("nothing of restore"), "{nothing:?}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_each_item_and_where_it_was_for_programs_and_for_spreadsheets() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let subjects: HashSet<String> = stage
        .mailbox(&user)?
        .messages
        .iter()
        .filter_map(|message| Some(message["subject"].as_str()?.chars().take(255).collect()))
        .collect();
    stage.tenant.wipe_mailbox(&user)?;
    let restore = stage.expect(&["restore", "--user", &user, "--wait"])?;
    let path = format!("/api/v1/restores/{}/report", restore["id"]);
    let http = Http::of(&stage)?;

    let json_lines = http.get(&format!("{path}?format=json")).await?;
    let csv = http.get(&path).await?;
    let viewer = http.with_role(&stage, Role::Viewer).await?.get(&path).await?;

    let told_lines = lines(&json_lines.text)?;
    assert_eq!(told_lines.len() as u64, restore["asked"]["items"].as_u64().unwrap_or_default());
    let created: Vec<&Value> = told_lines.iter().filter(|line| line["outcome"] == json!("created")).collect();
    assert_eq!(json!(created.len()), restore["outcomes"]["created"]);
    for line in &created {
        let name = line["name"].as_str().unwrap_or_default();
        assert!(subjects.contains(name), "{line}");
        assert!(line["folder"].as_str().is_some_and(|folder| !folder.is_empty()), "{line}");
        assert_eq!(line["feature"], json!("mailbox"));
    }
    assert!(csv.content_type.starts_with("text/csv"), "{}", csv.content_type);
    assert!(csv.text.starts_with("\"outcome\",\"feature\","), "{}", &csv.text[..80]);
    for line in &told_lines {
        let key = line["key"].as_str().unwrap_or_default();
        assert_eq!(csv.text.matches(&format!("\"{key}\"\r\n")).count(), 1, "{key} does not end one line of the CSV");
    }
    assert_eq!(viewer.status, 403, "a viewer sees no subjects");
    http.get(&format!("{path}?format=xml")).await?.problem(400);
    http.get("/api/v1/restores/999/report").await?.problem(404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_cancelled_goes_on_when_it_is_tried_again() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let before = stage.mailbox(&user)?.messages.len();
    stage.tenant.wipe_mailbox(&user)?;
    stage.tenant.set_limits(Limits { latency_ms: 400, ..Limits::default() });
    let started = stage.expect(&["restore", "--user", &user])?;
    let id = started["restore_id"].to_string();

    let at_work = stage.run(&["restore", "retry", &id]);
    stage.expect(&["restore", "cancel", &id])?;
    let ended = crate::support::wait::until_ended(&stage, &["restore", "show", &id]);

    stage.tenant.set_limits(Limits::default());
    assert!(at_work.code != 0 && at_work.stderr.contains("still at work"), "{at_work:?}");
    assert_eq!(ended["state"], json!("cancelled"), "{ended}");
    assert!(stage.mailbox(&user)?.messages.len() < before, "it had ended before it was cancelled");
    let again = stage.expect(&["restore", "retry", &id, "--wait"])?;
    assert_eq!(again["state"], json!("succeeded"), "{again}");
    assert_eq!(stage.mailbox(&user)?.messages.len(), before);
    assert_eq!(told(&again), again["asked"]["items"].as_u64().unwrap_or_default(), "{again}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_began_cancelled_and_retried_a_restore_is_written_down() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let http = Http::of(&stage)?;
    let operator = http.with_role(&stage, Role::Operator).await?;
    let started = operator.post("/api/v1/restores", &json!({ "resource": user, "feature": "mailbox" })).await?;
    let id = &started.json["restore_id"];

    let cancelled = operator.post(&format!("/api/v1/restores/{id}/cancel"), &json!({})).await?;
    crate::support::wait::until_ended(&stage, &["restore", "show", &id.to_string()]);
    let retried = http.post(&format!("/api/v1/restores/{id}/retry"), &json!({})).await?;
    let viewer = http.with_role(&stage, Role::Viewer).await?;
    viewer.post(&format!("/api/v1/restores/{id}/cancel"), &json!({})).await?.problem(403);
    http.post("/api/v1/restores/99/cancel", &json!({})).await?.problem(404);

    assert_eq!((started.status, cancelled.status), (202, 200), "{started:?} {cancelled:?}");
    // It may have ended before anybody could stop it.
    assert!([202, 422].contains(&retried.status), "{retried:?}");
    let trail = stage.expect(&["audit"])?;
    let lines: Vec<Value> = trail["items"].as_array().cloned().unwrap_or_default();
    let told: Vec<(&str, &str, &Value)> = lines
        .iter()
        .map(|line| (line["admin_name"].as_str(), line["action"].as_str(), &line["details"]["restore"]))
        .map(|(admin, action, restore)| (admin.unwrap_or_default(), action.unwrap_or_default(), restore))
        .collect();
    assert_eq!(
        told,
        [
            ("admin", "retry_restore", id),
            ("the operator", "cancel_restore", id),
            ("the operator", "start_restore", &Value::Null),
        ],
        "{trail}"
    );
    assert_eq!(lines[2]["details"], json!({ "chains": [1], "n_chains": 1, "dry_run": false }), "{trail}");
    assert!(!trail.to_string().contains('@'), "nobody's address is in it: {trail}");
    Ok(())
}
