use crate::{Tenant, send};
use kodo_simulator::Options;
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn wrong_credentials_get_the_codes_of_entra() {
    let tenant = Tenant::small().await;
    let secret = tenant.simulator.client_secret();

    for (extra, status, error, code) in [
        (vec![("client_secret", "wrong")], 401, "invalid_client", 7000215),
        (vec![], 401, "invalid_client", 7000218),
        (vec![("client_secret", secret.as_str()), ("client_id", "nobody")], 400, "unauthorized_client", 700016),
        (
            vec![("client_secret", secret.as_str()), ("scope", "https://graph.microsoft.com/Mail.Read")],
            400,
            "invalid_scope",
            70011,
        ),
    ] {
        let answer = tenant.login(&extra).await;

        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.body["error"], error);
        assert_eq!(answer.body["error_codes"], json!([code]));
        let text = answer.body["error_description"].as_str().expect("a description");
        assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
    }
}

#[actix_web::test]
async fn an_unknown_tenant_is_refused() {
    let tenant = Tenant::small().await;
    let form = [("client_id", "x"), ("grant_type", "client_credentials")];

    let answer = send(tenant.client.post(tenant.token_url("nowhere.example")).form(&form)).await;

    assert_eq!(answer.body["error_codes"], json!([90002]));
}

#[actix_web::test]
async fn an_expired_secret_has_its_own_code() {
    let tenant = Tenant::small().await;
    let app = json!({"client_id": "old", "secret": "s", "secret_expired": true});
    tenant.simulator.register_app(app).expect("registered");

    let answer = tenant.login(&[("client_id", "old"), ("client_secret", "s")]).await;

    assert_eq!(answer.body["error_codes"], json!([7000222]));
}

#[actix_web::test]
async fn basic_authentication_works_like_the_form() {
    let tenant = Tenant::small().await;
    let form = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
    let request = tenant
        .client
        .post(tenant.token_url(&tenant.simulator.tenant_id()))
        .basic_auth(tenant.simulator.client_id(), Some(tenant.simulator.client_secret()))
        .form(&form);

    let answer = send(request).await;

    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[actix_web::test]
async fn a_token_expires_with_the_clock() {
    let tenant = Tenant::start(Options { users: 1, messages: 1, token_seconds: 60, ..Options::default() }).await;
    assert_eq!(tenant.get("/users").await.status, 200);

    tenant.simulator.advance_clock(61);

    let answer = tenant.get("/users").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (401, "InvalidAuthenticationToken"));
}

#[actix_web::test]
async fn a_missing_role_is_refused_by_area() {
    let mut tenant = Tenant::small().await;
    let app = json!({"client_id": "poor", "secret": "s", "roles": []});
    tenant.simulator.register_app(app).expect("registered");
    let answer = tenant.login(&[("client_id", "poor"), ("client_secret", "s")]).await;
    tenant.token = answer.body["access_token"].as_str().expect("a token").to_owned();

    let directory = tenant.get("/users").await;
    let mail = tenant.get(&format!("/users/{}/mailFolders", tenant.user())).await;

    assert_eq!((directory.status.as_u16(), directory.code()), (403, "Authorization_RequestDenied"));
    assert_eq!((mail.status.as_u16(), mail.code()), (403, "ErrorAccessDenied"));
}

mod assertion {
    use super::*;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};

    const KEY: &str = include_str!("assertion_key.pem");
    const CERTIFICATE: &str = include_str!("assertion_certificate.pem");

    fn sign(tenant: &Tenant, algorithm: Algorithm, thumbprint: Option<&str>, exp_in: i64, jti: &str) -> String {
        let info = tenant.simulator.info();
        let now =
            chrono::DateTime::parse_from_rfc3339(info["now"].as_str().expect("a time")).expect("a time").timestamp();
        let claims = json!({
            "aud": tenant.token_url(&tenant.simulator.tenant_id()),
            "iss": "certified", "sub": "certified", "jti": jti, "nbf": now - 700, "exp": now + exp_in,
        });
        let mut header = Header::new(algorithm);
        header.x5t_s256 = thumbprint.map(str::to_owned);
        let key = EncodingKey::from_rsa_pem(KEY.as_bytes()).expect("a key");
        jsonwebtoken::encode(&header, &claims, &key).expect("a signed assertion")
    }

    async fn try_login(tenant: &Tenant, assertion: &str) -> crate::Answer {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        tenant
            .login(&[("client_id", "certified"), ("client_assertion_type", kind), ("client_assertion", assertion)])
            .await
    }

    async fn certified() -> (Tenant, String) {
        let tenant = Tenant::small().await;
        let app = json!({"client_id": "certified", "certificate_pem": CERTIFICATE});
        let registered = tenant.simulator.register_app(app).expect("registered");
        let thumbprint = registered["thumbprints"][0].as_str().expect("a thumbprint").to_owned();
        (tenant, thumbprint)
    }

    #[actix_web::test]
    async fn both_algorithms_are_accepted_once_per_jti() {
        let (tenant, thumbprint) = certified().await;

        for algorithm in [Algorithm::PS256, Algorithm::RS256] {
            let assertion = sign(&tenant, algorithm, Some(&thumbprint), 300, &format!("{algorithm:?}"));
            assert_eq!(try_login(&tenant, &assertion).await.status, 200);
            let again = try_login(&tenant, &assertion).await;
            assert_eq!(again.body["error_codes"], json!([700027]));
        }
    }

    #[actix_web::test]
    async fn bad_assertions_are_told_apart() {
        let (tenant, thumbprint) = certified().await;
        let expired = sign(&tenant, Algorithm::PS256, Some(&thumbprint), -5, "1");
        let nameless = sign(&tenant, Algorithm::PS256, None, 300, "2");
        let mut forged = sign(&tenant, Algorithm::PS256, Some(&thumbprint), 300, "3");
        forged.replace_range(forged.len() - 8.., "AAAAAAAA");

        for (assertion, code) in [(expired, 700024), (nameless, 700027), (forged, 700027)] {
            let answer = try_login(&tenant, &assertion).await;
            assert_eq!((answer.status.as_u16(), &answer.body["error_codes"]), (401, &json!([code])));
        }
    }
}

#[actix_web::test]
async fn a_request_without_a_token_is_refused_and_carries_ids() {
    let tenant = Tenant::small().await;
    let url = format!("{}/users", tenant.simulator.base_url());

    let answer = send(tenant.client.request(Method::GET, url).header("client-request-id", "abc")).await;

    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["client-request-id"], "abc");
    assert!(answer.headers.contains_key("request-id"));
    assert_eq!(answer.body["error"]["innerError"]["client-request-id"], "abc");
}
