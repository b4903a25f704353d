//! What the service would have sent to people, and online meetings that it would have made. A restore causes none.

use crate::locks::lock;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Mutex;

const KEPT_MAX: usize = 1000;

/// One mail to the attendees of a meeting or to those whom something is shared with, or one online meeting.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    pub at: String,
    /// `invitation`, `update`, `cancellation`, `online_meeting` or `sharing`.
    pub kind: &'static str,
    pub user: String,
    pub subject: String,
    pub to: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Notices(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    first: Vec<Notice>,
    total: u64,
}

impl Notices {
    pub fn add(&self, notice: Notice) {
        let mut kept = lock(&self.0);
        kept.total += 1;
        if kept.first.len() < KEPT_MAX {
            kept.first.push(notice);
        }
    }

    pub fn all(&self) -> Vec<Notice> {
        lock(&self.0).first.clone()
    }

    pub fn json(&self) -> Value {
        let kept = lock(&self.0);
        json!({"total": kept.total, "notices": kept.first})
    }

    pub fn clear(&self) {
        *lock(&self.0) = Kept::default();
    }
}
