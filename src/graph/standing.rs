//! How a scope stands with Microsoft's limits at a moment: the fence, the pace, and what was used of each budget. Pure:
//! the caller says what time it is, by one clock. A process keeps a standing in memory; where agents share a scope, the
//! same rules work on what the database holds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::GraphConfig;
use super::endpoint::Scope;
use super::retry::UnitsLeft;
use super::window::Window;

/// The time since 1970.
pub type Moment = Duration;

/// What a request uses up of the limits of its scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Requests of a mailbox, resource units of SharePoint.
    pub units: u64,
    pub upload_bytes: u64,
}

impl Cost {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            units: self.units.saturating_add(other.units),
            upload_bytes: self.upload_bytes.saturating_add(other.upload_bytes),
        }
    }
}

/// Until when every request of a scope is held back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub until: Moment,
    pub reason: String,
}

/// What is allowed in a scope.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    budgets: Vec<Rule>,
    uploads_max: u64,
}

/// So much in a span of time, and what a request waits for when it is used up.
#[derive(Clone, Copy, Debug)]
struct Rule {
    limit: u64,
    span: Duration,
    used_up: &'static str,
}

impl Rules {
    pub(super) fn of(scope: &Scope, config: &GraphConfig) -> Self {
        let rule = |limit, span_s, used_up| Rule { limit, span: Duration::from_secs(span_s), used_up };
        match scope {
            Scope::Directory => Self::none(),
            Scope::Drives => Self {
                budgets: vec![
                    rule(
                        config.drive_units_per_min,
                        60,
                        "the drives have had all the resource units that Microsoft allows in a minute",
                    ),
                    rule(
                        config.drive_units_per_day,
                        86_400,
                        "the drives have had all the resource units that Microsoft allows in a day",
                    ),
                ],
                uploads_max: u64::MAX,
            },
            Scope::Mailbox(_) => Self {
                budgets: vec![rule(
                    config.mailbox_requests_per_10_min,
                    600,
                    "the mailbox has had all the requests that Microsoft allows in ten minutes",
                )],
                uploads_max: config.mailbox_upload_bytes_per_5_min,
            },
        }
    }

    /// Nothing is counted: somebody else does.
    pub(super) fn none() -> Self {
        Self { budgets: Vec::new(), uploads_max: u64::MAX }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Standing {
    fence: Option<Fence>,
    pace: Option<Pace>,
    budgets: Vec<Budget>,
    uploads: Window,
}

#[derive(Clone, Debug)]
struct Budget {
    window: Window,
    used_up: &'static str,
}

/// What is left until a moment is spread over the time until then.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pace {
    until: Moment,
    per_unit: Duration,
    next: Moment,
}

/// What of a standing is written down beside its fence: for each budget the slices of its window.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    budgets: Vec<Vec<(u32, u64)>>,
    uploads: Vec<(u32, u64)>,
    pace: Option<Pace>,
}

impl Standing {
    pub(super) fn new(rules: &Rules) -> Self {
        Self::restored(rules, None, Kept::default())
    }

    /// As it was written down. What cannot be read is taken for nothing: then Microsoft says what was too much.
    pub(super) fn read(rules: &Rules, fence: Option<Fence>, kept: &str) -> Self {
        Self::restored(rules, fence, serde_json::from_str(kept).unwrap_or_default())
    }

    fn restored(rules: &Rules, fence: Option<Fence>, kept: Kept) -> Self {
        let mut slices = kept.budgets.into_iter();
        let budget = |rule: &Rule| Budget {
            window: Window::holding(rule.limit, rule.span, slices.next().unwrap_or_default()),
            used_up: rule.used_up,
        };
        Self {
            fence,
            pace: kept.pace,
            budgets: rules.budgets.iter().map(budget).collect(),
            uploads: Window::holding(rules.uploads_max, UPLOAD_SPAN, kept.uploads),
        }
    }

