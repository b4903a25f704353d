//! Attachments too large for one request: an upload session, filled in order, without the access token.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use serde_json::{Value, json};
use url::Url;

use super::GraphClient;
use super::body::read_bounded;
use super::call::{refusal, request_id, sending_failed};
use super::config::is_loopback;
use super::endpoint::{Endpoint, IMMUTABLE_IDS};
use super::error::{Answer, ErrorBody, GraphError};
use super::outcome::{Circumstances, Failure, Step, judge};
use super::retry::{Repeat, backoff};
use super::throttle::Cost;

/// Microsoft takes less than 4 MB at a time, in multiples of 320 KiB.
const CHUNK_BYTES: usize = 12 * 327_680;
/// An expired or confused session is begun anew this often.
const SESSIONS_MAX: u32 = 3;
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// A file to be attached to a message or an event.
#[derive(Clone, Debug)]
pub struct FileUpload<'a> {
    pub name: &'a str,
    pub content_type: &'a str,
    pub inline: bool,
    pub content_id: Option<&'a str>,
    pub content: Bytes,
}

/// How one session ended.
enum Ended {
    Complete,
    /// The server does not know the session, or waits for another range: a new one must be begun.
    Lost(GraphError),
}

/// What became of one range.
enum Part {
    Next(usize),
    Again,
    Complete,
    Lost(GraphError),
}

struct Session<'c> {
    client: &'c GraphClient,
    endpoint: Endpoint<'c>,
    url: Url,
    content: &'c Bytes,
    attempts: u32,
    /// The last range was sent and its answer lost: the attachment may exist.
    unclear: bool,
}

impl GraphClient {
    /// Attaches a file by an upload session of a message or an event, named by its immutable id.
    /// [`GraphError::Ambiguous`]: the last part may have arrived; count the attachments before it is tried again.
    pub async fn upload_attachment(&self, endpoint: Endpoint<'_>, file: &FileUpload<'_>) -> Result<(), GraphError> {
        let mut item = json!({
            "attachmentType": "file",
            "name": file.name,
            "contentType": file.content_type,
            "size": file.content.len(),
            "isInline": file.inline,
        });
        if let Some(content_id) = file.content_id {
            item["contentId"] = json!(content_id);
        }
        let body = json!({ "AttachmentItem": item });
        let mut sessions = 0;
        loop {
            sessions += 1;
            let session = self.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).repeatable().json().await?;
            let url = session["uploadUrl"].as_str().and_then(|url| safe_upload_url(&self.0.base, url));
            let Some(url) = url else { return Err(protocol(endpoint, "the session has no safe upload URL")) };
            let mut session =
                Session { client: self, endpoint, url, content: &file.content, attempts: 0, unclear: false };
            match session.run().await? {
                Ended::Complete => return Ok(()),
                Ended::Lost(error) if sessions >= SESSIONS_MAX => return Err(error),
                Ended::Lost(_) => {}
            }
        }
    }
}

impl Session<'_> {
    /// Sends the content in order. The server says what it expects next; what it has is not sent again.
    async fn run(&mut self) -> Result<Ended, GraphError> {
        let ranges = self.content.len().div_ceil(CHUNK_BYTES).max(1);
        let mut start = 0;
        for _ in 0..ranges * (1 + self.client.0.limits.attempts_max as usize) {
            match self.send_range(start).await? {
                Part::Next(expected) => start = expected,
                Part::Again => {}
                Part::Complete => return Ok(Ended::Complete),
                Part::Lost(error) => return Ok(Ended::Lost(error)),
            }
        }
        Ok(Ended::Lost(protocol(self.endpoint, "the upload does not come to its end")))
    }

    async fn send_range(&mut self, start: usize) -> Result<Part, GraphError> {
        let total = self.content.len();
        let end = total.min(start + CHUNK_BYTES);
        let throttle = &self.client.0.throttle;
        let gate = throttle.gate(&self.endpoint.scope());
        let cost = Cost { units: 1, upload_bytes: (end - start) as u64 };
        let pass = throttle.enter(&gate, cost).await.map_err(|too_long| GraphError::Throttled {
            retry_after: too_long.wait,
            answer: self.answer().with_message(too_long.reason),
        })?;
        let outcome = self.put(start, end).await;
        pass.finished();
        let failure = match outcome {
            Ok(Some(expected)) if expected > start && expected < total => {
                self.attempts = 0;
                return Ok(Part::Next(expected));
            }
            Ok(_) if end == total => return Ok(Part::Complete),
            Ok(_) => return Ok(Part::Lost(protocol(self.endpoint, "the server does not say which range is next"))),
            Err(failure) => failure,
        };
        let limits = &self.client.0.limits;
        let scope = self.endpoint.scope();
        // The URL itself is the credential: there is no token to refresh.
        let (repeat, permission) = (Repeat::Harmless, self.endpoint.permission());
        let at = Circumstances { repeat, reads: false, scope: &scope, permission, token_was_refreshed: true };
        self.attempts += 1;
        match judge(failure, at) {
            Step::Throttle { wait, answer } => {
                let wait = wait.unwrap_or_else(|| backoff(self.attempts)).max(backoff(1));
                gate.raise_fence(wait, "Microsoft throttles the upload of attachments");
                if wait > limits.wait_max || self.attempts >= limits.attempts_max {
                    return Err(GraphError::Throttled { retry_after: wait, answer });
                }
                Ok(Part::Again)
            }
            Step::Again { answer } => {
                self.unclear |= end == total;
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
            // A session that is gone after an unclear end may be gone because it is complete.
            Step::Fail(error) if self.unclear => Err(GraphError::Ambiguous { answer: error.answer().clone() }),
            Step::Fail(error @ (GraphError::Quota { .. } | GraphError::TooLarge { .. } | GraphError::Login { .. })) => {
                Err(error)
            }
            Step::Fail(error) => Ok(Part::Lost(error)),
        }
    }

    /// One range. Says what the server expects next; `None`: nothing more.
    async fn put(&self, start: usize, end: usize) -> Result<Option<usize>, Failure> {
        let request = self
            .client
            .0
            .http
            .put(self.url.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, end - start)
            .header(CONTENT_RANGE, format!("bytes {start}-{}/{}", end - 1, self.content.len()))
            .body(self.content.slice(start..end));
        let response = request.send().await.map_err(|error| sending_failed(self.answer(), error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(self.answer(), response).await);
        }
        if status == StatusCode::CREATED {
            return Ok(None);
        }
        let id = request_id(&response);
        let body = read_bounded(response, ANSWER_BYTES_MAX).await.map_err(|error| {
            let answer = self.answer().with_status(status, ErrorBody::default(), id).with_message(error.to_string());
            Failure::Broken { answer }
        })?;
        Ok(next_expected(&serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn answer(&self) -> Answer {
        Answer::new(format!("PUT {}", self.endpoint))
    }
}

fn protocol(endpoint: Endpoint<'_>, message: &str) -> GraphError {
    GraphError::Protocol { answer: Answer::new(format!("PUT {endpoint}")).with_message(message) }
}

/// Outlook writes the list in capitals and with bare numbers; drives write ranges.
fn next_expected(answer: &Value) -> Option<usize> {
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
