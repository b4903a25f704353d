//! Collection through the command line: what it refuses, and how that is told.

use std::path::Path;

use kodo_simulator::Options;

use crate::support::stage::Stage;

/// Everything at once: a collection that did not refuse would delete.
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
