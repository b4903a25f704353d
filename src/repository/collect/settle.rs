//! What becomes of shared blobs by what a pass marked: condemned, saved, given up.

use super::{CollectError, Collection, Marked, References, Step};
use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, StorageId};
use crate::repository::blobs::sql::{self as blobs, BlobState, JudgedBlob};
use crate::repository::guards::{Guard, stands};
use crate::repository::packs;

/// Blobs that are judged in one transaction.
const JUDGED_ROWS: usize = 5000;
/// A time that no blob was condemned after, for a test that takes the second look away.
const NO_SECOND_LOOK_US: u64 = 2_000_000_000_000_000;

/// What is to be done with some blobs; each list is in ascending order.
#[derive(Clone, Debug, Default)]
struct Verdicts {
    condemn: Vec<BlobId>,
    save: Vec<BlobId>,
    give_up: Vec<BlobId>,
    /// Only what was condemned before this time is given up, in microseconds.
    before_us: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    condemned: usize,
    saved: usize,
    given_up: usize,
}

impl<R: References> Collection<R> {
    /// Step 2: settles the blobs of the pass's range, and drops the rows of packs that lead on for nobody.
    pub async fn settle(&mut self, marked: &Marked) -> Result<(), CollectError> {
        if let Some((from, marks)) = &marked.shared {
            let storage = self.store.storage();
            let (below, mut after) = (marks.below(), before(*from));
            loop {
                let page = self
                    .db
                    .run("list blobs", move |conn| blobs::blobs_between(conn, storage, after, below, JUDGED_ROWS))
                    .await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                let verdicts = self.judge(marked, &page, |blob| marks.contains(blob));
                self.carry_out(verdicts).await?;
            }
        }
        let idle = marked.moves.idle();
        for page in idle.chunks(JUDGED_ROWS) {
            let page = page.to_vec();
            self.held_transaction("drop rows of moved packs", move |conn| packs::sql::drop_moved(conn, &page)).await?;
        }
        self.reached(Step::Settled)
    }

    fn judge(&self, marked: &Marked, page: &[JudgedBlob], is_marked: impl Fn(BlobId) -> bool) -> Verdicts {
        let grace_us = u64::try_from(self.limits.grace.as_micros()).unwrap_or(u64::MAX);
        let mut verdicts = Verdicts { before_us: marked.start_us.saturating_sub(grace_us), ..Verdicts::default() };
        for blob in page {
            match (blob.state, is_marked(blob.id)) {
                // The items of a younger pack may not have been there to be seen.
                (BlobState::Live, false) if blob.pack <= marked.newest => verdicts.condemn.push(blob.id),
                (BlobState::Condemned, true) => verdicts.save.push(blob.id),
                (BlobState::Condemned, false) => verdicts.give_up.push(blob.id),
                (BlobState::Live | BlobState::Deleting, _) => {}
            }
        }
        if !stands(Guard::CondemnedAreLookedAtAgain, self.writer) {
            verdicts.give_up.extend(&verdicts.condemn);
            verdicts.before_us = NO_SECOND_LOOK_US;
        }
        verdicts
    }

    async fn carry_out(&mut self, verdicts: Verdicts) -> Result<(), CollectError> {
        if verdicts.condemn.is_empty() && verdicts.save.is_empty() && verdicts.give_up.is_empty() {
            return Ok(());
        }
        let storage = self.store.storage();
        let settled = self.held_transaction("settle blobs", move |conn| carry_out(conn, storage, &verdicts)).await?;
        self.done.blobs_condemned += settled.condemned as u64;
        self.done.blobs_saved += settled.saved as u64;
        self.done.blobs_given_up += settled.given_up as u64;
        Ok(())
    }
}

/// Every change depends on the state that was read: a commit may have saved a blob since.
fn carry_out(conn: &mut Conn, storage: StorageId, verdicts: &Verdicts) -> QueryResult<Settled> {
    let mut settled = Settled::default();
    for page in verdicts.save.chunks(blobs::PAGE_ROWS) {
        settled.saved += blobs::resurrect_blobs(conn, storage, page)?;
    }
    for page in verdicts.condemn.chunks(blobs::PAGE_ROWS) {
        settled.condemned += blobs::condemn_blobs(conn, storage, page)?;
    }
    for page in verdicts.give_up.chunks(blobs::PAGE_ROWS) {
        settled.given_up += blobs::give_up_blobs(conn, storage, page, verdicts.before_us)?;
    }
    Ok(settled)
}

/// The id below, so that a keyset that begins behind it begins with `id`.
fn before(id: BlobId) -> Option<BlobId> {
    let below = u128::from_be_bytes(*id.as_bytes()).checked_sub(1)?;
    Some(BlobId::from_bytes(below.to_be_bytes()))
}
