//! Retention from outside: points go when the policy or somebody says so, and those that stay are what they were.

use std::time::Duration;

use kodo::repository::{Record, open_storage};
use kodo::secret::Sealer;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::main_job::downloads;
use crate::support::stage::{Mailbox, Stage, assert_same};
use crate::support::wait::until_ended;

fn company() -> Options {
    Options { users: 2, messages: 40, special_users: false, ..Options::default() }
}

/// So many backups of a mailbox that changes between them; returns how it was at each.
fn history(stage: &Stage, user: &str, seeds: std::ops::Range<u64>) -> anyhow::Result<Vec<Mailbox>> {
    let mut states = Vec::new();
    for seed in seeds {
        stage.tenant.random_edits(user, seed, 20)?;
        stage.back_up(user)?;
        states.push(stage.mailbox(user)?);
    }
    Ok(states)
}

fn points(stage: &Stage, user: &str) -> anyhow::Result<Vec<u64>> {
    let list = stage.expect(&["point", "list", "--user", user])?;
    Ok(list["items"].as_array().into_iter().flatten().filter_map(|point| point["number"].as_u64()).collect())
}

/// Everything that `kodo ls` shows of a point: the top and each folder in it.
fn listing(stage: &Stage, user: &str, point: &str) -> anyhow::Result<Vec<Value>> {
    let top = stage.expect(&["ls", "--user", user, "--point", point])?;
    let folders = top["containers"].as_array().cloned().unwrap_or_default();
    assert!(!folders.is_empty(), "{top}");
    let mut listed = vec![top];
    for folder in folders.iter().filter_map(|folder| folder["name"].as_str()) {
        listed.push(stage.expect(&["ls", folder, "--user", user, "--point", point])?);
    }
    Ok(listed)
}

fn assert_restores(stage: &Stage, user: &str, point: &str, state: &Mailbox) -> anyhow::Result<()> {
    stage.tenant.wipe_mailbox(user)?;
    stage.expect(&["restore", "--user", user, "--point", point, "--wait"])?;
    assert_same(state, &stage.mailbox(user)?);
    Ok(())
}

