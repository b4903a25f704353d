//! When a schedule fires: a cron expression in an IANA time zone. Pure.
//!
//! Five fields (minute, hour, day of month, month, day of week) or six (a second in front), with the numbers of Unix
//! cron: Sunday is 0 or 7. The clocks change twice a year: a time that a day skips fires when that hour is over, and
//! a time that a day has twice fires once, unless the schedule fires in every hour anyway.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use cron::TimeUnitSpec;

/// Firings looked at to find the next one. More than one is needed only where the clocks change.
const CANDIDATES_MAX: usize = 10_000;
/// The longest stretch of local time that a zone has ever left out is a day.
const GAP_MINUTES_MAX: i64 = 25 * 60;

/// A cron expression and a time zone that were understood.
#[derive(Clone, Debug)]
pub struct Timing {
    cron: cron::Schedule,
    zone: Tz,
}

/// What is wrong with a schedule's timing, for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTiming {
    #[error(
        "a cron expression has 5 fields (minute, hour, day of month, month, day of week) or 6 with a second in front; \"{cron}\" has {n_fields}"
    )]
    Fields { cron: String, n_fields: usize },
    #[error("\"{field}\" is not a day of the week: give 0 to 7 (0 and 7 are Sunday), MON to SUN, a range or a list")]
    DayOfWeek { field: String },
    #[error("\"{cron}\" restricts both the day of the month and the day of the week; make one of them *")]
    TwoKindsOfDay { cron: String },
    #[error("\"{cron}\" is not a cron expression: {problem}")]
    Expression { cron: String, problem: String },
    #[error("\"{zone}\" is not a time zone; give an IANA name such as Europe/Berlin or UTC")]
    Zone { zone: String },
    #[error("\"{cron}\" never fires")]
    Never { cron: String },
}

impl Timing {
    pub fn parse(cron: &str, zone: &str) -> Result<Self, BadTiming> {
        let zone: Tz = zone.parse().map_err(|_| BadTiming::Zone { zone: zone.to_owned() })?;
        let expression = with_seconds_and_own_days(cron)?;
        let parsed = expression.parse::<cron::Schedule>().map_err(|err| BadTiming::Expression {
            cron: cron.to_owned(),
            problem: err.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
        })?;
        let timing = Self { cron: parsed, zone };
        // What ever fires has fired since then: no expression names a year.
        match timing.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(timing),
            None => Err(BadTiming::Never { cron: cron.to_owned() }),
        }
    }

    /// The first firing after `after`; `None`: it never fires again.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let here = after.with_timezone(&self.zone);
        if self.cron.hours().is_all() {
            // What fires in every hour goes on through a change of the clocks as if there was none.
            let unchanging: FixedOffset = here.offset().fix();
            return self.cron.after(&after.with_timezone(&unchanging)).next().map(|time| time.to_utc());
        }
        // The expression is evaluated on the face of the clock, which knows no zone, and then put into the zone.
        let face = here.naive_local().and_utc();
        let firings = self.cron.after(&face).take(CANDIDATES_MAX);
        firings.filter_map(|firing| self.instant(firing.naive_utc())).find(|instant| *instant > after)
    }

    fn instant(&self, face: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.zone.from_local_datetime(&face) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Some(instant.to_utc()),
            LocalResult::None => (1..=GAP_MINUTES_MAX).find_map(|minutes| {
                let later = face.with_second(0)? + Duration::minutes(minutes);
                self.zone.from_local_datetime(&later).earliest().map(|instant| instant.to_utc())
            }),
        }
    }
}

/// The expression as the `cron` crate reads it: six fields, and days of the week as its own numbers (Sunday is 1).
fn with_seconds_and_own_days(cron: &str) -> Result<String, BadTiming> {
    let mut fields: Vec<&str> = cron.split_whitespace().collect();
    match fields.len() {
        5 => fields.insert(0, "0"),
        6 => {}
        n_fields => return Err(BadTiming::Fields { cron: cron.to_owned(), n_fields }),
    }
    let is_any = |field: &str| matches!(field, "*" | "?");
    // Unix cron would fire on days that match either, the crate on days that match both: nobody can know what is meant.
    if !is_any(fields[3]) && !is_any(fields[5]) {
        return Err(BadTiming::TwoKindsOfDay { cron: cron.to_owned() });
    }
    let days = if is_any(fields[5]) { "*".to_owned() } else { own_days(fields[5])? };
    fields[5] = &days;
    Ok(fields.join(" "))
}

