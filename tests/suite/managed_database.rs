//! The database that kodo runs for itself: it is there when kodo is, gone when kodo has ended, and survives every
//! kill of either.

use std::path::Path;
use std::time::{Duration, Instant};

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::{Process, Stage, assert_same};
use crate::support::wait::{until, until_answer, until_ended};

/// A crashed database is back within this time, with a machine that is busy.
const BACK_MAX: Duration = Duration::from_secs(20);

fn company() -> Options {
    let mut options = Options { users: 1, messages: 120, special_users: false, ..Options::default() };
    // Slow enough that a kill finds a backup under way.
    options.limits.latency_ms = 10;
    options
}

async fn initialised() -> anyhow::Result<Stage> {
    let stage = Stage::fresh_managed(company(), Path::new("state")).await?;
    stage.expect(&["init"])?;
    assert!(stage.managed().pids().is_empty(), "\"kodo init\" left a database running");
    Ok(stage)
}

async fn serving() -> anyhow::Result<Stage> {
    let mut stage = initialised().await?;
    stage.start_serve()?;
    Ok(stage)
}

/// Serves, with everything added, and a backup that has committed its first items.
async fn backing_up() -> anyhow::Result<(Stage, String)> {
    let stage = serving().await?;
    stage.add_everything()?;
    let user = stage.users().remove(0);
    stage.expect(&["backup", "--user", &user])?;
    until_answer(&stage, &["run", "show", "1"], |run| run["progress"]["items_done"].as_u64() > Some(20));
    Ok((stage, user))
}

