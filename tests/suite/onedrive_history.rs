//! Files come back with the states that they were in, when a restore is asked for them: in order, each once, through
//! every fault and kill.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use kodo::features::onedrive::KIND_VERSION;
use kodo::features::{
    Action, Along, Need, Opening, PathStep, Plan, RemoteItem, RestoreError, Restored, StoredContent, StoredItem,
    StoredParts, carry_out,
};
use kodo::ids::ItemKey;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::chance::{Dice, seed};
use crate::support::drive::DriveTenant;
use crate::support::stage::Stage;
use crate::support::wait::until_ended;

const MIB: u64 = 1 << 20;
/// Each round kills the server twice.
const ROUNDS: u64 = 10;
const KILLS: u64 = 2;
/// The longest a restore of the drive below may work before the server is killed.
const LIFE_MS_MAX: u64 = 1_500;

async fn stage_with(files: usize) -> anyhow::Result<(Stage, String)> {
    let options =
        Options { users: 2, messages: 0, events: 0, contacts: 0, files, special_users: false, ..Options::default() };
    let stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    for choice in ["onedrive.versions=all", "onedrive.permissions=true"] {
        stage.expect(&["policy", "set", "standard", choice])?;
    }
    Ok((stage, user))
}

fn back_up(stage: &Stage, user: &str) {
    // Notebooks and infected files are told as exceptions.
    let ran = stage.run(&["backup", "--user", user, "--feature", "onedrive", "--wait"]);
    assert!([0, 3].contains(&ran.code), "{ran:?}\n{}", stage.log());
}

fn restore(stage: &Stage, user: &str, more: &[&str]) -> anyhow::Result<Value> {
    stage.expect(&[&["restore", "--user", user, "--feature", "onedrive", "--wait"], more].concat())
}

/// Makes a file and writes it anew, one state after the other.
fn write(stage: &Stage, user: &str, path: &str, states: &[Value]) -> anyhow::Result<()> {
    for (number, state) in states.iter().enumerate() {
        let mut edit = state.clone();
        edit["path"] = json!(path);
        if number == 0 {
            edit["create"] = json!("file");
        }
        stage.tenant.drive_edit(user, edit)?;
        stage.tenant.advance_clock(60);
    }
    Ok(())
}

/// Files with histories of every kind.
fn write_all(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let text = |text: &str| json!({ "text": text });
    let size = |size: u64, seed: u64| json!({ "size": size, "seed": seed });
    // A state may be what it was before, and two may be alike.
    let plan: Vec<Value> = ["one", "two", "one", "one", "three and more"].map(text).to_vec();
    write(stage, user, "plan.txt", &plan)?;
    write(stage, user, "Report.docx", &[size(9_000, 1), size(9_500, 2), size(100, 3)])?;
    write(stage, user, "emptied.txt", &[text(""), text("something"), text(""), text("again"), text("")])?;
    write(stage, user, "film.mp4", &[size(7 * MIB + 3, 4), size(2 * MIB, 5), size(11 * MIB, 6)])?;
    let described = json!({ "text": "second", "description": "for the board", "modified": "2024-03-04T05:06:07Z" });
    write(stage, user, "described.txt", &[text("first"), described])?;
    let many: Vec<Value> = (0..24).map(|number| size(50 + number, number)).collect();
    write(stage, user, "many.bin", &many)
}

/// The files that Microsoft hands out by their paths: the present state of each, and those that it was in, newest first.
fn histories(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let whole: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(user)?)?;
    let files = whole["items"].as_array().into_iter().flatten();
    let files = files.filter(|item| item["kind"] == json!("file") && item["downloadable"] == json!(true));
    let state = |one: &Value| {
        // The request that makes a file empty takes no date.
        let modified = if one["size"] == json!(0) { Value::Null } else { one["modified"].clone() };
        json!([one["size"], one["quickXorHash"], modified])
    };
    let history = |file: &Value| {
        let older: Vec<Value> = file["olderVersions"].as_array().into_iter().flatten().map(state).collect();
        // SharePoint rewrites office files that arrive: what was sent is what counts.
        let content = if file["sent"].is_null() { file } else { &file["sent"] };
        json!({ "present": [content["size"], content["blake3"], file["modified"]], "older": older })
    };
    Ok(files.map(|file| (file["path"].as_str().unwrap_or_default().to_owned(), history(file))).collect())
}

fn assert_same(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>, when: &str) {
    for (path, history) in expected {
        assert_eq!(found.get(path), Some(history), "{path}, {when}");
    }
    assert_eq!(expected.len(), found.len(), "{when}: {:?}", found.keys());
}

fn older(histories: &BTreeMap<String, Value>) -> impl Iterator<Item = &Value> {
    histories.values().flat_map(|history| history["older"].as_array().into_iter().flatten())
}

