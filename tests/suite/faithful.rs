//! Every restore point holds what the tenant was then: all four features, random edits, a rough service, and kills.
//!
//! Each user is a case of its own: its edits come from a seed of its own, and it is compared item by item with what the
//! tenant was when the point was sealed.

use std::collections::BTreeMap;
use std::time::Duration;

use kodo_simulator::{FaultPlan, Options, Simulator};
use serde_json::{Value, json};

use super::{calendar_feature, contacts_feature};
use crate::support::chance::seed;
use crate::support::collected::Collected;
use crate::support::drive::{KeptDrive, KeptFile, assert_kept};
use crate::support::held::{Held, Sealed};
use crate::support::stage::{Process, Stage};
use crate::support::wait::until_ended;

/// Users, each a case; `KODO_TEST_CASES` asks for more.
const CASES: usize = 6;
/// How often all of them are edited and backed up.
const ROUNDS: u64 = 3;
const EDITS: usize = 4;
/// How long work goes on before a process is killed.
const LIFE_MS_MAX: u64 = 4_000;
const FEATURES: [&str; 4] = ["mailbox", "calendar", "contacts", "onedrive"];

fn company() -> Options {
    Options {
        users: cases(),
        messages: 6,
        events: 6,
        contacts: 5,
        files: 8,
        special_users: false,
        ..Options::default()
    }
}

