//! Attachments too large for one request: an upload session, filled in order, without the access token.

use bytes::Bytes;
use serde_json::json;

use super::GraphClient;
use super::endpoint::{Endpoint, IMMUTABLE_IDS};
use super::error::GraphError;
use super::upload_session::{Part, SESSIONS_MAX, Session};

/// Microsoft takes less than 4 MB at a time, in multiples of 320 KiB.
const CHUNK_BYTES: usize = 12 * 327_680;

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
            let answer = self.post(endpoint).prefer(IMMUTABLE_IDS).body(&body).repeatable().json().await?;
            let mut session = Session::open(self, endpoint, &answer, file.content.len() as u64)?;
            match fill(&mut session, &file.content).await? {
                Ended::Complete => return Ok(()),
                Ended::Lost(error) if sessions >= SESSIONS_MAX => return Err(error),
                Ended::Lost(_) => {}
            }
        }
    }
}

/// Sends the content in order. The server says what it expects next; what it has is not sent again.
async fn fill(session: &mut Session<'_>, content: &Bytes) -> Result<Ended, GraphError> {
    let mut start = 0;
    for _ in 0..session.sendings_max(CHUNK_BYTES) {
        let end = content.len().min(start + CHUNK_BYTES);
        match session.send(start as u64, content.slice(start..end)).await? {
            Part::Next(expected) => start = content.len().min(usize::try_from(expected).unwrap_or(usize::MAX)),
            Part::Again | Part::Astray(_) => {}
            Part::Complete(_) => return Ok(Ended::Complete),
            Part::Lost(error) => return Ok(Ended::Lost(error)),
        }
    }
    Ok(Ended::Lost(session.protocol("the upload does not come to its end")))
}
