//! The bytes of a file: from a URL that is its own credential and lives for an hour at most, in ranges, picked up where
//! they broke off. Holds one piece at a time, whatever the file's length.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{ACCEPT, CONTENT_RANGE, LOCATION, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::body::{ReadError, chunks};
use super::call::{refusal, request_id, sending_failed};
use super::config::is_loopback;
use super::drive::DriveEndpoint;
use super::endpoint::{Endpoint, Scope};
use super::error::{Answer, ErrorBody, GraphError, MALWARE_CODES};
use super::outcome::{Circumstances, Failure, Step, judge};
use super::retry::{Repeat, backoff, units_left};
use super::throttle::{Cost, Pass};
use super::{GraphClient, Inner};

/// What one request asks for: few enough requests for a large file, and none of them outlives its URL.
const RANGE_BYTES: u64 = 32 << 20;
/// What is handed on at once.
const PIECE_BYTES: usize = 4 << 20;
/// URLs that are asked for without a byte arriving in between.
const URLS_MAX: u32 = 3;
/// How often the download host holds back one file without a byte in between before the task is snoozed instead.
const THROTTLE_ROUNDS_MAX: u32 = 60;

/// A file that is being read, from its beginning to its end.
pub struct Download {
    client: GraphClient,
    drive: String,
    item: String,
    /// Of an older state of the file; `None`: the present one.
    version: Option<String>,
    url: Option<Url>,
    /// The file's length, as was said.
    bytes: u64,
    /// How much has been handed on.
    at: u64,
    transfer: Option<Transfer>,
    trouble: Trouble,
}

/// One answer that is being read.
struct Transfer {
    chunks: BoxStream<'static, Result<Bytes, ReadError>>,
    /// What comes first and is known already, because the server sends more than was asked for.
    skip: u64,
    /// Where in the file it ends.
    until: u64,
    pass: Pass,
}

/// What went wrong since the last byte.
#[derive(Default)]
struct Trouble {
    failures: u32,
    urls: u32,
    throttled: u32,
}

/// Why a file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// It is not as long as was said.
    #[error("{0}")]
    Length(String),
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl GraphClient {
    /// Reads a file of `bytes` bytes, from `url` where one is known that is still valid. Sends nothing yet.
    pub fn file(&self, drive: &str, item: &str, bytes: u64, url: Option<&str>) -> Download {
        Download {
            client: self.clone(),
            drive: drive.to_owned(),
            item: item.to_owned(),
            version: None,
            url: url.and_then(|url| Url::parse(url).ok()).filter(is_safe),
            bytes,
            at: 0,
            transfer: None,
            trouble: Trouble::default(),
        }
    }

    /// Reads an older state of a file.
    pub fn file_version(&self, drive: &str, item: &str, version: &str, bytes: u64) -> Download {
        Download { version: Some(version.to_owned()), ..self.file(drive, item, bytes, None) }
    }
}

