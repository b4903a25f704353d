//! The tenant's time: the machine's clock plus an offset that a test moves.

use chrono::{DateTime, SecondsFormat, Utc};
use std::sync::atomic::{AtomicI64, Ordering};

#[derive(Debug, Default)]
pub struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    pub fn now_ms(&self) -> i64 {
        machine_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    pub fn advance_seconds(&self, seconds: i64) {
        self.offset_ms.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    pub fn set(&self, at: DateTime<Utc>) {
        let offset = at.timestamp_millis() - machine_ms();
        self.offset_ms.store(offset, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulator's one clock; everything else asks `Clock`")]
fn machine_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// `2026-01-02T03:04:05Z`, the form Graph uses for Outlook items.
pub fn iso(seconds: i64) -> String {
    at(seconds).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `Fri, 02 Jan 2026 03:04:05 GMT`, for HTTP headers.
pub fn http_date(seconds: i64) -> String {
    at(seconds).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `Fri, 02 Jan 2026 03:04:05 +0000`, for mail headers.
pub fn mail_date(seconds: i64) -> String {
    at(seconds).format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

pub fn parse_iso(text: &str) -> Option<i64> {
    if let Ok(found) = DateTime::parse_from_rfc3339(text) {
        return Some(found.timestamp());
    }
    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|found| found.and_utc().timestamp())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::UNIX_EPOCH)
}
