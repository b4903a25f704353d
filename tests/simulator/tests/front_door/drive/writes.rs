use super::{edit, home, item, truth};
use crate::{AGENT, Answer, Tenant, send};
use kodo_simulator::Limits;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UNIT: usize = 320 * 1024;

/// A place by its name in the root of the drive.
fn named(tenant: &Tenant, name: &str, tail: &str) -> String {
    format!("{}/items/root:/{name}:{tail}", home(tenant))
}

async fn session(tenant: &Tenant, name: &str, on_conflict: &str) -> Answer {
    let dates = json!({"createdDateTime": "2020-01-02T03:04:05Z", "lastModifiedDateTime": "2021-01-02T03:04:05Z"});
    let asked = json!({"@microsoft.graph.conflictBehavior": on_conflict, "name": name, "fileSystemInfo": dates});
    tenant.post(&named(tenant, name, "/createUploadSession"), json!({ "item": asked })).await
}

fn url(session: &Answer) -> &str {
    session.body["uploadUrl"].as_str().expect("an upload URL")
}

async fn put(tenant: &Tenant, url: &str, first: usize, bytes: &[u8], total: usize) -> Answer {
    let range = format!("bytes {first}-{}/{total}", first + bytes.len() - 1);
    send(tenant.client.put(url).header("Content-Range", range).body(bytes.to_vec())).await
}

