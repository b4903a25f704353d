//! What a client may write to contacts, and what is refused.

use crate::{Answer, IMMUTABLE, Tenant, send};
use reqwest::Method;
use serde_json::{Value, json};

const MARK: &str = "String {9f6ad7a5-2c1c-4b6c-9d6e-2f4b8f0c7d31} Name Mark";

async fn write(tenant: &Tenant, method: Method, path: &str, body: Value) -> Answer {
    send(tenant.request(method, path).header("Prefer", IMMUTABLE).json(&body)).await
}

async fn put_photo(tenant: &Tenant, contact: &str, kind: &str, bytes: Vec<u8>) -> Answer {
    let path = format!("/users/{}/contacts/{contact}/photo/$value", tenant.user());
    let request = tenant.request(Method::PUT, &path).header("Prefer", IMMUTABLE);
    send(request.header("Content-Type", kind).body(bytes)).await
}

#[actix_web::test]
async fn a_contact_is_made_found_by_its_mark_changed_given_a_photo_and_deleted() {
    let tenant = Tenant::small().await;
    let base = format!("/users/{}", tenant.user());
    let folder = write(&tenant, Method::POST, &format!("{base}/contactFolders"), json!({"displayName": "New"})).await;
    let folder = folder.body["id"].as_str().expect("an id").to_owned();
    let nested = format!("{base}/contactFolders/{folder}/childFolders");
    assert_eq!(write(&tenant, Method::POST, &nested, json!({"displayName": "Deep"})).await.status, 201);
    assert_eq!(write(&tenant, Method::POST, &nested, json!({"displayName": "deep"})).await.code(), "ErrorFolderExists");
    let contacts = format!("{base}/contactFolders/{folder}/contacts");
    let eva = json!({
        "givenName": "Eva", "surname": "Muster", "emailAddresses": [{"name": "Eva", "address": "eva@example.com"}],
        "singleValueExtendedProperties": [{"id": MARK, "value": "1"}, {"id": "Integer 0x0036", "value": "2"}],
    });

    let made = write(&tenant, Method::POST, &contacts, eva).await;

    assert_eq!((made.status.as_u16(), &made.body["displayName"]), (201, &json!("Eva Muster")), "made of its parts");
    let id = made.body["id"].as_str().expect("an id").to_owned();
    let filter = format!("singleValueExtendedProperties/any(ep: ep/id eq '{MARK}' and ep/value eq '1')");
    let path = format!("{contacts}?$filter={filter}&$expand=singleValueExtendedProperties($filter=id eq '{MARK}')");
    let found = send(tenant.request(Method::GET, &path).header("Prefer", IMMUTABLE)).await;
    assert_eq!(found.values().len(), 1);
    assert_eq!(found.values()[0]["singleValueExtendedProperties"][0]["value"], "1");
    let one = format!("{base}/contacts/{id}");
    let changed = write(&tenant, Method::PATCH, &one, json!({"surname": "Meier", "jobTitle": "Pilot"})).await;
    assert_eq!(changed.body["displayName"], "Eva Meier", "a part of the name makes the whole anew");
    assert_eq!(put_photo(&tenant, &id, "image/jpeg", vec![0xFF, 0xD8, 0xFF, 1]).await.status, 200);
    let photo = send(tenant.request(Method::GET, &format!("{one}/photo")).header("Prefer", IMMUTABLE)).await;
    assert_eq!(photo.status, 200);
    assert_eq!(send(tenant.request(Method::DELETE, &one).header("Prefer", IMMUTABLE)).await.status, 204);
    assert_eq!(send(tenant.request(Method::GET, &one).header("Prefer", IMMUTABLE)).await.status, 404);
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    assert!(tenant.simulator.contract_breaches().is_empty(), "{:?}", tenant.simulator.contract_breaches());
}

#[actix_web::test]
async fn what_exchange_has_no_room_for_is_refused() {
    let tenant = Tenant::small().await;
    let contacts = format!("/users/{}/contacts", tenant.user());
    let email = json!({"name": "a", "address": "a@b.example"});
    for (body, code) in [
        (json!({"emailAddresses": [email, email, email, email]}), "ErrorPropertyValidationFailure"),
        (json!({"businessPhones": ["1", "2", "3"]}), "ErrorPropertyValidationFailure"),
        (json!({"displayName": "x".repeat(256)}), "ErrorPropertyValidationFailure"),
        (
            json!({"singleValueExtendedProperties": [{"id": "Integer 0x0036", "value": "two"}]}),
            "ErrorInvalidExtendedPropertyValue",
        ),
    ] {
        assert_eq!(write(&tenant, Method::POST, &contacts, body.clone()).await.code(), code, "{body}");
    }
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    for name in ["id", "changeKey", "createdDateTime"] {
        let refused = write(&tenant, Method::POST, &contacts, json!({name: "2020-01-01T00:00:00Z"})).await;
        assert_eq!(refused.status, 400, "{name}");
    }
    assert!(tenant.violation_kinds().iter().all(|kind| ["read_only_property", "off_contract"].contains(kind)));
}

#[actix_web::test]
async fn a_photo_must_be_a_picture_that_is_not_too_large() {
    let tenant = Tenant::small().await;
    let all = tenant.simulator.contacts_fingerprint(&tenant.user()).expect("a fingerprint");
    let id = all["contacts"][0]["id"].as_str().expect("an id").to_owned();

    assert_eq!(put_photo(&tenant, &id, "image/jpeg", b"no picture".to_vec()).await.code(), "ErrorInvalidImage");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
    let large = [vec![0xFF, 0xD8, 0xFF], vec![0; 4 << 20]].concat();
    assert_eq!(put_photo(&tenant, &id, "image/jpeg", large).await.status, 413);
}