    pub(super) fn written(&self) -> String {
        let kept = Kept {
            budgets: self.budgets.iter().map(|budget| budget.window.slices()).collect(),
            uploads: self.uploads.slices(),
            pace: self.pace,
        };
        serde_json::to_string(&kept).expect("numbers alone can always be written")
    }

    /// The same by a clock that is `by_ms` ahead.
    pub(super) fn moved(&self, by_ms: i64) -> Self {
        let shifted = |moment: Moment| {
            let by = Duration::from_millis(by_ms.unsigned_abs());
            if by_ms < 0 { moment.saturating_sub(by) } else { moment + by }
        };
        Self {
            fence: self.fence.clone().map(|fence| Fence { until: shifted(fence.until), ..fence }),
            pace: self.pace.map(|pace| Pace { until: shifted(pace.until), next: shifted(pace.next), ..pace }),
            budgets: self
                .budgets
                .iter()
                .map(|budget| Budget { window: budget.window.moved(by_ms), used_up: budget.used_up })
                .collect(),
            uploads: self.uploads.moved(by_ms),
        }
    }

    /// Holds back every request of this scope. A fence that stands longer stays.
    pub(super) fn raise(&mut self, until: Moment, reason: &str) {
        if self.fence.as_ref().is_none_or(|fence| fence.until < until) {
            self.fence = Some(Fence { until, reason: reason.to_owned() });
        }
    }

    /// Heeds what SharePoint says of its units once most of them are used: what is left is spread over the time until
    /// there are new ones.
    pub(super) fn heed(&mut self, now: Moment, left: UnitsLeft) {
        if left.remaining == 0 {
            return self.raise(now + left.reset, NO_UNITS_LEFT);
        }
        let per_unit = left.reset.div_f64(left.remaining as f64);
        let next = self.pace.as_ref().map_or(now, |pace| pace.next);
        self.pace = Some(Pace { until: now + left.reset, per_unit, next });
    }

    /// Counts the request, or says what it must wait for. A full window becomes a fence, so that others see it.
    pub(super) fn look(&mut self, now: Moment, cost: Cost) -> Option<Fence> {
        self.fence = self.fence.take().filter(|fence| fence.until > now);
        if let Some(fence) = &self.fence {
            return Some(fence.clone());
        }
        self.pace = self.pace.take().filter(|pace| pace.until > now);
        if let Some(pace) = self.pace.filter(|pace| pace.next > now) {
            return Some(Fence { until: pace.next, reason: FEW_UNITS_LEFT.to_owned() });
        }
        let full = |budget: &mut Budget| Some((budget.window.wait_for(now, cost.units)?, budget.used_up));
        if let Some((wait, reason)) = self.budgets.iter_mut().find_map(full) {
            self.raise(now + wait.max(WAIT_MIN), reason);
            return self.fence.clone();
        }
        if cost.upload_bytes > 0
            && let Some(wait) = self.uploads.wait_for(now, cost.upload_bytes)
        {
            // Reads need not wait for uploads, so a full upload window holds back this request alone.
            return Some(Fence { until: now + wait.max(WAIT_MIN), reason: UPLOADS_FULL.to_owned() });
        }
        self.charge(now, cost);
        if let Some(pace) = &mut self.pace {
            pace.next = now + pace.per_unit.saturating_mul(u32::try_from(cost.units).unwrap_or(u32::MAX));
        }
        None
    }

    /// How long so many bytes would wait if they were sent now; `None`: they would not.
    pub(super) fn wait_to_upload(&mut self, now: Moment, bytes: u64) -> Option<Duration> {
        self.uploads.wait_for(now, bytes)
    }

    /// Counts what was used already.
    pub(super) fn charge(&mut self, now: Moment, cost: Cost) {
        if cost.units > 0 {
            self.budgets.iter_mut().for_each(|budget| budget.window.take(now, cost.units));
        }
        if cost.upload_bytes > 0 {
            self.uploads.take(now, cost.upload_bytes);
        }
    }

    pub(super) fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    pub(super) fn is_quiet(&mut self, now: Moment) -> bool {
        self.quiet_at() <= now
    }

