//! Time zones as a mailbox knows them: Windows names, an offset, and a rule for summer time.

use chrono::{Datelike, NaiveDate, Weekday};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    #[default]
    Utc,
    WestEurope,
    Eastern,
    Tokyo,
    /// A zone that came with an invitation and has no name anybody could ask for.
    Custom,
}

/// What a custom zone is called.
const CUSTOM: &str = "tzone://Microsoft/Custom";
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

impl Zone {
    const NAMED: [(Self, &'static str, &'static [&'static str]); 4] = [
        (Self::Utc, "UTC", &["Etc/UTC", "Etc/GMT", "Coordinated Universal Time"]),
        (
            Self::WestEurope,
            "W. Europe Standard Time",
            &["Europe/Berlin", "Europe/Vienna", "Europe/Zurich", "Europe/Rome", "Europe/Amsterdam"],
        ),
        (Self::Eastern, "Eastern Standard Time", &["America/New_York", "America/Toronto"]),
        (Self::Tokyo, "Tokyo Standard Time", &["Asia/Tokyo"]),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(zone, ..)| *zone == self).map_or(CUSTOM, |(_, name, _)| name)
    }

    /// A zone by its Windows or its IANA name; a custom one cannot be asked for.
    pub fn find(name: &str) -> Option<Self> {
        let same = |have: &&str| have.eq_ignore_ascii_case(name);
        Self::NAMED.iter().find(|(_, windows, other)| same(windows) || other.iter().any(same)).map(|(zone, ..)| *zone)
    }

    /// Seconds since 1970 by the clock on the wall there.
    pub fn to_local(self, utc: i64) -> i64 {
        utc + self.offset_at(utc)
    }

    /// The moment when the clock on the wall there shows this.
    pub fn to_utc(self, local: i64) -> i64 {
        local - self.offset_at(local - self.standard())
    }

    fn standard(self) -> i64 {
        match self {
            Self::Utc => 0,
            Self::WestEurope => HOUR,
            Self::Eastern => -5 * HOUR,
            Self::Tokyo => 9 * HOUR,
            Self::Custom => HOUR + HOUR / 2,
        }
    }

    fn offset_at(self, utc: i64) -> i64 {
        let year = chrono::DateTime::from_timestamp(utc, 0).map_or(1970, |at| at.year());
        let (begins, ends) = match self {
            Self::Utc | Self::Tokyo | Self::Custom => return self.standard(),
            Self::WestEurope => (last_sunday(year, 3) + HOUR, last_sunday(year, 10) + HOUR),
            Self::Eastern => (nth_sunday(year, 3, 2) + 7 * HOUR, nth_sunday(year, 11, 1) + 6 * HOUR),
        };
        self.standard() + if (begins..ends).contains(&utc) { HOUR } else { 0 }
    }
}

fn nth_sunday(year: i32, month: u32, n: u8) -> i64 {
    NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Sun, n).map_or(0, midnight)
}

fn last_sunday(year: i32, month: u32) -> i64 {
    let fifth = NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Sun, 5);
    fifth.map_or_else(|| nth_sunday(year, month, 4), midnight)
}

/// Seconds since 1970 at the begin of the day.
pub fn midnight(day: NaiveDate) -> i64 {
    (i64::from(day.num_days_from_ce()) - 719_163) * DAY
}

/// The day of a wall clock time.
pub fn day_of(local: i64) -> NaiveDate {
    let days = local.div_euclid(DAY) + 719_163;
    i32::try_from(days).ok().and_then(NaiveDate::from_num_days_from_ce_opt).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_iso;

    #[test]
    fn nine_in_berlin_is_eight_in_winter_and_seven_in_summer() {
        let at = |text: &str| parse_iso(text).expect("a time");
        for (zone, local, utc) in [
            (Zone::WestEurope, "2026-03-27T09:00:00", "2026-03-27T08:00:00"),
            (Zone::WestEurope, "2026-03-30T09:00:00", "2026-03-30T07:00:00"),
            (Zone::WestEurope, "2026-10-26T09:00:00", "2026-10-26T08:00:00"),
            (Zone::Eastern, "2026-03-09T09:00:00", "2026-03-09T13:00:00"),
            (Zone::Eastern, "2026-11-02T09:00:00", "2026-11-02T14:00:00"),
        ] {
            assert_eq!(zone.to_utc(at(local)), at(utc), "{local}");
            assert_eq!(zone.to_local(at(utc)), at(local), "{utc}");
        }
    }

    #[test]
    fn a_day_and_its_midnight_belong_together() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 29).expect("a day");
        assert_eq!(midnight(day), parse_iso("2026-03-29T00:00:00Z").expect("a time"));
        assert_eq!(day_of(midnight(day) + DAY - 1), day);
    }
}
