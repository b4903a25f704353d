//! Copies what is alive in some packs into a new one: blobs, which are grouped, compressed and sealed again, and all
//! records as they stand.

use std::collections::HashSet;
use std::sync::Arc;

use super::moved::{MoveRefused, Plan, commit_move};
use super::orphans::delete_pack;
use super::pick::is_of_the_pack;
use super::scan::Window;
use super::{CollectError, Collection, References, Step};
use crate::db::{DbError, TxError};
use crate::ids::{BlobId, PackUid, PointNumber, WriterId};
use crate::repository::commit::PublishedPack;
use crate::repository::door::blocking;
use crate::repository::format::{BlobEntry, FinishedPack, PackBuilder};
use crate::repository::guards::{Guard, stands};
use crate::repository::pack_end::PackEnd;
use crate::repository::packs::sql::{self as packs, HeldPack};
use crate::repository::reader::read_end;
use crate::repository::record::{Compacted, Entry, Record};
use crate::repository::records::RecordsBuilder;
use crate::repository::store::pack_key;
use crate::repository::{Store, StoreError, blobs};

/// Plain bytes of records in one new pack, unless a single old pack brings more: half of what the format allows.
const RECORDS_BYTES_MAX: usize = 32 << 20;
/// How often a commit is made again whose outcome is not known.
const COMMITS_MAX: u32 = 3;

/// A pack that is to be emptied, and what must come out of it.
#[derive(Debug)]
struct Wanted {
    pack: HeldPack,
    /// Blobs whose row says that they are here. One that is missing makes the pack a damaged one.
    shared: Vec<BlobId>,
    own: Vec<BlobId>,
}

/// A new pack in memory.
struct Copied {
    pack: FinishedPack,
    /// How many of the packs are in it.
    n_packs: usize,
}

impl<R: References> Collection<R> {
    /// Step 4: turns a group of packs into one, or into a few if their records fill it. A pack that cannot be read is
    /// left as it is.
    pub(super) async fn compact_group(&mut self, window: &Window, group: Vec<HeldPack>) -> Result<(), CollectError> {
        let mut wanted = Vec::with_capacity(group.len());
        let storage = self.store.storage();
        for pack in group {
            let shared = self.db.run("list blobs of a pack", move |conn| blobs::sql::held_in(conn, storage, pack.id));
            wanted.push(Wanted { pack, shared: shared.await?, own: window.own(pack.id).collect() });
        }
        let mut wanted = Arc::new(wanted);
        while !wanted.is_empty() {
            let seq = self.db.run("read the clock", packs::read_clock_us).await?;
            let (store, writer, from) = (self.store.clone(), self.writer, Arc::clone(&wanted));
            let copied = blocking(move || copy(&store, writer, &from, seq)).await;
            let mut left = Arc::into_inner(wanted).expect("the copy ended and gave its share back");
            match copied {
                Ok(copied) => {
                    let done: Vec<Wanted> = left.drain(..copied.n_packs).collect();
                    self.take_place(done, copied.pack).await?;
                }
                Err((at, err)) if is_of_the_pack(&err) => {
                    tracing::warn!(pack = %left[at].pack.uid, error = %err, "a pack cannot be compacted");
                    self.done.packs_unreadable += 1;
                    left.remove(at);
                }
                Err((_, err)) => return Err(err.into()),
            }
            wanted = Arc::new(left);
        }
        Ok(())
    }

    /// Publishes a new pack and lets it take the place of the old ones.
    async fn take_place(&mut self, old: Vec<Wanted>, new: FinishedPack) -> Result<(), CollectError> {
        let FinishedPack { uid, parts, bytes, index } = new;
        if !stands(Guard::CopiesComeFirst, self.writer) {
            for wanted in &old {
                delete_pack(&self.store, wanted.pack.uid).await?;
            }
            self.reached(Step::FileDeleted)?;
        }
        let store = self.store.clone();
        blocking(move || store.backend().put(&pack_key(uid), &parts)).await.map_err(StoreError::from)?;
        self.reached(Step::Published)?;
        let bytes_read: u64 = old.iter().map(|wanted| wanted.pack.bytes).sum();
        let n_old = old.len() as u64;
        let mut blobs: Vec<BlobId> = old.iter().flat_map(|wanted| wanted.shared.iter().copied()).collect();
        blobs.sort_unstable();
        let n_blobs = u32::try_from(index.blobs.len()).unwrap_or(u32::MAX);
        let plan = Plan {
            storage: self.store.storage(),
            writer: self.writer,
            old: old.iter().map(|wanted| wanted.pack.id).collect(),
            new: PublishedPack { uid, bytes, n_blobs, n_records: index.n_records, shared: Vec::new() },
            blobs,
        };
        match self.commit(Arc::new(plan)).await {
            Ok(()) => {}
            Err(TxError::Db(err)) => return Err(err.into()),
            Err(TxError::Refused(why)) => {
                // Nothing happened, and nobody else knows the pack.
                delete_pack(&self.store, uid).await?;
                return match why {
                    MoveRefused::NotHeld(lost) => Err(lost.into()),
                    MoveRefused::WriterDead => Err(CollectError::WriterDead),
                    MoveRefused::Changed => {
                        tracing::info!(pack = %uid, "packs changed while they were compacted; they stay as they are");
                        Ok(())
                    }
                };
            }
        }
        self.done.packs_compacted += n_old;
        self.done.packs_written += 1;
        self.done.bytes_compacted += bytes_read;
        self.done.bytes_written += bytes;
        self.reached(Step::Moved)
    }

