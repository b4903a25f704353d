//! What can be done with a storage alone: rebuild the catalog from it, and hand out what it holds as files.
//!
//! Owns: the order in which packs are read and what their records mean together (`survey`, `reading`, `story`); how the
//! tables are filled from them (`rebuild`); how items become files (`rescue`). Does not own: any table, the format of
//! packs, the rules by which records make versions (`catalog::rebuild`).
//!
//! Invariants: no more than [`ITEMS_AT_ONCE`] records of items are in memory twice over (one part is read while another
//! is written); what cannot be read is named and left out, and what depends on it is told; nothing on the storage changes.

mod reading;
pub mod rebuild;
pub mod rescue;
mod story;
mod survey;
#[cfg(test)]
mod tests;

use crate::ids::PackUid;

/// Records of items in memory at once, some 500 bytes each. A chain with more is read in several passes.
pub const ITEMS_AT_ONCE: u64 = 200_000;
/// Packs that are read at once.
const PACKS_AT_ONCE: usize = 8;

/// A pack that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unreadable {
    pub pack: String,
    pub why: String,
}

/// How far the work is, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Packs whose records were read.
    Surveyed { packs: u64, of: u64 },
    /// Packs that were given rows.
    Adopted { packs: u64, of: u64 },
    /// Chains that are whole in the catalog, and item records gone through.
    Loaded { chains: u64, of: u64, items: u64, of_items: u64 },
    /// Items written to files.
    Written { items: u64, of: u64 },
}

/// Hears how far the work is.
pub type Hear<'a> = &'a (dyn Fn(Step) + Send + Sync);

fn name_of(pack: PackUid) -> String {
    pack.to_string()
}
