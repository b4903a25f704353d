//! A long file that a killed agent was reading is read on, not anew.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use kodo::features::{CaptureError, Content, Need, RemoteItem};
use kodo_simulator::Options;
use serde_json::json;

use crate::support::drive::{DriveTenant, digest};
use crate::support::stage::Stage;
use crate::support::wait::until_ended;

const MIB: u64 = 1 << 20;
/// A part and a rest.
const FILE_BYTES: u64 = 400 * MIB;
/// What is committed at once of a long file.
const PART_BYTES: u64 = 256 * MIB;
/// What one request reads of it.
const RANGE_BYTES: u64 = 32 * MIB;

/// A stage whose server was killed when it had committed a part of a long file, the run, and the requests so far.
async fn interrupted() -> anyhow::Result<(Stage, String, String, u64)> {
    let mut options = Options { users: 1, messages: 0, files: 0, ..Options::default() };
    // Slow enough that a kill finds the file half read.
    options.limits.latency_ms = 300;
    let mut stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    let file = json!({"path": "disk.vhdx", "create": "file", "size": FILE_BYTES, "seed": 11});
    stage.tenant.drive_edit(&user, file)?;
    let run = stage.expect(&["backup", "--user", &user, "--feature", "onedrive"])?["run_id"].to_string();
    // A part that is stored can be seen.
    loop {
        let tasks = stage.expect(&["task", "list"])?;
        let mut tasks = tasks["items"].as_array().into_iter().flatten();
        let task = tasks.find(|task| task["kind"] == "backup").expect("a task of the run");
        if task["phase"].as_str().is_some_and(|phase| phase.starts_with("a large file, ")) {
            assert!(task["bytes_done"].as_u64() >= Some(PART_BYTES / 2), "{task}");
            break;
        }
        assert_ne!(task["state"], json!("succeeded"), "it ended before it could be killed\n{}", stage.log());
    }
    stage.serve().kill()?;
    let n_ranges = ranges(&stage);
    Ok((stage, user, run, n_ranges))
}

fn ranges(stage: &Stage) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("the simulator counts by route");
    let downloads = routes.iter().filter(|(route, _)| route.contains("download"));
    downloads.filter_map(|(_, count)| count["requests"].as_u64()).sum()
}

fn finish(stage: &mut Stage, run: &str) -> anyhow::Result<()> {
    stage.start_serve()?;
    let ended = until_ended(stage, &["run", "show", run]);
    assert_eq!(ended["state"], json!("succeeded"), "{ended}\n{}", stage.log());
    Ok(())
}

/// Reads everything back from the storage.
fn verify(stage: &Stage) {
    let verified = stage.run(&["storage", "verify", "disk", "--level", "4", "--wait"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_costs_a_long_file_no_more_than_the_part_it_was_at() -> anyhow::Result<()> {
    let (mut stage, user, run, before) = interrupted().await?;

    finish(&mut stage, &run)?;

    let again = ranges(&stage) - before;
    let whole = FILE_BYTES.div_ceil(RANGE_BYTES);
    // What a part leaves uncut, and a range that was cut off, are read twice.
    assert!(again <= whole - PART_BYTES / RANGE_BYTES + 2, "{again} ranges after the kill, {whole} are the whole file");
    assert!(before >= PART_BYTES / RANGE_BYTES, "{before} ranges before the kill");
    let shown = stage.expect(&["ls", "OneDrive", "--user", &user, "--feature", "onedrive"])?;
    let files = shown["items"].as_array().expect("items");
    assert!(
        files.iter().any(|file| file["name"] == json!("disk.vhdx") && file["bytes"] == json!(FILE_BYTES)),
        "{shown}"
    );
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_collection_took_away_meanwhile_is_read_again() -> anyhow::Result<()> {
    let (mut stage, _, run, before) = interrupted().await?;
    stage.separate().execute("DELETE FROM blobs ORDER BY id LIMIT 3")?;

    finish(&mut stage, &run)?;

    assert!(ranges(&stage) > before);
    verify(&stage);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_another_one_by_now_is_read_whole() -> anyhow::Result<()> {
    let (mut stage, user, run, before) = interrupted().await?;
    stage.tenant.drive_edit(&user, json!({"path": "disk.vhdx", "size": FILE_BYTES, "seed": 12}))?;

    finish(&mut stage, &run)?;

    // The hash of the whole is proved: nothing of what was stored before can be in it.
    assert!(ranges(&stage) - before >= FILE_BYTES / RANGE_BYTES);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_is_known_is_proved_with_the_rest() {
    let tenant = DriveTenant::start(0).await;
    let id = tenant.edit(json!({"path": "film.mp4", "create": "file", "size": 70 * MIB, "seed": 9}));
    let item = RemoteItem { id, properties: None };
    let read = async |known: Vec<Result<Bytes, String>>| {
        let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();
        let Some(Content::Stream(content)) = captured.content else { panic!("70 MiB do not fit into memory") };
        digest(Content::Stream(content.behind(stream::iter(known).boxed()))).await
    };
    let mut whole = Vec::new();
    let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();
    let Some(Content::Stream(mut content)) = captured.content else { panic!("70 MiB do not fit into memory") };
    while let Some(piece) = content.pieces.next().await {
        whole.extend_from_slice(&piece.unwrap());
    }
    let begins = Bytes::from(whole).slice(..5_000_001);

    let right = read(vec![Ok(begins.slice(..1_000_000)), Ok(begins.slice(1_000_000..))]).await.unwrap();
    let ends_early = read(vec![Ok(begins.slice(..1_000_000)), Err("collected".to_owned())]).await.unwrap();
    let wrong = read(vec![Ok(Bytes::from(vec![7; 1_000_000]))]).await;

    let truth = &tenant.truth()[&item.id];
    for (bytes, blake3) in [right, ends_early] {
        assert_eq!((bytes, json!(blake3)), (70 * MIB, truth["blake3"].clone()));
    }
    assert!(matches!(wrong, Err(CaptureError::Item { reason: "content_differs", .. })), "{wrong:?}");
    tenant.assert_no_violations();
}