/// The backup has ended and is complete: what it kept is what the mailbox holds.
fn assert_complete(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let run = until_ended(stage, &["run", "show", "1"]);
    assert_eq!(run["state"], json!("succeeded"), "{run}\n{}", stage.log());
    let before = stage.mailbox(user)?;
    stage.tenant.wipe_mailbox(user)?;
    stage.expect(&["restore", "--user", user, "--wait"])?;
    assert_same(&before, &stage.mailbox(user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_takes_its_database_along() -> anyhow::Result<()> {
    let mut stage = serving().await?;
    assert_eq!(stage.managed().pids().len(), 1);
    assert_eq!(stage.expect(&["migrate"])?["migrations"], json!([]), "the schema is up to date");
    stage.expect(&["organization", "add", "Contoso"])?;

    stage.stop_serve()?;

    assert!(stage.managed().pids().is_empty());
    assert_eq!(stage.expect(&["migrate"])?["migrations"], json!([]), "without a server it starts its own database");
    assert!(stage.managed().pids().is_empty(), "\"kodo migrate\" left a database running");
    stage.start_serve()?;
    assert_eq!(stage.expect(&["organization", "list"])?["items"][0]["name"], json!("Contoso"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_database_is_taken_over_with_all_that_was_committed() -> anyhow::Result<()> {
    let mut stage = serving().await?;
    stage.expect(&["organization", "add", "Contoso"])?;
    stage.serve().kill()?;
    let orphan = stage.managed().pids();
    assert_eq!(orphan.len(), 1);

    stage.start_serve()?;

    assert_eq!(stage.managed().pids(), orphan, "the server that ran is taken over");
    assert_eq!(stage.expect(&["organization", "list"])?["items"][0]["name"], json!("Contoso"));
    stage.stop_serve()?;
    assert!(stage.managed().pids().is_empty(), "a server that was taken over is stopped as well");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_without_pid_file_is_found_and_without_socket_replaced() -> anyhow::Result<()> {
    let mut stage = serving().await?;
    stage.serve().kill()?;
    std::fs::remove_file(stage.state().join("mariadb/mariadbd.pid"))?;
    let orphan = stage.managed().pids();

    stage.start_serve()?;
    assert_eq!(stage.managed().pids(), orphan, "it is known by its data directory");

    stage.serve().kill()?;
    std::fs::remove_file(stage.managed().socket()?)?;
    stage.start_serve()?;
    assert_ne!(stage.managed().pids(), orphan, "nobody can reach it any more");
    stage.stop_serve()?;
    assert!(stage.managed().pids().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_comes_back_and_a_running_backup_ends_complete() -> anyhow::Result<()> {
    let (stage, user) = backing_up().await?;
    let killed = Instant::now();

    stage.managed().kill()?;
    until_answer(&stage, &["status"], |status| status.is_object());

    assert!(killed.elapsed() < BACK_MAX, "the API answered after {:?}", killed.elapsed());
    assert_eq!(stage.managed().pids().len(), 1);
    assert_complete(&stage, &user)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_backup_goes_on_waiting_while_the_database_is_away() -> anyhow::Result<()> {
    let stage = serving().await?;
    stage.add_everything()?;
    let user = stage.users().remove(0);

    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.run(&["backup", "--user", &user, "--wait"]));
        until_answer(&stage, &["run", "show", "1"], |run| run["progress"]["items_done"].as_u64() > Some(10));
        stage.managed().kill().map(|()| waiting.join().unwrap())
    })?;

    assert_eq!(waited.code, 0, "{waited:?}\n{}", stage.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_both_were_killed_the_next_start_recovers() -> anyhow::Result<()> {
    let (mut stage, user) = backing_up().await?;
    stage.serve().kill()?;
    stage.managed().kill()?;

    stage.start_serve()?;

    assert_complete(&stage, &user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_same_configuration_finishes_what_a_killed_server_began() -> anyhow::Result<()> {
    let (mut stage, user) = backing_up().await?;
    let worker = stage.start_worker("serve")?;
    until_answer(&stage, &["agent", "list"], |agents| {
        agents["items"].as_array().is_some_and(|agents| agents.iter().any(|agent| agent["name"] == json!("serve-2")))
    });
    let before = stage.mailbox(&user)?;
    stage.serve().kill()?;

    until(&stage, "the worker ends the backup", || worker.log_text().contains("task succeeded").then_some(()));
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
async fn a_worker_outlives_a_restart_of_server_and_database() -> anyhow::Result<()> {
    let mut stage = serving().await?;
    stage.add_everything()?;
    let user = stage.users().remove(0);
    let worker = stage.start_worker("beside")?;
    until_answer(&stage, &["agent", "list"], |agents| agents["items"].as_array().map(Vec::len) == Some(2));

    stage.stop_serve()?;
    stage.start_serve()?;

    stage.managed().execute("UPDATE agents SET state = 'paused' WHERE name = 'serve'")?;
    stage.back_up(&user)?;
    assert!(worker.log_text().contains("task succeeded"));
    worker.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_stopped_leaves_no_database() -> anyhow::Result<()> {
    let stage = initialised().await?;
    let process = Process::start(&stage.config(), "serve", &stage.dir.path().join("serve.log"))?;
    until(&stage, "the database starts", || (!stage.managed().pids().is_empty()).then_some(()));

    process.stop()?;

    assert!(stage.managed().pids().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_was_killed_half_way_is_begun_anew() -> anyhow::Result<()> {
    let stage = Stage::fresh_managed(company(), Path::new("state")).await?;
    let mut process = Process::start(&stage.config(), "init", &stage.dir.path().join("init.log"))?;
    let half_way = |name: std::ffi::OsString| name.to_string_lossy().starts_with("data.new");
    until(&stage, "the data directory is being made", || {
        let entries = std::fs::read_dir(stage.state().join("mariadb")).ok()?;
        entries.filter_map(Result::ok).any(|entry| half_way(entry.file_name())).then_some(())
    });
    process.kill()?;

    stage.expect(&["init"])?;

    assert!(stage.managed().pids().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_one_state_directory_is_refused() -> anyhow::Result<()> {
    let stage = serving().await?;

    let second = stage.run(&["serve"]);

    assert_eq!(second.code, 6, "{second:?}");
    assert!(second.stderr.contains("another \"kodo serve\" runs with the state directory"), "{second:?}");
    assert_eq!(stage.run(&["status"]).code, 0, "the first one goes on");
    assert_eq!(stage.managed().pids().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_with_a_long_path_works() -> anyhow::Result<()> {
    let long = Path::new(&"d".repeat(100)).join("state");
    let mut stage = Stage::fresh_managed(company(), &long).await?;
    stage.expect(&["init"])?;

    stage.start_serve()?;

    assert!(stage.managed().socket()?.as_os_str().len() <= 107);
    stage.expect(&["organization", "add", "Contoso"])?;
    stage.expect(&["migrate"])?;
    stage.stop_serve()?;
    assert!(stage.managed().pids().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_refused() -> anyhow::Result<()> {
    let mut stage = serving().await?;
    stage.managed().execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')")?;
    let refused = |command: &str| {
        let ran = stage.run(&[command]);
        assert_eq!(ran.code, 6, "kodo {command}: {ran:?}");
        let says = ran.stderr.contains("newer kodo") && ran.stderr.contains("99990101000000");
        assert!(says, "kodo {command}: {ran:?}");
    };

    for command in ["init", "migrate", "worker"] {
        refused(command);
    }
    stage.stop_serve()?;

    let refused = stage.run(&["serve"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("install that version again"), "{refused:?}");
    assert!(stage.managed().pids().is_empty(), "a refused start leaves no database");
    Ok(())
}
