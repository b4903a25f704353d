//! A long file that a killed agent was reading is read on, not anew.

use kodo_simulator::Options;
use serde_json::json;

use crate::support::held::Held;
use crate::support::stage::Stage;
use crate::support::wait::until_ended;

const MIB: u64 = 1 << 20;
/// Two parts and a rest.
const FILE_BYTES: u64 = 600 * MIB;
/// What is committed at once of a long file.
const PART_BYTES: u64 = 256 * MIB;
/// What one request reads of it.
const RANGE_BYTES: u64 = 32 * MIB;

/// A stage whose server was killed when it had committed a part of a long file, the run, and the requests so far.
async fn interrupted() -> anyhow::Result<(Stage, String, String, u64)> {
    let mut options = Options { users: 1, messages: 0, files: 0, ..Options::default() };
    // Slow enough that a kill finds the file half read.
    options.limits.latency_ms = 100;
    let mut stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    let file = json!({"path": "disk.vhdx", "create": "file", "size": FILE_BYTES, "seed": 11});
    stage.tenant.drive_edit(&user, file)?;
    let run = stage.expect(&["backup", "--user", &user, "--feature", "onedrive"])?["run_id"].to_string();
    let held = Held::of(&stage).await?;
    while held.bytes_read_in_open_points().await? < PART_BYTES / 2 {
        let state = stage.expect(&["run", "show", &run])?["state"].clone();
        assert_eq!(state, json!("running"), "it ended before it could be killed\n{}", stage.log());
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
    verify(&stage);
    stage.assert_polite();
    Ok(())
}

/// What collection took away meanwhile, and a file that is another one by now: the hash of the whole is proved either way.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_any_more_is_read_again() -> anyhow::Result<()> {
    let (mut stage, user, run, before) = interrupted().await?;
    stage.separate().execute("DELETE FROM blobs ORDER BY id LIMIT 3")?;

    finish(&mut stage, &run)?;

    assert!(ranges(&stage) > before);
    let overwritten = json!({"path": "disk.vhdx", "size": FILE_BYTES, "seed": 12});
    stage.tenant.drive_edit(&user, overwritten)?;
    let run = stage.expect(&["backup", "--user", &user, "--feature", "onedrive"])?["run_id"].to_string();
    let held = Held::of(&stage).await?;
    while held.bytes_read_in_open_points().await? < PART_BYTES / 2 {
        assert_eq!(stage.expect(&["run", "show", &run])?["state"], json!("running"), "{}", stage.log());
    }
    stage.serve().kill()?;
    stage.tenant.drive_edit(&user, json!({"path": "disk.vhdx", "size": FILE_BYTES, "seed": 13}))?;
    let before = ranges(&stage);

    finish(&mut stage, &run)?;

    assert!(ranges(&stage) - before >= FILE_BYTES / RANGE_BYTES, "another content is read whole");
    verify(&stage);
    stage.assert_polite();
    Ok(())
}
