//! How much was used in the last minutes. Pure: the caller says what time it is.

use std::collections::VecDeque;
use std::time::Duration;

/// A sliding window in slices: never lets more than `limit` pass in any `span`, and remembers a few dozen numbers
/// instead of every request.
#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u64,
    span: Duration,
    /// Slice number and what was used in it, oldest first.
    slices: VecDeque<(u32, u64)>,
    used: u64,
}

const SLICES: u32 = 60;

impl Window {
    /// A window in which this was used before: numbers of slices and amounts, oldest first.
    pub(super) fn holding(limit: u64, span: Duration, slices: Vec<(u32, u64)>) -> Self {
        let used = slices.iter().fold(0, |sum: u64, (_, amount)| sum.saturating_add(*amount));
        Self { limit, span, slices: slices.into(), used }
    }

    pub(super) fn slices(&self) -> Vec<(u32, u64)> {
        self.slices.iter().copied().collect()
    }

    /// The same by a clock that is `by_ms` ahead; rounded up, so that nothing comes back early.
    pub(super) fn moved(&self, by_ms: i64) -> Self {
        let slice_ms = i64::try_from(self.slice_ms()).unwrap_or(i64::MAX);
        let by = by_ms.div_euclid(slice_ms) + i64::from(by_ms.rem_euclid(slice_ms) > 0);
        let moved = |(slice, amount): (u32, u64)| {
            (u32::try_from(i64::from(slice).saturating_add(by).max(0)).unwrap_or(u32::MAX), amount)
        };
        Self::holding(self.limit, self.span, self.slices.iter().copied().map(moved).collect())
    }

    /// From when on nothing of what was used counts any more.
    pub(super) fn quiet_at(&self) -> Duration {
        self.slices.back().map_or(Duration::ZERO, |(slice, _)| self.end_of(*slice))
    }

    /// How long to wait until `amount` may pass; `None`: now. An amount above the limit passes once all is quiet.
    pub(super) fn wait_for(&mut self, now: Duration, amount: u64) -> Option<Duration> {
        self.forget(now);
        let mut over = self.used.saturating_add(amount).saturating_sub(self.limit);
        let mut wait = None;
        for &(slice, used) in &self.slices {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(used);
            wait = Some(self.end_of(slice).saturating_sub(now));
        }
        wait
    }

    /// Counts `amount` as used now.
    pub(super) fn take(&mut self, now: Duration, amount: u64) {
        let current = self.slice_at(now);
        match self.slices.back_mut() {
            Some((slice, used)) if *slice == current => *used += amount,
            _ => self.slices.push_back((current, amount)),
        }
        self.used = self.used.saturating_add(amount);
    }

    fn forget(&mut self, now: Duration) {
        while let Some(&(slice, used)) = self.slices.front() {
            if self.end_of(slice) > now {
                break;
            }
            self.used = self.used.saturating_sub(used);
            self.slices.pop_front();
        }
    }

    fn slice_at(&self, now: Duration) -> u32 {
        u32::try_from(now.as_millis() / self.slice_ms()).unwrap_or(u32::MAX)
    }

    fn slice_ms(&self) -> u128 {
        (self.span / SLICES).as_millis().max(1)
    }

    /// When the last request of a slice has left the span.
    fn end_of(&self, slice: u32) -> Duration {
        (self.span / SLICES) * slice.saturating_add(1) + self.span
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn empty(limit: u64, span: Duration) -> Window {
        Window::holding(limit, span, Vec::new())
    }

    #[test]
    fn what_is_used_comes_back_when_its_slice_has_left_the_span() {
        let mut window = empty(3, s(600));
        for now in [0, 1, 15] {
            assert_eq!(window.wait_for(s(now), 1), None);
            window.take(s(now), 1);
        }

        assert_eq!(window.wait_for(s(20), 1), Some(s(590)));
        assert_eq!(window.wait_for(s(20), 3), Some(s(600)));
        assert_eq!(window.wait_for(s(610), 2), None);
        assert_eq!(window.wait_for(s(610), 3), Some(s(10)));
    }

    #[test]
    fn an_amount_above_the_limit_passes_when_nothing_else_is_in_the_window() {
        let mut window = empty(10, s(60));

        assert_eq!(window.wait_for(s(0), 25), None);
        window.take(s(0), 25);

        assert!(window.wait_for(s(1), 1).is_some());
        assert_eq!(window.quiet_at(), s(61));
    }

    #[test]
    fn by_another_clock_nothing_comes_back_early() {
        let mut window = empty(3, s(60));
        window.take(s(100), 3);

        for by_ms in [-40_500, -1, 0, 1, 40_500] {
            let mut moved = window.moved(by_ms);
            let same_moment = Duration::from_millis(u64::try_from(100_000 + by_ms).unwrap());
            let wait = moved.wait_for(same_moment, 1).unwrap();
            assert!(wait >= s(60) && wait <= s(63), "{by_ms}: {wait:?}");
        }
        let mut kept = Window::holding(3, s(60), window.slices());
        assert_eq!(kept.wait_for(s(100), 1), window.wait_for(s(100), 1));
        assert_eq!(window.quiet_at(), s(161));
    }

    proptest! {
        #[test]
        fn no_span_ever_holds_more_than_the_limit(gaps in prop::collection::vec(0u64..30_000, 1..300)) {
            let mut window = empty(20, s(60));
            let mut now = Duration::ZERO;
            let mut passed: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap / 20);
                if let Some(wait) = window.wait_for(now, 1) {
                    now += wait;
                    prop_assert_eq!(window.wait_for(now, 1), None);
                }
                window.take(now, 1);
                passed.push(now);
                let in_span = passed.iter().filter(|at| **at + s(60) > now).count();
                prop_assert!(in_span <= 20);
            }
        }
    }
}