fn own_days(field: &str) -> Result<String, BadTiming> {
    let bad = || BadTiming::DayOfWeek { field: field.to_owned() };
    let mut days = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(bad)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (day(first).ok_or_else(bad)?, day(last).ok_or_else(bad)?),
            None if range == "*" => (0, 6),
            None if part.contains('/') => (day(range).ok_or_else(bad)?, 6),
            None => (day(range).ok_or_else(bad)?, day(range).ok_or_else(bad)?),
        };
        // FRI-MON goes over the end of the week.
        let last = if last < first { last + 7 } else { last };
        days.extend((first..=last).step_by(step).map(|day| day % 7 + 1));
    }
    Ok(days.iter().map(u8::to_string).collect::<Vec<_>>().join(","))
}

/// 0 to 7, or the first three letters of the English name and what may follow them.
fn day(text: &str) -> Option<u8> {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    if let Ok(number) = text.parse::<u8>() {
        return (number <= 7).then_some(number);
    }
    let text = text.to_ascii_lowercase();
    let named = NAMES.iter().position(|name| text.len() >= 3 && name.starts_with(&text))?;
    u8::try_from(named).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firings(cron: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
        let timing = Timing::parse(cron, zone).unwrap();
        let mut at: DateTime<Utc> = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..n {
            at = timing.next_after(at).unwrap();
            found.push(at.format("%a %m-%dT%H:%M").to_string());
        }
        found
    }

    #[test]
    fn a_nightly_schedule_keeps_its_local_hour_when_the_clocks_change() {
        let found = firings("0 22 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);

        assert_eq!(found, ["Fri 03-27T21:00", "Sat 03-28T21:00", "Sun 03-29T20:00"]);
    }

    #[test]
    fn a_time_that_the_day_skips_fires_when_the_gap_is_over() {
        // On 29 March 2026 Berlin goes from 02:00 to 03:00, which is 01:00 UTC.
        let found = firings("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);

        assert_eq!(found, ["Sat 03-28T01:30", "Sun 03-29T01:00", "Mon 03-30T00:30"]);
    }

    #[test]
    fn a_time_that_the_day_has_twice_fires_once() {
        // On 25 October 2026 Berlin has 02:30 at 00:30 and at 01:30 UTC.
        let found = firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);

        assert_eq!(found, ["Sun 10-25T00:30", "Mon 10-26T01:30"]);
    }

    #[test]
    fn an_hourly_schedule_has_no_pause_when_an_hour_comes_twice() {
        let found = firings("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4);

        assert_eq!(found, ["Sun 10-25T00:00", "Sun 10-25T01:00", "Sun 10-25T02:00", "Sun 10-25T03:00"]);
    }

    #[test]
    fn days_of_the_week_have_the_numbers_of_unix() {
        let after = "2026-11-22T12:00:00Z"; // a Sunday
        for weekdays in ["0 2 * * 1-5", "0 2 * * MON-FRI", "0 0 2 * * monday-fri", "0 2 ? * 1,2,3,4,5"] {
            let found = firings(weekdays, "UTC", after, 6);
            let days: Vec<&str> = found.iter().map(|time| &time[..3]).collect();
            assert_eq!(days, ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"], "{weekdays}");
        }
        assert_eq!(firings("0 2 * * 0", "UTC", after, 1), firings("0 2 * * 7", "UTC", after, 1));
        assert_eq!(firings("0 2 * * 5-7", "UTC", after, 3), firings("0 2 * * fri-sun", "UTC", after, 3));
        assert_eq!(firings("0 2 * * */2", "UTC", after, 4), firings("0 2 * * 0,2,4,6", "UTC", after, 4));
    }

    #[test]
    fn bad_timings_are_told_apart_in_words() {
        let problem = |cron: &str, zone: &str| Timing::parse(cron, zone).unwrap_err().to_string();

        assert!(problem("0 2 * *", "UTC").contains("has 4"));
        assert!(problem("0 2 * * 8", "UTC").contains("\"8\" is not a day of the week"));
        assert!(problem("0 2 1 * 1", "UTC").contains("make one of them *"));
        assert!(problem("0 25 * * *", "UTC").contains("\"0 25 * * *\" is not a cron expression"));
        assert!(problem("0 2 30 2 *", "UTC").contains("never fires"));
        assert!(problem("0 2 * * *", "Berlin").contains("Europe/Berlin"));
    }
}
