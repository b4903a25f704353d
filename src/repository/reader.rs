//! Reads blobs and content back. Needs no lock: packs never change, and one that is gone has left word where to look.

mod at_once;
mod ranged;
mod shared;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::assemble::Assembly;
use super::door::blocking;
use super::format::{PackIndex, Scratch};
use super::lru::Lru;
pub(super) use super::pack_end::read_end;
use super::recipe::{Ingredient, Recipe};
use super::scanned::Scanned;
use super::{Store, StoreError, blobs, packs, verify};
use crate::backends::BackendError;
use crate::db::{Conn, Db};
use crate::ids::{BlobId, PackId, PackUid};

pub use ranged::Ranged;
pub use shared::SharedCaches;

/// Memory of one reader: indexes of packs, and opened groups of small blobs.
const INDEXES_BYTES_MAX: usize = 32 << 20;
const GROUPS_BYTES_MAX: usize = 8 << 20;
const PACK_ROWS_MAX: usize = 100_000;
/// Compactions that are followed from one pack to the next.
const MOVES_MAX: u32 = 16;
/// Locations that are looked up again before a blob counts as missing.
const LOOKUPS_MAX: u32 = 3;

/// Reads from one store. Clones share their caches.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    places: Places,
    cache: Arc<Mutex<Cache>>,
}

/// What knows where packs and blobs are.
#[derive(Clone)]
enum Places {
    Catalog(Db),
    Scanned(Arc<Scanned>),
}

struct Cache {
    rows: HashMap<PackId, packs::sql::PackRow>,
    indexes: Lru<PackUid, Arc<PackIndex>>,
    groups: Lru<(PackUid, u32), Bytes>,
}

impl Store {
    pub fn reader(&self, db: Db) -> Reader {
        self.reader_by(Places::Catalog(db))
    }

    /// A reader that needs no database.
    pub fn reader_of(&self, scanned: Arc<Scanned>) -> Reader {
        self.reader_by(Places::Scanned(scanned))
    }

    fn reader_by(&self, places: Places) -> Reader {
        let cache =
            Cache { rows: HashMap::new(), indexes: Lru::new(INDEXES_BYTES_MAX), groups: Lru::new(GROUPS_BYTES_MAX) };
        Reader { store: self.clone(), places, cache: Arc::new(Mutex::new(cache)) }
    }
}

impl Reader {
    /// Reads one blob by the pack that the catalog names, and proves its hash.
    pub async fn read(&self, pack: PackId, blob: BlobId) -> Result<Bytes, StoreError> {
        let mut tries = 1;
        loop {
            let (row, damaged) = self.pack_row(pack).await?;
            match self.read_in(row.uid, blob).await {
                // Compacted since its row was read: the row now says where to.
                Err(StoreError::BlobMissing(_) | StoreError::Backend(BackendError::NotFound(_)))
                    if tries < LOOKUPS_MAX =>
                {
                    tries += 1;
                    self.cache().rows.clear();
                    self.cache().indexes.remove(&row.uid);
                }
                Err(StoreError::BlobMissing(blob)) => {
                    return Err(
                        damaged.map_or(StoreError::BlobMissing(blob), |pack| StoreError::BlobLost { blob, pack })
                    );
                }
                outcome => return outcome,
            }
        }
    }

    /// The name on disk of a pack that the catalog knows, as records need it.
    pub async fn pack_uid(&self, pack: PackId) -> Result<PackUid, StoreError> {
        Ok(self.pack_row(pack).await?.0.uid)
    }

    /// Reads content whole, exactly as it was stored. Refuses more than `bytes_max`.
    pub async fn content(&self, pack: PackId, blob: BlobId, bytes_max: u64) -> Result<Bytes, StoreError> {
        if let Some(whole) = self.at_once(pack, blob, bytes_max).await {
            return Ok(whole);
        }
        let mut pieces = self.pieces(pack, blob).await?;
        if pieces.bytes() > bytes_max {
            return Err(StoreError::TooLarge { bytes: pieces.bytes(), bytes_max });
        }
        let mut whole = Vec::with_capacity(usize::try_from(pieces.bytes()).unwrap_or(0));
        while pieces.append_next(&mut whole).await? {
            if whole.len() as u64 > bytes_max {
                return Err(StoreError::TooLarge { bytes: pieces.bytes(), bytes_max });
            }
        }
        Ok(whole.into())
    }

