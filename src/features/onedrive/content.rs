//! The bytes of a file, and the proof that they are the ones that the service speaks of.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;

use super::capture::{capture_error, content_error};
use super::quick_xor::QuickXor;
use crate::features::{CaptureError, Content, ContentStream};
use crate::graph::{Download, DownloadError, DriveEndpoint, Endpoint, GraphClient};

/// A file as the service describes it.
pub(super) struct FileState {
    pub graph: GraphClient,
    pub drive: String,
    pub item: String,
    pub bytes: u64,
    /// Business drives have one nearly always.
    pub hash: Option<String>,
    pub e_tag: Option<String>,
}

/// A file on its way, hashed as it comes.
struct Reading {
    state: FileState,
    download: Download,
    hash: QuickXor,
}

/// Small files are read here; a large one is read when it is stored.
pub(super) async fn read(state: FileState, url: Option<&str>) -> Result<Content, CaptureError> {
    // Nothing to ask for: an empty file often has no URL.
    if state.bytes == 0 {
        return Ok(Content::Raw(Bytes::new()));
    }
    let bytes = state.bytes;
    let download = state.graph.file(&state.drive, &state.item, bytes, url);
    let mut reading = Reading { download, state, hash: QuickXor::default() };
    if bytes > reading.state.graph.memory_bytes_max() {
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        return Ok(Content::Stream(ContentStream { bytes, pieces: pieces.boxed() }));
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = reading.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(Content::Raw(whole.freeze()))
}

impl Reading {
    /// The next bytes. `None` at the end, when all of them have been proved.
    async fn next(&mut self) -> Result<Option<Bytes>, CaptureError> {
        match self.download.next().await {
            Ok(Some(piece)) => {
                self.hash.update(&piece);
                Ok(Some(piece))
            }
            Ok(None) => match &self.state.hash {
                Some(expected) if *expected != self.hash.base64() => {
                    let found = format!("its hash is {} instead of {expected}", self.hash.base64());
                    Err(self.state.judge(found).await)
                }
                Some(_) | None => Ok(None),
            },
            Err(DownloadError::Length(found)) => Err(self.state.judge(found).await),
            Err(DownloadError::Graph(error)) => Err(content_error(error)),
        }
    }
}

impl FileState {
    /// Why the bytes are not the ones that were spoken of: the file was changed meanwhile, or something is wrong.
    async fn judge(&self, found: String) -> CaptureError {
        let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive: &self.drive, item: &self.item });
        let now = match self.graph.get(endpoint).query("$select", "id,eTag").json().await {
            Ok(now) => now,
            Err(error) => return capture_error(error),
        };
        let message = format!("reading {endpoint}: {found}");
        if now["eTag"].as_str() == self.e_tag.as_deref() {
            CaptureError::Item { reason: "content_differs", message }
        } else {
            CaptureError::Changed { message }
        }
    }
}
