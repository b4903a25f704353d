//! Why the repository could not do what was asked, told apart by what to do.

use crate::backends::BackendError;
use crate::db::DbError;
use crate::ids::{BlobId, PackId, PackUid, StorageId};

use super::format::Damage;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place is full, away, denied …: the task fails, is retried later, and an administrator is told.
    #[error(transparent)]
    Backend(BackendError),
    #[error(transparent)]
    Db(DbError),
    /// Stored bytes are not what was written. What depends on them cannot be restored from here.
    #[error(transparent)]
    Damaged(Damage),
    /// Content that decrypts and has its hash but makes no sense: written by a defect or a newer version.
    #[error("the content in blob {blob} cannot be put together: {what}")]
    Unreadable { blob: BlobId, what: String },
    #[error("blob {0} is not in the storage")]
    BlobMissing(BlobId),
    #[error("pack row {0} is not in the database")]
    PackMissing(PackId),
    #[error("pack {0}, where it lay, is damaged and set aside")]
    PackBad(PackUid),
    /// It could not be saved when its pack was set aside.
    #[error("blob {blob} was lost when pack {pack} was damaged")]
    BlobLost { blob: BlobId, pack: PackUid },
    /// The caller's bound, not the store's.
    #[error("the content has {bytes} bytes, more than the {bytes_max} that were asked for at most")]
    TooLarge { bytes: u64, bytes_max: u64 },
    /// This one item cannot be stored; the packer goes on with others.
    #[error("{0}")]
    Item(String),
    /// The packer was cancelled or failed in the middle of a call: throw it away.
    #[error("the packer was interrupted; start over from the last commit")]
    Interrupted,
    /// An administrator decides: path, key or configuration are wrong.
    #[error("{0}")]
    Setup(String),
    #[error("there is no storage {0}")]
    NoSuchStorage(StorageId),
}

impl From<BackendError> for StoreError {
    fn from(err: BackendError) -> Self {
        Self::Backend(err)
    }
}

impl From<DbError> for StoreError {
    fn from(err: DbError) -> Self {
        Self::Db(err)
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
