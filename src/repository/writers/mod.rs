//! Writers: one row for each agent process that writes to a storage, kept alive by a heartbeat.
//!
//! Owns: the table `writers`. Invariants: ages are measured by the database's clock; a writer that was declared dead
//! stays dead, so that what it left behind can be collected without fear of its return.

pub mod sql;

pub use sql::{heartbeat_writer, mark_dead_writers, register_writer, retire_writer};
