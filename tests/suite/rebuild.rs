//! A storage explains itself: the catalog comes back from it alone, and so do the messages, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kodo::features::{FeatureOptions, Need, RemoteItem, Source, find};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Stage, assert_same};
use crate::support::tenant::{client, in_memory};

const POINTS: u64 = 3;

fn company() -> Options {
    Options { users: 2, messages: 30, special_users: false, large_attachments: true, ..Options::default() }
}

/// An installation whose recovery key was kept.
async fn stage() -> anyhow::Result<Stage> {
    let stage = Stage::serving(company()).await?;
    let secret = secret_file(&stage)?;
    stage.expect(&["organization", "add", "Contoso"])?;
    let (tenant, id) = (stage.tenant.tenant_id(), stage.tenant.client_id());
    let add = ["tenant", "add", "contoso", "--entra-tenant-id", &tenant, "--client-id", &id, "--secret-file", &secret];
    stage.expect(&add)?;
    let added = stage.expect(&["storage", "add", "disk", "--path", &place(&stage)])?;
    std::fs::write(key_file(&stage), added["recovery_key"].as_str().expect("a storage is encrypted by default"))?;
    stage.expect(&["policy", "add", "standard", "--storage", "disk"])?;
    stage.expect(&["resource", "sync", "contoso", "--wait"])?;
    Ok(stage)
}

fn secret_file(stage: &Stage) -> anyhow::Result<String> {
    let secret = stage.dir.path().join("client-secret");
    std::fs::write(&secret, stage.tenant.client_secret())?;
    Ok(secret.to_string_lossy().into_owned())
}

fn place(stage: &Stage) -> String {
    stage.storage().to_string_lossy().into_owned()
}

fn key_file(stage: &Stage) -> PathBuf {
    stage.dir.path().join("recovery-key")
}

/// What an administrator sees of a user: points with their counts, and every folder and item of every point.
fn seen(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut seen = BTreeMap::new();
    let points = stage.expect(&["point", "list", "--user", user])?;
    for point in points["items"].as_array().expect("a list of points") {
        let counts = ["state", "items", "added", "changed", "removed", "issues", "bytes_read", "bytes_stored"];
        let counts: BTreeMap<&str, &Value> = counts.iter().map(|name| (*name, &point[*name])).collect();
        let number = point["number"].to_string();
        seen.insert(format!("point {number}"), json!(counts));
        look_into(stage, user, &number, "", &mut seen)?;
    }
    Ok(seen)
}

fn look_into(
    stage: &Stage,
    user: &str,
    point: &str,
    path: &str,
    seen: &mut BTreeMap<String, Value>,
) -> anyhow::Result<()> {
    let ls = ["ls", "--user", user, "--point", point];
    let view = if path.is_empty() { stage.expect(&ls)? } else { stage.expect(&[&ls[..], &[path]].concat())? };
    for item in view["items"].as_array().expect("a list of items") {
        let mut item = item.clone();
        item.as_object_mut().expect("an item is an object").remove("container_id");
        seen.insert(format!("{point} {path} {}", item["key"]), item);
    }
    for folder in view["containers"].as_array().expect("a list of folders") {
        let name = folder["name"].as_str().expect("a folder has a name");
        if name.contains('/') {
            continue;
        }
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let facts = json!([folder["items"], folder["bytes"], folder["hidden"], folder["well_known"]]);
        seen.insert(format!("{point} {below}/"), facts);
        look_into(stage, user, point, &below, seen)?;
    }
    Ok(())
}

fn assert_seen(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let different = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let lines: Vec<String> =
        different.map(|key| format!("{key}: {:?} became {:?}", before.get(key), after.get(key))).collect();
    assert!(lines.is_empty(), "{} differences:\n{}", lines.len(), lines.join("\n"));
}

fn requests(stage: &Stage, matches: impl Fn(&str) -> bool) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("the simulator counts by route");
    routes.iter().filter(|(route, _)| matches(route)).filter_map(|(_, count)| count["requests"].as_u64()).sum()
}

