//! What Microsoft asks of one agent every other one heeds, and so does one that was killed and begins anew; the budget
//! of a tenant's drives is one budget, however many agents there are.

use std::collections::BTreeSet;

use kodo_simulator::{FaultPlan, Options};
use serde_json::{Value, json};

use crate::support::stage::Stage;
use crate::support::wait::{until_answer, until_ended};

/// Of the answers that ask for patience when a process is killed: longer than it takes another to begin, lease included.
const LONG_S: u64 = 25;

/// Routes of mailboxes and drives: what a token is asked for is none of them.
const EVERYTHING: [&str; 3] = ["/users/", "/drives/", "downloadUrl"];

fn company(users: usize, messages: usize, files: usize) -> Options {
    let few = Options { events: 1, contacts: 1, special_users: false, ..Options::default() };
    let mut options = Options { users, messages, files, ..few };
    // Slow enough that agents work at the same time, and that a kill finds work under way.
    options.limits.latency_ms = 30;
    options
}

fn throttling(rules: &Value) -> FaultPlan {
    serde_json::from_value(json!({ "seed": 3, "rules": rules })).expect("a plan of faults")
}

/// Another figure for a key of the configuration.
fn set(stage: &Stage, key: &str, value: u64) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(stage.config())?;
    let others = text.lines().filter(|line| !line.starts_with(key));
    let mut lines: Vec<String> = others.map(str::to_owned).collect();
    let graph = lines.iter().position(|line| line == "[graph]").expect("a section for Graph");
    lines.insert(graph + 1, format!("{key} = {value}"));
    Ok(std::fs::write(stage.config(), lines.join("\n"))?)
}

fn start_backup(stage: &Stage, features: &str) -> anyhow::Result<String> {
    let users = stage.users();
    let mut command = vec!["backup", "--feature", features];
    users.iter().for_each(|user| command.extend(["--user", user]));
    Ok(stage.expect(&command)?["run_id"].to_string())
}

/// Waits until all that a run works on waits for `wanted`.
fn until_all_wait(stage: &Stage, run: &str, n_active: usize, wanted: &str) -> Value {
    until_answer(stage, &["run", "show", run], |run| {
        let active = run["progress"]["active"].as_array().map(Vec::as_slice).unwrap_or_default();
        let waits = |task: &Value| task["waits_for"].as_str().is_some_and(|why| why.contains(wanted));
        active.len() >= n_active && active.iter().all(waits)
    })
}

