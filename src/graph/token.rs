//! Access tokens by client credentials: one request at a time, renewed early, never logged.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::call::sending_failed;
use super::error::{Answer, GraphError};
use super::login::{LoginError, login_failure, not_answered};
use super::retry::{backoff, retry_after};
use crate::secret::Secret;

/// The app in a company's Entra tenant, and how it proves who it is.
#[derive(Clone, Debug)]
pub struct TenantCredentials {
    /// The directory (tenant) id, or a verified domain of it.
    pub entra_tenant_id: String,
    /// The application (client) id.
    pub client_id: String,
    pub credential: Credential,
}

#[derive(Clone, Debug)]
pub enum Credential {
    Secret(Secret<String>),
    /// An RSA key; the certificate is registered with the app.
    Certificate {
        certificate_pem: String,
        private_key_pem: Secret<String>,
    },
}

/// A token is renewed this long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
const ASSERTION_LIFE_S: i64 = 540;
/// Clocks differ: an assertion is valid from a moment ago.
const ASSERTION_SKEW_S: i64 = 30;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Hands out the access token of one tenant.
pub(super) struct Tokens {
    http: reqwest::Client,
    url: Url,
    scope: String,
    client_id: String,
    proof: Proof,
    attempts_max: u32,
    wait_max: Duration,
    current: RwLock<Option<Arc<Token>>>,
    /// Held while a token is fetched, so that a hundred requests cause one.
    fetching: Mutex<()>,
}

enum Proof {
    Secret(Secret<String>),
    Certificate { key: EncodingKey, thumbprint: String },
}

