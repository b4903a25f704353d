//! The contacts feature against a simulated tenant: a backup holds what the address book holds, through every fault.

use std::collections::{BTreeMap, BTreeSet};

use kodo::features::{ContactsOptions, Feature, FeatureOptions, Source, WalkError, find};
use kodo_simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::support::collected::Collected;
use crate::support::tenant::{Tenant, client_with};

fn contacts() -> &'static dyn Feature {
    find("contacts").unwrap()
}

async fn tenant() -> Tenant {
    Tenant::start(Options { users: 2, messages: 2, contacts: 60, ..Options::default() }).await
}

pub fn truth(tenant: &Simulator, user: &str) -> BTreeMap<String, Value> {
    let fingerprint = tenant.contacts_fingerprint(user).unwrap();
    let all = fingerprint["contacts"].as_array().unwrap().iter();
    all.map(|contact| (contact["id"].as_str().unwrap().to_owned(), contact.clone())).collect()
}

/// All contacts with all fields and photos in their folders, and nothing else.
fn assert_same(tenant: &Tenant, user: &str, kept: &Collected) {
    assert_held(&truth(&tenant.simulator, user), kept);
}

/// All that there was, and nothing else.
pub fn assert_held(truth: &BTreeMap<String, Value>, kept: &Collected) {
    const COMPARED_OTHERWISE: [&str; 3] = ["photo", "folder", "properties"];
    assert_eq!(kept.items.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
    for (id, expected) in truth {
        let item = &kept.items[id];
        for (name, value) in expected.as_object().unwrap() {
            if !COMPARED_OTHERWISE.contains(&name.as_str()) {
                assert_eq!(item.properties[name], *value, "{name} of {expected}");
            }
        }
        assert_eq!(kept.path(&item.container), expected["folder"].as_str().unwrap());
        let photo = item.content.as_ref().map(|photo| blake3::hash(photo).to_hex().to_string());
        assert_eq!(json!(photo), expected["photo"], "the photo of {expected}");
        assert_eq!(item.summary.name, expected["displayName"].as_str().unwrap());
    }
}

async fn backed_up(tenant: &Tenant, user: &str) -> Collected {
    let mut kept = Collected::default();
    kept.run(contacts(), tenant.source(user)).await.unwrap();
    kept
}

fn requests(tenant: &Tenant) -> u64 {
    tenant.simulator.stats()["requests"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_backup_holds_exactly_what_the_address_book_holds() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];

    let kept = backed_up(&tenant, user).await;

    assert_eq!(kept.issues, BTreeMap::new());
    assert_same(&tenant, user, &kept);
    assert!(kept.items.values().any(|item| item.content.is_some()), "somebody has a photo");
    assert!(kept.items.values().any(|item| item.content.is_none()), "and somebody has none");
    let folders = tenant.simulator.contacts_fingerprint(user).unwrap();
    let paths: BTreeSet<&str> =
        folders["folders"].as_array().unwrap().iter().filter_map(|f| f["path"].as_str()).collect();
    let found: BTreeSet<String> = kept.containers.keys().map(|id| kept.path(id)).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), paths);
    assert!(paths.iter().any(|path| path.contains('/')), "some folder is in another");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_run_reads_what_changed_and_nothing_else() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;

    for seed in 1..=3 {
        tenant.simulator.contacts_random_edits(user, seed, 20).unwrap();
        kept.run(contacts(), tenant.source(user)).await.unwrap();

        assert!(kept.captured.len() <= 20, "{} were read for 20 edits", kept.captured.len());
        assert_same(&tenant, user, &kept);
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_address_book_costs_a_request_for_each_folder_and_two() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;
    let before = requests(&tenant);

    kept.run(contacts(), tenant.source(user)).await.unwrap();

    assert_eq!(kept.captured, BTreeSet::new());
    assert_eq!(requests(&tenant) - before, kept.containers.len() as u64 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_followed_through_changes_moves_and_its_end() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let edit = |wanted: Value| tenant.simulator.contacts_edit(user, wanted).unwrap();
    let made = edit(json!({"action": "create", "name": "Eva Muster", "email": "eva@example.com"}));
    let eva = made["id"].as_str().unwrap().to_owned();
    let mut kept = backed_up(&tenant, user).await;
    assert_eq!(kept.items[&eva].summary.party, "eva@example.com");

    edit(json!({"action": "add_folder", "name": "Partners"}));
    edit(json!({"action": "add_folder", "parent": "Partners", "name": "Steel"}));
    let runs = [
        json!({"action": "photo", "id": eva, "seed": "eva"}),
        json!({"action": "change", "id": eva, "texts": {"personalNotes": "Calls on Mondays."}}),
        json!({"action": "move", "id": eva, "folder": "Partners/Steel"}),
        json!({"action": "photo", "id": eva, "seed": null}),
    ];
    for change in runs {
        edit(change);
        kept.run(contacts(), tenant.source(user)).await.unwrap();
        assert!(kept.captured.iter().eq([&eva]), "{:?}", kept.captured);
        assert_same(&tenant, user, &kept);
    }
    assert_eq!(kept.path(&kept.items[&eva].container), "Partners/Steel");

    edit(json!({"action": "rename_folder", "folder": "Partners/Steel", "name": "Iron"}));
    kept.run(contacts(), tenant.source(user)).await.unwrap();
    assert!(kept.captured.is_empty());
    assert_same(&tenant, user, &kept);
    edit(json!({"action": "remove_folder", "folder": "Partners"}));
    kept.run(contacts(), tenant.source(user)).await.unwrap();
    assert!(!kept.items.contains_key(&eva));
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_tokens_cost_a_walk_and_read_no_contact() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = backed_up(&tenant, user).await;
    let gone = kept.items.keys().next().unwrap().clone();
    tenant.simulator.contacts_edit(user, json!({"action": "delete", "id": gone})).unwrap();

    tenant.simulator.expire_delta(Some(user)).unwrap();
    kept.run(contacts(), tenant.source(user)).await.unwrap();

    assert_eq!((kept.captured.len(), kept.n_full_walks), (0, kept.containers.len()));
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_delta_folders_and_contacts_are_listed() {
    let mut tenant = tenant().await;
    tenant.graph = client_with(&tenant.simulator, |config| config.attempts_max = 1);
    let user = &tenant.members()[0];
    tenant.set_faults(json!([
        {"match": "contactFolders/delta", "kind": "status", "status": 400},
        {"match": "contacts/delta", "kind": "status", "status": 503},
    ]));
    let mut kept = backed_up(&tenant, user).await;
    assert_same(&tenant, user, &kept);

    tenant.simulator.contacts_random_edits(user, 8, 20).unwrap();
    kept.run(contacts(), tenant.source(user)).await.unwrap();

    assert_eq!(kept.n_full_walks, kept.containers.len());
    assert!(kept.captured.len() <= 20, "{}", kept.captured.len());
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_are_left_out_when_the_policy_says_so_and_come_when_it_changes() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let without = FeatureOptions { contacts: ContactsOptions { photos: false }, ..FeatureOptions::default() };
    let mut kept = Collected::default();
    let source = Source { options: &without, ..tenant.source(user) };

    kept.run(contacts(), source).await.unwrap();
    assert!(kept.items.values().all(|item| item.content.is_none()));
    let routes = tenant.simulator.stats();
    assert!(!routes["routes"].as_object().unwrap().keys().any(|route| route.contains("photo")), "{routes}");

    // The change of a policy forgets the cursors.
    kept.cursors.clear();
    kept.run(contacts(), tenant.source(user)).await.unwrap();
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_contact_costs_itself_and_a_rotten_photo_not_even_its_contact() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let all = truth(&tenant.simulator, user);
    let with_photo = all.iter().find(|(_, contact)| contact["photo"].is_string()).unwrap().0.clone();
    let rotten = all.iter().find(|(_, contact)| contact["photo"].is_null()).unwrap().0.clone();
    tenant.set_faults(json!([
        {"match": "photo/$value", "kind": "poison", "items": [with_photo]},
        {"match": "contacts/*", "kind": "poison", "items": [rotten]},
    ]));

    let mut kept = backed_up(&tenant, user).await;

    let issues = BTreeMap::from([(with_photo.clone(), "photo_unreadable"), (rotten.clone(), "corrupt")]);
    assert_eq!(kept.issues, issues);
    assert_eq!(kept.items.len(), all.len() - 1);
    tenant.simulator.clear_faults();
    let container = |id: &str| {
        let named = kept.containers.keys().find(|folder| kept.path(folder) == all[id]["folder"].as_str().unwrap());
        named.unwrap().clone()
    };
    let container = container(&rotten);
    kept.issues.remove(&with_photo);
    kept.retry_issues(contacts(), tenant.source(user), &container).await;
    assert!(kept.items.contains_key(&rotten) && kept.issues.is_empty());
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_service_costs_time_and_no_contact() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    tenant.set_faults(json!([
        {"kind": "status", "status": 503, "probability": 0.02, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "reset", "probability": 0.02},
        {"kind": "cut_body", "probability": 0.02},
        {"match": "delta", "kind": "empty_pages", "probability": 0.3},
        {"match": "delta", "kind": "duplicate_entries"},
        {"match": "delta", "kind": "removed_first"},
    ]));

    let kept = backed_up(&tenant, user).await;
    tenant.simulator.clear_faults();

    assert_eq!(kept.issues, BTreeMap::new());
    assert_same(&tenant, user, &kept);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_mailbox_has_no_contacts_and_is_no_failure() {
    let tenant = tenant().await;
    for mailbox in ["unlicensed", "on_premises"] {
        let user = tenant.user_of_kind("member", mailbox);
        let outcome = contacts().containers(tenant.source(&user), None).await.map(|changes| changes.present.len());
        assert!(matches!(&outcome, Err(WalkError::NotApplicable(why)) if !why.is_empty()), "{mailbox}: {outcome:?}");
    }
    tenant.assert_no_violations();
}
