//! `kill -9` in the middle of work: what was committed can be read, and no pack under its final name is broken.
//!
//! The test starts this very test program again as the victim, in a directory that holds [`ORDERS`].

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::backends::{Filesystem, Profile};
use crate::db::{DatabaseConfig, connect};
use crate::ids::BlobId;
use crate::repository::Depth;

const ORDERS: &str = "kodo-victim.json";
const ACKNOWLEDGED: &str = "acknowledged";
const VICTIM: &str = "repository::tests::kill::a_victim_stores_until_it_is_killed";
const ROUNDS: u64 = 6;
/// A victim that nobody kills ends by itself.
const COMMITS_MAX: u64 = 2000;

#[derive(Serialize, Deserialize)]
struct Orders {
    url: String,
    storage: u32,
}

/// One item that the victim was told is committed.
#[derive(Serialize, Deserialize)]
struct Acknowledged {
    pack: u32,
    blob: String,
    seed: u64,
}

fn content(seed: u64) -> Bytes {
    // Every third attachment is one of a few that everybody shares.
    let attachment = if seed.is_multiple_of(3) { seed % 4 } else { seed };
    mail(&format!("mail {seed}"), &noise(attachment, 40_000))
}

async fn open(path: &Path, storage: u32) -> Store {
    let backend = Arc::new(Filesystem::open(&path.join("store"), Profile::Local, "victim").unwrap());
    Store::open(StorageId::new(storage), backend, None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_stores_until_it_is_killed() {
    let here = Path::new(".");
    let Ok(orders) = std::fs::read(here.join(ORDERS)) else { return };
    let orders: Orders = serde_json::from_slice(&orders).unwrap();
    let db = connect(&orders.url, &DatabaseConfig { pool_size: 2, ..DatabaseConfig::default() }).unwrap();
    let store = open(here, orders.storage).await;
    let writer = register(&db, store.storage()).await;
    let mut packer = store.packer(db.clone(), writer);
    let mut acknowledged = std::fs::OpenOptions::new().create(true).append(true).open(ACKNOWLEDGED).unwrap();
    let first: u64 = rand::random::<u32>().into();
    for commit in 0..COMMITS_MAX {
        let seeds: Vec<u64> = (0..4).map(|n| first + commit * 4 + n).collect();
        let batch = seeds.iter().map(|seed| item("x", Some(IngestContent::Mime(content(*seed))))).collect();
        let stored = packer.store(batch).await.unwrap();
        let flushed = packer.flush().await.unwrap();
        let storage = store.storage();
        let ids = db.transaction("commit", move |conn| crate::repository::commit(conn, storage, writer, &flushed));
        let ids = ids.await.unwrap();
        for (seed, stored) in seeds.into_iter().zip(stored) {
            let place = stored.content.unwrap().location;
            let line = Acknowledged { pack: id(&ids, place.pack).get(), blob: place.blob.to_string(), seed };
            writeln!(acknowledged, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        }
    }
}

fn start_victim(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", VICTIM])
        .current_dir(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn acknowledged(path: &Path) -> Vec<Acknowledged> {
    let text = std::fs::read_to_string(path.join(ACKNOWLEDGED)).unwrap_or_default();
    // The last line may be cut by the kill.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_a_kill_can_be_read_after_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let backend = Arc::new(Filesystem::open(&dir.path().join("store"), Profile::Local, "victim").unwrap());
    let bench = Bench::on(backend, Layout::Packed, Crypto::None).await;
    let orders = Orders { url: bench.server.url.clone(), storage: bench.store.storage().get() };
    std::fs::write(dir.path().join(ORDERS), serde_json::to_vec(&orders).unwrap()).unwrap();

    let mut n_known = 0;
    for round in 0..ROUNDS {
        let mut victim = start_victim(dir.path());
        while acknowledged(dir.path()).len() == n_known {
            assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(37 * round)).await;
        victim.kill().unwrap();
        victim.wait().unwrap();
        n_known = acknowledged(dir.path()).len();
    }

    let reader = bench.store.reader(bench.db.clone());
    for Acknowledged { pack, blob, seed } in acknowledged(dir.path()) {
        let blob = BlobId::from_hex(&blob).unwrap();
        assert_eq!(reader.content(PackId::new(pack), blob, u64::MAX).await.unwrap(), content(seed));
    }
    let mut n_packs = 0;
    for folder in 0..=255 {
        for pack in bench.store.list_packs(folder).await.unwrap() {
            bench.store.check_pack(pack.uid, Depth::Content).await.unwrap();
            n_packs += 1;
        }
    }
    let totals = crate::repository::storage_totals(&bench.db, bench.store.storage()).await.unwrap();
    // At most one orphan a kill, and at most one temporary file.
    assert!((totals.n_packs..=totals.n_packs + ROUNDS).contains(&n_packs), "{n_packs} of {}", totals.n_packs);
    assert!(u64::from(bench.store.remove_leftovers().await.unwrap()) <= ROUNDS);
}
