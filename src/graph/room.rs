//! What a mailbox would take just now, for those who had rather wait before they have content in memory than with it.

use std::time::Duration;

use super::throttle::locked;
use super::{GraphClient, Scope};

impl GraphClient {
    /// How long so many bytes would wait if they were sent to this scope now; `None`: they would not. Reserves nothing.
    pub fn wait_to_upload(&self, scope: &Scope, bytes: u64) -> Option<Duration> {
        let throttle = &self.0.throttle;
        let gate = throttle.gate(scope);
        locked(&gate.standing).wait_to_upload(throttle.clock.now(), bytes)
    }
}
