//! One request to Graph and the single path on which every request is sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::body::{Body, ReadError, read_bounded, read_spooled};
use super::download::{infected, redirect_of};
use super::endpoint::{Endpoint, Scope, append_query};
use super::error::{Answer, ErrorBody, GraphError};
use super::json::{self, BadJson};
use super::outcome::{Circumstances, Failure, Step, causes, judge};
use super::retry::{Repeat, backoff, retry_after, units_left};
use super::throttle::{Cost, Gate, TooLong};
use super::token::Token;
use super::{GraphClient, Inner};

/// A page of items is a few megabytes; a JSON answer beyond this is a defect.
const JSON_BYTES_MAX: usize = 128 << 20;
const ERROR_BYTES_MAX: usize = 256 << 10;
/// How often one request is held back by Microsoft before the task is snoozed instead.
const THROTTLE_ROUNDS_MAX: u32 = 60;

/// A request that has not been sent yet.
#[must_use = "a call is sent by one of its methods that end in a result"]
pub struct Call<'c> {
    client: &'c GraphClient,
    method: Method,
    url: Url,
    query: String,
    scope: Scope,
    permission: &'static str,
    what: String,
    prefer: String,
    headers: HeaderMap,
    body: Option<Bytes>,
    repeat: Repeat,
    units: u64,
}

/// How an answer's body is read.
#[derive(Clone, Copy)]
enum Want {
    Json,
    Spooled,
    /// Where it redirects to.
    Location,
    Nothing,
}

enum Got {
    Json(Value),
    Body(Body),
    Location(Url),
    Nothing,
}

impl<'c> Call<'c> {
    pub(super) fn new(client: &'c GraphClient, method: Method, endpoint: Endpoint<'_>) -> Self {
        let url = endpoint.url(&client.0.base);
        Self::to(client, method, endpoint, url)
    }

    pub(super) fn to(client: &'c GraphClient, method: Method, endpoint: Endpoint<'_>, url: Url) -> Self {
        Self {
            client,
            what: format!("{method} {endpoint}"),
            repeat: if method == Method::POST { Repeat::Creates } else { Repeat::Harmless },
            method,
            url,
            query: String::new(),
            scope: endpoint.scope(),
            permission: endpoint.permission(),
            prefer: String::new(),
            headers: HeaderMap::new(),
            body: None,
            units: endpoint.units(),
        }
    }

