//! Collection through the command line: what no restore point needs is freed, and what it refuses.

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
    let before = stage.mailbox(&users[0])?;
    let stored = stored_bytes(&stage.storage().join("packs"));
    // As if retention had given up all points of the second mailbox; much of it is shared with the first.
    stage.separate().execute("DELETE FROM item_versions WHERE chain_id = 2")?;

    let first = collect(&stage)?;
    let second = collect(&stage)?;
    let third = collect(&stage)?;

    assert!(first["blobs_condemned"].as_u64() > Some(0), "{first}");
    assert_eq!(second["blobs_given_up"], first["blobs_condemned"], "{second}");
    let files = |done: &Value| done["files_deleted"].as_u64().unwrap_or(0);
    assert!(files(&first) + files(&second) > 0, "{first} {second}");
    let nothing = ["blobs_condemned", "blobs_given_up", "packs_compacted", "files_deleted"];
    assert!(nothing.iter().all(|name| third[*name] == json!(0)), "nothing is left to do: {third}");
    let left = stored_bytes(&stage.storage().join("packs"));
    assert!(left < stored, "{left} of {stored}");
    stage.tenant.wipe_mailbox(&users[0])?;
    stage.expect(&["restore", "--user", &users[0], "--wait"])?;
    assert_same(&before, &stage.mailbox(&users[0])?);
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
