//! The content of an item on its way back: how much of it is in memory, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::{Restoration, TaskError, large};
use crate::catalog::VersionRow;
use crate::features::StoredContent;
use crate::repository::StoreError;

/// Exchange takes no message above 150 MiB.
pub(super) const CONTENT_BYTES_MAX: u64 = 160 << 20;
/// Content above this needs the right to be in memory: how much of it is at once does not grow with the number of
/// workers and items at once.
pub(super) const SMALL_BYTES_MAX: u64 = 64 << 10;
/// How long content waits at most before it is seen again whether the target takes it, and how often that is done.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOKS_MAX: u32 = 300;

/// Content and the right to hold it.
pub(super) struct Held<'a> {
    pub content: StoredContent,
    pub right: Option<Right<'a>>,
}

/// Given back when the item is done.
pub(super) struct Right<'a> {
    _room: SemaphorePermit<'a>,
    _share: Share<'a>,
}

/// What an item adds to the bytes that a restore holds.
struct Share<'a> {
    bytes_held: &'a AtomicU64,
    bytes: u64,
}

impl<'a> Share<'a> {
    fn of(bytes_held: &'a AtomicU64, bytes: u64) -> Self {
        bytes_held.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes_held, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.bytes_held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Restoration<'_> {
    /// The item's content with the right to hold it, which is kept until the item is done.
    pub(super) async fn content(&self, row: &VersionRow) -> Result<Result<Held<'_>, StoreError>, TaskError> {
        let right = match self.takes_room(row) {
            true => {
                let share = Share::of(&self.bytes_held, row.version.bytes);
                Some(Right { _room: self.workshop.room_to_restore(row.version.bytes).await?, _share: share })
            }
            false => None,
        };
        Ok(self.read_content(row).await.map(|content| Held { content, right }))
    }

    /// The same once the target takes it.
    pub(super) async fn content_to_send(&self, row: &VersionRow) -> Result<Result<Held<'_>, StoreError>, TaskError> {
        if self.takes_room(row) {
            self.target_takes(row.version.bytes).await;
        }
        self.content(row).await
    }

    /// Returns when the target takes so many bytes beside those that are on their way to it. A mailbox that has had all
    /// that Microsoft allows may take none for five minutes: what waits for it in memory keeps other mailboxes' out.
    async fn target_takes(&self, bytes: u64) {
        let all = || bytes.saturating_add(self.bytes_held.load(Ordering::Relaxed));
        no_wait_left(|| self.target.graph.wait_to_upload(&self.scope, all())).await;
    }

    async fn read_content(&self, row: &VersionRow) -> Result<StoredContent, StoreError> {
        let Some(content) = row.version.content else { return Ok(StoredContent::None) };
        if self.is_large(row) {
            return large::open(&self.reader, content).await;
        }
        Ok(StoredContent::Whole(self.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await?))
    }

    fn takes_room(&self, row: &VersionRow) -> bool {
        row.version.bytes > SMALL_BYTES_MAX && !self.is_large(row)
    }

    fn is_large(&self, row: &VersionRow) -> bool {
        self.restoring.large_above_bytes().is_some_and(|limit| row.version.bytes > limit)
    }
}

/// Returns when there is nothing to wait for any more. Others may have had their share meanwhile or given it back, so
/// that a wait is asked for anew before it is over; and what takes too long is tried all the same.
async fn no_wait_left(mut wait: impl FnMut() -> Option<Duration>) {
    for _ in 0..LOOKS_MAX {
        let Some(wait) = wait() else { return };
        tokio::time::sleep(wait.min(LOOK_AFTER)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_long_wait_ends_soon_after_there_is_room() {
        let mut answers = [Some(Duration::from_secs(300)), None, Some(Duration::ZERO)].into_iter();
        let began = Instant::now();

        no_wait_left(|| answers.next().expect("it was asked again although there was room")).await;

        let took = began.elapsed();
        assert!(took >= LOOK_AFTER && took < Duration::from_secs(100), "{took:?}");
        assert_eq!(answers.len(), 1, "it did not ask again");
    }

    #[tokio::test]
    async fn a_target_that_never_has_room_is_tried_in_the_end() {
        let mut looks = 0;

        no_wait_left(|| {
            looks += 1;
            Some(Duration::from_nanos(1))
        })
        .await;

        assert_eq!(looks, LOOKS_MAX);
    }

    #[test]
    fn what_is_held_counts_until_it_is_given_back() {
        let bytes_held = AtomicU64::new(0);
        let (one, other) = (Share::of(&bytes_held, 5), Share::of(&bytes_held, 70));
        assert_eq!(bytes_held.load(Ordering::Relaxed), 75);

        drop(one);
        assert_eq!(bytes_held.load(Ordering::Relaxed), 70);
        drop(other);
        assert_eq!(bytes_held.load(Ordering::Relaxed), 0);
    }
}
