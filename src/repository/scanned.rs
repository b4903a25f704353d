//! Where packs and shared blobs are, for a reader without a database.

use super::packs::sql::{PackRow, PackState};
use crate::ids::{BlobId, PackId, PackUid};

/// Where everything is, as the packs themselves tell: for a storage without a database. 20 bytes a shared blob.
#[derive(Debug, Default)]
pub struct Scanned {
    /// A [`PackId`] is a place in this list.
    pub packs: Vec<PackUid>,
    /// In ascending order.
    pub shared: Vec<(BlobId, PackId)>,
}

impl Scanned {
    pub(super) fn place(&self, blob: BlobId) -> Option<PackId> {
        let at = self.shared.partition_point(|(id, _)| *id < blob);
        self.shared.get(at).filter(|(id, _)| *id == blob).map(|(_, pack)| *pack)
    }

    pub(super) fn row(&self, pack: PackId) -> Option<PackRow> {
        let uid = *self.packs.get(pack.get() as usize)?;
        Some(PackRow { id: pack, uid, state: PackState::Live, moved_to: None })
    }
}
