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
    #[error("the storage has no key {0}")]
    NoSuchKey(String),
    /// Not full yet, so that what frees space still can: the task rests until there is room.
    #[error(
        "storage {storage} has {} free, less than the reserve of {}: free or add space there, and backups go on by \
         themselves",
        size(*free_bytes),
        size(*reserve_bytes)
    )]
    SpaceShort { storage: String, free_bytes: u64, reserve_bytes: u64 },
}

impl StoreError {
    /// Whether one item alone is affected, and others can still be read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::Unreadable { .. }
            | Self::BlobMissing(_)
            | Self::PackMissing(_)
            | Self::PackBad(_)
            | Self::BlobLost { .. }
            | Self::TooLarge { .. }
            | Self::Item(_) => true,
            Self::Backend(BackendError::NotFound(_)) => true,
            Self::Backend(_)
            | Self::Db(_)
            | Self::Interrupted
            | Self::Setup(_)
            | Self::NoSuchStorage(_)
            | Self::NoSuchKey(_)
            | Self::SpaceShort { .. } => false,
        }
    }
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

/// `1,024 MB`; of little, `984 KB`. Rounded up, so that a reserve of little is not one of nothing.
fn size(bytes: u64) -> String {
    let (unit, name) = if bytes < 10 << 20 { (1 << 10, "KB") } else { (1 << 20, "MB") };
    let digits = bytes.div_ceil(unit).to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3 + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_short_of_space_says_how_much_there_is_and_should_be() {
        let err = StoreError::SpaceShort { storage: "disk".into(), free_bytes: 312 << 20, reserve_bytes: 1 << 30 };

        let text = err.to_string();

        assert!(text.starts_with("storage disk has 312 MB free, less than the reserve of 1,024 MB: "), "{text}");
        for (bytes, wanted) in [(0, "0 KB"), (1, "1 KB"), (5 << 20, "5,120 KB"), (1_234_567 << 20, "1,234,567 MB")] {
            assert_eq!(size(bytes), wanted);
        }
    }
}
