//! What stays, what goes, and what is left for others to decide.

use super::*;
use crate::backends::{Filesystem, Profile};
use crate::repository::packs::sql::moved_packs;
use crate::repository::retire_writer;
use crate::repository::store::pack_key;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_stays_and_the_rest_goes_in_every_layout() {
    for (layout, crypto) in
        [(Layout::Packed, Crypto::Aes256Gcm), (Layout::Packed, Crypto::None), (Layout::Aligned, Crypto::None)]
    {
        let yard = Yard::on(Arc::new(Memory::new()), layout, crypto).await;
        yard.put(&(0..20).collect::<Vec<_>>()).await;
        yard.put(&(20..30).collect::<Vec<_>>()).await;
        let (dead, before) = ((0..16).collect::<Vec<_>>(), yard.bytes().await);
        yard.forget(&dead).await;

        let first = yard.collect().await;
        assert!(first.blobs_condemned > 12 && first.blobs_given_up == 0, "{first:?}");
        assert_eq!((first.packs_compacted, yard.bytes().await), (0, before), "what may be saved is not given up");
        let second = yard.collect().await;

        assert_eq!(second.blobs_given_up, first.blobs_condemned);
        assert_eq!((second.packs_compacted, second.packs_written, second.files_deleted), (1, 1, 1), "{second:?}");
        assert_eq!(second.blobs_dropped, first.blobs_condemned);
        assert!(yard.bytes().await < before * 7 / 10, "{} of {before}", yard.bytes().await);
        assert_eq!(yard.losses().await, Vec::<String>::new());
        let third = yard.collect().await;
        assert_eq!((third.blobs_condemned, third.packs_compacted), (0, 0), "{third:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_takes_more_passes_to_the_same_end() {
    let yard = Yard::new().await;
    for first in [0, 20, 40] {
        yard.put(&(first..first + 20).collect::<Vec<_>>()).await;
    }
    yard.forget(&(0..15).collect::<Vec<_>>()).await;
    let limits = Limits { memory_bytes: 1500, ..AT_ONCE };

    let first = run_all(&mut yard.collection(limits)).await.unwrap();
    let second = run_all(&mut yard.collection(limits)).await.unwrap();

    assert!(first.passes > 2, "{first:?}");
    assert!(first.blobs_condemned > 15 && second.blobs_given_up == first.blobs_condemned, "{first:?} {second:?}");
    // A pack may have been weighed before all of its blobs were judged.
    let third = run_all(&mut yard.collection(limits)).await.unwrap();
    assert_eq!(second.packs_compacted + third.packs_compacted, 1, "{second:?} {third:?}");
    assert_eq!(yard.losses().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_packs_are_merged_once() {
    let yard = Yard::new().await;
    for seed in 0..8 {
        yard.put(&[seed]).await;
    }

    let merged = yard.collect().await;

    assert_eq!((merged.packs_compacted, merged.packs_written, merged.files_deleted), (8, 1, 8), "{merged:?}");
    assert_eq!((yard.packs().await.len(), yard.losses().await), (1, Vec::new()));
    let again = yard.collect().await;
    assert_eq!(again.packs_compacted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_stay_good_over_many_compactions_and_their_rows_go_with_the_last_item() {
    let yard = Yard::new().await;
    yard.put(&(0..20).collect::<Vec<_>>()).await;
    for dead in [0..16, 16..19] {
        yard.forget(&dead.collect::<Vec<_>>()).await;
        yard.collect().await;
        let moved = yard.collect().await;
        assert_eq!(moved.packs_compacted, 1, "{moved:?}");
        assert_eq!(yard.losses().await, Vec::<String>::new());
    }
    yard.collect().await;
    let storage = yard.bench.store.storage();
    let moves = |conn: &mut crate::db::Conn| moved_packs(conn, StorageId::new(1), PackId::new(0), 100);
    assert_eq!(storage, StorageId::new(1));
    let led = yard.bench.db.run("moves", moves).await.unwrap();
    let (first, last, _) = led[0];
    assert!(led.iter().all(|(_, to, _)| *to == last), "every move leads to where the content lies: {led:?}");
    assert!(led.iter().all(|(from, ..)| *from == first), "rows between that no item names are gone: {led:?}");

    yard.forget(&[19]).await;
    for _ in 0..3 {
        yard.collect().await;
    }

    let held: Vec<_> = yard.packs().await;
    assert_eq!(yard.bench.db.run("moves", moves).await.unwrap().iter().filter(|(from, ..)| *from == first).count(), 0);
    assert_eq!(held.len(), 1, "records are kept");
    assert_eq!(yard.bench.store.read_pack(held[0].uid).await.unwrap().n_blobs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_no_row_names_is_dead_weight() {
    let yard = Yard::new().await;
    let other = register(&yard.bench.db, yard.bench.store.storage()).await;
    let seeds: Vec<u32> = (0..10).collect();
    let one = store_items(&mut yard.bench.packer(), &seeds).await.unwrap();
    let two = store_items(&mut yard.bench.store.packer(yard.bench.db.clone(), other), &seeds).await.unwrap();
    yard.commit(yard.bench.writer, &one).await.unwrap();
    yard.commit(other, &two).await.unwrap();
    let before = yard.bytes().await;

    let done = yard.collect().await;

    assert_eq!((done.blobs_condemned, done.packs_compacted), (0, 1), "{done:?}");
    assert!(yard.bytes().await < before * 6 / 10);
    assert_eq!(yard.losses().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_of_dead_writers_go_and_those_of_living_ones_stay() {
    let yard = Yard::new().await;
    let (db, storage) = (yard.bench.db.clone(), yard.bench.store.storage());
    let (dead, living) = (register(&db, storage).await, register(&db, storage).await);
    let lost = store_items(&mut yard.bench.store.packer(db.clone(), dead), &[1]).await.unwrap();
    let late = store_items(&mut yard.bench.store.packer(db.clone(), living), &[2]).await.unwrap();
    db.run("retire", move |conn| retire_writer(conn, dead)).await.unwrap();

    let done = yard.collect().await;

    assert_eq!((done.orphans_discarded, done.orphans_left, yard.packs().await.len()), (1, 1, 1), "{done:?}");
    assert!(yard.commit(dead, &lost).await.is_err());
    yard.commit(living, &late).await.unwrap();
    assert_eq!(yard.losses().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_older_than_its_storage_is_not_collected() {
    let yard = Yard::new().await;
    yard.put(&[1]).await;
    yard.forget(&[1]).await;
    let unknown = WriterId::random();
    store_items(&mut yard.bench.store.packer(yard.bench.db.clone(), unknown), &[2]).await.unwrap();

    let refused = run_all(&mut yard.collection(AT_ONCE)).await.unwrap_err();

    assert!(matches!(refused, CollectError::DatabaseOlder { .. }), "{refused}");
    assert!(refused.to_string().contains("kodo rebuild-catalog --storage 1"), "{refused}");
    assert_eq!(yard.packs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_cannot_be_read_is_left_and_the_others_are_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
    let yard = Yard::on(backend, Layout::Packed, Crypto::None).await;
    yard.put(&[1, 2, 4]).await;
    let damaged = yard.packs().await[0].uid;
    yard.put(&[5, 7, 8]).await;
    yard.forget(&[2, 4, 7, 8]).await;
    let path = dir.path().join(pack_key(damaged));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    yard.collect().await;
    let done = yard.collect().await;

    assert_eq!((done.packs_unreadable, done.packs_compacted, done.files_deleted), (1, 1, 1), "{done:?}");
    assert!(path.exists());
    let reader = yard.bench.store.reader(yard.bench.db.clone());
    for row in list_items(&yard.bench.db).await.iter().filter(|row| row.seed == 5) {
        assert_eq!(loss(&reader, row).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_lost_its_task_changes_nothing() {
    let yard = Yard::new().await;
    yard.put(&[1, 2, 4]).await;
    yard.forget(&[2, 4]).await;
    let lost = Arc::new(|_: &mut crate::db::Conn| Err(TxError::Refused(crate::repository::collect::NotHeld)));
    let mut zombie = yard.bench.store.collection(yard.bench.db.clone(), yard.bench.writer, TestItems, lost, AT_ONCE);
    let marked = zombie.scan().await.unwrap().unwrap();

    assert!(matches!(zombie.settle(&marked).await, Err(CollectError::NotHeld(_))));
    assert!(matches!(zombie.discard_orphans().await, Err(CollectError::NotHeld(_))));
    let first = yard.collect().await;
    assert!(first.blobs_condemned > 0);
    let mut second = yard.collection(AT_ONCE);
    let marked = second.scan().await.unwrap().unwrap();
    second.settle(&marked).await.unwrap();
    assert!(matches!(zombie.compact(&marked).await, Err(CollectError::NotHeld(_))));
    assert_eq!(yard.packs().await.len(), 1, "what it had published is gone again");
    assert_eq!(yard.losses().await, Vec::<String>::new());
}
