//! The OneDrive feature against a simulated drive: what is captured is what is there, through every fault.

use std::time::Duration;

use futures_util::StreamExt;
use kodo::features::onedrive::{KIND_SHORTCUT, PERMISSIONS};
use kodo::features::{CaptureError, Content, Need, OneDriveOptions, RemoteItem, WalkError};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::drive::{DriveTenant, KeptDrive, assert_kept, digest, large_file_bytes};
use crate::support::stage::Stage;

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_drive_is_captured_as_it_is() {
    let tenant = DriveTenant::start(120).await;
    tenant.edit(json!({"path": "empty.txt", "create": "file", "text": ""}));
    tenant.edit(json!({"path": "big.bin", "create": "file", "size": 9 * MIB, "seed": 3}));
    tenant.edit(json!({"path": "Link to the team", "create": "shortcut"}));
    tenant.edit(json!({"path": "infected.exe", "create": "infected", "size": 99}));
    tenant.edit(json!({"path": "Notes", "create": "notebook"}));
    tenant.edit(json!({"path": "Notes/section.one", "create": "file", "text": "note"}));
    let mut kept = KeptDrive::default();

    tenant.back_up(&mut kept).await;

    let truth = tenant.truth();
    assert_kept(&truth, &kept);
    assert_eq!(kept.issues.len(), 0, "{:?}", kept.issues);
    let of_kind = |kind: &'static str| truth.iter().filter(move |(_, item)| item["kind"] == kind);
    let notes =
        of_kind("file").filter(|(_, item)| item["mimeType"] == "application/msonenote").chain(of_kind("package"));
    assert!(notes.clone().count() > 1);
    assert!(notes.into_iter().all(|(id, _)| kept.skipped.get(id) == Some(&"one_note")));
    let infected: Vec<_> = of_kind("file").filter(|(_, item)| item["malware"].is_string()).collect();
    assert!(infected.iter().all(|(id, _)| kept.skipped.get(*id) == Some(&"malware")) && !infected.is_empty());
    for (id, item) in of_kind("shortcut") {
        assert_eq!((kept.items[id].kind, kept.items[id].known.has_content), (KIND_SHORTCUT, false));
        assert_eq!(kept.items[id].properties["remoteItem"]["id"], item["remote"]["id"]);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_places_and_dates_change_without_a_download() {
    let tenant = DriveTenant::start(40).await;
    tenant.edit(json!({"path": "Old name", "create": "folder"}));
    tenant.edit(json!({"path": "Old name/below", "create": "folder"}));
    tenant.edit(json!({"path": "Old name/below/a.txt", "create": "file", "text": "a"}));
    tenant.edit(json!({"path": "Old name/b.txt", "create": "file", "text": "b"}));
    tenant.edit(json!({"path": "Target", "create": "folder"}));
    let mut kept = KeptDrive::default();
    tenant.back_up(&mut kept).await;
    (kept.n_captured, kept.n_downloaded) = (0, 0);

    tenant.back_up(&mut kept).await;
    assert_eq!(kept.n_captured, 0);
    tenant.edit(json!({"path": "Old name", "rename": "New name"}));
    tenant.edit(json!({"path": "New name/below", "move_to": "Target"}));
    tenant.edit(json!({"path": "New name/b.txt", "rename": "c.txt"}));
    tenant.edit(json!({"path": "New name/c.txt", "description": "words", "modified": "2020-02-02T02:02:02Z"}));
    tenant.back_up(&mut kept).await;

    assert_kept(&tenant.truth(), &kept);
    assert_eq!(kept.n_downloaded, 0);
    assert!((3..8).contains(&kept.n_captured), "{} were read", kept.n_captured);
    tenant.edit(json!({"path": "New name/c.txt", "text": "c"}));
    tenant.back_up(&mut kept).await;
    assert_eq!(kept.n_downloaded, 1);
    assert_kept(&tenant.truth(), &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_of_a_drive_in_use_is_followed() {
    let tenant = DriveTenant::start(60).await;
    let mut kept = KeptDrive::default();
    tenant.back_up(&mut kept).await;

    for seed in 1..=6 {
        tenant.simulator.random_drive_edits(&tenant.user, seed, 30).unwrap();
        if seed == 4 {
            tenant.simulator.expire_delta(Some(&tenant.user)).unwrap();
        }
        tenant.back_up(&mut kept).await;
        assert_kept(&tenant.truth(), &kept);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_of_a_drive_costs_a_walk_and_no_download() {
    let tenant = DriveTenant::start(40).await;
    let mut kept = KeptDrive::default();
    tenant.back_up(&mut kept).await;
    for code in ["resyncChangesApplyDifferences", "RESYNCREQUIRED"] {
        (kept.n_captured, kept.n_downloaded) = (0, 0);
        let gone = tenant.edit(json!({"path": format!("{code}.txt"), "create": "file", "text": "x"}));
        tenant.edit(json!({"path": format!("{code}.txt"), "delete": true}));
        tenant.set_faults(json!([{"match": "delta*", "kind": "expire_delta", "code": code, "times": 1}]));

        tenant.back_up(&mut kept).await;

        assert_eq!((kept.n_captured, kept.n_downloaded), (0, 0), "{code}");
        assert!(!kept.items.contains_key(&gone));
        assert_kept(&tenant.truth(), &kept);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_service_costs_time_and_no_file() {
    let tenant = DriveTenant::start(60).await;
    tenant.set_faults(json!([
        {"kind": "status", "status": 503, "probability": 0.03, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "reset", "probability": 0.03},
        {"kind": "cut_body", "probability": 0.03},
        {"match": "download.aspx", "kind": "short_body", "probability": 0.3},
        {"match": "download.aspx", "kind": "ignore_range", "probability": 0.3},
        {"match": "delta*", "kind": "empty_pages", "probability": 0.3},
        {"match": "delta*", "kind": "duplicate_entries"},
        {"match": "delta*", "kind": "removed_first"},
    ]));
    let mut kept = KeptDrive::default();

    tenant.back_up(&mut kept).await;
    tenant.simulator.clear_faults();

    tenant.retry_issues(&mut kept).await;
    assert_kept(&tenant.truth(), &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_file_costs_exactly_itself() {
    let tenant = DriveTenant::start(40).await;
    let rotten = tenant.edit(json!({"path": "rotten.bin", "create": "file", "size": 100_000, "seed": 5}));
    let vanishing = tenant.edit(json!({"path": "vanishing.bin", "create": "file", "size": 100_000, "seed": 6}));
    tenant.set_faults(json!([
        {"match": "download.aspx", "kind": "wrong_bytes", "items": [rotten]},
        // Its URL is worth nothing, and then the file is gone.
        {"match": "download.aspx", "kind": "short_body", "items": [vanishing], "times": 1},
        {"match": "*content", "kind": "vanish", "items": [vanishing]},
    ]));
    let mut kept = KeptDrive::default();

    tenant.back_up(&mut kept).await;

    assert_eq!(kept.issues.iter().collect::<Vec<_>>(), [(&rotten, &"content_differs")]);
    let mut truth = tenant.truth();
    truth.remove(&rotten);
    assert_kept(&truth, &kept);
    tenant.simulator.clear_faults();
    tenant.retry_issues(&mut kept).await;
    assert_kept(&tenant.truth(), &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_vanishes_between_report_and_read_is_gone() {
    let tenant = DriveTenant::start(12).await;
    let id = tenant.edit(json!({"path": "soon gone.txt", "create": "file", "text": "x"}));
    tenant.edit(json!({"path": "soon gone.txt", "delete": true}));

    let item = RemoteItem { id, properties: None };
    let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await;

    assert!(matches!(captured, Err(CaptureError::Gone)), "{captured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_on_where_it_broke_off_and_with_a_new_url() {
    let tenant = DriveTenant::start(12).await;
    let id = tenant.edit(json!({"path": "film.mp4", "create": "file", "size": 80 * MIB, "seed": 9}));
    tenant.set_faults(json!([
        {"match": "download.aspx", "kind": "short_body", "items": [id], "times": 2},
        {"match": "download.aspx", "kind": "ignore_range", "items": [id], "times": 1, "after": 1},
    ]));
    let item = RemoteItem { id: id.clone(), properties: None };

    let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();
    let Some(Content::Stream(mut stream)) = captured.content else { panic!("80 MiB do not fit into memory") };
    let mut hash = blake3::Hasher::new();
    let mut n_pieces = 0;
    while let Some(piece) = stream.pieces.next().await {
        hash.update(&piece.unwrap());
        n_pieces += 1;
        if n_pieces == 2 {
            tenant.simulator.advance_clock(2 * 3600);
        }
    }

    let truth = tenant.truth();
    assert_eq!(json!(hash.finalize().to_hex().to_string()), truth[&id]["blake3"]);
    assert_eq!(hash.count(), 80 * MIB);
    assert!(n_pieces > 10);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_overwritten_while_it_is_read_is_told_apart_from_a_rotten_one() {
    let tenant = DriveTenant::start(12).await;
    let id = tenant.edit(json!({"path": "film.mp4", "create": "file", "size": 70 * MIB, "seed": 1}));
    let item = RemoteItem { id, properties: None };
    let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();

    tenant.edit(json!({"path": "film.mp4", "size": 70 * MIB, "seed": 2}));

    let read = digest(captured.content.unwrap()).await;
    assert!(matches!(read, Err(CaptureError::Changed { .. })), "{read:?}");
    let again = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();
    let (_, blake3) = digest(again.content.unwrap()).await.unwrap();
    assert_eq!(json!(blake3), tenant.truth()[&item.id]["blake3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_drive_has_the_feature_not_and_says_why() {
    let tenant = DriveTenant::start(12).await;
    for (state, reason) in
        [("unprovisioned", "no OneDrive"), ("unlicensed", "no licence for SharePoint"), ("locked", "locked")]
    {
        tenant.simulator.change_user(&tenant.user, json!({ "drive": state })).unwrap();

        let answer = tenant.feature.containers(tenant.source(), None).await;

        let Err(WalkError::NotApplicable(why)) = answer else { panic!("{state}: {answer:?}") };
        assert!(why.contains(reason), "{state}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_are_kept_when_they_are_wanted_and_follow_sharing() {
    let options =
        OneDriveOptions { permissions: true, exclude_extensions: vec!["TMP".into()], ..OneDriveOptions::default() };
    let tenant = DriveTenant::start(12).await.choosing(options);
    tenant.edit(json!({"path": "a.tmp", "create": "file", "text": "not wanted"}));
    let id = tenant.edit(json!({"path": "plan.txt", "create": "file", "text": "x", "share": "colleague"}));
    let mut kept = KeptDrive::default();

    tenant.back_up(&mut kept).await;
    let before = kept.items[&id].properties[PERMISSIONS].clone();
    kept.n_downloaded = 0;
    tenant.edit(json!({"path": "plan.txt", "share": "anonymous"}));
    tenant.back_up(&mut kept).await;

    let roles = |permissions: &Value| permissions.as_array().map_or(0, Vec::len);
    assert_eq!((roles(&before), roles(&kept.items[&id].properties[PERMISSIONS])), (2, 3), "{before}");
    assert_eq!(kept.n_downloaded, 0);
    assert!(kept.items.values().all(|item| !item.name.ends_with(".tmp")));
    tenant.assert_no_violations();
}

/// 1 GiB, or as many MiB as `KODO_TEST_FILE_MIB` says.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_far_larger_than_memory_is_stored_as_it_is_read() -> anyhow::Result<()> {
    let options = Options { users: 1, messages: 0, files: 12, ..Options::default() };
    let mut stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    let bytes = large_file_bytes(1024);
    stage.tenant.drive_edit(&user, json!({"path": "disk.vhdx", "create": "file", "size": bytes, "seed": 4}))?;
    let back_up = ["backup", "--user", &user, "--feature", "onedrive", "--wait"];

    let began = std::time::Instant::now();
    stage.expect(&back_up)?;
    let peak_mib = stage.serve().peak_memory_kib()? / 1024;
    println!("{bytes} bytes in {:?}, {peak_mib} MiB at most", began.elapsed());
    stage.tenant.drive_edit(&user, json!({"path": "disk.vhdx", "rename": "old disk.vhdx"}))?;
    let started = std::time::Instant::now();
    stage.expect(&back_up)?;

    assert!(peak_mib < 300, "kodo took {peak_mib} MiB");
    assert!(started.elapsed() < Duration::from_secs(60), "a new name is not a new file");
    let verified = stage.run(&["storage", "verify", "disk", "--level", "4", "--wait"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_large_file_costs_itself_alone_until_it_heals() -> anyhow::Result<()> {
    let options = Options { users: 1, messages: 0, files: 9, ..Options::default() };
    let stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    let add = |name: &str, seed: u64| {
        let edit = json!({"path": name, "create": "file", "size": 20 * MIB, "seed": seed});
        stage.tenant.drive_edit(&user, edit)
    };
    let rotten = add("rotten.bin", 1)?;
    add("sound.bin", 2)?;
    let n_items = |stage: &Stage| -> anyhow::Result<usize> {
        let truth: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(&user)?)?;
        Ok(truth["items"].as_array().map_or(0, Vec::len))
    };
    let rule = json!({"match": "download.aspx", "kind": "wrong_bytes", "items": [rotten["id"]]});
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [rule] }))?);
    let chain = ["--user", &user, "--feature", "onedrive"];
    let back_up = [&["backup"][..], &chain, &["--wait"]].concat();

    let run = stage.run(&back_up);

    assert_eq!(run.code, 3, "an incomplete run says so: {run:?}");
    let issues = stage.expect(&[&["issue", "list"][..], &chain].concat())?["items"].clone();
    assert_eq!(issues.as_array().map(Vec::len), Some(1), "{issues}");
    assert_eq!((&issues[0]["reason"], &issues[0]["name"]), (&json!("content_differs"), &json!("rotten.bin")));
    let point = |stage: &Stage| stage.expect(&[&["point", "list"][..], &chain].concat());
    assert_eq!(point(&stage)?["items"][0]["items"], json!(n_items(&stage)? - 1));
    stage.tenant.clear_faults();
    stage.expect(&back_up)?;
    assert_eq!(point(&stage)?["items"][0]["items"], json!(n_items(&stage)?));
    stage.assert_polite();
    Ok(())
}
