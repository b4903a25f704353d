use super::{Copy, edit, faults, find, home, true_lines, truth, walk};
use crate::Tenant;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn start(tenant: &Tenant) -> String {
    format!("{}/root/delta", home(tenant))
}

fn ids(entries: &[Value]) -> BTreeSet<&str> {
    entries.iter().map(|entry| entry["id"].as_str().expect("an id")).collect()
}

#[actix_web::test]
async fn a_full_walk_tells_of_every_item_once_and_of_no_path() {
    let tenant = Tenant::small().await;
    let truth = truth(&tenant);

    let (all, _) = walk(&tenant, &format!("{}?$top=7", start(&tenant))).await;

    assert_eq!(all.len(), truth.len());
    assert_eq!(ids(&all), truth.values().map(|item| item["id"].as_str().expect("an id")).collect());
    assert_eq!(all.iter().filter(|entry| entry.get("root").is_some()).count(), 1);
    assert!(all.iter().all(|entry| entry.get("cTag").is_none() && entry["parentReference"].get("path").is_none()));
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn a_client_that_applies_every_round_holds_the_drive_as_it_is() {
    let tenant = Tenant::small().await;
    let mut copy = Copy::default();
    let (all, mut link) = walk(&tenant, &format!("{}?$top=5", start(&tenant))).await;
    copy.apply(&all);
    assert_eq!(copy.lines(), true_lines(&tenant));
    faults(
        &tenant,
        json!([
            {"match": "delta*", "kind": "duplicate_entries"},
            {"match": "delta*", "kind": "empty_pages"},
        ]),
    );

    for seed in 0..5 {
        tenant.simulator.random_drive_edits(&tenant.user(), seed, 25).expect("edited");
        let (changes, next) = walk(&tenant, &link).await;
        link = next;
        copy.apply(&changes);
        assert_eq!(copy.lines(), true_lines(&tenant), "round {seed}");
    }
}

#[actix_web::test]
async fn children_come_before_their_parents_now_and_then() {
    let tenant = Tenant::small().await;
    let (mut early, mut seen) = (0, BTreeSet::new());

    let (all, _) = walk(&tenant, &start(&tenant)).await;

    for entry in &all {
        let parent = entry["parentReference"]["id"].as_str();
        early += usize::from(parent.is_some_and(|parent| !seen.contains(parent)));
        seen.insert(entry["id"].as_str().expect("an id"));
    }
    assert!(early > 0, "a client that relies on the order would never notice");
}

#[actix_web::test]
async fn a_renamed_folder_comes_with_its_parents_and_without_what_is_in_it() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &start(&tenant)).await;
    let folder = edit(&tenant, json!({"path": "Projects/Alpha", "rename": "Omega"}));

    let (changes, _) = walk(&tenant, &link).await;

    let projects = find(&tenant, |item| item["path"] == "Projects");
    let root = find(&tenant, |item| item["path"] == "");
    let expected = [&folder, &projects, &root].map(|item| item["id"].as_str().expect("an id"));
    assert_eq!(ids(&changes), BTreeSet::from(expected));
}

#[actix_web::test]
async fn everything_in_a_deleted_folder_is_told_deleted_and_has_no_name() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &start(&tenant)).await;
    let below: BTreeSet<String> = truth(&tenant)
        .into_iter()
        .filter(|(path, _)| path == "Projects" || path.starts_with("Projects/"))
        .map(|(_, item)| item["id"].as_str().expect("an id").to_owned())
        .collect();
    edit(&tenant, json!({"path": "Projects", "delete": true}));

    let (changes, _) = walk(&tenant, &link).await;

    let deleted: Vec<&Value> = changes.iter().filter(|entry| entry.get("deleted").is_some()).collect();
    assert!(below.len() > 4, "{below:?}");
    assert_eq!(
        deleted.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect::<BTreeSet<_>>(),
        below
    );
    assert!(deleted.iter().all(|entry| entry.get("name").is_none()));
}

