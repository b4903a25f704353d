//! Tenants at the command line: what keeps their credentials from working, and how to put it right.

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::Stage;

const SECRET: &str = "the secret";

async fn stage() -> anyhow::Result<Stage> {
    let stage = Stage::serving(Options { users: 1, messages: 3, ..Options::default() }).await?;
    stage.expect(&["organization", "add", "Contoso"])?;
    std::fs::write(stage.dir.path().join("secret"), format!("{SECRET}\n"))?;
    Ok(stage)
}

/// Registers an app with [`SECRET`], unless `more` says otherwise, and returns its client id.
fn app(stage: &Stage, more: &Value) -> anyhow::Result<String> {
    let mut wanted = json!({ "secret": SECRET });
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Ok(stage.tenant.register_app(wanted)?["client_id"].as_str().unwrap().to_owned())
}

fn add(stage: &Stage, name: &str, entra_tenant_id: &str, client_id: &str) -> anyhow::Result<Value> {
    let secret = stage.dir.path().join("secret").to_string_lossy().into_owned();
    let args = ["tenant", "add", name, "--entra-tenant-id", entra_tenant_id, "--client-id", client_id];
    stage.expect(&[&args[..], &["--secret-file", &secret]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_microsoft_refuses_says_what_to_fix() -> anyhow::Result<()> {
    let stage = stage().await?;
    let app = |more| app(&stage, &more);
    let ours = stage.tenant.tenant_id();
    let stranger = "11111111-2222-4333-8444-555555555555";

    let cases = [
        ("fine", ours.as_str(), app(json!({}))?, 0, "ready"),
        ("wrong", &ours, app(json!({ "secret": "another" }))?, 1, "secret"),
        ("expired", &ours, app(json!({ "secret_expired": true }))?, 1, "expired"),
        ("disabled", &ours, app(json!({ "disabled": true }))?, 1, "disabled"),
        ("unconsented", &ours, app(json!({ "roles": [] }))?, 1, "User.Read.All"),
        ("unknown app", &ours, stranger.to_owned(), 1, "client"),
        ("unknown tenant", "nowhere.example", app(json!({}))?, 1, "nowhere.example"),
    ];
    for (name, tenant, client, code, says) in &cases {
        add(&stage, name, tenant, client)?;
        let ran = stage.run(&["tenant", "check", name]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, *code, "{name}: {ran:?}");
        assert!(said.contains(says), "the check of \"{name}\" does not say \"{says}\": {said}");
    }
    let listed = stage.expect(&["tenant", "list"])?;
    let failing = listed["items"].as_array().unwrap().iter().filter(|tenant| tenant["state"] == "failing").count();
    assert_eq!(failing, cases.len() - 1, "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_secret_is_replaced_and_a_certificate_does_as_well() -> anyhow::Result<()> {
    let stage = stage().await?;
    let pem = |name: &str| format!("{}/tests/simulator/tests/front_door/{name}", env!("CARGO_MANIFEST_DIR"));
    let (certificate, key) = (pem("assertion_certificate.pem"), pem("assertion_key.pem"));
    let registered = json!({ "secret": "another", "certificate_pem": std::fs::read_to_string(&certificate)? });
    add(&stage, "contoso", &stage.tenant.tenant_id(), &app(&stage, &registered)?)?;
    assert_eq!(stage.run(&["tenant", "check", "contoso"]).code, 1);

    let renew = ["tenant", "renew", "contoso"];
    let files = ["--certificate-file", &certificate, "--private-key-file", &key];
    let renewed = stage.expect(&[&renew[..], &files].concat())?;
    assert_eq!((&renewed["state"], &renewed["credential_kind"]), (&json!("unchecked"), &json!("certificate")));
    assert_eq!(stage.expect(&["tenant", "check", "contoso"])?["state"], json!("ready"));

    let new_secret = stage.dir.path().join("new-secret");
    std::fs::write(&new_secret, "another")?;
    stage.expect(&[&renew[..], &["--secret-file", &new_secret.to_string_lossy()]].concat())?;
    assert_eq!(stage.expect(&["tenant", "check", "contoso"])?["state"], json!("ready"));
    let not_pem = [&renew[..], &["--certificate-file", "/dev/null", "--private-key-file", &key]].concat();
    assert!(stage.run(&not_pem).stderr.contains("certificate is not PEM"));
    Ok(())
}
