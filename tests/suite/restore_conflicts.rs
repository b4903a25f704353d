//! What a restore does about items that are there already, in another state or another folder.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Stage, assert_same};

fn company() -> Options {
    Options { users: 1, messages: 30, special_users: false, ..Options::default() }
}

/// Received messages of the inbox, by their internet message ids.
fn received(stage: &Stage, user: &str, n: usize) -> anyhow::Result<Vec<String>> {
    let messages = stage.mailbox(user)?.messages;
    let of_inbox = messages.iter().filter(|message| message["isDraft"] == json!(false) && in_inbox(message));
    let ids: Vec<String> =
        of_inbox.filter_map(|message| Some(message["internetMessageId"].as_str()?.to_owned())).take(n).collect();
    assert_eq!(ids.len(), n, "too little mail");
    Ok(ids)
}

fn in_inbox(message: &Value) -> bool {
    message["folder"].as_str().is_some_and(|folder| folder.eq_ignore_ascii_case("inbox"))
}

fn edit(stage: &Stage, user: &str, id: &str, change: Value) -> anyhow::Result<()> {
    let mut wanted = json!({ "internet_message_id": id });
    wanted.as_object_mut().expect("an object").extend(change.as_object().cloned().unwrap_or_default());
    stage.tenant.edit(user, wanted).map(drop)
}

/// The copies of a message: folder and whether it is read.
fn copies(stage: &Stage, user: &str, id: &str) -> anyhow::Result<Vec<(String, bool)>> {
    let all = stage.mailbox(user)?.messages;
    let copies = all.iter().filter(|message| message["internetMessageId"] == json!(id));
    Ok(copies
        .map(|one| (one["folder"].as_str().unwrap_or_default().to_owned(), one["isRead"] == json!(true)))
        .collect())
}

fn restore(stage: &Stage, user: &str, more: &[&str]) -> anyhow::Result<Value> {
    stage.expect(&[&["restore", "--user", user, "--wait"], more].concat())
}

fn counts(restored: &Value) -> [u64; 4] {
    ["created", "updated", "skipped", "failed"].map(|name| restored["outcomes"][name].as_u64().unwrap_or(u64::MAX))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_moved_is_not_doubled_and_replace_moves_it_back() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    let moved = received(&stage, &user, 2)?;
    stage.back_up(&user)?;
    let before = stage.mailbox(&user)?;
    let all = before.messages.len() as u64 + stage.n_settings(&user)? as u64;
    edit(&stage, &user, &moved[0], json!({ "move_to": "archive" }))?;
    // The next backup knows of the one move, and nobody of the other.
    stage.back_up(&user)?;
    edit(&stage, &user, &moved[1], json!({ "move_to": "archive" }))?;

    let kept = restore(&stage, &user, &["--point", "1"])?;
    assert_eq!(counts(&kept), [0, 0, all, 0], "{kept}");
    for id in &moved {
        let copies = copies(&stage, &user, id)?;
        assert!(copies.len() == 1 && !copies[0].0.eq_ignore_ascii_case("inbox"), "{id}: {copies:?}");
    }

    let replaced = restore(&stage, &user, &["--point", "1", "--on-conflict", "replace"])?;
    assert_eq!(counts(&replaced), [0, 2, all - 2, 0], "{replaced}");
    let remarks = replaced["remarks"]["items"].to_string();
    assert!(remarks.contains("moved back from another folder"), "{remarks}");
    assert_same(&before, &stage.mailbox(&user)?);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_bin_comes_back_anew() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    let gone = received(&stage, &user, 1)?.remove(0);
    stage.back_up(&user)?;
    edit(&stage, &user, &gone, json!({ "move_to": "deleteditems" }))?;

    let restored = restore(&stage, &user, &["--folder", "inbox"])?;

    assert_eq!(counts(&restored)[..2], [1, 0], "{restored}");
    assert_eq!(
        copies(&stage, &user, &gone)?.iter().filter(|(folder, _)| folder.eq_ignore_ascii_case("inbox")).count(),
        1
    );
    let again = restore(&stage, &user, &["--folder", "inbox"])?;
    assert_eq!(counts(&again)[..2], [0, 0], "{again}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_changed_is_treated_as_was_asked() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    let changed = received(&stage, &user, 1)?.remove(0);
    edit(&stage, &user, &changed, json!({ "is_read": false, "flagged": false }))?;
    stage.back_up(&user)?;
    let before = stage.mailbox(&user)?;
    stage.tenant.advance_clock(60);
    edit(&stage, &user, &changed, json!({ "is_read": true, "flagged": true }))?;
    let n_all = before.messages.len();
    let is_read = |stage: &Stage| copies(stage, &user, &changed).map(|copies| copies.iter().all(|(_, read)| *read));

    let skipped = restore(&stage, &user, &["--on-conflict", "skip"])?;
    assert_eq!(counts(&skipped)[..2], [0, 0], "{skipped}");
    let older = restore(&stage, &user, &["--on-conflict", "replace-if-older"])?;
    assert_eq!(counts(&older)[..2], [0, 0], "what is there is newer: {older}");
    assert!(is_read(&stage)?);

    let replaced = restore(&stage, &user, &["--on-conflict", "replace"])?;
    assert_eq!(counts(&replaced)[..2], [0, 1], "{replaced}");
    assert_same(&before, &stage.mailbox(&user)?);
    let again = restore(&stage, &user, &["--on-conflict", "replace"])?;
    assert_eq!(counts(&again)[..2], [0, 0], "nothing changed since: {again}");

    edit(&stage, &user, &changed, json!({ "is_read": true }))?;
    let both = restore(&stage, &user, &["--on-conflict", "keep-both"])?;
    assert_eq!(counts(&both)[..2], [1, 0], "{both}");
    assert_eq!(stage.mailbox(&user)?.messages.len(), n_all + 1);
    let again = restore(&stage, &user, &["--on-conflict", "keep-both"])?;
    assert_eq!(counts(&again)[..2], [0, 0], "its copy is there already: {again}");
    stage.assert_polite();
    Ok(())
}
