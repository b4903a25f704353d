//! Which points of a chain are kept, and by which rule. Pure.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::Keep;

/// The rule that keeps a point; the first of those that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The newest point of a chain is kept whatever the rules say.
    Newest,
    NoRules,
    Last,
    Days,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// Judges the sealed points of one chain, the newest first. What it remembers does not grow with their number.
#[derive(Clone, Debug)]
pub struct Judge {
    keep: Keep,
    newest: Option<DateTime<Utc>>,
    n_judged: u32,
    periods: [Period; 4],
}

/// A rule that keeps the newest point of each period.
#[derive(Clone, Debug)]
struct Period {
    why: Why,
    of: fn(DateTime<Utc>) -> i32,
    left: u32,
    current: Option<i32>,
}

impl Judge {
    pub fn new(keep: Keep) -> Self {
        let period = |why, of, left| Period { why, of, left, current: None };
        Self {
            keep,
            newest: None,
            n_judged: 0,
            periods: [
                period(Why::Daily, day as fn(DateTime<Utc>) -> i32, keep.daily),
                period(Why::Weekly, week, keep.weekly),
                period(Why::Monthly, month, keep.monthly),
                period(Why::Yearly, year, keep.yearly),
            ],
        }
    }

    /// Why the next older point is kept; `None`: it is given up.
    pub fn judge(&mut self, sealed_at: DateTime<Utc>) -> Option<Why> {
        self.n_judged = self.n_judged.saturating_add(1);
        // Every rule looks at every point, also at those that another rule keeps already.
        let by_period: [Option<Why>; 4] = std::array::from_fn(|index| self.periods[index].judge(sealed_at));
        let Some(newest) = self.newest else {
            self.newest = Some(sealed_at);
            return Some(Why::Newest);
        };
        if self.keep == Keep::EVERYTHING {
            return Some(Why::NoRules);
        }
        if self.n_judged <= self.keep.last {
            return Some(Why::Last);
        }
        if self.keep.days > 0 && newest - sealed_at <= TimeDelta::days(self.keep.days.into()) {
            return Some(Why::Days);
        }
        by_period.into_iter().flatten().next()
    }
}

impl Period {
    fn judge(&mut self, sealed_at: DateTime<Utc>) -> Option<Why> {
        let period = (self.of)(sealed_at);
        if self.left == 0 || self.current == Some(period) {
            return None;
        }
        self.left -= 1;
        self.current = Some(period);
        Some(self.why)
    }
}

fn day(time: DateTime<Utc>) -> i32 {
    time.num_days_from_ce()
}

/// The first of January of the year 1, day 1, was a Monday.
fn week(time: DateTime<Utc>) -> i32 {
    (time.num_days_from_ce() - 1).div_euclid(7)
}

fn month(time: DateTime<Utc>) -> i32 {
    time.year() * 12 + time.month0().cast_signed()
}