#[actix_web::test]
async fn a_file_of_fragments_is_seen_when_the_last_one_has_come() {
    let tenant = Tenant::small().await;
    let content: Vec<u8> = (0..UNIT * 2 + 77).map(|at| (at % 251) as u8).collect();
    let total = content.len();
    let opened = session(&tenant, "film.mp4", "fail").await;

    let first = put(&tenant, url(&opened), 0, &content[..UNIT], total).await;
    let hidden = !truth(&tenant).contains_key("film.mp4");
    let asked = send(tenant.client.get(url(&opened))).await;
    let again = put(&tenant, url(&opened), 0, &content[..UNIT], total).await;
    let last = put(&tenant, url(&opened), UNIT, &content[UNIT..], total).await;
    let gone = send(tenant.client.get(url(&opened))).await;

    assert_eq!((opened.status.as_u16(), &opened.body["nextExpectedRanges"]), (200, &json!(["0-"])));
    assert!(hidden);
    let next = json!([format!("{UNIT}-")]);
    assert_eq!((first.status.as_u16(), &first.body["nextExpectedRanges"]), (202, &next));
    assert_eq!(asked.body["nextExpectedRanges"], next);
    assert_eq!((again.status.as_u16(), again.code()), (416, "invalidRange"));
    assert_eq!((last.status.as_u16(), gone.status.as_u16()), (201, 404));
    let file = truth(&tenant)["film.mp4"].clone();
    assert_eq!(last.body["file"]["hashes"]["quickXorHash"], file["quickXorHash"]);
    assert_eq!(file["blake3"], json!(blake3::hash(&content).to_hex().as_str()));
    assert_eq!((&file["created"], &file["modified"]), (&json!("2020-01-02T03:04:05Z"), &json!("2021-01-02T03:04:05Z")));
    assert!(last.body["lastModifiedBy"]["application"].is_object());
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn a_fragment_whose_sender_dies_on_the_way_has_not_come() {
    let tenant = Tenant::small().await;
    let opened = session(&tenant, "a.bin", "fail").await;
    let url = reqwest::Url::parse(url(&opened)).unwrap();
    let (host, port) = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let (path, query) = (url.path().to_owned(), url.query().map(|query| format!("?{query}")).unwrap_or_default());
    let head = format!(
        "PUT {path}{query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nContent-Length: {UNIT}\r\nContent-Range: bytes 0-{}/{UNIT}\r\n\r\n",
        UNIT - 1
    );

    let mut connection = TcpStream::connect((host, port)).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&[1; UNIT / 2]).await.unwrap();
    connection.shutdown().await.unwrap();
    // The service notices the end, and ends the connection too.
    connection.read_to_end(&mut Vec::new()).await.unwrap();
    let asked = send(tenant.client.get(url)).await;

    assert_eq!(asked.body["nextExpectedRanges"], json!(["0-"]));
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn a_fragment_that_breaks_the_rules_is_refused_and_noted() {
    let tenant = Tenant::small().await;
    let opened = session(&tenant, "a.bin", "fail").await;
    let bytes = vec![1u8; UNIT * 2];
    let total = UNIT * 4;

    let odd = put(&tenant, url(&opened), 0, &bytes[..UNIT + 1], total).await;
    let early = put(&tenant, url(&opened), UNIT, &bytes[..UNIT], total).await;
    let authorized = send(
        tenant.client.put(url(&opened)).bearer_auth(&tenant.token).header("Content-Range", "bytes 0-0/1").body("x"),
    )
    .await;
    let right = put(&tenant, url(&opened), 0, &bytes[..UNIT], total).await;
    let longer = put(&tenant, url(&opened), UNIT, &bytes[..UNIT], total + 1).await;
    let cancelled = send(tenant.client.delete(url(&opened))).await;

    let inner = |answer: &Answer| answer.body["error"]["innerError"]["code"].clone();
    assert_eq!((odd.status.as_u16(), inner(&odd)), (400, json!("fragmentLengthMismatch")));
    assert_eq!((early.status.as_u16(), inner(&early)), (416, json!("fragmentOutOfOrder")));
    assert_eq!((authorized.status.as_u16(), right.status.as_u16(), longer.status.as_u16()), (401, 202, 400));
    assert_eq!(cancelled.status, 204);
    assert!(!truth(&tenant).contains_key("a.bin"));
    assert_eq!(tenant.violation_kinds(), ["bad_range", "bad_range", "authorization_on_upload_url", "bad_range"]);
}

#[actix_web::test]
async fn a_session_ends_by_itself_and_by_a_fault() {
    let tenant = Tenant::small().await;
    let (one, other) = (session(&tenant, "1.bin", "fail").await, session(&tenant, "2.bin", "fail").await);
    let rule = json!({"match": "uploadSession", "kind": "expire_session", "times": 1});
    tenant.simulator.set_faults(serde_json::from_value(json!({"seed": 1, "rules": [rule]})).expect("a plan"));

    let struck = put(&tenant, url(&one), 0, b"x", 1).await;
    let after = put(&tenant, url(&one), 0, b"x", 1).await;
    tenant.simulator.advance_clock(3600);
    let late = put(&tenant, url(&other), 0, b"x", 1).await;

    assert_eq!([struck, after, late].map(|answer| answer.status.as_u16()), [404, 404, 404]);
}

#[actix_web::test]
async fn a_taken_name_is_refused_replaced_or_gets_a_number() {
    let tenant = Tenant::small().await;
    let small = async |name: &str, text: &'static str| {
        let path = named(&tenant, name, "/content");
        let request = tenant.request(Method::PUT, &path).header("Content-Type", "application/octet-stream");
        send(request.body(text)).await
    };
    let folder = async |name: &str, on_conflict: &str| {
        let body = json!({"name": name, "folder": {}, "@microsoft.graph.conflictBehavior": on_conflict});
        tenant.post(&format!("{}/items/root/children", home(&tenant)), body).await
    };

    let (new, over) = (small("b.txt", "1").await, small("B.txt", "22").await);
    let refused = session(&tenant, "b.txt", "fail").await;
    let renaming = session(&tenant, "b.txt", "rename").await;
    let renamed = put(&tenant, url(&renaming), 0, b"333", 3).await;
    let made = folder("F", "fail").await;
    let (again, same, other) = (folder("f", "fail").await, folder("f", "replace").await, folder("f", "rename").await);
    let on_file = folder("b.txt", "replace").await;

    assert_eq!((new.status.as_u16(), over.status.as_u16()), (201, 200));
    assert_eq!((&new.body["id"], &over.body["size"]), (&over.body["id"], &json!(2)));
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "nameAlreadyExists"));
    assert_eq!(renamed.body["name"], "b 1.txt");
    assert_eq!((again.status.as_u16(), on_file.status.as_u16()), (409, 409));
    assert_eq!((&same.body["id"], &other.body["name"]), (&made.body["id"], &json!("f 1")));
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn properties_are_changed_together_and_what_is_locked_or_too_much_is_refused() {
    let tenant = Tenant::small().await;
    edit(&tenant, json!({"path": "Here", "create": "folder"}));
    let file = edit(&tenant, json!({"path": "a.txt", "create": "file", "text": "a"}));
    let path = item(&tenant, &file);
    let wanted = json!({
        "name": "b.txt", "description": "words", "fileSystemInfo": {"lastModifiedDateTime": "2020-02-02T02:02:02Z"},
        "parentReference": {"id": truth(&tenant)["Here"]["id"]},
    });

    let changed = tenant.patch(&path, wanted).await;
    let unknown = tenant.patch(&path, json!({"createdDateTime": "2020-02-02T02:02:02Z"})).await;
    edit(&tenant, json!({"path": "Here/b.txt", "locked": true}));
    let locked = send(tenant.request(Method::DELETE, &path)).await;
    edit(&tenant, json!({"path": "Here/b.txt", "locked": false}));
    let deleted = send(tenant.request(Method::DELETE, &path)).await;
    let used = tenant.get(&home(&tenant)).await.body["quota"]["used"].as_u64().expect("what is used");
    tenant.simulator.set_limits(Limits { drive_quota_bytes: used + 1, ..Limits::default() });
    let opened = session(&tenant, "c.txt", "fail").await;
    let full = put(&tenant, url(&opened), 0, b"xx", 2).await;

    assert_eq!((changed.status.as_u16(), &changed.body["name"]), (200, &json!("b.txt")));
    assert_eq!((&changed.body["description"], unknown.status.as_u16()), (&json!("words"), 400));
    assert_eq!((locked.status.as_u16(), deleted.status.as_u16()), (423, 204));
    assert_eq!((full.status.as_u16(), full.code()), (507, "quotaLimitReached"));
    assert!(tenant.violation_kinds().contains(&"read_only_property"));
}

