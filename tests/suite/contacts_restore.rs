//! Contacts that were lost come back: into their folders, with all fields and photos, once, through every fault, and as
//! the administrator wants it where something is there.

use std::collections::BTreeMap;

use kodo::features::{
    OnConflict, Opening, PathStep, RemoteContainer, RestoreError, Restored, StoredContent, StoredItem, bring_back, find,
};
use kodo::ids::ItemKey;
use kodo_simulator::{Options, Simulator};
use serde_json::{Value, json};

use crate::support::collected::Collected;
use crate::support::tenant::Tenant;

/// What nobody can bring back: Microsoft gives out ids and sets these times.
const SET_BY_MICROSOFT: [&str; 4] = ["id", "createdDateTime", "lastModifiedDateTime", "parentFolderId"];
/// A field of a name that somebody made up: Graph tells it only to whoever asks for that name, so no backup has it.
const MADE_UP_FIELD: &str = "Name CustomerNumber";
/// Our own mark.
const MARK: &str = "Name KodoOrigin";
/// The most requests that a mailbox takes at once.
const AT_ONCE_MAX: u64 = 4;

pub fn company() -> Options {
    Options { users: 2, messages: 2, contacts: 60, special_users: false, ..Options::default() }
}

/// The contacts of a user with all that a restore must bring back, each as one line, in order; and the folders.
pub fn held(simulator: &Simulator, user: &str) -> (Vec<String>, Vec<String>) {
    let fingerprint = simulator.contacts_fingerprint(user).unwrap();
    let list = |name: &str| fingerprint[name].as_array().unwrap().clone();
    let line = |mut contact: Value| {
        let all = contact.as_object_mut().unwrap();
        all.retain(|name, _| !SET_BY_MICROSOFT.contains(&name.as_str()));
        let properties = all["properties"].as_array_mut().unwrap();
        let is_kept = |id: &str| !id.ends_with(MADE_UP_FIELD) && !id.ends_with(MARK);
        // A field that was cleared is empty.
        properties.retain(|one| is_kept(one[0].as_str().unwrap()) && one[1] != "");
        properties.iter_mut().for_each(|one| one[0] = json!(one[0].as_str().unwrap().to_lowercase()));
        properties.sort_by_key(Value::to_string);
        contact.to_string()
    };
    let mut contacts: Vec<String> = list("contacts").into_iter().map(line).collect();
    let path = |folder: Value| folder["path"].as_str().unwrap().to_owned();
    let mut folders: Vec<String> = list("folders").into_iter().map(path).collect();
    contacts.sort();
    folders.sort();
    (contacts, folders)
}

pub fn wipe(simulator: &Simulator, user: &str) {
    simulator.contacts_edit(user, json!({"action": "wipe"})).unwrap();
}

pub fn assert_polite(simulator: &Simulator) {
    let violations = simulator.violations();
    assert!(violations.is_empty(), "requests that no client should send: {violations:#?}");
    let breaches = simulator.contract_breaches();
    assert!(breaches.is_empty(), "answers that Graph could not give: {breaches:#?}");
    let at_once = simulator.stats()["concurrency_max"].clone();
    for (user, most) in at_once.as_object().unwrap() {
        assert!(most.as_u64().unwrap() <= AT_ONCE_MAX, "{most} requests at once to {user}");
    }
}

/// A backup of the contacts of one user, and what can be done with it.
struct Backup {
    tenant: Tenant,
    kept: Collected,
}

/// What became of the items of one restore.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ended {
    created: usize,
    updated: usize,
    there: usize,
    left: usize,
    remarks: Vec<String>,
}

impl Backup {
    async fn of(tenant: Tenant, user: &str) -> Self {
        let mut kept = Collected::default();
        kept.run(find("contacts").unwrap(), tenant.source(user)).await.unwrap();
        assert_eq!(kept.issues, BTreeMap::new());
        Self { tenant, kept }
    }

    fn path(&self, folder: &RemoteContainer) -> Vec<PathStep> {
        let parent = folder.parent.as_ref().map(|parent| &self.kept.containers[parent]);
        let mut path = parent.map_or_else(Vec::new, |parent| self.path(parent));
        path.push(PathStep { name: folder.name.clone(), well_known: folder.well_known.clone(), hidden: false });
        path
    }

    async fn restore(&self, user: &str, on_conflict: OnConflict) -> Result<Ended, RestoreError> {
        let contacts = find("contacts").unwrap().restoring().unwrap();
        let target = self.tenant.source(user);
        let mut ended = Ended::default();
        for folder in self.kept.containers.values() {
            let place = contacts.open_container(target, &self.path(folder), Opening::Create).await?.unwrap();
            let existing = contacts.existing(target, &place, Opening::Create).await?;
            for (id, item) in self.kept.items.iter().filter(|(_, item)| item.container == folder.id) {
                let stored = StoredItem {
                    key: ItemKey::of(id),
                    kind: item.summary.kind,
                    properties: item.properties.to_string().into(),
                    content: item.content.clone().map_or(StoredContent::None, StoredContent::Whole),
                };
                ended.note(bring_back(contacts, target, &place, &stored, &existing, on_conflict).await?);
            }
        }
        Ok(ended)
    }
}

