//! The commit: what it accepts, what it refuses, and that trying again harms nothing.

use std::time::Duration;

use super::*;
use crate::db::TxError;
use crate::ids::BlobId;
use crate::repository::blobs::sql::{BlobState, steps};
use crate::repository::packs;
use crate::repository::{CommitRefused, heartbeat_writer, mark_dead_writers, retire_writer, storage_totals};

const ATTACHMENT: usize = 50_000;

/// Stores and commits a message, and returns its shared blobs.
async fn store_first(bench: &Bench) -> Vec<BlobId> {
    let mut packer = bench.packer();
    let stored = packer.store(vec![first_mail()]).await.unwrap();
    bench.commit(&mut packer).await;
    stored[0].content.as_ref().unwrap().refs.clone()
}

fn first_mail() -> Ingest {
    item("first", Some(IngestContent::Mime(mail("first", &noise(1, ATTACHMENT)))))
}

async fn set_state(bench: &Bench, blob: BlobId, state: BlobState) {
    let storage = bench.store.storage();
    bench.db.run("set", move |conn| steps::set_blob_state(conn, storage, blob, state)).await.unwrap();
}

async fn state_of(bench: &Bench, blob: BlobId) -> (PackId, BlobState) {
    let storage = bench.store.storage();
    bench.db.run("read", move |conn| steps::read_blob_state(conn, storage, blob)).await.unwrap()
}

