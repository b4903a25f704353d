use super::{edit, find, home, item, truth};
use crate::Tenant;
use kodo_simulator::{DriveState, Options};
use serde_json::json;

#[actix_web::test]
async fn a_drive_is_found_by_its_user_and_by_its_id() {
    let tenant = Tenant::small().await;

    let drive = tenant.get(&home(&tenant)).await.body;
    let all = tenant.get(&format!("{}s", home(&tenant))).await;
    let id = drive["id"].as_str().expect("an id");
    let same = tenant.get(&format!("/drives/{id}?$select=id,driveType")).await.body;
    let wrong_case = tenant.get(&format!("/drives/{}", id.to_lowercase())).await;

    assert!(id.starts_with("b!"));
    assert_eq!((&drive["driveType"], &all.values()[0]["id"]), (&json!("business"), &drive["id"]));
    assert_eq!((&same["id"], same.get("owner")), (&drive["id"], None));
    assert_eq!((wrong_case.status.as_u16(), wrong_case.code()), (404, "itemNotFound"));
}

#[actix_web::test]
async fn a_user_without_a_drive_says_why() {
    let tenant = Tenant::small().await;
    let path = home(&tenant);
    for (state, status, code, text) in [
        (DriveState::Unprovisioned, 404, "ResourceNotFound", "User's mysite not found."),
        (DriveState::Unlicensed, 400, "BadRequest", "Tenant does not have a SPO license."),
        (DriveState::Locked, 423, "notAllowed", "Access to this site has been blocked."),
    ] {
        tenant.simulator.change_user(&tenant.user(), json!({"drive": state})).expect("changed");
        let answer = tenant.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code));
        assert_eq!(answer.body["error"]["message"], text);
    }
    let shared = tenant.simulator.users();
    let states = shared["users"].as_array().expect("users").iter().map(|user| user["drive"].as_str().expect("a state"));
    assert!(states.clone().any(|state| state == "ready") && states.clone().any(|state| state == "unprovisioned"));
}

#[actix_web::test]
async fn a_choice_of_properties_drops_the_url_unless_it_is_among_them() {
    let tenant = Tenant::small().await;
    let path = item(&tenant, &find(&tenant, |item| item["downloadable"] == true && item["size"] != 0));

    let whole = tenant.get(&path).await.body;
    let chosen = tenant.get(&format!("{path}?$select=id,name")).await.body;
    let asked = tenant.get(&format!("{path}?$select=id,@microsoft.graph.downloadUrl")).await.body;
    let unknown = tenant.get(&format!("{path}?$select=id,colour")).await;

    assert!(whole["@microsoft.graph.downloadUrl"].is_string() && whole["cTag"].is_string());
    assert!(whole["parentReference"]["path"].as_str().expect("a path").starts_with("/drives/b!"));
    assert!(chosen.get("@microsoft.graph.downloadUrl").is_none() && chosen.get("size").is_none());
    assert!(asked["@microsoft.graph.downloadUrl"].is_string());
    assert_eq!((unknown.status.as_u16(), unknown.code()), (400, "BadRequest"));
}

#[actix_web::test]
async fn children_are_paged_by_name() {
    let tenant = Tenant::small().await;
    let count =
        truth(&tenant).keys().filter(|path| path.starts_with("Documents/") && path.matches('/').count() == 1).count();
    let mut url = format!("{}/root:/Documents:/children?$top=4&$select=name", home(&tenant));
    let mut names: Vec<String> = Vec::new();
    let mut pages = 0;

    loop {
        let answer = tenant.get(&url).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        pages += 1;
        names.extend(answer.values().iter().map(|child| child["name"].as_str().expect("a name").to_lowercase()));
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }

    assert_eq!((names.len(), pages), (count, count.div_ceil(4)));
    assert!(names.is_sorted(), "{names:?}");
}

