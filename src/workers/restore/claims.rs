//! Which places of the target are in hand: listed just now, or with items on their way to them.
//!
//! What is half-way in a place belongs to an attempt that was interrupted only as long as nothing of this one is on its
//! way there, so that no place is in hand twice. And what many places hold is in memory only as long as it is little:
//! large ones are in hand one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// While the places in hand hold more items than this, no other place is listed.
const ITEMS_AHEAD_MAX: usize = 50_000;
/// A place that holds more is a large one.
const SMALL_ITEMS_MAX: usize = 5_000;

#[derive(Clone)]
pub(super) struct Claims(Arc<Held>);

struct Held {
    /// How many items each place holds, as far as it is listed.
    places: Mutex<HashMap<String, usize>>,
    freed: Notify,
    large: Arc<Semaphore>,
}

/// A place in hand.
pub(super) struct Claim {
    held: Arc<Held>,
    container: String,
    /// The right to be large.
    large: Option<OwnedSemaphorePermit>,
}

impl Claims {
    pub fn new() -> Self {
        let (places, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Held { places, freed, large: Arc::new(Semaphore::new(1)) }))
    }

    /// Returns when a container can be listed. Whoever has a claim waits for no other one.
    pub async fn claim(&self, container: &str) -> Claim {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(claim) = self.try_claim(container) {
                return claim;
            }
            freed.await;
        }
    }

    fn try_claim(&self, container: &str) -> Option<Claim> {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.contains_key(container) || places.values().sum::<usize>() > ITEMS_AHEAD_MAX {
            return None;
        }
        places.insert(container.to_owned(), 0);
        Some(Claim { held: Arc::clone(&self.0), container: container.to_owned(), large: None })
    }
}

impl Claim {
    /// So many items were found so far. Returns when more of them can be listed.
    pub async fn holds(&mut self, n_items: usize) {
        self.held.places.lock().unwrap_or_else(PoisonError::into_inner).insert(self.container.clone(), n_items);
        if n_items > SMALL_ITEMS_MAX && self.large.is_none() {
            let right = Arc::clone(&self.held.large).acquire_owned().await;
            self.large = Some(right.expect("this semaphore is never closed"));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.held.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.container);
        self.held.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_place_is_in_hand_once() {
        let claims = Claims::new();
        let inbox = claims.claim("inbox").await;

        assert!(timeout(SOON, claims.claim("archive")).await.is_ok());
        assert!(timeout(SOON, claims.claim("inbox")).await.is_err());
        let (_, again) = tokio::join!(async { drop(inbox) }, timeout(SOON, claims.claim("inbox")));
        assert!(again.is_ok());
    }

    #[tokio::test]
    async fn what_large_folders_hold_is_in_memory_one_after_the_other() {
        let claims = Claims::new();
        let mut inbox = claims.claim("inbox").await;
        let mut archive = claims.claim("archive").await;
        archive.holds(SMALL_ITEMS_MAX).await;

        inbox.holds(ITEMS_AHEAD_MAX + 1).await;

        assert!(timeout(SOON, archive.holds(SMALL_ITEMS_MAX + 1)).await.is_err(), "it waits for the other one");
        assert!(timeout(SOON, claims.claim("drafts")).await.is_err(), "nothing else is listed beside a large one");
        drop(inbox);
        assert!(timeout(SOON, archive.holds(SMALL_ITEMS_MAX + 1)).await.is_ok());
        assert!(timeout(SOON, claims.claim("drafts")).await.is_ok());
    }
}
