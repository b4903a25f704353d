//! Restores of what somebody chose: the folders and items that were named come back, and nothing else.

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 2, messages: 60, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_folders_and_items_come_back_and_nothing_else() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    stage.back_up(user)?;
    let inbox = stage.expect(&["ls", "inbox", "--user", user])?;
    let sent = stage.expect(&["ls", "sentitems", "--user", user])?;
    let in_inbox = inbox["items"].as_array().map_or(0, Vec::len);
    let item = sent["items"][0]["key"].as_str().unwrap_or_default();
    assert!(in_inbox > 0 && sent["items"].as_array().is_some_and(|items| items.len() > 1), "too little mail");
    stage.tenant.wipe_mailbox(user)?;

    let one = stage.expect(&["restore", "--user", user, "--item", item, "--wait"])?;
    assert_eq!(one["outcomes"]["created"], json!(1), "{one}");
    assert_eq!(stage.mailbox(user)?.messages.len(), 1);

    let folder = stage.expect(&["restore", "--user", user, "--folder", "inbox", "--wait"])?;
    assert_eq!(folder["outcomes"]["created"], json!(in_inbox), "{folder}");
    assert_eq!(stage.mailbox(user)?.messages.len(), 1 + in_inbox);

    let both = stage.expect(&["restore", "--user", user, "--folder", "inbox", "--item", item, "--wait"])?;
    assert_eq!(both["outcomes"]["created"], json!(0), "{both}");
    assert_eq!(both["outcomes"]["skipped"], json!(1 + in_inbox), "{both}");
    stage.assert_polite();
    Ok(())
}
