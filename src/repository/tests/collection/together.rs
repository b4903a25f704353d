//! Two writers, a collection without grace that is stopped again and again, and readers, all at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::repository::{retire_writer, storage_totals};

/// Rounds of a writer at least, and at most while no pack was compacted yet.
const ROUNDS: u32 = 25;
const ROUNDS_MAX: u32 = 1000;
const SEEDS: u32 = 40;
/// How often a page is stored again because collection took something away.
const TRIES_MAX: u32 = 10;

/// What the tasks of the test share.
#[derive(Clone)]
struct Scene {
    db: Db,
    store: Store,
    n_compacted: Arc<AtomicU64>,
}

impl Scene {
    async fn register(&self) -> WriterId {
        register(&self.db, self.store.storage()).await
    }

    async fn retire(&self, writer: WriterId) {
        self.db.run("retire", move |conn| retire_writer(conn, writer)).await.unwrap();
    }

    /// Stores, commits and removes items; now and then it dies with a pack published and comes back.
    async fn write(self, mut dice: Dice) {
        let mut writer = self.register().await;
        let mut packer = self.store.packer(self.db.clone(), writer);
        for round in 0..ROUNDS_MAX {
            if round >= ROUNDS && self.n_compacted.load(Ordering::Relaxed) > 0 {
                break;
            }
            let seeds: Vec<u32> = (0..3).map(|_| dice.below(SEEDS)).collect();
            let mut pending = store_items(&mut packer, &seeds).await.unwrap();
            if round % 6 == 5 {
                self.retire(writer).await;
                writer = self.register().await;
                packer = self.store.packer(self.db.clone(), writer);
                continue;
            }
            let mut tries = 1;
            while let Err(err) = commit_items(&self.db, self.store.storage(), writer, &pending).await {
                let TxError::Refused(CommitRefused::ReusedBlobGone(gone)) = err else { panic!("{err}") };
                assert!(tries < TRIES_MAX, "a page is refused again and again");
                tries += 1;
                packer.forget(&gone);
                pending = store_items(&mut packer, &seeds).await.unwrap();
            }
            let rows = list_items(&self.db).await;
            let dead = rows.iter().filter(|_| dice.below(4) == 0).map(|row| row.id).collect();
            remove_items(&self.db, dead).await;
        }
        self.retire(writer).await;
    }

    async fn collect(self, mut dice: Dice, ended: Arc<AtomicBool>) -> u64 {
        let (mut n_stopped, mut n_rounds) = (0, 0);
        while !ended.load(Ordering::Relaxed) {
            let writer = self.register().await;
            let held = Arc::new(|_: &mut crate::db::Conn| Ok(()));
            let collection = self.store.collection(self.db.clone(), writer, TestItems, held, AT_ONCE);
            // The first one stops for certain: every collection scans.
            let step = if n_rounds == 0 { Some(&Step::Scanned) } else { Step::ALL.get(dice.below(12) as usize) };
            n_rounds += 1;
            let mut collection = match step {
                Some(step) => collection.stop_at(*step),
                None => collection,
            };
            match run_all(&mut collection).await {
                Ok(_) => {}
                Err(CollectError::Stopped(_)) => n_stopped += 1,
                Err(err) => panic!("{err}"),
            }
            self.n_compacted.fetch_add(collection.done().packs_compacted, Ordering::Relaxed);
            self.retire(writer).await;
        }
        n_stopped
    }

    async fn read(self, mut dice: Dice, ended: Arc<AtomicBool>) -> u64 {
        let mut n_read = 0;
        let mut reader = self.store.reader(self.db.clone());
        while !ended.load(Ordering::Relaxed) {
            let rows = list_items(&self.db).await;
            let Some(row) = rows.get(dice.below(u32::try_from(rows.len()).unwrap().max(1)) as usize) else { continue };
            if let Some(loss) = loss(&reader, row).await {
                let is_there = list_items(&self.db).await.iter().any(|known| known.id == row.id);
                assert!(!is_there, "{loss}");
            }
            n_read += 1;
            if n_read % 20 == 0 {
                reader = self.store.reader(self.db.clone());
            }
        }
        n_read
    }
}

/// A small generator of our own, so that each part of the test has its own sequence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_readers_and_a_collection_that_is_stopped_again_and_again_lose_nothing() {
    let yard = Yard::new().await;
    let scene = Scene { db: yard.bench.db.clone(), store: yard.bench.store.clone(), n_compacted: Arc::default() };
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let dice = |n: u64| Dice(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let ended = Arc::new(AtomicBool::new(false));

    let collecting = tokio::spawn(scene.clone().collect(dice(1), Arc::clone(&ended)));
    let reading = tokio::spawn(scene.clone().read(dice(2), Arc::clone(&ended)));
    let writing = [dice(3), dice(4)].map(|dice| tokio::spawn(scene.clone().write(dice)));
    for written in writing {
        written.await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    let n_stopped = collecting.await.unwrap();
    let n_compacted = scene.n_compacted.load(Ordering::Relaxed);
    let n_read = reading.await.unwrap();

    assert!(n_compacted > 0 && n_stopped > 0 && n_read > 0, "{n_compacted} {n_stopped} {n_read}");
    assert_eq!(yard.losses().await, Vec::<String>::new());
    for _ in 0..3 {
        yard.collect().await;
    }
    assert_eq!(yard.losses().await, Vec::<String>::new());
    let totals = storage_totals(&yard.bench.db, yard.bench.store.storage()).await.unwrap();
    assert_eq!(totals.n_packs, yard.packs().await.len() as u64, "every file is a pack of the store");
}
