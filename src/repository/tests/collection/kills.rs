//! `kill -9` in the middle of storing, collecting and compacting.
//!
//! The test starts this very test program again as the victim, in a directory that holds [`ORDERS`].

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::*;
use crate::backends::{Filesystem, Profile};
use crate::db::{DatabaseConfig, connect};
use crate::repository::{mark_dead_writers, storage_totals};

const ORDERS: &str = "kodo-collecting-victim.json";
const VICTIM: &str = "repository::tests::collection::kills::a_victim_collects_until_it_is_killed";
/// Few for every day; `KODO_KILL_ROUNDS` at build time asks for more.
const ROUNDS: u64 = 6;
/// A victim that nobody kills ends by itself.
const CYCLES_MAX: u32 = 5000;
/// The longest that a victim works after its first commit.
const LIFE_MS_MAX: u64 = 700;

#[derive(Serialize, Deserialize)]
struct Orders {
    url: String,
    storage: u32,
}

fn rounds() -> u64 {
    option_env!("KODO_KILL_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

async fn open(path: &Path, storage: u32) -> Store {
    let backend = Arc::new(Filesystem::open(&path.join("store"), Profile::Local, "victim").unwrap());
    Store::open(StorageId::new(storage), backend, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_collects_until_it_is_killed() {
    let here = Path::new(".");
    let Ok(orders) = std::fs::read(here.join(ORDERS)) else { return };
    let orders: Orders = serde_json::from_slice(&orders).unwrap();
    let db = connect(&orders.url, &DatabaseConfig { pool_size: 4, ..DatabaseConfig::default() }).unwrap();
    let store = open(here, orders.storage).await;
    let storage = store.storage();
    store.remove_leftovers().await.unwrap();
    // Those before it were killed.
    db.run("mark", move |conn| mark_dead_writers(conn, storage, Duration::ZERO)).await.unwrap();
    let writer = register(&db, storage).await;
    let mut packer = store.packer(db.clone(), writer);
    for _ in 0..CYCLES_MAX {
        for _ in 0..3 {
            let seeds: Vec<u32> = (0..3).map(|_| rand::random_range(0..200)).collect();
            let pending = store_items(&mut packer, &seeds).await.unwrap();
            match commit_items(&db, storage, writer, &pending).await {
                Ok(()) => {}
                Err(TxError::Refused(CommitRefused::ReusedBlobGone(gone))) => packer.forget(&gone),
                Err(err) => panic!("{err}"),
            }
        }
        let rows = list_items(&db).await;
        remove_items(&db, rows.iter().filter(|_| rand::random_range(0..3) == 0).map(|row| row.id).collect()).await;
        let held = Arc::new(|_: &mut crate::db::Conn| Ok(()));
        let mut collection = store.collection(db.clone(), writer, TestItems, held, AT_ONCE);
        run_all(&mut collection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_packs_are_collected_and_compacted_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let backend = Arc::new(Filesystem::open(&dir.path().join("store"), Profile::Local, "victim").unwrap());
    let yard = Yard::on(backend, Layout::Packed, Crypto::None).await;
    let orders = Orders { url: yard.bench.server.url.clone(), storage: yard.bench.store.storage().get() };
    std::fs::write(dir.path().join(ORDERS), serde_json::to_vec(&orders).unwrap()).unwrap();

    let mut newest = 0;
    for _ in 0..rounds() {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", VICTIM])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let last = |rows: &[Row]| rows.last().map_or(0, |row| row.id);
        while last(&list_items(&yard.bench.db).await) <= newest {
            assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..LIFE_MS_MAX))).await;
        assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
        victim.kill().unwrap();
        victim.wait().unwrap();
        newest = last(&list_items(&yard.bench.db).await);
        assert_eq!(yard.losses().await, Vec::<String>::new());
        yard.packs().await;
    }

    let storage = yard.bench.store.storage();
    yard.bench.db.run("mark", move |conn| mark_dead_writers(conn, storage, Duration::ZERO)).await.unwrap();
    let writer = register(&yard.bench.db, storage).await;
    let yard = Yard { bench: Bench { writer, ..yard.bench } };
    for _ in 0..3 {
        yard.collect().await;
    }
    assert_eq!(yard.losses().await, Vec::<String>::new());
    let totals = storage_totals(&yard.bench.db, storage).await.unwrap();
    assert_eq!(totals.n_packs, yard.packs().await.len() as u64, "every file is a pack of the store");
}
