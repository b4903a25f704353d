use crate::{Tenant, send};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn users_page_by_their_next_link() {
    let tenant = Tenant::small().await;

    let first = tenant.get("/users?$select=id,userPrincipalName&$top=2").await;
    let next = first.body["@odata.nextLink"].as_str().expect("a next link");
    let second = tenant.get(next).await;

    assert_eq!((first.values().len(), second.values().len()), (2, 2));
    assert_ne!(first.values()[0]["id"], second.values()[0]["id"]);
    assert!(first.values()[0].get("displayName").is_none());
}

#[actix_web::test]
async fn leaving_guests_out_needs_the_consistency_level() {
    let tenant = Tenant::small().await;
    let path = "/users?$filter=userType ne 'Guest'&$count=true&$select=userType";

    let without = tenant.get(path).await;
    let with = send(tenant.request(Method::GET, path).header("ConsistencyLevel", "eventual")).await;

    assert_eq!((without.status.as_u16(), without.code()), (400, "Request_UnsupportedQuery"));
    assert!(with.values().iter().all(|user| user["userType"] == "Member"));
    assert_eq!(with.body["@odata.count"], json!(with.values().len()));
}

#[actix_web::test]
async fn mailboxes_that_are_not_there_say_so() {
    let tenant = Tenant::small().await;

    for state in ["unlicensed", "on_premises"] {
        let answer = tenant.get(&format!("/users/{}/mailFolders/inbox", tenant.user_of_state(state))).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "MailboxNotEnabledForRESTAPI"));
    }
    let answer = tenant.get("/users/nobody/mailFolders/inbox").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "Request_ResourceNotFound"));
}

#[actix_web::test]
async fn users_delta_reports_a_removed_user() {
    let tenant = Tenant::small().await;
    let first = tenant.get("/users/delta?$select=id,displayName").await;
    let link = first.body["@odata.deltaLink"].as_str().expect("a link").to_owned();
    let user = tenant.user();
    tenant.simulator.remove_user(&user).expect("removed");

    let second = tenant.get(&link).await;

    assert_eq!(second.values(), &vec![json!({"id": user, "@removed": {"reason": "changed"}})]);
}

#[actix_web::test]
async fn unknown_properties_in_select_are_refused() {
    let tenant = Tenant::small().await;
    let answer = tenant.get(&format!("/users/{}/messages?$select=id,nonsense", tenant.user())).await;
    assert_eq!(answer.status, 400);
}

#[actix_web::test]
async fn only_children_of_the_top_are_listed_and_hidden_ones_on_request() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders?$top=100", tenant.user());

    let plain = tenant.get(&path).await;
    let hidden = tenant.get(&format!("{path}&includeHiddenFolders=true")).await;

    let named = |answer: &crate::Answer, name: &str| answer.values().iter().any(|f| f["displayName"] == name);
    assert!(!named(&plain, "Project Alpha"), "a child of the inbox");
    assert!(!named(&plain, "Conversation Action Settings") && named(&hidden, "Conversation Action Settings"));
    let search = plain.values().iter().find(|f| f["displayName"] == "Unread Mail").expect("the search folder");
    assert_eq!(search["@odata.type"], "#microsoft.graph.mailSearchFolder");
}
