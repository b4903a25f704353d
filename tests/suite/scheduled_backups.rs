//! A schedule fires by itself, and everyone of the tenant is protected or has a reason not to be.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;
use crate::support::wait::{until_answer, until_ended};

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_and_protects_everyone_who_has_a_mailbox() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 3, messages: 10, ..Options::default() }).await?;
    let when = ["--policy", "standard", "--tenant", "contoso", "--feature", "mailbox", "--cron", "*/5 * * * * *"];
    let added = stage.expect(&[&["schedule", "add", "often"], &when[..]].concat())?;

    until_answer(&stage, &["run", "list"], |runs| runs["items"][0].is_object());
    let run = until_ended(&stage, &["run", "show", "1"]);

    assert_eq!((&run["state"], &run["reason"]), (&json!("succeeded"), &json!("schedule")), "{run}");
    assert_eq!(run["schedule_id"], added["id"], "{run}");
    let resources = items(&stage, &["resource", "list"])?;
    assert!(!resources.iter().any(|user| address(user).starts_with("guest")), "a guest is no resource: {resources:?}");
    let chains = items(&stage, &["point", "chains"])?;
    assert_eq!(chains.len(), resources.len(), "{chains:?}");
    for user in &resources {
        let chain = chains.iter().find(|chain| chain["resource_id"] == user["id"]).expect("a chain for each user");
        let detail = chain["state_detail"].as_str().unwrap_or_default();
        match address(user).split('@').next() {
            Some("unlicensed" | "onprem") => {
                assert_eq!(chain["state"], json!("not_applicable"), "{chain}");
                assert!(detail.contains("mailbox"), "the reason says what is not there: {chain}");
            }
            _ => assert_eq!(chain["state"], json!("protected"), "{chain} of {user}"),
        }
    }
    let info = resources.iter().find(|user| address(user).starts_with("info@")).expect("the shared mailbox");
    assert_eq!(info["kind"], json!("shared_mailbox"));
    stage.assert_polite();
    Ok(())
}

fn items(stage: &Stage, command: &[&str]) -> anyhow::Result<Vec<Value>> {
    Ok(stage.expect(command)?["items"].as_array().cloned().unwrap_or_default())
}

fn address(user: &Value) -> &str {
    user["address"].as_str().unwrap_or_default()
}
