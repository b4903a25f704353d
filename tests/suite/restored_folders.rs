//! Folders of a restore are opened side by side: each is made once, and nobody looks for anything in a new one.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

/// Siblings below a folder that itself lies below another one: more than are opened at once.
const SIBLINGS: usize = 20;

fn company() -> Options {
    Options { users: 2, messages: 40, events: 6, contacts: 6, files: 20, special_users: false, ..Options::default() }
}

/// How many requests went to routes whose name ends so, with this status.
fn requests(stage: &Stage, method: &str, ending: &str, status: &str) -> u64 {
    let stats = stage.tenant.stats();
    let routes = stats["routes"].as_object().unwrap().iter();
    let ours = routes.filter(|(route, _)| route.starts_with(method) && route.ends_with(ending));
    ours.filter_map(|(_, route)| route["by_status"][status].as_u64()).sum()
}

/// The paths of the folders of a mailbox below `top`, that one included.
fn folders_below(stage: &Stage, user: &str, top: &str) -> anyhow::Result<Vec<String>> {
    let all = stage.mailbox(user)?.folders;
    let paths = all.iter().filter_map(|folder| folder["path"].as_str().map(str::to_owned));
    Ok(paths.filter(|path| path == top || path.starts_with(&format!("{top}/"))).collect())
}

fn restore(stage: &Stage, user: &str, feature: &str) -> anyhow::Result<Value> {
    stage.expect(&["restore", "--user", user, "--feature", feature, "--to-folder", "Restored", "--wait"])
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_folders_that_share_a_way_are_made_once_and_a_new_one_is_not_searched() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.tenant.add_folder(&user, json!({"parent": "", "name": "Projects"}))?;
    stage.tenant.add_folder(&user, json!({"parent": "Projects", "name": "2026"}))?;
    for n in 0..SIBLINGS {
        stage.tenant.add_folder(&user, json!({"parent": "Projects/2026", "name": format!("Customer {n}")}))?;
    }
    stage.back_up(&user)?;
    // What comes first is still being made when the others ask for it.
    let slow = json!({"rules": [{"match": "childFolders", "kind": "delay_ms", "ms": 200}]});
    stage.tenant.set_faults(serde_json::from_value(slow)?);
    let made = |stage: &Stage| requests(stage, "POST", "childFolders", "201");
    let searched = |stage: &Stage| requests(stage, "GET", "mailFolders/{id}/messages", "200");
    let (made_before, searched_before) = (made(&stage), searched(&stage));

    let restored = restore(&stage, &user, "mailbox")?;

    let folders = folders_below(&stage, &user, "Restored")?;
    assert!(folders.len() > SIBLINGS + 3, "{folders:?}");
    assert_eq!(made(&stage) - made_before, folders.len() as u64, "{folders:?}");
    assert_eq!(requests(&stage, "POST", "childFolders", "409"), 0);
    assert_eq!(searched(&stage), searched_before);
    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");

    let again = restore(&stage, &user, "mailbox")?;

    assert_eq!(folders_below(&stage, &user, "Restored")?, folders);
    assert_eq!(made(&stage) - made_before, folders.len() as u64);
    assert!(searched(&stage) > searched_before, "what is there is looked at before anything is created");
    assert_eq!(again["outcomes"]["created"], json!(0), "{again}");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_contacts_and_of_a_drive_are_made_once() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    stage.tenant.contacts_edit(&user, json!({"action": "add_folder", "name": "Partners"}))?;
    let sites: Vec<String> = (0..SIBLINGS).map(|n| format!("Plans/2026/Site {n}")).collect();
    for folder in ["Plans", "Plans/2026"].into_iter().chain(sites.iter().map(String::as_str)) {
        stage.tenant.drive_edit(&user, json!({"path": folder, "create": "folder"}))?;
    }
    for (n, site) in sites.iter().enumerate() {
        let folder = json!({"action": "add_folder", "parent": "Partners", "name": format!("Branch {n}")});
        stage.tenant.contacts_edit(&user, folder)?;
        let file = json!({"path": format!("{site}/plan.txt"), "create": "file", "size": 100, "seed": n});
        stage.tenant.drive_edit(&user, file)?;
    }
    for feature in ["contacts", "onedrive"] {
        stage.run(&["backup", "--user", &user, "--feature", feature, "--wait"]);
        let restored = restore(&stage, &user, feature)?;
        assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    }

    let contacts = stage.tenant.contacts_fingerprint(&user)?;
    let below = |path: &Value| path.as_str().is_some_and(|path| path.starts_with("Restored"));
    let n_folders = contacts["folders"].as_array().unwrap().iter().filter(|folder| below(&folder["path"])).count();
    assert!(n_folders > SIBLINGS, "{contacts:#}");
    let made = requests(&stage, "POST", "contactFolders", "201")
        + requests(&stage, "POST", "contactFolders/{id}/childFolders", "201");
    assert_eq!(made, n_folders as u64);
    let drive: Value = serde_json::from_slice(&stage.tenant.drive_fingerprint(&user)?)?;
    let in_restored = |item: &&Value| item["kind"] == json!("folder") && below(&item["path"]);
    let n_folders = drive["items"].as_array().unwrap().iter().filter(in_restored).count();
    assert!(n_folders > SIBLINGS, "{drive:#}");
    assert_eq!(requests(&stage, "POST", "/children", "201"), n_folders as u64);
    stage.assert_polite();
    Ok(())
}
