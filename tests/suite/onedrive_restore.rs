//! A drive is backed up, lost, and brought back, by `kodo serve`, its API and its command line.

use std::collections::BTreeMap;
use std::time::Duration;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::chance::{Dice, seed};
use crate::support::drive::large_file_bytes;
use crate::support::http::Http;
use crate::support::stage::Stage;
use crate::support::wait::until_ended;

const MIB: u64 = 1 << 20;
/// Each round kills the server twice.
const ROUNDS: u64 = 10;
const KILLS: u64 = 2;
/// The longest a restore of the drive below may work before the server is killed.
const LIFE_MS_MAX: u64 = 1_500;

fn company(files: usize) -> Options {
    Options { users: 2, messages: 0, events: 0, contacts: 0, files, special_users: false, ..Options::default() }
}

/// What of a drive can come back, by path: what the table of FIDELITY says of OneDrive, and no more.
fn restorable(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let whole: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(user)?)?;
    let handed_out = |item: &&Value| match item["kind"].as_str() {
        Some("file") => item["downloadable"] == json!(true),
        kind => kind == Some("folder") && item["path"] != json!(""),
    };
    let items = whole["items"].as_array().unwrap().iter().filter(handed_out);
    Ok(items.map(|item| (item["path"].as_str().unwrap().to_owned(), bearing(item))).collect())
}

/// SharePoint rewrites office files that arrive: what was sent is what counts.
fn bearing(item: &Value) -> Value {
    let content = if item["sent"].is_null() { item } else { &item["sent"] };
    json!({
        "name": item["name"], "kind": item["kind"], "created": item["created"], "modified": item["modified"],
        "description": item["description"], "size": content["size"], "blake3": content["blake3"],
    })
}

