//! The content of a stored item: in memory, or too large for it and read piece by piece.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::RestoreError;

/// The content of an item of a restore point.
#[derive(Debug)]
pub enum StoredContent {
    /// The restore point holds none.
    None,
    Whole(Bytes),
    Large(Arc<dyn LargeContent>),
}

/// Content that is read in ranges, so that it need not fit into memory.
pub trait LargeContent: Send + Sync {
    fn bytes(&self) -> u64;

    /// Exactly `bytes` bytes from position `from`, proved to be what was stored.
    fn read(&self, from: u64, bytes: usize) -> BoxFuture<'_, Result<Bytes, RestoreError>>;
}

impl fmt::Debug for dyn LargeContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content of {} bytes", self.bytes())
    }
}
