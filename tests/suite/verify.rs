//! Verification from outside: damage is found, named and contained, and the next backup makes it good.

use std::path::PathBuf;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Ran, Stage, assert_same};

fn company() -> Options {
    Options { users: 2, messages: 60, special_users: false, ..Options::default() }
}

/// The packs on the storage, the largest first.
fn packs(stage: &Stage) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(stage.storage().join("packs")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut found: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "kpk"));
    found.sort_by_key(|path| std::cmp::Reverse(std::fs::metadata(path).unwrap().len()));
    found
}

fn flip(pack: &PathBuf) {
    let mut bytes = std::fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(pack, bytes).unwrap();
}

fn name(pack: &std::path::Path) -> String {
    pack.file_stem().unwrap().to_string_lossy().into_owned()
}

fn verify(stage: &Stage, level: &str) -> Ran {
    stage.run(&["storage", "verify", "disk", "--level", level, "--wait"])
}

fn items(stage: &Stage, command: &[&str]) -> anyhow::Result<Vec<Value>> {
    Ok(stage.expect(command)?["items"].as_array().cloned().unwrap_or_default())
}

fn findings(stage: &Stage, state: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = items(stage, &["storage", "findings", "disk"])?;
    found.retain(|finding| finding["state"] == state);
    Ok(found)
}

/// Restores a point into another mailbox, so that all its contents are read, and returns what became of its items.
fn try_point(stage: &Stage, user: &str, point: &str) -> anyhow::Result<Value> {
    let other = &stage.users()[1];
    let into = ["--to-user", other, "--to-folder", "Then"];
    let ran = stage.run(&[&["restore", "--user", user, "--point", point, "--wait", "--json"], &into[..]].concat());
    let detail: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(ran.code == 3, detail["outcomes"]["failed"] != json!(0), "{ran:?}");
    Ok(detail)
}

/// A backup after damage: every current item is captured again, and the newest point restores to the same mailbox.
fn assert_heals(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let before = stage.mailbox(user)?;
    stage.back_up(user)?;
    assert_eq!(items(stage, &["issue", "list", "--user", user])?, Vec::<Value>::new());
    assert_eq!(findings(stage, "current")?, Vec::<Value>::new());
    let again = verify(stage, "4");
    assert_eq!(again.code, 0, "{again:?}");
    stage.tenant.wipe_mailbox(user)?;
    stage.expect(&["restore", "--user", user, "--wait"])?;
    assert_same(&before, &stage.mailbox(user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_and_named_and_the_next_backup_heals_it() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let pack = packs(&stage).remove(0);
    flip(&pack);
    let path = stage.storage().to_string_lossy().into_owned();

    let keyless = stage.run(&["verify-storage", &path]);
    assert!(keyless.code == 3 && keyless.stderr.contains(&name(&pack)), "{keyless:?}");
    let needs_key = stage.run(&["verify-storage", &path, "--level", "3"]);
    assert!(needs_key.code == 2 && needs_key.stderr.contains("--recovery-key-file"), "{needs_key:?}");
    let found = verify(&stage, "2");

    assert_eq!(found.code, 3, "{found:?}");
    assert!(found.stderr.contains(&name(&pack)) && found.stderr.contains("frame "), "{found:?}");
    assert!(!pack.exists() && pack.with_extension("kpk.bad").exists());
    let hit = findings(&stage, "current")?;
    assert!(!hit.is_empty() && hit.len() < 60, "{} of 60 items", hit.len());
    for finding in &hit {
        assert_eq!((&finding["address"], &finding["pack"]), (&json!(user), &json!(name(&pack))), "{finding}");
    }
    let issues = items(&stage, &["issue", "list", "--user", &user])?;
    assert_eq!(issues.len(), hit.len());
    for issue in &issues {
        assert_eq!(issue["reason"], json!("damaged"), "{issue}");
        assert!(issue["message"].as_str().is_some_and(|text| text.contains("storage disk")), "{issue}");
    }
    let restored = try_point(&stage, &user, "1")?;
    assert_eq!(restored["outcomes"]["failed"], json!(hit.len()), "{restored}");
    assert!(restored["outcomes"]["created"].as_u64().is_some_and(|created| created > 0), "{restored}");
    let clean = stage.run(&["verify-storage", &path]);
    assert_eq!(clean.code, 0, "what is left is sound: {clean:?}");
    assert_heals(&stage, &user)
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_are_gone_or_cut_short_cost_old_points_only_what_was_in_them() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let lost = packs(&stage);
    assert!(lost.len() > 2, "{} packs", lost.len());
    std::fs::remove_file(&lost[0])?;
    std::fs::File::options().write(true).open(&lost[1])?.set_len(2000)?;

    let found = verify(&stage, "1");

    assert_eq!(found.code, 3, "{found:?}");
    for (pack, says) in [(&lost[0], "missing"), (&lost[1], "KEND")] {
        assert!(found.stderr.contains(&name(pack)) && found.stderr.contains(says), "{says}: {found:?}");
    }
    let verifications = items(&stage, &["storage", "verifications", "disk"])?;
    assert_eq!(verifications[0]["damaged_packs"].as_array().map(Vec::len), Some(2), "{verifications:?}");
    assert!(!findings(&stage, "current")?.is_empty());
    assert_heals(&stage, &user)?;
    // Their properties went with the packs, so as they were then they cannot come back; all others can.
    let past = findings(&stage, "past")?;
    let restored = try_point(&stage, &user, "1")?;
    assert_eq!(restored["outcomes"]["failed"], json!(past.len()), "{restored}");
    let mut remarks = restored["remarks"]["items"].as_array().cloned().unwrap_or_default();
    remarks.retain(|remark| remark["outcome"] == "failed");
    let why = |remark: &Value| remark["remark"].as_str().is_some_and(|text| text.contains("damaged"));
    assert!(!past.is_empty() && remarks.iter().all(why), "{remarks:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_storage_is_verified_pack_by_pack_within_its_budget() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let n_packs = packs(&stage).len();
    assert!(n_packs > 1, "{n_packs} packs");
    let verified = || stage.expect(&["storage", "list"]).map(|list| list["items"][0]["verified_at"].clone());

    for _ in 0..n_packs {
        assert_eq!(verified()?, json!(null), "a pack was looked at twice before others had their turn");
        let task = stage.expect(&["storage", "verify", "disk", "--bytes-max", "1", "--wait"])?;
        assert_eq!((&task["result"]["packs"], &task["issues"]), (&json!(1), &json!(0)), "{task}");
    }

    assert!(verified()?.is_string());
    let whole = stage.expect(&["storage", "verify", "disk", "--level", "4", "--wait"])?;
    assert_eq!(whole["result"]["packs"], json!(n_packs), "{whole}");
    assert!(whole["result"]["items_sampled"].as_u64() > Some(50), "{whole}");
    assert_eq!(items(&stage, &["storage", "findings", "disk"])?, Vec::<Value>::new());
    assert_eq!(items(&stage, &["storage", "verifications", "disk"])?.len(), n_packs + 1);
    let none = stage.run(&["verify-storage", "/no/such/place"]);
    assert!(none.code == 1 && none.stderr.contains("/no/such/place"), "{none:?}");
    Ok(())
}
