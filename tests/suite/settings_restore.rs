//! What a mailbox keeps besides mail comes back, and nobody is written to by that: automatic replies and rules that send
//! mail on or delete it come back turned off.

use kodo::features::{OnConflict, Opening, PathStep, RestoreError, Restored, StoredContent, StoredItem, bring_back};
use kodo::graph::{Credential, GraphClient, GraphConfig, TenantCredentials};
use kodo::ids::ItemKey;
use kodo::secret::Secret;
use kodo_simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::support::stage::Stage;
use crate::support::tenant::{Kept, Tenant};
use crate::support::wait::until_ended;

const CONTAINER: &str = "kodo:settings";

fn company() -> Options {
    Options { users: 2, messages: 3, special_users: false, ..Options::default() }
}

/// Rules of the kind that thieves make, and one that is harmless and goes deep.
fn add_rules(simulator: &Simulator, user: &str) {
    simulator.add_folder(user, json!({"parent": "", "name": "Projects"})).unwrap();
    simulator.add_folder(user, json!({"parent": "Projects", "name": "Deep"})).unwrap();
    let thief = json!([{"emailAddress": {"name": "T", "address": "thief@evil.example"}}]);
    for (name, actions) in [
        ("Thief", json!({"forwardTo": thief, "markAsRead": true})),
        ("Eraser", json!({"permanentDelete": true})),
        ("To the bin", json!({"moveToFolder": "Deleted Items"})),
        ("Projects", json!({"moveToFolder": "Projects/Deep", "assignCategories": ["Blue category"]})),
        ("Only moves", json!({"moveToFolder": "Projects/Deep"})),
    ] {
        let conditions = json!({"subjectContains": [name], "fromAddresses": thief});
        let exceptions = json!({"sentToMe": true});
        let rule = json!({"displayName": name, "conditions": conditions, "actions": actions, "exceptions": exceptions});
        simulator.settings_edit(user, json!({ "rule": rule })).unwrap();
    }
}

const DANGEROUS: [&str; 3] = ["Thief", "Eraser", "To the bin"];

fn truth(simulator: &Simulator, user: &str) -> Value {
    simulator.settings_fingerprint(user).unwrap()
}

/// A list without the ids that are given out anew.
fn list(all: &Value, name: &str) -> Vec<Value> {
    let mut list = all[name].as_array().unwrap().clone();
    list.iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("id")));
    list.sort_by_key(Value::to_string);
    list
}

fn rule<'a>(all: &'a Value, name: &str) -> &'a Value {
    let mut rules = all["rules"].as_array().unwrap().iter();
    rules.find(|rule| rule["displayName"] == name).unwrap_or_else(|| panic!("no rule {name}"))
}

/// The rules as they must come back.
fn turned_off(mut rules: Vec<Value>) -> Vec<Value> {
    for rule in &mut rules {
        if DANGEROUS.contains(&rule["displayName"].as_str().unwrap()) {
            rule["isEnabled"] = json!(false);
        }
    }
    rules.sort_by_key(Value::to_string);
    rules
}

#[derive(Debug, Default)]
struct Ended {
    created: usize,
    updated: usize,
    there: usize,
    left: usize,
    remarks: Vec<String>,
    failed: Vec<String>,
}

