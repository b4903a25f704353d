//! Content that is too large for memory, read piece by piece while it is stored.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::CaptureError;

/// Content that is read as it is asked for. One that fails costs its item alone, unless it fails for a cause that
/// concerns all.
pub struct ContentStream {
    /// How many bytes there will be.
    pub bytes: u64,
    /// A few megabytes each.
    pub pieces: BoxStream<'static, Result<Bytes, CaptureError>>,
}

impl std::fmt::Debug for ContentStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentStream").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