fn year(time: DateTime<Utc>) -> i32 {
    time.year()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING: Keep = Keep::EVERYTHING;

    /// The kept ones of points given newest first.
    fn kept(keep: Keep, points: &[DateTime<Utc>]) -> Vec<DateTime<Utc>> {
        let mut judge = Judge::new(keep);
        points.iter().copied().filter(|sealed_at| judge.judge(*sealed_at).is_some()).collect()
    }

    fn at(texts: &[&str]) -> Vec<DateTime<Utc>> {
        texts.iter().map(|text| format!("{text}:00Z").parse().unwrap()).collect()
    }

    /// Two points on most days around the turn of a year, newest first. 2026-01-05 is a Monday.
    const SEALED: [&str; 10] = [
        "2026-01-06T22:00",
        "2026-01-06T10:00",
        "2026-01-05T22:00",
        "2026-01-04T22:00",
        "2026-01-02T22:00",
        "2026-01-02T10:00",
        "2025-12-31T22:00",
        "2025-12-29T22:00",
        "2025-12-28T22:00",
        "2025-11-30T22:00",
    ];

    #[test]
    fn each_rule_keeps_the_newest_points_of_its_periods() {
        let cases: [(Keep, &[usize]); 9] = [
            (NOTHING, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (Keep { last: 1, ..NOTHING }, &[0]),
            (Keep { last: 3, ..NOTHING }, &[0, 1, 2]),
            (Keep { daily: 3, ..NOTHING }, &[0, 2, 3]),
            (Keep { weekly: 3, ..NOTHING }, &[0, 3, 8]),
            (Keep { monthly: 3, ..NOTHING }, &[0, 6, 9]),
            (Keep { yearly: 5, ..NOTHING }, &[0, 6]),
            // The last is exactly four days older than the newest.
            (Keep { days: 4, ..NOTHING }, &[0, 1, 2, 3, 4]),
            (Keep { last: 2, daily: 2, monthly: 2, ..NOTHING }, &[0, 1, 2, 6]),
        ];
        let points = at(&SEALED);

        for (keep, wanted) in cases {
            let wanted: Vec<_> = wanted.iter().map(|index| points[*index]).collect();
            assert_eq!(kept(keep, &points), wanted, "keep {keep}");
        }
    }

    #[test]
    fn a_kept_point_says_why() {
        let mut judge = Judge::new(Keep { last: 2, daily: 3, yearly: 2, ..NOTHING });

        let why: Vec<_> = at(&SEALED).into_iter().map(|sealed_at| judge.judge(sealed_at)).collect();

        let daily = Some(Why::Daily);
        let wanted =
            [Some(Why::Newest), Some(Why::Last), daily, daily, None, None, Some(Why::Yearly), None, None, None];
        assert_eq!(why, wanted);
    }

    #[test]
    fn a_chain_that_is_backed_up_no_more_loses_nothing_more() {
        let keep = Keep { days: 4, daily: 3, ..NOTHING };
        let once = kept(keep, &at(&SEALED));

        assert_eq!(kept(keep, &once), once, "no rule looks at today");
    }

    fn rules() -> impl Strategy<Value = Keep> {
        let number = || prop_oneof![Just(0u32), 1u32..6];
        (number(), number(), number(), number(), number(), number()).prop_map(
            |(last, days, daily, weekly, monthly, yearly)| Keep { last, days, daily, weekly, monthly, yearly },
        )
    }

    /// Points with gaps of an hour to a few months, newest first.
    fn points() -> impl Strategy<Value = Vec<DateTime<Utc>>> {
        let gap = prop_oneof![1i64..30, 20i64..800, 500i64..3000];
        proptest::collection::vec(gap, 1..60).prop_map(|gaps| {
            let mut time: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let older = gaps.into_iter().map(move |hours| {
                time -= TimeDelta::hours(hours);
                time
            });
            older.collect()
        })
    }

    proptest! {
        #[test]
        fn the_newest_is_kept_and_what_was_kept_once_is_kept_again(keep in rules(), points in points()) {
            let once = kept(keep, &points);

            prop_assert_eq!(once.first(), points.first());
            prop_assert_eq!(&kept(keep, &once), &once);
        }

        #[test]
        fn a_larger_number_never_keeps_less(keep in rules(), more in rules(), points in points()) {
            let wider = Keep {
                last: keep.last + more.last,
                days: keep.days + more.days,
                daily: keep.daily + more.daily,
                weekly: keep.weekly + more.weekly,
                monthly: keep.monthly + more.monthly,
                yearly: keep.yearly + more.yearly,
            };
            prop_assume!(keep != NOTHING);

            let (narrow, wide) = (kept(keep, &points), kept(wider, &points));

            prop_assert!(narrow.iter().all(|point| wide.contains(point)));
        }

        #[test]
        fn a_new_backup_never_brings_back_what_was_given_up(keep in rules(), points in points()) {
            let (before, after) = (kept(keep, &points[1..]), kept(keep, &points));

            prop_assert!(after.iter().all(|point| *point == points[0] || before.contains(point)));
        }
    }
}
