//! A chain as its storage tells of it, brought back into the catalog.
//!
//! Owns: what records mean for items, containers, cursors, points and issues (`replay`, pure), and the order in which a
//! chain is written (`load`). Does not own: reading packs, where blobs are, whose chain it is.
//!
//! Invariants: telling a thing twice, or in another order, changes nothing; a chain that is being written is in the state
//! [`REBUILDING`] until everything of it is there, and has no point that can be restored.

mod load;
mod replay;

use crate::catalog::OpenIssue;
use crate::ids::PointNumber;

pub use load::{Finished, FinishedContainer, begin, containers, finish, held_points, put_versions, unfinished, wipe};
pub use replay::{
    ContainerTold, ContainerVersion, CursorTold, Ends, IssueTold, ItemTold, Line, Moment, PointTold, Points, needed,
};

/// An open issue, with the points that saw it first and last.
pub type RebuiltIssue = (OpenIssue, PointNumber, PointNumber);

/// The state of a chain that a rebuild has begun and not finished. It cannot be backed up to.
pub const REBUILDING: &str = "rebuilding";
