//! A calendar is lost and comes back, over `kodo serve`: as it was, and without a word to anybody.

use std::time::Duration;

use kodo_simulator::{FaultPlan, Options};
use serde_json::{Value, json};

use crate::support::agenda::Agenda;
use crate::support::chance::{Dice, seed};
use crate::support::stage::Stage;
use crate::support::wait::until_ended;

/// How often a restore is killed.
const KILLS: u64 = 20;
/// The longest a restore of the calendars below may work before its process is killed.
const LIFE_MS_MAX: u64 = 1500;
/// More bytes than one request may carry.
const LARGE: usize = 5_000_000;

fn company() -> Options {
    Options { users: 2, messages: 2, events: 42, special_users: false, ..Options::default() }
}

fn back_up(stage: &Stage, user: &str) -> anyhow::Result<Value> {
    stage.expect(&["backup", "--user", user, "--feature", "calendar", "--wait"])
}

const RESTORE: [&str; 5] = ["restore", "--feature", "calendar", "--wait", "--user"];

/// Nobody was told anything, no meeting was made, and every request was one that a client may send.
fn assert_silent(stage: &Stage) {
    assert!(stage.tenant.notices().is_empty(), "somebody hears of a restore: {:?}", stage.tenant.notices());
    stage.assert_polite();
    let stats = stage.tenant.stats();
    let most = stats["concurrency_max"].as_object().unwrap().values().filter_map(Value::as_u64).max();
    assert!(most.is_none_or(|most| most <= 4), "{stats}");
}

/// A series with what only large or odd events have.
fn add_odd_events(stage: &Stage, user: &str) -> anyhow::Result<()> {
    let edit = |wanted: Value| stage.tenant.calendar_edit(user, wanted);
    let made = edit(json!({"action": "create", "subject": "Across the clocks", "start": "2026-10-20T09:00:00Z",
        "zone": "W. Europe Standard Time", "daily": 12}))?;
    let on = |date: &str, set: Value| edit(json!({"action": "change", "id": made["id"], "date": date, "set": set}));
    on("2026-10-23", json!({"subject": "Moved to the other side", "shift_minutes": 4 * 24 * 60 + 30}))?;
    on("2026-10-26", json!({"attach": "Large.bin", "attach_bytes": LARGE, "location": "Hall <1>"}))?;
    edit(json!({"action": "cancel", "id": made["id"], "date": "2026-10-25"}))?;
    let large = edit(json!({"action": "create", "calendar": "Projects", "subject": "\"Odd\" & <large>",
        "start": "2027-02-03T10:00:00Z", "zone": "Tokyo Standard Time"}))?;
    let set = json!({"attach": "Drawing.bin", "attach_bytes": LARGE, "body": "<body>&amp; <b>so on</b></body>"});
    edit(json!({"action": "change", "id": large["id"], "set": set}))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_calendars_come_back_as_they_were_and_nobody_hears_of_it() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    add_odd_events(&stage, user)?;
    let before = Agenda::of(&stage.tenant, user);
    assert!(before.events.len() >= 44);
    back_up(&stage, user)?;

    stage.tenant.wipe_calendars(user)?;
    let restored = stage.expect(&[&RESTORE[..], &[user]].concat())?;
    let once = Agenda::of(&stage.tenant, user);
    let again = stage.expect(&[&RESTORE[..], &[user]].concat())?;

    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    assert_eq!(restored["outcomes"]["created"], json!(before.events.len()), "{restored}");
    once.assert_restored_from(&before);
    assert_eq!((&again["outcomes"]["created"], &again["outcomes"]["failed"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(once.events, Agenda::of(&stage.tenant, user).events);
    // Four holidays and three birthdays, in calendars that nobody can write.
    let said: Vec<&Value> = restored["remarks"]["items"].as_array().unwrap().iter().collect();
    let refused = said.iter().filter(|item| item["remark"].to_string().contains("lets nobody write")).count();
    assert_eq!(refused, 7, "{said:#?}");
    assert_silent(&stage);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calendars_of_one_user_come_into_a_folder_of_another() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    let (source, target) = (&users[0], &users[1]);
    let own = Agenda::of(&stage.tenant, target);
    back_up(&stage, source)?;
    let into = [&RESTORE[..], &[source, "--to-user", target, "--to-folder", "Leaver"]].concat();

    let restored = stage.expect(&into)?;
    let again = stage.expect(&into)?;

    let theirs = |name: &str| name.starts_with("Leaver: ");
    let copies = Agenda::where_calendar(&stage.tenant, target, theirs);
    let before = Agenda::of(&stage.tenant, source).renamed(|name| format!("Leaver: {name}"));
    let holidays = Agenda::where_calendar(&stage.tenant, target, |name| name == "Leaver: Holidays in Germany");
    assert_eq!(holidays.events.len(), 4, "what nobody can write into becomes an ordinary calendar elsewhere");
    let ordinary = |name: &str| theirs(name) && !name.contains("Holidays") && !name.contains("Birthdays");
    Agenda::where_calendar(&stage.tenant, target, ordinary).assert_restored_from(&before);
    assert_eq!(restored["outcomes"]["created"], json!(copies.events.len()), "{restored}");
    assert_eq!((&again["outcomes"]["created"], &again["outcomes"]["failed"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(Agenda::where_calendar(&stage.tenant, target, |name| !theirs(name)).events, own.events);
    assert_silent(&stage);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_service_costs_time_and_neither_loses_nor_doubles_an_event() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let user = &stage.users()[0];
    let before = Agenda::of(&stage.tenant, user);
    back_up(&stage, user)?;
    stage.tenant.wipe_calendars(user)?;
    let plan: FaultPlan = serde_json::from_value(json!({ "seed": 5, "rules": [
        {"kind": "status", "status": 503, "probability": 0.03, "body": "empty"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "status", "status": 504, "probability": 0.02, "body": "html"},
        {"kind": "reset", "probability": 0.03},
        {"match": "events", "method": "POST", "kind": "cut_body", "probability": 0.3, "times": 8},
        {"match": "attachments", "method": "POST", "kind": "cut_body", "probability": 0.5, "times": 3},
        {"match": "calendars", "method": "POST", "kind": "cut_body", "times": 1},
    ]}))?;
    stage.tenant.set_faults(plan);

    let restored = stage.expect(&[&RESTORE[..], &[user]].concat())?;
    stage.tenant.clear_faults();

    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    Agenda::of(&stage.tenant, user).assert_restored_from(&before);
    assert_silent(&stage);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_neither_lose_nor_double_an_event() -> anyhow::Result<()> {
    let mut dice = Dice(seed());
    let mut options = company();
    // Slow enough that a kill finds work under way.
    options.limits.latency_ms = 5;
    let mut stage = Stage::ready(options).await?;
    let user = stage.users()[0].clone();
    let before = Agenda::of(&stage.tenant, &user);
    back_up(&stage, &user)?;
    for round in 0..KILLS {
        stage.tenant.wipe_calendars(&user)?;
        let started = stage.expect(&["restore", "--feature", "calendar", "--user", &user])?;
        tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS_MAX))).await;
        stage.serve().kill()?;
        stage.start_serve()?;
        let ended = until_ended(&stage, &["restore", "show", &started["restore_id"].to_string()]);
        assert_eq!(ended["state"], json!("succeeded"), "round {round}: {ended}\n{}", stage.log());
        let differences = Agenda::of(&stage.tenant, &user).differences_from(&before);
        assert!(differences.is_empty(), "round {round}: {}", differences.join("\n"));
    }
    assert_silent(&stage);
    Ok(())
}
