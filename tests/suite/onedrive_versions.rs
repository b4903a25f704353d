//! Older versions of files, as OneDrive keeps them: as many as the policy asks for, with their own content.

use std::collections::BTreeMap;

use bytes::Bytes;
use kodo::features::onedrive::KIND_VERSION;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::held::{Held, Sealed};
use crate::support::stage::Stage;

async fn stage_with(files: usize) -> anyhow::Result<(Stage, String)> {
    let stage = Stage::ready(Options { users: 1, messages: 0, files, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    Ok((stage, user))
}

fn want(stage: &Stage, versions: &str) -> anyhow::Result<()> {
    stage.expect(&["policy", "set", "standard", &format!("onedrive.versions={versions}")]).map(drop)
}

fn back_up(stage: &Stage, user: &str) {
    // Notebooks and infected files are told as exceptions.
    let run = stage.run(&["backup", "--user", user, "--feature", "onedrive", "--wait"]);
    assert!([0, 3].contains(&run.code), "{run:?}\n{}", stage.log());
}

/// Makes a file and writes it anew until it has this many states.
fn write(stage: &Stage, user: &str, path: &str, states: std::ops::RangeInclusive<u32>) -> anyhow::Result<String> {
    let mut id = String::new();
    for state in states {
        let mut edit = json!({ "path": path, "text": text(path, state) });
        if state == 1 {
            edit["create"] = json!("file");
        }
        id = stage.tenant.drive_edit(user, edit)?["id"].as_str().unwrap_or_default().to_owned();
        stage.tenant.advance_clock(60);
    }
    Ok(id)
}

fn text(path: &str, state: u32) -> String {
    format!("{path} as it was written for the {state}. time")
}

async fn sealed(held: &Held) -> anyhow::Result<Sealed> {
    Ok(held.sealed().await?.into_iter().find(|(_, feature, _)| feature == "onedrive").expect("a chain").2)
}

/// The names of the versions that the newest point holds, with their content.
async fn versions(stage: &Stage) -> anyhow::Result<BTreeMap<String, Bytes>> {
    let held = Held::of(stage).await?;
    let rows = held.rows(sealed(&held).await?).await?;
    let mut found = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.version.kind == KIND_VERSION) {
        let content = held.content(&row).await?.expect("every version has content");
        assert_eq!(content.len() as u64, row.version.bytes);
        found.insert(row.version.name, content);
    }
    Ok(found)
}

fn expected(path: &str, states: &[u32]) -> BTreeMap<String, Bytes> {
    let (stem, ending) = path.rsplit_once('.').expect("a file with an ending");
    let one = |state: &u32| (format!("{stem} (version {state}.0).{ending}"), Bytes::from(text(path, *state)));
    states.iter().map(one).collect()
}

fn downloads(stage: &Stage) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("the simulator counts by route");
    let of_content = routes.iter().filter(|(route, _)| route.contains("download") || route.ends_with("/content"));
    of_content.filter_map(|(_, count)| count["requests"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_between_two_backups_has_the_versions_that_the_policy_asks_for() -> anyhow::Result<()> {
    for (wanted, kept) in [("none", &[][..]), ("2", &[4, 5]), ("all", &[1, 2, 3, 4, 5])] {
        let (stage, user) = stage_with(12).await?;
        want(&stage, wanted)?;
        write(&stage, &user, "plan.txt", 1..=1)?;
        back_up(&stage, &user);
        let first = versions(&stage).await?;
        write(&stage, &user, "plan.txt", 2..=6)?;

        back_up(&stage, &user);

        let mut found = versions(&stage).await?;
        found.retain(|name, _| name.starts_with("plan"));
        assert_eq!(found, expected("plan.txt", kept), "{wanted}");
        assert!(!first.keys().any(|name| name.starts_with("plan")), "{wanted}: {first:?}");
        let shown = stage.expect(&["ls", "plan.txt", "--user", &user, "--feature", "onedrive"])?;
        assert_eq!(shown["items"].as_array().map(Vec::len), Some(kept.len()), "{shown}");
        let table = stage.run(&["ls", "plan.txt", "--user", &user, "--feature", "onedrive"]).stdout;
        assert!(table.contains("plan.txt") && (wanted == "none") != table.contains("version 5.0"), "{table}");
        stage.assert_polite();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_fall_out_of_the_number_end_and_the_older_point_keeps_them() -> anyhow::Result<()> {
    let (stage, user) = stage_with(0).await?;
    want(&stage, "2")?;
    write(&stage, &user, "plan.txt", 1..=3)?;
    back_up(&stage, &user);
    let n_downloads = downloads(&stage);
    stage.tenant.drive_edit(&user, json!({"path": "plan.txt", "rename": "plan.md"}))?;
    back_up(&stage, &user);
    assert_eq!(downloads(&stage), n_downloads, "a new name is no reason to read a version again");
    stage.tenant.drive_edit(&user, json!({"path": "plan.md", "rename": "plan.txt"}))?;
    write(&stage, &user, "plan.txt", 4..=4)?;

    back_up(&stage, &user);

    assert_eq!(versions(&stage).await?, expected("plan.txt", &[2, 3]));
    // The file, and the version that it was; each costs the request that leads to it.
    assert_eq!(downloads(&stage) - n_downloads, 3, "the version that was known is not read again");
    let first = stage.expect(&["ls", "plan.txt", "--user", &user, "--feature", "onedrive", "--point", "1"])?;
    let names = first["items"].to_string();
    assert!(
        names.contains("version 1.0") && names.contains("version 2.0") && !names.contains("version 3.0"),
        "{names}"
    );
    stage.tenant.drive_edit(&user, json!({"path": "plan.txt", "delete": true}))?;
    back_up(&stage, &user);
    assert!(versions(&stage).await?.is_empty(), "versions go with their file");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_number_takes_effect_with_the_next_backup() -> anyhow::Result<()> {
    let (stage, user) = stage_with(0).await?;
    write(&stage, &user, "plan.txt", 1..=4)?;
    back_up(&stage, &user);
    for (wanted, kept) in [("all", &[1, 2, 3][..]), ("1", &[3]), ("2", &[2, 3]), ("none", &[]), ("default", &[])] {
        want(&stage, wanted)?;

        back_up(&stage, &user);

        assert_eq!(versions(&stage).await?, expected("plan.txt", kept), "{wanted}");
    }
    stage.tenant.expire_delta(Some(&user))?;
    want(&stage, "all")?;
    back_up(&stage, &user);
    stage.tenant.expire_delta(Some(&user))?;
    back_up(&stage, &user);
    assert_eq!(versions(&stage).await?, expected("plan.txt", &[1, 2, 3]), "a walk over everything ends no version");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_no_files_in_what_is_told_of_coverage() -> anyhow::Result<()> {
    let (stage, user) = stage_with(12).await?;
    write(&stage, &user, "plan.txt", 1..=5)?;
    back_up(&stage, &user);
    let drive = |view: &Value| {
        let features = view["features"].as_array().expect("features").iter();
        features.clone().find(|one| one["feature"] == json!("onedrive")).expect("a drive").clone()
    };
    let before = drive(&stage.expect(&["coverage", &user, "--all"])?);

    want(&stage, "all")?;
    back_up(&stage, &user);

    let after = drive(&stage.expect(&["coverage", &user, "--all"])?);
    assert_eq!(after["items"], before["items"], "{after}");
    let own = after["containers"].as_array().expect("containers").iter();
    let own: Vec<_> =
        own.filter(|one| one["path"].as_str().is_some_and(|path| path.ends_with("Older versions of files"))).collect();
    assert!(own.len() == 1 && own[0]["items"].as_u64() >= Some(4) && own[0]["differs"] == json!(false), "{after}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_be_read_costs_itself_alone() -> anyhow::Result<()> {
    let (stage, user) = stage_with(0).await?;
    want(&stage, "all")?;
    write(&stage, &user, "plan.txt", 1..=4)?;
    let broken = json!({"match": "versions/2.0/content", "kind": "status", "status": 500, "body": "html"});
    let unlisted = json!({"match": "/versions", "kind": "status", "status": 500, "body": "html"});
    let chain = ["--user", &user, "--feature", "onedrive"];
    let names = |stage: &Stage| -> anyhow::Result<Vec<Value>> {
        let issues = stage.expect(&[&["issue", "list"][..], &chain].concat())?["items"].clone();
        let own = |issue: &&Value| issue["name"].as_str().is_some_and(|name| name.starts_with("plan"));
        Ok(issues.as_array().into_iter().flatten().filter(own).map(|issue| issue["name"].clone()).collect())
    };

    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [broken] }))?);
    back_up(&stage, &user);

    assert_eq!(versions(&stage).await?, expected("plan.txt", &[1, 3]));
    assert_eq!(names(&stage)?.len(), 1);
    stage.tenant.clear_faults();
    back_up(&stage, &user);
    assert_eq!(versions(&stage).await?, expected("plan.txt", &[1, 2, 3]));
    assert!(names(&stage)?.is_empty());
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": [unlisted] }))?);
    write(&stage, &user, "plan.txt", 5..=5)?;
    back_up(&stage, &user);
    assert_eq!(names(&stage)?, [json!("plan.txt")]);
    let file = stage.run(&["ls", "plan.txt", "--user", &user, "--feature", "onedrive"]).stdout;
    assert!(file.contains("plan.txt"), "the file is kept: {file}");
    stage.tenant.clear_faults();
    back_up(&stage, &user);
    assert_eq!(versions(&stage).await?, expected("plan.txt", &[1, 2, 3, 4]));
    assert!(names(&stage)?.is_empty());
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_versions_are_written_below_the_name_of_their_file() -> anyhow::Result<()> {
    let (mut stage, user) = stage_with(0).await?;
    let place = stage.dir.path().join("vault");
    std::fs::create_dir(&place)?;
    let place = place.to_string_lossy().into_owned();
    let added = stage.expect(&["storage", "add", "vault", "--path", &place])?;
    let key = stage.dir.path().join("recovery-key");
    std::fs::write(&key, added["recovery_key"].as_str().expect("a storage is encrypted by default"))?;
    stage.expect(&["policy", "add", "kept", "--storage", "vault", "--set", "onedrive.versions=all"])?;
    stage.tenant.drive_edit(&user, json!({"path": "Deep", "create": "folder"}))?;
    write(&stage, &user, "plan.txt", 1..=2)?;
    stage.tenant.drive_edit(&user, json!({"path": "plan.txt", "move_to": "Deep"}))?;
    stage.expect(&["backup", "--user", &user, "--feature", "onedrive", "--policy", "kept", "--wait"])?;
    stage.stop_serve()?;
    let to = stage.dir.path().join("rescued");

    let at = ["--path", &place, "--recovery-key-file", &key.to_string_lossy()];
    let extract = ["rescue", "extract", "--user", &user, "--to", &to.to_string_lossy()];
    let done = stage.run(&[&extract[..], &at].concat());

    assert_eq!(done.code, 0, "{done:?}");
    let below = to.join("OneDrive");
    let read = |path: &str| std::fs::read_to_string(below.join(path)).map_err(|err| anyhow::anyhow!("{path}: {err}"));
    assert_eq!(read("Deep/plan.txt")?, text("plan.txt", 2));
    assert_eq!(read("Older versions of files/Deep/plan.txt/plan (version 1.0).txt")?, text("plan.txt", 1));
    Ok(())
}
