//! Looks at packs, and sets aside those that are damaged.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::Verification;
use crate::db::TxError;
use crate::ids::PackId;
use crate::queue;
use crate::repository::verify::{self, Counted, Damaged, KnownPack, Quarantine, Verdict};
use crate::repository::{Depth, StoreError};
use crate::workers::task::{Refusal, TaskError};

/// The folders in which a storage keeps its packs, by the first byte of their names.
const FOLDERS: std::ops::RangeInclusive<u8> = 0..=255;
/// Packs that are looked at between two commits.
const PAGE_PACKS: u32 = 32;
/// Packs that are read at once: each takes a core, and a window in memory.
const PACKS_AT_ONCE: usize = 2;
/// Packs that cannot be read before the place as a whole is taken for broken.
const UNREADABLE_MAX: usize = 100;
const REPORT_EVERY: Duration = Duration::from_millis(500);

impl Verification<'_> {
    /// Level 1: every pack that the catalog knows is there and has its length.
    pub(super) async fn compare_folders(&mut self) -> Result<(), TaskError> {
        let mut suspects: Vec<KnownPack> = Vec::new();
        let (mut n_packs, mut n_unknown) = (0, 0);
        let mut reported = Instant::now();
        for folder in FOLDERS {
            let found = self.storage.store.compare_folder(&self.workshop.db, folder).await?;
            n_packs += found.n_packs;
            n_unknown += found.n_unknown;
            suspects.extend(found.suspects);
            for pack in found.to_set_aside {
                self.storage.store.set_pack_aside(pack).await?;
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.say("comparing names and lengths", None).await?;
            }
        }
        if n_packs > 1 && suspects.len() as u64 == n_packs {
            return Err(TaskError::permanent(format!(
                "none of the {n_packs} packs that the catalog knows is on the storage as it was written: is the right \
                 share mounted? If they are lost, add a new storage and back up to it"
            )));
        }
        // An attempt that goes on with an earlier one has counted them before.
        let n_unknown = n_unknown.saturating_sub(self.begun.counted.n_unknown);
        let n_packs = if self.level == 1 { n_packs.saturating_sub(self.begun.counted.n_packs) } else { 0 };
        self.count(Counted { n_packs, n_unknown, ..Counted::default() }).await?;
        for pack in suspects {
            let verdict = self.storage.store.judge_pack(pack.uid, Depth::Shape).await?;
            self.act(pack, verdict).await?;
        }
        Ok(())
    }

    /// Levels 2 and 3: the stored bytes of packs, or all their content, until the budget is used up.
    pub(super) async fn check_packs(&mut self, depth: Depth, bytes_max: Option<u64>) -> Result<(), TaskError> {
        let mut skipped: Vec<PackId> = Vec::new();
        loop {
            let (storage, since, except) = (self.storage.id, self.begun.started_at, skipped.clone());
            let page = self.workshop.db.run("find packs to verify", move |conn| {
                verify::packs_to_verify(conn, storage, since, &except, PAGE_PACKS)
            });
            let page = within(page.await?, bytes_max, &self.begun.counted);
            if page.is_empty() {
                return Ok(());
            }
            skipped.extend(self.check_page(page, depth).await?);
            if skipped.len() > UNREADABLE_MAX {
                let last = self.unreadable.last().cloned().unwrap_or_default();
                return Err(TaskError::Retry(format!("more than {UNREADABLE_MAX} packs cannot be read: {last}")));
            }
        }
    }

    /// Looks at some packs and commits what came out. Returns those that could not be read.
    async fn check_page(&mut self, page: Vec<KnownPack>, depth: Depth) -> Result<Vec<PackId>, TaskError> {
        let store = self.storage.store.clone();
        let judge = |pack: KnownPack| {
            let store = store.clone();
            async move { (pack, store.judge_pack(pack.uid, depth).await) }
        };
        let mut judged = std::pin::pin!(stream::iter(page).map(judge).buffer_unordered(PACKS_AT_ONCE));
        let mut reported = Instant::now();
        let (mut sound, mut skipped) = (Vec::new(), Vec::new());
        let mut counted = Counted::default();
        while let Some((pack, verdict)) = judged.next().await {
            let verdict = verdict?;
            counted.n_packs += 1;
            counted.bytes += pack.bytes;
            match verdict {
                Verdict::Sound => sound.push(pack.id),
                Verdict::Damaged(_) => self.act(pack, verdict).await?,
                Verdict::Unreadable(_) => {
                    skipped.push(pack.id);
                    self.act(pack, verdict).await?;
                }
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.say("checking packs", None).await?;
            }
        }
        let (storage, level, lease) = (self.storage.id, depth.level(), self.control.lease());
        let noted = self.write("note verified packs", move |conn, task| {
            if !sound.is_empty() {
                queue::made_progress_in(conn, &lease)?;
            }
            verify::set_verified(conn, storage, &sound, level)?;
            verify::count_verified(conn, task, &counted)
        });
        noted.await?;
        self.begun.counted.add(&counted);
        self.say("checking packs", None).await?;
        Ok(skipped)
    }

    async fn act(&mut self, pack: KnownPack, verdict: Verdict) -> Result<(), TaskError> {
        match verdict {
            Verdict::Sound => Ok(()),
            Verdict::Unreadable(why) => self.unreadable(format!("pack {} cannot be read: {why}", pack.uid)).await,
            Verdict::Damaged(what) => self.set_aside(pack, what).await,
        }
    }

    /// Saves what is good in a damaged pack, then takes the pack out of the store.
    async fn set_aside(&mut self, pack: KnownPack, what: String) -> Result<(), TaskError> {
        let (store, writer) = (&self.storage.store, self.storage.writer);
        let salvage = match store.salvage(&self.workshop.db, writer, pack.uid).await {
            Ok(salvage) => salvage,
            Err(err @ StoreError::Backend(crate::backends::BackendError::Unavailable { .. })) => {
                return self
                    .unreadable(format!("pack {} is damaged ({what}) and cannot be read: {err}", pack.uid))
                    .await;
            }
            Err(err) => return Err(err.into()),
        };
        tracing::error!(pack = %pack.uid, what, n_saved = salvage.n_saved(), "a damaged pack is set aside");
        let found = Quarantine { pack, what, salvage };
        let (storage, lease) = (self.storage.id, self.control.lease());
        let set_aside = self.workshop.db.transaction::<_, Refusal, _>("set a pack aside", move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            verify::quarantine(conn, storage, writer, lease.task, &found).map_err(TxError::widen)
        });
        match set_aside.await? {
            Damaged::SetAside => Ok(store.set_pack_aside(pack.uid).await?),
            // Compacted meanwhile, and nobody needs it, or an answer to an earlier try was lost: the next look at the
            // folder renames its file.
            Damaged::NotLive => Ok(()),
        }
    }
}

