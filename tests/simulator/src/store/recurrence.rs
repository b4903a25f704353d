//! When a series happens: pattern and range as Outlook defines them, and the days they give.

use super::zone::Zone;
use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Nobody looks further ahead into a series without end.
const HORIZON_DAYS: u64 = 20 * 366;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    pub pattern: Pattern,
    pub interval: u32,
    pub first_day_of_week: Weekday,
    pub start: NaiveDate,
    pub range: Range,
    pub zone: Zone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Daily,
    Weekly { days: Vec<Weekday> },
    AbsoluteMonthly { day: u32 },
    RelativeMonthly { weekday: Weekday, index: Index },
    AbsoluteYearly { day: u32, month: u32 },
    RelativeYearly { weekday: Weekday, index: Index, month: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    EndDate(NaiveDate),
    NoEnd,
    Numbered(u32),
}

impl Index {
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
            Self::Fourth => "fourth",
            Self::Last => "last",
        }
    }

    fn fits(self, day: NaiveDate) -> bool {
        let nth = (day.day() - 1) / 7;
        match self {
            Self::First => nth == 0,
            Self::Second => nth == 1,
            Self::Third => nth == 2,
            Self::Fourth => nth == 3,
            Self::Last => day + Days::new(7) > last_of_month(day),
        }
    }
}

impl Recurrence {
    pub fn new(pattern: Pattern, start: NaiveDate, range: Range, zone: Zone) -> Self {
        Self { pattern, interval: 1, first_day_of_week: Weekday::Mon, start, range, zone }
    }

    /// All days of the series up to and including `until`, cancelled ones and exceptions too.
    pub fn days(&self, until: NaiveDate) -> Vec<NaiveDate> {
        let most = match self.range {
            Range::Numbered(n) => n as usize,
            Range::EndDate(_) | Range::NoEnd => usize::MAX,
        };
        let until = match self.range {
            Range::EndDate(end) => until.min(end),
            Range::Numbered(_) | Range::NoEnd => until,
        };
        let until = until.min(self.start + Days::new(HORIZON_DAYS));
        self.start.iter_days().take_while(|day| *day <= until).filter(|day| self.falls_on(*day)).take(most).collect()
    }

    pub fn has(&self, day: NaiveDate) -> bool {
        self.days(day).last() == Some(&day)
    }

    fn falls_on(&self, day: NaiveDate) -> bool {
        let interval = i64::from(self.interval.max(1));
        let months =
            i64::from(day.year() - self.start.year()) * 12 + i64::from(day.month()) - i64::from(self.start.month());
        let in_turn = |n: i64| n % interval == 0;
        let on = |wanted: u32| day.day() == wanted.min(last_of_month(day).day());
        match &self.pattern {
            Pattern::Daily => in_turn((day - self.start).num_days()),
            Pattern::Weekly { days } => {
                let week = |day: NaiveDate| day.week(self.first_day_of_week).first_day();
                days.contains(&day.weekday()) && in_turn((week(day) - week(self.start)).num_weeks())
            }
            Pattern::AbsoluteMonthly { day: wanted } => on(*wanted) && in_turn(months),
            Pattern::RelativeMonthly { weekday, index } => {
                day.weekday() == *weekday && index.fits(day) && in_turn(months)
            }
            Pattern::AbsoluteYearly { day: wanted, month } => {
                day.month() == *month && on(*wanted) && in_turn(i64::from(day.year() - self.start.year()))
            }
            Pattern::RelativeYearly { weekday, index, month } => {
                day.month() == *month
                    && day.weekday() == *weekday
                    && index.fits(day)
                    && in_turn(i64::from(day.year() - self.start.year()))
            }
        }
    }
}

fn last_of_month(day: NaiveDate) -> NaiveDate {
    let (year, month) = if day.month() == 12 { (day.year() + 1, 1) } else { (day.year(), day.month() + 1) };
    NaiveDate::from_ymd_opt(year, month, 1).and_then(|next| next.pred_opt()).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn first_days(pattern: Pattern, interval: u32, start: &str, range: Range) -> Vec<String> {
        let recurrence = Recurrence { interval, ..Recurrence::new(pattern, day(start), range, Zone::Utc) };
        recurrence.days(day("2027-12-31")).into_iter().take(3).map(|day| day.to_string()).collect()
    }

    #[test]
    fn patterns_fall_on_the_days_outlook_would_name() {
        let (fri, tue) = (Weekday::Fri, Weekday::Tue);
        for (pattern, interval, start, expected) in [
            (Pattern::Daily, 2, "2026-01-30", ["2026-01-30", "2026-02-01", "2026-02-03"]),
            (Pattern::Weekly { days: vec![fri, tue] }, 2, "2026-01-06", ["2026-01-06", "2026-01-09", "2026-01-20"]),
            (Pattern::AbsoluteMonthly { day: 31 }, 1, "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31"]),
            (
                Pattern::RelativeMonthly { weekday: fri, index: Index::Last },
                1,
                "2026-01-30",
                ["2026-01-30", "2026-02-27", "2026-03-27"],
            ),
        ] {
            assert_eq!(first_days(pattern, interval, start, Range::NoEnd), expected);
        }
        let yearly = Pattern::RelativeYearly { weekday: tue, index: Index::Second, month: 11 };
        assert_eq!(first_days(yearly, 1, "2026-11-10", Range::NoEnd), ["2026-11-10", "2027-11-09"]);
    }

    #[test]
    fn a_range_ends_by_number_or_by_date() {
        assert_eq!(first_days(Pattern::Daily, 1, "2026-01-01", Range::Numbered(2)).len(), 2);
        assert_eq!(first_days(Pattern::Daily, 1, "2026-01-01", Range::EndDate(day("2026-01-01"))).len(), 1);
    }
}
