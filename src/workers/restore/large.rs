//! Content too large for memory, as a feature that brings it back reads it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::catalog::ContentRef;
use crate::features::{LargeContent, RestoreError, StoredContent};
use crate::repository::{Ranged, Reader, StoreError};

struct Large(Ranged);

pub(super) async fn open(reader: &Reader, content: ContentRef) -> Result<StoredContent, StoreError> {
    let ranged = reader.ranged(content.pack, content.blob).await?;
    Ok(StoredContent::Large(Arc::new(Large(ranged))))
}

/// What damage there is costs its item; else the storage cannot be read just now.
pub(super) fn restore_error(err: StoreError) -> RestoreError {
    if err.is_damage() { RestoreError::Item(err.to_string()) } else { RestoreError::Storage(err.to_string()) }
}

impl LargeContent for Large {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn read(&self, from: u64, bytes: usize) -> BoxFuture<'_, Result<Bytes, RestoreError>> {
        Box::pin(async move { self.0.read(from, bytes).await.map_err(restore_error) })
    }
}