#[actix_web::test]
async fn every_kind_of_item_has_its_facets() {
    let tenant = Tenant::small().await;
    let shown =
        async |wanted: fn(&serde_json::Value) -> bool| tenant.get(&item(&tenant, &find(&tenant, wanted))).await.body;

    let notebook = shown(|item| item["kind"] == "package").await;
    let shortcut = shown(|item| item["kind"] == "shortcut").await;
    let infected = shown(|item| item["malware"].is_string()).await;
    let special = shown(|item| item["specialFolder"] == "documents").await;
    let shared = shown(|item| item["path"] == "Shared with the team").await;
    let empty = shown(|item| item["path"] == "Documents/empty.txt").await;
    let barren = shown(|item| item["path"] == "Nothing yet").await;
    let root = tenant.get(&format!("{}/root", home(&tenant))).await.body;

    assert_eq!((&notebook["package"]["type"], notebook.get("folder")), (&json!("oneNote"), None));
    assert!(shortcut["remoteItem"]["parentReference"]["driveId"].is_string() && shortcut.get("folder").is_none());
    assert!(infected["malware"]["description"].is_string());
    assert!(infected.get("@microsoft.graph.downloadUrl").is_none());
    assert_eq!(special["specialFolder"]["name"], "documents");
    assert_eq!(shared["shared"]["scope"], "users");
    assert_eq!((&empty["size"], empty.get("@microsoft.graph.downloadUrl")), (&json!(0), None));
    assert_eq!((&barren["folder"]["childCount"], &barren["size"]), (&json!(0), &json!(0)));
    assert!(root["root"].is_object() && root["parentReference"].get("id").is_none());
}

#[actix_web::test]
async fn versions_come_newest_first_and_the_current_one_has_no_content_of_its_own() {
    let tenant = Tenant::small().await;
    edit(&tenant, json!({"path": "plan.txt", "create": "file", "text": "one"}));
    edit(&tenant, json!({"path": "plan.txt", "text": "two, longer"}));
    let file = edit(&tenant, json!({"path": "plan.txt", "text": "three"}));
    let path = format!("{}/versions", item(&tenant, &file));

    let all = tenant.get(&path).await;
    let old = tenant.get(&format!("{path}/2.0/content")).await;
    let current = tenant.get(&format!("{path}/3.0/content")).await;
    let missing = tenant.get(&format!("{path}/9.0/content")).await;
    let one = tenant.get(&format!("{path}/1.0")).await;

    let listed: Vec<_> = all.values().iter().map(|v| (v["id"].as_str().expect("an id"), v["size"].as_u64())).collect();
    assert_eq!(listed, [("3.0", Some(5)), ("2.0", Some(11)), ("1.0", Some(3))]);
    assert_eq!((old.status.as_u16(), &old.body), (200, &json!("two, longer")));
    assert_eq!((current.status.as_u16(), missing.status.as_u16()), (400, 404));
    assert_eq!(one.body["size"], 3);
}

#[actix_web::test]
async fn permissions_tell_what_was_granted_and_what_is_inherited() {
    let tenant = Tenant::small().await;
    let folder = find(&tenant, |item| item["path"] == "Shared with the team");
    let child = find(&tenant, |item| item["path"] == "Shared with the team/Price list.xlsx");

    let own = tenant.get(&format!("{}/permissions", item(&tenant, &folder))).await;
    let below = tenant.get(&format!("{}/permissions", item(&tenant, &child))).await;

    let roles: Vec<_> = own.values().iter().map(|permission| permission["roles"][0].clone()).collect();
    assert_eq!(roles, [json!("owner"), json!("write")]);
    assert!(own.values()[1]["grantedToV2"]["user"]["email"].is_string());
    let link = below.values().iter().find(|permission| permission.get("link").is_some()).expect("a link");
    assert_eq!((&link["link"]["scope"], &link["link"]["type"]), (&json!("organization"), &json!("view")));
    let inherited = below.values().iter().find(|p| p.get("inheritedFrom").is_some()).expect("an inherited one");
    assert_eq!(inherited["inheritedFrom"]["id"], folder["id"]);
}

#[actix_web::test]
async fn an_app_without_a_role_for_files_gets_nothing() {
    let mut tenant = Tenant::start(Options { users: 1, messages: 2, ..Options::default() }).await;
    let (client, secret) = (tenant.simulator.client_id(), tenant.simulator.client_secret());
    let wanted = json!({"client_id": client, "secret": secret, "roles": ["User.Read.All", "Mail.Read"]});
    tenant.simulator.register_app(wanted).expect("registered");
    let login = tenant.login(&[("client_secret", &secret)]).await;
    tenant.token = login.body["access_token"].as_str().expect("a token").to_owned();

    let answer = tenant.get(&home(&tenant)).await;

    assert_eq!((answer.status.as_u16(), answer.code()), (403, "accessDenied"));
}
