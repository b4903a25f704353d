use super::{edit, faults, find, home, item, truth};
use crate::{AGENT, Answer, Tenant, send};
use kodo_simulator::Limits;
use reqwest::header::{AUTHORIZATION, RANGE};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// Where the content of an item is, as the API redirects.
async fn location(tenant: &Tenant, found: &Value) -> String {
    let path = format!("{}{}/content", tenant.simulator.base_url(), item(tenant, found));
    let still =
        Client::builder().user_agent(AGENT).redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let answer = still.get(path).bearer_auth(&tenant.token).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    answer.headers()["location"].to_str().expect("a URL").to_owned()
}

async fn fetch(tenant: &Tenant, url: &str, range: Option<&str>) -> Response {
    let mut request = tenant.client.get(url);
    if let Some(range) = range {
        request = request.header(RANGE, range);
    }
    request.send().await.expect("an answer")
}

fn downloadable(tenant: &Tenant) -> Value {
    find(tenant, |item| item["downloadable"] == true && item["size"].as_u64() > Some(2000))
}

#[actix_web::test]
async fn every_file_comes_from_another_host_as_the_fingerprint_has_it() {
    let tenant = Tenant::small().await;
    let mut read = 0;
    for file in truth(&tenant).into_values().filter(|item| item["downloadable"] == true) {
        let url = location(&tenant, &file).await;
        assert!(!url.starts_with(tenant.simulator.login_url().as_str()), "{url}");
        let bytes = fetch(&tenant, &url, None).await.bytes().await.expect("a body");
        assert_eq!(json!(bytes.len()), file["size"], "{}", file["path"]);
        assert_eq!(json!(blake3::hash(&bytes).to_hex().as_str()), file["blake3"], "{}", file["path"]);
        read += 1;
    }
    assert!(read > 15, "{read}");
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn ranges_are_served_and_refused_by_the_rules() {
    let tenant = Tenant::small().await;
    let file = downloadable(&tenant);
    let size = file["size"].as_u64().expect("a size");
    let url = location(&tenant, &file).await;
    let whole = fetch(&tenant, &url, None).await.bytes().await.expect("a body");

    let part = fetch(&tenant, &url, Some("bytes=100-299")).await;
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().expect("text").to_owned()),
        (206, format!("bytes 100-299/{size}"))
    );
    assert_eq!(part.bytes().await.expect("a body"), whole.slice(100..300));
    let rest = fetch(&tenant, &url, Some("bytes=1000-")).await.bytes().await.expect("a body");
    assert_eq!(rest, whole.slice(1000..));
    let tail = fetch(&tenant, &url, Some("bytes=-7")).await.bytes().await.expect("a body");
    assert_eq!(tail, whole.slice(whole.len() - 7..));
    let beyond = fetch(&tenant, &url, Some(&format!("bytes={size}-"))).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"].to_str().expect("text"), format!("bytes */{size}"));
}

#[actix_web::test]
async fn an_authorization_is_refused_and_noted() {
    let tenant = Tenant::small().await;
    let url = location(&tenant, &downloadable(&tenant)).await;

    let answer = send(tenant.client.get(url).header(AUTHORIZATION, format!("Bearer {}", tenant.token))).await;

    assert_eq!(answer.status, 401);
    assert_eq!(tenant.violation_kinds(), ["authorization_on_download_url"]);
}

#[actix_web::test]
async fn a_url_dies_and_a_changed_one_never_lived() {
    let tenant = Tenant::small().await;
    tenant.simulator.set_limits(Limits { download_seconds: 60, ..Limits::default() });
    let url = location(&tenant, &downloadable(&tenant)).await;

    let fresh = fetch(&tenant, &url, None).await.status();
    tenant.simulator.advance_clock(61);
    let late = fetch(&tenant, &url, None).await.status();
    let forged = fetch(&tenant, &url.replace("tempauth=", "tempauth=x"), None).await.status();

    assert_eq!([fresh, late, forged].map(|status| status.as_u16()), [200, 401, 401]);
    assert_eq!(tenant.violation_kinds(), ["token_misused"]);
}

#[actix_web::test]
async fn a_url_does_not_outlive_the_drive() {
    let tenant = Tenant::small().await;
    let url = location(&tenant, &downloadable(&tenant)).await;
    for (state, status) in [("locked", 423), ("unprovisioned", 404), ("ready", 200)] {
        tenant.simulator.change_user(&tenant.user(), json!({"drive": state})).expect("changed");
        assert_eq!(fetch(&tenant, &url, None).await.status(), status, "{state}");
    }
}

