//! Every restore point holds what the tenant was then: all four features, random edits, a rough service, and kills.
//!
//! Each user is a case of its own: its edits come from a seed of its own, and it is compared item by item with what the
//! tenant was when the point was sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kodo::features::mailbox::KIND_SETTINGS;
use kodo_simulator::{FaultPlan, Options, Simulator};
use serde_json::{Value, json};

use super::{calendar_feature, contacts_feature};
use crate::support::chance::seed;
use crate::support::collected::{Collected, Item};
use crate::support::drive::{KeptDrive, KeptFile, assert_kept};
use crate::support::held::{Held, Sealed};
use crate::support::stage::{Process, Stage};
use crate::support::wait::until_ended_within;

/// Users, each a case of its own seed; `KODO_TEST_CASES` asks for fewer or more.
const CASES: usize = 40;
/// How often all of them are edited and backed up.
const ROUNDS: u64 = 3;
const EDITS: usize = 4;
/// Processes that are killed in each round, and how long one lives at most before.
const KILLS: u64 = 3;
const LIFE_MS_MAX: u64 = 6_000;
/// How long one run may take, by how many users it has.
const RUN_MAX: Duration = Duration::from_secs(120);
const RUN_MAX_OF_USER: Duration = Duration::from_secs(4);
/// Tasks at once of each of the two agents.
const WORKERS: u32 = 6;
const FEATURES: [&str; 4] = ["mailbox", "calendar", "contacts", "onedrive"];

fn company() -> Options {
    Options {
        users: cases(),
        messages: 5,
        events: 4,
        contacts: 4,
        files: 6,
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
    messages: BTreeMap<String, Value>,
    categories_and_rules: Vec<Value>,
    events: BTreeMap<String, Value>,
    contacts: BTreeMap<String, Value>,
    files: BTreeMap<String, Value>,
}

impl Truth {
    fn of(tenant: &Simulator, user: &str) -> anyhow::Result<Self> {
        let mailbox: Value = serde_json::from_slice(&tenant.fingerprint_with_ids(user)?)?;
        let told = |message: &Value| {
            json!([
                message["folder"],
                message["internetMessageId"],
                message["subject"],
                message["isRead"],
                message["categories"],
                message["importance"],
                message["flag"]["status"],
                message["mimeHash"],
            ])
        };
        let messages = list(&mailbox, "messages").map(|message| (id_of(message, "immutable_id"), told(message)));
        let settings = tenant.settings_fingerprint(user)?;
        let own = list(&settings, "categories").chain(list(&settings, "rules"));
        let drive: Value = serde_json::from_slice(&tenant.drive_fingerprint(user)?)?;
        Ok(Self {
            messages: messages.collect(),
            categories_and_rules: sorted(own.cloned().collect()),
            events: calendar_feature::truth(tenant, user),
            contacts: contacts_feature::truth(tenant, user),
            files: list(&drive, "items").map(|item| (id_of(item, "id"), item.clone())).collect(),
        })
    }

    fn assert_held(&self, feature: &str, held: Collected) {
        match feature {
            "mailbox" => {
                assert_eq!(messages(&held), self.messages);
                assert_eq!(categories_and_rules(&held), self.categories_and_rules);
            }
            "calendar" => calendar_feature::assert_held(&self.events, &held),
            "contacts" => contacts_feature::assert_held(&self.contacts, &held),
            _ => assert_kept(&self.files, &as_files(held)),
        }
    }
}

fn list<'a>(all: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    all[name].as_array().into_iter().flatten()
}

fn id_of(one: &Value, name: &str) -> String {
    one[name].as_str().unwrap_or_default().to_owned()
}

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_key(|one| one["id"].to_string());
    all
}

fn messages(held: &Collected) -> BTreeMap<String, Value> {
    let messages = held.items.iter().filter(|(_, item)| item.summary.kind < KIND_SETTINGS);
    let told = |item: &Item| {
        let message = &item.properties;
        let mime = item.content.as_ref().expect("a message has a text");
        json!([
            held.path(&item.container),
            message["internetMessageId"],
            message["subject"],
            message["isRead"],
            message["categories"],
            message["importance"],
            message["flag"]["flagStatus"],
            blake3::hash(&without_importance(mime)).to_hex().as_str(),
        ])
    };
    messages.map(|(id, item)| (id.clone(), told(item))).collect()
}

/// The text of a message is not read again when its importance changes, which its properties tell.
fn without_importance(mime: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(mime.len());
    let mut in_header = true;
    for line in mime.split_inclusive(|byte| *byte == b'\n') {
        in_header &= !line.trim_ascii().is_empty();
        if !(in_header && (line.starts_with(b"Importance: ") || line.starts_with(b"X-Priority: "))) {
            kept.extend_from_slice(line);
        }
    }
    kept
}