    /// From when on nothing of it matters any more.
    pub(super) fn quiet_at(&self) -> Moment {
        let windows = self.budgets.iter().map(|budget| &budget.window).chain([&self.uploads]).map(Window::quiet_at);
        let fence = self.fence.iter().map(|fence| fence.until);
        windows.chain(fence).chain(self.pace.map(|pace| pace.until)).max().unwrap_or_default()
    }
}

const UPLOAD_SPAN: Duration = Duration::from_secs(300);
/// A wait of nothing would be a busy loop.
const WAIT_MIN: Duration = Duration::from_millis(1);
pub(super) const NO_UNITS_LEFT: &str = "Microsoft says that all resource units of this minute are used";
const FEW_UNITS_LEFT: &str = "Microsoft says that few resource units are left in this minute";
const UPLOADS_FULL: &str = "the mailbox has had all the bytes that Microsoft allows in five minutes";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Duration::from_secs(1_800_000_000);

    fn units(units: u64) -> Cost {
        Cost { units, upload_bytes: 0 }
    }

    fn drives() -> Rules {
        Rules::of(&Scope::Drives, &GraphConfig { drive_units_per_min: 7, ..GraphConfig::default() })
    }

    #[test]
    fn what_is_written_down_says_the_same_when_it_is_read() {
        let mut standing = Standing::new(&drives());
        assert_eq!(standing.look(NOW, units(5)), None);
        standing.heed(NOW, UnitsLeft { remaining: 10, reset: Duration::from_secs(20) });
        standing.raise(NOW + Duration::from_secs(3), "ApplicationThrottled");

        let mut read = Standing::read(&drives(), standing.fence().cloned(), &standing.written());

        for (after_s, reason) in [(1, "ApplicationThrottled"), (4, ""), (5, "few resource units"), (30, "in a minute")]
        {
            let now = NOW + Duration::from_secs(after_s);
            let (one, other) = (standing.look(now, units(2)), read.look(now, units(2)));
            assert_eq!(one, other, "after {after_s} s");
            assert!(one.map_or_else(String::new, |fence| fence.reason).contains(reason), "after {after_s} s");
        }
        assert_eq!(standing.quiet_at(), read.quiet_at());
    }

    #[test]
    fn a_full_budget_becomes_a_fence_until_there_is_room() {
        let mut standing = Standing::new(&drives());
        assert_eq!(standing.look(NOW, units(7)), None);

        let held = standing.look(NOW, units(1)).unwrap();

        assert!(held.until > NOW + Duration::from_secs(59) && held.reason.contains("in a minute"));
        assert_eq!(standing.fence(), Some(&held));
        assert_eq!(standing.look(held.until, units(7)), None);
    }

    #[test]
    fn by_another_clock_a_fence_falls_at_the_same_moment() {
        let mut standing = Standing::new(&Rules::none());
        standing.raise(NOW, "x");

        for by_ms in [-90_000i64, 0, 90_000] {
            let until = standing.moved(by_ms).fence().unwrap().until;
            assert_eq!(until.as_millis(), (NOW.as_millis() as i64 + by_ms) as u128);
        }
    }

    #[test]
    fn what_cannot_be_read_is_taken_for_nothing() {
        let mut standing = Standing::read(&drives(), None, "{\"budgets\": 7}");

        assert_eq!(standing.look(NOW, units(7)), None);
    }

    #[test]
    fn uploads_wait_and_reads_go_on() {
        let config = GraphConfig { mailbox_upload_bytes_per_5_min: 100, ..GraphConfig::default() };
        let mut standing = Standing::new(&Rules::of(&Scope::Mailbox("u".into()), &config));
        let upload = Cost { units: 1, upload_bytes: 100 };
        assert_eq!(standing.look(NOW, upload), None);

        assert!(standing.look(NOW, upload).unwrap().reason.contains("bytes"));
        assert_eq!(standing.look(NOW, units(1)), None);
        assert!(!standing.is_quiet(NOW) && standing.is_quiet(NOW + Duration::from_secs(700)));
    }
}