#[actix_web::test]
async fn a_file_of_fifty_gigabytes_is_served_at_any_place_of_it() {
    let tenant = Tenant::small().await;
    let made = edit(&tenant, json!({"path": "disk.vhdx", "create": "file", "size": 50_000_000_000u64, "seed": 3}));
    let shown = tenant.get(&item(&tenant, &made)).await.body;
    let url = location(&tenant, &made).await;

    let last = fetch(&tenant, &url, Some("bytes=49999999990-")).await;
    let middle = fetch(&tenant, &url, Some("bytes=25000000000-25000001023")).await;

    assert_eq!(shown["size"], 50_000_000_000u64);
    assert_eq!(shown["file"]["hashes"]["quickXorHash"].as_str().map(str::len), Some(28));
    assert_eq!(last.bytes().await.expect("a body").len(), 10);
    assert_eq!(middle.bytes().await.expect("a body").len(), 1024);
}

#[actix_web::test]
async fn notes_answer_503_for_ever_and_infected_files_are_refused() {
    let tenant = Tenant::small().await;
    let get = async |wanted: fn(&Value) -> bool| -> Answer {
        tenant.get(&format!("{}/content", item(&tenant, &find(&tenant, wanted)))).await
    };

    let note = get(|item| item["mimeType"] == "application/msonenote").await;
    let again = get(|item| item["mimeType"] == "application/msonenote").await;
    let infected = get(|item| item["malware"].is_string()).await;
    let folder = tenant.get(&format!("{}/root/content", home(&tenant))).await;

    assert_eq!((note.status.as_u16(), again.status.as_u16(), note.headers.get("retry-after")), (503, 503, None));
    assert_eq!((infected.status.as_u16(), infected.code()), (403, "malwareDetected"));
    assert_eq!(infected.body["error"]["innerError"]["code"], "virusSuspicious");
    assert_eq!(infected.headers["x-virus-infected"], "true");
    assert_eq!(folder.status, 400);
}

#[actix_web::test]
async fn an_empty_file_has_empty_content() {
    let tenant = Tenant::small().await;
    let empty = find(&tenant, |item| item["path"] == "Documents/empty.txt");
    let url = location(&tenant, &empty).await;

    let answer = fetch(&tenant, &url, None).await;

    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.expect("a body").is_empty());
}

#[actix_web::test]
async fn faults_spoil_what_the_download_host_sends() {
    let tenant = Tenant::small().await;
    let file = downloadable(&tenant);
    let url = location(&tenant, &file).await;
    let whole = fetch(&tenant, &url, None).await.bytes().await.expect("a body");
    let strike = |kind: &str| faults(&tenant, json!([{"match": "download.aspx", "kind": kind, "items": [file["id"]]}]));

    strike("ignore_range");
    let ignored = fetch(&tenant, &url, Some("bytes=5-9")).await;
    assert_eq!((ignored.status().as_u16(), ignored.bytes().await.expect("a body")), (200, whole.clone()));
    strike("short_body");
    let short = fetch(&tenant, &url, None).await.bytes().await.expect("a body");
    assert_eq!(short, whole.slice(..whole.len() / 2));
    strike("wrong_bytes");
    let wrong = fetch(&tenant, &url, None).await.bytes().await.expect("a body");
    assert_eq!((wrong.len(), wrong[0] == whole[0], wrong[1..] == whole[1..]), (whole.len(), false, true));
    faults(&tenant, json!([{"match": "download.aspx", "kind": "cut_body"}]));
    assert!(fetch(&tenant, &url, None).await.bytes().await.is_err(), "the connection drops");
}

#[actix_web::test]
async fn a_vanished_or_poisoned_file_stays_so() {
    let tenant = Tenant::small().await;
    let file = downloadable(&tenant);
    let path = format!("{}/content", item(&tenant, &file));

    faults(&tenant, json!([{"match": "content", "kind": "vanish", "items": [file["id"]]}]));
    let gone = tenant.get(&path).await;
    faults(&tenant, json!([{"match": "content", "kind": "poison", "items": [file["id"]]}]));
    let bad = tenant.request(Method::GET, &path).send().await.expect("an answer");

    assert_eq!((gone.status.as_u16(), gone.code(), bad.status().as_u16()), (404, "itemNotFound", 500));
}