fn categories_and_rules(held: &Collected) -> Vec<Value> {
    let own = held.items.values().filter(|item| item.summary.kind > KIND_SETTINGS);
    // What kodo itself notes in them, such as where a rule's folders are, is not the tenant's.
    let told = |item: &Item| {
        let mut told = item.properties.clone();
        told.as_object_mut().map(|told| told.remove("kodo"));
        told
    };
    sorted(own.map(told).collect())
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
    tenant.settings_random_edits(user, seed, 1)?;
    tenant.calendar_random_edits(user, seed, EDITS)?;
    tenant.contacts_random_edits(user, seed, EDITS)?;
    tenant.random_drive_edits(user, seed, EDITS)?;
    Ok(())
}

/// Begins a backup of these users and features.
fn begin(stage: &Stage, users: &[String], features: &str) -> anyhow::Result<Value> {
    let mut command = vec!["backup"];
    users.iter().for_each(|user| command.extend(["--user", user]));
    command.extend(["--feature", features]);
    Ok(stage.expect(&command)?["run_id"].clone())
}

fn end(stage: &Stage, run: &Value) -> Value {
    let max = RUN_MAX + RUN_MAX_OF_USER * u32::try_from(cases()).unwrap_or(u32::MAX);
    until_ended_within(max, stage, &["run", "show", &run.to_string()])
}

/// Backs everybody up while Graph is rough and processes die.
async fn rough_backup(stage: &mut Stage, worker: &mut Process, seed: u64) -> anyhow::Result<()> {
    let run = begin(stage, &stage.users(), &FEATURES.join(","))?;
    for n in 0..KILLS {
        let chance = seed / 3 + n * 1_777;
        tokio::time::sleep(Duration::from_millis(chance % LIFE_MS_MAX)).await;
        if chance.is_multiple_of(2) {
            stage.serve().kill()?;
            stage.start_serve()?;
        } else {
            worker.kill()?;
            *worker = stage.start_worker("second")?;
        }
    }
    end(stage, &run);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_is_in_every_point_as_they_were_then() -> anyhow::Result<()> {
    let seed = seed();
    let mut stage = Stage::fresh(company()).await?;
    stage.set_workers(WORKERS)?;
    stage.expect(&["init"])?;
    stage.start_serve()?;
    stage.add_everything()?;
    let mut worker = stage.start_worker("second")?;
    let users = stage.users();
    let listed = stage.expect(&["resource", "list", "--limit", "1000"])?;
    let address =
        |one: &Value| Some((u32::try_from(one["id"].as_u64()?).ok()?, one["address"].as_str()?.to_lowercase()));
    let names: BTreeMap<u32, String> = list(&listed, "items").filter_map(address).collect();
    let held = Held::of(&stage).await?;
    let mut moments: Vec<Moment> = Vec::new();
    for round in 0..ROUNDS {
        let mut truth = BTreeMap::new();
        for (n, user) in users.iter().enumerate() {
            edit(&stage.tenant, user, seed.wrapping_add(round * 1_000 + n as u64))?;
            truth.insert(user.to_lowercase(), Truth::of(&stage.tenant, user)?);
        }
        let before: BTreeMap<_, _> = held.sealed().await?.into_iter().map(|(_, _, at)| (at.chain, at.point)).collect();
        stage.tenant.set_faults(rough(seed ^ round));
        rough_backup(&mut stage, &mut worker, seed.wrapping_add(round * 7_919)).await?;
        stage.tenant.set_faults(FaultPlan::default());
        // What was whole in spite of all is held to it; the rest is completed by a calm run.
        let is_whole = |at: &Sealed| at.n_issues == 0 && before.get(&at.chain) != Some(&at.point);
        let mut sealed: Vec<_> = held.sealed().await?.into_iter().filter(|(_, _, at)| is_whole(at)).collect();
        let whole: BTreeSet<_> = sealed.iter().map(|(id, feature, _)| (names[id].clone(), feature.clone())).collect();
        println!("round {round}: {} of {} whole at once", whole.len(), users.len() * FEATURES.len());
        for feature in FEATURES {
            let lacks = |user: &&String| !whole.contains(&(user.to_lowercase(), feature.to_owned()));
            let rest: Vec<String> = users.iter().filter(lacks).cloned().collect();
            if !rest.is_empty() {
                let run = begin(&stage, &rest, feature)?;
                let calm = end(&stage, &run);
                assert_eq!(calm["state"], "succeeded", "{calm}");
            }
        }
        let is_known = |id: &u32, feature: &str| whole.contains(&(names[id].clone(), feature.to_owned()));
        sealed.extend(held.sealed().await?.into_iter().filter(|(id, feature, _)| !is_known(id, feature)));
        moments.push((truth, sealed));
    }
    let mut n_compared = 0;
    for (truth, sealed) in &moments {
        for (resource, feature, at) in sealed {
            let Some(truth) = names.get(resource).and_then(|name| truth.get(name)) else {
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
