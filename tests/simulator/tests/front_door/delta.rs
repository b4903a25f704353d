use crate::{Answer, IMMUTABLE, Tenant, send};
use reqwest::Method;
use serde_json::{Value, json};

/// Follows a walk to its end: all entries, and the delta link.
async fn walk(tenant: &Tenant, start: &str) -> (Vec<Value>, String) {
    let mut url = start.to_owned();
    let mut all = Vec::new();
    loop {
        let answer = page(tenant, &url).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        all.extend(answer.values().iter().cloned());
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => {
                let link = answer.body["@odata.deltaLink"].as_str().expect("a delta link");
                return (all, link.to_owned());
            }
        }
    }
}

async fn page(tenant: &Tenant, url: &str) -> Answer {
    let prefer = format!("{IMMUTABLE}, odata.maxpagesize=7");
    send(tenant.request(Method::GET, url).header("Prefer", prefer)).await
}

fn inbox(tenant: &Tenant) -> String {
    format!("/users/{}/mailFolders/inbox/messages/delta?$select=id,isRead,subject,internetMessageId", tenant.user())
}

#[actix_web::test]
async fn a_full_walk_reports_every_message_once() {
    let tenant = Tenant::small().await;
    let folder = tenant.get(&format!("/users/{}/mailFolders/inbox", tenant.user())).await;

    let (all, _) = walk(&tenant, &inbox(&tenant)).await;

    assert_eq!(json!(all.len()), folder.body["totalItemCount"]);
    assert!(all.len() > 7, "more than one page");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn all_spellings_of_delta_work() {
    let tenant = Tenant::small().await;
    for form in ["delta", "delta()", "microsoft.graph.delta()", "delta?%24select=id"] {
        let path = format!("/users/{}/mailFolders/inbox/messages/{form}", tenant.user());
        assert_eq!(page(&tenant, &path).await.status, 200, "{form}");
    }
    let path = format!("/users('{0}')/mailfolders('inbox')/messages/delta", tenant.user());
    assert_eq!(page(&tenant, &path).await.status, 200);
}

#[actix_web::test]
async fn a_read_state_change_arrives_as_a_partial_entry() {
    let tenant = Tenant::small().await;
    let (all, link) = walk(&tenant, &inbox(&tenant)).await;
    let (id, was_read) = (&all[0]["id"], all[0]["isRead"].as_bool().expect("a state"));
    let edit = json!({"internet_message_id": all[0]["internetMessageId"], "is_read": !was_read});
    tenant.simulator.edit(&tenant.user(), edit).expect("edited");

    let (changes, _) = walk(&tenant, &link).await;

    assert_eq!(changes.len(), 1);
    assert_eq!((&changes[0]["id"], &changes[0]["isRead"]), (id, &json!(!was_read)));
    assert!(changes[0].get("subject").is_none(), "only what changed");
}

#[actix_web::test]
async fn a_move_is_removed_here_and_present_there_under_the_same_immutable_id() {
    let tenant = Tenant::small().await;
    let archive = inbox(&tenant).replace("inbox", "archive");
    let (all, inbox_link) = walk(&tenant, &inbox(&tenant)).await;
    let (_, archive_link) = walk(&tenant, &archive).await;
    let edit = json!({"internet_message_id": all[0]["internetMessageId"], "folder": "inbox", "move_to": "archive"});
    tenant.simulator.edit(&tenant.user(), edit).expect("moved");

    let (left, _) = walk(&tenant, &inbox_link).await;
    let (entered, _) = walk(&tenant, &archive_link).await;

    assert_eq!((&left[0]["id"], &left[0]["@removed"]["reason"]), (&all[0]["id"], &json!("deleted")));
    assert_eq!((&entered[0]["id"], &entered[0]["subject"]), (&all[0]["id"], &all[0]["subject"]));
}

#[actix_web::test]
async fn an_expired_token_answers_410() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &inbox(&tenant)).await;
    tenant.simulator.expire_delta(Some(&tenant.user())).expect("expired");

    let answer = page(&tenant, &link).await;

    assert_eq!((answer.status.as_u16(), answer.code()), (410, "SyncStateNotFound"));
}

#[actix_web::test]
async fn a_page_without_the_prefer_of_the_first_is_noted() {
    let tenant = Tenant::small().await;
    let first = page(&tenant, &inbox(&tenant)).await;
    let next = first.body["@odata.nextLink"].as_str().expect("a second page");

    let second = tenant.get(next).await;

    assert_eq!(second.status, 200);
    let id = second.values()[0]["id"].as_str().expect("an id");
    assert!(id.starts_with("AAMkA"), "mutable ids without the header");
    assert!(tenant.violation_kinds().contains(&"prefer_dropped"));
}

#[actix_web::test]
async fn options_beside_a_token_and_foreign_tokens_are_noted() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &inbox(&tenant)).await;

    page(&tenant, &format!("{link}&$select=id")).await;
    let token = link.split("$deltatoken=").nth(1).expect("a token");
    let path = format!("/users/{}/mailFolders/archive/messages/delta?$deltatoken={token}", tenant.user());
    let foreign = page(&tenant, &path).await;

    assert_eq!(foreign.status, 400);
    let kinds = tenant.violation_kinds();
    assert!(kinds.contains(&"options_beside_token") && kinds.contains(&"token_misused"), "{kinds:?}");
}

#[actix_web::test]
async fn the_folder_delta_tells_of_folders_made_renamed_and_removed() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let start = format!("/users/{user}/mailFolders/delta");
    tenant.simulator.add_folder(&user, json!({"name": "Old"})).expect("made");
    let (all, link) = walk(&tenant, &start).await;
    let old = all.iter().find(|f| f["displayName"] == "Old").expect("the folder")["id"].clone();
    let path = format!("/users/{user}/mailFolders/{}", old.as_str().expect("an id"));

    tenant.patch(&path, json!({"displayName": "Renamed"})).await;
    let (renamed, link) = walk(&tenant, &link).await;
    send(tenant.request(Method::DELETE, &path)).await;
    let (removed, _) = walk(&tenant, &link).await;

    assert_eq!(renamed[0]["displayName"], "Renamed");
    assert_eq!((&removed[0]["id"], &removed[0]["@removed"]["reason"]), (&old, &json!("deleted")));
}
