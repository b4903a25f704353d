//! Orphans: files of packs that no transaction made part of the store.
//!
//! A writer that died between publishing and committing leaves one. It may go once nobody can commit it any more: its
//! writer has a row, that row is dead, and the pack is not younger than the writer's last sign of life. Anything else
//! without a living writer is a pack that *was* committed, in a database that was lost and put back older than the
//! storage. Then the items in use are not all known, and nothing may be deleted.

use std::collections::HashMap;

use super::{CollectError, Collection, References, Step};
use crate::backends::BackendError;
use crate::ids::{PackUid, WriterId};
use crate::repository::door::blocking;
use crate::repository::guards::{Guard, stands};
use crate::repository::packs::{PackFile, read_header, sql as packs};
use crate::repository::store::pack_key;
use crate::repository::writers::sql::{WriterRow, find_writer, mark_dead_writers};
use crate::repository::{Store, StoreError};

/// How far a writer's clock may be ahead of the database's.
const CLOCKS_APART_S: i64 = 600;

/// What is to become of a pack without a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orphan {
    Discard,
    /// Its writer may be about to commit it.
    Leave,
    DatabaseOlder(&'static str),
}

impl<R: References> Collection<R> {
    /// Step 0: removes the orphans of dead writers. Nothing is condemned before that: what refers to blobs from an
    /// undecided orphan is not known.
    pub async fn discard_orphans(&mut self) -> Result<(), CollectError> {
        let (storage, silence) = (self.store.storage(), self.limits.silence);
        self.held_transaction("declare silent writers dead", move |conn| mark_dead_writers(conn, storage, silence))
            .await?;
        for folder in 0..=u8::MAX {
            let files = self.store.list_packs(folder).await?;
            if files.is_empty() {
                continue;
            }
            let uids: Vec<PackUid> = files.iter().map(|file| file.uid).collect();
            let rows =
                self.db.run("find packs", move |conn| packs::find_packs(conn, storage, &uids)).await?.into_iter();
            let known: HashMap<PackUid, packs::PackState> = rows.map(|row| (row.uid, row.state)).collect();
            for file in files {
                match known.get(&file.uid) {
                    None => self.decide_orphan(file).await?,
                    // A collection was stopped before it deleted the file.
                    Some(packs::PackState::Discarded) => self.delete_orphan(file).await?,
                    Some(packs::PackState::Live | packs::PackState::Dead | packs::PackState::Bad) => {}
                }
            }
        }
        Ok(())
    }

    async fn decide_orphan(&mut self, file: PackFile) -> Result<(), CollectError> {
        let (store, uid, storage) = (self.store.clone(), file.uid, self.store.storage());
        let header = match blocking(move || read_header(&store, uid)).await {
            Ok(header) => header,
            Err(StoreError::Damaged(_) | StoreError::Backend(BackendError::Corrupt { .. })) => {
                tracing::warn!(pack = %uid, "a file among the packs is no pack; it is left alone");
                self.done.orphans_left += 1;
                return Ok(());
            }
            // Another agent gave it up meanwhile.
            Err(StoreError::Backend(BackendError::NotFound(_))) => return Ok(()),
            Err(err) => return Err(err.into()),
        };
        let id: WriterId = header.writer;
        let writer = self.db.run("find a writer", move |conn| find_writer(conn, storage, id)).await?;
        let mut decided = judge(writer, i64::from(header.created_s));
        if decided == Orphan::Leave && !stands(Guard::OrphansOfTheLivingStay, self.writer) {
            decided = Orphan::Discard;
        }
        match decided {
            Orphan::Leave => {
                self.done.orphans_left += 1;
                Ok(())
            }
            Orphan::DatabaseOlder(why) => Err(CollectError::DatabaseOlder { storage, pack: uid, why }),
            Orphan::Discard => self.discard(file).await,
        }
    }

    async fn discard(&mut self, file: PackFile) -> Result<(), CollectError> {
        let (storage, PackFile { uid, bytes }) = (self.store.storage(), file);
        if stands(Guard::OrphansLeaveTombstones, self.writer) {
            // `false`: it was committed after the files were listed.
            let marked =
                self.held_transaction("mark an orphan", move |conn| packs::add_tombstone(conn, storage, uid, bytes));
            if !marked.await? {
                return Ok(());
            }
        }
        self.reached(Step::OrphanMarked)?;
        self.delete_orphan(file).await
    }

    async fn delete_orphan(&mut self, file: PackFile) -> Result<(), CollectError> {
        if delete_pack(&self.store, file.uid).await? {
            self.done.orphans_discarded += 1;
            self.done.bytes_deleted += file.bytes;
        }
        Ok(())
    }
}

/// Deletes the file of a pack; `false`: there is none.
pub(super) async fn delete_pack(store: &Store, pack: PackUid) -> Result<bool, StoreError> {
    let store = store.clone();
    match blocking(move || store.backend().delete(&pack_key(pack))).await {
        Ok(()) => Ok(true),
        Err(BackendError::NotFound(_)) => Ok(false),
        Err(err) => Err(err.into()),
    }
}

fn judge(writer: Option<WriterRow>, created_s: i64) -> Orphan {
    match writer {
        None => Orphan::DatabaseOlder("its writer is unknown"),
        Some(WriterRow { alive: true, .. }) => Orphan::Leave,
        Some(WriterRow { alive: false, heartbeat_s }) if created_s <= heartbeat_s + CLOCKS_APART_S => Orphan::Discard,
        Some(WriterRow { alive: false, .. }) => Orphan::DatabaseOlder("its writer lived on after the database"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_writer_left_in_its_life_is_discarded() {
        let writer = |alive| Some(WriterRow { alive, heartbeat_s: 10_000 });

        assert_eq!(judge(writer(false), 10_600), Orphan::Discard);
        assert!(matches!(judge(writer(false), 10_601), Orphan::DatabaseOlder(_)));
        assert_eq!(judge(writer(true), 99_999), Orphan::Leave);
        assert!(matches!(judge(None, 0), Orphan::DatabaseOlder(_)));
    }
}