#[actix_web::test]
async fn what_came_and_went_between_rounds_shows_only_that_it_went() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &start(&tenant)).await;
    let made = edit(&tenant, json!({"path": "brief.txt", "create": "file", "text": "x", "delete": true}));

    let (changes, _) = walk(&tenant, &link).await;

    let told: Vec<&Value> = changes.iter().filter(|entry| entry["id"] == made["id"]).collect();
    assert_eq!((told.len(), &told[0]["deleted"]["state"]), (1, &json!("deleted")));
}

#[actix_web::test]
async fn all_spellings_of_a_token_work() {
    let tenant = Tenant::small().await;
    let drive = tenant.get(&home(&tenant)).await.body["id"].as_str().expect("an id").to_owned();
    let now = "2031-01-01T00:00:00Z";
    for form in
        ["delta?token=latest", "delta(token='latest')", "delta?$deltatoken=latest", &format!("delta?token={now}")]
    {
        let answer = tenant.get(&format!("/drives/{drive}/root/{form}")).await;
        assert_eq!((answer.status.as_u16(), answer.values().len()), (200, 0), "{form}");
        assert!(answer.body["@odata.deltaLink"].is_string(), "{form}");
    }
    for form in ["root/delta()", "root/microsoft.graph.delta()", "items/root/delta"] {
        let answer = tenant.get(&format!("/drives('{drive}')/{form}")).await;
        assert!(answer.values().len() > 10, "{form}");
    }
    assert_eq!(tenant.violation_kinds(), Vec::<&str>::new());
}

#[actix_web::test]
async fn an_expired_token_answers_410_in_every_spelling_and_says_where_to_begin_anew() {
    let tenant = Tenant::small().await;
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let (_, link) = walk(&tenant, &start(&tenant)).await;
        let first = tenant.get(&format!("{}?$top=3&$select=id", start(&tenant))).await;
        let next = first.body["@odata.nextLink"].as_str().expect("a second page").to_owned();
        tenant.simulator.expire_delta(Some(&tenant.user())).expect("expired");
        for url in [link, next] {
            let answer = tenant.get(&url).await;
            assert_eq!(answer.status, 410);
            let again = tenant.get(answer.headers["location"].to_str().expect("a URL")).await;
            assert_eq!(again.status, 200);
            let inner = answer.body["error"]["innerError"]["code"].as_str().unwrap_or("-");
            seen.insert(format!("{} {inner}", answer.code()));
        }
    }
    let expected = [
        "resyncChangesApplyDifferences -",
        "resyncChangesUploadDifferences -",
        "resyncRequired resyncChangesApplyDifferences",
        "resyncRequired resyncChangesUploadDifferences",
    ];
    assert_eq!(seen, expected.into_iter().map(str::to_owned).collect());
}

#[actix_web::test]
async fn foreign_tokens_and_options_beside_a_token_are_noted() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &start(&tenant)).await;
    let token = link.split("token=").nth(1).expect("a token");
    let users = tenant.simulator.users();
    let other = users["users"][1]["id"].as_str().expect("a second user");

    let foreign = tenant.get(&format!("/users/{other}/drive/root/delta?token={token}")).await;
    let beside = tenant.get(&format!("{link}&$select=id")).await;

    assert_eq!((foreign.status.as_u16(), beside.status.as_u16()), (400, 200));
    assert_eq!(tenant.violation_kinds(), ["token_misused", "options_beside_token"]);
}

#[actix_web::test]
async fn a_change_of_sharing_is_marked_for_those_who_ask() {
    let tenant = Tenant::small().await;
    let (_, link) = walk(&tenant, &start(&tenant)).await;
    let folder = edit(&tenant, json!({"path": "Archive", "share": "organization"}));

    let request = tenant.request(reqwest::Method::GET, &link).header("Prefer", "deltashowsharingchanges");
    let answer = crate::send(request).await;

    let told = answer.values().iter().find(|entry| entry["id"] == folder["id"]).expect("the folder");
    assert_eq!(told["@microsoft.graph.sharedChanged"], "True");
    assert_eq!(told["shared"]["scope"], "organization");
}
