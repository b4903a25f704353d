//! Backing up a part of a drive: what a policy includes and leaves out by path, and what moves across the border.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::held::Held;
use crate::support::stage::Stage;

/// Longer than the clocks of Microsoft and of an agent may be apart: what is made then is new for certain.
const LATER_S: i64 = 3_600;

async fn stage_with(files: usize) -> anyhow::Result<(Stage, String)> {
    let stage = Stage::ready(Options { users: 1, messages: 0, files, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    Ok((stage, user))
}

fn choose(stage: &Stage, option: &str, paths: &Value) -> anyhow::Result<()> {
    stage.expect(&["policy", "set", "standard", &format!("onedrive.{option}={paths}")]).map(drop)
}

fn back_up(stage: &Stage, user: &str) {
    // Notebooks and infected files are told as exceptions; nothing else may go wrong.
    let run = stage.run(&["backup", "--user", user, "--feature", "onedrive", "--wait"]);
    assert!([0, 3].contains(&run.code), "{run:?}\n{}", stage.log());
}

fn edit(stage: &Stage, user: &str, wanted: Value) -> anyhow::Result<()> {
    stage.tenant.drive_edit(user, wanted).map(drop)
}

/// The items of the drive by their paths.
fn truth(stage: &Stage, user: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let whole: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(user)?)?;
    let items = whole["items"].as_array().cloned().unwrap_or_default();
    Ok(items.into_iter().map(|item| (item["path"].as_str().unwrap_or_default().to_owned(), item)).collect())
}

/// What the newest point holds, by paths; of files the hash of their content.
async fn held(stage: &Stage) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let held = Held::of(stage).await?;
    let sealed = held.sealed().await?.into_iter().find(|(_, feature, _)| feature == "onedrive").expect("a chain").2;
    let items = held.everything(sealed).await?.items;
    let path = |id: &str| {
        let mut names = Vec::new();
        let mut at = &items[id].properties;
        while at.get("root").is_none() {
            names.push(at["name"].as_str().unwrap_or_default());
            at = &items[at["parentReference"]["id"].as_str().unwrap_or_default()].properties;
        }
        names.reverse();
        names.join("/")
    };
    let hash = |content: &Bytes| blake3::hash(content).to_hex().to_string();
    Ok(items.iter().map(|(id, item)| (path(id), item.content.as_ref().map(hash))).collect())
}

/// Asserts that a point holds these paths of the drive, what is below them, and what leads to them.
async fn assert_held(stage: &Stage, user: &str, wanted: impl Fn(&str) -> bool, leads: &[&str]) -> anyhow::Result<()> {
    let handed_out = |item: &Value| item["kind"] != "package" && item["downloadable"] != json!(false);
    let truth = truth(stage, user)?;
    let kept = |path: &str, item: &Value| handed_out(item) && (wanted(path) || leads.contains(&path));
    let expected: BTreeMap<String, Option<String>> = truth
        .into_iter()
        .filter(|(path, item)| kept(path, item))
        .map(|(path, item)| (path, item["blake3"].as_str().map(str::to_owned)))
        .collect();
    let held = held(stage).await?;
    let names = |all: &BTreeMap<String, Option<String>>| all.keys().cloned().collect::<BTreeSet<_>>();
    let (have, should) = (names(&held), names(&expected));
    let (missing, surplus) = (should.difference(&have), have.difference(&should));
    assert!(have == should, "missing {:?}, surplus {:?}", missing.collect::<Vec<_>>(), surplus.collect::<Vec<_>>());
    assert_eq!(held, expected);
    Ok(())
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn requests(stage: &Stage, matches: impl Fn(&str) -> bool) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().expect("the simulator counts by route");
    routes.iter().filter(|(route, _)| matches(route)).filter_map(|(_, count)| count["requests"].as_u64()).sum()
}

