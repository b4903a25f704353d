//! A running task ends within seconds when it is cancelled, and leaves nothing that is in the way of the next.

use std::time::{Duration, Instant};

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::{Stage, assert_same};
use crate::support::wait::{until_answer, until_ended};

const FELT_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_running_backup_is_cancelled_within_seconds_and_the_next_completes() -> anyhow::Result<()> {
    let mut options = Options { users: 1, messages: 100, special_users: false, ..Options::default() };
    options.limits.latency_ms = 200;
    let stage = Stage::ready(options).await?;
    let user = stage.users().remove(0);
    stage.expect(&["backup", "--user", &user])?;
    let tasks = until_answer(&stage, &["task", "list", "--run", "1", "--state", "leased"], |tasks| {
        tasks["items"][0]["items_done"].as_u64() > Some(0)
    });
    let task = tasks["items"][0]["id"].to_string();
    let asked = Instant::now();

    stage.expect(&["task", "cancel", &task])?;

    let ended = until_ended(&stage, &["task", "show", &task]);
    assert_eq!(ended["state"], json!("cancelled"), "{ended}");
    assert!(asked.elapsed() < FELT_WITHIN, "it took {:?}", asked.elapsed());
    assert_eq!(until_ended(&stage, &["run", "show", "1"])["state"], json!("cancelled"));
    let again = stage.expect(&["task", "cancel", &task])?;
    assert_eq!(again["state"], json!("cancelled"), "a task that has ended stays as it is");

    stage.tenant.set_limits(kodo_simulator::Limits::default());
    let before = stage.mailbox(&user)?;
    stage.back_up(&user)?;
    stage.tenant.wipe_mailbox(&user)?;
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_same(&before, &stage.mailbox(&user)?);
    Ok(())
}
