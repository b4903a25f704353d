//! Each guard of the protocol, and what is lost without it: the interleavings that a model of the protocol found.

use super::*;
use crate::repository::guards::{Guard, take_away};

/// A needed item (seed 1) and content that no item needs any more (the others), in one pack.
const DEAD: [u32; 3] = [2, 4, 5];

struct Contest {
    yard: Yard,
    other: WriterId,
}

impl Contest {
    async fn new() -> Self {
        let yard = Yard::new().await;
        yard.put(&[1, 2, 4, 5]).await;
        yard.forget(&DEAD).await;
        let other = register(&yard.bench.db, yard.bench.store.storage()).await;
        Self { yard, other }
    }

    fn packer(&self) -> Packer {
        self.yard.bench.store.packer(self.yard.bench.db.clone(), self.other)
    }

    /// The other writer backs up what seed 2 is made of, which is stored already, and has its pack published.
    async fn publish(&self, packer: &mut Packer) -> Pending {
        store_items(packer, &[2]).await.unwrap()
    }

    async fn commit(&self, pending: &Pending) -> Result<(), TxError<CommitRefused>> {
        self.yard.commit(self.other, pending).await
    }

    async fn losses(&self) -> usize {
        self.yard.losses().await.len()
    }

    /// Condemns what is dead.
    async fn condemn(&self) {
        let mut collection = self.yard.collection(AT_ONCE);
        let marked = collection.scan().await.unwrap().unwrap();
        collection.settle(&marked).await.unwrap();
        assert!(collection.done().blobs_condemned > 0);
    }
}

/// lookup; publish; condemn; give up; commit; compact; delete.
async fn reused_and_given_up(without: Option<Guard>) -> usize {
    let contest = Contest::new().await;
    if let Some(guard) = without {
        take_away(guard, contest.other);
    }
    let mut packer = contest.packer();
    let pending = contest.publish(&mut packer).await;
    contest.condemn().await;
    let mut collection = contest.yard.collection(AT_ONCE);
    let marked = collection.scan().await.unwrap().unwrap();
    collection.settle(&marked).await.unwrap();
    match contest.commit(&pending).await {
        Ok(()) => assert!(without.is_some(), "content on its way out was built on"),
        Err(TxError::Refused(CommitRefused::ReusedBlobGone(gone))) => {
            packer.forget(&gone);
            let again = contest.publish(&mut packer).await;
            contest.commit(&again).await.unwrap();
        }
        Err(err) => panic!("{err}"),
    }
    collection.compact(&marked).await.unwrap();
    collection.delete_files().await.unwrap();
    assert_eq!(collection.done().files_deleted, 1);
    contest.losses().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_validate_what_it_reuses_loses_it() {
    assert_eq!(reused_and_given_up(None).await, 0);
    assert_eq!(reused_and_given_up(Some(Guard::ReusedAreValidated)).await, 1);
}

/// lookup; publish; scan; commit; settle by the scan that did not see the item; compact; delete.
async fn committed_behind_the_scan(without: Option<Guard>) -> usize {
    let contest = Contest::new().await;
    if let Some(guard) = without {
        take_away(guard, contest.yard.bench.writer);
    }
    let pending = contest.publish(&mut contest.packer()).await;
    let mut collection = contest.yard.collection(AT_ONCE);
    let marked = collection.scan().await.unwrap().unwrap();
    contest.commit(&pending).await.unwrap();
    collection.settle(&marked).await.unwrap();
    collection.compact(&marked).await.unwrap();
    collection.delete_files().await.unwrap();
    let lost = contest.losses().await;
    let second = contest.yard.collect().await;
    assert!(without.is_some() || second.blobs_saved > 0, "{second:?}");
    assert_eq!(contest.losses().await, lost);
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_without_a_second_look_loses_what_was_committed_behind_the_scan() {
    assert_eq!(committed_behind_the_scan(None).await, 0);
    assert_eq!(committed_behind_the_scan(Some(Guard::CondemnedAreLookedAtAgain)).await, 1);
}

/// lookup; publish; condemn; scan again; commit of what is condemned; settle; compact; delete.
async fn condemned_and_built_on(without: Option<Guard>) -> usize {
    let contest = Contest::new().await;
    if let Some(guard) = without {
        take_away(guard, contest.other);
    }
    let pending = contest.publish(&mut contest.packer()).await;
    contest.condemn().await;
    let mut collection = contest.yard.collection(AT_ONCE);
    let marked = collection.scan().await.unwrap().unwrap();
    contest.commit(&pending).await.unwrap();
    collection.settle(&marked).await.unwrap();
    collection.compact(&marked).await.unwrap();
    collection.delete_files().await.unwrap();
    assert!(collection.done().blobs_given_up > 0);
    contest.losses().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_builds_on_the_condemned_and_does_not_save_it_loses_it() {
    assert_eq!(condemned_and_built_on(None).await, 0);
    assert_eq!(condemned_and_built_on(Some(Guard::CondemnedAreSaved)).await, 1);
}

/// publish; sweep; commit.
async fn swept_before_its_commit(without: &[Guard]) -> (usize, bool) {
    let contest = Contest::new().await;
    without.iter().for_each(|guard| take_away(*guard, contest.yard.bench.writer));
    let pending = store_items(&mut contest.packer(), &[7]).await.unwrap();
    contest.yard.collection(AT_ONCE).discard_orphans().await.unwrap();
    let committed = contest.commit(&pending).await.is_ok();
    (contest.losses().await, committed)
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeping_what_a_living_writer_published_is_found_out_by_the_tombstone_and_loses_it_without() {
    let (living, tombstones) = (Guard::OrphansOfTheLivingStay, Guard::OrphansLeaveTombstones);
    assert_eq!(swept_before_its_commit(&[]).await, (0, true));
    assert_eq!(swept_before_its_commit(&[living]).await, (0, false), "the commit is refused: nothing is lost");
    assert_eq!(swept_before_its_commit(&[living, tombstones]).await, (1, true));
}

/// commit; crash before the pack is durable.
async fn crashed_after_its_commit(without: Option<Guard>) -> usize {
    let contest = Contest::new().await;
    if let Some(guard) = without {
        take_away(guard, contest.other);
    }
    let pending = store_items(&mut contest.packer(), &[7]).await.unwrap();
    contest.commit(&pending).await.unwrap();
    contest.losses().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_ahead_of_the_packs_loses_what_it_names() {
    assert_eq!(crashed_after_its_commit(None).await, 0);
    assert_eq!(crashed_after_its_commit(Some(Guard::PacksComeFirst)).await, 1);
}

/// condemn; give up; crash at the first file that is deleted.
async fn crashed_at_the_first_deletion(without: Option<Guard>) -> usize {
    let contest = Contest::new().await;
    if let Some(guard) = without {
        take_away(guard, contest.yard.bench.writer);
    }
    contest.condemn().await;
    let stopped = run_all(&mut contest.yard.collection(AT_ONCE).stop_at(Step::FileDeleted)).await;
    assert!(matches!(stopped, Err(CollectError::Stopped(Step::FileDeleted))), "{stopped:?}");
    contest.losses().await
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_that_deletes_before_it_copies_loses_what_was_alive() {
    assert_eq!(crashed_at_the_first_deletion(None).await, 0);
    assert_eq!(crashed_at_the_first_deletion(Some(Guard::CopiesComeFirst)).await, 1);
}
