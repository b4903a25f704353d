//! A tenant that somebody else simulates is reached by changing addresses and the certificate's authority alone.

use kodo_simulator::Options;
use serde_json::json;

use crate::support::stage::{Stage, assert_same};

fn company() -> Options {
    Options { users: 1, messages: 15, special_users: false, https: true, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_and_restore_work_over_https_with_an_authority_of_its_own() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    assert!(stage.tenant.base_url().starts_with("https://") && stage.tenant.login_url().starts_with("https://"));
    let user = stage.users().remove(0);
    let before = stage.mailbox(&user)?;
    stage.back_up(&user)?;
    stage.tenant.wipe_mailbox(&user)?;

    let restored = stage.expect(&["restore", "--user", &user, "--wait"])?;

    assert_eq!(restored["outcomes"]["failed"], json!(0), "{restored}");
    assert_same(&before, &stage.mailbox(&user)?);
    stage.assert_polite();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_authority_is_not_trusted_is_told_with_the_setting() -> anyhow::Result<()> {
    let mut stage = Stage::ready(company()).await?;
    stage.stop_serve()?;
    std::fs::remove_file(stage.dir.path().join("tenant-ca.pem"))?;
    stage.configure("")?;
    stage.start_serve()?;

    let checked = stage.run(&["tenant", "check", "contoso"]);

    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(format!("{}{}", checked.stdout, checked.stderr).contains("graph.ca_file"), "{checked:?}");
    Ok(())
}
