//! Calendars and contacts through a whole installation: backed up by the command line, looked into, and left alone while
//! nothing changes.

use std::collections::BTreeSet;

use kodo::ids::ItemKey;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

fn company() -> Options {
    Options { users: 2, messages: 3, ..Options::default() }
}

fn back_up(stage: &Stage, user: &str) -> anyhow::Result<Value> {
    stage.expect(&["backup", "--user", user, "--feature", "calendar,contacts", "--wait"])
}

fn count_packs(stage: &Stage) -> usize {
    let packs = stage.storage().join("packs");
    let folders = std::fs::read_dir(packs).into_iter().flatten().filter_map(Result::ok);
    folders.map(|folder| std::fs::read_dir(folder.path()).map_or(0, Iterator::count)).sum()
}

/// All items of a feature as of a point, whatever they are in.
fn held(stage: &Stage, user: &str, feature: &str, point: usize) -> anyhow::Result<Vec<Value>> {
    let point = point.to_string();
    let mut waiting = vec![String::new()];
    let mut items = Vec::new();
    while let Some(path) = waiting.pop() {
        let mut ls = vec!["ls", "--user", user, "--feature", feature, "--point", &point, "--limit", "1000"];
        if !path.is_empty() {
            ls.push(&path);
        }
        let inside = stage.expect(&ls)?;
        items.extend(inside["items"].as_array().cloned().unwrap_or_default());
        for container in inside["containers"].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            waiting.push(if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") });
        }
    }
    Ok(items)
}

fn keys_held(stage: &Stage, user: &str, feature: &str, point: usize) -> anyhow::Result<BTreeSet<String>> {
    let items = held(stage, user, feature, point)?;
    Ok(items.iter().filter_map(|item| item["key"].as_str()).map(str::to_owned).collect())
}