impl Ended {
    fn note(&mut self, restored: Restored) {
        match restored {
            Restored::Created { remarks } => {
                self.created += 1;
                self.remarks.extend(remarks);
            }
            Restored::Updated { remarks } => {
                self.updated += 1;
                self.remarks.extend(remarks);
            }
            Restored::AlreadyThere => self.there += 1,
            Restored::LeftAlone { .. } => self.left += 1,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_that_were_lost_come_back_as_they_were_and_a_second_time_nothing_happens() {
    let tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    let before = held(&tenant.simulator, &user);
    let backup = Backup::of(tenant, &user).await;
    let simulator = &backup.tenant.simulator;

    let living = backup.restore(&user, OnConflict::Skip).await.unwrap();
    wipe(simulator, &user);
    let first = backup.restore(&user, OnConflict::Skip).await.unwrap();
    let after = held(simulator, &user);
    let second = backup.restore(&user, OnConflict::Skip).await.unwrap();
    let replaced = backup.restore(&user, OnConflict::Replace).await.unwrap();

    let n = backup.kept.items.len();
    assert_eq!(living, Ended { there: n, ..Ended::default() }, "what is there as it was is left alone");
    assert_eq!(first, Ended { created: n, ..Ended::default() });
    assert_eq!(before, after);
    assert_eq!(second, Ended { there: n, ..Ended::default() });
    assert_eq!(replaced, Ended { there: n, ..Ended::default() }, "what is as it should be is not written");
    assert_eq!(held(simulator, &user), before);
    assert_polite(simulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_since_is_treated_as_the_administrator_wants() {
    let tenant = Tenant::start(Options { contacts: 8, ..company() }).await;
    let user = tenant.members()[0].clone();
    let before = held(&tenant.simulator, &user);
    let backup = Backup::of(tenant, &user).await;
    let simulator = &backup.tenant.simulator;
    let edit = |wanted: Value| simulator.contacts_edit(&user, wanted).unwrap();
    let mut ids = backup.kept.items.iter().filter(|(_, item)| item.content.is_some()).map(|(id, _)| id.clone());
    let (texts, photo) = (ids.next().unwrap(), ids.next().unwrap());
    edit(json!({"action": "change", "id": texts, "texts": {"nickName": "Max", "surname": "Other", "title": "Prof."}}));
    edit(json!({"action": "photo", "id": photo, "seed": "another"}));
    let changed = held(simulator, &user);
    let n = backup.kept.items.len();

    let skipped = backup.restore(&user, OnConflict::Skip).await.unwrap();
    // What is there was modified after the backup.
    let older = backup.restore(&user, OnConflict::ReplaceIfOlder).await.unwrap();
    assert_eq!((skipped.left, older.left, held(simulator, &user)), (2, 2, changed));
    let replaced = backup.restore(&user, OnConflict::Replace).await.unwrap();
    assert_eq!((replaced.updated, replaced.there, replaced.created), (2, n - 2, 0), "{replaced:?}");
    assert_eq!(held(simulator, &user), before);
    let again = backup.restore(&user, OnConflict::Replace).await.unwrap();
    assert_eq!(again, Ended { there: n, ..Ended::default() });

    edit(json!({"action": "change", "id": texts, "texts": {"nickName": "Max"}}));
    let both = backup.restore(&user, OnConflict::KeepBoth).await.unwrap();
    let once = held(simulator, &user);
    let both_again = backup.restore(&user, OnConflict::KeepBoth).await.unwrap();

    // The one whose photo was put back has another change key: nobody can tell that it is as it was without its photo.
    assert!((1..=2).contains(&both.created), "{both:?}");
    assert_eq!(both_again, Ended { there: n, ..Ended::default() });
    assert_eq!((once.0.len(), held(simulator, &user)), (n + both.created, once));
    assert_polite(simulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_gets_what_is_missing_and_keeps_what_is_there() {
    let tenant = Tenant::start(company()).await;
    let [source, target] = [tenant.members()[0].clone(), tenant.members()[1].clone()];
    let theirs = held(&tenant.simulator, &target).0.len();
    let backup = Backup::of(tenant, &source).await;
    let simulator = &backup.tenant.simulator;
    let wanted = held(simulator, &source);

    let first = backup.restore(&target, OnConflict::Skip).await.unwrap();
    let once = held(simulator, &target);
    let second = backup.restore(&target, OnConflict::Skip).await.unwrap();

    assert_eq!(once.0.len(), theirs + first.created);
    let missing = wanted.0.iter().filter(|contact| !once.0.contains(contact)).count();
    assert_eq!(missing, first.left, "what is not there was left out because another state of it is there");
    assert_eq!((second.created, held(simulator, &target)), (0, once));
    assert_polite(simulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_and_a_rough_service_make_no_duplicate_and_lose_nothing() {
    let tenant = Tenant::start(Options { contacts: 40, ..company() }).await;
    let user = tenant.members()[0].clone();
    let before = held(&tenant.simulator, &user);
    let backup = Backup::of(tenant, &user).await;
    let simulator = &backup.tenant.simulator;
    wipe(simulator, &user);
    backup.tenant.set_faults(json!([
        {"kind": "status", "status": 503, "probability": 0.02, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        // A cut body is an answer lost after the request was carried out; a reset is one lost before.
        {"match": "contacts", "method": "POST", "kind": "cut_body", "probability": 0.15},
        {"match": "contacts", "method": "POST", "kind": "reset", "probability": 0.1, "times": 2},
        {"match": "childFolders", "method": "POST", "kind": "cut_body", "times": 1},
        {"match": "photo/$value", "method": "PUT", "kind": "cut_body", "probability": 0.2},
        {"match": "contacts/*", "method": "PATCH", "kind": "reset", "probability": 0.2, "times": 2},
    ]));

    // A task that ends because something went wrong three times in a row begins again.
    let mut attempts = 0;
    while backup.restore(&user, OnConflict::Skip).await.is_err() {
        attempts += 1;
        assert!(attempts < 10, "it does not come to an end");
    }
    simulator.clear_faults();

    assert_eq!(held(simulator, &user), before);
    let again = backup.restore(&user, OnConflict::Skip).await.unwrap();
    assert_eq!(again.there, backup.kept.items.len());
    assert_polite(simulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_was_cut_off_before_its_photo_is_healed_and_a_refused_photo_is_told() {
    let tenant = Tenant::start(Options { contacts: 9, ..company() }).await;
    let user = tenant.members()[0].clone();
    let before = held(&tenant.simulator, &user);
    let backup = Backup::of(tenant, &user).await;
    let simulator = &backup.tenant.simulator;
    let n_photos = backup.kept.items.values().filter(|item| item.content.is_some()).count();
    wipe(simulator, &user);
    backup.tenant.set_faults(json!([{"match": "photo/$value", "method": "PUT", "kind": "status", "status": 403}]));
    assert!(backup.restore(&user, OnConflict::Skip).await.is_err(), "a missing role ends the restore");
    assert!(
        simulator.contacts_fingerprint(&user).unwrap()["contacts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|contact| { contact["photo"].is_null() && contact["properties"].to_string().contains(":1\"") })
    );
    simulator.clear_faults();

    backup.restore(&user, OnConflict::Skip).await.unwrap();
    assert_eq!(held(simulator, &user), before, "what was half-way there is whole now");

    wipe(simulator, &user);
    let rule =
        json!({"match": "photo/$value", "method": "PUT", "kind": "status", "status": 400, "code": "ErrorInvalidImage"});
    backup.tenant.set_faults(json!([rule]));
    let ended = backup.restore(&user, OnConflict::Skip).await.unwrap();
    assert_eq!((ended.created, ended.remarks.len()), (backup.kept.items.len(), n_photos));
    assert!(ended.remarks.iter().all(|remark| remark.contains("photo is left out")), "{:?}", ended.remarks);
    let again = backup.restore(&user, OnConflict::Skip).await.unwrap();
    assert_eq!(again.created, 0, "what can never be added is not begun again");
    assert_polite(simulator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_writes_nothing_and_sees_what_is_missing() {
    let tenant = Tenant::start(company()).await;
    let user = tenant.members()[0].clone();
    let backup = Backup::of(tenant, &user).await;
    let simulator = &backup.tenant.simulator;
    wipe(simulator, &user);
    let empty = held(simulator, &user);
    let contacts = find("contacts").unwrap().restoring().unwrap();
    let target = backup.tenant.source(&user);

    let mut missing = 0;
    for folder in backup.kept.containers.values() {
        match contacts.open_container(target, &backup.path(folder), Opening::Look).await.unwrap() {
            Some(place) => assert!(contacts.existing(target, &place, Opening::Look).await.unwrap().is_empty()),
            None => missing += 1,
        }
    }

    assert_eq!(missing, backup.kept.containers.len() - 1, "all but the default folder");
    assert_eq!(held(simulator, &user), empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_whose_name_a_mail_folder_has_gets_a_name_of_its_own() {
    let tenant = Tenant::start(Options { contacts: 0, ..company() }).await;
    let user = tenant.members()[0].clone();
    tenant.simulator.add_folder(&user, json!({"parent": "", "name": "Restored"})).unwrap();
    let contacts = find("contacts").unwrap().restoring().unwrap();
    let target = tenant.source(&user);
    let path = [PathStep { name: "Restored".to_owned(), well_known: None, hidden: false }];

    let first = contacts.open_container(target, &path, Opening::Create).await.unwrap();
    let second = contacts.open_container(target, &path, Opening::Create).await.unwrap();

    assert_eq!(first, second);
    assert!(held(&tenant.simulator, &user).1.contains(&"Restored (contacts)".to_owned()));
    assert_polite(&tenant.simulator);
}
