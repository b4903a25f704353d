//! A mailbox of any size that holds nothing: item `i` is computed from the seed.

use super::message::{Message, Person};
use crate::company::World;
use crate::company::mail;
use std::ops::Range;
use std::sync::Arc;

/// (well-known name or "", display name, percent of the items); the last takes the rest.
pub const LAYOUT: [(&str, &str, u64); 5] = [
    ("inbox", "Inbox", 50),
    ("sentitems", "Sent Items", 20),
    ("", "Projects", 15),
    ("", "Newsletters", 10),
    ("archive", "Archive", 5),
];

const FIRST: i64 = 1_420_070_400;
const LAST: i64 = 1_780_000_000;

#[derive(Debug)]
pub struct LazyBase {
    pub seed: u64,
    pub count: u64,
    pub owner: Person,
    pub world: Arc<World>,
}

impl LazyBase {
    pub fn message(&self, item: u64) -> Message {
        mail::computed(self, item)
    }

    /// Zero-padded, so that the order of ids is the order of numbers.
    pub fn internet_id(&self, item: u64) -> String {
        format!("<{item:012}.{:x}@{}>", self.seed, self.world.domain)
    }

    pub fn item_of(&self, internet_id: &str) -> Option<u64> {
        let item = internet_id.strip_prefix('<')?.split('.').next()?.parse().ok()?;
        (1..=self.count).contains(&item).then_some(item)
    }

    pub fn received(&self, item: u64) -> i64 {
        FIRST + (LAST - FIRST) / (self.count.max(1) as i64 + 1) * item as i64
    }

    pub fn is_read(item: u64) -> bool {
        !item.is_multiple_of(7)
    }
}

/// How many of these items are unread, without asking each.
pub fn unread_in(items: Range<u64>) -> i64 {
    if items.is_empty() { 0 } else { ((items.end - 1) / 7 - (items.start - 1) / 7) as i64 }
}
