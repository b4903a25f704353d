//! The Graph client against a simulated tenant: users, permissions, credentials, tokens.

use kodo::graph::{Credential, GraphClient, GraphConfig, GraphError, MailboxState, Severity, TenantCredentials};
use kodo::secret::Secret;
use kodo_simulator::Options;
use serde_json::json;

use crate::support::tenant::{Kept, Tenant, client};

async fn tenant() -> Tenant {
    Tenant::start(Options { users: 3, messages: 10, ..Options::default() }).await
}

fn with_credentials(tenant: &Tenant, change: impl FnOnce(&mut TenantCredentials)) -> GraphClient {
    let simulator = &tenant.simulator;
    let config =
        GraphConfig { base_url: simulator.base_url(), login_url: simulator.login_url(), ..GraphConfig::default() };
    let mut credentials = TenantCredentials {
        entra_tenant_id: simulator.tenant_id(),
        client_id: simulator.client_id(),
        credential: Credential::Secret(Secret::new(simulator.client_secret())),
    };
    change(&mut credentials);
    GraphClient::new(&config, credentials).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_users_are_listed_with_what_they_have() {
    let tenant = Tenant::start(Options { users: 30, messages: 1, ..Options::default() }).await;

    let mut all = Vec::new();
    let mut next = None;
    loop {
        let page = tenant.graph.users(next.as_deref()).await.unwrap();
        all.extend(page.users);
        next = page.next;
        if next.is_none() {
            break;
        }
    }

    let known = tenant.simulator.users();
    assert_eq!(all.len(), known["users"].as_array().unwrap().len());
    let member = all.iter().find(|user| user.id == tenant.members()[0]).unwrap();
    assert!(member.has_exchange_plan && member.account_enabled && member.mail.is_some());
    assert!(all.iter().any(|user| user.user_type.as_deref() == Some("Guest")));
    assert!(all.iter().any(|user| !user.account_enabled && !user.is_licensed));
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_app_has_no_problems_and_a_poor_one_is_told_which_roles_it_lacks() {
    let tenant = tenant().await;
    assert_eq!(tenant.graph.check().await.unwrap(), []);

    let poor = tenant
        .simulator
        .register_app(
            json!({"client_id": "11111111-2222-4333-8444-555555555555", "secret": "s3cret", "roles": ["Mail.Read"]}),
        )
        .unwrap();
    let graph = with_credentials(&tenant, |credentials| {
        credentials.client_id = poor["client_id"].as_str().unwrap_or("11111111-2222-4333-8444-555555555555").to_owned();
        credentials.credential = Credential::Secret(Secret::new("s3cret".to_owned()));
    });

    let problems = graph.check().await.unwrap();
    assert!(
        problems.iter().any(|p| p.severity == Severity::Blocks && p.text.contains("User.Read.All")),
        "{problems:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_a_problem_with_a_remedy() {
    let tenant = tenant().await;
    let wrong_secret =
        with_credentials(&tenant, |c| c.credential = Credential::Secret(Secret::new("wrong".to_owned())));
    let wrong_app = with_credentials(&tenant, |c| c.client_id = "00000000-0000-4000-8000-000000000000".to_owned());
    let wrong_tenant = with_credentials(&tenant, |c| c.entra_tenant_id = "elsewhere.example".to_owned());

    for (graph, remedy) in [(wrong_secret, "not its id"), (wrong_app, "client id"), (wrong_tenant, "tenant id")] {
        let problems = graph.check().await.unwrap();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].severity == Severity::Blocks && problems[0].text.contains(remedy), "{problems:?}");
        let error = graph.users(None).await.unwrap_err();
        assert!(matches!(error, GraphError::Login { .. }) && error.is_permanent());
        assert!(!format!("{error} {error:?}").contains("wrong\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_signs_in() {
    let tenant = tenant().await;
    let certificate = include_str!("../simulator/tests/front_door/assertion_certificate.pem");
    let key = include_str!("../simulator/tests/front_door/assertion_key.pem");
    let client_id = "11111111-2222-4333-8444-666666666666";
    let registration = json!({"client_id": client_id, "certificate_pem": certificate});
    tenant.simulator.register_app(registration).unwrap();

    let graph = with_credentials(&tenant, |credentials| {
        credentials.client_id = client_id.to_owned();
        credentials.credential = Credential::Certificate {
            certificate_pem: certificate.to_owned(),
            private_key_pem: Secret::new(key.to_owned()),
        };
    });

    assert_eq!(graph.mailbox(&tenant.members()[0]).await.unwrap(), MailboxState::Present);
    // A second token needs a second assertion: the simulator refuses one that was used before.
    tenant.simulator.expire_tokens();
    assert_eq!(graph.mailbox(&tenant.members()[0]).await.unwrap(), MailboxState::Present);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ends_in_the_middle_is_renewed_without_a_trace() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    let mut kept = Kept::default();
    tenant.back_up(user, &mut kept).await;

    tenant.simulator.expire_tokens();
    let mut again = Kept::default();
    tenant.back_up(user, &mut again).await;

    assert_eq!(again.items.len(), kept.items.len());
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_retry_after_is_handed_on_and_no_request_leaves_before_it() {
    let tenant = tenant().await;
    let user = &tenant.members()[0];
    tenant.set_faults(
        json!([{"match": "mailFolders/inbox", "kind": "status", "status": 429, "retry_after": 900, "times": 1}]),
    );

    let first = tenant.graph.mailbox(user).await.unwrap_err();
    let second = tenant.graph.mailbox(user).await.unwrap_err();

    for error in [first, second] {
        assert!(matches!(&error, GraphError::Throttled { retry_after, .. } if retry_after.as_secs() > 800), "{error}");
    }
    let scope = kodo::graph::Scope::Mailbox(user.clone());
    assert!(tenant.graph.waiting(&scope).unwrap().reason.contains("ApplicationThrottled"));
    assert_eq!(tenant.graph.mailbox(&tenant.members()[1]).await.unwrap(), MailboxState::Present);
    tenant.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_certificate_authority_is_trusted_when_it_is_named() {
    let tenant = Tenant::start(Options { https: true, users: 1, messages: 1, ..Options::default() }).await;

    let error = tenant.graph.users(None).await.unwrap_err();
    assert!(error.to_string().contains("graph.ca_file"), "{error}");

    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), tenant.simulator.ca_pem().unwrap()).unwrap();
    let graph = crate::support::tenant::client_with(&tenant.simulator, |config| {
        config.ca_file = Some(ca_file.path().to_owned())
    });
    assert!(!graph.users(None).await.unwrap().users.is_empty());
    drop(client(&tenant.simulator));
}
