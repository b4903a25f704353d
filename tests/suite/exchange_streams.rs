//! Exchange's own streams beside the text of mail, for who wants them.

use std::collections::BTreeMap;

use kodo::features::mailbox::KIND_STREAM;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::held::Held;
use crate::support::stage::Stage;

async fn wanting_streams(messages: usize) -> anyhow::Result<(Stage, String)> {
    let stage = Stage::ready(Options { users: 1, messages, special_users: false, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    stage.expect(&["policy", "set", "standard", "mailbox.exchange_streams=true"])?;
    Ok((stage, user))
}

/// The hash of each message's stream, as Exchange would write it now.
fn offered(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let mailbox: Value = serde_json::from_slice(&stage.tenant.fingerprint_with_ids(user)?)?;
    let messages = mailbox["messages"].as_array().into_iter().flatten();
    Ok(messages.map(|one| (one["immutable_id"].as_str().unwrap().to_owned(), one["streamHash"].clone())).collect())
}

/// The same of the newest restore point.
async fn kept(stage: &Stage) -> anyhow::Result<BTreeMap<String, Value>> {
    let held = Held::of(stage).await?;
    let (_, _, newest) = held.sealed().await?.into_iter().find(|(_, feature, _)| feature == "mailbox").unwrap();
    let point = held.everything(newest).await?;
    let streams = point.items.values().filter(|item| item.summary.kind == KIND_STREAM);
    let told = |item: &crate::support::collected::Item| {
        let message = item.properties["id"].as_str().unwrap().trim_start_matches("kodo:streams:").to_owned();
        (message, json!(blake3::hash(item.content.as_ref().unwrap()).to_hex().as_str()))
    };
    Ok(streams.map(told).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_has_its_stream_which_follows_it_and_goes_with_it() -> anyhow::Result<()> {
    let (stage, user) = wanting_streams(12).await?;
    stage.back_up(&user)?;
    assert_eq!(kept(&stage).await?, offered(&stage, &user)?);
    let messages = stage.mailbox(&user)?.messages;
    let name = |at: usize| json!({ "internet_message_id": messages[at]["internetMessageId"], "folder": messages[at]["folder"] });

    let (mut flagged, mut deleted) = (name(0), name(1));
    flagged["categories"] = json!(["Orange category"]);
    deleted["delete"] = json!(true);
    stage.tenant.edit(&user, flagged)?;
    stage.tenant.edit(&user, deleted)?;
    stage.back_up(&user)?;

    assert_eq!(kept(&stage).await?, offered(&stage, &user)?);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_counted_as_no_mail_and_a_restore_leaves_them_alone() -> anyhow::Result<()> {
    let (stage, user) = wanting_streams(8).await?;
    stage.back_up(&user)?;
    let before = stage.mailbox(&user)?;
    let coverage = stage.expect(&["coverage", &user, "--all"])?;
    stage.tenant.wipe_mailbox(&user)?;

    stage.expect(&["restore", "--user", &user, "--wait"])?;

    assert_eq!(stage.mailbox(&user)?.messages, before.messages);
    let feature = coverage["features"].as_array().into_iter().flatten().find(|one| one["feature"] == json!("mailbox"));
    let feature = feature.expect("a mailbox");
    assert_eq!(feature["items"], json!(before.messages.len() + stage.n_settings(&user)?), "{feature}");
    let containers = feature["containers"].as_array().into_iter().flatten();
    assert!(containers.clone().all(|one| one["differs"] == json!(false)), "{feature}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_export_still_backs_up_mail_and_is_told_what_is_missing() -> anyhow::Result<()> {
    let (stage, user) = wanting_streams(8).await?;
    let denied = json!({ "match": "settings/exchange", "kind": "status", "status": 403, "code": "ErrorAccessDenied" });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [denied] }))?);

    let run = stage.back_up(&user)?;

    assert_eq!(run["state"], json!("succeeded"), "{run}");
    assert!(kept(&stage).await?.is_empty());
    let told = stage.expect(&["coverage", &user])?.to_string();
    assert!(told.contains("Exchange streams") && told.contains("MailboxItem.ImportExport.All"), "{told}");
    Ok(())
}
