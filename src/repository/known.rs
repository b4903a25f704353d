//! Blobs that an agent knows to be stored, so that its packers need not ask the database for them again.
//!
//! A hint, wrong at times: collection may have taken a blob since. The commit finds that out, refuses, and names the
//! blobs that are to be forgotten here.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::BlobId;

/// What an id takes at most: a table of them is filled to seven sixteenths at worst, and has a byte beside each id.
const ENTRY_BYTES: usize = 42;

/// The index of one storage in one agent; clones share it.
#[derive(Clone, Debug)]
pub struct KnownBlobs {
    generations: Arc<Mutex<Generations>>,
}

/// Ids in the order of their last use, roughly: when the young ones fill half of the room, they become the old ones,
/// and what nobody had asked for since is given up. No list has to be kept in order for that.
#[derive(Debug)]
struct Generations {
    young: HashSet<BlobId>,
    old: HashSet<BlobId>,
    young_max: usize,
}

impl KnownBlobs {
    /// An empty index that never takes more than about `memory_bytes`.
    pub fn new(memory_bytes: usize) -> Self {
        let young_max = (memory_bytes / ENTRY_BYTES / 2).max(1);
        let generations = Generations { young: HashSet::new(), old: HashSet::new(), young_max };
        Self { generations: Arc::new(Mutex::new(generations)) }
    }

    /// Those of `ids` that are known.
    pub(super) fn among(&self, ids: impl Iterator<Item = BlobId>) -> HashSet<BlobId> {
        let mut generations = self.lock();
        ids.filter(|id| generations.use_one(*id)).collect()
    }

    pub(super) fn insert(&self, ids: &[BlobId]) {
        let mut generations = self.lock();
        ids.iter().for_each(|id| generations.insert(*id));
    }

    /// Forgets blobs that a commit found to be gone.
    pub fn forget(&self, ids: &[BlobId]) {
        let mut generations = self.lock();
        for id in ids {
            generations.young.remove(id);
            generations.old.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn use_one(&mut self, id: BlobId) -> bool {
        if self.young.contains(&id) {
            return true;
        }
        let known = self.old.remove(&id);
        if known {
            self.insert(id);
        }
        known
    }

    fn insert(&mut self, id: BlobId) {
        self.young.insert(id);
        if self.young.len() >= self.young_max {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> BlobId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        BlobId::from_bytes(bytes)
    }

    fn knows(known: &KnownBlobs, n: u32) -> bool {
        known.among(std::iter::once(id(n))).contains(&id(n))
    }

    #[test]
    fn what_is_used_stays_while_what_is_not_makes_room() {
        let known = KnownBlobs::new(1000 * ENTRY_BYTES);
        known.insert(&[id(0), id(1)]);

        for n in 2..20_000 {
            known.insert(&[id(n)]);
            assert!(knows(&known, 0), "{n}");
        }

        assert!(!knows(&known, 1));
        let generations = known.lock();
        assert!(generations.young.len() + generations.old.len() <= 1000);
    }

    #[test]
    fn what_is_forgotten_is_forgotten_for_all_who_share_the_index() {
        let known = KnownBlobs::new(100 * ENTRY_BYTES);
        let other = known.clone();
        (0..70).for_each(|n| known.insert(&[id(n)]));

        other.forget(&[id(30), id(69)]);

        assert!(!knows(&known, 30) && !knows(&known, 69) && knows(&known, 31));
    }
}
