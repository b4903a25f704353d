//! Content leaves as files: downloaded as an archive, or written by an agent into a directory; and who may have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use kodo::features::{FeatureOptions, Need, RemoteItem, Source, find};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;
use crate::support::tenant::{client, in_memory};
use crate::support::wait::{until, until_ended};

const PASSPHRASE: &str = "correct horse battery";
const LARGE_BYTES: u64 = 256 << 20;
/// What an export may take in memory, whatever is in it.
const MEMORY_KIB_MAX: u64 = 64 << 10;

fn company() -> Options {
    Options { users: 1, messages: 30, special_users: false, large_attachments: true, ..Options::default() }
}

fn back_up(stage: &Stage, features: &str) -> anyhow::Result<String> {
    let user = stage.users().remove(0);
    let ran = stage.run(&["backup", "--user", &user, "--feature", features, "--wait"]);
    // 3: all but what Microsoft does not hand out.
    anyhow::ensure!([0, 3].contains(&ran.code), "{ran:?}");
    Ok(user)
}

/// A name in the folder of the stage, as an argument.
fn place(stage: &Stage, name: &str) -> String {
    stage.dir.path().join(name).to_string_lossy().into_owned()
}

/// Takes an archive apart with programs that know nothing of kodo; `None`, with a word of it, where there are none.
fn unpacked(archive: &str, to: &str) -> Option<PathBuf> {
    match Command::new("unzip").args(["-q", archive, "-d", to]).output() {
        Err(_) => {
            println!("skipped: there is no unzip here (script/setup installs it)");
            None
        }
        Ok(ran) => {
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            Some(PathBuf::from(to))
        }
    }
}

fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let all = all_files(below).into_iter();
    all.filter(|path| path.extension().is_some_and(|have| have == ending)).collect()
}

/// What the Python libraries find in calendars and cards, file by file.
fn read_by_libraries(files: &[PathBuf]) -> Option<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("target/python/bin/python3");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let ready = Command::new(&python).args(["-c", "import icalendar, vobject"]).output();
    if !ready.is_ok_and(|ran| ran.status.success()) {
        println!("skipped: no python3 has icalendar and vobject (script/setup installs them, given a network)");
        return None;
    }
    let ran = Command::new(python).arg(root.join("tests/formats/read_files.py")).args(files).output().ok()?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let all: Value = serde_json::from_slice(&ran.stdout).expect("the script prints JSON");
    Some(files.iter().map(|file| all[file.to_string_lossy().as_ref()].clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_user_is_downloaded_and_other_programs_read_every_file() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { files: 40, ..company() }).await?;
    let user = back_up(&stage, "mailbox,calendar,contacts,onedrive")?;
    let archive = place(&stage, "user.zip");

    let done = stage.expect(&["export", "--user", &user, "--properties", "--to", &archive])?;

    assert_eq!(done["bytes"], json!(std::fs::metadata(&archive)?.len()), "{done}");
    assert_eq!(done["export"]["parts"].as_array().map(Vec::len), Some(4), "{done}");
    if let Ok(ran) = Command::new("7z").args(["t", &archive]).output() {
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    }
    let Some(out) = unpacked(&archive, &place(&stage, "out")) else { return Ok(()) };
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("kodo-export.json"))?)?;
    assert_eq!(report["not_written"], 0, "{report}");
    assert_mail_is_as_it_was_captured(&stage, &out).await?;
    assert_libraries_read_all(&stage, &user, &out)?;
    assert_files_are_as_they_were(&stage, &user, &out)
}

/// Every file that Microsoft hands out is there, to the byte.
fn assert_files_are_as_they_were(stage: &Stage, user: &str, out: &Path) -> anyhow::Result<()> {
    let drive: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(user)?)?;
    let mut written: Vec<String> = Vec::new();
    for file in all_files(&out.join(user).join("onedrive")) {
        written.push(blake3::hash(&std::fs::read(file)?).to_hex().to_string());
    }
    let items = drive["items"].as_array().into_iter().flatten().filter(|item| item["downloadable"] == true);
    let (mut n_files, mut missing) = (0, Vec::new());
    for item in items {
        n_files += 1;
        match written.iter().position(|hash| item["blake3"] == json!(hash)) {
            Some(at) => drop(written.swap_remove(at)),
            None => missing.push(item["path"].clone()),
        }
    }
    assert!(n_files > 0 && missing.is_empty(), "{missing:?} of {n_files} files are not there");
    Ok(())
}

