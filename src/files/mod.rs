//! Items as files that other programs open.
//!
//! Owns: which files an item becomes and what they are called, the formats (messages as they are, mbox, iCalendar, vCard),
//! archives, and the walk over restore points that fills one. Does not own: where an archive goes, who may have it
//! (`api`, `exports`), how long it stays (`workers`).
//!
//! Invariants: messages and files leave as they were stored, to the byte; no name leaves its folder or is refused by a
//! file system; nothing that can be large is in memory whole; what could not be read is told in the archive itself.

mod archive;
pub mod calendar;
pub mod contact;
mod json;
mod lines;
pub mod mbox;
pub mod names;
mod render;
pub mod zip;

pub use archive::{Archive, ArchiveError, Chosen, Layout, Part, Plan, Sink, SinkError, Written};
pub use render::{FileOf, Properties, Rendered, Source, render};

#[cfg(test)]
mod tests;