fn number(view: &Value, name: &str) -> u64 {
    view["asked"][name].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_files_come_back_with_their_versions_in_order_and_a_second_time_changes_nothing() -> anyhow::Result<()> {
    let (stage, user) = stage_with(40).await?;
    write_all(&stage, &user)?;
    back_up(&stage, &user);
    let before = histories(&stage, &user)?;
    let n_older = older(&before).count() as u64;
    let bytes_older: u64 = older(&before).filter_map(|state| state[0].as_u64()).sum();
    assert!(n_older >= 35, "{n_older}");
    stage.tenant.wipe_drive(&user)?;

    let plain = restore(&stage, &user, &["--dry-run"])?;
    let told = restore(&stage, &user, &["--with-versions", "--dry-run"])?;
    let done = restore(&stage, &user, &["--with-versions"])?;
    let after = histories(&stage, &user)?;
    let again = restore(&stage, &user, &["--with-versions"])?;

    assert_same(&before, &after, "once");
    assert_same(&before, &histories(&stage, &user)?, "twice");
    assert_eq!((&again["outcomes"]["created"], &again["outcomes"]["updated"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!((&done["outcomes"]["failed"], &done["with_versions"]), (&json!(0), &json!(true)), "{done}");
    assert_eq!(done["outcomes"], told["outcomes"], "what was foretold");
    for name in ["bytes", "upload_bytes"] {
        assert_eq!(number(&told, name), number(&plain, name) + bytes_older, "{name}: {told} {plain}");
    }
    assert_eq!(number(&told, "items"), number(&plain, "items"), "versions are no items of their own");
    assert!(number(&told, "requests") >= number(&plain, "requests") + 2 * n_older, "{told} {plain}");
    restore(&stage, &user, &["--to-folder", "Plain"])?;
    let copies: BTreeMap<String, Value> =
        histories(&stage, &user)?.into_iter().filter(|(path, _)| path.starts_with("Plain/")).collect();
    assert_eq!((copies.len(), older(&copies).count()), (before.len(), 0), "nobody asked for versions");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_files_come_back_with_their_versions_and_what_is_there_keeps_its_own() -> anyhow::Result<()> {
    let (stage, user) = stage_with(0).await?;
    stage.tenant.drive_edit(&user, json!({"path": "Deep", "create": "folder"}))?;
    for path in ["Deep/kept.txt", "Deep/lost.txt", "other.txt"] {
        write(&stage, &user, path, &["a", "b", "c"].map(|text| json!({ "text": text })))?;
    }
    back_up(&stage, &user);
    let before = histories(&stage, &user)?;
    stage.tenant.drive_edit(&user, json!({"path": "Deep/lost.txt", "delete": true}))?;
    stage.tenant.drive_edit(&user, json!({"path": "Deep/kept.txt", "text": "encrypted"}))?;

    let chosen = ["--folder", "Deep", "--with-versions", "--on-conflict", "replace"];
    let told = restore(&stage, &user, &[&chosen[..], &["--dry-run"]].concat())?;
    let done = restore(&stage, &user, &chosen)?;

    let after = histories(&stage, &user)?;
    assert_eq!(after["Deep/lost.txt"], before["Deep/lost.txt"]);
    assert_eq!(after["Deep/kept.txt"]["present"], before["Deep/kept.txt"]["present"]);
    let kept = &after["Deep/kept.txt"]["older"];
    assert_eq!(kept.as_array().map(Vec::len), Some(4), "what was there became a version, and no other came: {kept}");
    let remarks = done["remarks"]["items"].to_string();
    assert!(remarks.contains("keeps the older versions that it has"), "{done}");
    assert_eq!((number(&told, "bytes"), number(&told, "upload_bytes")), (6, 4), "{told}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_service_loses_no_version_and_doubles_none() -> anyhow::Result<()> {
    let (stage, user) = stage_with(0).await?;
    write_all(&stage, &user)?;
    back_up(&stage, &user);
    let before = histories(&stage, &user)?;
    stage.tenant.wipe_drive(&user)?;
    let rules = json!([
        {"match": "uploadSession", "method": "PUT", "kind": "cut_body", "probability": 0.1},
        {"match": "uploadSession", "method": "PUT", "kind": "reset", "probability": 0.05},
        {"match": "uploadSession", "method": "PUT", "kind": "status", "status": 503, "body": "html", "probability": 0.05},
        {"match": "uploadSession", "method": "PUT", "kind": "expire_session", "probability": 0.05},
        // A cut body is an answer lost after the request was carried out.
        {"match": "content", "method": "PUT", "kind": "cut_body", "probability": 0.15},
        {"match": "content", "method": "PUT", "kind": "reset", "times": 2},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
    ]);
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 7, "rules": rules }))?);

    let done = restore(&stage, &user, &["--with-versions"])?;
    stage.tenant.clear_faults();

    assert_eq!(done["outcomes"]["failed"], json!(0), "{done}");
    assert_same(&before, &histories(&stage, &user)?, "through faults");
    stage.assert_polite();
    Ok(())
}

/// Versions of a file, of which those without a text cannot be read.
struct Older(Vec<&'static str>);

impl StoredParts for Older {
    fn n_parts(&self) -> usize {
        self.0.len()
    }

    fn read(&self, index: usize) -> BoxFuture<'_, Result<StoredItem, RestoreError>> {
        let text = self.0[index];
        Box::pin(async move {
            if text.is_empty() {
                return Err(RestoreError::Item("its pack is damaged".to_owned()));
            }
            let properties =
                json!({"size": text.len(), "lastModifiedDateTime": format!("2024-01-0{}T00:00:00Z", index + 1)});
            let content = StoredContent::Whole(Bytes::from_static(text.as_bytes()));
            let key = ItemKey::of(&format!("version {index}"));
            Ok(StoredItem { key, kind: KIND_VERSION, properties: properties.to_string().into(), content })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_cannot_be_read_costs_itself_and_one_that_is_refused_leaves_nothing_half() {
    let tenant = DriveTenant::start(0).await;
    let id = tenant.edit(json!({"path": "plan.txt", "create": "file", "text": "present"}));
    let item = RemoteItem { id: id.clone(), properties: None };
    let captured = tenant.feature.capture(tenant.source(), &item, Need::Properties).await.unwrap();
    let content = StoredContent::Whole(Bytes::from_static(b"present"));
    let item =
        StoredItem { key: ItemKey::of(&id), kind: captured.summary.kind, properties: captured.properties, content };
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    let restoring = tenant.feature.restoring().unwrap();
    let path = [PathStep::folder("OneDrive")];
    let top = restoring.open_container(tenant.source(), &path, Opening::Create).await.unwrap().unwrap();
    let bring = async || {
        let older = Older(vec!["first", "", "third"]);
        let along = Along { parts: Some(&older), people: None };
        carry_out(restoring, tenant.source(), &top, (&item, along), &Plan::Do(Action::Create)).await
    };
    let names = || tenant.truth().into_values().map(|item| item["path"].clone()).collect::<Vec<_>>();

    let locked = json!({"match": "createUploadSession", "kind": "status", "status": 423, "after": 1, "times": 1});
    tenant.set_faults(json!([locked]));
    let refused = bring().await;
    assert!(matches!(&refused, Err(RestoreError::Item(why)) if why.contains("lock")), "{refused:?}");
    assert_eq!(names(), [json!("")], "nothing is left of it but the drive");
    tenant.simulator.clear_faults();
    let restored = bring().await.unwrap();

    let Restored::Created { remarks } = restored else { panic!("{restored:?}") };
    assert!(remarks.len() == 1 && remarks[0].contains("1 of its older versions cannot be read"), "{remarks:?}");
    let file = tenant.truth().into_values().find(|item| item["path"] == json!("plan.txt")).unwrap();
    let sizes: Vec<&Value> = file["olderVersions"].as_array().unwrap().iter().map(|one| &one["size"]).collect();
    assert_eq!((sizes, &file["size"]), (vec![&json!(5), &json!(5)], &json!(7)));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_no_version_and_nobody_who_was_let_in_and_double_none() -> anyhow::Result<()> {
    let mut dice = Dice(seed());
    let (mut stage, user) = stage_with(0).await?;
    let other = stage.users().remove(1);
    write_all(&stage, &user)?;
    stage.tenant.drive_edit(&user, json!({"path": "Shared", "create": "folder"}))?;
    write(&stage, &user, "Shared/inside.txt", &["a", "b"].map(|text| json!({ "text": text })))?;
    for path in ["Shared", "plan.txt", "film.mp4", "emptied.txt"] {
        let share = json!({"with": {"address": other, "may_write": path == "Shared"}});
        stage.tenant.drive_edit(&user, json!({"path": path, "share": share}))?;
    }
    back_up(&stage, &user);
    let before = histories(&stage, &user)?;
    let shared = crate::onedrive_sharing::shared(&stage, &user)?;
    assert_eq!(shared.len(), 4, "{shared:?}");
    // Slow enough that a kill finds work under way.
    stage.tenant.set_limits(kodo_simulator::Limits { latency_ms: 15, ..kodo_simulator::Limits::default() });
    for round in 0..ROUNDS {
        stage.tenant.wipe_drive(&user)?;
        let along = ["--with-versions", "--with-permissions"];
        let started = stage.expect(&[&["restore", "--user", &user, "--feature", "onedrive"][..], &along].concat())?;
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS_MAX))).await;
            stage.serve().kill()?;
            stage.start_serve()?;
        }
        let ended = until_ended(&stage, &["restore", "show", &started["restore_id"].to_string()]);

        assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
        assert_same(&before, &histories(&stage, &user)?, &format!("round {round}: {ended}"));
        assert_eq!(crate::onedrive_sharing::shared(&stage, &user)?, shared, "round {round}");
    }
    assert!(stage.tenant.notices().is_empty(), "somebody hears of a restore: {:?}", stage.tenant.notices());
    stage.assert_polite();
    Ok(())
}