/// The keys of what the user has now: contacts, and events in calendars of their own.
fn keys_now(stage: &Stage, user: &str, feature: &str) -> anyhow::Result<BTreeSet<String>> {
    let (fingerprint, name) = match feature {
        "calendar" => (stage.tenant.calendar_fingerprint(user)?, "events"),
        _ => (stage.tenant.contacts_fingerprint(user)?, "contacts"),
    };
    let list = |name: &str| fingerprint[name].as_array().cloned().unwrap_or_default();
    let calendars = list("calendars");
    let default = calendars.iter().find(|calendar| calendar["isDefaultCalendar"] == true);
    let is_own = |item: &Value| {
        let calendar = calendars.iter().find(|calendar| calendar["id"] == item["calendarId"]);
        calendar.is_none_or(|calendar| default.is_some_and(|default| default["owner"] == calendar["owner"]))
    };
    let items = list(name);
    let own = items.iter().filter(|item| is_own(item)).filter_map(|item| item["id"].as_str());
    Ok(own.map(|id| ItemKey::of(id).to_string()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn calendars_and_contacts_are_backed_up_and_unchanged_ones_cost_no_pack() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];

    let ran = back_up(&stage, user)?;

    assert_eq!(ran["state"], json!("succeeded"), "{ran}");
    let events = held(&stage, user, "calendar", 1)?;
    assert!(events.iter().any(|event| event["has_content"] == true), "attachments are content");
    assert_eq!(keys_held(&stage, user, "contacts", 1)?, keys_now(&stage, user, "contacts")?);
    let packs = count_packs(&stage);
    back_up(&stage, user)?;
    assert_eq!(count_packs(&stage), packs);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_point_holds_what_there_was_then_with_delta_and_without() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let mut states = Vec::new();
    for seed in 1..=4 {
        if seed == 3 {
            // From here on calendars are listed and compared.
            stage.tenant.calendar_edit(user, json!({"action": "events_delta", "mode": "unsupported"}))?;
        }
        back_up(&stage, user)?;
        states.push((keys_now(&stage, user, "calendar")?, keys_now(&stage, user, "contacts")?));
        stage.tenant.calendar_random_edits(user, seed, 12)?;
        stage.tenant.contacts_random_edits(user, seed, 12)?;
    }

    for (at, (events, contacts)) in states.iter().enumerate() {
        assert_eq!(keys_held(&stage, user, "calendar", at + 1)?, *events, "point {}", at + 1);
        assert_eq!(keys_held(&stage, user, "contacts", at + 1)?, *contacts, "point {}", at + 1);
    }
    back_up(&stage, user)?;
    let packs = count_packs(&stage);
    back_up(&stage, user)?;
    assert_eq!(count_packs(&stage), packs, "a listing that finds nothing new writes nothing");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_was_taken_away_is_in_the_old_point_alone() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let edit = |wanted: Value| stage.tenant.contacts_edit(user, wanted);
    let made = edit(json!({"action": "create", "name": "Eva Muster"}))?;
    edit(json!({"action": "photo", "id": made["id"], "seed": "eva"}))?;
    back_up(&stage, user)?;
    let eva = |point: &str| -> anyhow::Result<Value> {
        let path = ["ls", "Contacts", "--user", user, "--feature", "contacts", "--limit", "1000", "--point", point];
        let place = stage.expect(&path)?;
        let all = place["items"].as_array().into_iter().flatten();
        Ok(all.filter(|item| item["name"] == "Eva Muster").cloned().collect())
    };
    assert_eq!(eva("1")?[0]["has_content"], true);

    edit(json!({"action": "photo", "id": made["id"], "seed": null}))?;
    back_up(&stage, user)?;

    assert_eq!(eva("2")?[0]["has_content"], false);
    assert_eq!(eva("1")?[0]["has_content"], true);
    let photo = stage.dir.path().join("eva.jpg");
    let key = eva("1")?[0]["key"].as_str().unwrap_or_default().to_owned();
    let to = photo.to_string_lossy().into_owned();
    let show = ["show", &key, "--user", user, "--feature", "contacts", "--point", "1", "--mime", "--output", &to];
    assert_eq!(stage.run(&show).code, 0);
    assert!(std::fs::metadata(&photo)?.len() > 1000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_attachment_is_told_once_and_its_event_is_kept() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let fingerprint = stage.tenant.calendar_fingerprint(user)?;
    let events = fingerprint["events"].as_array().cloned().unwrap_or_default();
    let with_file = events.iter().find(|event| event["attachments"][0]["kind"] == "file").expect("a file is attached");
    let rule = json!({
        "match": "attachments/*", "kind": "poison", "items": [with_file["id"]], "code": "ErrorCannotOpenFileAttachment",
    });
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [rule] }))?);

    // Exit code 3: done, with exceptions.
    let back_up = || stage.run(&["backup", "--user", user, "--feature", "calendar,contacts", "--wait"]).code;
    assert_eq!(back_up(), 3);
    let packs = count_packs(&stage);
    assert_eq!(back_up(), 3);

    assert_eq!(count_packs(&stage), packs, "nothing is written again for what cannot be read");
    let issues = stage.expect(&["issue", "list", "--user", user, "--feature", "calendar"])?;
    assert_eq!(issues["items"].as_array().map(Vec::len), Some(1), "{issues}");
    assert_eq!(issues["items"][0]["reason"], json!("attachment_unreadable"), "{issues}");
    let events = held(&stage, user, "calendar", 1)?;
    assert!(events.iter().any(|event| event["name"] == with_file["subject"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_lost_nothing_is_restored_by_doing_nothing() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    back_up(&stage, user)?;
    stage.back_up(user)?;
    let everything = |stage: &Stage| -> anyhow::Result<[serde_json::Value; 3]> {
        let mailbox = serde_json::from_slice(&stage.tenant.fingerprint(user)?)?;
        Ok([mailbox, stage.tenant.calendar_fingerprint(user)?, stage.tenant.contacts_fingerprint(user)?])
    };
    let before = everything(&stage)?;

    let restored = stage.expect(&["restore", "--user", user, "--all-features", "--wait"])?;

    let outcomes = &restored["outcomes"];
    assert_eq!((&outcomes["created"], &outcomes["updated"]), (&json!(0), &json!(0)), "{restored}");
    assert!(outcomes["skipped"].as_u64().is_some_and(|skipped| skipped > 0), "{restored}");
    assert_eq!(everything(&stage)?, before);
    stage.assert_polite();
    Ok(())
}
