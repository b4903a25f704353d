//! Files on their way back into a simulated drive: whole, once, under a name that it takes, through every fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use kodo::features::{
    Along, Content, LargeContent, Need, OnConflict, Opening, PathStep, Plan, RemoteItem, RestoreError, Restored,
    Restoring, StoredContent, StoredItem, Wish, bring_back, carry_out, plan,
};
use kodo::graph::{FRAGMENT_BYTES, GraphError};
use kodo::ids::ItemKey;
use kodo_simulator::Limits;
use serde_json::{Value, json};

use crate::support::drive::DriveTenant;

const MIB: u64 = 1 << 20;

fn restoring(tenant: &DriveTenant) -> &'static dyn Restoring {
    tenant.feature.restoring().unwrap()
}

/// Does this to the drive and backs the item up.
async fn kept(tenant: &DriveTenant, edit: Value) -> StoredItem {
    let id = tenant.edit(edit);
    let item = RemoteItem { id: id.clone(), properties: None };
    let captured = tenant.feature.capture(tenant.source(), &item, Need::Everything).await.unwrap();
    let content = match captured.content {
        None => StoredContent::None,
        Some(Content::Raw(bytes)) => StoredContent::Whole(bytes),
        Some(Content::Stream(mut stream)) => {
            let mut whole = BytesMut::new();
            while let Some(piece) = stream.pieces.next().await {
                whole.extend_from_slice(&piece.unwrap());
            }
            StoredContent::Large(Arc::new(Counted::new(whole.freeze())))
        }
        Some(other) => panic!("a file is not {other:?}"),
    };
    StoredItem { key: ItemKey::of(&id), kind: captured.summary.kind, properties: captured.properties, content }
}

/// Content that notes how much of it is asked for at once.
struct Counted {
    whole: Bytes,
    most: AtomicUsize,
}

impl Counted {
    fn new(whole: Bytes) -> Self {
        Self { whole, most: AtomicUsize::new(0) }
    }
}

impl LargeContent for Counted {
    fn bytes(&self) -> u64 {
        self.whole.len() as u64
    }

    fn read(&self, from: u64, bytes: usize) -> BoxFuture<'_, Result<Bytes, RestoreError>> {
        self.most.fetch_max(bytes, Ordering::Relaxed);
        Box::pin(async move { Ok(self.whole.slice(from as usize..from as usize + bytes)) })
    }
}

async fn open(tenant: &DriveTenant, folders: &[&str]) -> String {
    let path: Vec<PathStep> = ["OneDrive"].iter().chain(folders).map(|name| step(name)).collect();
    restoring(tenant).open_container(tenant.source(), &path, Opening::Create).await.unwrap().unwrap()
}

fn step(name: &str) -> PathStep {
    PathStep { name: name.to_owned(), well_known: None, hidden: false }
}

async fn bring(
    tenant: &DriveTenant,
    folder: &str,
    item: &StoredItem,
    on_conflict: OnConflict,
) -> Result<Restored, RestoreError> {
    let existing = restoring(tenant).existing(tenant.source(), folder, Opening::Create).await?;
    bring_back(restoring(tenant), tenant.source(), folder, item, &existing, on_conflict).await
}

/// The items of the drive by their paths.
fn by_path(tenant: &DriveTenant) -> std::collections::BTreeMap<String, Value> {
    tenant.truth().into_values().map(|item| (item["path"].as_str().unwrap().to_owned(), item)).collect()
}

