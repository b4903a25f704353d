//! Readers of a storage that remember together. What they remember is what can still be read when the packs are gone.

use super::*;
use crate::ids::BlobId;
use crate::repository::store::pack_key;
use crate::repository::{Reader, SharedCaches};

/// What one reader remembers alone, and what all that share remember together.
const ONE_BYTES_MAX: usize = 8 << 20;
const ALL_BYTES_MAX: usize = 16 << 20;
/// Small enough to be grouped with others: groups are what is remembered.
const CONTENT_BYTES: usize = 60_000;
/// Twice what is remembered.
const N_CONTENTS: usize = 2 * ALL_BYTES_MAX / CONTENT_BYTES;
const N_READERS: usize = 6;

/// Contents on a storage, where they are, and which packs hold them.
struct Shelf {
    bench: Bench,
    places: Vec<(PackId, BlobId)>,
    packs: Vec<String>,
}

impl Shelf {
    async fn of(n_contents: usize) -> Self {
        let bench = Bench::new().await;
        let mut packer = bench.packer();
        let contents = (0..n_contents as u64).map(|seed| Some(IngestContent::Raw(noise(seed, CONTENT_BYTES).into())));
        let stored = packer.store(contents.map(|content| item("file", content)).collect()).await.unwrap();
        let ids = bench.commit(&mut packer).await;
        let locations: Vec<_> = stored.iter().map(|one| one.content.as_ref().unwrap().location).collect();
        let places = locations.iter().map(|place| (id(&ids, place.pack), place.blob)).collect();
        let mut packs: Vec<String> = locations.iter().map(|place| pack_key(place.pack)).collect();
        packs.dedup();
        Self { bench, places, packs }
    }

    fn lose_packs(&self) {
        self.packs.iter().for_each(|pack| self.bench.store.backend().delete(pack).unwrap());
    }

    async fn is_read(&self, reader: &Reader, at: usize) -> bool {
        let (pack, blob) = self.places[at];
        let read = reader.content(pack, blob, u64::MAX).await;
        read.is_ok_and(|content| content == noise(at as u64, CONTENT_BYTES))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_together_remember_as_much_as_two_alone() {
    let shelf = Shelf::of(N_CONTENTS).await;
    let shared = SharedCaches::default();
    let (store, db) = (&shelf.bench.store, &shelf.bench.db);
    let readers: Vec<Reader> = (0..N_READERS).map(|_| shared.reader(store, db.clone())).collect();
    let alone = store.reader(db.clone());
    for at in 0..N_CONTENTS {
        assert!(shelf.is_read(&readers[at % N_READERS], at).await);
        assert!(shelf.is_read(&alone, at).await);
    }
    shelf.lose_packs();

    let (mut of_all, mut of_one) = (0, 0);
    for at in (0..N_CONTENTS).rev() {
        of_all += usize::from(shelf.is_read(&readers[(at + 1) % N_READERS], at).await);
        of_one += usize::from(shelf.is_read(&alone, at).await);
    }
    let (of_all, of_one) = (of_all * CONTENT_BYTES, of_one * CONTENT_BYTES);
    assert!(of_one > ONE_BYTES_MAX / 2 && of_one <= ONE_BYTES_MAX, "one reader remembers {of_one} bytes");
    assert!(of_all > ALL_BYTES_MAX * 3 / 4 && of_all <= ALL_BYTES_MAX, "all together remember {of_all} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_reader_opened_is_remembered_as_long_as_any_is_in_use() {
    let shelf = Shelf::of(1).await;
    let shared = SharedCaches::default();
    let (store, db) = (&shelf.bench.store, &shelf.bench.db);
    let first = shared.reader(store, db.clone());
    assert!(shelf.is_read(&first, 0).await);
    shelf.lose_packs();

    let second = shared.reader(store, db.clone());
    drop(first);
    assert!(shelf.is_read(&second, 0).await, "the second does not know what the first has read");
    let copy = second.clone();
    drop(second);
    assert!(shelf.is_read(&shared.reader(store, db.clone()), 0).await, "a copy is a reader in use as well");

    drop(copy);
    assert!(!shelf.is_read(&shared.reader(store, db.clone()), 0).await, "nobody needed it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_another_storage_remember_for_themselves() {
    let shelf = Shelf::of(1).await;
    let shared = SharedCaches::default();
    let (store, db) = (&shelf.bench.store, &shelf.bench.db);
    let ours = shared.reader(store, db.clone());
    assert!(shelf.is_read(&ours, 0).await);
    let backend: Arc<dyn Backend> = Arc::new(Memory::new());
    Store::create(Arc::clone(&backend), Layout::Packed, Crypto::None).await.unwrap();
    let other = Store::open(StorageId::new(store.storage().get() + 1), backend, None).await.unwrap();

    let theirs = shared.reader(&other, db.clone());
    assert!(!shelf.is_read(&theirs, 0).await, "it knows a pack of another storage");
    assert!(shelf.is_read(&shared.reader(store, db.clone()), 0).await);
}