fn cases() -> usize {
    std::env::var("KODO_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// Nothing that a client cannot sit out: each is met by asking again.
fn rough(seed: u64) -> FaultPlan {
    let rules = [
        json!({"kind": "status", "status": 503, "body": "empty", "method": "GET", "probability": 0.01}),
        json!({"kind": "status", "status": 429, "retry_after": 1, "method": "GET", "probability": 0.003}),
        json!({"kind": "status", "status": 502, "body": "html", "method": "GET", "probability": 0.005}),
        json!({"kind": "reset", "method": "GET", "probability": 0.01}),
        json!({"kind": "cut_body", "method": "GET", "probability": 0.01}),
        json!({"match": "delta", "kind": "expire_delta", "probability": 0.02}),
        json!({"match": "delta", "kind": "duplicate_entries", "probability": 0.2}),
        json!({"match": "delta", "kind": "empty_pages", "probability": 0.1}),
    ];
    serde_json::from_value(json!({"seed": seed, "rules": rules})).expect("a plan of faults")
}

/// The users by their addresses, and the points that are to hold them, each with its resource and feature.
type Moment = (BTreeMap<String, Truth>, Vec<(u32, String, Sealed)>);

/// One user of the tenant as it is at one moment.
struct Truth {
    messages: BTreeMap<String, u32>,
    events: BTreeMap<String, Value>,
    contacts: BTreeMap<String, Value>,
    files: BTreeMap<String, Value>,
}

impl Truth {
    fn of(tenant: &Simulator, user: &str) -> anyhow::Result<Self> {
        let mailbox: Value = serde_json::from_slice(&tenant.fingerprint(user)?)?;
        let mut messages = BTreeMap::new();
        for message in mailbox["messages"].as_array().into_iter().flatten() {
            let told = json!([
                message["folder"],
                message["internetMessageId"],
                message["subject"],
                message["isRead"],
                message["categories"],
                message["importance"],
                message["flag"]["status"]
            ]);
            *messages.entry(told.to_string()).or_default() += 1;
        }
        let drive: Value = serde_json::from_slice(&tenant.drive_fingerprint(user)?)?;
        let files = drive["items"].as_array().into_iter().flatten();
        Ok(Self {
            messages,
            events: calendar_feature::truth(tenant, user),
            contacts: contacts_feature::truth(tenant, user),
            files: files.map(|item| (item["id"].as_str().unwrap_or_default().to_owned(), item.clone())).collect(),
        })
    }

    fn assert_held(&self, feature: &str, held: Collected) {
        match feature {
            "mailbox" => assert_eq!(messages(&held), self.messages),
            "calendar" => calendar_feature::assert_held(&self.events, &held),
            "contacts" => contacts_feature::assert_held(&self.contacts, &held),
            _ => assert_kept(&self.files, &as_files(held)),
        }
    }
}

fn messages(held: &Collected) -> BTreeMap<String, u32> {
    let mut messages = BTreeMap::new();
    for item in held.items.values().filter(|item| item.summary.kind < 10) {
        let message = &item.properties;
        assert!(item.content.is_some(), "a message has a text");
        let told = json!([
            held.path(&item.container),
            message["internetMessageId"],
            message["subject"],
            message["isRead"],
            message["categories"],
            message["importance"],
            message["flag"]["flagStatus"]
        ]);
        *messages.entry(told.to_string()).or_default() += 1;
    }
    messages
}

fn as_files(held: Collected) -> KeptDrive {
    let mut kept = KeptDrive::default();
    for (id, item) in held.items {
        let content = item.content.unwrap_or_default();
        let file = KeptFile {
            known: kodo::features::KnownVersion {
                change_tag: item.summary.change_tag,
                flags: item.summary.flags,
                has_content: !content.is_empty(),
            },
            kind: item.summary.kind,
            name: item.summary.name,
            time: item.summary.time.timestamp(),
            parent: item.summary.parent,
            properties: item.properties,
            bytes: content.len() as u64,
            blake3: blake3::hash(&content).to_hex().to_string(),
        };
        kept.items.insert(id, file);
    }
    kept
}

fn edit(tenant: &Simulator, user: &str, seed: u64) -> anyhow::Result<()> {
    tenant.random_edits(user, seed, EDITS)?;
    tenant.calendar_random_edits(user, seed, EDITS)?;
    tenant.contacts_random_edits(user, seed, EDITS)?;
    tenant.random_drive_edits(user, seed, EDITS)?;
    Ok(())
}

/// Backs everybody up. With `kill`, a process dies after so many milliseconds.
async fn back_up(stage: &mut Stage, worker: &mut Process, kill: Option<u64>) -> anyhow::Result<Value> {
    let users = stage.users();
    let mut command = vec!["backup"];
    users.iter().for_each(|user| command.extend(["--user", user]));
    let features = FEATURES.join(",");
    command.extend(["--feature", &features]);
    let started = stage.expect(&command)?;
    if let Some(after) = kill {
        tokio::time::sleep(Duration::from_millis(after)).await;
        if after % 2 == 0 {
            stage.serve().kill()?;
            stage.start_serve()?;
        } else {
            worker.kill()?;
            *worker = stage.start_worker("second")?;
        }
    }
    Ok(until_ended(stage, &["run", "show", &started["run_id"].to_string()]))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_is_in_every_point_as_they_were_then() -> anyhow::Result<()> {
    let seed = seed();
    let mut stage = Stage::ready(company()).await?;
    let mut worker = stage.start_worker("second")?;
    let users = stage.users();
    let listed = stage.expect(&["resource", "list", "--limit", "1000"])?;
    let names: BTreeMap<u64, String> = listed["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| Some((one["id"].as_u64()?, one["address"].as_str()?.to_owned())))
        .collect();
    let held = Held::of(&stage).await?;
    let mut moments: Vec<Moment> = Vec::new();
    for round in 0..ROUNDS {
        for (n, user) in users.iter().enumerate() {
            edit(&stage.tenant, user, seed.wrapping_add(round * 1_000 + n as u64))?;
        }
        let mut truth = BTreeMap::new();
        for user in &users {
            truth.insert(user.to_lowercase(), Truth::of(&stage.tenant, user)?);
        }
        stage.tenant.set_faults(rough(seed ^ round));
        back_up(&mut stage, &mut worker, Some((seed / 3 + round * 1_777) % LIFE_MS_MAX)).await?;
        stage.tenant.set_faults(FaultPlan::default());
        // What was whole in spite of all is held to it; the rest is completed by a calm run.
        let mut sealed: Vec<_> = held.sealed().await?.into_iter().filter(|(_, _, at)| at.n_issues == 0).collect();
        let calm = back_up(&mut stage, &mut worker, None).await?;
        assert_eq!(calm["state"], "succeeded", "{calm}");
        sealed.extend(held.sealed().await?);
        moments.push((truth, sealed));
    }
    let mut n_compared = 0;
    for (truth, sealed) in &moments {
        for (resource, feature, at) in sealed {
            let Some(truth) = names.get(&u64::from(*resource)).and_then(|name| truth.get(&name.to_lowercase())) else {
                continue;
            };
            println!("{feature} of resource {resource}: {at:?}");
            truth.assert_held(feature, held.everything(*at).await?);
            n_compared += 1;
        }
    }
    assert!(n_compared >= cases() * FEATURES.len() * ROUNDS as usize, "{n_compared} points were compared");
    stage.assert_polite();
    Ok(())
}
