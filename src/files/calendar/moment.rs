//! When something is: a day, or a time in a zone.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::zones;
use crate::files::lines::Lines;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Of an event that lasts whole days.
    Day(NaiveDate, Option<Tz>),
    Utc(NaiveDateTime),
    In(NaiveDateTime, Tz),
    /// In a zone that nobody here knows: the clock on the wall is what is known.
    Wall(NaiveDateTime, String),
}

impl Moment {
    /// Graph writes a time and its zone apart, and the time without an offset.
    pub(super) fn of(told: &Value, all_day: bool) -> Option<Self> {
        let local = NaiveDateTime::parse_from_str(told["dateTime"].as_str()?, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        let zone = told["timeZone"].as_str().unwrap_or_default();
        if all_day {
            return Some(Self::Day(local.date(), zones::find(zone)));
        }
        if zones::is_utc(zone) {
            return Some(Self::Utc(local));
        }
        Some(match zones::find(zone) {
            Some(zone) => Self::In(local, zone),
            None => Self::Wall(local, zone.to_owned()),
        })
    }

    pub(super) fn zone(&self) -> Option<Tz> {
        match self {
            Self::In(_, zone) => Some(*zone),
            Self::Day(..) | Self::Utc(_) | Self::Wall(..) => None,
        }
    }

    /// The same time of day, on another day.
    pub(super) fn on(&self, day: NaiveDate) -> Self {
        match self {
            Self::Day(_, zone) => Self::Day(day, *zone),
            Self::Utc(local) => Self::Utc(day.and_time(local.time())),
            Self::In(local, zone) => Self::In(day.and_time(local.time()), *zone),
            Self::Wall(local, zone) => Self::Wall(day.and_time(local.time()), zone.clone()),
        }
    }

    /// An instant, told as this moment is.
    pub(super) fn at(&self, instant: DateTime<Utc>) -> Self {
        match self {
            Self::Day(_, zone) => {
                let there = zone.map_or(instant.naive_utc(), |zone| instant.with_timezone(&zone).naive_local());
                // Whole days begin at midnight of the zone in which they were made, or of none.
                let day = if there.time() == NaiveTime::MIN { there.date() } else { instant.date_naive() };
                Self::Day(day, *zone)
            }
            Self::Utc(_) => Self::Utc(instant.naive_utc()),
            Self::In(_, zone) => Self::In(instant.with_timezone(zone).naive_local(), *zone),
            Self::Wall(_, zone) => Self::Wall(instant.naive_utc(), zone.clone()),
        }
    }

    pub(super) fn write(&self, name: &str, lines: &mut Lines) {
        let text = |local: &NaiveDateTime| local.format("%Y%m%dT%H%M%S").to_string();
        match self {
            Self::Day(day, _) => lines.with(name, &[("VALUE", "DATE")], &day.format("%Y%m%d").to_string()),
            Self::Utc(local) => lines.raw(name, &(text(local) + "Z")),
            Self::In(local, zone) => lines.with(name, &[("TZID", zone.name())], &text(local)),
            Self::Wall(local, zone) => lines.with(name, &[("X-KODO-TIME-ZONE", zone)], &text(local)),
        }
    }

    /// As the end of a rule: a rule whose start is in a zone ends by the clock of UTC.
    pub(super) fn as_until(&self) -> String {
        let text = |local: &NaiveDateTime| local.format("%Y%m%dT%H%M%S").to_string();
        match self {
            Self::Day(day, _) => day.format("%Y%m%d").to_string(),
            Self::Utc(local) => text(local) + "Z",
            Self::In(local, zone) => text(&instant(*local, *zone).naive_utc()) + "Z",
            Self::Wall(local, _) => text(local),
        }
    }
}

/// A time that the clock shows twice is the first one; one that it leaves out is an hour later.
fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
    found.map_or(local.and_utc(), |time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(moment: &Moment) -> String {
        let mut lines = Lines::default();
        moment.write("DTSTART", &mut lines);
        lines.into_text()
    }

    fn moment(time: &str, zone: &str, all_day: bool) -> Moment {
        Moment::of(&json!({"dateTime": time, "timeZone": zone}), all_day).unwrap()
    }

    #[test]
    fn a_moment_is_told_in_its_own_zone() {
        let time = "2026-03-30T09:00:00.0000000";
        for (zone, all_day, expected) in [
            ("W. Europe Standard Time", false, "DTSTART;TZID=Europe/Berlin:20260330T090000\r\n"),
            ("UTC", false, "DTSTART:20260330T090000Z\r\n"),
            ("UTC", true, "DTSTART;VALUE=DATE:20260330\r\n"),
            ("Zone 9", false, "DTSTART;X-KODO-TIME-ZONE=Zone 9:20260330T090000\r\n"),
        ] {
            assert_eq!(written(&moment(time, zone, all_day)), expected);
        }
    }

    #[test]
    fn an_occurrence_is_told_by_the_clock_of_its_series() {
        let instant = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let berlin = moment("2026-03-02T09:00:00", "Europe/Berlin", false);
        let days = moment("2026-03-02T00:00:00", "Europe/Berlin", true);

        // Before and after summer time began.
        assert_eq!(
            written(&berlin.at(instant("2026-03-16T08:00:00Z"))),
            "DTSTART;TZID=Europe/Berlin:20260316T090000\r\n"
        );
        assert_eq!(
            written(&berlin.at(instant("2026-04-06T07:00:00Z"))),
            "DTSTART;TZID=Europe/Berlin:20260406T090000\r\n"
        );
        assert_eq!(written(&days.at(instant("2026-04-05T22:00:00Z"))), "DTSTART;VALUE=DATE:20260406\r\n");
        assert_eq!(written(&days.at(instant("2026-04-06T00:00:00Z"))), "DTSTART;VALUE=DATE:20260406\r\n");
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_is_an_instant_all_the_same() {
        let gap = moment("2026-03-29T02:30:00", "Europe/Berlin", false);

        assert_eq!(gap.as_until(), "20260329T013000Z");
    }
}
