//! Resources that lose what was protected: a state with its reason, no failure, and the backups stay.

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_lost_keeps_its_backups_fails_no_run_and_comes_back_by_itself() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 2, messages: 10, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    let whole = stage.mailbox(&user)?.messages.len() + stage.n_settings(&user)?;
    stage.back_up(&user)?;

    for lost in ["unlicensed", "on_premises"] {
        stage.tenant.change_user(&user, json!({ "mailbox": lost }))?;
        let run = stage.back_up(&user)?;

        assert_eq!(run["state"], json!("succeeded"), "{lost}: {run}");
        let run = stage.expect(&["run", "show", &run["id"].to_string()])?;
        assert_eq!(run["not_applicable"], json!(1), "{lost}: {run}");
        let chain = stage.expect(&["point", "chains", "--user", &user])?["items"][0].clone();
        assert_eq!(chain["state"], json!("not_applicable"), "{lost}: {chain}");
        assert!(chain["state_detail"].as_str().is_some_and(|why| !why.is_empty()), "{lost}: {chain}");
        let point = stage.expect(&["point", "list", "--user", &user])?["items"][0].clone();
        assert_eq!(stage.expect(&["ls", "--user", &user])?["point"], json!(1), "{lost}: {point}");
    }

    stage.tenant.change_user(&user, json!({ "mailbox": "ready" }))?;
    stage.back_up(&user)?;
    let chain = stage.expect(&["point", "chains", "--user", &user])?["items"][0].clone();
    assert_eq!((&chain["state"], &chain["state_detail"]), (&json!("protected"), &json!(null)), "{chain}");
    let point = stage.expect(&["point", "list", "--user", &user])?["items"][0].clone();
    assert_eq!((&point["state"], &point["items"]), (&json!("sealed"), &json!(whole)), "{point}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_deleted_since_the_directory_was_read_fails_no_run() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 2, messages: 10, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;

    stage.tenant.remove_user(&user)?;
    let run = stage.back_up(&user)?;

    assert_eq!(run["state"], json!("succeeded"), "{run}");
    let chain = stage.expect(&["point", "chains", "--user", &user])?["items"][0].clone();
    assert_eq!((&chain["state"], &chain["last_point"]), (&json!("not_applicable"), &json!(1)), "{chain}");
    Ok(())
}
