//! Contacts that were lost come back through a whole installation, however often its processes are killed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::contacts_restore::{assert_polite, company, held, wipe};
use crate::support::chance::seed;
use crate::support::stage::{Process, Stage};
use crate::support::wait::until_ended;

/// Backs up the contacts of a user by the command line.
fn back_up(stage: &Stage, user: &str) -> anyhow::Result<Value> {
    let ran = stage.expect(&["backup", "--user", user, "--feature", "contacts", "--wait"])?;
    assert_eq!(ran["state"], json!("succeeded"), "{ran}");
    Ok(ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_installation_brings_contacts_back_in_place_and_into_a_folder() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    let (user, other) = (&users[0], &users[1]);
    let before = held(&stage.tenant, user);
    back_up(&stage, user)?;

    wipe(&stage.tenant, user);
    let restored = stage.expect(&["restore", "--user", user, "--feature", "contacts", "--wait"])?;
    assert_eq!(restored["outcomes"]["created"], json!(before.0.len()), "{restored}");
    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    assert_eq!(held(&stage.tenant, user), before);
    let again = stage.expect(&["restore", "--user", user, "--feature", "contacts", "--wait"])?;
    assert_eq!(again["outcomes"]["created"], json!(0), "{again}");
    let theirs = held(&stage.tenant, other);
    let into = ["restore", "--user", user, "--feature", "contacts", "--to-user", other, "--to-folder", "From a leaver"];
    let into = [&into[..], &["--wait"]].concat();
    stage.expect(&into)?;
    let once = held(&stage.tenant, other);
    stage.expect(&into)?;

    assert_eq!(once.0.len(), theirs.0.len() + before.0.len());
    assert!(once.1.contains(&"From a leaver/Contacts".to_owned()), "{:?}", once.1);
    assert_eq!(held(&stage.tenant, other), once);
    assert_polite(&stage.tenant);
    Ok(())
}

/// Each round kills two processes.
const ROUNDS: u64 = 10;
const KILLS: u64 = 2;
/// The longest a restore of the contacts below may work before its process is killed.
const LIFE_MS_MAX: u64 = 1200;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_neither_lose_nor_double_a_contact() -> anyhow::Result<()> {
    let mut options = company();
    // Slow enough that a kill finds work under way.
    options.limits.latency_ms = 10;
    let mut chance = seed();
    let mut below = |bound: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % bound
    };
    let mut stage = Stage::ready(options).await?;
    let mut worker: Process = stage.start_worker("second")?;
    let user = stage.users()[0].clone();
    let before = held(&stage.tenant, &user);
    back_up(&stage, &user)?;
    for round in 0..ROUNDS {
        wipe(&stage.tenant, &user);
        let started = stage.expect(&["restore", "--user", &user, "--feature", "contacts"])?;
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(below(LIFE_MS_MAX))).await;
            if below(2) == 0 {
                stage.serve().kill()?;
                stage.start_serve()?;
            } else {
                worker.kill()?;
                worker = stage.start_worker("second")?;
            }
        }
        let restore = started["restore_id"].to_string();
        let ended = until_ended(&stage, &["restore", "show", &restore]);
        assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
        assert_eq!(held(&stage.tenant, &user), before, "round {round}: {ended}");
    }
    assert_polite(&stage.tenant);
    Ok(())
}
