//! Nothing is lost and nothing is doubled when processes are killed at any moment.

use std::time::Duration;

use kodo_simulator::Options;
use serde_json::json;

use crate::support::chance::{Dice, seed};
use crate::support::stage::{Process, Stage, assert_same};
use crate::support::wait::until_ended;

const ROUNDS: u64 = 20;
/// The longest a backup or restore of the mailbox below may work before its process is killed.
const LIFE_MS_MAX: u64 = 1500;

fn company() -> Options {
    let mut options = Options { users: 2, messages: 150, special_users: false, ..Options::default() };
    // Slow enough that a kill finds work under way.
    options.limits.latency_ms = 5;
    options
}

/// Lets the work go on for a while, then kills the server or the worker and starts it again.
async fn kill_one(stage: &mut Stage, worker: &mut Process, dice: &mut Dice) -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS_MAX))).await;
    if dice.below(2) == 0 {
        stage.serve().kill()?;
        stage.start_serve()
    } else {
        worker.kill()?;
        *worker = stage.start_worker("second")?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_of_server_and_worker_lose_nothing_and_double_nothing() -> anyhow::Result<()> {
    let mut dice = Dice(seed());
    let mut stage = Stage::ready(company()).await?;
    let mut worker = stage.start_worker("second")?;
    let user = stage.users()[0].clone();
    for round in 0..ROUNDS {
        let restoring = round % 2 == 1;
        if restoring {
            let before = stage.mailbox(&user)?;
            stage.tenant.wipe_mailbox(&user)?;
            let started = stage.expect(&["restore", "--user", &user])?;
            kill_one(&mut stage, &mut worker, &mut dice).await?;
            let restore = started["restore_id"].to_string();
            let ended = until_ended(&stage, &["restore", "show", &restore]);
            assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
            let after = stage.mailbox(&user)?;
            if !before.differences(&after).is_empty() {
                println!("round {round}: {} messages before; {ended}", before.messages.len());
                println!("{}", stage.expect(&["point", "list", "--user", &user])?);
                println!("{}", stage.expect(&["task", "list"])?);
            }
            assert_same(&before, &after);
        } else {
            stage.tenant.random_edits(&user, round, 30)?;
            let started = stage.expect(&["backup", "--user", &user])?;
            kill_one(&mut stage, &mut worker, &mut dice).await?;
            let run = started["run_id"].to_string();
            let ended = until_ended(&stage, &["run", "show", &run]);
            assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
        }
    }
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finishes_what_a_killed_server_began() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    let user = stage.users()[0].clone();
    let before = stage.mailbox(&user)?;
    let worker = stage.start_worker("second")?;
    stage.expect(&["backup", "--user", &user])?;
    stage.serve().kill()?;

    stage.start_serve()?;
    let run = until_ended(&stage, &["run", "show", "1"]);

    assert_eq!(run["state"], json!("succeeded"), "{run}");
    worker.stop()?;
    stage.tenant.wipe_mailbox(&user)?;
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_same(&before, &stage.mailbox(&user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_ends_in_order_and_its_work_goes_on_later() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    stage.configure("drain_s = 0\n")?;
    stage.stop_serve()?;
    stage.start_serve()?;
    let user = stage.users()[0].clone();
    stage.expect(&["backup", "--user", &user])?;

    stage.stop_serve()?;
    stage.start_serve()?;

    let run = until_ended(&stage, &["run", "show", "1"]);
    assert_eq!(run["state"], json!("succeeded"), "{run}");
    Ok(())
}
