//! What people look for is found: by what an item says, where and when it was, and what became of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;

const FEATURES: &str = "mailbox,calendar,contacts,onedrive";
/// What Graph calls the signed text of a message, which has no such name in the message itself.
const SIGNED: &str = "smime.p7m";

fn company() -> Options {
    Options { users: 2, messages: 40, special_users: false, ..Options::default() }
}

/// All features of a user. A drive has files that nobody can back up: then the run says so, and is incomplete.
fn back_up(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let ran = stage.run(&["backup", "--user", user, "--feature", FEATURES, "--wait", "--json"]);
    assert!(matches!(ran.code, 0 | 3), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(told["progress"]["tasks"]["succeeded"], json!(4), "{told}");
    Ok(())
}

/// What a search finds, all pages together.
fn search(stage: &Stage, question: &[&str]) -> anyhow::Result<Vec<Value>> {
    let found = stage.expect(&[&["search"], question].concat())?;
    assert_eq!(found["next"], Value::Null, "{question:?} has more");
    Ok(found["items"].as_array().cloned().unwrap_or_default())
}

fn names(hits: &[Value]) -> BTreeSet<&str> {
    hits.iter().filter_map(|hit| hit["name"].as_str()).collect()
}

/// The live messages of a mailbox, without drafts.
fn messages(stage: &Stage, user: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = stage.mailbox(user)?.messages;
    all.retain(|message| message["isDraft"] == false);
    Ok(all)
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The newest moment before now that a point may have been sealed at.
fn sealed_at(stage: &Stage, user: &str, feature: &str) -> anyhow::Result<DateTime<Utc>> {
    let points = stage.expect(&["point", "list", "--user", user, "--feature", feature])?;
    let at = points["items"][0]["sealed_at"].as_str().unwrap_or_default();
    Ok(at.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_subject_people_attachments_dates_size_and_folder() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    back_up(&stage, user)?;
    back_up(&stage, &stage.users()[1])?;
    let all = messages(&stage, user)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();

    for message in all.iter().filter(|message| !words(&text(&message["subject"])).is_empty()).take(8) {
        let subject = text(&message["subject"]);
        let hits = search(
            &stage,
            &[&words(&subject)[..].iter().take(12).cloned().collect::<Vec<_>>().join(" "), "--user", user],
        )?;
        assert!(names(&hits).contains(subject.as_str()), "{subject:?} is not among {:?}", names(&hits));
    }
    let (mut by_sender, mut by_recipient, mut by_file) = (0, 0, 0);
    for message in &all {
        let subject = text(&message["subject"]);
        let from = text(&message["from"]["address"]);
        if by_sender < 3 && from.contains('@') {
            let hits = search(&stage, &["--user", user, "--feature", "mailbox", "--from", &from])?;
            assert!(hits.iter().all(|hit| hit["party"].as_str() == Some(from.as_str())), "{from}");
            assert!(names(&hits).contains(subject.as_str()), "from {from}");
            by_sender += 1;
        }
        let to = text(&message["to"][0]["address"]);
        if by_recipient < 3 && to.contains('@') {
            let hits = search(&stage, &["--user", user, "--to", &to])?;
            assert!(names(&hits).contains(subject.as_str()), "to {to}");
            by_recipient += 1;
        }
        let files = message["attachments"].as_array().into_iter().flatten();
        let file = files
            .filter(|file| file["kind"] == "file" && file["name"] != SIGNED)
            .map(|file| text(&file["name"]))
            .find(|name| !words(name).is_empty());
        if let (true, Some(file)) = (by_file < 3, file) {
            let hits = search(&stage, &["--user", user, "--attachment", &file])?;
            assert!(names(&hits).contains(subject.as_str()), "with {file}");
            by_file += 1;
        }
    }
    assert!(by_sender > 0 && by_recipient > 0 && by_file > 0, "{by_sender} {by_recipient} {by_file}");

    let one = &search(&stage, &["--user", user, "--feature", "mailbox", "--folder", "inbox"])?[0];
    let (time, bytes) = (text(&one["time"]), one["bytes"].to_string());
    let same = search(
        &stage,
        &["--user", user, "--since", &time, "--until", &time, "--bytes-min", &bytes, "--bytes-max", &bytes],
    )?;
    assert!(same.iter().any(|hit| hit["key"] == one["key"]), "{same:?}");
    assert!(same.iter().all(|hit| hit["time"] == one["time"] && hit["bytes"] == one["bytes"]), "{same:?}");
    let everybody = search(&stage, &["--feature", "mailbox", "--folder", "inbox"])?;
    assert_eq!(everybody.iter().filter_map(|hit| hit["address"].as_str()).collect::<BTreeSet<_>>().len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_contacts_and_files_are_found_by_what_is_in_them() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let event = stage.tenant.calendar_edit(
        user,
        json!({"action": "create", "subject": "Zeppelin planning", "start": "2031-05-06T07:00:00Z"}),
    )?;
    let set = json!({"location": "Friedrichshafen", "attach": "hangar_plan.txt"});
    stage.tenant.calendar_edit(user, json!({"action": "change", "id": event["id"], "set": set}))?;
    let contact = json!({"action": "create", "name": "Eva Muster", "email": "eva.muster@zeppelin.example"});
    let contact = stage.tenant.contacts_edit(user, contact)?;
    let texts = json!({"companyName": "Luftschiffbau"});
    stage.tenant.contacts_edit(user, json!({"action": "change", "id": contact["id"], "texts": texts}))?;
    stage.tenant.drive_edit(user, json!({"path": "Hangar", "create": "folder"}))?;
    stage.tenant.drive_edit(user, json!({"path": "Hangar/final_report-v2.PDF", "create": "file", "text": "x"}))?;
    back_up(&stage, user)?;

    for (question, wanted) in [
        (&["zeppelin", "PLANNING"][..], &["Zeppelin planning"][..]),
        (&["friedrichshafen"], &["Zeppelin planning"]),
        (&["--attachment", "hangar plan"], &["Zeppelin planning"]),
        (&["zeppelin", "--since", "2031-05-06T00:00:00Z", "--until", "2031-05-07T00:00:00Z"], &["Zeppelin planning"]),
        (&["zeppelin", "--until", "2031-05-05T00:00:00Z", "--feature", "calendar"], &[]),
        (&["muster"], &["Eva Muster"]),
        (&["--from", "eva.muster@zeppelin.example"], &["Eva Muster"]),
        (&["luftschiffbau"], &["Eva Muster"]),
        (&["zeppelin"], &["Eva Muster", "Zeppelin planning"]),
        (&["report", "v2"], &["final_report-v2.PDF"]),
        (&["--extension", "pdf", "--folder", "hangar"], &["final_report-v2.PDF"]),
        (&["hangar", "--feature", "onedrive"], &["Hangar"]),
        (&["zeppelin", "nonsense"], &[]),
    ] {
        let hits = search(&stage, question)?;
        assert_eq!(names(&hits), wanted.iter().copied().collect(), "{question:?}");
    }
    let file = &search(&stage, &["report", "v2"])?[0];
    assert!(file["folder"].as_str().is_some_and(|folder| folder.ends_with("/Hangar")), "{file}");

    let preview = |hit: &Value| -> anyhow::Result<(String, String)> {
        let key = hit["key"].as_str().unwrap_or_default().to_owned();
        Ok((format!("/api/v1/items/{}/{}/{key}/preview", hit["chain_id"], hit["point"]), key))
    };
    let http = Http::of(&stage)?;
    let seen = http.get(&preview(&search(&stage, &["friedrichshafen"])?[0])?.0).await?.json;
    assert_eq!(seen["facts"]["location"]["displayName"], json!("Friedrichshafen"), "{seen}");
    assert_eq!(seen["attachments"][0]["name"], json!("hangar_plan.txt"), "{seen}");
    let seen = http.get(&preview(&search(&stage, &["muster"])?[0])?.0).await?.json;
    assert_eq!(seen["facts"]["companyName"], json!("Luftschiffbau"), "{seen}");
    let seen = http.get(&preview(file)?.0).await?.json;
    assert_eq!((&seen["facts"]["size"], &seen["text"]), (&json!(1), &Value::Null), "{seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_found_as_of_then_and_what_is_gone_among_the_deleted() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let contact = stage.tenant.contacts_edit(user, json!({"action": "create", "name": "Eva Muster"}))?;
    let file = |edit: Value| stage.tenant.drive_edit(user, edit);
    file(json!({"path": "before.txt", "create": "file", "text": "x"}))?;
    back_up(&stage, user)?;
    let first = sealed_at(&stage, user, "contacts")?.max(sealed_at(&stage, user, "onedrive")?).to_rfc3339();
    stage.tenant.contacts_edit(user, json!({"action": "delete", "id": contact["id"]}))?;
    file(json!({"path": "before.txt", "rename": "after.txt"}))?;
    back_up(&stage, user)?;

    assert_eq!(names(&search(&stage, &["muster"])?), BTreeSet::new());
    assert_eq!(names(&search(&stage, &["muster", "--as-of", &first])?), BTreeSet::from(["Eva Muster"]));
    let gone = search(&stage, &["muster", "--deleted"])?;
    assert_eq!((gone.len(), &gone[0]["deleted"], &gone[0]["point"]), (1, &json!(true), &json!(1)), "{gone:?}");
    assert_eq!(search(&stage, &["muster", "--deleted", "--as-of", &first])?, Vec::<Value>::new());
    assert_eq!(search(&stage, &["muster", "--as-of", "2020-01-01T00:00:00Z"])?, Vec::<Value>::new());
    assert_eq!(names(&search(&stage, &["before", "--extension", "txt"])?), BTreeSet::new(), "it has another name");
    assert_eq!(names(&search(&stage, &["after", "--extension", "txt"])?), BTreeSet::from(["after.txt"]));
    let old = search(&stage, &["before", "--extension", "txt", "--as-of", &first])?;
    assert_eq!(names(&old), BTreeSet::from(["before.txt"]));

    let key = old[0]["key"].as_str().unwrap_or_default();
    let versions = stage.expect(&["versions", key, "--user", user, "--feature", "onedrive"])?;
    let told = |name: &str| -> Vec<Value> {
        versions["items"].as_array().into_iter().flatten().map(|one| one[name].clone()).collect()
    };
    assert_eq!(told("name"), [json!("after.txt"), json!("before.txt")], "{versions}");
    assert_eq!(told("changes")[1], json!(["created"]), "{versions}");
    let changes = told("changes").swap_remove(0);
    let changes: Vec<&str> = changes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(changes.contains(&"name") && !changes.contains(&"content") && !changes.contains(&"size"), "{changes:?}");

    let ls = |moment: &str| stage.expect(&["ls", "--user", user, "--feature", "contacts", "--as-of", moment]);
    assert_eq!((&ls(&first)?["point"], &ls("2090-01-01T00:00:00Z")?["point"]), (&json!(1), &json!(2)));
    let none = stage.run(&["ls", "--user", user, "--feature", "contacts", "--as-of", "2020-01-01T00:00:00Z"]);
    assert!(none.code != 0 && none.stderr.contains("no restore point that was sealed by 2020-01-01"), "{none:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_read_and_moved_is_found_where_it_is_now_with_its_recipients() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let message = messages(&stage, user)?
        .into_iter()
        .find(|message| message["folder"] == "Inbox" && message["to"][0]["address"].is_string())
        .expect("somebody wrote to the inbox");
    back_up(&stage, user)?;
    stage.tenant.add_folder(user, json!({"name": "Kept"}))?;
    let edit = |change: Value| {
        let mut wanted = json!({"internet_message_id": message["internetMessageId"], "folder": "Inbox"});
        wanted.as_object_mut().expect("it is an object").extend(change.as_object().cloned().unwrap_or_default());
        stage.tenant.edit(user, wanted)
    };
    edit(json!({"is_read": message["isRead"] == false}))?;
    back_up(&stage, user)?;
    edit(json!({"move_to": "Kept"}))?;
    back_up(&stage, user)?;

    let to = message["to"][0]["address"].as_str().unwrap_or_default();
    let hits = search(&stage, &["--user", user, "--to", to, "--folder", "Kept"])?;

    assert_eq!(hits.len(), 1, "{hits:?}");
    assert_eq!((&hits[0]["name"], &hits[0]["from_point"]), (&message["subject"], &json!(3)), "{hits:?}");
    let key = hits[0]["key"].as_str().unwrap_or_default();
    let versions = stage.expect(&["versions", key, "--user", user])?;
    let changes: Vec<&Value> = versions["items"].as_array().into_iter().flatten().map(|one| &one["changes"]).collect();
    assert_eq!(changes.len(), 3, "{versions}");
    assert!(changes[0].to_string().contains("folder") && changes[1].to_string().contains("flags"), "{versions}");
    let http = Http::of(&stage)?;
    let path = format!("/api/v1/items/{}/3/{key}/preview", hits[0]["chain_id"]);
    let preview = http.get(&path).await?.json;
    assert!(preview["text"].as_str().is_some_and(|text| !text.contains("<html")), "{preview}");
    assert!(preview["facts"]["toRecipients"].to_string().contains(to), "{preview}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_search_lead_through_all_hits_and_a_rebuilt_catalog_finds_the_same() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    let user = stage.users().remove(0);
    back_up(&stage, &user)?;
    let http = Http::of(&stage)?;
    let whole = http.get("/api/v1/search?feature=mailbox&limit=500").await?.json;
    let keys = |page: &Value| -> Vec<String> {
        page["items"].as_array().into_iter().flatten().map(|hit| hit["key"].to_string()).collect()
    };
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = http.get(&format!("/api/v1/search?feature=mailbox&limit=7{cursor}")).await?.json;
        assert!(keys(&page).len() <= 7);
        paged.extend(keys(&page));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(paged.len() > 40, "{}", paged.len());
    assert_eq!(paged, keys(&whole));

    let days: Vec<&str> =
        whole["items"].as_array().unwrap().iter().map(|hit| &hit["time"].as_str().unwrap()[..10]).collect();
    assert!(days.is_sorted_by(|a, b| a >= b), "{days:?}");
    let to = messages(&stage, &user)?[0]["to"][0]["address"].as_str().unwrap_or_default().to_owned();
    let before: BTreeSet<String> = keys(&json!({ "items": search(&stage, &["--to", &to])? })).into_iter().collect();
    assert!(!before.is_empty());
    stage.stop_serve()?;
    stage.expect(&["rebuild-catalog", "--storage", "1"])?;
    stage.start_serve()?;
    let after: BTreeSet<String> = keys(&json!({ "items": search(&stage, &["--to", &to])? })).into_iter().collect();
    assert_eq!(after, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_cannot_be_answered_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let http = Http::of(&stage)?;
    let many: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    for (query, status, said) in [
        ("q=%21%21".to_owned(), 422, "q has no word in it"),
        (format!("q={}", many.join("+")), 422, "at most 16"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z".to_owned(), 422, "since is later than until"),
        ("bytes_min=2&bytes_max=1".to_owned(), 422, "bytes_min is more than bytes_max"),
        ("organization=1&resource=1".to_owned(), 400, "either organization or resource"),
        ("organization=Nobody".to_owned(), 404, "there is no organization"),
        ("feature=teams".to_owned(), 422, "there is no feature"),
        ("cursor=xyz".to_owned(), 400, "the cursor is not one"),
        ("subject=x".to_owned(), 400, "unknown field"),
    ] {
        let answered = http.get(&format!("/api/v1/search?{query}")).await?;
        assert!(answered.problem(status).contains(said), "{query}: {answered:?}");
    }
    let nothing = http.get("/api/v1/search?q=plan").await?;
    assert_eq!(nothing.json, json!({ "items": [], "next": null }), "nothing was backed up");
    let unknown = "/api/v1/versions/1/00000000000000000000000000000000";
    http.get(unknown).await?.problem(404);
    Ok(())
}
