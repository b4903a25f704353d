//! Which packs are worth writing anew: those with little that is alive, and small ones when there are many.

use std::collections::HashMap;

use super::scan::Window;
use super::{CollectError, Collection, Marked, References};
use crate::ids::PackId;
use crate::repository::door::blocking;
use crate::repository::format::{BlobKind, PackIndex};
use crate::repository::packs::sql::{self as packs, HeldPack, PackShape};
use crate::repository::reader::read_end;
use crate::repository::{StoreError, blobs};

/// A pack is written anew when less than this part of it is alive, in percent.
const SPARSE_PERCENT: u64 = 50;
/// A pack is small below this part of what packs are filled to.
const SMALL_DIVISOR: u64 = 4;
/// Small packs are merged when there are this many, so that no byte is rewritten more than a few times until its pack
/// is small no more.
const SMALL_PACKS_MIN: usize = 8;
/// Packs that become one.
const GROUP_PACKS_MAX: usize = 256;
/// Indexes that one collection reads to learn what is in packs; what is beyond has its turn another day.
const SHAPES_MAX: u64 = 20_000;
/// Packs whose blobs are counted at once.
const COUNTED_PACKS: usize = 500;

/// A pack with the part of it that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weighed {
    pack: HeldPack,
    /// Of its stored bytes, estimated.
    alive_bytes: u64,
}

impl<R: References> Collection<R> {
    /// Steps 3 and 4: writes packs of the pass's window anew that hold too little.
    pub async fn compact(&mut self, marked: &Marked) -> Result<(), CollectError> {
        let Some(window) = &marked.window else { return Ok(()) };
        let weighed = self.weigh(window).await?;
        let budget = self.limits.rewrite_bytes.saturating_sub(self.done.bytes_compacted);
        for group in group(&weighed, self.store.pack_bytes(), budget) {
            self.compact_group(window, group).await?;
        }
        Ok(())
    }

    async fn weigh(&self, window: &Window) -> Result<Vec<Weighed>, CollectError> {
        let storage = self.store.storage();
        let mut weighed = Vec::new();
        let mut n_read = 0;
        for page in window.packs.chunks(COUNTED_PACKS) {
            let ids: Vec<PackId> = page.iter().map(|pack| pack.id).collect();
            let counts = self.db.run("count blobs", move |conn| blobs::sql::count_held(conn, storage, &ids)).await?;
            let shared: HashMap<PackId, (u64, u64)> =
                counts.into_iter().map(|(pack, n, bytes)| (pack, (n, bytes))).collect();
            for pack in page {
                let (n_shared, shared_bytes) = shared.get(&pack.id).copied().unwrap_or_default();
                let n_own = window.own(pack.id).count() as u64;
                let alive_bytes = match n_shared + n_own {
                    // A pack of records alone is alive as a whole.
                    n if n >= u64::from(pack.n_blobs) => pack.bytes,
                    0 => 0,
                    _ if pack.shape.is_none() && n_read >= SHAPES_MAX => continue,
                    _ => {
                        n_read += u64::from(pack.shape.is_none());
                        let Some(shape) = self.shape(pack).await? else { continue };
                        alive(pack.bytes, &shape, shared_bytes, n_own)
                    }
                };
                weighed.push(Weighed { pack: *pack, alive_bytes });
            }
        }
        Ok(weighed)
    }

    /// What a pack's index says of its content. `None`: it cannot be read, which is for verification to look into.
    async fn shape(&self, pack: &HeldPack) -> Result<Option<PackShape>, CollectError> {
        if let Some(shape) = pack.shape {
            return Ok(Some(shape));
        }
        let (store, uid, id) = (self.store.clone(), pack.uid, pack.id);
        let read = blocking(move || read_end(&store, uid).map(|end| shape_of(&end.index))).await;
        match read {
            Ok(shape) => {
                self.db.run("remember what is in a pack", move |conn| packs::set_shape(conn, id, &shape)).await?;
                Ok(Some(shape))
            }
            Err(err) if is_of_the_pack(&err) => {
                tracing::warn!(pack = %uid, error = %err, "a pack cannot be weighed");
                Ok(None)
            }
            Err(err) => Err(err.into()),
        }
    }
}

/// Whether an error is about one pack, so that the others can be worked on.
pub(super) fn is_of_the_pack(err: &StoreError) -> bool {
    use crate::backends::BackendError::{Corrupt, NotFound};
    matches!(
        err,
        StoreError::Damaged(_) | StoreError::BlobMissing(_) | StoreError::Backend(NotFound(_) | Corrupt { .. })
    )
}

