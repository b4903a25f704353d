//! The API of a stage as a program that is not `kodo` sees it: plain HTTPS, status, headers and JSON.

use anyhow::Context;
use kodo::access::{self, Role};
use kodo::db::{DatabaseConfig, Db, connect};
use reqwest::Method;
use serde_json::Value;

use super::stage::Stage;

/// The address of a server, its certificate, and whom its caller claims to be.
pub struct Http {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer with its body read as JSON, or `null` when it is not.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub content_type: String,
    pub text: String,
    pub json: Value,
}

impl Http {
    /// As the first admin.
    pub fn of(stage: &Stage) -> anyhow::Result<Self> {
        let state = stage.dir.path().join("state");
        let listening: Value = serde_json::from_slice(&std::fs::read(state.join("listen.json"))?)?;
        let certificate = std::fs::read(state.join("tls/cert.pem"))?;
        let client = reqwest::Client::builder()
            .tls_built_in_root_certs(false)
            .add_root_certificate(reqwest::Certificate::from_pem(&certificate)?)
            .build()?;
        let token = std::fs::read_to_string(state.join("admin-token"))?.trim().to_owned();
        let base = listening["url"].as_str().context("listen.json names no URL")?.to_owned();
        Ok(Self { client, base, token: Some(token) })
    }

    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { client: self.client.clone(), base: self.base.clone(), token: token.map(str::to_owned) }
    }

    /// As a new admin of this role.
    pub async fn with_role(&self, stage: &Stage, role: Role) -> anyhow::Result<Self> {
        let db = database(stage)?;
        let admin = access::add_admin(&db, &format!("the {role}"), role).await?;
        let token = access::create_token(&db, admin, "test", None).await?;
        Ok(self.with_token(Some(token.expose())))
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answered> {
        self.send(Method::GET, path, None, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answered> {
        self.send(Method::POST, path, Some("application/json"), &body.to_string()).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> anyhow::Result<Answered> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).body(body.to_owned());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        let response = request.send().await?;
        let header = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let (status, content_type) = (response.status().as_u16(), header.unwrap_or_default().to_owned());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answered { status, content_type, text, json })
    }
}

impl Answered {
    /// A problem as RFC 9457 has it, with this status; returns what it says.
    pub fn problem(&self, status: u16) -> &str {
        assert_eq!((self.status, self.content_type.as_str()), (status, "application/problem+json"), "{self:?}");
        assert_eq!(self.json["status"], status, "{self:?}");
        assert!(self.json["type"].as_str().is_some_and(|kind| kind.starts_with("urn:kodo:problem:")), "{self:?}");
        assert!(self.json["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        self.json["detail"].as_str().expect("a problem says what happened")
    }
}

/// The stage's database, past the API.
pub fn database(stage: &Stage) -> anyhow::Result<Db> {
    connect(stage.database_url(), &DatabaseConfig { pool_size: 2, ..DatabaseConfig::default() })
}
