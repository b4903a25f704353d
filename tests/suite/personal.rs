//! Calendars and contacts through a whole installation: backed up by the command line, looked into, and left alone while
//! nothing changes.

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

/// All items at the top of a feature's newest point, by container.
fn listed(stage: &Stage, user: &str, feature: &str) -> anyhow::Result<Vec<Value>> {
    let top = stage.expect(&["ls", "--user", user, "--feature", feature])?;
    let mut items = Vec::new();
    for container in top["containers"].as_array().into_iter().flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        let inside = stage.expect(&["ls", name, "--user", user, "--feature", feature, "--limit", "1000"])?;
        items.extend(inside["items"].as_array().cloned().unwrap_or_default());
    }
    Ok(items)
}

#[tokio::test(flavor = "multi_thread")]
async fn calendars_and_contacts_are_backed_up_and_unchanged_ones_cost_no_pack() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];

    let ran = back_up(&stage, user)?;

    assert_eq!(ran["state"], json!("succeeded"), "{ran}");
    let events = listed(&stage, user, "calendar")?;
    assert!(events.iter().any(|event| event["has_content"] == true), "attachments are content");
    let contacts = listed(&stage, user, "contacts")?;
    assert!(!contacts.is_empty());
    let packs = count_packs(&stage);
    back_up(&stage, user)?;
    assert_eq!(count_packs(&stage), packs);
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
    let events = listed(&stage, user, "calendar")?;
    assert!(events.iter().any(|event| event["name"] == with_file["subject"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_yet_is_refused_in_words() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    back_up(&stage, user)?;

    let refused = stage.run(&["restore", "--user", user, "--feature", "calendar", "--wait"]);

    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("calendar"), "{}", refused.stderr);
    Ok(())
}
