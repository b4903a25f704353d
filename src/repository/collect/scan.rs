//! What is in use: one pass over all items marks it, for a range of blobs and a window of packs that fit in memory.

use std::sync::Arc;

use super::marks::Marks;
use super::{CollectError, Collection, Reference, References, Step};
use crate::ids::{BlobId, PackId};
use crate::repository::packs::sql::{self as packs, HeldPack};

/// Packs that are weighed in one pass.
const PACKS_MAX: usize = 50_000;
/// Rows of packs that lead to others, read at once.
const MOVES_ROWS: u32 = 10_000;
/// Packs that are followed from one to the next.
const MOVES_DEEP: usize = 16;
const LOWEST: BlobId = BlobId::from_bytes([0; 16]);
/// A mark of a shared blob, and of an own one with its pack.
const SHARED_MARK_BYTES: usize = size_of::<BlobId>();
const OWN_MARK_BYTES: usize = size_of::<OwnBlob>();

/// A recipe or properties, by the pack that it lies in now.
pub(super) type OwnBlob = (PackId, BlobId);

/// How far a collection is: where the next pass begins. `None`: everything was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    shared_from: Option<BlobId>,
    packs_from: Option<PackId>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { shared_from: Some(LOWEST), packs_from: Some(PackId::new(0)) }
    }
}

/// What one pass found.
#[derive(Debug)]
pub struct Marked {
    /// When the pass began, in microseconds by the database's clock.
    pub(super) start_us: u64,
    /// The newest pack when it began. Of younger ones it does not know the items.
    pub(super) newest: PackId,
    pub(super) shared: Option<(BlobId, Arc<Marks<BlobId>>)>,
    pub(super) window: Option<Window>,
    pub(super) moves: Moves,
}

/// Packs to be weighed, all of which were committed before the pass began, with what is in use of them.
#[derive(Debug)]
pub(super) struct Window {
    pub packs: Vec<HeldPack>,
    marks: Marks<OwnBlob>,
}

impl Window {
    /// What items need of a pack beside shared blobs, in ascending order.
    pub fn own(&self, pack: PackId) -> impl Iterator<Item = BlobId> {
        let next = PackId::new(pack.get().saturating_add(1));
        self.marks.between((pack, LOWEST), (next, LOWEST)).iter().map(|(_, blob)| *blob)
    }
}

/// Where packs lead whose content was moved.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// By pack, in ascending order.
    moves: Vec<Move>,
}

#[derive(Debug)]
struct Move {
    from: PackId,
    to: PackId,
    /// The file is gone: the row does nothing but lead on.
    gone: bool,
    /// An item names the pack.
    referred: bool,
}

impl Moves {
    fn find(&self, pack: PackId) -> Option<usize> {
        self.moves.binary_search_by_key(&pack, |known| known.from).ok()
    }

    /// Where an item finds now what it looks for in a pack.
    fn follow(&mut self, pack: PackId) -> PackId {
        if let Some(at) = self.find(pack) {
            self.moves[at].referred = true;
        }
        let mut end = pack;
        for _ in 0..MOVES_DEEP {
            match self.find(end) {
                Some(at) => end = self.moves[at].to,
                None => break,
            }
        }
        end
    }

    /// Rows that nobody needs any more.
    pub fn idle(&self) -> Vec<PackId> {
        self.moves.iter().filter(|known| known.gone && !known.referred).map(|known| known.from).collect()
    }
}

impl<R: References> Collection<R> {
    /// Step 1: the next pass over all items. `None`: everything was looked at.
    pub async fn scan(&mut self) -> Result<Option<Marked>, CollectError> {
        let Progress { shared_from, packs_from } = self.progress;
        if shared_from.is_none() && packs_from.is_none() {
            return Ok(None);
        }
        let storage = self.store.storage();
        let begin = self
            .db
            .run("begin a scan", move |conn| Ok((packs::read_clock_us(conn)?, packs::newest_pack(conn, storage)?)));
        let (start_us, newest) = begin.await?;
        let n_max = |mark_bytes: usize| self.limits.memory_bytes / 2 / mark_bytes;
        let mut shared = shared_from.map(|from| Marks::new(from, None, n_max(SHARED_MARK_BYTES), |blob| blob));
        let mut window = match packs_from {
            Some(from) => Some(self.window(from, newest, n_max(OWN_MARK_BYTES)).await?),
            None => None,
        };
        let mut moves = self.load_moves().await?;
        let mut from = None;
        loop {
            let references = Arc::clone(&self.references);
            let page = self.db.run("scan items", move |conn| references.page(conn, storage, from)).await?;
            self.done.items_scanned += page.references.len() as u64;
            for reference in &page.references {
                note(reference, shared.as_mut(), window.as_mut(), &mut moves);
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        self.progress = Progress { shared_from: None, packs_from: None };
        if let Some(marks) = &mut shared {
            marks.settle();
            self.progress.shared_from = marks.below();
        }
        if let Some(window) = &mut window {
            window.marks.settle();
            self.progress.packs_from = window.marks.below().map(|(pack, _)| pack);
            if let Some(below) = self.progress.packs_from {
                window.packs.retain(|pack| pack.id < below);
            }
        }
        self.done.passes += 1;
        self.reached(Step::Scanned)?;
        let shared = shared_from.zip(shared.map(Arc::new));
        Ok(Some(Marked { start_us, newest, shared, window, moves }))
    }

    /// Reads which packs there are *before* the items are read: a pack that is committed meanwhile has items that the
    /// scan may not see.
    async fn window(&self, from: PackId, newest: PackId, n_max: usize) -> Result<Window, CollectError> {
        let (storage, after) = (self.store.storage(), PackId::new(from.get().saturating_sub(1)));
        let mut held =
            self.db.run("list packs", move |conn| packs::held_packs(conn, storage, after, PACKS_MAX)).await?;
        let full = held.len() == PACKS_MAX;
        held.retain(|pack| pack.id <= newest);
        let last = held.last().map_or(newest, |pack| if full { pack.id } else { newest });
        let end = PackId::new(last.get().saturating_add(1));
        let below = full.then_some((end, LOWEST));
        Ok(Window { packs: held, marks: Marks::new((from, LOWEST), below, n_max, |(pack, _)| (pack, LOWEST)) })
    }

    async fn load_moves(&self) -> Result<Moves, CollectError> {
        let storage = self.store.storage();
        let mut moves = Vec::new();
        let mut after = PackId::new(0);
        loop {
            let page =
                self.db.run("list moved packs", move |conn| packs::moved_packs(conn, storage, after, MOVES_ROWS));
            let page = page.await?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            moves.extend(page.into_iter().map(|(from, to, gone)| Move { from, to, gone, referred: false }));
        }
        Ok(Moves { moves })
    }
}

fn note(reference: &Reference, shared: Option<&mut Marks<BlobId>>, window: Option<&mut Window>, moves: &mut Moves) {
    if let Some(marks) = shared {
        reference.shared.iter().for_each(|blob| marks.add(*blob));
    }
    let own = [Some(reference.properties), reference.content];
    let mut marks = window.map(|window| &mut window.marks);
    for (pack, blob) in own.into_iter().flatten() {
        let lies_in = moves.follow(pack);
        if let Some(marks) = &mut marks {
            marks.add((lies_in, blob));
        }
    }
}
