//! What was captured and waits for the ledger: enough for a commit to go by without the pipe running dry, bounded by the
//! memory that it takes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::End;
use super::walk::Event;
use crate::features::{Captured, Content};

/// Events that wait at most.
const EVENTS_MAX: usize = 64;
/// Memory that they take at most, in units: a message above `graph.spool_above_bytes` is in a file.
const MEMORY_MAX: u32 = (16 << 20) / UNIT_BYTES;
const UNIT_BYTES: u32 = 4 << 10;

/// An event, and its share of the memory until it is dropped.
pub struct Waiting {
    pub event: Result<Event, End>,
    pub share: Option<OwnedSemaphorePermit>,
}

/// Where events are put.
pub struct Ahead {
    memory: Arc<Semaphore>,
    events: mpsc::Sender<Waiting>,
}

pub fn channel() -> (Ahead, mpsc::Receiver<Waiting>) {
    let (events, arriving) = mpsc::channel(EVENTS_MAX);
    (Ahead { memory: Arc::new(Semaphore::new(MEMORY_MAX as usize)), events }, arriving)
}

impl Ahead {
    /// Puts an event behind the others, when there is room; `false`: nobody takes any more.
    pub async fn put(&self, event: Result<Event, End>) -> bool {
        let units = event.as_ref().map_or(0, units);
        let share = match units {
            0 => None,
            units => {
                Some(Arc::clone(&self.memory).acquire_many_owned(units).await.expect("this semaphore is never closed"))
            }
        };
        self.events.send(Waiting { event, share }).await.is_ok()
    }
}

/// The memory of what was captured. What is larger than all that may wait waits alone.
fn units(event: &Event) -> u32 {
    let Event::Captured(arrival) = event else { return 0 };
    let Captured { properties, content, .. } = &arrival.captured;
    let content = match content {
        Some(Content::Mime(bytes) | Content::Raw(bytes)) => bytes.len(),
        Some(Content::Spooled { .. } | Content::Stream(_)) | None => 0,
    };
    u32::try_from((properties.len() + content).div_ceil(UNIT_BYTES as usize)).unwrap_or(MEMORY_MAX).min(MEMORY_MAX)
}
