//! Content that is too large for memory, read piece by piece while it is stored.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::CaptureError;

/// A few megabytes each.
pub type Pieces = BoxStream<'static, Result<Bytes, CaptureError>>;
/// The beginning of content, from where it is known. An error, or the end, says that no more of it is.
pub type KnownPieces = BoxStream<'static, Result<Bytes, String>>;

/// Content that is read as it is asked for. One that fails costs its item alone, unless it fails for a cause that
/// concerns all.
pub struct ContentStream {
    /// How many bytes there will be.
    pub bytes: u64,
    pub pieces: Pieces,
    resuming: Option<Resuming>,
}

struct Resuming {
    tag: u64,
    behind: Box<dyn FnOnce(KnownPieces) -> Pieces + Send>,
}

impl ContentStream {
    /// Content that can be read on behind a beginning that is known. Equal tags, equal content.
    pub fn new(
        bytes: u64,
        pieces: Pieces,
        tag: u64,
        behind: impl FnOnce(KnownPieces) -> Pieces + Send + 'static,
    ) -> Self {
        Self { bytes, pieces, resuming: Some(Resuming { tag, behind: Box::new(behind) }) }
    }

    /// What content it is, if it can be read on behind a beginning that is known.
    pub fn tag(&self) -> Option<u64> {
        self.resuming.as_ref().map(|resuming| resuming.tag)
    }

    /// The same content, whose beginning comes from elsewhere.
    pub fn behind(self, known: KnownPieces) -> Self {
        match self.resuming {
            Some(Resuming { behind, .. }) => Self { bytes: self.bytes, pieces: behind(known), resuming: None },
            None => self,
        }
    }
}

impl std::fmt::Debug for ContentStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentStream").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
