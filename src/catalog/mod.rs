//! What was backed up, when, and where its bytes are.
//!
//! Owns: chains and restore points, containers and their delta cursors, item versions, issues, marks of what was
//! damaged, and what restores and rehearsals did with items. Does not own: the bytes (`repository`), who the resources are (`tenants`), when anything happens.
//!
//! Invariants:
//! - a version is valid over `[from_point, to_point)`; for one item these ranges never overlap;
//! - at most one point of a chain is open, and only the holder of the chain's task lease writes to it;
//! - a cursor is stored in the same transaction as the items that came before it: it is never ahead of them;
//! - a chain in the state `rebuilding` is not whole, and nothing but `rebuild` works on it;
//! - sealed points do not change: a row whose `from_point` is sealed only ever gets its `to_point` set, until no
//!   retained point needs it ([`expiry`]); the newest sealed point of a chain is always retained.
//!
//! Functions take the connection of the caller's transaction, because a commit spans this module, `repository` and
//! `queue`.

pub mod begun;
pub mod chains;
pub mod containers;
pub mod coverage;
pub mod damage;
pub mod expiry;
pub mod issues;
pub mod items;
pub mod outcomes;
pub mod parts;
pub mod points;
pub mod rebuild;
pub mod rehearsals;
pub mod retention;
pub mod search;
pub mod tallies;

pub use chains::{Chain, ChainKey};
pub use containers::{Container, ContainerState, CursorUpdate};
pub use issues::{ItemIssue, OpenIssue};
pub use items::{ContentRef, NewVersion, VersionRow};
pub use outcomes::{Outcome, OutcomeCounts, OutcomeRow};
pub use parts::{Asked, Effort, Part};
pub use points::{PointCounts, PointRow, PointState};
pub use retention::Keep;
pub use tallies::Holding;

/// Rows in one INSERT or keys in one IN list.
const BATCH_ROWS: usize = 1000;

/// Cuts text to a column's length, at a character boundary.
fn fit(text: &str, chars_max: usize) -> String {
    if text.len() <= chars_max && !text.contains('\0') {
        return text.to_owned();
    }
    text.chars().filter(|c| *c != '\0').take(chars_max).collect()
}
