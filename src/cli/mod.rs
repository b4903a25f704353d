//! The command line.

pub mod client;
pub mod exit;
pub mod output;