fn assert_same(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) {
    let differing: Vec<String> = expected
        .iter()
        .filter(|(path, item)| found.get(*path) != Some(item))
        .map(|(path, item)| format!("{path}: {item} became {:?}", found.get(path)))
        .chain(found.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{path} is new")))
        .collect();
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

fn back_up(stage: &Stage, user: &str) -> anyhow::Result<()> {
    // Infected files and notebooks are skipped, which a run says.
    let ran = stage.run(&["backup", "--user", user, "--feature", "onedrive", "--wait"]);
    assert!([0, 3].contains(&ran.code), "{ran:?}\n{}", stage.log());
    Ok(())
}

fn restore(stage: &Stage, user: &str, more: &[&str]) -> anyhow::Result<Value> {
    stage.expect(&[&["restore", "--user", user, "--feature", "onedrive", "--wait"], more].concat())
}

async fn restore_with(stage: &Stage, user: &str, on_conflict: &str) -> anyhow::Result<Value> {
    let body = json!({ "resource": user, "feature": "onedrive", "on_conflict": on_conflict });
    let started = Http::of(stage)?.post("/api/v1/restores", &body).await?;
    let id = started.json["restore_id"].to_string();
    Ok(until_ended(stage, &["restore", "show", &id]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_drive_comes_back_as_it_was_and_a_second_time_changes_nothing() -> anyhow::Result<()> {
    let stage = Stage::ready(company(90)).await?;
    let user = &stage.users()[0];
    for edit in [
        json!({"path": "empty folder", "create": "folder", "description": "for later"}),
        json!({"path": "empty.txt", "create": "file", "text": "", "modified": "2019-01-02T03:04:05Z"}),
        json!({"path": "Projects/big.iso", "create": "file", "size": 23 * MIB, "seed": 2, "description": "big"}),
        json!({"path": "Link", "create": "shortcut"}),
    ] {
        stage.tenant.drive_edit(user, edit)?;
    }
    let before = restorable(&stage, user)?;
    assert!(before.len() > 70);
    back_up(&stage, user)?;

    stage.tenant.wipe_drive(user)?;
    assert!(restorable(&stage, user)?.is_empty());
    let first = restore(&stage, user, &[])?;
    assert_same(&before, &restorable(&stage, user)?);
    let once = stage.tenant.drive_fingerprint(user)?;
    let second = restore(&stage, user, &[])?;
    let kept_both = restore_with(&stage, user, "keep_both").await?;

    assert_eq!(first["outcomes"]["failed"], json!(0), "{first}");
    for again in [&second, &kept_both] {
        let outcomes = &again["outcomes"];
        assert_eq!((&outcomes["created"], &outcomes["updated"]), (&json!(0), &json!(0)), "{again}");
    }
    assert_eq!(String::from_utf8(once)?, String::from_utf8(stage.tenant.drive_fingerprint(user)?)?);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_in_place_is_left_alone_and_what_changed_is_treated_as_chosen() -> anyhow::Result<()> {
    let stage = Stage::ready(company(40)).await?;
    let user = &stage.users()[0];
    let edit = |wanted: Value| stage.tenant.drive_edit(user, wanted);
    for path in ["Changed", "Deleted", "Same"] {
        let path = format!("{path}.txt");
        edit(json!({"path": path, "create": "file", "text": path, "modified": "2024-01-01T00:00:00Z"}))?;
    }
    edit(json!({"path": "Old name", "create": "folder"}))?;
    edit(json!({"path": "Old name/inside.txt", "create": "file", "text": "inside"}))?;
    back_up(&stage, user)?;
    let before = restorable(&stage, user)?;

    let untouched = restore_with(&stage, user, "replace").await?;
    assert_same(&before, &restorable(&stage, user)?);
    edit(json!({"path": "Changed.txt", "text": "encrypted"}))?;
    edit(json!({"path": "Deleted.txt", "delete": true}))?;
    edit(json!({"path": "Old name", "rename": "New name"}))?;
    let skipped = restore_with(&stage, user, "skip").await?;
    let after_skip = restorable(&stage, user)?;
    let replaced = restore_with(&stage, user, "replace").await?;
    let after_replace = restorable(&stage, user)?;
    edit(json!({"path": "Changed.txt", "text": "encrypted again"}))?;
    restore_with(&stage, user, "keep_both").await?;
    let after_both = restorable(&stage, user)?;

    assert_eq!((&untouched["outcomes"]["created"], &untouched["outcomes"]["updated"]), (&json!(0), &json!(0)));
    assert_eq!(skipped["outcomes"]["failed"], json!(0), "{skipped}");
    assert_eq!(after_skip["Deleted.txt"], before["Deleted.txt"]);
    assert_eq!(after_skip["Changed.txt"]["size"], json!(9), "what is there stays");
    assert!(!after_skip.contains_key("Old name/inside.txt"), "it is in the renamed folder");
    assert_eq!(after_both.len(), after_replace.len() + 1);
    let copy = &after_both["Changed (restored 2024-01-01 00.00).txt"];
    assert_eq!(
        (&copy["blake3"], &copy["modified"]),
        (&before["Changed.txt"]["blake3"], &json!("2024-01-01T00:00:00Z"))
    );
    assert_eq!(replaced["outcomes"]["failed"], json!(0), "{replaced}");
    for path in ["Changed.txt", "Same.txt", "Deleted.txt", "Old name/inside.txt"] {
        assert_eq!(after_replace[path], before[path]);
    }
    assert!(!after_replace.contains_key("New name/inside.txt"), "it went back to where it was");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_goes_to_somebody_else_and_into_a_folder() -> anyhow::Result<()> {
    let stage = Stage::ready(company(40)).await?;
    let users = stage.users();
    let (source, target) = (&users[0], &users[1]);
    let (theirs, ours) = (restorable(&stage, target)?, restorable(&stage, source)?);
    back_up(&stage, source)?;
    let into = ["--to-user", target.as_str(), "--to-folder", "From a: colleague"];

    restore(&stage, source, &into)?;
    let once = restorable(&stage, target)?;
    let again = restore(&stage, source, &into)?;

    // A colon is no sign of a name on OneDrive.
    let folder = "From a_ colleague";
    let moved: BTreeMap<String, Value> =
        ours.into_iter().map(|(path, item)| (format!("{folder}/{path}"), item)).collect();
    let arrived = |all: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        all.iter()
            .filter(|(path, _)| path.starts_with(&format!("{folder}/")))
            .map(|(p, i)| (p.clone(), i.clone()))
            .collect()
    };
    assert_same(&moved, &arrived(&once));
    assert!(theirs.iter().all(|(path, item)| once.get(path) == Some(item)), "what was there stays as it was");
    assert_eq!(again["outcomes"]["created"], json!(0), "{again}");
    assert_same(&once, &restorable(&stage, target)?);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_file_and_double_none() -> anyhow::Result<()> {
    let mut dice = Dice(seed());
    let mut options = company(60);
    // Slow enough that a kill finds work under way.
    options.limits.latency_ms = 15;
    let mut stage = Stage::ready(options).await?;
    let user = stage.users()[0].clone();
    stage.tenant.drive_edit(&user, json!({"path": "large.bin", "create": "file", "size": 12 * MIB, "seed": 5}))?;
    stage.tenant.drive_edit(&user, json!({"path": "empty.txt", "create": "file", "text": ""}))?;
    let before = restorable(&stage, &user)?;
    back_up(&stage, &user)?;
    for round in 0..ROUNDS {
        stage.tenant.wipe_drive(&user)?;
        let started = stage.expect(&["restore", "--user", &user, "--feature", "onedrive"])?;
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS_MAX))).await;
            stage.serve().kill()?;
            stage.start_serve()?;
        }
        let ended = until_ended(&stage, &["restore", "show", &started["restore_id"].to_string()]);

        assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
        assert_same(&before, &restorable(&stage, &user)?);
    }
    stage.assert_polite();
    Ok(())
}

/// 400 MiB, or as many as `KODO_TEST_FILE_MIB` says.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_larger_than_memory_comes_back_through_a_rough_service() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company(12)).await?;
    let user = stage.users().remove(0);
    let size = large_file_bytes(400);
    stage.tenant.drive_edit(&user, json!({"path": "disk.vhdx", "create": "file", "size": size, "seed": 4}))?;
    let hash = |stage: &Stage| -> anyhow::Result<Value> {
        let whole: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(&user)?)?;
        let found = whole["items"].as_array().unwrap().iter().find(|item| item["path"] == json!("disk.vhdx"));
        Ok(found.map_or(Value::Null, |item| json!([item["quickXorHash"], item["size"], item["modified"]])))
    };
    let before = hash(&stage)?;
    back_up(&stage, &user)?;
    stage.stop_serve()?;
    stage.start_serve()?;
    stage.tenant.wipe_drive(&user)?;
    let rules = json!([
        {"match": "uploadSession", "kind": "reset", "probability": 0.03},
        {"match": "uploadSession", "kind": "cut_body", "probability": 0.03},
        {"match": "uploadSession", "kind": "status", "status": 503, "body": "empty", "probability": 0.03},
        {"match": "uploadSession", "kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"match": "uploadSession", "method": "PUT", "kind": "expire_session", "after": 30, "times": 1},
    ]);
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 3, "rules": rules }))?);

    let restored = restore(&stage, &user, &[])?;
    let peak_mib = stage.serve().peak_memory_kib()? / 1024;
    stage.tenant.clear_faults();

    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    assert_eq!(hash(&stage)?, before);
    assert!(peak_mib < 300, "kodo took {peak_mib} MiB");
    println!("peak of memory: {peak_mib} MiB");
    stage.assert_polite();
    Ok(())
}
