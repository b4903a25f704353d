use crate::{Answer, IMMUTABLE, Tenant, send};
use reqwest::Method;
use serde_json::{Value, json};

async fn get(tenant: &Tenant, path: &str) -> Answer {
    let prefer = format!("{IMMUTABLE}, odata.maxpagesize=4");
    send(tenant.request(Method::GET, path).header("Prefer", prefer)).await
}

async fn walk(tenant: &Tenant, start: &str) -> (Vec<Value>, String) {
    let (mut url, mut found) = (start.to_owned(), Vec::new());
    loop {
        let answer = get(tenant, &url).await;
        assert_eq!(answer.status, 200, "{url} {}", answer.body);
        found.extend(answer.values().iter().cloned());
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => return (found, answer.body["@odata.deltaLink"].as_str().expect("a delta link").to_owned()),
        }
    }
}

fn truth(tenant: &Tenant) -> Value {
    tenant.simulator.contacts_fingerprint(&tenant.user()).expect("a fingerprint")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}

#[actix_web::test]
async fn the_default_folder_is_in_no_list_and_answers_to_its_name() {
    let tenant = Tenant::small().await;
    let base = format!("/users/{}", tenant.user());

    let top = tenant.get(&format!("{base}/contactFolders")).await;
    let default = tenant.get(&format!("{base}/contactFolders/contacts")).await;
    let first = tenant.get(&format!("{base}/contacts?$top=1&$select=parentFolderId")).await;
    let suppliers = top.values().iter().find(|f| f["displayName"] == "Suppliers").expect("the folder");
    let below = tenant.get(&format!("{base}/contactFolders/{}/childFolders", text(suppliers, "id"))).await;

    assert!(top.values().iter().all(|folder| folder["id"] != default.body["id"]));
    assert_eq!(first.values()[0]["parentFolderId"], default.body["id"]);
    assert_eq!(below.values()[0]["displayName"], "Freight");
    let direct = tenant.get(&format!("{base}/contactFolders/{}", text(&below.values()[0], "id"))).await;
    assert_eq!(direct.body["parentFolderId"], suppliers["id"]);
    let (flat, _) = walk(&tenant, &format!("{base}/contactFolders/delta")).await;
    assert_eq!(flat.len(), 5, "all levels, without the default folder");
}

#[actix_web::test]
async fn contacts_change_move_and_go_by_delta() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let (all, link) = walk(&tenant, &format!("/users/{user}/contactFolders/contacts/contacts/delta")).await;
    let edit = |wanted: Value| tenant.simulator.contacts_edit(&user, wanted).expect("edited");
    edit(json!({"action": "change", "id": all[0]["id"], "texts": {"nickName": "Max"}}));
    edit(json!({"action": "move", "id": all[1]["id"], "folder": "Suppliers/Freight"}));
    edit(json!({"action": "delete", "id": all[2]["id"]}));

    let (changes, link) = walk(&tenant, &link).await;

    assert!(all.len() > 4, "more than one page");
    assert_eq!((&changes[0]["id"], &changes[0]["nickName"]), (&all[0]["id"], &json!("Max")));
    for index in [1, 2] {
        assert_eq!(
            (&changes[index]["id"], &changes[index]["@removed"]["reason"]),
            (&all[index]["id"], &json!("deleted"))
        );
    }
    let moved = get(&tenant, &format!("/users/{user}/contacts/{}", text(&all[1], "id"))).await;
    assert_eq!(moved.status, 200, "the immutable id lives on");
    let mutable = tenant.get(&format!("/users/{user}/contacts/{}", text(&all[1], "id"))).await;
    assert_eq!(mutable.status, 404);
    assert_eq!(tenant.violation_kinds(), ["wrong_id_kind"]);
    tenant.simulator.expire_delta(None).expect("expired");
    assert_eq!(get(&tenant, &link).await.status, 410);
}

#[actix_web::test]
async fn a_token_of_one_area_is_worth_nothing_in_another() {
    let tenant = Tenant::small().await;
    let user = tenant.user();
    let (_, link) = walk(&tenant, &format!("/users/{user}/contacts/delta")).await;
    let token = link.split("$deltatoken=").nth(1).expect("a token");

    let answer = get(&tenant, &format!("/users/{user}/events/delta?$deltatoken={token}")).await;

    assert_eq!((answer.status.as_u16(), answer.code()), (400, "SyncStateInvalid"));
    assert_eq!(tenant.violation_kinds(), ["token_misused"]);
}

#[actix_web::test]
async fn a_third_has_photos_and_the_rest_answers_404() {
    let tenant = Tenant::small().await;
    let all = truth(&tenant)["contacts"].as_array().expect("contacts").clone();
    let (with, without): (Vec<&Value>, Vec<&Value>) = all.iter().partition(|contact| contact["photo"].is_string());
    assert_eq!((with.len(), without.len()), (9, 16));
    let photo = |contact: &Value| format!("/users/{}/contacts/{}/photo", tenant.user(), text(contact, "id"));

    let about = get(&tenant, &photo(with[0])).await;
    let request = tenant.request(Method::GET, &format!("{}/$value", photo(with[0]))).header("Prefer", IMMUTABLE);
    let bytes = request.send().await.expect("an answer").bytes().await.expect("bytes");
    let none = get(&tenant, &format!("{}/$value", photo(without[0]))).await;

    assert_eq!(about.body["@odata.mediaContentType"], "image/jpeg");
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), text(with[0], "photo"));
    assert_eq!((none.status.as_u16(), none.code()), (404, "ErrorItemNotFound"));
}

#[actix_web::test]
async fn a_rich_contact_shows_all_fields_and_its_extended_properties_on_demand() {
    let tenant = Tenant::small().await;
    let all = truth(&tenant)["contacts"].as_array().expect("contacts").clone();
    let rich = all.iter().find(|contact| contact["properties"] != json!([])).expect("a rich contact");
    let id = &rich["properties"][0][0];
    let path = format!("/users/{}/contacts/{}", tenant.user(), text(rich, "id"));

    let whole = get(&tenant, &path).await;
    let filter = format!("$expand=singleValueExtendedProperties($filter=id eq '{}')", id.as_str().expect("an id"));
    let asked = get(&tenant, &format!("{path}?$select=displayName&{filter}")).await;

    assert_eq!(whole.body["emailAddresses"].as_array().expect("a list").len(), 3);
    assert_eq!(whole.body["tertiaryEmailAddress"], whole.body["emailAddresses"][2]);
    assert_eq!(whole.body["homeAddress"]["city"], "Hamburg");
    assert!(whole.body.get("singleValueExtendedProperties").is_none());
    assert_eq!(asked.body["singleValueExtendedProperties"][0]["value"], rich["properties"][0][1]);
    assert_eq!(get(&tenant, &format!("{path}?$select=shoeSize")).await.status, 400);
}

#[actix_web::test]
async fn random_edits_of_contacts_are_repeatable() {
    let (one, two) = (Tenant::small().await, Tenant::small().await);

    let done = one.simulator.contacts_random_edits(&one.user(), 4, 40).expect("edited");
    let again = two.simulator.contacts_random_edits(&two.user(), 4, 40).expect("edited");

    assert_eq!(done["counts"], again["counts"]);
    assert_eq!(done["counts"].as_object().expect("a map").len(), 5, "{}", done["counts"]);
}
