//! Which troubles of a storage concern one item.

use crate::backends::BackendError;
use crate::repository::StoreError;

/// Whether this item alone is affected; anything else ends the attempt.
pub(in crate::workers) fn is_damage(err: &StoreError) -> bool {
    match err {
        StoreError::Damaged(_)
        | StoreError::Unreadable { .. }
        | StoreError::BlobMissing(_)
        | StoreError::PackMissing(_)
        | StoreError::PackBad(_)
        | StoreError::BlobLost { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Item(_) => true,
        StoreError::Backend(BackendError::NotFound(_)) => true,
        StoreError::Backend(_)
        | StoreError::Db(_)
        | StoreError::Interrupted
        | StoreError::Setup(_)
        | StoreError::NoSuchStorage(_)
        | StoreError::NoSuchKey(_)
        | StoreError::SpaceShort { .. } => false,
    }
}