/// The URL is a secret.
impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("item", &self.item).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Download {
    /// Goes on from here, because what comes before is known.
    pub fn begin_at(&mut self, at: u64) {
        self.close();
        self.at = at;
    }

    /// The next bytes, a few megabytes at most; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        let mut piece = BytesMut::new();
        while piece.len() < PIECE_BYTES && self.at < self.bytes {
            let Some(transfer) = &mut self.transfer else {
                self.open().await?;
                continue;
            };
            match transfer.chunks.next().await {
                Some(Ok(chunk)) => self.take(chunk, &mut piece)?,
                Some(Err(error)) => {
                    self.close();
                    self.pause(self.answer().with_message(error.to_string())).await?;
                }
                None => {
                    let ended_early = transfer.until > self.at;
                    self.close();
                    if ended_early {
                        self.pause(self.answer().with_message("the body was cut short")).await?;
                    }
                }
            }
        }
        if self.at == self.bytes {
            self.close();
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }

    fn take(&mut self, mut chunk: Bytes, piece: &mut BytesMut) -> Result<(), DownloadError> {
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        let skipped = transfer.skip.min(chunk.len() as u64);
        transfer.skip -= skipped;
        chunk.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
        if chunk.len() as u64 > transfer.until - self.at {
            return Err(self.length("more"));
        }
        if !chunk.is_empty() {
            self.at += chunk.len() as u64;
            self.trouble = Trouble::default();
            piece.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Gives the slot back.
    fn close(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            transfer.pass.finished();
        }
    }

    /// Begins the next range. Without one afterwards, and without an error: try again.
    async fn open(&mut self) -> Result<(), DownloadError> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => {
                let (drive, item) = (self.drive.as_str(), self.item.as_str());
                let content = match &self.version {
                    None => DriveEndpoint::Content { drive, item },
                    Some(version) => DriveEndpoint::VersionContent { drive, item, version },
                };
                let url = self.client.get(Endpoint::Drive(content)).location().await?;
                self.url.insert(url).clone()
            }
        };
        let client = self.client.clone();
        let Inner { http, throttle, limits, .. } = &*client.0;
        let gate = throttle.gate(&Scope::Drives);
        let pass = throttle.enter(&gate, Cost { units: 1, upload_bytes: 0 }).await.map_err(|too_long| {
            let answer = self.answer().with_message(too_long.reason);
            GraphError::Throttled { retry_after: too_long.wait, answer }
        })?;
        let until = self.bytes.min(self.at + RANGE_BYTES);
        // Without an Accept header SharePoint answers ranges with 416.
        let request = http.get(url).header(RANGE, format!("bytes={}-{}", self.at, until - 1)).header(ACCEPT, "*/*");
        let failure = match request.send().await {
            Err(error) => sending_failed(self.answer(), error),
            Ok(response) => {
                if let Some(left) = units_left(response.headers()) {
                    gate.heed(left);
                }
                match self.begin(response, until, pass).await? {
                    None => return Ok(()),
                    Some(failure) => failure,
                }
            }
        };
        let at = Circumstances {
            repeat: Repeat::Harmless,
            reads: true,
            scope: &Scope::Drives,
            permission: "Files",
            token_was_refreshed: false,
        };
        match judge(failure, at) {
            Step::Again { answer } => self.pause(answer).await,
            Step::Throttle { wait, answer } => {
                self.trouble.throttled += 1;
                let pause = backoff(self.trouble.throttled);
                let wait = wait.map_or(pause, |wait| wait.max(backoff(1)));
                gate.raise_fence(wait, "Microsoft throttles downloads");
                if wait > limits.wait_max || self.trouble.throttled >= THROTTLE_ROUNDS_MAX {
                    return Err(GraphError::Throttled { retry_after: wait, answer }.into());
                }
                Ok(())
            }
            Step::Refresh { answer }
            | Step::Fail(
                GraphError::Login { answer, .. }
                | GraphError::Forbidden { answer, .. }
                | GraphError::NotFound { answer }
                | GraphError::Resync { answer },
            ) => self.ask_anew(answer),
            Step::Fail(error) => Err(error.into()),
        }
    }

    /// Looks at the head of an answer. `None`: its body can be read, or it led to another place.
    async fn begin(&mut self, response: Response, until: u64, pass: Pass) -> Result<Option<Failure>, DownloadError> {
        if let Some(failure) = infected(self.answer(), &response) {
            return Ok(Some(failure));
        }
        let (skip, until) = match response.status() {
            StatusCode::PARTIAL_CONTENT => match range_of(&response) {
                Some((_, Some(total))) if total != self.bytes => return Err(self.length(&total.to_string())),
                Some((from, _)) if from == self.at => (0, until),
                Some(_) | None => {
                    let answer = self.answer().with_message("the answer is not the range that was asked for");
                    return Ok(Some(Failure::Broken { answer }));
                }
            },
            // The server does not know ranges: what is known already comes again. If it announces less than there is, the
            // body is cut short like any other.
            StatusCode::OK => match response.content_length() {
                Some(total) if total > self.bytes => return Err(self.length(&total.to_string())),
                Some(_) | None => (self.at, self.bytes),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.length("fewer")),
            status if status.is_redirection() => {
                pass.finished();
                self.url = redirect_of(&response);
                self.ask(self.answer().with_message("the download is sent from place to place"))?;
                return Ok(None);
            }
            _ => {
                let failure = refusal(self.answer(), response).await;
                pass.finished();
                return Ok(Some(failure));
            }
        };
        self.transfer = Some(Transfer { chunks: chunks(response).boxed(), skip, until, pass });
        Ok(None)
    }

    /// The URL is worth nothing any more.
    fn ask_anew(&mut self, answer: Answer) -> Result<(), DownloadError> {
        self.url = None;
        self.ask(answer)
    }

    fn ask(&mut self, answer: Answer) -> Result<(), DownloadError> {
        self.trouble.urls += 1;
        if self.trouble.urls > URLS_MAX { Err(GraphError::Refused { answer }.into()) } else { Ok(()) }
    }

    async fn pause(&mut self, answer: Answer) -> Result<(), DownloadError> {
        self.trouble.failures += 1;
        let attempts = self.trouble.failures;
        if attempts >= self.client.0.limits.attempts_max {
            return Err(GraphError::Transient { attempts, answer }.into());
        }
        tracing::debug!(attempts, at = self.at, "a download goes on where it broke off");
        tokio::time::sleep(backoff(attempts)).await;
        Ok(())
    }

    fn length(&self, instead: &str) -> DownloadError {
        DownloadError::Length(format!("the file has {instead} bytes instead of {}", self.bytes))
    }

    fn answer(&self) -> Answer {
        Answer::new(format!("downloading item {} of drive {}", self.item, self.drive))
    }
}

/// Whether the service says that malware was found, whatever the status.
pub(super) fn infected(answer: Answer, response: &Response) -> Option<Failure> {
    let header = response.headers().get("x-virus-infected")?;
    if !header.as_bytes().eq_ignore_ascii_case(b"true") {
        return None;
    }
    let error = ErrorBody { code: MALWARE_CODES[0].to_owned(), ..ErrorBody::default() };
    let answer = answer.with_status(response.status(), error, request_id(response));
    Some(Failure::Status { status: response.status(), answer, retry_after: None })
}

/// Where an answer redirects to, if it is a place to which a secret may go.
pub(super) fn redirect_of(response: &Response) -> Option<Url> {
    let place = response.headers().get(LOCATION)?.to_str().ok()?;
    response.url().join(place).ok().filter(is_safe)
}

fn is_safe(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// Where the range of an answer begins, and how long the file is.
fn range_of(response: &Response) -> Option<(u64, Option<u64>)> {
    parse_range(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
}

fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_goes_to_https_or_to_this_machine() {
        let safe = |url: &str| is_safe(&Url::parse(url).unwrap());

        assert!(safe("https://contoso-my.sharepoint.com/x?tempauth=a") && safe("http://127.0.0.1:1/x"));
        for bad in ["http://contoso-my.sharepoint.com/x", "https://u:p@host/x", "ftp://127.0.0.1/x", "file:///etc/x"] {
            assert!(!safe(bad), "{bad}");
        }
    }

    #[test]
    fn a_range_says_where_it_begins_and_how_long_the_file_is() {
        assert_eq!(parse_range("bytes 5-9/20"), Some((5, Some(20))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["5-9/20", "bytes */20", "bytes 5-9", ""] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