#[actix_web::test]
async fn names_are_judged_and_office_files_rewritten() {
    let tenant = Tenant::small().await;
    let bad = session(&tenant, "aux", "fail").await;
    let opened = session(&tenant, "Plan.docx", "fail").await;

    let arrived = put(&tenant, url(&opened), 0, b"office", 6).await;

    let now = truth(&tenant)["Plan.docx"].clone();
    assert_eq!((bad.status.as_u16(), bad.code()), (400, "invalidRequest"));
    assert_eq!(tenant.violation_kinds(), ["bad_name"]);
    assert_eq!(arrived.body["size"], 6, "the answer tells of what was sent");
    assert_ne!(now["quickXorHash"], arrived.body["file"]["hashes"]["quickXorHash"]);
    assert_eq!(now["sent"], json!({"size": 6, "blake3": blake3::hash(b"office").to_hex().as_str()}));
}

#[actix_web::test]
async fn an_invitation_by_mail_is_noted_and_a_silent_one_is_not() {
    let tenant = Tenant::small().await;
    let file = edit(&tenant, json!({"path": "a.txt", "create": "file", "text": "a"}));
    let path = format!("{}/invite", item(&tenant, &file));
    let invitation = |by_mail: bool| -> Value {
        json!({"requireSignIn": true, "sendInvitation": by_mail, "roles": ["read"],
               "recipients": [{"objectId": tenant.user()}]})
    };

    let silent = tenant.post(&path, invitation(false)).await;
    let quiet = tenant.violation_kinds();
    let loud = tenant.post(&path, invitation(true)).await;

    assert_eq!((silent.status.as_u16(), loud.status.as_u16()), (200, 200));
    assert_eq!((quiet, tenant.violation_kinds()), (vec![], vec!["sends_mail"]));
}
