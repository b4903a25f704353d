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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::standing::{Cost, Rules, Standing};
    use crate::graph::{Credential, GraphConfig, TenantCredentials};
    use crate::secret::Secret;

    const BYTES_MAX: u64 = 1000;
    /// The five minutes, and the slice in which the bytes were sent.
    const WAIT_MAX: Duration = Duration::from_secs(305);

    fn config() -> GraphConfig {
        GraphConfig { mailbox_upload_bytes_per_5_min: BYTES_MAX, ..GraphConfig::default() }
    }

    fn mailbox(user: &str) -> Scope {
        Scope::Mailbox(user.to_owned())
    }

    #[tokio::test]
    async fn what_a_mailbox_was_sent_is_waited_for_and_to_ask_takes_nothing() {
        let credentials = TenantCredentials {
            entra_tenant_id: "contoso.example".to_owned(),
            client_id: "kodo".to_owned(),
            credential: Credential::Secret(Secret::new("x".to_owned())),
        };
        let graph = GraphClient::new(&config(), credentials).unwrap();
        let ada = mailbox("ada");
        for _ in 0..3 {
            assert_eq!(graph.wait_to_upload(&ada, BYTES_MAX), None);
        }

        let gate = graph.0.throttle.gate(&ada);
        let cost = Cost { units: 1, upload_bytes: 600 };
        graph.0.throttle.enter(&gate, cost).await.unwrap().finished();

        assert_eq!(graph.wait_to_upload(&ada, 400), None);
        for too_much in [401, BYTES_MAX + 1, u64::MAX] {
            let wait = graph.wait_to_upload(&ada, too_much).unwrap();
            assert!(wait > Duration::from_secs(200) && wait <= WAIT_MAX, "{too_much} bytes wait {wait:?}");
        }
        for other in [mailbox("bob"), Scope::Drives, Scope::Directory] {
            assert_eq!(graph.wait_to_upload(&other, BYTES_MAX), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn after_the_wait_they_are_sent_and_not_a_moment_before(
            uploads in prop::collection::vec((0u64..90_000, 1u64..1500), 1..60),
        ) {
            let mut standing = Standing::new(&Rules::of(&mailbox("ada"), &config()));
            let mut now = Duration::from_secs(1_800_000_000);
            for (gap_ms, upload_bytes) in uploads {
                now += Duration::from_millis(gap_ms);
                let cost = Cost { units: 0, upload_bytes };
                if let Some(wait) = standing.wait_to_upload(now, upload_bytes) {
                    prop_assert!(wait > Duration::ZERO && wait <= WAIT_MAX, "{:?}", wait);
                    let shortly_before = now + wait - Duration::from_nanos(1);
                    prop_assert!(standing.look(shortly_before, cost).is_some());
                    now += wait;
                }
                prop_assert_eq!(standing.look(now, cost), None);
            }
        }
    }
}