    /// Adds `name=value` to the URL; the value is encoded here.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        append_query(&mut self.query, name, value);
        self
    }

    /// Adds a preference, such as `IdType="ImmutableId"`.
    pub fn prefer(mut self, preference: &str) -> Self {
        if !self.prefer.is_empty() {
            self.prefer.push_str(", ");
        }
        self.prefer.push_str(preference);
        self
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub fn body(mut self, json: &Value) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(Bytes::from(json.to_string()));
        self
    }

    /// Bytes, whose kind the service is told.
    pub fn bytes(mut self, media_type: &'static str, bytes: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = Some(bytes);
        self
    }

    /// Sends, and reads the answer as JSON.
    pub async fn json(self) -> Result<Value, GraphError> {
        match self.send(Want::Json).await? {
            Got::Json(json) => Ok(json),
            Got::Body(_) | Got::Location(_) | Got::Nothing => Ok(Value::Null),
        }
    }

    /// Sends, and reads the answer as bytes, into memory up to `graph.spool_above_bytes`.
    pub async fn download(self) -> Result<Body, GraphError> {
        match self.send(Want::Spooled).await? {
            Got::Body(body) => Ok(body),
            Got::Json(_) | Got::Location(_) | Got::Nothing => Ok(Body::Memory(Bytes::new())),
        }
    }

    /// Sends, and reads where the answer redirects to. The URL is a secret; it takes no token.
    pub(super) async fn location(self) -> Result<Url, GraphError> {
        let answer = self.answer();
        match self.send(Want::Location).await? {
            Got::Location(url) => Ok(url),
            Got::Json(_) | Got::Body(_) | Got::Nothing => Err(GraphError::Protocol { answer }),
        }
    }

    /// Sends; the answer's body does not matter.
    pub async fn done(self) -> Result<(), GraphError> {
        self.send(Want::Nothing).await.map(drop)
    }

    /// This POST leaves nothing behind when it is carried out twice.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Harmless;
        self
    }

    /// Carried out twice, it would leave something else behind than once: after an unclear end it answers
    /// [`GraphError::Ambiguous`] instead of being repeated.
    pub fn once(mut self) -> Self {
        self.repeat = Repeat::Creates;
        self
    }

    /// For errors about what an answer contains.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn base(&self) -> &Url {
        &self.client.0.base
    }

    /// Sends until there is an answer, an error that sending again does not cure, or no attempt left.
    async fn send(mut self, want: Want) -> Result<Got, GraphError> {
        if !self.query.is_empty() {
            self.url.set_query(Some(&self.query));
        }
        let Inner { tokens, throttle, limits, .. } = &*self.client.0;
        let gate = throttle.gate(&self.scope);
        let cost = Cost { units: self.units, upload_bytes: self.body.as_ref().map_or(0, |body| body.len() as u64) };
        let mut token = tokens.get().await?;
        let (mut attempts, mut rounds, mut refreshed) = (0, 0, false);
        loop {
            let pass = throttle.enter(&gate, cost).await;
            let pass = pass.map_err(|too_long| self.held_back(too_long))?;
            attempts += 1;
            let outcome = self.attempt(&token, &gate, want).await;
            pass.finished();
            let failure = match outcome {
                Ok(got) => return Ok(got),
                Err(failure) => failure,
            };
            let at = Circumstances {
                repeat: self.repeat,
                reads: self.method == Method::GET,
                scope: &self.scope,
                permission: self.permission,
                token_was_refreshed: refreshed,
            };
            match judge(failure, at) {
                Step::Fail(error) => return Err(error),
                Step::Refresh { .. } => {
                    refreshed = true;
                    token = tokens.get_other(&token).await?;
                }
                Step::Throttle { wait, answer } => {
                    rounds += 1;
                    attempts -= 1;
                    // A wait of nothing would be a busy loop.
                    let wait = wait.unwrap_or_default().max(if wait.is_none() { backoff(rounds) } else { backoff(1) });
                    tracing::debug!(code = answer.code(), wait_ms = wait.as_millis(), "throttled");
                    gate.raise_fence(wait, &format!("Microsoft throttles: {}", throttle_name(&answer)));
                    if wait > limits.wait_max || rounds >= THROTTLE_ROUNDS_MAX {
                        return Err(GraphError::Throttled { retry_after: wait, answer });
                    }
                    token = tokens.get().await?;
                }
                Step::Again { answer } => {
                    if attempts >= limits.attempts_max {
                        return Err(GraphError::Transient { attempts, answer });
                    }
                    tracing::debug!(code = answer.code(), status = answer.status(), attempts, "sent again");
                    tokio::time::sleep(backoff(attempts)).await;
                    token = tokens.get().await?;
                }
            }
        }
    }

    async fn attempt(&self, token: &Arc<Token>, gate: &Gate, want: Want) -> Result<Got, Failure> {
        let inner = &*self.client.0;
        let mut request = inner
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .header(AUTHORIZATION, bearer(token).ok_or_else(|| self.local("the access token is not a header value"))?)
            .header("client-request-id", uuid::Uuid::new_v4().to_string());
        if !self.prefer.is_empty() {
            request = request.header("Prefer", &self.prefer);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| sending_failed(self.answer(), error))?;
        if let Some(left) = units_left(response.headers()) {
            gate.heed(left);
        }
        match response.status() {
            status if matches!(want, Want::Location) && status.is_redirection() => self.redirected(response),
            status if status.is_success() => self.read(response, want).await,
            _ => Err(refusal(self.answer(), response).await),
        }
    }

    fn redirected(&self, response: Response) -> Result<Got, Failure> {
        if let Some(failure) = infected(self.answer(), &response) {
            return Err(failure);
        }
        let message = "it redirects to nowhere, or to a place that is not safe";
        let unsafe_place = || Failure::Unreadable { answer: self.answer().with_message(message) };
        redirect_of(&response).map(Got::Location).ok_or_else(unsafe_place)
    }

    async fn read(&self, response: Response, want: Want) -> Result<Got, Failure> {
        let status = response.status();
        let id = request_id(&response);
        let told =
            |message: String| self.answer().with_status(status, ErrorBody::default(), id.clone()).with_message(message);
        let failed = |error: ReadError| match error {
            ReadError::CutShort(_) => Failure::Broken { answer: told(error.to_string()) },
            ReadError::TooLarge(_) => Failure::Unreadable { answer: told(error.to_string()) },
            ReadError::Spool(_) => Failure::Local { answer: told(error.to_string()) },
        };
        match want {
            // What it says does not matter, and yet the request is over only when it has been said: until then it is one
            // of those that the scope has at once.
            Want::Nothing => {
                read_bounded(response, JSON_BYTES_MAX).await.ok();
                Ok(Got::Nothing)
            }
            Want::Location => Err(Failure::Unreadable { answer: told("it does not redirect".to_owned()) }),
            Want::Spooled => {
                read_spooled(response, self.client.0.limits.spool_above_bytes).await.map(Got::Body).map_err(failed)
            }
            Want::Json if status == StatusCode::NO_CONTENT => Ok(Got::Nothing),
            Want::Json => {
                let body = read_bounded(response, JSON_BYTES_MAX).await.map_err(failed)?;
                json::parse(&body).map(Got::Json).map_err(|error| match error {
                    BadJson::CutShort => Failure::Broken { answer: told("the JSON ends too early".to_owned()) },
                    BadJson::Malformed(message) => Failure::Unreadable { answer: told(message) },
                })
            }
        }
    }

    fn answer(&self) -> Answer {
        Answer::new(self.what.clone())
    }

    fn local(&self, message: &str) -> Failure {
        Failure::Local { answer: self.answer().with_message(message) }
    }

    fn held_back(&self, TooLong { wait, reason }: TooLong) -> GraphError {
        GraphError::Throttled { retry_after: wait, answer: self.answer().with_message(reason) }
    }
}

