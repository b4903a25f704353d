//! The one place that reads this machine's clock.
//!
//! Lease times do not come from here: they are compared with the database's clock, which all agents share.

use chrono::{DateTime, Utc};

/// Now, by this machine.
#[expect(clippy::disallowed_methods, reason = "the door that the lint points to")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