async fn restore(tenant: &Tenant, user: &str, kept: &Kept, on_conflict: OnConflict) -> Ended {
    let (mailbox, target) = (tenant.mailbox.restoring().unwrap(), tenant.source(user));
    let own = kept.folders.values().find(|folder| folder.id == CONTAINER).unwrap();
    let path = [PathStep { name: own.name.clone(), well_known: own.well_known.clone(), hidden: own.hidden }];
    let place = mailbox.open_container(target, &path, Opening::Create).await.unwrap().unwrap();
    let mut ended = Ended::default();
    let existing = match mailbox.existing(target, &place, Opening::Create).await {
        Ok(existing) => existing,
        Err(RestoreError::Item(why)) => {
            ended.failed.push(why);
            return ended;
        }
        Err(error) => panic!("{error}"),
    };
    for (id, item) in kept.items.iter().filter(|(_, item)| item.folder == CONTAINER) {
        let stored = StoredItem {
            key: ItemKey::of(id),
            kind: item.kind,
            properties: item.properties().to_string().into(),
            content: StoredContent::None,
        };
        match bring_back(mailbox, target, &place, &stored, &existing, on_conflict).await {
            Ok(Restored::Created { remarks }) => {
                ended.created += 1;
                ended.remarks.extend(remarks);
            }
            Ok(Restored::Updated { remarks }) => {
                ended.updated += 1;
                ended.remarks.extend(remarks);
            }
            Ok(Restored::AlreadyThere) => ended.there += 1,
            Ok(Restored::LeftAlone { .. }) => ended.left += 1,
            Err(RestoreError::Item(why)) => ended.failed.push(why),
            Err(error) => panic!("{error}"),
        }
    }
    ended
}

