//! What of a mailbox is captured besides its ordinary mail, and what a policy leaves out.

use kodo::features::mailbox::{KIND_CATEGORY, KIND_PARTS, KIND_RULE, KIND_SETTINGS};
use kodo::features::{CaptureError, Need, RemoteItem, SkipReason, flag};
use kodo::graph::{Credential, GraphClient, GraphConfig, TenantCredentials};
use kodo::secret::Secret;
use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::mailbox_feature::assert_same;
use crate::support::tenant::{Kept, KeptItem, Tenant, messages};

fn options(messages: usize) -> Options {
    Options { users: 2, messages, ..Options::default() }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn has_attachment(message: &Value, kind: &str) -> bool {
    list(message, "attachments").iter().any(|attachment| attachment["kind"] == kind)
}

fn kept_mail<'a>(kept: &'a Kept, internet_id: &str) -> &'a KeptItem {
    let found = kept.messages().find(|(_, item)| item.properties()["internetMessageId"] == internet_id);
    found.expect("the message was captured").1
}

/// Where a default folder is, by what people see.
fn path_of(fingerprint: &Value, well_known: &str) -> String {
    let folder = list(fingerprint, "folders").iter().find(|folder| folder["well_known"] == well_known);
    folder.unwrap()["path"].as_str().unwrap().to_owned()
}