fn all_files(below: &Path) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![below.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            if entry.path().is_dir() { waiting.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

async fn assert_mail_is_as_it_was_captured(stage: &Stage, out: &Path) -> anyhow::Result<()> {
    let (graph, mailbox) = (client(&stage.tenant), find("mailbox").expect("there is a mailbox feature"));
    let users = stage.tenant.users();
    let mut users = users["users"].as_array().into_iter().flatten();
    let user = users.find(|user| user["user_principal_name"] == json!(stage.users()[0])).expect("the user is there");
    let user = user["id"].as_str().expect("an id");
    let source = Source { graph: &graph, user, options: &FeatureOptions::default() };
    let mail = files(&out.join(&stage.users()[0]).join("mailbox"), "eml");
    assert_eq!(mail.len(), stage.mailbox(&stage.users()[0])?.messages.len());
    for file in mail {
        let properties: Value = serde_json::from_slice(&std::fs::read(file.with_extension("json"))?)?;
        let id = properties["id"].as_str().expect("a message has an id").to_owned();
        let captured = mailbox.capture(source, &RemoteItem { id, properties: None }, Need::Everything).await.unwrap();
        let original = in_memory(captured.content.expect("a message has a text"));
        assert_eq!(std::fs::read(&file)?, original, "{}", file.display());
    }
    Ok(())
}

fn assert_libraries_read_all(stage: &Stage, user: &str, out: &Path) -> anyhow::Result<()> {
    let (calendars, cards) = (files(out, "ics"), files(out, "vcf"));
    let contacts = stage.tenant.contacts_fingerprint(user)?;
    assert_eq!(Some(cards.len()), contacts["contacts"].as_array().map(Vec::len));
    let Some(read) = read_by_libraries(&calendars) else { return Ok(()) };
    let uids: BTreeSet<&str> = read.iter().filter_map(|events| events[0]["uid"].as_str()).collect();
    assert_eq!(uids.len(), calendars.len(), "every item has a name of its own");
    assert!(read.iter().any(|events| events.as_array().is_some_and(|all| all.len() > 1)), "a series has exceptions");
    assert!(read.iter().any(|events| events[0]["cancelled"] != json!([])), "a series has cancelled dates");
    let read = read_by_libraries(&cards).unwrap_or_default();
    let names = |all: Vec<String>| all.into_iter().collect::<BTreeSet<_>>();
    let written = names(read.iter().filter_map(|card| card[0]["name"].as_str()).map(str::to_owned).collect());
    assert!(!written.is_empty() && !written.contains("-"), "{written:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_and_folders_as_files_hold_what_was_chosen_alone() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = back_up(&stage, "mailbox,calendar")?;
    let inbox = stage.expect(&["ls", "Inbox", "--user", &user, "--limit", "1000"])?;
    let messages = inbox["items"].as_array().cloned().unwrap_or_default();
    let key = messages[0]["key"].as_str().expect("a key");
    let (one, folder, all) = (place(&stage, "one.zip"), place(&stage, "folder.zip"), place(&stage, "all.zip"));

    stage.expect(&["export", "--user", &user, "--feature", "mailbox", "--item", key, "--to", &one])?;
    stage.expect(&["export", "--user", &user, "--feature", "mailbox", "--folder", "Inbox", "--to", &folder])?;
    stage.expect(&["export", "--user", &user, "--folder-files", "--to", &all])?;

    let Some(out) = unpacked(&one, &place(&stage, "one")) else { return Ok(()) };
    let found = files(&out, "eml");
    assert!(found.len() == 1 && found[0].to_string_lossy().contains(&key[..12]), "{found:?}");
    let out = unpacked(&folder, &place(&stage, "folder")).expect("unzip was there");
    assert_eq!(files(&out, "eml").len(), messages.len());
    let out = unpacked(&all, &place(&stage, "all")).expect("unzip was there");
    assert!(files(&out, "eml").is_empty() && out.join(&user).join("mailbox/Inbox.mbox").exists());
    let calendars = files(&out, "ics");
    let read = read_by_libraries(&calendars).unwrap_or_default();
    assert!(read.iter().all(|events| events.as_array().is_some_and(|all| !all.is_empty())), "{calendars:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_of_files_are_in_the_archive_below_the_names_of_their_files() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { files: 12, ..company() }).await?;
    let user = stage.users().remove(0);
    stage.expect(&["policy", "set", "standard", "onedrive.versions=all"])?;
    stage.tenant.drive_edit(&user, json!({ "path": "Deep", "create": "folder" }))?;
    let states = ["the first", "the second, which is longer", "", "the fourth"];
    for (number, text) in states.iter().enumerate() {
        let mut edit = json!({ "path": "Deep/plan.txt", "text": text });
        if number == 0 {
            edit["create"] = json!("file");
        }
        stage.tenant.drive_edit(&user, edit)?;
        stage.tenant.advance_clock(60);
    }
    back_up(&stage, "onedrive")?;
    let archive = place(&stage, "drive.zip");

    stage.expect(&["export", "--user", &user, "--feature", "onedrive", "--to", &archive])?;

    let Some(out) = unpacked(&archive, &place(&stage, "out")) else { return Ok(()) };
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("kodo-export.json"))?)?;
    assert_eq!(report["not_written"], 0, "{report}");
    let top = out.join(&user).join("onedrive");
    let written: Vec<String> = all_files(&top)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("plan"))
        .map(|path| path.strip_prefix(&top).expect("it is below").to_string_lossy().into_owned())
        .collect();
    let read = |path: &str| std::fs::read_to_string(top.join(path)).map_err(|err| anyhow::anyhow!("{path}: {err}"));
    assert_eq!(read("OneDrive/Deep/plan.txt")?, states[3], "{written:?}");
    for (number, text) in states[..3].iter().enumerate() {
        let version = format!("OneDrive/Older versions of files/Deep/plan.txt/plan (version {}.0).txt", number + 1);
        assert_eq!(read(&version)?, *text, "{written:?}");
    }
    assert_eq!(written.len(), states.len(), "{written:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_download_opens_with_its_passphrase_alone_and_nobody_hears_it() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = back_up(&stage, "contacts")?;
    let (file, archive) = (place(&stage, "phrase"), place(&stage, "sealed.zip"));
    std::fs::write(&file, PASSPHRASE)?;

    stage.expect(&["export", "--user", &user, "--passphrase-file", &file, "--to", &archive])?;

    let listed = stage.expect(&["export", "list"])?;
    assert_eq!(listed["items"][0]["encrypted"], true, "{listed}");
    assert!(!listed.to_string().contains(PASSPHRASE) && !stage.log().contains(PASSPHRASE));
    std::fs::write(&file, "too short")?;
    let refused = stage.run(&["export", "--user", &user, "--passphrase-file", &file, "--to", &place(&stage, "x.zip")]);
    assert!(refused.code != 0 && refused.stderr.contains("12 to 200"), "{refused:?}");
    let test = |phrase: &str| Command::new("7z").args(["t", &format!("-p{phrase}"), &archive]).output();
    match test(PASSPHRASE) {
        Err(_) => println!("skipped: there is no 7z here (script/setup installs it)"),
        Ok(ran) => {
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
            assert!(!test("another passphrase")?.status.success());
        }
    }
    Ok(())
}

/// An installation that may write exports, and the directory for them.
async fn writing_stage() -> anyhow::Result<(Stage, String)> {
    let mut options = company();
    options.messages = 300;
    let mut stage = Stage::fresh(options).await?;
    let directory = place(&stage, "exports");
    std::fs::create_dir(&directory)?;
    stage.configure(&format!("[exports]\ndirectories = [{directory:?}]\n"))?;
    stage.expect(&["init"])?;
    stage.start_serve()?;
    stage.add_everything()?;
    Ok((stage, directory))
}

fn names_in(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_an_export_into_an_allowed_directory_and_deletes_it_in_time() -> anyhow::Result<()> {
    let (stage, directory) = writing_stage().await?;
    let user = back_up(&stage, "mailbox,contacts")?;

    stage.expect(&["export", "--user", &user, "--on-server", &directory, "--name", "ann", "--wait"])?;

    assert_eq!(names_in(&directory), ["ann-1.zip"]);
    let shown = stage.expect(&["export", "show", "1"])?;
    assert_eq!((&shown["state"], &shown["not_written"]), (&json!("succeeded"), &json!(0)), "{shown}");
    assert_eq!(shown["path"], json!(format!("{directory}/ann-1.zip")));
    assert!(
        unpacked(&format!("{directory}/ann-1.zip"), &place(&stage, "out"))
            .is_none_or(|out| !files(&out, "eml").is_empty())
    );
    let elsewhere = stage.run(&["export", "--user", &user, "--on-server", "/etc", "--wait"]);
    assert!(elsewhere.code != 0 && elsewhere.stderr.contains("exports.directories"), "{elsewhere:?}");
    let http = Http::of(&stage)?;
    let taken = http.get("/api/v1/exports/1/download").await?;
    assert!(taken.problem(422).contains("written to"), "{taken:?}");

    // A day passes.
    stage.separate().execute(
        "UPDATE kodo.tasks SET work = JSON_SET(work, '$.at', '2020-01-01T00:00:00Z'), not_before = NOW(6) \
         WHERE kind = 'expire_export'",
    )?;
    until(&stage, "the archive is deleted", || names_in(&directory).is_empty().then_some(()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_killed_or_cancelled_leaves_no_half_file() -> anyhow::Result<()> {
    let (mut stage, directory) = writing_stage().await?;
    let user = back_up(&stage, "mailbox")?;
    let start = |stage: &Stage| stage.expect(&["export", "--user", &user, "--on-server", &directory]);
    start(&stage)?;
    until(&stage, "it is being written", || (!names_in(&directory).is_empty()).then_some(()));

    stage.serve().kill()?;
    let left = names_in(&directory);
    assert!(left.iter().all(|name| name.starts_with('.') || name == "kodo-export-1.zip"), "{left:?}");
    stage.start_serve()?;

    let ended = until_ended(&stage, &["export", "show", "1"]);
    assert_eq!(ended["state"], json!("succeeded"), "{ended}\n{}", stage.log());
    assert_eq!(names_in(&directory), ["kodo-export-1.zip"]);
    let whole = Command::new("unzip").args(["-tq", &format!("{directory}/kodo-export-1.zip")]).status();
    assert!(whole.is_ok_and(|status| status.success()));

    let second = start(&stage)?;
    let task = second["task_id"].to_string();
    stage.expect(&["task", "cancel", &task])?;
    let ended = until_ended(&stage, &["export", "show", "2"]);
    // It may have been done before anybody could stop it.
    let expected: &[&str] = match ended["state"].as_str() {
        Some("cancelled") => &["kodo-export-1.zip"],
        _ => &["kodo-export-1.zip", "kodo-export-2.zip"],
    };
    until(&stage, "what is no archive is gone", || (names_in(&directory) == expected).then_some(()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_exported_in_little_memory() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    let large = json!({ "path": "large.bin", "create": "file", "size": LARGE_BYTES, "seed": 5 });
    stage.tenant.drive_edit(&user, large)?;
    back_up(&stage, "onedrive")?;
    let before = stage.serve().peak_memory_kib()?;

    let done = stage.expect(&["export", "--user", &user, "--to", &place(&stage, "large.zip")])?;

    assert!(done["bytes"].as_u64() > Some(LARGE_BYTES / 2), "{done}");
    let grown = stage.serve().peak_memory_kib()?.saturating_sub(before);
    println!("{before} KiB before, {grown} KiB more for an export with a file of {LARGE_BYTES} bytes");
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB more");
    Ok(())
}
