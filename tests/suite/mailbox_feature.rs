//! The mailbox feature against a simulated tenant: what is captured can be restored, through every fault.

use std::collections::BTreeMap;
use std::time::Duration;

use kodo::features::{WalkError, flag};
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::tenant::{Kept, Tenant, differences, messages};

fn options(messages: usize) -> Options {
    Options { users: 2, messages, ..Options::default() }
}

/// What a restore is allowed to change: nobody can create an invitation or a reference to a cloud file.
pub fn assert_same(before: &Value, after: &Value) {
    let mut found = differences(before, after);
    found.retain(|field, (_, example)| match field.as_str() {
        "IPM.Schedule.Meeting.Request attachments" => !example.contains("invite.ics"),
        "IPM.Schedule.Meeting.Request messageClass" => false,
        "IPM.Note attachments" => !example.contains("\"kind\":\"reference\""),
        _ => true,
    });
    assert_eq!(found, BTreeMap::new());
    assert_eq!(before["folders"], after["folders"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_mailbox_comes_back_after_it_was_wiped() {
    let tenant = Tenant::start(Options { large_attachments: true, ..options(300) }).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;
    tenant.simulator.wipe_mailbox(user).unwrap();
    let (n_created, remarks) = tenant.restore(user, &kept).await;

    assert_eq!((kept.issues.len(), kept.n_messages()), (0, before["messages"].as_array().unwrap().len()));
    assert_eq!(n_created, kept.n_messages());
    assert!(remarks.iter().all(|remark| remark.contains("invitation")), "{remarks:?}");
    assert_same(&before, &tenant.fingerprint(user));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_restore_creates_nothing() {
    let tenant = Tenant::start(options(80)).await;
    let user = &tenant.members()[0];
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;

    let beside_the_originals = tenant.restore(user, &kept).await.0;
    tenant.simulator.wipe_mailbox(user).unwrap();
    let first = tenant.restore(user, &kept).await.0;
    let second = tenant.restore(user, &kept).await.0;

    assert_eq!((beside_the_originals, first, second), (0, kept.n_messages(), 0));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_run_reads_what_changed_and_nothing_else() {
    let tenant = Tenant::start(options(150)).await;
    let user = &tenant.members()[0];
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    (kept.n_captured, kept.n_downloaded) = (0, 0);

    tenant.back_up(user, &mut kept).await;
    assert_eq!(kept.n_captured, 0);
    let edits = tenant.simulator.random_edits(user, 5, 60).unwrap();
    tenant.simulator.add_folder(user, json!({"parent": "Inbox", "name": "Later"})).unwrap();
    tenant.simulator.add_folder(user, json!({"parent": "", "name": "Unseen", "hidden": true})).unwrap();
    tenant.back_up(user, &mut kept).await;

    let count = |kind: &str| edits["counts"][kind].as_u64().unwrap_or(0) as usize;
    // What refers to files in the cloud is read anew: the list of attachments goes with the text.
    let n_referring = kept.messages().filter(|(_, item)| item.known.flags & flag::REFERENCES != 0).count();
    let expected = count("new_mail") + count("edit_draft") + n_referring;
    assert!(kept.n_downloaded <= expected, "{} of {edits}", kept.n_downloaded);
    let before = tenant.fingerprint(user);
    assert_eq!(kept.n_messages(), before["messages"].as_array().unwrap().len());
    tenant.simulator.wipe_mailbox(user).unwrap();
    tenant.restore(user, &kept).await;
    assert_same(&before, &tenant.fingerprint(user));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_tokens_cost_a_walk_and_no_download() {
    let tenant = Tenant::start(options(60)).await;
    let user = &tenant.members()[0];
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    (kept.n_captured, kept.n_downloaded) = (0, 0);

    tenant.simulator.expire_delta(Some(user)).unwrap();
    tenant.back_up(user, &mut kept).await;

    assert_eq!(kept.n_captured, 0);
    assert_eq!(kept.n_messages(), tenant.fingerprint(user)["messages"].as_array().unwrap().len());
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_service_costs_time_and_no_message() {
    let tenant = Tenant::start(options(80)).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    tenant.set_faults(json!([
        {"kind": "status", "status": 503, "probability": 0.02, "body": "html"},
        {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.02},
        {"kind": "status", "status": 503, "retry_after": 1, "retry_after_form": "date", "probability": 0.01},
        {"kind": "reset", "probability": 0.02},
        {"kind": "cut_body", "probability": 0.02},
        {"match": "messages/delta", "kind": "empty_pages", "probability": 0.3},
        {"match": "messages/delta", "kind": "duplicate_entries"},
        {"match": "messages/delta", "kind": "removed_first"},
    ]));

    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    tenant.simulator.clear_faults();

    assert_eq!(kept.issues, BTreeMap::new());
    tenant.simulator.wipe_mailbox(user).unwrap();
    tenant.restore(user, &kept).await;
    assert_same(&before, &tenant.fingerprint(user));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_through_lost_answers_makes_no_duplicates() {
    let tenant = Tenant::start(options(60)).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    tenant.simulator.wipe_mailbox(user).unwrap();
    // A cut body is an answer lost after the request was carried out; a reset is one lost before.
    tenant.set_faults(json!([
        // At most two lost before: three in a row on one message end the attempt, which is the workers' to repeat.
        {"match": "messages", "method": "POST", "kind": "cut_body", "probability": 0.1},
        {"match": "messages", "method": "POST", "kind": "reset", "probability": 0.1, "times": 2},
        {"match": "attachments", "method": "POST", "kind": "cut_body", "probability": 0.1},
        {"match": "attachments", "method": "POST", "kind": "status", "status": 504, "probability": 0.1},
    ]));

    let (n_created, _) = tenant.restore(user, &kept).await;
    tenant.simulator.clear_faults();

    assert_eq!(n_created, kept.n_messages());
    assert_same(&before, &tenant.fingerprint(user));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_restore_is_finished_by_the_next() {
    let tenant = Tenant::start(options(120)).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    tenant.simulator.wipe_mailbox(user).unwrap();

    // Attachments are slow, so that messages are cut off between their creation and their attachments.
    tenant.set_faults(json!([{"match": "attachments", "method": "POST", "kind": "delay_ms", "ms": 120}]));
    for _ in 0..6 {
        let cut = tokio::time::timeout(Duration::from_millis(400), tenant.restore(user, &kept)).await;
        assert!(cut.is_err(), "the restore was to be interrupted");
    }
    tenant.simulator.clear_faults();
    tenant.restore(user, &kept).await;

    assert_same(&before, &tenant.fingerprint(user));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_item_is_an_issue_and_is_read_once_it_is_well() {
    let tenant = Tenant::start(options(40)).await;
    let user = &tenant.members()[0];
    let all = messages(&tenant.fingerprint(user));
    let ids: Vec<&String> = all.keys().map(|(_, id)| id).collect();
    tenant.set_faults(json!([
        {"kind": "poison", "items": [ids[0]]},
        {"kind": "poison", "items": [ids[1]], "code": "ErrorCorruptData"},
        {"match": "messages/*/$value", "kind": "vanish", "items": [ids[2]]},
        {"match": "messages/delta", "kind": "control_characters"},
    ]));
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;

    let mut reasons: Vec<&str> = kept.issues.values().copied().collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["corrupt", "mime_unavailable"]);
    assert_eq!(kept.n_messages(), tenant.fingerprint(user)["messages"].as_array().unwrap().len() - 3);
    tenant.simulator.clear_faults();
    tenant.retry_issues(user, &mut kept).await;
    assert!(kept.issues.is_empty());
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_mailbox_is_not_a_failure() {
    let tenant = Tenant::start(options(5)).await;

    for (kind, mailbox) in [("member", "unlicensed"), ("member", "on_premises")] {
        let user = tenant.user_of_kind(kind, mailbox);
        let outcome = find_mailbox(&tenant, &user).await;
        assert!(
            matches!(&outcome, Err(WalkError::NotApplicable(reason)) if !reason.is_empty()),
            "{mailbox}: {outcome:?}"
        );
    }
    let user = &tenant.members()[0];
    tenant.simulator.change_user(user, json!({"mailbox": "denied"})).unwrap();
    assert!(
        matches!(find_mailbox(&tenant, user).await, Err(WalkError::NotApplicable(reason)) if reason.contains("RBAC"))
    );
    assert!(matches!(find_mailbox(&tenant, "no-such-user").await, Err(WalkError::NotApplicable(_))));
    tenant.assert_no_violations();
}

async fn find_mailbox(tenant: &Tenant, user: &str) -> Result<usize, WalkError> {
    tenant.mailbox.containers(tenant.source(user), None).await.map(|changes| changes.present.len())
}
