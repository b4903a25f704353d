use crate::{IMMUTABLE, Tenant, restored, send};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn a_mutable_id_dies_with_a_move_and_an_immutable_one_lives() {
    let tenant = Tenant::small().await;
    let messages = format!("/users/{}/messages", tenant.user());
    let made = tenant.create("inbox", restored("ids")).await;
    let mutable = made["id"].as_str().expect("an id");
    let filter = format!("{messages}?$filter=internetMessageId eq '<ids@example.org>'");
    let listed = tenant.get_immutable(&filter).await;
    let immutable = listed.values()[0]["id"].as_str().expect("an id");
    assert_ne!(mutable, immutable);

    let moved = tenant.post(&format!("{messages}/{mutable}/move"), json!({"destinationId": "archive"})).await;

    assert_eq!(moved.status, 201);
    assert_ne!(moved.body["id"], mutable);
    assert_eq!(tenant.get(&format!("{messages}/{mutable}")).await.code(), "ErrorItemNotFound");
    assert_eq!(tenant.get_immutable(&format!("{messages}/{immutable}")).await.status, 200);
}

#[actix_web::test]
async fn an_id_of_the_other_kind_is_refused_and_noted() {
    let tenant = Tenant::small().await;
    let made = tenant.create("inbox", restored("kinds")).await;
    let path = format!("/users/{}/messages/{}", tenant.user(), made["id"].as_str().expect("an id"));

    let answer = tenant.get_immutable(&path).await;

    assert_eq!(answer.status, 404);
    assert!(tenant.violation_kinds().contains(&"wrong_id_kind"));
}

#[actix_web::test]
async fn the_preference_applied_is_reported() {
    let tenant = Tenant::small().await;
    let path = format!("/users/{}/mailFolders/inbox/messages", tenant.user());
    let prefer = format!("{IMMUTABLE}, odata.maxpagesize=3");

    let answer = send(tenant.request(Method::GET, &path).header("Prefer", prefer)).await;

    assert_eq!(answer.values().len(), 3);
    assert!(answer.headers["preference-applied"].to_str().expect("text").contains("ImmutableId"));
    assert!(answer.values()[0]["id"].as_str().expect("an id").starts_with("AAkA"));
}

#[actix_web::test]
async fn mime_lives_on_the_short_path_only() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let made = tenant.create("inbox", restored("mime")).await;
    let id = made["id"].as_str().expect("an id");

    let short = tenant.get(&format!("/users/{user}/messages/{id}/$value")).await;
    let long = tenant.get(&format!("/users/{user}/mailFolders/inbox/messages/{id}/$value")).await;

    assert!(short.body.as_str().expect("text").contains("Subject: mime\r\n"));
    assert_eq!(long.status, 405);
}