fn refused(outcome: Result<crate::repository::PackIds, TxError<CommitRefused>>) -> CommitRefused {
    match outcome {
        Err(TxError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_outcome_was_unknown_can_be_made_again() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    packer.store(vec![first_mail()]).await.unwrap();
    let flushed = packer.flush().await.unwrap();

    let first = bench.try_commit(&flushed).await.unwrap();
    let second = bench.try_commit(&flushed).await.unwrap();

    assert!(!first.committed_before && second.committed_before);
    let totals = storage_totals(&bench.db, bench.store.storage()).await.unwrap();
    assert_eq!((totals.n_packs, totals.bytes), (1, flushed.bytes_stored()));
    assert!(packer.flush().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn condemned_blobs_are_saved_and_blobs_that_are_gone_refuse_the_commit() {
    let bench = Bench::new().await;
    let refs = store_first(&bench).await;
    let (first_pack, _) = state_of(&bench, refs[0]).await;
    let mut packer = bench.packer();
    packer.store(vec![first_mail()]).await.unwrap();
    set_state(&bench, refs[0], BlobState::Condemned).await;

    let flushed = packer.flush().await.unwrap();
    bench.try_commit(&flushed).await.unwrap();
    assert_eq!(state_of(&bench, refs[0]).await, (first_pack, BlobState::Live));

    packer.store(vec![first_mail()]).await.unwrap();
    set_state(&bench, refs[0], BlobState::Deleting).await;
    let storage = bench.store.storage();
    let second = refs[1];
    bench.db.run("drop", move |conn| steps::drop_blob(conn, storage, second)).await.unwrap();
    let flushed = packer.flush().await.unwrap();
    let CommitRefused::ReusedBlobGone(gone) = refused(bench.try_commit(&flushed).await) else { panic!() };
    assert_eq!(gone, refs[..2]);
    assert_eq!(state_of(&bench, refs[0]).await.1, BlobState::Deleting);

    packer.forget(&gone);
    let stored = packer.store(vec![first_mail()]).await.unwrap();
    let ids = bench.commit(&mut packer).await;
    let (pack, state) = state_of(&bench, refs[0]).await;
    assert_eq!((state, pack != first_pack), (BlobState::Live, true));
    assert_eq!(bench.content_of(&stored[0], &ids).await, mail("first", &noise(1, ATTACHMENT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_packer_learns_is_known_to_all_of_the_agent_until_a_commit_finds_it_gone() {
    let bench = Bench::new().await;
    let refs = store_first(&bench).await;
    let (mut learns, mut relies) = (bench.packer(), bench.packer());
    learns.store(vec![first_mail()]).await.unwrap();
    let storage = bench.store.storage();
    for blob in refs.clone() {
        bench.db.run("drop", move |conn| steps::drop_blob(conn, storage, blob)).await.unwrap();
    }

    relies.store(vec![first_mail()]).await.unwrap();
    let flushed = relies.flush().await.unwrap();
    let CommitRefused::ReusedBlobGone(gone) = refused(bench.try_commit(&flushed).await) else { panic!() };
    assert_eq!(gone, refs);
    relies.forget(&gone);

    let mut next = bench.packer();
    let stored = next.store(vec![first_mail()]).await.unwrap();
    let ids = bench.commit(&mut next).await;
    assert_eq!(bench.content_of(&stored[0], &ids).await, mail("first", &noise(1, ATTACHMENT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_collection_discarded_cannot_be_committed() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    let stored = packer.store(vec![first_mail()]).await.unwrap();
    let flushed = packer.flush().await.unwrap();
    let (storage, uid) = (bench.store.storage(), stored[0].properties.pack);
    bench.db.run("tombstone", move |conn| packs::sql::add_tombstone(conn, storage, uid, 0)).await.unwrap();

    assert_eq!(refused(bench.try_commit(&flushed).await), CommitRefused::PackDiscarded(vec![uid]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_declared_dead_commits_nothing() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    packer.store(vec![first_mail()]).await.unwrap();
    let flushed = packer.flush().await.unwrap();
    let (storage, writer) = (bench.store.storage(), bench.writer);
    let hour = Duration::from_secs(3600);

    let n_dead = bench.db.run("mark", move |conn| mark_dead_writers(conn, storage, hour)).await.unwrap();
    assert_eq!(n_dead, 0);
    assert!(bench.db.run("beat", move |conn| heartbeat_writer(conn, writer)).await.unwrap());
    assert!(bench.db.run("beat", move |conn| heartbeat_writer(conn, writer)).await.unwrap());
    bench.db.run("retire", move |conn| retire_writer(conn, writer)).await.unwrap();
    assert!(!bench.db.run("beat", move |conn| heartbeat_writer(conn, writer)).await.unwrap());

    assert_eq!(refused(bench.try_commit(&flushed).await), CommitRefused::WriterDead);
    let totals = storage_totals(&bench.db, storage).await.unwrap();
    assert_eq!(totals.n_packs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_with_the_same_new_content_both_commit_and_share_it() {
    let bench = Bench::new().await;
    let (mut one, mut two) = (bench.packer(), bench.packer());
    let first = one.store(vec![first_mail()]).await.unwrap();
    let second = two.store(vec![first_mail()]).await.unwrap();
    let (flushed_one, flushed_two) = (one.flush().await.unwrap(), two.flush().await.unwrap());

    let (ids_one, ids_two) = tokio::join!(bench.try_commit(&flushed_one), bench.try_commit(&flushed_two));

    let (ids_one, ids_two) = (ids_one.unwrap(), ids_two.unwrap());
    let whole = mail("first", &noise(1, ATTACHMENT));
    assert_eq!(bench.content_of(&first[0], &ids_one).await, whole);
    assert_eq!(bench.content_of(&second[0], &ids_two).await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_a_pack_that_was_compacted_under_it() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    let old = packer.store(vec![first_mail()]).await.unwrap().remove(0);
    let old_id = id(&bench.commit(&mut packer).await, old.properties.pack);
    let reader = bench.store.reader(bench.db.clone());
    reader.read(old_id, old.properties.blob).await.unwrap();
    // The same item stored again stands for what compaction copies.
    let new = packer.store(vec![first_mail()]).await.unwrap().remove(0);
    let new_id = id(&bench.commit(&mut packer).await, new.properties.pack);
    bench.db.run("move", move |conn| packs::sql::steps::move_pack(conn, old_id, new_id)).await.unwrap();
    let key = crate::repository::store::pack_key(old.properties.pack);
    bench.store.backend().delete(&key).unwrap();
    let fresh = bench.store.reader(bench.db.clone());

    assert_eq!(reader.read(old_id, old.properties.blob).await.unwrap(), "{\"subject\":\"first\"}");
    assert_eq!(fresh.read(old_id, old.properties.blob).await.unwrap(), "{\"subject\":\"first\"}");
    assert_eq!(fresh.pack_uid(old_id).await.unwrap(), new.properties.pack);
}