fn downloads(stage: &Stage) -> u64 {
    requests(stage, |route| route.contains("download") || route.ends_with("/content"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_a_part_of_a_drive_and_tells_what_it_leaves_out() -> anyhow::Result<()> {
    let (stage, user) = stage_with(60).await?;
    choose(&stage, "include_paths", &json!(["projects", "Documents"]))?;
    choose(&stage, "exclude_paths", &json!(["/Projects/*/2026/", "**/*.pdf"]))?;

    back_up(&stage, &user);

    let wanted = |path: &str| {
        let inside = is_below(path, "Projects") || is_below(path, "Documents");
        inside && !is_below(path, "Projects/Alpha/2026") && !path.ends_with(".pdf")
    };
    assert_held(&stage, &user, wanted, &[""]).await?;
    let coverage = stage.expect(&["coverage", &user])?;
    let told = coverage["features"].as_array().expect("features");
    let told = told.iter().find(|one| one["feature"] == json!("onedrive")).expect("a drive")["passed_over"].to_string();
    for part in ["includes only projects, Documents", "Projects/*/2026", "**/*.pdf", "the policy leaves it out"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_paths_takes_effect_with_the_next_backup_and_downloads_nothing_twice() -> anyhow::Result<()> {
    let (stage, user) = stage_with(40).await?;
    back_up(&stage, &user);
    let before = held(&stage).await?;
    let n_downloads = downloads(&stage);

    choose(&stage, "exclude_paths", &json!(["Projects"]))?;
    back_up(&stage, &user);
    let without = held(&stage).await?;
    back_up(&stage, &user);
    let still_without = held(&stage).await?;

    assert!(before.keys().any(|path| is_below(path, "Projects/Alpha")));
    assert!(!without.keys().any(|path| is_below(path, "Projects")), "{without:?}");
    assert_eq!(still_without, without);
    assert_eq!(downloads(&stage), n_downloads, "what stays is not read again");
    stage.expect(&["policy", "set", "standard", "onedrive.exclude_paths=default"])?;
    back_up(&stage, &user);
    assert_eq!(held(&stage).await?, before, "wanted again, it is back");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_moves_across_the_border_takes_what_is_below_it_along() -> anyhow::Result<()> {
    let (stage, user) = stage_with(12).await?;
    for (path, kind) in [("In", "folder"), ("Out", "folder"), ("Out/Team", "folder"), ("Out/Team/deep", "folder")] {
        edit(&stage, &user, json!({"path": path, "create": kind}))?;
    }
    edit(&stage, &user, json!({"path": "Out/Team/deep/a.txt", "create": "file", "text": "a"}))?;
    edit(&stage, &user, json!({"path": "Out/Team/b.txt", "create": "file", "text": "b"}))?;
    choose(&stage, "include_paths", &json!(["In", "Place/In"]))?;
    let wanted = |path: &str| is_below(path, "In") || is_below(path, "Place/In");
    back_up(&stage, &user);
    assert_held(&stage, &user, wanted, &[""]).await?;

    for (moved, says) in [
        (json!({"path": "Out/Team", "move_to": "In"}), "in"),
        (json!({"path": "In/Team/deep", "move_to": "Out"}), "a part of it out"),
        (json!({"path": "Out/deep", "move_to": "In"}), "in again"),
        (json!({"path": "In", "rename": "Elsewhere"}), "the included folder itself is called something else"),
        (json!({"path": "Elsewhere", "rename": "In"}), "and back"),
        (json!({"path": "Out", "rename": "Place"}), "a folder that leads to what is wanted"),
        (json!({"path": "In", "move_to": "Place"}), "from one included place to another"),
        (json!({"path": "Place", "rename": "Out"}), "what leads there is called something else"),
    ] {
        println!("{says}");
        edit(&stage, &user, moved)?;
        back_up(&stage, &user);
        assert_held(&stage, &user, wanted, &["", "Place"]).await?;
    }
    stage.assert_polite();
    Ok(())
}

/// An exclusion within an included folder is a border too, though the folder itself is wanted before and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_that_changes_what_is_left_out_below_it_is_noticed() -> anyhow::Result<()> {
    let (stage, user) = stage_with(12).await?;
    for path in ["Work", "Work/tmp", "Work/tmp/deep"] {
        edit(&stage, &user, json!({"path": path, "create": "folder"}))?;
    }
    edit(&stage, &user, json!({"path": "Work/tmp/deep/a.txt", "create": "file", "text": "a"}))?;
    choose(&stage, "exclude_paths", &json!(["Work/tmp"]))?;
    let wanted = |path: &str| !is_below(path, "Work/tmp");
    back_up(&stage, &user);
    assert_held(&stage, &user, wanted, &[]).await?;

    for (from, to) in [("Work", "Play"), ("Play", "Work")] {
        edit(&stage, &user, json!({"path": from, "rename": to}))?;
        back_up(&stage, &user);
        assert_held(&stage, &user, wanted, &[]).await?;
    }
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_or_moved_inside_the_border_costs_no_walk_over_everything() -> anyhow::Result<()> {
    let (stage, user) = stage_with(60).await?;
    choose(&stage, "include_paths", &json!(["Projects"]))?;
    let walked = || requests(&stage, |route| route.ends_with("/delta"));
    back_up(&stage, &user);
    let whole = walked();
    stage.tenant.advance_clock(LATER_S);
    edit(&stage, &user, json!({"path": "Projects/New", "create": "folder"}))?;
    edit(&stage, &user, json!({"path": "Projects/New/below", "create": "folder"}))?;
    edit(&stage, &user, json!({"path": "Projects/New/below/a.txt", "create": "file", "text": "a"}))?;
    edit(&stage, &user, json!({"path": "Projects/Beta", "move_to": "Projects/Alpha"}))?;
    edit(&stage, &user, json!({"path": "Archive/x.txt", "create": "file", "text": "not wanted"}))?;

    back_up(&stage, &user);

    assert_held(&stage, &user, |path| is_below(path, "Projects"), &[""]).await?;
    // A walk over everything would be a page more.
    assert_eq!(walked(), whole + 1);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_drive_in_use_is_followed_through_every_edit() -> anyhow::Result<()> {
    let (stage, user) = stage_with(50).await?;
    choose(&stage, "include_paths", &json!(["Projects", "Documents", "Archive"]))?;
    choose(&stage, "exclude_paths", &json!(["Projects/Alpha/2026", "**/Minutes"]))?;
    let wanted = |path: &str| {
        let inside = ["Projects", "Documents", "Archive"].iter().any(|folder| is_below(path, folder));
        let minutes = path.split('/').any(|name| name == "Minutes");
        inside && !minutes && !is_below(path, "Projects/Alpha/2026")
    };
    let told_twice = json!([{"match": "delta*", "kind": "duplicate_entries"}]);
    stage.tenant.set_faults(serde_json::from_value(json!({ "seed": 1, "rules": told_twice }))?);
    back_up(&stage, &user);

    for seed in 1..=6 {
        println!("seed {seed}");
        stage.tenant.random_drive_edits(&user, seed, 30)?;
        back_up(&stage, &user);
        assert_held(&stage, &user, wanted, &[""]).await?;
    }
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_names_nothing_is_refused_by_the_name_of_the_option() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 0, ..Options::default() }).await?;

    let refused = stage.run(&["policy", "set", "standard", r#"onedrive.exclude_paths=["Documents", "/"]"#]);

    assert!(refused.code != 0, "{refused:?}");
    assert!(
        refused.stderr.contains("onedrive.exclude_paths") && refused.stderr.contains("names no folder"),
        "{refused:?}"
    );
    Ok(())
}
