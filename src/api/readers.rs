//! Storages opened for reading, once each: opening reads the place's own description and key.

use std::collections::HashMap;

use tokio::sync::Mutex;

use super::Shared;
use super::error::{ApiError, ApiResult};
use crate::ids::StorageId;
use crate::repository::{self, Reader, StoreError};

#[derive(Default)]
pub struct Readers(Mutex<HashMap<StorageId, Reader>>);

impl Readers {
    pub async fn open(&self, app: &Shared, storage: StorageId) -> ApiResult<Reader> {
        let mut open = self.0.lock().await;
        if let Some(reader) = open.get(&storage) {
            return Ok(reader.clone());
        }
        let store =
            repository::open_storage(&app.db, &app.sealer, storage, &agent_name()).await.map_err(storage_error)?;
        let reader = store.reader(app.db.clone());
        open.insert(storage, reader.clone());
        Ok(reader)
    }
}

/// Marks the temporary files of this process, apart from those of the agent in it.
pub fn agent_name() -> String {
    format!("api-{}", std::process::id())
}

/// What a storage says, told apart by who can help.
pub fn storage_error(err: StoreError) -> ApiError {
    match err {
        StoreError::Db(err) => err.into(),
        StoreError::NoSuchStorage(id) => ApiError::not_found("storage", id),
        StoreError::NoSuchKey(_) => ApiError::NotFound(err.to_string()),
        StoreError::Setup(_) | StoreError::TooLarge { .. } | StoreError::Item(_) => {
            ApiError::Unprocessable(err.to_string())
        }
        StoreError::Backend(_) | StoreError::SpaceShort { .. } => ApiError::Unavailable(err.to_string()),
        StoreError::Damaged(_)
        | StoreError::Unreadable { .. }
        | StoreError::BlobMissing(_)
        | StoreError::PackMissing(_)
        | StoreError::PackBad(_)
        | StoreError::BlobLost { .. } => {
            tracing::error!(error = %err, "stored content cannot be read");
            ApiError::Unprocessable(format!("the stored content cannot be read: {err}"))
        }
        StoreError::Interrupted => ApiError::Unavailable(err.to_string()),
    }
}
