//! Items that cannot be captured: what is told of them, and when they are tried again.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 1, messages: 20, special_users: false, ..Options::default() }
}

/// Spoils some received messages of a mailbox; returns how many.
fn spoil(stage: &Stage, user: &str, n: usize) -> anyhow::Result<()> {
    let messages = stage.mailbox(user)?.messages;
    let received = messages.iter().filter(|message| message["isDraft"] == json!(false));
    let ids: Vec<&Value> = received.take(n).map(|message| &message["internetMessageId"]).collect();
    assert_eq!(ids.len(), n, "too little mail");
    let rule = json!({ "kind": "poison", "items": ids });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [rule] }))?);
    Ok(())
}

fn back_up(stage: &Stage, user: &str) -> i32 {
    stage.run(&["backup", "--user", user, "--wait", "--json"]).code
}

fn issues(stage: &Stage, user: &str) -> anyhow::Result<Vec<Value>> {
    Ok(stage.expect(&["issue", "list", "--user", user])?["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_run_after_run_is_tried_ever_more_seldom_until_somebody_asks_for_it() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    spoil(&stage, &user, 2)?;
    let mut told = Vec::new();
    for _ in 0..5 {
        assert_eq!(back_up(&stage, &user), 3, "an incomplete run says so");
        let all = issues(&stage, &user)?;
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.iter().all(|one| one["skipped"] == json!(false) && one["reason"].is_string()), "{all:?}");
        told.push((all[0]["attempts"].as_u64(), all[0]["next_in_runs"].as_u64()));
    }
    let expected = [(1, 1), (2, 2), (2, 1), (3, 4), (3, 3)];
    assert_eq!(told, expected.map(|(attempts, runs)| (Some(attempts), Some(runs))));

    stage.tenant.clear_faults();
    let key = issues(&stage, &user)?[0]["key"].as_str().unwrap_or_default().to_owned();
    let asked = stage.expect(&["issue", "retry", "--user", &user, "--item", &key])?;
    assert_eq!(asked["items"], json!(1), "{asked}");
    assert_eq!(back_up(&stage, &user), 3, "the other one is not due");
    assert_eq!(issues(&stage, &user)?.len(), 1);
    stage.expect(&["issue", "retry", "--user", &user])?;
    assert_eq!(back_up(&stage, &user), 0);

    assert!(issues(&stage, &user)?.is_empty());
    let nothing = stage.run(&["issue", "retry", "--user", &user, "--item", &key]);
    assert!(nothing.code != 0 && nothing.stderr.contains("no open issue"), "{nothing:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_with_exceptions_is_a_state_of_its_own() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    spoil(&stage, &user, 3)?;

    back_up(&stage, &user);

    let chain = stage.expect(&["point", "chains", "--user", &user])?["items"][0].clone();
    assert_eq!((&chain["state"], &chain["exceptions"]), (&json!("protected_with_exceptions"), &json!(3)), "{chain}");
    let shown = stage.run(&["point", "chains", "--user", &user]).stdout;
    assert!(shown.contains("protected, with 3 exceptions"), "{shown}");
    let resource = stage.expect(&["resource", "list", &user])?["items"][0].clone();
    let mailbox = &resource["features"][0];
    assert_eq!((&mailbox["feature"], &mailbox["exceptions"]), (&json!("mailbox"), &json!(3)), "{resource}");
    let listed = stage.run(&["resource", "list", &user]).stdout;
    assert!(listed.contains("protected, with 3 exceptions"), "{listed}");
    assert_eq!(stage.expect(&["status"])?["chains"]["with_exceptions"], json!(1));

    stage.tenant.clear_faults();
    assert_eq!(back_up(&stage, &user), 0);
    assert_eq!(stage.expect(&["point", "chains", "--user", &user])?["items"][0]["state"], json!("protected"));
    Ok(())
}