/// How many messages are in none of these folders, nor below.
fn n_outside(fingerprint: &Value, paths: &[String]) -> usize {
    let within = |path: &str| paths.iter().any(|top| path == top || path.starts_with(&format!("{top}/")));
    list(fingerprint, "messages").iter().filter(|message| !within(message["folder"].as_str().unwrap())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_text_is_kept_as_its_parts_and_comes_back() {
    let tenant = Tenant::start(options(200)).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let all = messages(&before);
    let single = all.iter().filter(|(_, copies)| copies.len() == 1).map(|((_, id), copies)| (id, &copies[0]));
    let ordinary = |message: &&Value| message["messageClass"] == "IPM.Note" && !has_attachment(message, "reference");
    let chosen: Vec<_> = single.filter(|(_, message)| ordinary(message)).collect();
    let with = |kind: &'static str| chosen.iter().filter(move |(_, message)| has_attachment(message, kind)).take(4);
    let without = chosen.iter().filter(|(_, message)| list(message, "attachments").is_empty()).take(2);
    let victims: Vec<&String> = with("file").chain(with("item")).chain(without).map(|(id, _)| *id).collect();
    assert!(victims.len() > 6, "too few messages of these kinds");
    // Once each: what poisons a text also poisons the content of attachments, whose paths end the same.
    let poison = |id: &&String| json!({"match": "/$value", "kind": "poison", "items": [id], "times": 1});
    tenant.set_faults(victims.iter().map(poison).collect());
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;
    tenant.simulator.clear_faults();

    assert!(kept.issues.is_empty(), "{:?}", kept.issues);
    for id in &victims {
        let item = kept_mail(&kept, id);
        assert_eq!((item.kind, item.known.flags & flag::KEPT_AS_PARTS), (KIND_PARTS, flag::KEPT_AS_PARTS), "{id}");
        let warning = item.properties()["kodo"]["warning"].to_string();
        assert!(warning.contains("could not produce the text") && !warning.contains("is missing:"), "{warning}");
    }
    tenant.simulator.wipe_mailbox(user).unwrap();
    tenant.restore(user, &kept).await;
    assert_same(&before, &tenant.fingerprint(user));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_kept_as_parts_is_read_whole_when_it_is_reported_anew() {
    let tenant = Tenant::start(options(40)).await;
    let user = &tenant.members()[0];
    let all = messages(&tenant.fingerprint(user));
    let ((folder, id), _) = all.iter().find(|(_, copies)| copies[0]["isDraft"] == false).unwrap();
    tenant.set_faults(json!([{"match": "messages/*/$value", "kind": "poison", "items": [id]}]));
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    tenant.simulator.clear_faults();
    kept.n_captured = 0;

    tenant.back_up(user, &mut kept).await;
    assert_eq!((kept_mail(&kept, id).kind, kept.n_captured), (KIND_PARTS, 0), "nothing says that it changed");
    let edit = json!({"internet_message_id": id, "folder": folder, "categories": ["Blue category"]});
    tenant.simulator.edit(user, edit).unwrap();
    tenant.back_up(user, &mut kept).await;

    let healed = kept_mail(&kept, id);
    assert!(healed.kind != KIND_PARTS && healed.known.flags & flag::KEPT_AS_PARTS == 0);
    assert!(healed.properties()["kodo"].get("warning").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_categories_and_rules_are_items_that_follow_what_their_owner_does() {
    let tenant = Tenant::start(options(10)).await;
    let user = &tenant.members()[0];
    let settings = |tenant: &Tenant| tenant.simulator.settings_fingerprint(user).unwrap();
    let tally = |kept: &Kept, kind: u8| kept.items.values().filter(|item| item.kind == kind).count();
    let assert_held = |kept: &Kept, now: &Value| {
        assert_eq!(tally(kept, KIND_SETTINGS), 1);
        for (kind, name) in [(KIND_CATEGORY, "categories"), (KIND_RULE, "rules")] {
            let mut held: Vec<Value> =
                kept.items.values().filter(|item| item.kind == kind).map(KeptItem::properties).collect();
            // A rule notes where its folders are.
            held.iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("kodo")));
            let mut wanted = list(now, name).to_vec();
            held.sort_by_key(|one| one["id"].to_string());
            wanted.sort_by_key(|one| one["id"].to_string());
            assert_eq!(held, wanted, "{name}");
        }
    };
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;
    assert_held(&kept, &settings(&tenant));
    kept.n_captured = 0;
    tenant.back_up(user, &mut kept).await;
    assert_eq!(kept.n_captured, 0, "nothing changed");
    let edit = json!({"reply": "Away", "add_category": "New", "add_rule": "Later"});
    tenant.simulator.settings_edit(user, edit).unwrap();
    tenant.back_up(user, &mut kept).await;
    assert_held(&kept, &settings(&tenant));
    assert_eq!(kept.n_captured, 3);
    tenant.simulator.settings_edit(user, json!({"remove_category": "New", "remove_rule": "Later"})).unwrap();
    tenant.back_up(user, &mut kept).await;

    let now = settings(&tenant);
    assert_held(&kept, &now);
    let own = kept.items.values().find(|item| item.kind == KIND_SETTINGS).unwrap();
    assert!(own.content.is_none() && own.properties()["automaticRepliesSetting"]["internalReplyMessage"] == "Away");
    let before = tenant.fingerprint(user);
    tenant.restore(user, &kept).await;
    assert_eq!((tenant.fingerprint(user), settings(&tenant)), (before, now), "a restore leaves them alone");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_without_the_permission_for_settings_backs_up_mail_and_names_what_it_lacks() {
    let mut tenant = Tenant::start(options(10)).await;
    let user = &tenant.members()[0];
    let app = json!({"client_id": "mail-only", "secret": "s3cret", "roles": ["User.Read.All", "Mail.ReadWrite"]});
    tenant.simulator.register_app(app).unwrap();
    let config = GraphConfig {
        base_url: tenant.simulator.base_url(),
        login_url: tenant.simulator.login_url(),
        ..GraphConfig::default()
    };
    let credentials = TenantCredentials {
        entra_tenant_id: tenant.simulator.tenant_id(),
        client_id: "mail-only".to_owned(),
        credential: Credential::Secret(Secret::new("s3cret".to_owned())),
    };
    let whole = std::mem::replace(&mut tenant.graph, GraphClient::new(&config, credentials).unwrap());
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;

    assert_eq!(kept.n_messages(), list(&tenant.fingerprint(user), "messages").len());
    assert_eq!(kept.issues.values().collect::<Vec<_>>(), [&"missing_role"; 3]);
    let rules = RemoteItem { id: "kodo:settings:rules".to_owned(), properties: None };
    let told = tenant.mailbox.capture(tenant.source(user), &rules, Need::Everything).await.unwrap_err();
    assert!(matches!(told, CaptureError::Skipped { reason: SkipReason::MissingRole, .. }), "{told:?}");
    assert!(told.to_string().contains("MailboxSettings.Read"), "{told}");
    tenant.graph = whole;
    tenant.back_up(user, &mut kept).await;
    assert!(kept.issues.is_empty());
    let now = tenant.simulator.settings_fingerprint(user).unwrap();
    let n_small = 1 + list(&now, "categories").len() + list(&now, "rules").len();
    assert_eq!(kept.items.len() - kept.n_messages(), n_small);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_items_and_junk_are_left_out_when_the_policy_says_so() {
    let mut tenant = Tenant::start(options(80)).await;
    (tenant.options.mailbox.deleted_items, tenant.options.mailbox.junk) = (false, false);
    let user = &tenant.members()[0];
    let furnished = tenant.fingerprint(user);
    let paths = ["deleteditems", "junkemail"].map(|name| path_of(&furnished, name));
    let [bin, junk] = &paths;
    let inbox: Vec<&Value> =
        list(&furnished, "messages").iter().filter(|message| message["folder"] == "Inbox").collect();
    let throw = |message: &Value, to: &str| {
        let id = &message["internetMessageId"];
        tenant.simulator.edit(user, json!({"internet_message_id": id, "folder": "Inbox", "move_to": to})).unwrap();
    };
    throw(inbox[0], bin);
    throw(inbox[1], junk);
    let first = tenant.fingerprint(user);
    tenant.simulator.add_folder(user, json!({"parent": bin, "name": "Old"})).unwrap();
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;
    assert_eq!(kept.n_messages(), n_outside(&first, &paths));
    assert!(kept.n_messages() < list(&first, "messages").len(), "nothing was to be left out");
    throw(inbox[2], bin);
    tenant.simulator.add_folder(user, json!({"parent": format!("{bin}/Old"), "name": "Older"})).unwrap();
    kept.n_captured = 0;
    tenant.back_up(user, &mut kept).await;

    let second = tenant.fingerprint(user);
    assert_eq!((kept.n_messages(), kept.n_captured), (n_outside(&second, &paths), 0));
    assert_eq!(n_outside(&second, &paths), n_outside(&first, &paths) - 1);
    assert!(kept.folders.values().all(|folder| !["Old", "Older"].contains(&folder.name.as_str())));
    assert!(kept.folders.values().any(|folder| folder.well_known.as_deref() == Some("archive")));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recoverable_items_are_captured_on_request_and_come_back_to_an_ordinary_folder() {
    let mut tenant = Tenant::start(options(40)).await;
    tenant.options.mailbox.recoverable_items = true;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let bin = path_of(&before, "deleteditems");
    let lost = list(&before, "messages").iter().find(|message| message["folder"] == "Inbox").unwrap();
    let id = &lost["internetMessageId"];
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;
    for edit in [json!({"folder": "Inbox", "move_to": bin}), json!({"folder": bin, "delete": true})] {
        let mut edit = edit;
        edit["internet_message_id"] = id.clone();
        tenant.simulator.edit(user, edit).unwrap();
    }
    (kept.n_captured, kept.n_downloaded) = (0, 0);

    tenant.back_up(user, &mut kept).await;
    assert_eq!(kept_mail(&kept, id.as_str().unwrap()).folder, "recoverableitemsdeletions");
    assert_eq!(kept.n_downloaded, 0, "it is the message that was in the inbox");
    kept.n_captured = 0;
    tenant.back_up(user, &mut kept).await;
    assert_eq!(kept.n_captured, 0);
    tenant.simulator.wipe_mailbox(user).unwrap();
    tenant.restore(user, &kept).await;

    let after = tenant.fingerprint(user);
    let back = list(&after, "messages").iter().filter(|message| message["internetMessageId"] == *id);
    assert_eq!(back.map(|message| message["folder"].clone()).collect::<Vec<_>>(), [json!("Recoverable Items")]);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_to_files_in_the_cloud_are_recorded() {
    let tenant = Tenant::start(options(250)).await;
    let user = &tenant.members()[0];
    let before = tenant.fingerprint(user);
    let mut kept = Kept::default();

    tenant.back_up(user, &mut kept).await;

    let mut n_referring = 0;
    for ((_, id), copies) in messages(&before).iter().filter(|(_, copies)| copies.len() == 1) {
        let item = kept_mail(&kept, id);
        let wanted: Vec<&Value> = list(&copies[0], "attachments")
            .iter()
            .filter(|attachment| attachment["kind"] == "reference")
            .map(|attachment| &attachment["name"])
            .collect();
        let properties = item.properties();
        let noted: Vec<&Value> = list(&properties["kodo"], "references").iter().map(|one| &one["name"]).collect();
        assert_eq!(noted, wanted, "{id}");
        assert_eq!(item.known.flags & flag::REFERENCES != 0, !wanted.is_empty());
        n_referring += usize::from(!wanted.is_empty());
    }
    assert!(n_referring > 0, "the company shares no files");
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_mailboxes_and_rooms_are_captured_like_those_of_people() {
    let tenant = Tenant::start(options(10)).await;
    let room = json!({"kind": "room", "name": "Room One", "alias": "room.one", "messages": 12});
    let room = tenant.simulator.add_user(room).unwrap()["id"].as_str().unwrap().to_owned();

    for (user, purpose) in [(tenant.user_of_kind("shared", "ready"), "shared"), (room, "room")] {
        let mut kept = Kept::default();
        tenant.back_up(&user, &mut kept).await;

        let held = list(&tenant.fingerprint(&user), "messages").len();
        assert_eq!((kept.n_messages(), kept.issues.len()), (held, 0));
        assert!(held > 0);
        let own = kept.items.values().find(|item| item.kind == KIND_SETTINGS).unwrap();
        assert_eq!(own.properties()["userPurpose"], purpose);
    }
    tenant.assert_no_violations();
}