fn restore_and_compare(
    stage: &Stage,
    user: &str,
    point: u64,
    state: &crate::support::stage::Mailbox,
) -> anyhow::Result<()> {
    stage.tenant.wipe_mailbox(user)?;
    stage.expect(&["restore", "--user", user, "--point", &point.to_string(), "--wait"])?;
    assert_same(state, &stage.mailbox(user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back_from_the_storage_and_the_next_backup_is_incremental() -> anyhow::Result<()> {
    let mut stage = stage().await?;
    let users = stage.users();
    let mut states = Vec::new();
    for seed in 1..=POINTS {
        for user in &users {
            stage.back_up(user)?;
        }
        states.push(stage.mailbox(&users[0])?);
        if seed < POINTS {
            users.iter().try_for_each(|user| stage.tenant.random_edits(user, seed, 15).map(drop))?;
        }
    }
    let before = [seen(&stage, &users[0])?, seen(&stage, &users[1])?];
    let key = key_file(&stage).to_string_lossy().into_owned();
    let rebuild = ["rebuild-catalog", "--path", &place(&stage), "--name", "disk", "--recovery-key-file", &key];
    let refused = stage.run(&rebuild);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains("stop it"), "{refused:?}");

    stage.stop_serve()?;
    stage.separate().execute("DROP DATABASE kodo; CREATE DATABASE kodo CHARACTER SET utf8mb4")?;
    stage.expect(&["init"])?;
    let report = stage.expect(&rebuild)?;
    assert_eq!((&report["chains_rebuilt"], &report["points"]), (&json!(2), &json!(2 * POINTS)), "{report}");
    let again = stage.expect(&["rebuild-catalog"])?;
    assert_eq!((&again["chains_rebuilt"], &again["packs_new"]), (&json!(0), &json!(0)), "{again}");
    stage.start_serve()?;
    assert_seen(&before[0], &seen(&stage, &users[0])?);
    assert_seen(&before[1], &seen(&stage, &users[1])?);

    let tenant = stage.expect(&["tenant", "list"])?["items"][0].clone();
    assert!(
        tenant["state"] == json!("failing") && tenant["state_detail"].to_string().contains("tenant renew"),
        "{tenant}"
    );
    let (name, id, secret) = (stage.tenant.tenant_id(), stage.tenant.client_id(), secret_file(&stage)?);
    let without = stage.run(&["tenant", "renew", &name, "--secret-file", &secret]);
    assert!(without.code == 1 && without.stderr.contains("client_id"), "{without:?}");
    stage.expect(&["tenant", "renew", &name, "--client-id", &id, "--secret-file", &secret])?;
    stage.expect(&["tenant", "check", &name])?;
    stage.expect(&["policy", "add", "standard", "--storage", "disk"])?;
    // Of the mailboxes alone: the directory is read meanwhile.
    let (all, downloads) =
        (requests(&stage, |route| route.contains("/users/")), requests(&stage, |r| r.contains("$value")));
    stage.back_up(&users[0])?;
    let spent = requests(&stage, |route| route.contains("/users/")) - all;
    let folders = stage.mailbox(&users[0])?.folders.len() as u64;
    // The settings are a container too.
    assert!(spent <= folders + 1 + 5, "{spent} requests for {folders} unchanged folders: {}", stage.tenant.stats());
    assert_eq!(requests(&stage, |route| route.contains("$value")), downloads);
    for (point, state) in (1..).zip(&states) {
        restore_and_compare(&stage, &users[0], point, state)?;
    }
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_are_newer_than_a_restored_dump_are_found_on_the_storage() -> anyhow::Result<()> {
    let mut stage = stage().await?;
    let users = stage.users();
    users.iter().try_for_each(|user| stage.back_up(user).map(drop))?;
    let mut states = vec![stage.mailbox(&users[0])?];
    let untouched = seen(&stage, &users[1])?;
    let dump = stage.dir.path().join("dump.sql");
    stage.separate().dump(&dump)?;
    for seed in 2..=POINTS {
        stage.tenant.random_edits(&users[0], seed, 15)?;
        stage.back_up(&users[0])?;
        states.push(stage.mailbox(&users[0])?);
    }
    let before = seen(&stage, &users[0])?;

    stage.stop_serve()?;
    stage.separate().load(&dump)?;
    let report = stage.expect(&["rebuild-catalog", "--storage", "disk"])?;
    stage.start_serve()?;

    assert_eq!((&report["chains"], &report["chains_rebuilt"]), (&json!(2), &json!(1)), "{report}");
    assert!(report["packs_new"].as_u64() < report["packs"].as_u64(), "{report}");
    assert_seen(&before, &seen(&stage, &users[0])?);
    assert_seen(&untouched, &seen(&stage, &users[1])?);
    stage.tenant.random_edits(&users[0], 99, 10)?;
    states.push(stage.mailbox(&users[0])?);
    stage.back_up(&users[0])?;
    for (point, state) in (1..).zip(&states) {
        restore_and_compare(&stage, &users[0], point, state)?;
    }
    Ok(())
}

/// All files below a folder that end so.
fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn rescue_hands_out_every_message_without_a_database() -> anyhow::Result<()> {
    let mut stage = stage().await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let whole = stage.mailbox(&user)?;
    let held = whole.messages.len() + stage.n_settings(&user)?;
    stage.stop_serve()?;
    stage.separate().execute("DROP DATABASE kodo")?;
    let key = key_file(&stage).to_string_lossy().into_owned();
    let place = place(&stage);
    let at = ["--path", &place, "--recovery-key-file", &key];
    let to = stage.dir.path().join("out");
    let to_text = to.to_string_lossy().into_owned();

    let listed = stage.expect(&[&["rescue", "list"][..], &at].concat())?;
    let points = stage.expect(&[&["rescue", "list", "--user", &user][..], &at].concat())?;
    let done = stage.expect(&[&["rescue", "extract", "--user", &user, "--to", &to_text][..], &at].concat())?;

    assert_eq!(listed["items"][0]["user"], json!(user), "{listed}");
    assert_eq!(points["items"][0]["items"], json!(held), "{points}");
    assert_eq!((&done["items"], &done["failed"]), (&json!(held), &json!([])), "{done}");
    let (graph, mailbox) = (client(&stage.tenant), find("mailbox").expect("there is a mailbox feature"));
    let user = listed["items"][0]["graph_id"].as_str().expect("an id");
    let source = Source { graph: &graph, user, options: &FeatureOptions::default() };
    let written = files(&to, "json");
    assert_eq!(written.len(), held);
    let mail: Vec<_> = written.into_iter().filter(|file| file.with_extension("eml").exists()).collect();
    assert_eq!(mail.len(), whole.messages.len());
    for file in mail {
        let properties: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let id = properties["id"].as_str().expect("a message has an id").to_owned();
        let captured = mailbox.capture(source, &RemoteItem { id, properties: None }, Need::Everything).await.unwrap();
        let original = in_memory(captured.content.expect("a message has a text"));
        assert_eq!(std::fs::read(file.with_extension("eml"))?, original, "{}", file.display());
    }

    let packs = files(&stage.storage().join("packs"), "kpk");
    let largest = packs.iter().max_by_key(|pack| pack.metadata().map_or(0, |meta| meta.len())).expect("a pack");
    std::fs::write(largest, b"not a pack")?;
    let partly = stage.run(&[&["rescue", "extract", "--user", user, "--to", &to_text][..], &at].concat());
    assert_eq!(partly.code, 3, "{partly:?}");
    let name = largest.file_stem().expect("a pack has a name").to_string_lossy().into_owned();
    assert!(partly.stderr.contains(&name), "{partly:?}");
    Ok(())
}
