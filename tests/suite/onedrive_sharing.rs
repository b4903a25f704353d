//! Whom files and folders were shared with is let in again only when a restore is asked for it, and nobody hears of it.

use std::collections::BTreeMap;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

const FOREIGNER: &str = "gone@elsewhere.example";

async fn stage_with_permissions(users: usize) -> anyhow::Result<Stage> {
    let options =
        Options { users, messages: 0, events: 0, contacts: 0, files: 0, special_users: false, ..Options::default() };
    let stage = Stage::ready(options).await?;
    stage.expect(&["policy", "set", "standard", "onedrive.permissions=true"])?;
    Ok(stage)
}

/// What is shared in a drive, by its path: with whom, and as what.
pub fn shared(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let whole: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(user)?)?;
    let items = whole["items"].as_array().into_iter().flatten();
    let shared = items.filter(|item| item["shared"].as_array().is_some_and(|all| !all.is_empty()));
    Ok(shared.map(|item| (item["path"].as_str().unwrap_or_default().to_owned(), item["shared"].clone())).collect())
}

/// A file, or a folder, that is shared with these.
fn make(stage: &Stage, user: &str, path: &str, with: &[Value]) -> anyhow::Result<()> {
    let made = match path.contains('.') {
        true => json!({"path": path, "create": "file", "text": path}),
        false => json!({"path": path, "create": "folder"}),
    };
    stage.tenant.drive_edit(user, made)?;
    for share in with {
        stage.tenant.drive_edit(user, json!({ "path": path, "share": share }))?;
    }
    Ok(())
}

fn with(address: &str, may_write: bool) -> Value {
    json!({ "with": { "address": address, "may_write": may_write } })
}

fn person(address: &str, role: &str) -> Value {
    json!({ "role": role, "person": address })
}

fn back_up(stage: &Stage, user: &str) -> anyhow::Result<Value> {
    stage.expect(&["backup", "--user", user, "--feature", "onedrive", "--wait"])
}

fn restore(stage: &Stage, more: &[&str]) -> anyhow::Result<Value> {
    stage.expect(&[&["restore", "--feature", "onedrive", "--wait"], more].concat())
}

fn assert_nobody_heard(stage: &Stage) {
    assert!(stage.tenant.notices().is_empty(), "somebody hears of a restore: {:?}", stage.tenant.notices());
    stage.assert_polite();
}