fn bearer(token: &Token) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn throttle_name(answer: &Answer) -> String {
    match (answer.code(), answer.status()) {
        ("", Some(status)) => format!("status {status}"),
        (code, _) => code.to_owned(),
    }
}

pub(super) fn request_id(response: &Response) -> String {
    let id = response.headers().get("request-id").and_then(|value| value.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// Why no answer came.
pub(super) fn sending_failed(answer: Answer, error: reqwest::Error) -> Failure {
    let connecting = error.is_connect();
    let building = error.is_builder();
    let text = causes(&error.without_url());
    let certificate_refused = connecting && text.contains("invalid peer certificate");
    let answer = answer.with_message(text);
    if building {
        Failure::Local { answer }
    } else if connecting {
        Failure::NotSent { answer, certificate_refused }
    } else {
        Failure::Broken { answer }
    }
}

/// Reads what an unsuccessful answer says.
pub(super) async fn refusal(answer: Answer, response: Response) -> Failure {
    let status = response.status();
    let id = request_id(&response);
    let retry_after: Option<Duration> = retry_after(response.headers(), crate::clock::now().into());
    // An unreadable error body does not change what the status says.
    let body = read_bounded(response, ERROR_BYTES_MAX).await.unwrap_or_default();
    Failure::Status { status, answer: answer.with_status(status, ErrorBody::parse(&body), id), retry_after }
}
