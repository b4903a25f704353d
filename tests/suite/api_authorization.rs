//! Who may call what: every route of the table, without a token and with each role.

use kodo::access::Role;
use kodo::api::{ROUTES, RouteRow};
use kodo_simulator::Options;
use serde_json::json;

use crate::support::http::{Answered, Http};
use crate::support::stage::Stage;

/// The route with something plausible for each of its variables.
fn path(row: &RouteRow) -> String {
    let segment = |segment: &str| match segment {
        "{key}" => "00000000000000000000000000000000".to_owned(),
        variable if variable.starts_with('{') => "1".to_owned(),
        plain => plain.to_owned(),
    };
    format!("/api/v1{}", row.path.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

async fn call(http: &Http, row: &RouteRow) -> anyhow::Result<Answered> {
    let body = if row.method == "POST" { json!({}).to_string() } else { String::new() };
    http.send(row.method.as_str().parse()?, &path(row), Some("application/json"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_a_token_and_for_the_role_that_it_needs() -> anyhow::Result<()> {
    let stage = Stage::serving(Options { users: 1, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let nobody = http.with_token(None);
    let stranger = http.with_token(Some("kodo_0123456789012345678901234567890123456789012"));
    let viewer = http.with_role(&stage, Role::Viewer).await?;
    let operator = http.with_role(&stage, Role::Operator).await?;
    assert!(ROUTES.len() > 25);

    for row in ROUTES {
        let route = format!("{} {}", row.method, row.path);
        call(&nobody, row).await?.problem(401);
        call(&stranger, row).await?.problem(401);
        for (caller, role) in [(&viewer, Role::Viewer), (&operator, Role::Operator)] {
            let answered = call(caller, row).await?;
            if role.allows(row.needs) {
                assert!(!matches!(answered.status, 401 | 403), "{route} refuses the {role}: {answered:?}");
            } else {
                assert!(answered.problem(403).contains(row.needs.as_str()), "{route}: {answered:?}");
            }
        }
        if row.method != "GET" {
            call(&viewer, row).await?.problem(403);
        }
        let answered = call(&http, row).await?;
        assert!(!matches!(answered.status, 401 | 403 | 405 | 500), "{route} for an administrator: {answered:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_tells_strangers_nothing_and_health_is_open() -> anyhow::Result<()> {
    let stage = Stage::serving(Options { users: 1, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let nobody = http.with_token(None);

    nobody.get("/api/v1/nowhere").await?.problem(401);
    http.get("/api/v1/nowhere").await?.problem(404);
    http.get("/nowhere").await?.problem(404);
    http.send("DELETE".parse()?, "/api/v1/runs", None, "").await?.problem(405);
    assert_eq!(nobody.get("/healthz").await?.status, 200);
    assert_eq!(nobody.get("/readyz").await?.json, json!({ "database": true, "agents": true }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_came_in_never_comes_out() -> anyhow::Result<()> {
    let stage = Stage::ready(Options { users: 1, ..Options::default() }).await?;
    let http = Http::of(&stage)?;
    let secret = stage.tenant.client_secret();
    let mut said = stage.log();

    for row in ROUTES.iter().filter(|row| row.method == "GET") {
        said.push_str(&call(&http, row).await?.text);
    }
    let broken = json!({ "name": "x", "client_secret": secret, "nonsense": 1 });
    said.push_str(&http.post("/api/v1/tenants", &broken).await?.text);

    assert!(said.contains("contoso"));
    assert!(!said.contains(&*secret));
    assert!(!said.contains("recovery_key"));
    Ok(())
}
