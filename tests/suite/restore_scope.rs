//! What a restore is about and where it goes: several users and features, a moment, what was deleted, a new folder.

use chrono::{TimeDelta, Utc};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::{Stage, assert_same};

fn company() -> Options {
    Options { users: 3, messages: 24, special_users: false, ..Options::default() }
}

fn counts(restored: &Value) -> [u64; 4] {
    ["created", "updated", "skipped", "failed"].map(|name| restored["outcomes"][name].as_u64().unwrap_or(u64::MAX))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_users_come_back_in_one_restore() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    let mut before = Vec::new();
    for user in &users[..2] {
        stage.back_up(user)?;
        before.push(stage.mailbox(user)?);
        stage.tenant.wipe_mailbox(user)?;
    }

    let restored = stage.expect(&["restore", "--user", &users[0], "--user", &users[1], "--wait"])?;

    assert_eq!((&restored["state"], &restored["chains"]), (&json!("succeeded"), &json!(2)), "{restored}");
    for (user, before) in users.iter().zip(&before) {
        assert_same(before, &stage.mailbox(user)?);
    }
    let n_all: usize = before.iter().map(|mailbox| mailbox.messages.len()).sum();
    assert_eq!(counts(&restored)[0], n_all as u64, "{restored}");
    let parts = restored["parts"].as_array().cloned().unwrap_or_default();
    assert_eq!(parts.len(), 2, "{restored}");
    let asked: u64 = parts.iter().filter_map(|part| part["asked"].as_u64()).sum();
    assert_eq!(json!(asked), restored["asked"]["items"], "{restored}");

    let never = stage.run(&["restore", "--user", &users[2], "--all-features"]);
    assert!(never.code != 0 && never.stderr.contains("was ever backed up"), "{never:?}");
    let mixed = stage.run(&["restore", "--user", &users[0], "--user", &users[1], "--to-user", &users[2]]);
    assert!(mixed.code != 0 && mixed.stderr.contains("would both go into"), "{mixed:?}");
    let chosen = stage.run(&["restore", "--user", &users[0], "--user", &users[1], "--folder", "inbox"]);
    assert!(chosen.code != 0 && chosen.stderr.contains("one user and feature"), "{chosen:?}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_users_mail_goes_where_a_table_says_into_a_folder_called_after_the_point() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    stage.back_up(&users[0])?;
    stage.back_up(&users[1])?;
    let (before, n_first) = (stage.mailbox(&users[2])?, stage.mailbox(&users[0])?.messages.len());

    let map = format!("{}={}", users[0], users[2]);
    let missing = stage.run(&["restore", "--user", &users[0], "--user", &users[1], "--map", &map]);
    assert!(missing.code != 0 && missing.stderr.contains("name one for each"), "{missing:?}");
    let restored = stage.expect(&["restore", "--user", &users[0], "--map", &map, "--to-new-folder", "--wait"])?;

    let folder = restored["target_folder"].as_str().unwrap_or_default().to_owned();
    assert!(folder.starts_with("Restored 20") && folder.len() == "Restored 2026-11-25 14:30".len(), "{folder}");
    let after = stage.mailbox(&users[2])?;
    let (theirs, ours): (Vec<Value>, Vec<Value>) = after
        .messages
        .iter()
        .cloned()
        .partition(|message| message["folder"].as_str().is_some_and(|path| path.starts_with(&folder)));
    assert_eq!(theirs.len(), n_first, "all came below the new folder");
    assert_eq!(ours, before.messages, "and nothing else changed");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_between_two_moments_comes_back_alone() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let http = Http::of(&stage)?;
    stage.back_up(user)?;
    let before = stage.mailbox(user)?;
    let from = Utc::now();
    let ids: Vec<Value> = before.messages.iter().map(|message| message["internetMessageId"].clone()).collect();
    let (deleted, read) = (&ids[..5], &ids[5..8]);
    for id in deleted {
        stage.tenant.edit(user, json!({ "internet_message_id": id, "delete": true }))?;
    }
    for id in read {
        stage.tenant.edit(user, json!({ "internet_message_id": id, "categories": ["Later"] }))?;
    }
    stage.tenant.new_mail(user, json!({ "count": 2 }))?;
    stage.back_up(user)?;
    let later = stage.mailbox(user)?;
    let deleted_for_good = before.messages.len() + 2 - later.messages.len();

    let body =
        |from, to| json!({ "resource": user, "feature": "mailbox", "deleted_between": { "from": from, "to": to } });
    http.post("/api/v1/restores", &body(from - TimeDelta::days(2), from)).await?.problem(422);
    let to = Utc::now();
    let turned = http.post("/api/v1/restores", &body(to, from)).await?;
    assert!(turned.problem(422).contains("earlier"), "{turned:?}");
    let (from, to) = (from.to_rfc3339(), to.to_rfc3339());
    let restored = stage.expect(&["restore", "--user", user, "--deleted-between", &from, &to, "--wait"])?;

    assert!(deleted_for_good > 0, "nothing was deleted");
    assert_eq!(restored["asked"]["items"], json!(deleted_for_good), "{restored}");
    assert_eq!(counts(&restored), [deleted_for_good as u64, 0, 0, 0], "{restored}");
    let after = stage.mailbox(user)?;
    assert_eq!(after.messages.len(), later.messages.len() + deleted_for_good);
    for id in &ids {
        let copies = after.messages.iter().filter(|message| message["internetMessageId"] == *id).count();
        let expected = before.messages.iter().filter(|message| message["internetMessageId"] == *id).count();
        assert_eq!(copies, expected, "{id}");
    }

    let as_of = stage.expect(&["restore", "--user", user, "--as-of", &from, "--on-conflict", "replace", "--wait"])?;
    assert_eq!((&as_of["point"], &as_of["outcomes"]["updated"]), (&json!(1), &json!(read.len())), "{as_of}");
    stage.assert_polite();
    Ok(())
}
