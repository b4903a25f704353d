//! Storages that are full, missing or not what they should be: told with the remedy, and nothing is lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Stage, assert_same};
use crate::support::wait::{until_answer, until_ended};

/// More than a store's own files need, less than the mailbox below.
const SMALL: &str = "size=200k";
const AMPLE: &str = "remount,size=64m";

fn company() -> Options {
    Options { users: 1, messages: 60, special_users: false, ..Options::default() }
}

/// A file system of a size of its own; unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None`: this user may not mount.
    fn small(path: PathBuf) -> Option<Self> {
        Self::of(SMALL, path)
    }

    fn of(size: &str, path: PathBuf) -> Option<Self> {
        let done = mount(&["-t", "tmpfs", "-o", size, "tmpfs"], &path);
        done.then_some(Self(path))
    }

    /// Other data that leaves so many bytes free.
    fn leave(&self, free: u64) -> anyhow::Result<()> {
        let ballast = self.0.join("ballast");
        std::fs::remove_file(&ballast).ok();
        let found = rustix::fs::statvfs(&self.0)?;
        let taken = (found.f_bavail * found.f_frsize).saturating_sub(free);
        std::fs::write(ballast, vec![1; usize::try_from(taken)?])?;
        Ok(())
    }

    fn grow(&self) {
        assert!(mount(&["-o", AMPLE], &self.0), "the file system cannot be made larger");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

fn mount(args: &[&str], path: &Path) -> bool {
    let tried = Command::new("mount").args(args).arg(path).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Tasks that rest start at once, as if their time had come.
fn wake(stage: &Stage) -> anyhow::Result<()> {
    stage.separate().execute("UPDATE tasks SET not_before = NOW(3) WHERE state = 'queued'")
}

/// What the first backup waits for, once that says `wanted`.
fn waits_for(stage: &Stage, wanted: &str) -> String {
    let says = |run: &Value| run["progress"]["active"][0]["waits_for"].as_str().unwrap_or_default().to_owned();
    says(&until_answer(stage, &["run", "show", "1"], |run| says(run).contains(wanted)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_space_and_then_completes_by_itself() -> anyhow::Result<()> {
    let mut stage = Stage::fresh(company()).await?;
    // To the last byte: with a reserve the disk itself would hardly ever be full.
    stage.configure("[space]\nfree_reserve_mb = 0\n")?;
    stage.expect(&["init"])?;
    stage.start_serve()?;
    let Some(disk) = Mount::small(stage.storage()) else {
        println!("skipped: this user may not mount a small file system");
        return Ok(());
    };
    stage.add_everything()?;
    let user = stage.users().remove(0);
    let before = stage.mailbox(&user)?;
    stage.expect(&["backup", "--user", &user])?;

    let reason = waits_for(&stage, "is full");

    assert!(reason.contains(&*stage.storage().to_string_lossy()), "{reason}");
    let task = &stage.expect(&["task", "list", "--run", "1"])?["items"][0];
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&json!("queued"), &json!(0)),
        "a full disk uses no attempt: {task}"
    );
    disk.grow();
    wake(&stage)?;
    let run = until_ended(&stage, &["run", "show", "1"]);
    assert_eq!(run["state"], json!("succeeded"), "{run}");
    stage.tenant.wipe_mailbox(&user)?;
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_same(&before, &stage.mailbox(&user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_rests_before_the_storage_is_full_and_goes_on_when_there_is_room() -> anyhow::Result<()> {
    let stage = Stage::serving(company()).await?;
    let Some(disk) = Mount::of("size=32m", stage.storage()) else {
        println!("skipped: this user may not mount a small file system");
        return Ok(());
    };
    let space = || -> anyhow::Result<Value> { Ok(stage.expect(&["storage", "list"])?["items"][0]["space"].clone()) };
    stage.add_everything()?;
    let user = stage.users().remove(0);
    assert_eq!(space()?, json!("ok"));
    disk.leave(2 << 20)?;
    assert_eq!(space()?, json!("low"));
    stage.back_up(&user)?;
    let before = stage.mailbox(&user)?;
    stage.tenant.wipe_mailbox(&user)?;
    disk.leave(512 << 10)?;

    stage.expect(&["backup", "--user", &user])?;
    let says = |run: &Value| run["progress"]["active"][0]["waits_for"].as_str().unwrap_or_default().to_owned();
    let reason = says(&until_answer(&stage, &["run", "show", "2"], |run| says(run).contains("reserve")));

    assert!(reason.starts_with("storage disk has 5") && reason.contains("the reserve of 984 KB: "), "{reason}");
    let task = &stage.expect(&["task", "list", "--run", "2"])?["items"][0];
    assert_eq!((&task["state"], &task["attempts"]), (&json!("queued"), &json!(0)), "{task}");
    assert_eq!(space()?, json!("full"));
    let status = stage.run(&["status"]);
    assert!(status.stdout.contains("storage disk is full, backups rest"), "{status:?}");
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_same(&before, &stage.mailbox(&user)?);
    wake(&stage)?;
    until_answer(&stage, &["task", "list", "--run", "2"], |tasks| {
        // It rests anew, for longer than the first time.
        tasks["items"][0]["not_before"].as_str() > task["not_before"].as_str()
    });
    let log = std::fs::read_to_string(stage.dir.path().join("serve.log"))?;
    assert_eq!(log.matches("has less space than its reserve").count(), 1, "a state is told once");
    assert_eq!(log.matches("is low on space").count(), 1, "a state is told once");

    disk.leave(16 << 20)?;
    wake(&stage)?;
    let run = until_ended(&stage, &["run", "show", "2"]);
    assert_eq!((&run["state"], space()?), (&json!("succeeded"), json!("ok")), "{run}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_a_storage_that_is_gone() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    let elsewhere = stage.dir.path().join("unmounted");
    std::fs::rename(stage.storage(), &elsewhere)?;
    stage.expect(&["backup", "--user", &user])?;

    let reason = waits_for(&stage, "does not exist");

    assert!(reason.contains(&*stage.storage().to_string_lossy()), "{reason}");
    std::fs::rename(&elsewhere, stage.storage())?;
    wake(&stage)?;
    let run = until_ended(&stage, &["run", "show", "1"]);
    assert_eq!(run["state"], json!("succeeded"), "{run}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_a_share_is_not_mounted() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let elsewhere = stage.dir.path().join("unmounted");
    std::fs::rename(stage.storage(), &elsewhere)?;
    std::fs::create_dir(stage.storage())?;
    stage.tenant.new_mail(&user, json!({ "count": 30, "seed": 1 }))?;

    stage.expect(&["backup", "--user", &user])?;
    let run = until_answer(&stage, &["run", "show", "2"], |run| {
        run["state"] != json!("running") || run["progress"]["active"][0]["waits_for"].is_string()
    });

    let left: Vec<_> = std::fs::read_dir(stage.storage())?.collect();
    assert!(left.is_empty(), "packs were written under a mount point: {left:?}; {run}");
    std::fs::remove_dir(stage.storage())?;
    std::fs::rename(&elsewhere, stage.storage())?;
    wake(&stage)?;
    until_ended(&stage, &["run", "show", "2"]);
    let before = stage.mailbox(&user)?;
    stage.back_up(&user)?;
    stage.tenant.wipe_mailbox(&user)?;
    stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_same(&before, &stage.mailbox(&user)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_a_storage_is_refused_with_the_remedy() -> anyhow::Result<()> {
    let stage = Stage::serving(company()).await?;
    let refused = |path: &Path, says: &str| {
        let ran = stage.run(&["storage", "add", "disk", "--path", &path.to_string_lossy()]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains(&*path.to_string_lossy()), "{says}: {ran:?}");
    };
    let file = stage.dir.path().join("a-file");
    std::fs::write(&file, "")?;
    refused(&file, "not a directory");
    refused(&file.join("below"), "not a directory");
    if rustix::process::geteuid().is_root() {
        println!("not tried: root may write everywhere");
    } else {
        let locked = stage.dir.path().join("locked");
        std::fs::create_dir(&locked)?;
        std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o500))?;
        refused(&locked, "give it to that user");
    }
    stage.expect(&["storage", "add", "first", "--path", &stage.storage().to_string_lossy()])?;
    let again = stage.run(&["storage", "add", "again", "--path", &stage.storage().to_string_lossy()]);
    assert!(again.code == 1 && again.stderr.contains("choose an empty directory"), "{again:?}");
    assert_eq!(stage.expect(&["storage", "list"])?["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}
