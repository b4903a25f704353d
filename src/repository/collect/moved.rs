//! The one transaction in which a new pack takes the place of old ones.

use super::NotHeld;
use crate::db::{Conn, TxError};
use crate::ids::{BlobId, PackId, StorageId, WriterId};
use crate::repository::commit::PublishedPack;
use crate::repository::packs::sql::{self as packs, PackState};
use crate::repository::{blobs, writers};

/// What is to be moved.
#[derive(Debug)]
pub(super) struct Plan {
    pub storage: StorageId,
    pub writer: WriterId,
    pub old: Vec<PackId>,
    pub new: PublishedPack,
    /// The shared blobs that were copied, in ascending order.
    pub blobs: Vec<BlobId>,
}

/// Why nothing was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MoveRefused {
    #[error(transparent)]
    NotHeld(#[from] NotHeld),
    #[error("the writer was declared dead")]
    WriterDead,
    /// An old pack is not live any more, holds a blob that was not copied, or the new one was taken for an orphan.
    #[error("the packs changed meanwhile")]
    Changed,
}

/// Points rows at the new pack and says of the old ones where their content went. Safe to run again.
///
/// Locks in the order of every commit: the writer, packs, blobs in ascending order.
pub(super) fn commit_move(conn: &mut Conn, plan: &Plan) -> Result<(), TxError<MoveRefused>> {
    let Plan { storage, writer, old, new, blobs: copied } = plan;
    if !writers::sql::lock_alive(conn, *storage, *writer)? {
        return Err(TxError::Refused(MoveRefused::WriterDead));
    }
    match packs::find_packs(conn, *storage, &[new.uid])?.first().map(|row| row.state) {
        None => {}
        Some(PackState::Discarded) => return Err(TxError::Refused(MoveRefused::Changed)),
        // An earlier try of this very transaction, whose outcome was not known.
        Some(PackState::Live | PackState::Dead | PackState::Bad) => return Ok(()),
    }
    if packs::lock_held(conn, *storage, old)?.len() != old.len() {
        return Err(TxError::Refused(MoveRefused::Changed));
    }
    if !packs::insert_packs(conn, *storage, std::slice::from_ref(new))? {
        return Err(TxError::Refused(MoveRefused::Changed));
    }
    let Some(row) = packs::find_packs(conn, *storage, &[new.uid])?.into_iter().next() else {
        return Err(TxError::Refused(MoveRefused::Changed));
    };
    blobs::sql::move_blobs(conn, *storage, copied, old, row.id)?;
    if !blobs::sql::count_held(conn, *storage, old)?.is_empty() {
        return Err(TxError::Refused(MoveRefused::Changed));
    }
    Ok(packs::retire_packs(conn, *storage, old, row.id)?)
}
