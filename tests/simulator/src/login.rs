//! The token endpoint: client credentials by secret or by signed assertion, and the errors of
//! Entra when they are wrong.

use crate::app::{App, Grant, Registration};
use crate::clock::iso;
use crate::dice::hash_text;
use crate::locks::{read, write};
use crate::reply::Reply;
use crate::request::{Request, decode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct LoginError {
    status: u16,
    error: &'static str,
    code: u32,
    text: String,
}

fn refuse(status: u16, error: &'static str, code: u32, text: &str) -> LoginError {
    LoginError { status, error, code, text: text.to_owned() }
}

pub fn token(app: &App, tenant: &str, request: &Request) -> Reply {
    match grant(app, tenant, request) {
        Ok((token, seconds)) => Reply::ok(json!({
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": token,
        }))
        .with("Cache-Control", "no-store, no-cache")
        .with("Pragma", "no-cache"),
        Err(error) => error_reply(app, &error),
    }
}

fn error_reply(app: &App, error: &LoginError) -> Reply {
    let now = iso(app.clock.now()).replace('T', " ");
    let (trace, correlation) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    Reply::json(
        error.status,
        json!({
            "error": error.error,
            "error_description": format!(
                "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {now}",
                error.code, error.text
            ),
            "error_codes": [error.code],
            "timestamp": now,
            "trace_id": trace.to_string(),
            "correlation_id": correlation.to_string(),
            "error_uri": format!("{}/error?code={}", app.origin(), error.code),
        }),
    )
    .with("Cache-Control", "no-store, no-cache")
}

fn grant(app: &App, tenant: &str, request: &Request) -> Result<(String, i64), LoginError> {
    let form = form_fields(&request.body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&app.tenant_id) && !tenant.eq_ignore_ascii_case(&app.world.domain) {
        let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Err(refuse(400, "invalid_request", 90002, &text));
    }
    if field("grant_type") != "client_credentials" {
        let text = "The app requested an unsupported grant type.";
        return Err(refuse(400, "unsupported_grant_type", 70003, text));
    }
    let basic = basic_credentials(request.header("authorization"));
    let client_id = match &basic {
        Some((id, _)) => id.clone(),
        None => field("client_id").to_owned(),
    };
    if client_id.is_empty() {
        let text = "The request body must contain the following parameter: 'client_id'.";
        return Err(refuse(400, "invalid_request", 900_144, text));
    }
    let Some(registration) = read(&app.apps).get(&client_id).cloned() else {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        return Err(refuse(400, "unauthorized_client", 700_016, &text));
    };
    if registration.disabled {
        return Err(refuse(400, "unauthorized_client", 7_000_112, "Application is disabled."));
    }
    check_scope(field("scope"))?;
    let secret = basic.map(|(_, secret)| secret).or_else(|| form.get("client_secret").cloned());
    match secret {
        Some(secret) => check_secret(&registration, &secret)?,
        None if field("client_assertion_type") == ASSERTION_TYPE => {
            check_assertion(app, tenant, &registration, field("client_assertion"))?;
        }
        None => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(refuse(401, "invalid_client", 7_000_218, text));
        }
    }
    Ok(issue(app, registration))
}

