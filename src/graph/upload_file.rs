//! Files into a drive, whatever their length: an upload session that is filled fragment by fragment, goes on where it
//! broke off, and leaves nothing visible before it is complete. Holds one fragment at a time.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::GraphClient;
use super::drive_target::DriveTarget;
use super::endpoint::Endpoint;
use super::error::GraphError;
use super::upload_session::{Part, SESSIONS_MAX, Session};

/// Microsoft takes less than 60 MiB at a time, in multiples of 320 KiB, and recommends 5 to 10 MiB.
pub const FRAGMENT_BYTES: usize = 16 * 327_680;

impl GraphClient {
    /// Uploads `bytes` bytes, at least one, that `read` hands out in ranges. `item` says what the file is to be: its
    /// name, its dates, and what is done when the name is taken. The answer is what Microsoft says of the new file,
    /// before it rewrites it; `None`: it is there, and its answer could not be read.
    ///
    /// [`GraphError::Ambiguous`]: the last fragment may have arrived; look for the file. [`GraphError::Conflict`]: the
    /// name is taken.
    pub async fn upload_file<'r, E: From<GraphError>>(
        &self,
        to: DriveTarget<'_>,
        item: &Value,
        bytes: u64,
        read: impl Fn(u64, usize) -> BoxFuture<'r, Result<Bytes, E>>,
    ) -> Result<Option<Value>, E> {
        let endpoint = Endpoint::DriveTarget(to);
        let body = json!({ "item": item });
        let mut sessions = 0;
        loop {
            sessions += 1;
            let answer = self.post(endpoint).body(&body).repeatable().json().await?;
            let mut session = Session::open(self, endpoint, &answer, bytes)?;
            match fill(&mut session, bytes, &read).await {
                Ok(Filled::Complete(item)) => return Ok(item),
                Ok(Filled::Lost(error)) if sessions >= SESSIONS_MAX => return Err(error.into()),
                Ok(Filled::Lost(_)) => {}
                Err(error) => {
                    session.cancel().await;
                    return Err(error);
                }
            }
        }
    }
}

/// How one session ended.
enum Filled {
    Complete(Option<Value>),
    /// The server does not know it any more.
    Lost(GraphError),
}

async fn fill<'r, E: From<GraphError>>(
    session: &mut Session<'_>,
    bytes: u64,
    read: &impl Fn(u64, usize) -> BoxFuture<'r, Result<Bytes, E>>,
) -> Result<Filled, E> {
    let mut start = 0;
    let mut fragment: Option<(u64, Bytes)> = None;
    for _ in 0..session.sendings_max(FRAGMENT_BYTES) {
        let content = match fragment.take() {
            Some((at, content)) if at == start => content,
            _ => read(start, usize::try_from(bytes - start).unwrap_or(usize::MAX).min(FRAGMENT_BYTES)).await?,
        };
        let error = match session.send(start, content.clone()).await? {
            Part::Next(expected) => {
                start = expected;
                continue;
            }
            Part::Complete(item) => return Ok(Filled::Complete(item)),
            Part::Lost(error) => return Ok(Filled::Lost(error)),
            Part::Again => session.protocol("the session ended while a fragment was on its way"),
            Part::Astray(error) => error,
        };
        fragment = Some((start, content));
        match session.expects().await? {
            Some(expected) if expected < bytes => start = expected,
            // Gone because it is complete, or because it expired.
            Some(_) | None if session.is_unclear() => {
                return Err(GraphError::Ambiguous { answer: error.answer().clone() }.into());
            }
            Some(_) | None => return Ok(Filled::Lost(error)),
        }
    }
    Ok(Filled::Lost(session.protocol("the upload does not come to its end")))
}