fn shape_of(index: &PackIndex) -> PackShape {
    let mut shape = PackShape { plain_bytes: 0, own_bytes: 0, n_own: 0 };
    for blob in &index.blobs {
        shape.plain_bytes += u64::from(blob.len);
        if blob.kind != BlobKind::Shared {
            shape.own_bytes += u64::from(blob.len);
            shape.n_own += 1;
        }
    }
    shape
}

/// The stored bytes that are alive, if all compress alike and recipes and properties are of one length.
fn alive(bytes: u64, shape: &PackShape, shared_bytes: u64, n_own: u64) -> u64 {
    let own_bytes = shape.own_bytes * n_own.min(u64::from(shape.n_own)) / u64::from(shape.n_own).max(1);
    let plain = u128::from((shared_bytes + own_bytes).min(shape.plain_bytes));
    let stored = u128::from(bytes) * plain / u128::from(shape.plain_bytes).max(1);
    u64::try_from(stored).unwrap_or(bytes)
}

/// Packs that are to become one each. The emptiest first, as far as the budget of bytes to read goes.
fn group(weighed: &[Weighed], pack_bytes: u64, budget: u64) -> Vec<Vec<HeldPack>> {
    let percent = |weighed: &Weighed| weighed.alive_bytes * 100 / weighed.pack.bytes.max(1);
    let (mut sparse, dense): (Vec<Weighed>, Vec<Weighed>) =
        weighed.iter().partition(|weighed| percent(weighed) < SPARSE_PERCENT);
    sparse.sort_by_key(|weighed| (percent(weighed), weighed.pack.id));
    let small: Vec<Weighed> =
        dense.into_iter().filter(|weighed| weighed.pack.bytes < pack_bytes / SMALL_DIVISOR).collect();
    if small.len() >= SMALL_PACKS_MIN {
        sparse.extend(small);
    }
    let mut groups = Vec::new();
    let (mut group, mut alive_bytes, mut read_bytes) = (Vec::new(), 0, 0);
    for Weighed { pack, alive_bytes: alive } in sparse {
        read_bytes += pack.bytes;
        if read_bytes > budget {
            break;
        }
        if !group.is_empty() && (alive_bytes + alive > pack_bytes || group.len() == GROUP_PACKS_MAX) {
            groups.push(std::mem::take(&mut group));
            alive_bytes = 0;
        }
        alive_bytes += alive;
        group.push(pack);
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PackUid;

    fn weighed(id: u32, bytes: u64, alive_bytes: u64) -> Weighed {
        let pack = HeldPack { id: PackId::new(id), uid: PackUid::from_bytes([0; 16]), bytes, n_blobs: 9, shape: None };
        Weighed { pack, alive_bytes }
    }

    fn ids(groups: &[Vec<HeldPack>]) -> Vec<Vec<u32>> {
        groups.iter().map(|group| group.iter().map(|pack| pack.id.get()).collect()).collect()
    }

    #[test]
    fn the_emptiest_packs_come_first_and_fill_one_pack_together() {
        let packs = [weighed(1, 100, 100), weighed(2, 100, 49), weighed(3, 100, 0), weighed(4, 100, 50)];
        let many: Vec<Weighed> = (10..16).map(|id| weighed(id, 100, 40)).collect();

        assert_eq!(ids(&group(&packs, 100, 1000)), [[3, 2]]);
        assert_eq!(ids(&group(&many, 100, 1000)), [[10, 11], [12, 13], [14, 15]]);
        assert_eq!(ids(&group(&many, 100, 350)), [vec![10, 11], vec![12]], "the budget ends it");
        assert!(group(&packs, 100, 99).is_empty());
    }

    #[test]
    fn small_packs_are_merged_when_there_are_many() {
        let small: Vec<Weighed> = (1..=8).map(|id| weighed(id, 20, 20)).collect();

        assert!(group(&small[..7], 100, 1000).is_empty());
        assert_eq!(ids(&group(&small, 100, 1000)), [vec![1, 2, 3, 4, 5], vec![6, 7, 8]]);
    }

    #[test]
    fn what_is_alive_is_estimated_by_uncompressed_bytes() {
        let shape = PackShape { plain_bytes: 1000, own_bytes: 200, n_own: 20 };

        assert_eq!(alive(500, &shape, 400, 10), 250);
        assert_eq!(alive(500, &shape, 800, 20), 500);
        assert_eq!(alive(500, &PackShape { plain_bytes: 0, own_bytes: 0, n_own: 0 }, 0, 3), 0);
    }
}