/// The first packs of a page that fit into what is left of a budget; at least one in the whole verification.
fn within(page: Vec<KnownPack>, bytes_max: Option<u64>, counted: &Counted) -> Vec<KnownPack> {
    let Some(bytes_max) = bytes_max else { return page };
    let (mut bytes, mut any) = (counted.bytes, counted.n_packs > 0);
    let fits = |pack: &KnownPack| {
        bytes = bytes.saturating_add(pack.bytes);
        let first = !std::mem::replace(&mut any, true);
        first || bytes <= bytes_max
    };
    page.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PackUid;

    fn pack(id: u32) -> KnownPack {
        KnownPack { id: PackId::new(id), uid: PackUid::from_bytes([0; 16]), bytes: 100 }
    }

    #[test]
    fn a_budget_is_kept_and_never_so_small_that_nothing_is_looked_at() {
        let page = || vec![pack(1), pack(2), pack(3)];
        let counted = |n_packs, bytes| Counted { n_packs, bytes, ..Counted::default() };

        assert_eq!(within(page(), None, &counted(9, 900)).len(), 3);
        assert_eq!(within(page(), Some(250), &counted(0, 0)).len(), 2);
        assert_eq!(within(page(), Some(10), &counted(0, 0)).len(), 1);
        assert_eq!(within(page(), Some(250), &counted(1, 100)).len(), 1);
        assert_eq!(within(page(), Some(10), &counted(1, 100)).len(), 0);
    }
}
