//! The section `[collection]` and what follows from it.

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;

/// `[collection]`: how the space of what nobody needs is freed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectionConfig {
    /// Hours that content stays after no restore point needs it.
    pub grace_h: u32,
    /// Minutes that the file of a pack stays after its content was moved.
    pub file_delay_min: u32,
    /// Memory for the marks of one pass over the items, in MiB.
    pub memory_mb: u32,
    /// The most that one collection reads of packs to write them anew, in GiB.
    pub rewrite_gb: u32,
}

impl Default for CollectionConfig {
    fn default() -> Self {
        Self { grace_h: 24, file_delay_min: 60, memory_mb: 64, rewrite_gb: 32 }
    }
}

impl CollectionConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.grace_h <= 24 * 365, "collection.grace_h must be 0 to 8760");
        ensure!(self.file_delay_min <= 60 * 24 * 30, "collection.file_delay_min must be 0 to 43200");
        ensure!((1..=65_536).contains(&self.memory_mb), "collection.memory_mb must be 1 to 65536");
        ensure!((1..=1_000_000).contains(&self.rewrite_gb), "collection.rewrite_gb must be 1 to 1000000");
        Ok(())
    }

    pub fn limits(&self) -> Limits {
        Limits {
            grace: Duration::from_secs(u64::from(self.grace_h) * 3600),
            file_delay: Duration::from_secs(u64::from(self.file_delay_min) * 60),
            silence: WRITER_SILENCE,
            memory_bytes: (self.memory_mb as usize) << 20,
            rewrite_bytes: u64::from(self.rewrite_gb) << 30,
        }
    }
}

/// How long a writer may be silent before it is taken for dead. It beats every few seconds.
const WRITER_SILENCE: Duration = Duration::from_secs(600);

/// What one collection keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between condemning a blob and deleting it.
    pub grace: Duration,
    /// Between a compaction and the deletion of the old files.
    pub file_delay: Duration,
    /// A writer that was not heard of for this long is dead.
    pub silence: Duration,
    pub memory_bytes: usize,
    pub rewrite_bytes: u64,
}
