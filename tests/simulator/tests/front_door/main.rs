//! The simulator through its front door: plain HTTP, as a client sees it.

mod attachments;
mod calendar;
mod calendar_writes;
mod contact_writes;
mod contacts;
mod contract;
mod control;
mod create;
mod delta;
mod directory;
mod drive;
mod faults;
mod ids;
mod login;
mod settings;
mod settings_writes;
mod throttle;

use kodo_simulator::{Options, Simulator};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

pub const AGENT: &str = "NONISV|Kodo|Simulator-Test/1.0";
pub const IMMUTABLE: &str = "IdType=\"ImmutableId\"";

/// A running tenant and a client with a token.
pub struct Tenant {
    pub simulator: Simulator,
    pub client: Client,
    pub token: String,
}

/// An answer taken apart.
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn values(&self) -> &Vec<Value> {
        self.body["value"].as_array().expect("an answer with a list")
    }
}

impl Tenant {
    pub async fn start(options: Options) -> Self {
        let simulator = Simulator::start(options).await.expect("the simulator starts");
        let client = Client::builder().user_agent(AGENT).build().expect("a client");
        let mut tenant = Self { simulator, client, token: String::new() };
        let secret = tenant.simulator.client_secret();
        let answer = tenant.login(&[("client_secret", &secret)]).await;
        tenant.token = answer.body["access_token"].as_str().expect("a token").to_owned();
        tenant
    }

    pub async fn small() -> Self {
        Self::start(Options { users: 2, messages: 25, ..Options::default() }).await
    }

    pub async fn login(&self, extra: &[(&str, &str)]) -> Answer {
        let client_id = self.simulator.client_id();
        let mut form = vec![
            ("client_id", client_id.as_str()),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        form.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        form.extend_from_slice(extra);
        let request = self.client.post(self.token_url(&self.simulator.tenant_id())).form(&form);
        take_apart(request.send().await.expect("an answer")).await
    }

    pub fn token_url(&self, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.simulator.login_url())
    }

    /// A request to a path below `/v1.0`, or to an absolute URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.simulator.base_url()) };
        self.client.request(method, url).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn get_immutable(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path).header("Prefer", IMMUTABLE)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// The first ordinary user.
    pub fn user(&self) -> String {
        self.simulator.users()["users"][0]["id"].as_str().expect("a user").to_owned()
    }

    pub fn user_of_state(&self, state: &str) -> String {
        let users = self.simulator.users();
        let all = users["users"].as_array().expect("users");
        let found = all.iter().find(|user| user["mailbox"] == state).expect("a user of this state");
        found["id"].as_str().expect("an id").to_owned()
    }

    /// Creates a message in a folder and returns it.
    pub async fn create(&self, folder: &str, body: Value) -> Value {
        let answer = self.post(&format!("/users/{}/mailFolders/{folder}/messages", self.user()), body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body
    }

    pub fn violation_kinds(&self) -> Vec<&'static str> {
        self.simulator.violations().iter().map(|violation| violation.kind).collect()
    }
}

/// No test may pass with a simulator that answered what Graph could not.
impl Drop for Tenant {
    fn drop(&mut self) {
        let breaches = self.simulator.contract_breaches();
        assert!(std::thread::panicking() || breaches.is_empty(), "the simulator left the contract: {breaches:#?}");
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    take_apart(request.send().await.expect("an answer")).await
}

async fn take_apart(response: Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body");
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(json!(text)) }
}

/// A message as a restore would send it.
pub fn restored(subject: &str) -> Value {
    json!({
        "subject": subject,
        "body": {"contentType": "text", "content": "hello"},
        "toRecipients": [{"emailAddress": {"name": "A", "address": "a@example.org"}}],
        "isRead": true,
        "internetMessageId": format!("<{subject}@example.org>"),
        "singleValueExtendedProperties": [
            {"id": "Integer 0x0E07", "value": "1"},
            {"id": "SystemTime 0x0039", "value": "2020-01-02T03:04:05Z"},
            {"id": "SystemTime 0x0E06", "value": "2020-01-02T03:04:06Z"},
        ],
    })
}
