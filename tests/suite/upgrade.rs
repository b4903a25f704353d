//! An upgrade rewrites tables, and nothing that a catalog says is another thing afterwards.

use std::path::Path;

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

/// What an administrator sees: the points, the folders as of two of them, and messages.
fn seen(stage: &Stage, user: &str) -> anyhow::Result<Value> {
    Ok(json!([
        stage.expect(&["point", "list", "--user", user])?,
        stage.expect(&["ls", "--user", user])?,
        stage.expect(&["ls", "--user", user, "--point", "1"])?,
        stage.expect(&["ls", "--user", user, "Inbox"])?,
        stage.expect(&["issue", "list", "--user", user])?,
    ]))
}

/// Brings the database into the state before the newest migration, with all its rows.
fn undo_newest_migration(stage: &Stage) -> anyhow::Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let names = std::fs::read_dir(home)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let newest = names.iter().filter(|path| path.is_dir()).max().expect("there are migrations");
    stage.separate().execute(&std::fs::read_to_string(newest.join("down.sql"))?)?;
    stage.separate().execute("DELETE FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_says_after_an_upgrade_what_it_said_before() -> anyhow::Result<()> {
    let mut stage = Stage::ready(Options { users: 1, messages: 30, ..Options::default() }).await?;
    let user = stage.users().swap_remove(0);
    stage.back_up(&user)?;
    stage.tenant.random_edits(&user, 7, 25)?;
    stage.back_up(&user)?;
    let before = seen(&stage, &user)?;

    stage.stop_serve()?;
    undo_newest_migration(&stage)?;
    stage.start_serve()?;

    assert_eq!(seen(&stage, &user)?, before);
    stage.back_up(&user)?;
    let points = stage.expect(&["point", "list", "--user", &user])?;
    let newest = &points["items"][0];
    assert_eq!(
        (&newest["added"], &newest["changed"], &newest["removed"]),
        (&json!(0), &json!(0), &json!(0)),
        "{newest}"
    );
    let folders = stage.expect(&["ls", "--user", &user])?;
    assert_eq!(folders["point"], newest["number"]);
    assert_eq!(folders["containers"], before[1]["containers"], "what was there at the end before is there once");
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_says_what_an_upgrade_left_out_of_it_until_the_catalog_is_rebuilt() -> anyhow::Result<()> {
    let mut stage = Stage::ready(Options { users: 1, messages: 10, ..Options::default() }).await?;
    let user = stage.users().swap_remove(0);
    stage.back_up(&user)?;
    let year = ["search", "--since", "2000-01-01T00:00:00Z", "--user", &user];
    let before = stage.expect(&year)?;
    assert!(before["items"].as_array().is_some_and(|hits| hits.len() >= 10), "{before}");
    assert_eq!(before["notes"], Value::Null);

    stage.stop_serve()?;
    undo_newest_migration(&stage)?;
    stage.start_serve()?;

    let after = stage.expect(&year)?;
    assert_eq!(after["items"], json!([]));
    let note = after["notes"][0].as_str().unwrap_or_default();
    assert!(note.starts_with("of 1 chains") && note.contains("kodo rebuild-catalog"), "{after}");
    let told = stage.run(&["status"]);
    assert!(told.stdout.contains(note), "{told:?}");
    stage.stop_serve()?;
    stage.expect(&["rebuild-catalog"])?;
    stage.start_serve()?;
    assert_eq!(stage.expect(&year)?, before);
    assert!(!stage.run(&["status"]).stdout.contains("is not searched"));
    Ok(())
}
