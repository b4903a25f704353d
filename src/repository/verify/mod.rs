//! Whether a storage still holds what was stored in it, and what becomes of a pack that does not.
//!
//! Owns: how a pack is looked at, with the key and without; how one that is damaged is set aside and what is still
//! good in it saved; the tables `verifications`, `quarantines` and `losses`. Does not own: which items need what
//! was lost (the catalog knows), when to look (a task does).
//!
//! Invariants: a pack is called damaged only after a second reading said so too, and never because of an error of the
//! device; its file is renamed, never deleted; what is saved from it is durable before its row says "bad".

mod check;
mod judge;
mod place;
mod quarantine;
mod salvage;
pub(super) mod sql;

use chrono::{DateTime, Utc};

use super::{StoreError, packs};
use crate::db::{Conn, Db, QueryResult};
use crate::ids::{PackId, PackUid, StorageId, TaskId};

pub use check::Depth;
pub(super) use check::read_header;
pub use judge::{Folder, Verdict};
pub use place::Place;
pub use quarantine::{Damaged, Lost, Quarantine, quarantine};
pub use salvage::Salvage;
pub use sql::{
    Counted, begin_verification, count_verified, damaged_by, find_damaged, finish_verification, list_damaged,
    list_verifications, n_damaged_by, set_scanned, unscanned,
};

pub use super::packs::sql::{packs_to_verify, set_verified};

/// What a pack is called on the storage.
pub fn pack_uid(conn: &mut Conn, storage: StorageId, pack: PackId) -> QueryResult<Option<PackUid>> {
    Ok(packs::sql::find_pack(conn, storage, pack)?.map(|row| row.uid))
}

/// When a storage was last verified in full: since then, every pack was looked at. `None`: never, or it is empty.
pub async fn verified_at(db: &Db, storage: StorageId) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(db.run("find the oldest verification", move |conn| packs::sql::oldest_verified(conn, storage)).await?)
}

/// A pack that the catalog knows, as a verification takes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPack {
    pub id: PackId,
    pub uid: PackUid,
    /// The length of its file.
    pub bytes: u64,
}

/// One verification, as it stands or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationRow {
    pub task: TaskId,
    pub level: u8,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub counted: Counted,
}

/// A pack that was found damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRow {
    pub pack: PackId,
    pub task: TaskId,
    pub what: String,
    pub all_lost: bool,
    pub n_lost: u32,
    pub n_saved: u32,
    pub found_at: DateTime<Utc>,
}