/// What the packs themselves say was given up: as of which point, and which.
async fn told(stage: &Stage) -> anyhow::Result<Vec<(u32, Vec<u32>)>> {
    let db = stage.separate().connect()?;
    let sealer = Sealer::load(&stage.state().join("instance.key"))?;
    let store = open_storage(&db, &sealer, kodo::ids::StorageId::new(1), "reader").await?;
    let mut told = Vec::new();
    for folder in 0..=255 {
        for pack in store.list_packs(folder).await? {
            for entry in store.read_pack(pack.uid).await?.records.entries {
                if let Record::Expire(expire) = entry.record {
                    told.push((entry.point.get(), expire.points));
                }
            }
        }
    }
    Ok(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_gives_up_old_points_and_those_that_stay_are_as_they_were() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let states = history(&stage, user, 1..6)?;
    stage.expect(&["storage", "prune", "disk", "--wait"])?;
    assert_eq!(points(&stage, user)?, [5, 4, 3, 2, 1], "a policy without rules keeps everything");
    let shown = [listing(&stage, user, "4")?, listing(&stage, user, "5")?];

    let kept = stage.expect(&["policy", "keep", "standard", "--keep-last", "2"])?;
    stage.expect(&["storage", "prune", "disk", "--wait"])?;

    assert_eq!(kept["keep"]["last"], json!(2), "{kept}");
    assert_eq!(stage.expect(&["point", "chains"])?["items"][0]["policy_id"], kept["id"]);
    assert_eq!(points(&stage, user)?, [5, 4]);
    let mut told = told(&stage).await?;
    told.iter_mut().for_each(|(_, points)| points.sort_unstable());
    assert_eq!(told, [(5, vec![1, 2, 3])], "the storage knows it too");
    assert_eq!([listing(&stage, user, "4")?, listing(&stage, user, "5")?], shown);
    assert_ne!(stage.run(&["ls", "--user", user, "--point", "2"]).code, 0);
    for (point, state) in [("4", &states[3]), ("5", &states[4])] {
        assert_restores(&stage, user, point, state)?;
    }
    stage.back_up(user)?;
    stage.expect(&["storage", "prune", "disk", "--wait"])?;
    assert_eq!(points(&stage, user)?, [6, 5]);
    assert_restores(&stage, user, "5", &states[4])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_can_be_deleted_by_hand_but_not_the_newest() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let states = history(&stage, user, 1..4)?;
    let shown = [listing(&stage, user, "1")?, listing(&stage, user, "3")?];
    let delete = |point| stage.run(&["point", "delete", "--user", user, "--point", point, "--wait"]);

    let newest = delete("3");
    let gone = delete("2");
    let again = delete("2");

    assert_eq!(newest.code, 1, "{newest:?}");
    assert!(newest.stderr.contains("back up again first"), "{newest:?}");
    assert_eq!(gone.code, 0, "{gone:?}");
    assert!(again.stderr.contains("there is no point 2"), "{again:?}");
    assert_eq!(points(&stage, user)?, [3, 1]);
    assert_eq!([listing(&stage, user, "1")?, listing(&stage, user, "3")?], shown);
    assert_restores(&stage, user, "1", &states[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_stays_while_it_is_restored() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    let user = &users[0];
    history(&stage, user, 1..4)?;
    stage.expect(&["policy", "keep", "standard", "--keep-last", "1"])?;
    let rule = json!({ "kind": "status", "status": 429, "retry_after": 600, "probability": 1.0 });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [rule] }))?);
    let restore = stage.expect(&["restore", "--user", user, "--point", "2", "--to-user", &users[1]])?;

    stage.expect(&["storage", "prune", "disk", "--wait"])?;
    let while_restored = points(&stage, user)?;
    let task = restore["task_id"].to_string();
    stage.expect(&["task", "cancel", &task])?;
    until_ended(&stage, &["task", "show", &task]);
    stage.expect(&["storage", "prune", "disk", "--wait"])?;

    assert_eq!(while_restored, [3, 2]);
    assert_eq!(points(&stage, user)?, [3]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_is_killed_is_finished_by_the_next_start() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    let users = stage.users();
    stage.expect(&["policy", "keep", "standard", "--keep-last", "1"])?;
    let mut newest = Vec::new();

    for (round, killed_after_ms) in (0..).zip([0, 60, 250]) {
        newest.clear();
        for user in &users {
            newest.push(history(&stage, user, round * 2 + 1..round * 2 + 3)?.remove(1));
        }
        let task = stage.expect(&["storage", "prune", "disk"])?["task_id"].to_string();
        tokio::time::sleep(Duration::from_millis(killed_after_ms)).await;
        stage.serve().kill()?;
        stage.start_serve()?;
        assert_eq!(until_ended(&stage, &["task", "show", &task])["state"], json!("succeeded"));

        for user in &users {
            assert_eq!(points(&stage, user)?, [round * 2 + 2]);
        }
    }

    for (user, state) in users.iter().zip(&newest) {
        assert_restores(&stage, user, "6", state)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_before_the_newest_point_is_downloaded_again_when_it_comes_back() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    stage.back_up(user)?;
    let first = downloads(&stage);
    for _ in 2..=3 {
        stage.back_up(user)?;
    }
    assert_eq!(downloads(&stage), first, "nothing changed");
    let state = stage.mailbox(user)?;

    // As if everything had been gone since the second point, and were back now.
    stage.separate().execute("UPDATE item_versions SET to_point = 2")?;
    stage.tenant.expire_delta(None)?;
    stage.back_up(user)?;

    assert_eq!(downloads(&stage), 2 * first, "a version that retention may be deleting was built upon");
    assert_restores(&stage, user, "4", &state)
}
