//! One upload session: ranges in their order to a URL that is its own credential. Holds nothing of the content.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use serde_json::Value;
use url::Url;

use super::GraphClient;
use super::body::read_bounded;
use super::call::{refusal, request_id, sending_failed};
use super::config::is_loopback;
use super::endpoint::{Endpoint, Scope};
use super::error::{Answer, ErrorBody, GraphError};
use super::outcome::{Circumstances, Failure, Step, judge};
use super::retry::{Repeat, backoff, units_left};
use super::throttle::{Cost, Pass};

/// An expired or confused session is begun anew this often.
pub(super) const SESSIONS_MAX: u32 = 3;
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// What became of one range.
pub(super) enum Part {
    /// It arrived; this is where the next one begins.
    Next(u64),
    /// It is not known to have arrived.
    Again,
    /// The server waits for another range: it can be asked for which.
    Astray(GraphError),
    /// The last one arrived; what the server says of the whole, if its answer could be read.
    Complete(Option<Value>),
    /// The server does not know the session: a new one must be begun.
    Lost(GraphError),
}

pub(super) struct Session<'c> {
    client: &'c GraphClient,
    endpoint: Endpoint<'c>,
    url: Url,
    total: u64,
    attempts: u32,
    /// The last range was sent and its answer lost: the whole may exist.
    unclear: bool,
}

impl<'c> Session<'c> {
    /// The session of which `answer` tells, for `total` bytes.
    pub(super) fn open(
        client: &'c GraphClient,
        endpoint: Endpoint<'c>,
        answer: &Value,
        total: u64,
    ) -> Result<Self, GraphError> {
        let url = answer["uploadUrl"].as_str().and_then(|url| safe_upload_url(&client.0.base, url));
        let unsafe_url = || protocol(endpoint, "the session has no safe upload URL");
        Ok(Self { client, endpoint, url: url.ok_or_else(unsafe_url)?, total, attempts: 0, unclear: false })
    }

    /// More ranges than this are not sent: each as often as a request is attempted.
    pub(super) fn sendings_max(&self, range_bytes: usize) -> u64 {
        self.total.div_ceil(range_bytes as u64).max(1) * (1 + u64::from(self.client.0.limits.attempts_max))
    }

    pub(super) fn is_unclear(&self) -> bool {
        self.unclear
    }

    /// Sends the bytes from `start` on.
    pub(super) async fn send(&mut self, start: u64, bytes: Bytes) -> Result<Part, GraphError> {
        let end = start + bytes.len() as u64;
        let pass = self.enter(bytes.len() as u64).await?;
        let outcome = self.put(start, bytes).await;
        pass.finished();
        let failure = match outcome {
            Ok(answer) => match answer.as_ref().and_then(next_expected) {
                Some(expected) if expected > start && expected < self.total => {
                    self.attempts = 0;
                    return Ok(Part::Next(expected));
                }
                _ if end == self.total => return Ok(Part::Complete(answer)),
                _ => return Ok(Part::Lost(self.protocol("the server does not say which range is next"))),
            },
            Err(failure) => failure,
        };
        self.after(failure, end == self.total).await
    }

    /// What to do after a range that was not taken.
    async fn after(&mut self, failure: Failure, is_last: bool) -> Result<Part, GraphError> {
        let limits = &self.client.0.limits;
        let scope = self.endpoint.scope();
        self.attempts += 1;
        match self.judged(failure, &scope) {
            Step::Throttle { wait, answer } => {
                let wait = wait.unwrap_or_else(|| backoff(self.attempts)).max(backoff(1));
                self.client.0.throttle.gate(&scope).raise_fence(wait, "Microsoft throttles uploads");
                if wait > limits.wait_max || self.attempts >= limits.attempts_max {
                    return Err(GraphError::Throttled { retry_after: wait, answer });
                }
                Ok(Part::Again)
            }
            Step::Again { answer } => {
                self.unclear |= is_last;
                if self.attempts < limits.attempts_max {
                    tokio::time::sleep(backoff(self.attempts)).await;
                    return Ok(Part::Again);
                }
                Err(if self.unclear {
                    GraphError::Ambiguous { answer }
                } else {
                    GraphError::Transient { attempts: self.attempts, answer }
                })
            }
            Step::Refresh { answer } => Ok(Part::Lost(GraphError::Protocol { answer })),
            Step::Fail(error) => self.failed(error),
        }
    }

    fn failed(&self, error: GraphError) -> Result<Part, GraphError> {
        let astray = error.answer().status() == Some(416) && self.attempts < self.client.0.limits.attempts_max;
        match error {
            error if astray => Ok(Part::Astray(error)),
            // A session that is gone after an unclear end may be gone because it is complete.
            error if self.unclear => Err(GraphError::Ambiguous { answer: error.answer().clone() }),
            error @ (GraphError::Quota { .. } | GraphError::TooLarge { .. } | GraphError::Login { .. }) => Err(error),
            // Of a file: somebody took its name, or holds a lock on it.
            error @ (GraphError::Conflict { .. } | GraphError::Locked { .. }) if self.scope() == Scope::Drives => {
                Err(error)
            }
            error => Ok(Part::Lost(error)),
        }
    }

