//! What would be done is told before anything is written.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 1, messages: 40, special_users: false, ..Options::default() }
}

/// How many requests of the simulated tenant changed something.
fn n_writes(stage: &Stage) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("routes");
    let writes = routes.iter().filter(|(route, _)| !route.starts_with("GET ") && route.contains("/users"));
    writes.filter_map(|(_, route)| route["requests"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_foretells_what_the_restore_does() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let n_messages = stage.mailbox(&user)?.messages.len();
    let n_settings = stage.n_settings(&user)?;
    stage.tenant.wipe_mailbox(&user)?;
    let (wiped, written) = (stage.mailbox(&user)?, n_writes(&stage));

    let told = stage.expect(&["restore", "--user", &user, "--dry-run", "--wait"])?;

    assert_eq!(stage.mailbox(&user)?, wiped);
    assert_eq!(n_writes(&stage), written, "a dry run wrote");
    assert_eq!((&told["dry_run"], &told["state"]), (&json!(true), &json!("succeeded")), "{told}");
    assert_eq!(told["outcomes"]["created"], json!(n_messages), "{told}");
    assert_eq!(told["outcomes"]["skipped"], json!(n_settings), "{told}");
    assert_eq!(told["asked"]["items"], json!(n_messages + n_settings), "{told}");
    let asked = |name: &str| told["asked"][name].as_u64().unwrap_or_default();
    assert!(asked("requests") >= n_messages as u64 && asked("upload_bytes") > 0 && asked("seconds") > 0, "{told}");
    let report = report(&stage, &told)?;
    let would = |outcome: &str| report.iter().filter(|line| line["outcome"] == json!(outcome)).count();
    assert_eq!((would("would_create"), would("skipped")), (n_messages, n_settings));

    let done = stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_eq!(done["outcomes"], told["outcomes"], "what was foretold");
    let again = stage.expect(&["restore", "--user", &user, "--dry-run", "--wait"])?;
    assert_eq!(again["outcomes"]["created"], json!(0), "{again}");
    assert_eq!(again["asked"]["requests"], json!(0), "{again}");
    stage.assert_polite();
    Ok(())
}

fn report(stage: &Stage, restore: &Value) -> anyhow::Result<Vec<Value>> {
    let ran = stage.run(&["restore", "report", &restore["id"].to_string(), "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    Ok(ran.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}
