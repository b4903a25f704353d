//! Restores are rehearsed: a sample of every feature goes into a sandbox, is compared with the backup, and goes away again.

use kodo_simulator::{FaultPlan, Options, Simulator};
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;
use crate::support::wait::{until, until_answer};

const FIDELITY: &str = include_str!("../../docs/FIDELITY.md");
const FEATURES: [&str; 4] = ["calendar", "contacts", "mailbox", "onedrive"];

fn company() -> Options {
    Options { users: 3, messages: 60, events: 30, contacts: 20, files: 30, special_users: false, ..Options::default() }
}

/// A company of which all but the last user are backed up.
struct Drill {
    stage: Stage,
    sandbox: String,
    before: Value,
}

impl Drill {
    async fn ready(options: Options) -> anyhow::Result<Self> {
        let stage = Stage::ready(options).await?;
        let mut users = stage.users();
        let sandbox = users.pop().expect("the company has users");
        for user in &users {
            let ran = stage.run(&["backup", "--user", user, "--feature", &FEATURES.join(","), "--wait"]);
            assert!([0, 3].contains(&ran.code), "{ran:?}");
        }
        let before = data(&stage.tenant, &sandbox)?;
        Ok(Self { stage, sandbox, before })
    }

    fn start(&self, more: &[&str]) -> anyhow::Result<Value> {
        self.stage.expect(&[&["rehearsal", "start", "--into", &self.sandbox][..], more].concat())
    }

    /// Rehearses to the end, whatever it comes to.
    fn rehearse(&self, more: &[&str]) -> anyhow::Result<Value> {
        let id = self.start(more)?["id"].to_string();
        Ok(self.ended(&id))
    }

    fn ended(&self, id: &str) -> Value {
        until_answer(&self.stage, &["rehearsal", "show", id], is_over)
    }

    fn forget(&self, pattern: &str, property: &str) {
        let rule = json!({"match": pattern, "method": "POST", "kind": "forget_property", "code": property});
        self.stage.tenant.set_faults(plan(json!([rule])));
    }

    /// The sandbox is as it was, and nobody heard of anything.
    fn assert_clean(&self) -> anyhow::Result<()> {
        let now = data(&self.stage.tenant, &self.sandbox)?;
        for (name, before) in self.before.as_object().into_iter().flatten() {
            assert_eq!(now[name], *before, "{name} of the sandbox");
        }
        let notices = self.stage.tenant.notices();
        assert!(notices.is_empty(), "somebody heard of a rehearsal: {notices:?}");
        self.stage.assert_polite();
        Ok(())
    }
}

fn plan(rules: Value) -> FaultPlan {
    serde_json::from_value(json!({ "seed": 11, "rules": rules })).expect("a plan of faults")
}

fn is_over(view: &Value) -> bool {
    ["finished", "cancelled", "failed"].contains(&view["state"].as_str().unwrap_or_default())
}

/// All that a user has, without what writing and deleting leaves behind, such as counters.
fn data(tenant: &Simulator, user: &str) -> anyhow::Result<Value> {
    let drive: Value = serde_json::from_slice(&tenant.drive_fingerprint(user)?)?;
    let mailbox: Value = serde_json::from_slice(&tenant.fingerprint_with_ids(user)?)?;
    Ok(json!({
        "messages": mailbox["messages"],
        "folders": mailbox["folders"],
        "calendar": tenant.calendar_fingerprint(user)?,
        "contacts": tenant.contacts_fingerprint(user)?,
        "drive": ids(&drive["items"]),
    }))
}

fn ids(items: &Value) -> Vec<&Value> {
    items.as_array().into_iter().flatten().map(|item| &item["id"]).collect()
}

fn feature<'a>(rehearsal: &'a Value, name: &str) -> &'a Value {
    let all = rehearsal["features"].as_array().into_iter().flatten();
    all.into_iter().find(|one| one["feature"] == name).expect("the feature was rehearsed")
}

