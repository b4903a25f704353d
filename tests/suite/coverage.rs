//! What is told of how much of a tenant is protected: the service's counts beside the catalog's.

use std::collections::BTreeMap;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn every_folder_is_told_with_both_counts_and_what_was_left_out_with_its_reason() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 30, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    let before = stage.expect(&["coverage", &user])?;
    let messages = stage.mailbox(&user)?.messages;
    let victim = messages.iter().find(|message| message["isDraft"] == json!(false)).expect("a received message");
    let rule = json!({ "kind": "poison", "items": [victim["internetMessageId"]] });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [rule] }))?);

    stage.run(&["backup", "--user", &user, "--wait"]);

    let never = mailbox(&before);
    assert_eq!((&never["state"], &never["chain"]), (&json!("unprotected"), &Value::Null), "{before}");
    let view = stage.expect(&["coverage", &user, "--all"])?;
    let feature = mailbox(&view);
    assert_eq!(feature["state"], json!("protected_with_exceptions"), "{feature}");
    assert_eq!(feature["items"], json!(messages.len() - 1 + stage.n_settings(&user)?));
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for message in &messages {
        *held.entry(message["folder"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let (mut shown, mut exceptions) = (0, 0);
    // The service does not count settings.
    let counted = feature["containers"].as_array().into_iter().flatten().filter(|one| one["service_items"].is_u64());
    for container in counted {
        let number = |name: &str| container[name].as_u64().unwrap_or_default();
        assert_eq!(number("service_items"), number("items") + number("exceptions"), "{container}");
        assert_eq!(container["differs"], json!(false), "{container}");
        shown += number("items") + number("exceptions");
        exceptions += number("exceptions");
    }
    assert_eq!((shown, exceptions), (held.values().sum::<u64>(), 1));
    let left_out = feature["passed_over"].as_array().expect("a list");
    assert!(left_out.iter().any(|one| one["why"].as_str().is_some_and(|why| why.contains("search"))), "{left_out:?}");
    let table = stage.run(&["coverage", &user]).stdout;
    assert!(table.contains("protected, with 1 exception") && table.contains("left out"), "{table}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_tell_who_of_a_tenant_is_protected_and_who_is_not() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 3, messages: 3, ..Options::default() }).await?;
    let users = stage.users();
    let all = stage.expect(&["resource", "list"])?["items"].as_array().map_or(0, Vec::len);
    let unlicensed = "unlicensed";
    let resources = stage.expect(&["resource", "list", unlicensed])?;
    let unlicensed = resources["items"][0]["address"].as_str().expect("a user without a licence").to_owned();

    stage.run(&["backup", "--user", &users[0], "--user", &unlicensed, "--feature", "mailbox", "--wait"]);

    let view = stage.expect(&["coverage"])?;
    let tenant = &view["tenants"][0];
    assert_eq!((&tenant["name"], &tenant["resources"]), (&json!("contoso"), &json!(all)), "{view}");
    let totals = &tenant["features"]["mailbox"];
    assert_eq!((&totals["protected"], &totals["not_applicable"]), (&json!(1), &json!(1)), "{view}");
    assert_eq!(totals["unprotected"], json!(all - 2), "{view}");
    assert!(totals["oldest_sealed_at"].is_string(), "{view}");
    assert_eq!(view["organizations"][0]["features"], tenant["features"], "{view}");
    assert!(stage.run(&["coverage"]).stdout.contains("contoso"));
    Ok(())
}

fn mailbox(view: &Value) -> Value {
    let features = view["features"].as_array().expect("a list of features");
    features.iter().find(|one| one["feature"] == json!("mailbox")).cloned().expect("a mailbox")
}
