//! The schema in the database of an administrator. All other tests begin with one that has it.

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_gets_the_schema_that_all_tests_begin_with() -> anyhow::Result<()> {
    let mut stage = Stage::fresh(Options::default()).await?;
    let expected = tables(&stage)?;
    assert!(expected.iter().any(|line| line.contains("`item_versions`")), "{expected:?}");
    stage.separate().empty()?;
    assert_eq!(tables(&stage)?, Vec::<String>::new());

    let applied = stage.expect(&["migrate"])?;
    assert!(applied["migrations"].as_array().is_some_and(|names| !names.is_empty()), "{applied}");
    assert_eq!(tables(&stage)?, expected);
    assert_eq!(stage.expect(&["migrate"])?["migrations"], json!([]), "the schema is up to date");

    stage.separate().empty()?;
    stage.expect(&["init"])?;
    assert_eq!(stage.expect(&["migrate"])?["migrations"], json!([]), "init has brought it up to date");
    stage.start_serve()?;
    Ok(())
}

/// The statements that make the tables, without the rows.
fn tables(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let file = stage.dir.path().join("dump.sql");
    stage.separate().dump(&file)?;
    let bytes = std::fs::read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !["INSERT", "(", "--", "/*"].iter().any(|begin| line.starts_with(begin)));
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
