//! The catalog against a real MariaDB: what containers are said to hold is what is in them, at every point.

use std::collections::{HashMap, HashSet};

use kodo::catalog::items::{self, Held, Within};
use kodo::catalog::{self, ChainKey, ContentRef, Holding, NewVersion};
use kodo::db::{Conn, Db, QueryResult};
use kodo::ids::{
    BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, ResourceId, StorageId, TaskId, WalkNumber,
};
use kodo::repository::{self, CommitRefused, Flushed};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::mariadb::MariaDb;

const CONTAINERS: u32 = 4;
const ITEMS: u32 = 60;
const POINTS: u32 = 6;
const WRITES_PER_POINT: u32 = 5;
const SEED: u64 = 11;

fn key(item: u32) -> ItemKey {
    ItemKey::of(&item.to_string())
}

fn version(item: u32, container: u32, bytes: u64) -> NewVersion {
    let place = ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([0; 16]) };
    NewVersion {
        key: key(item),
        container: ContainerId::new(container),
        full_walk: WalkNumber::FIRST,
        kind: 1,
        flags: 0,
        change_tag: 0,
        name: String::new(),
        party: String::new(),
        parent: None,
        // Few different times, so that pages end between items of the same one.
        time: chrono::DateTime::from_timestamp(1_700_000_000 + i64::from(item / 7), 0).unwrap(),
        bytes,
        properties: place,
        content: None,
        refs: Vec::new(),
    }
}

async fn database() -> (MariaDb, Db, ChainId) {
    let server = MariaDb::start().await.unwrap();
    let db = server.connect().unwrap();
    let key =
        ChainKey { resource: ResourceId::new(1), feature: "mailbox".parse().unwrap(), storage: StorageId::new(1) };
    let chain = db.run("make a chain", move |conn| Ok(catalog::chains::open(conn, &key)?.id)).await.unwrap();
    (server, db, chain)
}

fn some_items(dice: &mut StdRng) -> Vec<u32> {
    (0..ITEMS).filter(|_| dice.random_bool(0.3)).collect()
}

/// One commit: arrivals, changes, moves and removals at random.
fn write_something(conn: &mut Conn, chain: ChainId, point: PointNumber, dice: &mut StdRng) -> QueryResult<()> {
    let new: Vec<NewVersion> = some_items(dice)
        .into_iter()
        .map(|item| version(item, dice.random_range(1..=CONTAINERS), dice.random_range(0..10_000)))
        .collect();
    items::put(conn, chain, point, &new)?;
    let left: Vec<ItemKey> = some_items(dice).into_iter().map(key).collect();
    let container = dice.random_bool(0.7).then(|| ContainerId::new(dice.random_range(1..=CONTAINERS)));
    items::remove(conn, chain, point, container, &left)?;
    Ok(())
}

/// What a container holds, by looking at every item in it.
fn counted(conn: &mut Conn, chain: ChainId, point: PointNumber, container: ContainerId) -> QueryResult<Holding> {
    let all = items::browse(conn, chain, point, (container, Within::Anywhere), None, ITEMS)?;
    Ok(Holding { items: all.len() as u64, bytes: all.iter().map(|row| row.version.bytes).sum() })
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_hold_as_much_as_their_items_say_as_of_every_point() {
    let (_server, db, chain) = database().await;
    let containers: Vec<ContainerId> = (1..=CONTAINERS).map(ContainerId::new).collect();

    let held = db.run("write and count", move |conn| {
        let mut dice = StdRng::seed_from_u64(SEED);
        for number in 1..=POINTS {
            let point = catalog::points::open_point(conn, chain, None, TaskId::new(1))?;
            assert_eq!(point, PointNumber::new(number));
            for _ in 0..WRITES_PER_POINT {
                write_something(conn, chain, point, &mut dice)?;
            }
            catalog::points::seal(conn, chain, point, 0)?;
        }
        let mut held = Vec::new();
        for point in (1..=POINTS).map(PointNumber::new) {
            let told = catalog::tallies::as_of(conn, point, &containers)?;
            let mut counts = HashMap::new();
            for container in &containers {
                counts.insert(*container, counted(conn, chain, point, *container)?);
            }
            held.push((told, counts));
        }
        Ok(held)
    });

    for (told, counts) in held.await.unwrap() {
        for (container, count) in &counts {
            assert_eq!(told.get(container).copied().unwrap_or_default(), *count, "container {container}");
        }
        assert!(counts.values().any(|count| count.items > 0), "the test wrote nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_holds_comes_page_by_page_each_item_once_while_it_is_removed() {
    let (_server, db, chain) = database().await;
    let container = ContainerId::new(1);

    let pages = db.run("end a container", move |conn| {
        let point = catalog::points::open_point(conn, chain, None, TaskId::new(1))?;
        let all: Vec<NewVersion> = (0..ITEMS).map(|item| version(item, 1 + item % 2, 1)).collect();
        items::put(conn, chain, point, &all)?;
        catalog::points::seal(conn, chain, point, 0)?;
        let point = catalog::points::open_point(conn, chain, None, TaskId::new(2))?;
        let mut pages: Vec<Vec<Held>> = Vec::new();
        loop {
            let after = pages.last().and_then(|page| page.last()).map(|held| held.at);
            let page = items::unmet(conn, chain, WalkNumber::new(2), container, after, 4)?;
            if page.is_empty() {
                let held = catalog::tallies::as_of(conn, point, &[container])?;
                return Ok((pages, held[&container]));
            }
            let keys: Vec<ItemKey> = page.iter().map(|held| held.key).collect();
            items::remove(conn, chain, point, Some(container), &keys)?;
            pages.push(page);
        }
    });

    let (pages, left) = pages.await.unwrap();
    let met: Vec<ItemKey> = pages.into_iter().flatten().map(|held| held.key).collect();
    let wanted: HashSet<ItemKey> = (0..ITEMS).filter(|item| item % 2 == 0).map(key).collect();
    assert_eq!(met.len(), wanted.len());
    assert_eq!(met.into_iter().collect::<HashSet<_>>(), wanted);
    assert_eq!(left, Holding::default());
}

#[tokio::test]
async fn what_a_commit_looks_up_is_prepared_once_for_each_of_few_forms() {
    let (server, db, chain) = database().await;
    let storage = StorageId::new(1);
    let known = "INSERT INTO storages (id, name, backend, settings, store_uuid, layout, created_at) \
         VALUES (1, 'main', 'filesystem', '{}', REPEAT('x', 16), 'packed', NOW())";
    server.execute(known).unwrap();
    let register = move |conn: &mut Conn| repository::register_writer(conn, storage, "agent");
    let writer = db.run("register a writer", register).await.unwrap();
    let before = server.statements_prepared().unwrap();

    for n_keys in (1..=16).chain(1..=16) {
        let look_up = db.transaction::<_, CommitRefused, _>("look up", move |conn| {
            repository::commit(conn, storage, writer, &Flushed::default())?;
            Ok(items::known(conn, chain, &(0..n_keys).map(key).collect::<Vec<_>>())?)
        });
        look_up.await.unwrap();
    }

    let n_prepared = server.statements_prepared().unwrap() - before;
    assert!(n_prepared <= 12, "{n_prepared} statements for 32 commits of five forms");
}
