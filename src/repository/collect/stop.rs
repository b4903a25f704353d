//! The places where a test can stop a collection, as a crash would.

use super::{CollectError, Collection, References};

/// Something was just done, and the next thing was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The tombstone of an orphan stands, its file too.
    OrphanMarked,
    /// All items were read, nothing was condemned.
    Scanned,
    /// Blobs were condemned or given up.
    Settled,
    /// A new pack is durable, and the database does not know it.
    Published,
    /// A new pack took the place of old ones, whose files are there.
    Moved,
    /// A file is gone, and its rows are there.
    FileDeleted,
}

impl Step {
    pub const ALL: [Self; 6] =
        [Self::OrphanMarked, Self::Scanned, Self::Settled, Self::Published, Self::Moved, Self::FileDeleted];
}

impl<R: References> Collection<R> {
    #[cfg(test)]
    pub(in crate::repository) fn stop_at(mut self, step: Step) -> Self {
        self.stop_at = Some(step);
        self
    }

    #[cfg(test)]
    pub(super) fn reached(&self, step: Step) -> Result<(), CollectError> {
        if self.stop_at == Some(step) { Err(CollectError::Stopped(step)) } else { Ok(()) }
    }

    #[cfg(not(test))]
    pub(super) fn reached(&self, _step: Step) -> Result<(), CollectError> {
        Ok(())
    }
}
