//! Items for collection to scan.

pub mod sql;
