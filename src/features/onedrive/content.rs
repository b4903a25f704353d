//! The bytes of a file, and the proof that they are the ones that the service speaks of.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::capture::{capture_error, content_error};
use super::quick_xor::QuickXor;
use crate::features::{CaptureError, Content, ContentStream, KnownPieces, change_tag};
use crate::graph::{Download, DownloadError, DriveEndpoint, Endpoint, GraphClient};

/// A file as the service describes it.
#[derive(Clone)]
pub(super) struct FileState {
    pub graph: GraphClient,
    pub drive: String,
    pub item: String,
    /// Of an older version; `None`: the file as it is.
    pub version: Option<String>,
    pub bytes: u64,
    /// Business drives have one nearly always.
    pub hash: Option<String>,
    pub e_tag: Option<String>,
}

/// A file on its way, hashed as it comes.
struct Reading {
    state: FileState,
    /// Its beginning, where that is known.
    known: Option<KnownPieces>,
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
    if bytes > state.graph.memory_bytes_max() {
        let (tag, anew) = (state.tag(), state.clone());
        let behind = move |known| Reading { known: Some(known), ..Reading::of(anew, None) }.pieces();
        return Ok(Content::Stream(ContentStream::new(bytes, Reading::of(state, url).pieces(), tag, behind)));
    }
    let mut reading = Reading::of(state, url);
    let mut whole = BytesMut::new();
    while let Some(piece) = reading.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(Content::Raw(whole.freeze()))
}

impl Reading {
    fn of(state: FileState, url: Option<&str>) -> Self {
        let download = match &state.version {
            None => state.graph.file(&state.drive, &state.item, state.bytes, url),
            Some(version) => state.graph.file_version(&state.drive, &state.item, version, state.bytes),
        };
        Self { download, state, known: None, hash: QuickXor::default() }
    }

    fn pieces(self) -> BoxStream<'static, Result<Bytes, CaptureError>> {
        let next = |mut reading: Self| async move { Ok(reading.next().await?.map(|piece| (piece, reading))) };
        stream::try_unfold(self, next).boxed()
    }

    /// The next bytes of the beginning, while it is known.
    async fn next_known(&mut self) -> Option<Bytes> {
        match self.known.as_mut()?.next().await {
            Some(Ok(piece)) => return Some(piece),
            Some(Err(why)) => tracing::info!(why, "the beginning of a file is read again from the service"),
            None => {}
        }
        self.known = None;
        self.download.begin_at(self.hash.bytes());
        None
    }

    /// The next bytes. `None` at the end, when all of them have been proved.
    async fn next(&mut self) -> Result<Option<Bytes>, CaptureError> {
        if let Some(piece) = self.next_known().await {
            self.hash.update(&piece);
            return Ok(Some(piece));
        }
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
    /// Equal tags, equal content.
    fn tag(&self) -> u64 {
        // A version never changes; a file that has no hash may have changed whenever its eTag did.
        let state = self.version.as_ref().or(self.hash.as_ref()).or(self.e_tag.as_ref());
        change_tag(&format!("{} {}", self.bytes, state.map(String::as_str).unwrap_or_default()))
    }

    /// Why the bytes are not the ones that were spoken of: the file was changed meanwhile, or something is wrong.
    async fn judge(&self, found: String) -> CaptureError {
        let endpoint = Endpoint::Drive(DriveEndpoint::Item { drive: &self.drive, item: &self.item });
        // What was is not written to any more.
        if let Some(version) = &self.version {
            let message = format!("reading version {version} of {endpoint}: {found}");
            return CaptureError::Item { reason: "content_differs", message };
        }
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