pub(super) struct Token {
    text: Secret<String>,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

#[derive(Serialize)]
struct Assertion<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// What `Tokens` needs to know of the configuration.
pub(super) struct LoginPlace {
    pub login: Url,
    pub scope: String,
    pub attempts_max: u32,
    pub wait_max: Duration,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl Tokens {
    pub(super) fn new(http: reqwest::Client, place: LoginPlace, tenant: TenantCredentials) -> anyhow::Result<Self> {
        let mut url = place.login;
        url.path_segments_mut().ok().context("graph.login_url cannot have a path")?.pop_if_empty().extend([
            &tenant.entra_tenant_id,
            "oauth2",
            "v2.0",
            "token",
        ]);
        Ok(Self {
            http,
            url,
            scope: place.scope,
            client_id: tenant.client_id,
            proof: Proof::new(tenant.credential)?,
            attempts_max: place.attempts_max,
            wait_max: place.wait_max,
            current: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// A token that is valid for a while.
    pub(super) async fn get(&self) -> Result<Arc<Token>, GraphError> {
        if let Some(token) = self.current(|token| token.renew_at > Instant::now()) {
            return Ok(token);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(token) = self.current(|token| token.renew_at > Instant::now()) {
            return Ok(token);
        }
        match self.fetch().await {
            Ok(token) => Ok(self.keep(token)),
            // Renewal has time until the token ends; a stumbling login service costs nothing before.
            Err(error) => {
                self.current(|token| token.ends_at > Instant::now()).filter(|_| !error.is_permanent()).ok_or(error)
            }
        }
    }

    /// A token other than `refused`, which Graph did not take.
    pub(super) async fn get_other(&self, refused: &Arc<Token>) -> Result<Arc<Token>, GraphError> {
        let _fetching = self.fetching.lock().await;
        if let Some(token) = self.current(|token| !std::ptr::eq(token, Arc::as_ptr(refused))) {
            return Ok(token);
        }
        Ok(self.keep(self.fetch().await?))
    }

    fn current(&self, fits: impl Fn(&Token) -> bool) -> Option<Arc<Token>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|token| fits(token)).cloned()
    }

    fn keep(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        token
    }

    async fn fetch(&self) -> Result<Token, GraphError> {
        for attempt in 1.. {
            let error = match self.fetch_once().await {
                Ok(token) => return Ok(token),
                Err(LoginError::Final(error)) => return Err(error),
                Err(LoginError::Retry { answer, after }) if attempt < self.attempts_max => (answer, after),
                Err(LoginError::Retry { answer, after: Some(retry_after) }) => {
                    return Err(GraphError::Throttled { retry_after, answer });
                }
                Err(LoginError::Retry { answer, after: None }) => {
                    return Err(GraphError::Transient { attempts: attempt, answer });
                }
            };
            match error {
                (answer, Some(retry_after)) if retry_after > self.wait_max => {
                    return Err(GraphError::Throttled { retry_after, answer });
                }
                (_, after) => tokio::time::sleep(after.unwrap_or_else(|| backoff(attempt))).await,
            }
        }
        unreachable!("attempts are counted up to attempts_max, which is at least 1")
    }

    async fn fetch_once(&self) -> Result<Token, LoginError> {
        let asked = Answer::new("asking for an access token".to_owned());
        let form = self.form().map_err(|error| {
            LoginError::Final(GraphError::Login {
                remedy: "register a certificate with an RSA key".to_owned(),
                answer: asked.clone().with_message(format!("{error:#}")),
            })
        })?;
        let asked_at = Instant::now();
        let sent = self.http.post(self.url.clone()).form(&form).send().await;
        let response = sent.map_err(|error| not_answered(sending_failed(asked.clone(), error)))?;
        let status = response.status();
        let after = retry_after(response.headers(), crate::clock::now().into());
        let body = super::body::read_bounded(response, ANSWER_BYTES_MAX).await.map_err(|error| LoginError::Retry {
            answer: asked.clone().with_message(error.to_string()),
            after: None,
        })?;
        if !status.is_success() {
            return Err(login_failure(asked, status, after, &body));
        }
        let Ok(TokenAnswer { access_token, expires_in }) = serde_json::from_slice(&body) else {
            let answer = asked.with_message("the login service answered without a token");
            return Err(LoginError::Retry { answer, after: None });
        };
        let life = Duration::from_secs(expires_in);
        let used = if life >= 2 * RENEW_BEFORE { life - RENEW_BEFORE } else { life / 2 };
        let text = Secret::new(access_token);
        Ok(Token { text, renew_at: asked_at + used, ends_at: asked_at + life })
    }

    fn form(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut form = vec![
            ("client_id", self.client_id.clone()),
            ("scope", self.scope.clone()),
            ("grant_type", "client_credentials".to_owned()),
        ];
        match &self.proof {
            Proof::Secret(secret) => form.push(("client_secret", secret.expose().clone())),
            Proof::Certificate { key, thumbprint } => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_assertion_type", kind.to_owned()));
                form.push(("client_assertion", self.assertion(key, thumbprint)?));
            }
        }
        Ok(form)
    }

    /// Signed anew for every request: Microsoft takes each assertion for ten minutes at most.
    fn assertion(&self, key: &EncodingKey, thumbprint: &str) -> anyhow::Result<String> {
        let now = crate::clock::now().timestamp();
        let claims = Assertion {
            aud: self.url.as_str(),
            iss: &self.client_id,
            sub: &self.client_id,
            jti: uuid::Uuid::new_v4().to_string(),
            nbf: now - ASSERTION_SKEW_S,
            iat: now,
            exp: now + ASSERTION_LIFE_S,
        };
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(thumbprint.to_owned());
        jsonwebtoken::encode(&header, &claims, key).context("cannot sign with the private key")
    }
}

impl Proof {
    fn new(credential: Credential) -> anyhow::Result<Self> {
        match credential {
            Credential::Secret(secret) => Ok(Self::Secret(secret)),
            Credential::Certificate { certificate_pem, private_key_pem } => {
                let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
                    .ok()
                    .context("the certificate is not PEM (\"-----BEGIN CERTIFICATE-----\")")?;
                let key = EncodingKey::from_rsa_pem(private_key_pem.expose().as_bytes())
                    .ok()
                    .context("the private key is not an unencrypted RSA key in PEM")?;
                let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
                Ok(Self::Certificate { key, thumbprint })
            }
        }
    }
}

/// The application permissions in a token, when it can be read; Microsoft does not promise that it can.
pub(super) fn granted_roles(token: &Token) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
    }
    let claims = token.expose().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.roles)
}