    /// Writes content of any length to `out` and gives it back. An error leaves `out` half written.
    pub async fn stream<W: Write + Send + 'static>(
        &self,
        pack: PackId,
        blob: BlobId,
        mut out: W,
    ) -> Result<W, StoreError> {
        let mut pieces = self.pieces(pack, blob).await?;
        while let Some(piece) = pieces.next().await? {
            let (back, written) = blocking(move || {
                let written = out.write_all(&piece);
                (out, written)
            })
            .await;
            out = back;
            written.map_err(|err| StoreError::Item(format!("the content cannot be written: {err}")))?;
        }
        Ok(out)
    }

    /// Content piece by piece, each no larger than a chunk.
    pub async fn pieces(&self, pack: PackId, blob: BlobId) -> Result<Pieces, StoreError> {
        let recipe =
            Recipe::decode(&self.read(pack, blob).await?).map_err(|what| StoreError::Unreadable { blob, what })?;
        let assembly = Assembly::new(&recipe, self.store.keys().id_key.expose());
        let (reader, places) = (self.clone(), HashMap::new());
        Ok(Pieces { reader, pack, blob, recipe, assembly: Some(assembly), at: (0, 0), places })
    }

    /// Reads one blob that items share, wherever it lies, and proves its hash.
    pub async fn shared(&self, blob: BlobId) -> Result<Bytes, StoreError> {
        self.read_shared(blob, None).await
    }

    async fn read_shared(&self, blob: BlobId, place: Option<PackId>) -> Result<Bytes, StoreError> {
        let mut place = place;
        let mut tries = 1;
        loop {
            let pack = match place {
                Some(pack) => pack,
                None => match self.places(vec![blob]).await?.get(&blob) {
                    Some(pack) => *pack,
                    None => return Err(self.why_missing(blob).await?),
                },
            };
            match self.read(pack, blob).await {
                Err(
                    StoreError::BlobMissing(_)
                    | StoreError::BlobLost { .. }
                    | StoreError::PackMissing(_)
                    | StoreError::PackBad(_)
                    // This copy may be dead weight, with a sound one elsewhere.
                    | StoreError::Damaged(_)
                    | StoreError::Backend(BackendError::NotFound(_)),
                ) if tries < LOOKUPS_MAX => {
                    tries += 1;
                    place = None;
                }
                outcome => return outcome,
            }
        }
    }

    /// A shared blob without a row was lost with a pack, or never was.
    async fn why_missing(&self, blob: BlobId) -> Result<StoreError, StoreError> {
        let Places::Catalog(db) = &self.places else { return Ok(StoreError::BlobMissing(blob)) };
        let storage = self.store.storage();
        let lost = db.run("find a lost blob", move |conn| match verify::sql::find_lost(conn, storage, blob)? {
            Some(pack) => packs::sql::find_pack(conn, storage, pack),
            None => Ok(None),
        });
        let lost = lost.await?;
        Ok(lost.map_or(StoreError::BlobMissing(blob), |row| StoreError::BlobLost { blob, pack: row.uid }))
    }

    async fn places(&self, blobs: Vec<BlobId>) -> Result<HashMap<BlobId, PackId>, StoreError> {
        let storage = self.store.storage();
        match &self.places {
            Places::Catalog(db) => {
                let look_up = move |conn: &mut Conn| blobs::sql::find_blob_packs(conn, storage, &blobs);
                Ok(db.run("look blobs up", look_up).await?.into_iter().collect())
            }
            Places::Scanned(scanned) => Ok(blobs.into_iter().filter_map(|id| Some((id, scanned.place(id)?))).collect()),
        }
    }

    /// Where blobs lie: in `pack`, as most do that only one item has, or wherever the database says.
    async fn places_near(&self, pack: PackId, blobs: Vec<BlobId>) -> Result<HashMap<BlobId, PackId>, StoreError> {
        let near = match self.pack_uid(pack).await {
            Ok(uid) => self.index(uid).await,
            Err(err) => Err(err),
        };
        // A pack that cannot be looked into may have shared what was in it.
        let Ok(index) = near else { return self.places(blobs).await };
        let (here, elsewhere): (Vec<BlobId>, Vec<BlobId>) =
            blobs.into_iter().partition(|blob| index.find(*blob).is_some());
        let mut places = if elsewhere.is_empty() { HashMap::new() } else { self.places(elsewhere).await? };
        places.extend(here.into_iter().map(|blob| (blob, pack)));
        Ok(places)
    }

    /// The row of the pack where the content of `pack` lies now, and the damaged one that it was saved from, if it was.
    async fn pack_row(&self, pack: PackId) -> Result<(packs::sql::PackRow, Option<PackUid>), StoreError> {
        let mut next = pack;
        let mut damaged = None;
        for _ in 0..MOVES_MAX {
            let known = self.cache().rows.get(&next).copied();
            let row = match known {
                Some(row) => row,
                None => self.load_row(next).await?,
            };
            match (row.state, row.moved_to) {
                (packs::sql::PackState::Dead, Some(moved_to)) => next = moved_to,
                (packs::sql::PackState::Bad, Some(moved_to)) => {
                    damaged = Some(row.uid);
                    next = moved_to;
                }
                (packs::sql::PackState::Bad, None) => return Err(StoreError::PackBad(row.uid)),
                (packs::sql::PackState::Live | packs::sql::PackState::Dead | packs::sql::PackState::Discarded, _) => {
                    return Ok((row, damaged));
                }
            }
        }
        Err(StoreError::PackMissing(pack))
    }

    async fn load_row(&self, pack: PackId) -> Result<packs::sql::PackRow, StoreError> {
        let storage = self.store.storage();
        let found = match &self.places {
            Places::Catalog(db) => {
                db.run("find a pack", move |conn| packs::sql::find_pack(conn, storage, pack)).await?
            }
            Places::Scanned(scanned) => scanned.row(pack),
        };
        let row = found.ok_or(StoreError::PackMissing(pack))?;
        let mut cache = self.cache();
        if cache.rows.len() >= PACK_ROWS_MAX {
            cache.rows.clear();
        }
        cache.rows.insert(pack, row);
        Ok(row)
    }

    async fn read_in(&self, pack: PackUid, blob: BlobId) -> Result<Bytes, StoreError> {
        let index = self.index(pack).await?;
        let entry = *index.find(blob).ok_or(StoreError::BlobMissing(blob))?;
        let known = self.cache().groups.get(&(pack, entry.frame));
        if let Some(frame) = known {
            // Small blobs share groups: to hash one is less than to have another thread do it.
            let plain = index.cut(&entry, &frame, self.store.keys().id_key.expose())?;
            return Ok(frame.slice_ref(plain));
        }
        let reader = self.clone();
        blocking(move || {
            let frame = Scratch::lend(|scratch| reader.open_frame(scratch, &index, &entry))?;
            let plain = index.cut(&entry, &frame, reader.store.keys().id_key.expose())?;
            Ok(frame.slice_ref(plain))
        })
        .await
    }

    async fn index(&self, pack: PackUid) -> Result<Arc<PackIndex>, StoreError> {
        let known = self.cache().indexes.get(&pack);
        if let Some(index) = known {
            return Ok(index);
        }
        let reader = self.clone();
        blocking(move || reader.index_now(pack)).await
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Content on its way out.
pub struct Pieces {
    reader: Reader,
    /// Where the recipe lies.
    pack: PackId,
    blob: BlobId,
    recipe: Recipe,
    /// `None` once the end was reached and found right.
    assembly: Option<Assembly>,
    /// The next step and, in it, the next ingredient.
    at: (usize, usize),
    /// Where the next ingredients lie.
    places: HashMap<BlobId, PackId>,
}

impl Pieces {
    /// The length of the content.
    pub fn bytes(&self) -> u64 {
        self.recipe.bytes
    }

    /// The next piece, or `None` at the end, once the whole is proved to be what was stored.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut out = Vec::new();
        Ok(self.append_next(&mut out).await?.then(|| out.into()))
    }

    /// Appends the next piece to `out`; false at the end.
    async fn append_next(&mut self, out: &mut Vec<u8>) -> Result<bool, StoreError> {
        let before = out.len();
        while out.len() == before {
            let Some(mut assembly) = self.assembly.take() else { return Ok(false) };
            let (step_at, part_at) = self.at;
            let Some(step) = self.recipe.steps.get(step_at) else {
                let blob = self.blob;
                return assembly.finish().map(|()| false).map_err(|what| StoreError::Unreadable { blob, what });
            };
            if part_at == 0 {
                assembly.begin(step, out);
            }
            match step.ingredients().get(part_at).copied() {
                Some(part) => {
                    let plain = self.ingredient(part).await?;
                    assembly.add(&plain, out);
                    self.at = (step_at, part_at + 1);
                }
                None => {
                    assembly.end(out);
                    self.at = (step_at + 1, 0);
                }
            }
            self.assembly = Some(assembly);
        }
        Ok(true)
    }

    async fn ingredient(&mut self, part: Ingredient) -> Result<Bytes, StoreError> {
        if !self.places.contains_key(&part.blob) {
            let (step_at, part_at) = self.at;
            let here = self.recipe.steps.get(step_at).map_or(&[][..], |step| &step.ingredients()[part_at..]);
            let later = self.recipe.steps.iter().skip(step_at + 1).flat_map(|step| step.ingredients());
            let window = here.iter().chain(later).map(|part| part.blob).take(blobs::sql::PAGE_ROWS).collect();
            self.places = self.reader.places_near(self.pack, window).await?;
        }
        let plain = self.reader.read_shared(part.blob, self.places.get(&part.blob).copied()).await?;
        if plain.len() != part.bytes as usize {
            let what = format!("part {} has {} bytes instead of {}", part.blob, plain.len(), part.bytes);
            return Err(StoreError::Unreadable { blob: self.blob, what });
        }
        Ok(plain)
    }
}