/// How many requests were answered of those whose route has one of these words in it.
fn n_requests(stage: &Stage, words: &[&str]) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("routes");
    let meant = routes.iter().filter(|(route, _)| words.iter().any(|word| route.contains(word)));
    meant.filter_map(|(_, count)| count["requests"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_of_one_tenant_send_nothing_before_a_retry_after_that_one_of_them_heard() -> anyhow::Result<()> {
    let stage = Stage::ready(company(8, 10, 20)).await?;
    let _second = stage.start_worker("second")?;
    until_answer(&stage, &["agent", "list"], |agents| agents["items"].as_array().is_some_and(|all| all.len() == 2));
    stage.tenant.set_faults(throttling(&json!([
        {"match": "personal/*", "kind": "status", "status": 429, "retry_after": 2, "after": 10, "probability": 0.2, "times": 3},
        {"match": "drives/*", "kind": "status", "status": 503, "retry_after": 2, "after": 4, "times": 2},
        {"match": "$value", "kind": "status", "status": 429, "retry_after": 2, "after": 10, "probability": 0.2, "times": 3},
    ])));

    let run = start_backup(&stage, "mailbox,onedrive")?;

    let ended = until_ended(&stage, &["run", "show", &run]);
    assert_eq!(ended["state"], json!("succeeded"), "{ended}");
    assert_eq!(stage.tenant.stats()["faults"]["status"], json!(8), "every answer that asks for patience was given");
    let tasks = stage.expect(&["task", "list", "--run", &run, "--limit", "100"])?;
    let tasks = tasks["items"].as_array().into_iter().flatten();
    let on_drives = tasks.filter(|task| task["work"]["feature"] == "onedrive");
    let agents: BTreeSet<u64> = on_drives.filter_map(|task| task["agent_id"].as_u64()).collect();
    assert_eq!(agents.len(), 2, "both worked on drives");
    stage.assert_polite();
    Ok(())
}

/// Kills whoever heard a long `Retry-After` and returns when the backup has ended all the same.
async fn outlives_a_kill(feature: &str, rule: Value, other_agent: bool) -> anyhow::Result<()> {
    let mut stage = Stage::ready(company(1, 12, 12)).await?;
    let mut second = other_agent.then(|| stage.start_worker("second")).transpose()?;
    if other_agent {
        until_answer(&stage, &["agent", "list"], |agents| agents["items"].as_array().is_some_and(|all| all.len() == 2));
        stage.separate().execute("UPDATE agents SET state = 'paused' WHERE name = 'serve'")?;
    }
    stage.tenant.set_faults(throttling(&json!([rule])));
    let run = start_backup(&stage, feature)?;
    until_all_wait(&stage, &run, 1, "Microsoft throttles");
    let asked = n_requests(&stage, &EVERYTHING);

    match &mut second {
        Some(second) => {
            second.kill()?;
            stage.separate().execute("UPDATE agents SET state = 'active' WHERE name = 'serve'")?;
        }
        None => {
            stage.serve().kill()?;
            stage.start_serve()?;
        }
    }

    // It takes the task up and waits for what the dead one was asked for.
    let waiting = until_answer(&stage, &["task", "list", "--run", &run, "--state", "leased"], |tasks| {
        let task = &tasks["items"][0];
        task["attempts"] == 1 && task["waits_for"].as_str().is_some_and(|why| why.contains("Microsoft throttles"))
    });
    assert_eq!(n_requests(&stage, &EVERYTHING), asked, "something was sent meanwhile: {waiting}");
    let ended = until_ended(&stage, &["run", "show", &run]);
    assert_eq!(ended["state"], json!("succeeded"), "{ended}");
    stage.assert_polite();
    Ok(())
}

fn long(pattern: &str) -> Value {
    json!({"match": pattern, "kind": "status", "status": 429, "retry_after": LONG_S, "after": 3, "times": 1})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_begins_anew_and_waits_for_what_its_mailbox_was_asked_for() -> anyhow::Result<()> {
    outlives_a_kill("mailbox", long("$value"), false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_begins_anew_and_waits_for_what_the_drives_were_asked_for() -> anyhow::Result<()> {
    outlives_a_kill("onedrive", long("personal/*"), false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_over_from_a_killed_agent_waits_for_what_that_one_was_asked_for() -> anyhow::Result<()> {
    outlives_a_kill("mailbox", long("$value"), true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drives_of_a_tenant_have_one_budget_however_many_agents_there_are() -> anyhow::Result<()> {
    const UNITS: u64 = 40;
    const DRIVES: [&str; 2] = ["/drive", "downloadUrl"];
    let mut stage = Stage::ready(company(6, 1, 60)).await?;
    set(&stage, "drive_units_per_min", UNITS)?;
    stage.stop_serve()?;
    stage.start_serve()?;
    let mut second = stage.start_worker("second")?;
    until_answer(&stage, &["agent", "list"], |agents| agents["items"].as_array().is_some_and(|all| all.len() == 2));

    let run = start_backup(&stage, "onedrive")?;

    until_all_wait(&stage, &run, 4, "resource units that Microsoft allows in a minute");
    let n_sent = n_requests(&stage, &DRIVES);
    assert!(n_sent > UNITS / 2 && n_sent <= UNITS, "{n_sent} requests to drives");
    // Who begins anew has no budget of its own either.
    second.kill()?;
    stage.serve().kill()?;
    stage.start_serve()?;
    until_all_wait(&stage, &run, 2, "resource units that Microsoft allows in a minute");
    let n_sent = n_requests(&stage, &DRIVES);
    assert!(n_sent <= UNITS, "{n_sent} requests to drives after a new start");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mailbox_had_of_its_ten_minutes_is_known_after_a_kill() -> anyhow::Result<()> {
    const REQUESTS: u64 = 30;
    let mut stage = Stage::ready(company(1, 80, 1)).await?;
    set(&stage, "mailbox_requests_per_10_min", REQUESTS)?;
    // Longer than the ten minutes, so that the task keeps its worker and waits.
    set(&stage, "wait_max_s", 900)?;
    stage.stop_serve()?;
    stage.start_serve()?;
    let before = n_requests(&stage, &["/users/{id}/"]);
    let run = start_backup(&stage, "mailbox")?;
    until_all_wait(&stage, &run, 1, "requests that Microsoft allows in ten minutes");
    let n_sent = n_requests(&stage, &["/users/{id}/"]) - before;
    assert_eq!(n_sent, REQUESTS);

    stage.serve().kill()?;
    stage.start_serve()?;

    until_answer(&stage, &["task", "list", "--run", &run, "--state", "leased"], |tasks| {
        let task = &tasks["items"][0];
        task["attempts"] == 1 && task["waits_for"].as_str().is_some_and(|why| why.contains("in ten minutes"))
    });
    assert_eq!(n_requests(&stage, &["/users/{id}/"]) - before, REQUESTS);
    stage.assert_polite();
    Ok(())
}