async fn backed_up(user: &str, tenant: &Tenant) -> Kept {
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_categories_and_rules_that_were_lost_come_back_and_a_second_time_nothing_happens() {
    let tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    add_rules(&tenant.simulator, &user);
    tenant.simulator.settings_edit(&user, json!({"reply": "Away", "time_zone": "Tokyo Standard Time"})).unwrap();
    let before = truth(&tenant.simulator, &user);
    let kept = backed_up(&user, &tenant).await;

    let living = restore(&tenant, &user, &kept, OnConflict::Replace).await;
    assert_eq!((living.created, living.updated, living.failed.len()), (0, 0, 0), "{living:?}");
    assert_eq!(truth(&tenant.simulator, &user), before, "what is as it was is left alone, replies that are on too");
    tenant.simulator.settings_edit(&user, json!({"wipe": true})).unwrap();
    let first = restore(&tenant, &user, &kept, OnConflict::Replace).await;
    let after = truth(&tenant.simulator, &user);
    let second = restore(&tenant, &user, &kept, OnConflict::Replace).await;

    assert_eq!(first.failed, [] as [&str; 0]);
    assert_eq!(list(&after, "categories"), list(&before, "categories"));
    assert_eq!(list(&after, "rules"), turned_off(list(&before, "rules")));
    let mut expected = before["mailboxSettings"].clone();
    expected["automaticRepliesSetting"]["status"] = json!("disabled");
    for name in ["scheduledStartDateTime", "scheduledEndDateTime"] {
        expected["automaticRepliesSetting"][name] = after["mailboxSettings"]["automaticRepliesSetting"][name].clone();
    }
    assert_eq!(after["mailboxSettings"], expected);
    let told = |what: &str| first.remarks.iter().filter(|remark| remark.contains(what)).count();
    assert_eq!((told("comes back turned off"), told("automatic replies")), (DANGEROUS.len(), 1), "{first:?}");
    assert_eq!((second.created, second.updated, second.failed.len()), (0, 0, 0), "{second:?}");
    assert_eq!(truth(&tenant.simulator, &user), after);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folders_of_a_rule_are_those_of_the_mailbox_that_it_comes_to() {
    let tenant = Tenant::start(company()).await;
    let [source, target] = [tenant.members()[0].clone(), tenant.members()[1].clone()];
    add_rules(&tenant.simulator, &source);
    let kept = backed_up(&source, &tenant).await;
    let deep = &rule(&truth(&tenant.simulator, &source), "Projects")["actions"]["moveToFolder"].clone();

    let without = restore(&tenant, &target, &kept, OnConflict::Skip).await;
    let now = truth(&tenant.simulator, &target);
    let projects = rule(&now, "Projects")["actions"].clone();
    assert_eq!(projects, json!({"assignCategories": ["Blue category"]}), "what is not there takes its action along");
    assert!(without.remarks.iter().any(|remark| remark.contains("\"Projects/Deep\" is not there")), "{without:?}");
    assert!(without.failed.iter().all(|why| why.contains("the rule is not created")), "{without:?}");
    assert_eq!(without.failed.len(), 1);
    assert!(rule(&now, "To the bin")["actions"]["moveToFolder"].is_string(), "default folders are everywhere");
    tenant.simulator.add_folder(&target, json!({"parent": "", "name": "Projects"})).unwrap();
    tenant.simulator.add_folder(&target, json!({"parent": "Projects", "name": "deep"})).unwrap();
    let with = restore(&tenant, &target, &kept, OnConflict::Skip).await;
    let again = restore(&tenant, &target, &kept, OnConflict::Skip).await;

    let now = truth(&tenant.simulator, &target);
    let moves_to = &rule(&now, "Only moves")["actions"]["moveToFolder"];
    assert!(moves_to.is_string() && moves_to != deep);
    assert_eq!((with.created, again.created, again.failed.len()), (1, 0, 0), "{with:?} {again:?}");
    let replaced = restore(&tenant, &target, &kept, OnConflict::Replace).await;
    let now = truth(&tenant.simulator, &target);
    assert_eq!(&rule(&now, "Projects")["actions"]["moveToFolder"], moves_to, "{replaced:?}");
    let last = restore(&tenant, &target, &kept, OnConflict::Replace).await;
    assert_eq!((last.created, last.updated), (0, 0), "{last:?}");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_in_another_state_is_treated_as_the_administrator_wants() {
    let tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    tenant.simulator.settings_edit(&user, json!({"add_category": "Mine", "reply": ""})).unwrap();
    let kept = backed_up(&user, &tenant).await;
    let before = truth(&tenant.simulator, &user);
    // Another one of the same name, and another time zone.
    let name = before["categories"][0]["displayName"].clone();
    let edit = json!({"remove_category": name, "time_zone": "Tokyo Standard Time"});
    tenant.simulator.settings_edit(&user, edit).unwrap();
    tenant.simulator.settings_edit(&user, json!({ "add_category": name })).unwrap();
    let changed = truth(&tenant.simulator, &user);

    for mode in [OnConflict::Skip, OnConflict::KeepBoth, OnConflict::ReplaceIfOlder] {
        let ended = restore(&tenant, &user, &kept, mode).await;
        assert_eq!((ended.created, ended.updated, ended.left), (0, 0, 2), "{mode:?}: {ended:?}");
        assert_eq!(truth(&tenant.simulator, &user), changed, "{mode:?}");
    }
    let replaced = restore(&tenant, &user, &kept, OnConflict::Replace).await;

    let after = truth(&tenant.simulator, &user);
    assert_eq!((replaced.created, replaced.updated), (0, 2), "{replaced:?}");
    assert_eq!(after["mailboxSettings"], before["mailboxSettings"]);
    assert_eq!(list(&after, "categories"), list(&before, "categories"));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_make_no_duplicate() {
    let tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    add_rules(&tenant.simulator, &user);
    let before = truth(&tenant.simulator, &user);
    let kept = backed_up(&user, &tenant).await;
    tenant.simulator.settings_edit(&user, json!({"wipe": true})).unwrap();
    tenant.set_faults(json!([
        {"match": "messageRules", "method": "POST", "kind": "cut_body", "probability": 0.4},
        {"match": "messageRules", "method": "POST", "kind": "reset", "times": 2},
        {"match": "masterCategories", "method": "POST", "kind": "cut_body", "probability": 0.4},
        {"match": "masterCategories", "method": "POST", "kind": "status", "status": 504, "times": 2},
        {"match": "mailboxSettings", "method": "PATCH", "kind": "reset", "times": 1},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.05},
    ]));

    restore(&tenant, &user, &kept, OnConflict::Replace).await;
    tenant.simulator.clear_faults();

    let after = truth(&tenant.simulator, &user);
    assert_eq!(list(&after, "categories"), list(&before, "categories"));
    assert_eq!(list(&after, "rules"), turned_off(list(&before, "rules")));
    tenant.assert_no_violations();
}

/// A client of an app that has these roles and no others.
fn client_with_roles(simulator: &Simulator, roles: &[&str]) -> GraphClient {
    let app = json!({"client_id": "limited", "secret": "s3cret", "roles": roles});
    simulator.register_app(app).unwrap();
    let config =
        GraphConfig { base_url: simulator.base_url(), login_url: simulator.login_url(), ..GraphConfig::default() };
    let credentials = TenantCredentials {
        entra_tenant_id: simulator.tenant_id(),
        client_id: "limited".to_owned(),
        credential: Credential::Secret(Secret::new("s3cret".to_owned())),
    };
    GraphClient::new(&config, credentials).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_only_read_settings_is_told_which_role_it_lacks() {
    let mut tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    let kept = backed_up(&user, &tenant).await;
    tenant.simulator.settings_edit(&user, json!({"wipe": true})).unwrap();
    for roles in [&["Mail.ReadWrite", "MailboxSettings.Read"][..], &["Mail.ReadWrite"]] {
        tenant.graph = client_with_roles(&tenant.simulator, roles);
        let ended = restore(&tenant, &user, &kept, OnConflict::Replace).await;

        assert_eq!((ended.created, ended.updated), (0, 0), "{ended:?}");
        assert!(!ended.failed.is_empty(), "{roles:?}");
        let named = |why: &String| why.contains("MailboxSettings.ReadWrite, with admin consent");
        assert!(ended.failed.iter().all(named), "{:?}", ended.failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_installation_brings_them_back_in_place_and_leaves_the_mailbox_of_another_alone() -> anyhow::Result<()>
{
    let mut stage = Stage::ready(company()).await?;
    let users = stage.users();
    let (user, other) = (users[0].clone(), users[1].clone());
    add_rules(&stage.tenant, &user);
    stage.tenant.settings_edit(&user, json!({"time_zone": "Tokyo Standard Time"}))?;
    let before = truth(&stage.tenant, &user);
    stage.back_up(&user)?;
    stage.tenant.settings_edit(&user, json!({"wipe": true}))?;

    let started = stage.expect(&["restore", "--user", &user])?;
    stage.serve().kill()?;
    stage.start_serve()?;
    let restore = started["restore_id"].to_string();
    let ended = until_ended(&stage, &["restore", "show", &restore]);

    assert_eq!(ended["outcomes"]["failed"], json!(0), "{ended}");
    let after = truth(&stage.tenant, &user);
    assert_eq!(list(&after, "categories"), list(&before, "categories"));
    assert_eq!(list(&after, "rules"), turned_off(list(&before, "rules")));
    assert!(ended["remarks"].to_string().contains("comes back turned off"), "{ended}");
    let again = stage.expect(&["restore", "--user", &user, "--wait"])?;
    assert_eq!(again["outcomes"]["created"], json!(0), "{again}");
    let replacing = ["restore", "--user", &user, "--on-conflict", "replace", "--wait"];
    assert_eq!(stage.expect(&replacing)?["outcomes"]["updated"], json!(1));
    assert_eq!(truth(&stage.tenant, &user)["mailboxSettings"]["timeZone"], json!("Tokyo Standard Time"));
    let again = stage.expect(&replacing)?;
    assert_eq!((&again["outcomes"]["created"], &again["outcomes"]["updated"]), (&json!(0), &json!(0)), "{again}");
    let theirs = truth(&stage.tenant, &other);
    let into = ["restore", "--user", &user, "--to-user", &other, "--to-folder", "From a leaver", "--wait"];
    let moved = stage.expect(&into)?;
    assert_eq!(moved["outcomes"]["failed"], json!(0), "{moved}");
    assert_eq!(truth(&stage.tenant, &other), theirs, "rules of a leaver must not work on the mail of another");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_finds_the_folder_that_comes_back_with_it_however_late_it_was_first_backed_up() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let users = stage.users();
    let [user, other] = [&users[0], &users[1]];
    stage.back_up(user)?;
    add_rules(&stage.tenant, user);
    stage.back_up(user)?;

    stage.expect(&["restore", "--user", user, "--to-user", other, "--wait"])?;

    let now = truth(&stage.tenant, other);
    for name in ["Projects", "Only moves"] {
        assert!(rule(&now, name)["actions"]["moveToFolder"].is_string(), "{now}");
    }
    stage.assert_polite();
    Ok(())
}
