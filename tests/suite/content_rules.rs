//! Who may have content, that a policy forbids it, and what is written down about it.

use kodo::access::Role;
use kodo_simulator::Options;
use serde_json::json;

use crate::support::http::Http;
use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 1, messages: 10, special_users: false, ..Options::default() }
}

fn back_up(stage: &Stage, features: &str) -> anyhow::Result<String> {
    let user = stage.users().remove(0);
    stage.expect(&["backup", "--user", &user, "--feature", features, "--wait"])?;
    Ok(user)
}

/// A name in the folder of the stage, as an argument.
fn place(stage: &Stage, name: &str) -> String {
    stage.dir.path().join(name).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_forbids_content_to_everybody_and_restores_to_nobody() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = back_up(&stage, "mailbox")?;
    let chains = stage.expect(&["point", "chains", "--user", &user])?;
    let chain = chains["items"][0]["id"].to_string();
    let inbox = stage.expect(&["ls", "Inbox", "--user", &user])?;
    let key = inbox["items"][0]["key"].as_str().expect("a key").to_owned();
    let http = Http::of(&stage)?;
    let item = format!("/api/v1/items/{chain}/1/{key}");
    let wanted = json!({ "chains": [chain.parse::<u32>()?] });
    let started = http.post("/api/v1/exports", &wanted).await?;
    assert_eq!((started.status, &started.json["state"]), (201, &json!("ready")), "{started:?}");
    assert_eq!(http.get(&format!("{item}/file")).await?.content_type, "message/rfc822");

    stage.expect(&["policy", "content", "standard", "forbid"])?;

    let of_item = ["", "/content", "/file", "/preview"].map(|what| format!("{item}{what}"));
    for path in of_item.into_iter().chain(["/api/v1/exports/1/download".to_owned()]) {
        let refused = http.get(&path).await?;
        assert!(refused.problem(403).contains("policy \"standard\""), "{path}: {refused:?}");
    }
    assert!(http.post("/api/v1/exports", &wanted).await?.problem(403).contains("forbids"));
    assert_eq!(stage.expect(&["ls", "Inbox", "--user", &user])?["items"][0]["key"], json!(key), "names are still seen");
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    stage.expect(&["policy", "content", "standard", "allow"])?;
    assert_eq!(http.get(&format!("{item}/file")).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_given_content_is_written_down_and_admins_alone_read_it() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = back_up(&stage, "contacts")?;
    let http = Http::of(&stage)?;
    let operator = http.with_role(&stage, Role::Operator).await?;

    stage.expect(&["export", "--user", &user, "--to", &place(&stage, "a.zip")])?;
    let started = operator.post("/api/v1/exports", &json!({ "resource": user })).await?;
    assert_eq!(started.status, 201, "{started:?}");
    stage.expect(&["policy", "content", "standard", "allow"])?;

    let trail = stage.expect(&["audit"])?;
    let lines: Vec<(&str, &str, &str)> = trail["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| (line["admin_name"].as_str(), line["address"].as_str(), line["action"].as_str()))
        .map(|(admin, address, action)| (admin.unwrap_or(""), address.unwrap_or(""), action.unwrap_or("")))
        .collect();
    assert_eq!(
        lines,
        [
            ("admin", "127.0.0.1", "content_of_policy"),
            ("the operator", "127.0.0.1", "start_export"),
            ("admin", "127.0.0.1", "download_export"),
            ("admin", "127.0.0.1", "start_export"),
        ]
    );
    assert!(!trail.to_string().contains('@'), "nobody's address is in it: {trail}");
    assert!(operator.get("/api/v1/audit").await?.problem(403).contains("manage_admins"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_is_refused_in_words() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = back_up(&stage, "mailbox,contacts")?;
    let http = Http::of(&stage)?;

    for (body, status, says) in [
        (json!({}), 400, "resource"),
        (json!({ "chains": [1], "resource": user }), 400, "either"),
        (json!({ "chains": [99] }), 404, "chain 99"),
        (json!({ "chains": [1], "point": 99 }), 422, "no point 99"),
        (json!({ "resource": user, "point": 1 }), 422, "one chain"),
        (json!({ "resource": user, "features": ["calendar"] }), 404, "never backed up"),
        (json!({ "resource": user, "at": "2001-01-01T00:00:00Z" }), 422, "no restore point from before"),
        (json!({ "chains": [1], "items": [] }), 422, "selection"),
        (json!({ "chains": [1], "items": ["x"] }), 400, "32"),
        (json!({ "chains": [1], "directory": "/etc" }), 422, "none"),
        (json!({ "chains": [1], "nonsense": 1 }), 400, "nonsense"),
    ] {
        let refused = http.post("/api/v1/exports", &body).await?;
        assert!(refused.problem(status).contains(says), "{body}: {refused:?}");
    }
    http.get("/api/v1/exports/99/download").await?.problem(404);
    let there = place(&stage, "there.zip");
    std::fs::write(&there, "mine")?;
    let refused = stage.run(&["export", "--user", &user, "--to", &there]);
    assert!(refused.code != 0 && refused.stderr.contains("not replaced"), "{refused:?}");
    assert_eq!(std::fs::read(&there)?, b"mine");
    let wanted = http.post("/api/v1/exports", &json!({ "resource": user })).await?;
    stage.separate().execute("UPDATE kodo.exports SET expires_at = '2020-01-01'")?;
    let expired = http.get(&format!("/api/v1/exports/{}/download", wanted.json["id"])).await?;
    assert!(expired.problem(422).contains("expired"), "{expired:?}");
    Ok(())
}
