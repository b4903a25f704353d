//! The space of what no restore point needs is freed, and what one needs comes back.

use std::path::Path;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Stage, assert_same};

/// Everything at once: what one collection condemns the next one frees.
const AT_ONCE: &str = "[collection]\ngrace_h = 0\nfile_delay_min = 0\n";

async fn ready() -> anyhow::Result<Stage> {
    let options = Options { users: 2, messages: 60, special_users: false, ..Options::default() };
    let mut stage = Stage::fresh(options).await?;
    stage.configure(AT_ONCE)?;
    stage.expect(&["init"])?;
    stage.start_serve()?;
    stage.add_everything()?;
    // The daily collection would do what the tests do by hand.
    stage.separate().execute("UPDATE storages SET next_upkeep_at = NOW(3) + INTERVAL 1 DAY")?;
    Ok(stage)
}

fn stored_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = |path: &Path| if path.is_dir() { stored_bytes(path) } else { path.metadata().unwrap().len() };
    entries.map(|entry| bytes(&entry.path())).sum()
}

/// Collects, and returns what was done.
fn collect(stage: &Stage) -> anyhow::Result<Value> {
    let task = stage.expect(&["storage", "collect", "disk", "--wait"])?;
    assert_eq!(task["state"], json!("succeeded"), "{task}");
    Ok(task["result"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_point_needs_is_freed_and_what_one_needs_comes_back() -> anyhow::Result<()> {
    let stage = ready().await?;
    let users = stage.users();
    users.iter().try_for_each(|user| stage.back_up(user).map(drop))?;
    let before = stage.mailbox(&users[1])?;
    let stored = stored_bytes(&stage.storage().join("packs"));
    let idle = collect(&stage)?;
    assert_eq!((&idle["blobs_condemned"], &idle["orphans_left"]), (&json!(0), &json!(0)), "{idle}");
    // As if retention had given up all points of the first mailbox.
    stage.separate().execute("DELETE FROM item_versions WHERE chain_id = 1")?;

    let first = collect(&stage)?;
    let second = collect(&stage)?;

    assert!(first["blobs_condemned"].as_u64() > Some(0), "{first}");
    assert_eq!(second["blobs_given_up"], first["blobs_condemned"], "{second}");
    assert!(second["packs_compacted"].as_u64() > Some(0) && second["files_deleted"].as_u64() > Some(0), "{second}");
    let left = stored_bytes(&stage.storage().join("packs"));
    assert!(left < stored * 8 / 10, "{left} of {stored}");
    stage.tenant.wipe_mailbox(&users[1])?;
    stage.expect(&["restore", "--user", &users[1], "--wait"])?;
    assert_same(&before, &stage.mailbox(&users[1])?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_put_back_older_than_its_storage_is_not_collected() -> anyhow::Result<()> {
    let mut stage = ready().await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    stage.stop_serve()?;
    stage.separate().execute("DELETE FROM item_versions")?;
    stage.separate().execute("DELETE FROM blobs")?;
    stage.separate().execute("DELETE FROM packs")?;
    stage.separate().execute("UPDATE writers SET heartbeat_at = NOW(3) - INTERVAL 1 DAY")?;
    let stored = stored_bytes(&stage.storage().join("packs"));
    stage.start_serve()?;

    let ran = stage.run(&["storage", "collect", "disk", "--wait"]);

    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("kodo rebuild-catalog --storage 1"), "{ran:?}");
    assert_eq!(stored_bytes(&stage.storage().join("packs")), stored);
    Ok(())
}
