//! Tokens of a drive: opaque, bound to the drive and to what the walk began with.

use crate::request::decode;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DriveToken {
    pub drive: String,
    /// The container of a listing of children; 0 for a delta.
    pub parent: u64,
    pub epoch: u32,
    pub phase: Phase,
    /// The log position up to which this walk reads.
    pub upto: u64,
    /// True for a deltaLink, false for a nextLink.
    pub ends_round: bool,
    pub had_page_size: bool,
    pub top: Option<usize>,
    pub select: Option<Vec<String>>,
    /// The page before this one was left empty by a fault; two in a row would never end.
    pub after_blank: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Enumerate { cursor: u64 },
    Changes { from: u64, offset: usize },
    Children { offset: usize },
}

const NAMES: [&str; 3] = ["token", "$skiptoken", "$deltatoken"];

pub fn is_token(name: &str) -> bool {
    NAMES.iter().any(|token| token.eq_ignore_ascii_case(name))
}

/// True if the query of a delta has a token, before the query is read as a whole.
pub fn in_query(raw_query: &str) -> bool {
    raw_query.split('&').any(|pair| is_token(&decode(pair.split('=').next().unwrap_or_default())))
}