fn n_invitations(stage: &Stage) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("the simulator counts by route");
    routes.iter().filter(|(route, _)| route.ends_with("/invite")).filter_map(|(_, one)| one["requests"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_let_in_again_when_it_is_asked_for_and_nobody_hears_of_it() -> anyhow::Result<()> {
    let stage = stage_with_permissions(3).await?;
    let [ann, bob, cleo] = [0, 1, 2].map(|at| stage.users()[at].clone());
    make(&stage, &ann, "Team", &[with(&bob, true)])?;
    make(&stage, &ann, "Team/inherits.txt", &[])?;
    make(&stage, &ann, "Team/more.txt", &[with(&cleo, false)])?;
    make(&stage, &ann, "both.txt", &[with(&bob, true), with(&cleo, false), json!("anonymous"), json!("organization")])?;
    make(&stage, &ann, "told.txt", &[with(FOREIGNER, false), with(&bob, false)])?;
    make(&stage, &ann, "mine.txt", &[])?;
    back_up(&stage, &ann)?;
    stage.tenant.wipe_drive(&ann)?;

    let silent = restore(&stage, &["--user", &ann])?;
    assert_eq!(shared(&stage, &ann)?, BTreeMap::new(), "nobody asked for it");
    assert_eq!(n_invitations(&stage), 0);
    let remarks = silent["remarks"]["items"].to_string();
    assert_eq!(remarks.matches("only when a restore is asked for permissions").count(), 4, "{silent}");
    stage.tenant.wipe_drive(&ann)?;
    let plain = restore(&stage, &["--user", &ann, "--dry-run"])?;
    let told = restore(&stage, &["--user", &ann, "--with-permissions", "--dry-run"])?;
    let done = restore(&stage, &["--user", &ann, "--with-permissions"])?;

    let expected = [
        ("Team", json!([person(&bob, "write")])),
        ("Team/more.txt", json!([person(&cleo, "read")])),
        ("both.txt", json!([person(&cleo, "read"), person(&bob, "write")])),
        ("told.txt", json!([person(&bob, "read")])),
    ];
    assert_eq!(shared(&stage, &ann)?, expected.map(|(path, with)| (path.to_owned(), with)).into());
    assert_eq!((&done["outcomes"]["failed"], &done["with_permissions"]), (&json!(0), &json!(true)), "{done}");
    let remarks = done["remarks"]["items"].to_string();
    assert!(remarks.contains("2 sharing links are not made anew"), "{done}");
    assert!(remarks.contains(&format!("not shared again with {FOREIGNER} (Microsoft refuses it")), "{done}");
    let requests = |view: &Value| view["asked"]["requests"].as_u64().unwrap_or_default();
    assert_eq!(requests(&told) - requests(&plain), 5, "one for each item and role: {told} {plain}");
    let seconds = |view: &Value| view["asked"]["seconds"].as_u64().unwrap_or_default();
    assert!(seconds(&told) > seconds(&plain), "{told} {plain}");
    assert_nobody_heard(&stage);

    let before = n_invitations(&stage);
    let again = restore(&stage, &["--user", &ann, "--with-permissions"])?;
    assert_eq!((&again["outcomes"]["created"], &again["outcomes"]["updated"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(n_invitations(&stage), before, "what is there as it was is left alone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_data_goes_to_somebody_else_is_that_one_in_what_is_shared() -> anyhow::Result<()> {
    let stage = stage_with_permissions(5).await?;
    let [ann, bob, cleo, dan, eve] = [0, 1, 2, 3, 4].map(|at| stage.users()[at].clone());
    make(&stage, &ann, "for bob.txt", &[with(&bob, true)])?;
    make(&stage, &ann, "for cleo.txt", &[with(&cleo, false)])?;
    make(&stage, &ann, "for dan.txt", &[with(&dan, false)])?;
    make(&stage, &bob, "for ann.txt", &[with(&ann, false)])?;
    back_up(&stage, &ann)?;
    back_up(&stage, &bob)?;
    let map = |from: &str, to: &str| format!("{from}={to}");

    // The leavers are Ann and Bob: what was theirs goes to Dan and Eve.
    let (first, second) = (map(&ann, &dan), map(&bob, &eve));
    let both = ["--user", &ann, "--user", &bob, "--map", &first, "--map", &second, "--with-permissions"];
    restore(&stage, &both)?;

    let of_dan = [
        ("for bob.txt", json!([person(&eve, "write")])),
        ("for cleo.txt", json!([person(&cleo, "read")])),
        // It is Dan's own now.
    ];
    assert_eq!(shared(&stage, &dan)?, of_dan.map(|(path, with)| (path.to_owned(), with)).into());
    assert_eq!(shared(&stage, &eve)?, [("for ann.txt".to_owned(), json!([person(&dan, "read")]))].into());
    assert_nobody_heard(&stage);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_is_shared_again_and_a_refusal_costs_no_file() -> anyhow::Result<()> {
    let stage = stage_with_permissions(2).await?;
    let [ann, bob] = [0, 1].map(|at| stage.users()[at].clone());
    make(&stage, &ann, "plan.txt", &[with(&bob, true)])?;
    make(&stage, &ann, "lost.txt", &[with(&bob, false)])?;
    back_up(&stage, &ann)?;
    stage.tenant.wipe_drive(&ann)?;
    make(&stage, &ann, "plan.txt", &[])?;
    stage.tenant.drive_edit(&ann, json!({"path": "plan.txt", "text": "another"}))?;
    let forbidden = json!({"match": "invite", "kind": "status", "status": 403, "code": "sharingDisabled"});
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [forbidden] }))?);

    let wanted = ["--user", &ann, "--with-permissions", "--on-conflict", "replace"];
    let refused = restore(&stage, &wanted)?;
    stage.tenant.clear_faults();
    assert_eq!((&refused["outcomes"]["created"], &refused["outcomes"]["updated"]), (&json!(1), &json!(1)), "{refused}");
    let remarks = refused["remarks"]["items"].to_string();
    assert_eq!(remarks.matches("Microsoft refuses it: sharingDisabled").count(), 2, "{refused}");
    stage.tenant.drive_edit(&ann, json!({"path": "plan.txt", "text": "another one"}))?;
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [
        {"match": "invite", "kind": "cut_body", "times": 1},
        {"match": "invite", "kind": "status", "status": 503, "body": "html", "times": 1},
    ] }))?);
    restore(&stage, &wanted)?;
    stage.tenant.clear_faults();

    assert_eq!(shared(&stage, &ann)?, [("plan.txt".to_owned(), json!([person(&bob, "write")]))].into());
    assert_nobody_heard(&stage);
    Ok(())
}
