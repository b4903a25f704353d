//! How much was used in the last minutes. Pure: the caller says what time it is.

use std::collections::VecDeque;
use std::time::Duration;

/// A sliding window in slices: never lets more than `limit` pass in any `span`, and remembers a few dozen numbers
/// instead of every request.
#[derive(Debug)]
pub(super) struct Window {
    limit: u64,
    span: Duration,
    /// Slice number and what was used in it, oldest first.
    slices: VecDeque<(u32, u64)>,
    used: u64,
}

const SLICES: u32 = 60;

impl Window {
    pub(super) fn new(limit: u64, span: Duration) -> Self {
        Self { limit, span, slices: VecDeque::new(), used: 0 }
    }

    /// How long to wait until `amount` may pass; `None`: now. An amount above the limit passes once all is quiet.
    pub(super) fn wait_for(&mut self, now: Duration, amount: u64) -> Option<Duration> {
        self.forget(now);
        let mut over = (self.used + amount).saturating_sub(self.limit);
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
        self.used += amount;
    }

    pub(super) fn is_quiet(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.slices.is_empty()
    }

    fn forget(&mut self, now: Duration) {
        while let Some(&(slice, used)) = self.slices.front() {
            if self.end_of(slice) > now {
                break;
            }
            self.used -= used;
            self.slices.pop_front();
        }
    }

    fn slice_at(&self, now: Duration) -> u32 {
        u32::try_from(now.as_millis() / (self.span / SLICES).as_millis().max(1)).unwrap_or(u32::MAX)
    }

    /// When the last request of a slice has left the span.
    fn end_of(&self, slice: u32) -> Duration {
        (self.span / SLICES) * (slice + 1) + self.span
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_used_comes_back_when_its_slice_has_left_the_span() {
        let mut window = Window::new(3, s(600));
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
        let mut window = Window::new(10, s(60));

        assert_eq!(window.wait_for(s(0), 25), None);
        window.take(s(0), 25);

        assert!(window.wait_for(s(1), 1).is_some());
        assert!(window.is_quiet(s(61)));
    }

    proptest! {
        #[test]
        fn no_span_ever_holds_more_than_the_limit(gaps in prop::collection::vec(0u64..30_000, 1..300)) {
            let mut window = Window::new(20, s(60));
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
