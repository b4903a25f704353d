use super::{edit, true_lines, truth};
use crate::Tenant;
use kodo_simulator::Options;
use serde_json::json;

#[actix_web::test]
async fn the_same_seed_makes_the_same_drive_and_the_same_edits() {
    let (one, other) = (Tenant::small().await, Tenant::small().await);
    for tenant in [&one, &other] {
        tenant.simulator.random_drive_edits(&tenant.user(), 4, 60).expect("edited");
    }

    assert_eq!(true_lines(&one), true_lines(&other));
}

#[actix_web::test]
async fn random_edits_do_everything_people_do() {
    let tenant = Tenant::start(Options { users: 1, messages: 2, files: 120, ..Options::default() }).await;
    let done = tenant.simulator.random_drive_edits(&tenant.user(), 1, 400).expect("edited");

    let kinds: Vec<&str> = done["counts"].as_object().expect("counts").keys().map(String::as_str).collect();
    let expected = [
        "create_file",
        "create_folder",
        "delete_file",
        "delete_folder",
        "describe",
        "move_file",
        "move_folder",
        "overwrite",
        "put_back",
        "rename_file",
        "rename_folder",
        "share",
    ];
    assert_eq!(kinds, expected);
}

#[actix_web::test]
async fn directed_edits_do_what_they_say() {
    let tenant = Tenant::small().await;
    edit(&tenant, json!({"path": "New", "create": "folder"}));
    edit(&tenant, json!({"path": "New/a.txt", "create": "file", "text": "abc", "modified": "2020-02-03T04:05:06Z"}));
    edit(&tenant, json!({"path": "New/a.txt", "description": "first", "rename": "b.txt", "move_to": "Archive"}));
    let wrong = tenant.simulator.drive_edit(&tenant.user(), json!({"path": "Nowhere", "delete": true}));

    let file = &truth(&tenant)["Archive/b.txt"];

    assert_eq!((&file["quickXorHash"], &file["size"]), (&json!("YRDDGAAAAAAAAAAAAwAAAAAAAAA="), &json!(3)));
    assert_eq!((&file["modified"], &file["description"]), (&json!("2020-02-03T04:05:06Z"), &json!("first")));
    assert!(wrong.is_err_and(|error| error.to_string().contains("Nowhere")));
}

#[actix_web::test]
async fn a_drive_has_as_many_items_as_wanted() {
    for files in [0, 3, 40, 200] {
        let tenant = Tenant::start(Options { users: 1, messages: 2, files, ..Options::default() }).await;
        let count = tenant.simulator.users()["users"][0]["files"].as_u64();
        assert_eq!(count, Some(files as u64));
    }
}
