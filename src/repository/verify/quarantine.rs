//! A damaged pack leaves the store: in one transaction its row says so, what was saved of it has its new place, and
//! what is lost is written down.

use std::collections::{HashMap, HashSet};

use super::{DamagedRow, KnownPack, Salvage, sql};
use crate::backends::BackendError;
use crate::db::{Conn, QueryResult, TxError};
use crate::ids::{BlobId, PackId, PackUid, StorageId, TaskId, WriterId};
use crate::repository::door::blocking;
use crate::repository::store::pack_key;
use crate::repository::{CommitRefused, Store, StoreError, blobs, commit, packs, writers};

/// Compactions that are followed backwards from a damaged pack.
const MOVES_MAX: u32 = 16;

/// A pack that is to be set aside.
#[derive(Clone, Debug)]
pub struct Quarantine {
    pub pack: KnownPack,
    pub what: String,
    pub salvage: Salvage,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damaged {
    SetAside,
    /// It is not live any more: compacted, or set aside by an earlier try of this transaction.
    NotLive,
}

/// Sets a pack aside in the database. Call [`Store::set_pack_aside`] once this is committed.
pub fn quarantine(
    conn: &mut Conn,
    storage: StorageId,
    writer: WriterId,
    task: TaskId,
    found: &Quarantine,
) -> Result<Damaged, TxError<CommitRefused>> {
    let Quarantine { pack, what, salvage } = found;
    // In the order of every commit: the writer, packs, blobs.
    if !writers::sql::lock_alive(conn, storage, writer)? {
        return Err(TxError::Refused(CommitRefused::WriterDead));
    }
    if !packs::sql::lock_live(conn, storage, pack.id)? {
        return Ok(Damaged::NotLive);
    }
    let saved_in = match salvage.flushed.inner.packs.first() {
        None => None,
        Some(new) => commit(conn, storage, writer, &salvage.flushed)?.get(new.uid),
    };
    if let Some(new) = saved_in {
        blobs::sql::repoint_blobs(conn, storage, pack.id, new, &salvage.saved)?;
    }
    let mut lost = blobs::sql::drop_blobs_of(conn, storage, pack.id)?;
    lost.extend(salvage.own_lost.iter().flatten());
    lost.sort_unstable();
    lost.dedup();
    sql::insert_lost(conn, storage, pack.id, &lost)?;
    let row = sql::NewDamaged {
        pack: pack.id,
        task,
        what,
        all_lost: salvage.own_lost.is_none(),
        n_lost: lost.len(),
        n_saved: salvage.saved.len(),
    };
    sql::insert_damaged(conn, storage, &row)?;
    packs::sql::set_bad(conn, storage, pack.id, saved_in)?;
    Ok(Damaged::SetAside)
}

impl Store {
    /// Renames the file of a pack whose row is "bad". One that has no file, or was renamed before, is left as it is.
    pub async fn set_pack_aside(&self, pack: PackUid) -> Result<(), StoreError> {
        let store = self.clone();
        match blocking(move || store.backend().set_aside(&pack_key(pack))).await {
            Ok(()) | Err(BackendError::NotFound(_) | BackendError::AlreadyExists(_)) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }
}

/// What is lost with some damaged packs: tells which versions of items need it.
#[derive(Debug, Default)]
pub struct Lost {
    /// Recipes and properties by the damaged pack; `None`: all that were in it.
    own: HashMap<PackId, Option<HashSet<BlobId>>>,
    /// Packs whose content was moved into a damaged one.
    led_to: HashMap<PackId, PackId>,
    /// Shared blobs that lie nowhere now.
    shared: HashMap<BlobId, PackId>,
}

impl Lost {
    /// Reads what is lost with `damaged`. What a backup stored again meanwhile is lost no more.
    pub fn load(conn: &mut Conn, storage: StorageId, damaged: &[DamagedRow]) -> QueryResult<Self> {
        let mut lost = Self::default();
        for row in damaged {
            let ids = sql::lost_of(conn, row.pack)?;
            for page in ids.chunks(blobs::sql::PAGE_ROWS) {
                let stored: HashSet<BlobId> =
                    blobs::sql::find_blob_packs(conn, storage, page)?.into_iter().map(|(blob, _)| blob).collect();
                lost.shared.extend(page.iter().filter(|blob| !stored.contains(*blob)).map(|blob| (*blob, row.pack)));
            }
            lost.own.insert(row.pack, (!row.all_lost).then(|| ids.into_iter().collect()));
        }
        let mut targets: Vec<PackId> = damaged.iter().map(|row| row.pack).collect();
        for _ in 0..MOVES_MAX {
            let moved = packs::sql::moved_into(conn, storage, &targets)?;
            targets = moved.iter().map(|(from, _)| *from).filter(|from| !lost.led_to.contains_key(from)).collect();
            for (from, to) in moved {
                let end = lost.led_to.get(&to).copied().unwrap_or(to);
                lost.led_to.entry(from).or_insert(end);
            }
            if targets.is_empty() {
                break;
            }
        }
        Ok(lost)
    }

    /// The damaged pack that took a recipe or properties along, if one did.
    pub fn own(&self, pack: PackId, blob: BlobId) -> Option<PackId> {
        let damaged = if self.own.contains_key(&pack) { pack } else { *self.led_to.get(&pack)? };
        match self.own.get(&damaged)? {
            Some(lost) => lost.contains(&blob).then_some(damaged),
            None => Some(damaged),
        }
    }

    /// The damaged pack that took a shared blob along, if one did and it was not stored again.
    pub fn shared(&self, blob: BlobId) -> Option<PackId> {
        self.shared.get(&blob).copied()
    }
}