    /// Commits, and commits again while nobody can say whether it happened: the second time changes nothing then.
    async fn commit(&self, plan: Arc<Plan>) -> Result<(), TxError<MoveRefused>> {
        let mut tries = 1;
        loop {
            let (held, plan) = (Arc::clone(&self.held), Arc::clone(&plan));
            let moved = self.db.transaction("move a pack's content", move |conn| {
                held(conn).map_err(TxError::widen)?;
                commit_move(conn, &plan)
            });
            match moved.await {
                Err(TxError::Db(DbError::CommitUnknown(_))) if tries < COMMITS_MAX => tries += 1,
                outcome => return outcome,
            }
        }
    }
}

/// Fills a new pack with what is wanted of the first packs. An error says of which pack it is. Blocks.
fn copy(store: &Store, writer: WriterId, wanted: &[Wanted], seq: u64) -> Result<Copied, (usize, StoreError)> {
    let mut builder = store.new_pack(writer);
    let mut records = RecordsBuilder::default();
    let mut n_packs = 0;
    for (at, wanted) in wanted.iter().enumerate() {
        let of_this = |err: StoreError| (at, err);
        let end = read_end(store, wanted.pack.uid).map_err(of_this)?;
        let section = end.records().map_err(|damage| (at, damage.into()))?;
        let is_full = builder.bytes() > store.pack_bytes() || records.bytes() + section.len() > RECORDS_BYTES_MAX;
        if at > 0 && is_full {
            break;
        }
        copy_blobs(store, &mut builder, wanted, &end).map_err(of_this)?;
        records.push_section(wanted.pack.uid, &section).map_err(|damage| (at, damage.into()))?;
        records.push(&moved(wanted.pack.uid, builder.uid(), seq));
        n_packs += 1;
    }
    let (records, n_records) = records.finish();
    Ok(Copied { pack: builder.finish(&records, n_records), n_packs })
}

/// Says to a rebuild that what an item looks for in one pack is in the other.
fn moved(old: PackUid, new: PackUid, seq: u64) -> Entry {
    Entry { chain: None, point: PointNumber::new(0), seq, record: Record::Compacted(Compacted { old, new }) }
}

fn copy_blobs(store: &Store, builder: &mut PackBuilder, wanted: &Wanted, end: &PackEnd) -> Result<(), StoreError> {
    if let Some(missing) = wanted.shared.iter().find(|id| end.index.find(**id).is_none()) {
        return Err(StoreError::BlobMissing(*missing));
    }
    let ids: HashSet<BlobId> = wanted.shared.iter().chain(&wanted.own).copied().collect();
    let mut blobs: Vec<&BlobEntry> = end.index.blobs.iter().filter(|blob| ids.contains(&blob.hash.id())).collect();
    blobs.sort_unstable_by_key(|blob| (blob.frame, blob.offset));
    for of_frame in blobs.chunk_by(|a, b| a.frame == b.frame) {
        let Some(first) = of_frame.first() else { continue };
        let place = end.index.frame(first.frame)?;
        let stored = store.backend().get_range(&pack_key(wanted.pack.uid), place.offset, place.stored as usize)?;
        let plain = end.index.open_frame(&end.cipher, first.frame, &stored)?;
        for blob in of_frame {
            let content = end.index.cut(blob, &plain, store.keys().id_key.expose())?;
            builder.append(blob.hash, blob.kind, content);
        }
    }
    Ok(())
}