/// What differs, each field once.
fn fields(rehearsal: &Value) -> Vec<(String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let all = rehearsal["differences"]["items"].as_array().into_iter().flatten();
    let mut fields: Vec<(String, String)> = all.map(|one| (text(one, "field"), text(one, "part"))).collect();
    fields.sort();
    fields.dedup();
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn all_features_come_back_whole_and_the_sandbox_is_left_as_it_was() -> anyhow::Result<()> {
    let drill = Drill::ready(company()).await?;

    let ended = drill.rehearse(&["--sample", "40"])?;

    assert_eq!(fields(&ended), [], "{ended}");
    assert_eq!((&ended["state"], &ended["score"]), (&json!("finished"), &json!(1.0)), "{ended}");
    for name in FEATURES {
        let told = feature(&ended, name);
        assert_eq!((&told["score"], &told["missing"]), (&json!(1.0), &json!(0)), "{told}");
        assert!((20..=40).contains(&told["items"].as_u64().unwrap_or(0)), "{told}");
        assert_eq!(
            told["compared"].as_u64().unwrap_or(0) + told["left_out"].as_u64().unwrap_or(0),
            told["items"].as_u64().unwrap_or(0),
            "each item counts once: {told}"
        );
        assert!(told["not_counted"].as_array().is_some_and(|all| !all.is_empty()), "{told}");
    }
    let stays = ended["stays"].to_string();
    assert!(stays.contains("Deleted Items") && stays.contains("recycle bin"), "what stays is told: {stays}");
    drill.assert_clean()?;

    let seed = ended["seed"].to_string();
    let again = drill.rehearse(&["--sample", "40", "--seed", &seed])?;
    let list = drill.stage.expect(&["rehearsal", "list"])?;
    assert_eq!((&again["fields"], &again["score"]), (&ended["fields"], &json!(1.0)), "the same seed, the same sample");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "scores are kept: {list}");
    assert_eq!(list["items"][1]["score"], json!(1.0), "{list}");
    assert_eq!(drill.stage.expect(&["status"])?["rehearsal"]["score"], json!(1.0));
    drill.assert_clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_forgets_is_named_and_lowers_the_score() -> anyhow::Result<()> {
    let drill = Drill::ready(company()).await?;
    for (name, pattern, property, field) in [
        ("mailbox", "messages", "categories", ("categories", "")),
        ("calendar", "events", "body", ("body", "")),
        ("contacts", "contacts", "surname", ("all fields of Graph v1.0", "surname")),
        (
            "onedrive",
            "createUploadSession",
            "item.fileSystemInfo",
            ("created and modified time", "lastModifiedDateTime"),
        ),
    ] {
        drill.forget(pattern, property);

        // All there is, so that chance does not pass by what has the property.
        let ended = drill.rehearse(&["--feature", name, "--sample", "200"])?;

        drill.stage.tenant.clear_faults();
        let score = ended["score"].as_f64().unwrap_or(1.0);
        assert!(score < 1.0 && score > 0.0, "{ended}");
        let (field, part) = field;
        assert!(FIDELITY.contains(field), "{field} is not what docs/FIDELITY.md calls it");
        assert!(fields(&ended).contains(&(field.to_owned(), part.to_owned())), "{name}: {:?}", fields(&ended));
        assert!(ended["fields_back"].as_u64() < ended["fields"].as_u64(), "{ended}");
    }
    let last = drill.stage.run(&["rehearsal", "show", "4", "--wait"]);
    assert_eq!(last.code, 3, "what is not whole is no success: {last:?}");
    drill.assert_clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_created_at_all_is_missing_as_a_whole() -> anyhow::Result<()> {
    let drill = Drill::ready(Options { messages: 12, ..company() }).await?;
    let rule = json!({"match": "messages", "method": "POST", "kind": "status", "status": 400, "code": "ErrorInvalid"});
    drill.stage.tenant.set_faults(plan(json!([rule])));

    let ended = drill.rehearse(&["--feature", "mailbox", "--sample", "10"])?;

    drill.stage.tenant.clear_faults();
    assert_eq!(
        (&ended["score"], &ended["missing"], &ended["compared"]),
        (&json!(0.0), &json!(10), &json!(0)),
        "{ended}"
    );
    assert_eq!(fields(&ended), [("the whole item".to_owned(), String::new())]);
    let again = drill.stage.run(&["restore", "retry", &ended["restore_id"].to_string()]);
    assert!(again.code != 0 && again.stderr.contains("belongs to rehearsal"), "nothing comes after: {again:?}");
    drill.assert_clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_goes_on_to_the_end_and_leaves_nothing() -> anyhow::Result<()> {
    let mut options = company();
    options.limits.latency_ms = 15;
    let mut drill = Drill::ready(options).await?;
    for wanted in ["restoring", "comparing"] {
        let id = drill.start(&["--sample", "30"])?["id"].to_string();
        until_answer(&drill.stage, &["rehearsal", "show", &id], |view| view["state"] == wanted);

        drill.stage.serve().kill()?;
        drill.stage.start_serve()?;

        let ended = drill.ended(&id);
        assert_eq!((&ended["state"], &ended["score"]), (&json!("finished"), &json!(1.0)), "{wanted}: {ended}");
        drill.assert_clean()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rehearsal_clears_its_sandbox() -> anyhow::Result<()> {
    let mut options = company();
    options.limits.latency_ms = 15;
    let drill = Drill::ready(options).await?;
    let id = drill.start(&["--sample", "40"])?["id"].to_string();
    // Something of it is there by now.
    until(&drill.stage, "the sandbox fills", || {
        (data(&drill.stage.tenant, &drill.sandbox).ok()? != drill.before).then_some(())
    });

    let second = drill.stage.run(&["rehearsal", "start", "--into", &drill.sandbox]);
    drill.stage.expect(&["rehearsal", "cancel", &id])?;

    assert!(second.code != 0 && second.stderr.contains("still at work"), "one at a time in a sandbox: {second:?}");
    let ended = drill.ended(&id);
    assert_eq!(ended["state"], json!("cancelled"), "{ended}");
    let trail = drill.stage.expect(&["audit"])?;
    let told: Vec<&Value> = trail["items"].as_array().into_iter().flatten().map(|line| &line["action"]).collect();
    // The second one was refused, and was asked for all the same.
    assert_eq!(told, ["cancel_rehearsal", "start_rehearsal", "start_rehearsal"], "{trail}");
    assert!(ended["parts"].as_array().is_some_and(|parts| parts.iter().all(|part| part["cleared"] == true)), "{ended}");
    drill.assert_clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_protected_data_become_a_sandbox_unless_somebody_says_so() -> anyhow::Result<()> {
    let drill = Drill::ready(Options { messages: 10, files: 0, events: 0, contacts: 0, ..company() }).await?;
    let stage = &drill.stage;
    let (users, http) = (stage.users(), Http::of(stage)?);

    let backed_up = stage.run(&["rehearsal", "start", "--into", &users[0]]);
    assert!(backed_up.code != 0 && backed_up.stderr.contains("has backups of its own"), "{backed_up:?}");
    assert!(backed_up.stderr.contains("although it is protected"), "the remedy is told: {backed_up:?}");
    let when = ["--policy", "standard", "--tenant", "contoso", "--feature", "mailbox", "--cron", "0 2 1 1 *"];
    stage.expect(&[&["schedule", "add", "yearly"], &when[..]].concat())?;
    let scheduled = stage.run(&["restore", "rehearse", "--into", &drill.sandbox]);
    assert!(scheduled.code != 0 && scheduled.stderr.contains("schedule \"yearly\""), "{scheduled:?}");
    for (body, status, says) in [
        (json!({ "organization": "Contoso" }), 400, "sandbox"),
        (json!({ "into": "nobody@nowhere.example" }), 404, "nobody"),
        (json!({ "into": drill.sandbox, "although_protected": true, "sample": 0 }), 422, "1 to 200"),
        (json!({ "into": drill.sandbox, "although_protected": true, "features": ["telepathy"] }), 422, "no feature"),
        (
            json!({ "into": drill.sandbox, "although_protected": true, "resources": [drill.sandbox] }),
            422,
            "nothing to rehearse",
        ),
    ] {
        let answered = http.post("/api/v1/rehearsals", &body).await?;
        assert!(answered.problem(status).contains(says), "{body}: {answered:?}");
    }

    let said = drill.rehearse(&["--although-protected", "--user", &users[0], "--feature", "mailbox"])?;

    assert_eq!(said["score"], json!(1.0), "{said}");
    drill.assert_clean()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_begins_rehearsals_by_itself_and_says_why_it_cannot() -> anyhow::Result<()> {
    let drill = Drill::ready(Options { messages: 10, files: 4, events: 4, contacts: 4, ..company() }).await?;
    let stage = &drill.stage;
    let set = |into: &str, cron: &str| {
        stage.run(&[
            "rehearsal",
            "schedule",
            "--into",
            into,
            "--cron",
            cron,
            "--time-zone",
            "Europe/Berlin",
            "--sample",
            "5",
        ])
    };
    let wrong = set(&drill.sandbox, "0 25 * * *");
    assert!(wrong.code != 0 && wrong.stderr.contains("cron"), "{wrong:?}");
    let protected = set(&stage.users()[0], "0 4 * * sun");
    assert!(protected.code != 0 && protected.stderr.contains("has backups of its own"), "{protected:?}");
    assert_eq!(set(&drill.sandbox, "0 4 * * sun").code, 0);

    let due = "UPDATE rehearsal_plans SET next_fire_at = NOW(3) - INTERVAL 3 DAY";
    stage.separate().execute(due)?;
    until_answer(stage, &["rehearsal", "list"], |list| list["items"][0].is_object());
    let ended = drill.ended("1");

    assert_eq!((&ended["requested_by"], &ended["score"]), (&json!("schedule"), &json!(1.0)), "{ended}");
    let trail = stage.expect(&["audit"])?;
    assert_eq!(trail["items"][0]["action"], json!("schedule_rehearsals"), "{trail}");
    let schedules = stage.expect(&["rehearsal", "schedules"])?;
    assert_eq!(schedules["items"].as_array().map(Vec::len), Some(1), "{schedules}");
    assert!(schedules["items"][0]["next_fire_at"].is_string() && schedules["items"][0]["last_problem"].is_null());
    let list = stage.expect(&["rehearsal", "list"])?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "three missed days are one rehearsal: {list}");
    drill.assert_clean()?;

    // The sandbox became somebody's: nothing is written there, and the schedule says why.
    let ran = stage.run(&["backup", "--user", &drill.sandbox, "--feature", "mailbox", "--wait"]);
    assert!([0, 3].contains(&ran.code), "{ran:?}");
    stage.separate().execute(due)?;
    let told = until_answer(stage, &["rehearsal", "schedules"], |all| all["items"][0]["last_problem"].is_string());
    assert!(told["items"][0]["last_problem"].as_str().is_some_and(|why| why.contains("backups of its own")), "{told}");
    stage.expect(&["rehearsal", "unschedule", "Contoso"])?;
    assert_eq!(stage.expect(&["rehearsal", "schedules"])?["items"], json!([]));
    Ok(())
}
