//! How long a restore takes at least, by what Microsoft allows. Pure.

use std::ops::AddAssign;

use crate::catalog::Effort;
use crate::graph::{GraphConfig, Scope};

/// SharePoint charges two units for what creates or changes an item,
const UNITS_PER_WRITE: u64 = 2;
/// and five for what has to do with permissions.
const UNITS_PER_SHARE: u64 = 5;
const MAILBOX_REQUESTS_S: u64 = 600;
const MAILBOX_UPLOAD_S: u64 = 300;
const DAY_S: u64 = 24 * 3600;

/// Requests that items take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// All of them.
    pub requests: u64,
    /// Those that let people in.
    pub shares: u64,
}

impl Load {
    pub(super) fn of(requests: u64) -> Self {
        Self { requests, shares: 0 }
    }

    /// And so many that let people in.
    pub(super) fn sharing(self, shares: u64) -> Self {
        Self { requests: self.requests + shares, shares: self.shares + shares }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.shares += more.shares;
    }
}

/// What these requests with that many bytes take. The limits let the first of them go at once, so that a small restore is
/// estimated too long rather than too short.
pub(super) fn effort(scope: &Scope, limits: &GraphConfig, load: Load, upload_bytes: u64) -> Effort {
    let Load { requests, shares } = load;
    let at = |amount: u64, per: u64, seconds: u64| amount.saturating_mul(seconds).div_ceil(per.max(1));
    let seconds = match scope {
        Scope::Mailbox(_) => at(requests, limits.mailbox_requests_per_10_min, MAILBOX_REQUESTS_S).max(at(
            upload_bytes,
            limits.mailbox_upload_bytes_per_5_min,
            MAILBOX_UPLOAD_S,
        )),
        Scope::Drives | Scope::Directory => {
            let units = requests.saturating_mul(UNITS_PER_WRITE) + shares * (UNITS_PER_SHARE - UNITS_PER_WRITE);
            at(units, limits.drive_units_per_min, 60).max(at(units, limits.drive_units_per_day, DAY_S))
        }
    };
    Effort { requests, upload_bytes, seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_tells_how_long_it_takes() {
        let limits = GraphConfig::default();
        let mailbox = Scope::Mailbox("u".to_owned());
        let seconds = |scope: &Scope, requests, bytes| effort(scope, &limits, Load::of(requests), bytes).seconds;

        assert_eq!(seconds(&mailbox, 0, 0), 0);
        assert_eq!(seconds(&mailbox, 100_000, 0), 6_000, "100,000 requests at 10,000 in ten minutes");
        assert_eq!(seconds(&mailbox, 1_000, 1_500_000_000), 3_000, "1.5 GB at 150 MB in five minutes");
        assert_eq!(seconds(&Scope::Drives, 1_250, 0), 180, "a day's units run out before a minute's do");
        assert_eq!(seconds(&Scope::Drives, 600_000, u64::MAX), 86_400, "a day's units");
        let sharing = effort(&Scope::Drives, &limits, Load::of(750).sharing(200), 0);
        assert_eq!((sharing.requests, sharing.seconds), (950, 180), "five units for each time that people are let in");
    }
}