    /// Which range the server waits for. `None`: it does not know the session any more.
    pub(super) async fn expects(&mut self) -> Result<Option<u64>, GraphError> {
        let attempts_max = self.client.0.limits.attempts_max;
        let scope = self.endpoint.scope();
        let mut attempts = 0;
        loop {
            let pass = self.enter(0).await?;
            let outcome = self.ask().await;
            pass.finished();
            let failure = match outcome {
                Ok(answer) => return Ok(answer.as_ref().and_then(next_expected)),
                Err(failure) => failure,
            };
            attempts += 1;
            match self.judged(failure, &scope) {
                Step::Throttle { wait, answer } => {
                    let wait = wait.unwrap_or_else(|| backoff(attempts)).max(backoff(1));
                    self.client.0.throttle.gate(&scope).raise_fence(wait, "Microsoft throttles uploads");
                    if wait > self.client.0.limits.wait_max || attempts >= attempts_max {
                        return Err(GraphError::Throttled { retry_after: wait, answer });
                    }
                }
                Step::Again { answer } if attempts >= attempts_max => {
                    return Err(GraphError::Transient { attempts, answer });
                }
                Step::Again { .. } => tokio::time::sleep(backoff(attempts)).await,
                Step::Refresh { .. } | Step::Fail(GraphError::NotFound { .. }) => return Ok(None),
                Step::Fail(error) => return Err(error),
            }
        }
    }

    /// Gives the session up, so that what arrived takes no room. It expires by itself otherwise.
    pub(super) async fn cancel(&self) {
        let Ok(pass) = self.enter(0).await else { return };
        let outcome = self.client.0.http.delete(self.url.clone()).send().await;
        pass.finished();
        if let Err(error) = outcome {
            tracing::debug!(error = %error.without_url(), "an upload session is left to expire");
        }
    }

    fn judged(&self, failure: Failure, scope: &Scope) -> Step {
        // The URL itself is the credential: there is no token to refresh.
        let (repeat, permission) = (Repeat::Harmless, self.endpoint.permission());
        judge(failure, Circumstances { repeat, reads: false, scope, permission, token_was_refreshed: true })
    }

    async fn enter(&self, upload_bytes: u64) -> Result<Pass, GraphError> {
        let throttle = &self.client.0.throttle;
        let cost = Cost { units: self.endpoint.units(), upload_bytes };
        throttle.enter(&throttle.gate(&self.scope()), cost).await.map_err(|too_long| GraphError::Throttled {
            retry_after: too_long.wait,
            answer: self.answer().with_message(too_long.reason),
        })
    }

    /// One range. What the server says of it, if that could be read.
    async fn put(&self, start: u64, bytes: Bytes) -> Result<Option<Value>, Failure> {
        let end = start + bytes.len() as u64;
        let request = self
            .client
            .0
            .http
            .put(self.url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, bytes.len())
            .header(CONTENT_RANGE, format!("bytes {start}-{}/{}", end - 1, self.total))
            .body(bytes);
        let response = request.send().await.map_err(|error| sending_failed(self.answer(), error))?;
        match self.read(response).await {
            // It was taken, and there is nothing more to know of it than what was sent.
            Err(Failure::Broken { .. }) if end == self.total => Ok(None),
            read => read,
        }
    }

    async fn ask(&self) -> Result<Option<Value>, Failure> {
        let response = self.client.0.http.get(self.url.clone()).send().await;
        self.read(response.map_err(|error| sending_failed(self.answer(), error))?).await
    }

    async fn read(&self, response: Response) -> Result<Option<Value>, Failure> {
        if let Some(left) = units_left(response.headers()) {
            self.client.0.throttle.gate(&self.scope()).heed(left);
        }
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(self.answer(), response).await);
        }
        let id = request_id(&response);
        let body = read_bounded(response, ANSWER_BYTES_MAX).await.map_err(|error| {
            let answer = self.answer().with_status(status, ErrorBody::default(), id).with_message(error.to_string());
            Failure::Broken { answer }
        })?;
        Ok(serde_json::from_slice(&body).ok())
    }

    fn scope(&self) -> Scope {
        self.endpoint.scope()
    }

    fn answer(&self) -> Answer {
        Answer::new(format!("PUT {}", self.endpoint))
    }

    pub(super) fn protocol(&self, message: &str) -> GraphError {
        protocol(self.endpoint, message)
    }
}

fn protocol(endpoint: Endpoint<'_>, message: &str) -> GraphError {
    GraphError::Protocol { answer: Answer::new(format!("PUT {endpoint}")).with_message(message) }
}

/// Outlook writes the list in capitals and with bare numbers; drives write ranges.
fn next_expected(answer: &Value) -> Option<u64> {
    let ranges = answer.get("NextExpectedRanges").or_else(|| answer.get("nextExpectedRanges"))?;
    let first = ranges.get(0)?.as_str()?;
    first.split('-').next()?.trim().parse().ok()
}

/// The upload host is another one, which is why no token goes there; it must be https, unless all is on this machine.
fn safe_upload_url(base: &Url, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let local = url.scheme() == "http" && is_loopback(base) && is_loopback(&url);
    (url.scheme() == "https" || local).then_some(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_range_is_read_in_both_spellings() {
        assert_eq!(next_expected(&json!({ "NextExpectedRanges": ["2097152"] })), Some(2_097_152));
        assert_eq!(next_expected(&json!({ "nextExpectedRanges": ["12345-55232", "77829-"] })), Some(12_345));
        assert_eq!(next_expected(&json!({ "NextExpectedRanges": [] })), None);
        assert_eq!(next_expected(&Value::Null), None);
    }

    #[test]
    fn an_upload_goes_over_plain_http_only_on_this_machine() {
        let graph = Url::parse("https://graph.microsoft.com/v1.0").unwrap();
        let local = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();

        assert!(safe_upload_url(&graph, "https://outlook.office.com/api/v2.0/x?authtoken=t").is_some());
        assert!(safe_upload_url(&graph, "http://127.0.0.1:1/x").is_none());
        assert!(safe_upload_url(&local, "http://127.0.0.1:8081/x?authtoken=t").is_some());
        assert!(safe_upload_url(&local, "http://outlook.office.com/x").is_none());
    }
}