fn issue(app: &App, registration: Registration) -> (String, i64) {
    let seconds = app.options.token_seconds;
    let now = app.clock.now();
    let token = format!("eyJ0eXAiOiJKV1QifQ.{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    let grant = Grant { client_id: registration.client_id, roles: registration.roles, expires: now + seconds };
    let mut tokens = write(&app.tokens);
    tokens.retain(|_, old| old.expires + 86_400 > now);
    tokens.insert(token.clone(), Arc::new(grant));
    (token, seconds)
}

fn check_scope(scope: &str) -> Result<(), LoginError> {
    let single = !scope.trim().is_empty() && !scope.trim().contains(' ');
    match single.then(|| scope.trim().strip_suffix("/.default")).flatten() {
        Some(resource) if !resource.is_empty() => Ok(()),
        _ => {
            let text = format!(
                "The provided request must include a 'scope' input parameter that ends with /.default; '{scope}' is not valid."
            );
            Err(refuse(400, "invalid_scope", 70011, &text))
        }
    }
}

fn check_secret(registration: &Registration, secret: &str) -> Result<(), LoginError> {
    if registration.secret.as_deref() != Some(secret) {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
             not the client secret ID, for a secret added to app '{}'.",
            registration.client_id
        );
        return Err(refuse(401, "invalid_client", 7_000_215, &text));
    }
    if registration.secret_expired {
        let text = format!("The provided client secret keys for app '{}' are expired.", registration.client_id);
        return Err(refuse(401, "invalid_client", 7_000_222, &text));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: Option<String>,
    exp: i64,
    nbf: Option<i64>,
}

fn check_assertion(app: &App, tenant: &str, registration: &Registration, assertion: &str) -> Result<(), LoginError> {
    let bad = |text: &str| refuse(401, "invalid_client", 700_027, text);
    let claims = verify_signature(registration, assertion)?;
    let audiences = [app.tenant_id.as_str(), tenant].map(|t| format!("{}/{t}/oauth2/v2.0/token", app.origin()));
    if !audiences.contains(&claims.aud) {
        let text = format!("Client assertion audience claim does not match the token endpoint, have '{}'.", claims.aud);
        return Err(refuse(401, "invalid_client", 700_023, &text));
    }
    if claims.iss != registration.client_id || claims.sub != registration.client_id {
        return Err(refuse(
            401,
            "invalid_client",
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        ));
    }
    let now = app.clock.now();
    if claims.exp <= now || claims.nbf.is_some_and(|from| from > now + 300) || claims.exp > now + 86_400 {
        return Err(refuse(401, "invalid_client", 700_024, "Client assertion is not within its valid time range."));
    }
    let Some(jti) = claims.jti else {
        return Err(bad("Client assertion has no 'jti' claim."));
    };
    if !app.remember_assertion(&jti, claims.exp) {
        app.violation(
            "assertion_reused",
            "POST",
            "/oauth2/v2.0/token",
            "the jti of a client assertion was used before",
        );
        return Err(bad("Client assertion was used before (jti)."));
    }
    Ok(())
}

fn verify_signature(registration: &Registration, assertion: &str) -> Result<Claims, LoginError> {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let bad = |text: &str| refuse(401, "invalid_client", 700_027, text);
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| bad("Client assertion is not a readable JWT."))?;
    if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
        return Err(bad("Client assertion must be signed with PS256 or RS256."));
    }
    let thumbprint = header.x5t_s256.ok_or_else(|| bad("Client assertion has no 'x5t#S256' header."))?;
    let certificate = registration.certificates.iter().find(|have| have.thumbprint == thumbprint).ok_or_else(|| {
        bad("The certificate with the identifier used to sign the client assertion is not registered on application.")
    })?;
    let key = DecodingKey::from_rsa_pem(certificate.pem.as_bytes())
        .map_err(|_| bad("The registered certificate has no RSA key."))?;
    // Times are checked below, against the tenant's clock instead of the machine's.
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let verified = jsonwebtoken::decode::<Claims>(assertion, &key, &validation);
    verified.map(|data| data.claims).map_err(|_| bad("Client assertion failed signature validation."))
}

fn basic_credentials(header: Option<&str>) -> Option<(String, String)> {
    let encoded = header?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decode(id), decode(secret)))
}

pub fn form_fields(body: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(body);
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(&name.replace('+', " ")), decode(&value.replace('+', " "))))
        .collect()
}

/// base64url of SHA-256 over the DER of a PEM certificate, as `x5t#S256` has it.
pub fn thumbprint(pem: &str) -> Option<String> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
    let digest = suite.common.hash_provider.hash(&der);
    Some(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref()))
}

/// A bearer token as the client sent it, found again among those issued.
pub fn grant_of(app: &App, header: Option<&str>) -> Option<Arc<Grant>> {
    let token = header?.strip_prefix("Bearer ")?;
    let grant = read(&app.tokens).get(token).cloned()?;
    if grant.expires > app.clock.now() {
        return Some(grant);
    }
    tracing::trace!(token = hash_text(token), "expired token");
    None
}