fn created() -> Restored {
    Restored::Created { remarks: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_comes_back_with_its_dates_and_its_description_and_only_once() {
    let tenant = DriveTenant::start(0).await;
    let dated = json!({"modified": "2021-03-04T05:06:07Z", "description": "the valid one"});
    let edit = |path: &str, more: Value| {
        let mut edit = dated.clone();
        edit["path"] = json!(path);
        edit["create"] = json!("file");
        edit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        edit
    };
    let mut plain = edit("a & b #1 100%.txt", json!({"text": "plain"}));
    plain.as_object_mut().unwrap().remove("description");
    let items = [
        kept(&tenant, plain).await,
        kept(&tenant, edit("described.bin", json!({"size": 12 * MIB, "seed": 3}))).await,
        kept(&tenant, edit("empty.txt", json!({"text": ""}))).await,
    ];
    let before = by_path(&tenant);
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    let top = open(&tenant, &[]).await;

    for item in &items {
        assert_eq!(bring(&tenant, &top, item, OnConflict::Skip).await.unwrap(), created());
    }
    let after = by_path(&tenant);
    for item in &items {
        for mode in [OnConflict::Skip, OnConflict::KeepBoth, OnConflict::Replace] {
            assert_eq!(bring(&tenant, &top, item, mode).await.unwrap(), Restored::AlreadyThere, "{mode:?}");
        }
    }

    for (path, item) in &before {
        for field in ["kind", "size", "blake3", "created", "modified", "description"] {
            assert!(path.is_empty() || after[path][field] == item[field], "{field} of {item} became {}", after[path]);
        }
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(after, by_path(&tenant), "a repeat changes nothing");
    let StoredContent::Large(_) = &items[1].content else { panic!("12 MiB are not read at once") };
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_read_a_fragment_at_a_time_and_goes_on_where_it_broke_off() {
    let tenant = DriveTenant::start(0).await;
    let bytes = 40 * MIB + 17;
    let item = kept(&tenant, json!({"path": "film.mp4", "create": "file", "size": bytes, "seed": 9})).await;
    let before = by_path(&tenant)["film.mp4"].clone();
    let counted = Arc::new(Counted::new(match &item.content {
        StoredContent::Large(content) => content.read(0, bytes as usize).await.unwrap(),
        other => panic!("{other:?}"),
    }));
    let item = StoredItem { content: StoredContent::Large(counted.clone()), ..item };
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    let top = open(&tenant, &[]).await;
    tenant.set_faults(json!([
        {"match": "uploadSession", "method": "PUT", "kind": "reset", "after": 2, "times": 1},
        {"match": "uploadSession", "method": "PUT", "kind": "cut_body", "after": 3, "times": 2},
        {"match": "uploadSession", "method": "PUT", "kind": "status", "status": 503, "body": "html", "after": 5, "times": 1},
        {"match": "uploadSession", "method": "PUT", "kind": "status", "status": 429, "retry_after": 1, "times": 1},
    ]));
    assert_eq!(bring(&tenant, &top, &item, OnConflict::Skip).await.unwrap(), created());

    let after = by_path(&tenant)["film.mp4"].clone();
    for field in ["size", "blake3", "modified", "created"] {
        assert_eq!(before[field], after[field]);
    }
    assert!(counted.most.load(Ordering::Relaxed) <= FRAGMENT_BYTES);
    let sessions = tenant.simulator.stats()["routes"]
        .as_object()
        .unwrap()
        .iter()
        .find_map(|(route, stats)| route.ends_with("createUploadSession").then(|| stats["requests"].clone()));
    assert_eq!(sessions, Some(json!(1)), "what had arrived was not sent again");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_is_begun_anew_and_a_rough_service_doubles_nothing() {
    let tenant = DriveTenant::start(0).await;
    let mut items = Vec::new();
    for number in 0..30u64 {
        let size = [0, 10, 4_000, 7 * MIB][number as usize % 4];
        let edit = json!({"path": format!("{number}.bin"), "create": "file", "size": size, "seed": number});
        items.push(kept(&tenant, edit).await);
    }
    let before = by_path(&tenant);
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    tenant.set_faults(json!([
        {"match": "uploadSession", "method": "PUT", "kind": "expire_session", "probability": 0.15},
        {"kind": "status", "status": 503, "probability": 0.04, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "reset", "probability": 0.04},
        {"kind": "cut_body", "probability": 0.08},
    ]));

    let folder = open(&tenant, &["new", "folders"]).await;
    for item in &items {
        for attempt in 1.. {
            match bring(&tenant, &folder, item, OnConflict::Skip).await {
                Ok(Restored::Created { .. } | Restored::AlreadyThere) => break,
                // The task would be tried again.
                Err(RestoreError::Graph(_)) if attempt < 20 => {}
                other => panic!("{other:?}"),
            }
        }
    }
    tenant.simulator.clear_faults();

    let after = by_path(&tenant);
    assert_eq!(after.len(), before.len() + 2, "{:?}", after.keys());
    for (path, item) in before.iter().filter(|(path, _)| !path.is_empty()) {
        let back = &after[&format!("new/folders/{path}")];
        assert_eq!((&back["size"], &back["blake3"]), (&item["size"], &item["blake3"]));
        assert_eq!((&back["modified"], &back["created"]), (&item["modified"], &item["created"]), "{back}");
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_same_name_is_treated_as_the_administrator_chose() {
    let tenant = DriveTenant::start(0).await;
    let edit = json!({"path": "Report.txt", "create": "file", "text": "ours", "modified": "2024-05-06T07:08:09Z"});
    let item = kept(&tenant, edit).await;
    tenant.edit(json!({"path": "Report.txt", "text": "encrypted", "modified": "2025-01-01T00:00:00Z"}));
    let top = open(&tenant, &[]).await;
    let id = by_path(&tenant)["Report.txt"]["id"].clone();

    let kept_as_is = bring(&tenant, &top, &item, OnConflict::Skip).await.unwrap();
    let older = bring(&tenant, &top, &item, OnConflict::ReplaceIfOlder).await.unwrap();
    for expected in [created(), Restored::AlreadyThere] {
        assert_eq!(bring(&tenant, &top, &item, OnConflict::KeepBoth).await.unwrap(), expected);
    }
    let beside = by_path(&tenant);
    let replaced = bring(&tenant, &top, &item, OnConflict::Replace).await.unwrap();

    assert!(matches!(kept_as_is, Restored::LeftAlone { .. }) && matches!(older, Restored::LeftAlone { .. }));
    let copy = &beside["Report (restored 2024-05-06 07.08).txt"];
    assert_eq!((&copy["size"], &copy["modified"]), (&json!(4), &json!("2024-05-06T07:08:09Z")));
    assert_eq!(beside.len(), 3, "{:?}", beside.keys());
    assert_eq!(beside["Report.txt"]["size"], json!(9));
    assert!(matches!(replaced, Restored::Updated { .. }), "{replaced:?}");
    let after = by_path(&tenant)["Report.txt"].clone();
    assert_eq!((&after["id"], &after["size"], &after["modified"]), (&id, &json!(4), &copy["modified"]));
    let n_older = |item: &Value| item["olderVersions"].as_array().unwrap().len();
    assert_eq!(n_older(&after), n_older(&beside["Report.txt"]) + 1, "what was there is a version of it");
    assert_eq!(bring(&tenant, &top, &item, OnConflict::Replace).await.unwrap(), Restored::AlreadyThere);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_office_file_that_sharepoint_rewrites_is_recognised_until_somebody_changes_it() {
    let tenant = DriveTenant::start(0).await;
    let item = kept(&tenant, json!({"path": "Plan.docx", "create": "file", "size": 9_000, "seed": 1})).await;
    let before = by_path(&tenant)["Plan.docx"].clone();
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    let top = open(&tenant, &[]).await;

    assert_eq!(bring(&tenant, &top, &item, OnConflict::Skip).await.unwrap(), created());
    let rewritten = by_path(&tenant)["Plan.docx"].clone();
    for mode in [OnConflict::KeepBoth, OnConflict::Replace] {
        assert_eq!(bring(&tenant, &top, &item, mode).await.unwrap(), Restored::AlreadyThere, "{mode:?}");
    }
    // Encrypted by somebody who puts the dates back.
    let put_back = json!({"path": "Plan.docx", "size": 9_000, "seed": 2, "modified": before["modified"]});
    tenant.edit(put_back);
    let replaced = bring(&tenant, &top, &item, OnConflict::Replace).await.unwrap();

    assert_ne!(rewritten["blake3"], before["blake3"], "this tenant rewrites office files");
    assert_eq!(rewritten["sent"]["blake3"], before["blake3"]);
    assert!(matches!(replaced, Restored::Updated { .. }), "{replaced:?}");
    assert_eq!(by_path(&tenant)["Plan.docx"]["sent"]["blake3"], before["blake3"]);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_the_drive_does_not_take_becomes_one_that_it_does_and_the_report_says_so() {
    let tenant = DriveTenant::start(0).await;
    let names = ["aux", "x_vti_y.txt", "~$lock.txt", "Forms", "end.", "a:b?.txt"];
    let mut items = Vec::new();
    for name in names {
        items.push(kept(&tenant, json!({"path": name, "create": "file", "text": name})).await);
    }
    tenant.simulator.wipe_drive(&tenant.user).unwrap();
    let top = open(&tenant, &[]).await;

    for item in &items {
        let restored = bring(&tenant, &top, item, OnConflict::Skip).await.unwrap();
        assert!(matches!(&restored, Restored::Created { remarks } if remarks.len() == 1), "{restored:?}");
        assert_eq!(bring(&tenant, &top, item, OnConflict::KeepBoth).await.unwrap(), Restored::AlreadyThere);
    }
    open(&tenant, &["con", "what?", "forms"]).await;

    let after = by_path(&tenant);
    for expected in ["_aux", "x-vti_y.txt", "_lock.txt", "_Forms", "end_", "a_b_.txt", "_con/what_/forms"] {
        assert!(after.contains_key(expected), "{expected} in {:?}", after.keys());
    }
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_costs_itself_and_a_full_drive_stops_the_restore() {
    let tenant = DriveTenant::start(0).await;
    let item = kept(&tenant, json!({"path": "a.bin", "create": "file", "size": 70_000, "seed": 1})).await;
    let long = kept(&tenant, json!({"path": format!("{}.txt", "n".repeat(240)), "create": "file", "text": "x"})).await;
    let top = open(&tenant, &[]).await;
    let deep = open(&tenant, &["d".repeat(200).as_str()]).await;

    tenant.edit(json!({"path": "a.bin", "text": "changed", "locked": true}));
    let locked = bring(&tenant, &top, &item, OnConflict::Replace).await;
    let too_long = bring(&tenant, &deep, &long, OnConflict::Skip).await;
    tenant.edit(json!({"path": "a.bin", "delete": true}));
    tenant.simulator.set_limits(Limits { drive_quota_bytes: 69_999, ..Limits::default() });
    let full = bring(&tenant, &top, &item, OnConflict::Skip).await;
    tenant.simulator.set_limits(Limits::default());
    let after = by_path(&tenant);

    assert!(matches!(&locked, Err(RestoreError::Item(why)) if why.contains("lock")), "{locked:?}");
    assert!(matches!(&too_long, Err(RestoreError::Item(why)) if why.contains("too long")), "{too_long:?}");
    assert!(matches!(full, Err(RestoreError::Graph(GraphError::Quota { .. }))), "{full:?}");
    assert!(!after.contains_key("a.bin"), "nothing half is left: {:?}", after.keys());
    assert_eq!(bring(&tenant, &top, &item, OnConflict::Skip).await.unwrap(), created());
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_elsewhere_is_moved_back_or_left_there() {
    let tenant = DriveTenant::start(0).await;
    tenant.edit(json!({"path": "Elsewhere", "create": "folder"}));
    let item = kept(&tenant, json!({"path": "a.txt", "create": "file", "text": "a"})).await;
    tenant.edit(json!({"path": "a.txt", "move_to": "Elsewhere"}));
    let top = open(&tenant, &[]).await;
    let existing = restoring(&tenant).existing(tenant.source(), &top, Opening::Look).await.unwrap();
    let plan_with = async |on_conflict| {
        let wish = Wish { on_conflict, may_be_elsewhere: true };
        plan(restoring(&tenant), tenant.source(), &top, &item, &existing, wish).await.unwrap()
    };

    assert!(matches!(plan_with(OnConflict::Skip).await, Plan::LeftAlone { .. }));
    let back = plan_with(OnConflict::Replace).await;
    carry_out(restoring(&tenant), tenant.source(), &top, (&item, Along::default()), &back).await.unwrap();

    let after = by_path(&tenant);
    assert_eq!(
        after["a.txt"]["id"],
        json!(tenant.truth().into_values().find(|it| it["name"] == "a.txt").unwrap()["id"])
    );
    assert!(!after.contains_key("Elsewhere/a.txt"));
    tenant.assert_no_violations();
}
