//! What a policy wants captured: set by name, checked, shown.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn options_are_set_one_by_one_and_shown_with_what_nobody_chose() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 1, ..Options::default() }).await?;

    let add = ["policy", "add", "lean", "--storage", "disk", "--set", "mailbox.junk=false"];
    let added = stage.expect(&[&add[..], &["--set", "onedrive.permissions=true"]].concat())?;
    let set = stage.expect(&["policy", "set", "lean", "mailbox.settings=false", "mailbox.junk=default"])?;
    let shown = stage.expect(&["policy", "show", "lean"])?;

    assert_eq!(added["options"]["mailbox"]["junk"], json!(false), "{added}");
    assert_eq!(added["options"]["onedrive"]["permissions"], json!(true), "{added}");
    assert_eq!(set["options"]["mailbox"]["junk"], json!(true), "{set}");
    assert_eq!(set["options"]["mailbox"]["settings"], json!(false), "{set}");
    assert_eq!(set["options"]["onedrive"]["permissions"], json!(true), "{set}");
    assert_eq!(shown["options"], set["options"]);
    let table = stage.run(&["policy", "show", "lean"]).stdout;
    assert!(table.contains("mailbox.settings"), "{table}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_cannot_be_meant_is_refused_by_its_name() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 1, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let before = stage.expect(&["policy", "show", "standard"])?;

    for (change, says) in [
        (json!({ "mailbox": { "junk": "sometimes" } }), ["mailbox.junk", "true or false"]),
        (json!({ "mailbox": { "jnuk": true } }), ["mailbox.jnuk", "deleted_items"]),
        (json!({ "telepathy": { "far": true } }), ["telepathy", "onedrive"]),
        (json!(["mailbox"]), ["object", "mailbox"]),
    ] {
        let answered = http.post("/api/v1/policies/standard/options", &change).await?;
        let told = answered.problem(422);
        assert!(says.iter().all(|part| told.contains(part)), "{change}: {told}");
        let new = json!({ "name": "new", "storage": "disk", "options": change });
        http.post("/api/v1/policies", &new).await?.problem(422);
    }
    let typed = stage.run(&["policy", "set", "standard", "mailbox.junk"]);
    assert!(typed.code != 0 && typed.stderr.contains("mailbox.junk=false"), "{typed:?}");
    assert_eq!(stage.expect(&["policy", "show", "standard"])?, before);
    Ok(())
}

/// A change of what is wanted has the next run look at everything once, and read nothing again that is unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn the_run_after_a_change_walks_whole_once_and_downloads_nothing_again() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 30, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    stage.back_up(&user)?;
    let incremental = spent(&stage, || stage.back_up(&user).map(drop))?;
    let downloads = crate::main_job::downloads(&stage);

    stage.expect(&["policy", "set", "standard", "mailbox.settings=false"])?;
    let whole = spent(&stage, || stage.back_up(&user).map(drop))?;
    let after = spent(&stage, || stage.back_up(&user).map(drop))?;

    assert!(whole > incremental, "{whole} requests for a whole walk, {incremental} for the changes");
    assert!(after < whole, "{after} requests for the run behind, {whole} for the whole walk");
    assert_eq!(crate::main_job::downloads(&stage), downloads);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_that_a_policy_excludes_ends_in_the_next_point_and_comes_back_when_it_is_wanted_again()
-> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, messages: 60, ..Options::default() }).await?;
    let user = stage.users().remove(0);
    let received = stage.mailbox(&user)?.messages.into_iter().filter(|message| message["isDraft"] == json!(false));
    for message in received.take(3) {
        let (id, folder) = (&message["internetMessageId"], &message["folder"]);
        let edit = json!({ "internet_message_id": id, "folder": folder, "move_to": "junkemail" });
        stage.tenant.edit(&user, edit)?;
    }
    stage.back_up(&user)?;
    let all = held(&stage, &user, None)?;
    let junk = stage.expect(&["ls", "junkemail", "--user", &user])?["items"].as_array().map_or(0, Vec::len) as u64;
    assert!(junk > 0, "no junk to leave out");

    stage.expect(&["policy", "set", "standard", "mailbox.junk=false"])?;
    stage.back_up(&user)?;
    let coverage = stage.expect(&["coverage", &user])?;
    stage.back_up(&user)?;
    let without = stage.run(&["ls", "junkemail", "--user", &user]);
    stage.expect(&["policy", "set", "standard", "mailbox.junk=default"])?;
    stage.back_up(&user)?;

    assert_eq!(held(&stage, &user, Some(2))?, all - junk);
    assert_eq!(held(&stage, &user, Some(3))?, all - junk, "the run behind does not bring it back");
    assert!(without.code != 0 && without.stderr.contains("there is no folder"), "{without:?}");
    let left_out = coverage["features"][0]["passed_over"].to_string();
    assert!(left_out.contains("the policy leaves it out"), "{left_out}");
    assert_eq!(held(&stage, &user, None)?, all, "wanted again, it is back");
    assert_eq!(held(&stage, &user, Some(1))?, all, "an older point keeps it");
    stage.assert_polite();
    Ok(())
}

/// Items that the folders of a point hold, all together.
fn held(stage: &Stage, user: &str, point: Option<u64>) -> anyhow::Result<u64> {
    let points = stage.expect(&["point", "list", "--user", user])?["items"].as_array().cloned().unwrap_or_default();
    let wanted = |one: &&Value| point.is_none_or(|number| one["number"] == json!(number));
    Ok(points.iter().find(wanted).and_then(|one| one["items"].as_u64()).unwrap_or_default())
}

/// The requests about users that `work` costs.
fn spent(stage: &Stage, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let count = || {
        let stats = stage.tenant.stats();
        let routes = stats["routes"].as_object().expect("the simulator counts by route");
        let users = routes.iter().filter(|(route, _)| route.contains("/users/"));
        users.filter_map(|(_, count)| count["requests"].as_u64()).sum::<u64>()
    };
    let before = count();
    work()?;
    Ok(count() - before)
}
