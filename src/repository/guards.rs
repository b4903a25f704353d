//! The guards of the protocol between writers and collection, by name.
//!
//! Each has one place in the code. A test may take one away from one writer to show that without it something is lost;
//! outside tests they always stand.

/// One rule that keeps stored content from being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// A commit looks at every blob that it builds on, under a lock.
    ReusedAreValidated,
    /// A commit that builds on a condemned blob makes it live again.
    CondemnedAreSaved,
    /// A condemned blob goes only if a scan that began later finds no item that needs it.
    CondemnedAreLookedAtAgain,
    /// Orphans of writers that live are left alone.
    OrphansOfTheLivingStay,
    /// An orphan's id is taken in the database before its file goes, so that its writer cannot commit it.
    OrphansLeaveTombstones,
    /// A pack is durable before the database names it.
    PacksComeFirst,
    /// Compaction deletes a pack only after its copy is the one that the database names.
    CopiesComeFirst,
}

#[cfg(not(test))]
pub const fn stands(_guard: Guard, _writer: crate::ids::WriterId) -> bool {
    true
}

#[cfg(test)]
pub use taken::{stands, take_away};

#[cfg(test)]
mod taken {
    use std::collections::HashSet;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use super::Guard;
    use crate::ids::WriterId;

    /// By writer, because tests run side by side in one process.
    static TAKEN: LazyLock<Mutex<HashSet<(WriterId, Guard)>>> = LazyLock::new(Mutex::default);

    pub fn stands(guard: Guard, writer: WriterId) -> bool {
        !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).contains(&(writer, guard))
    }

    pub fn take_away(guard: Guard, writer: WriterId) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert((writer, guard));
    }
}
