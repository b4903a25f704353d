//! What a time zone is, said in a calendar's own words (VTIMEZONE), so that its reader need not know the zone.
//!
//! Onsets of the zone that follow each other by one rule, such as the last Sunday of March, become one rule. The last
//! rule goes on for ever; what is known of the zone ends with [`LAST_YEAR`].

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::{OffsetComponents, OffsetName, Tz};

use crate::files::lines::Lines;

const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2037;
/// No zone changes its mind twice within so many days.
const STEP_DAYS: u64 = 10;

/// A change of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Onset {
    /// By the clock before the change, as a calendar says it.
    local: NaiveDateTime,
    utc: DateTime<Utc>,
    from: TimeDelta,
    to: TimeDelta,
    is_summer: bool,
    name: String,
}

/// On which day of a month something happens every year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// The n-th such weekday.
    Nth(u32, Weekday),
    Last(Weekday),
}

/// Onsets of one kind, year after year by one rule, or a single one.
struct Run {
    first: Onset,
    last: Onset,
    days: Vec<Day>,
    n: u32,
}

pub(super) fn write(zone: Tz, lines: &mut Lines) {
    lines.raw("BEGIN", "VTIMEZONE");
    lines.text("TZID", zone.name());
    let runs = runs(onsets(zone));
    runs.iter().for_each(|run| run.write(lines));
    lines.raw("END", "VTIMEZONE");
}

/// All onsets, the first of which is no change but what was before.
fn onsets(zone: Tz) -> Vec<Onset> {
    let at = |year: i32| {
        let day = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
        day.and_time(chrono::NaiveTime::MIN).and_utc()
    };
    let (mut now, end) = (at(FIRST_YEAR), at(LAST_YEAR + 1));
    let mut onsets = vec![onset(zone, now, offset(zone, now))];
    while now < end {
        let next = now + Days::new(STEP_DAYS);
        if offset(zone, next) != offset(zone, now) {
            let change = first_with(zone, now, next);
            onsets.push(onset(zone, change, offset(zone, now)));
        }
        now = next;
    }
    onsets.retain(|onset| onset.utc < end);
    onsets
}

fn offset(zone: Tz, at: DateTime<Utc>) -> TimeDelta {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc());
    offset.base_utc_offset() + offset.dst_offset()
}

/// The second at which the offset of `late` begins to hold.
fn first_with(zone: Tz, early: DateTime<Utc>, late: DateTime<Utc>) -> DateTime<Utc> {
    let (mut early, mut late) = (early.timestamp(), late.timestamp());
    let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap_or_default();
    let after = offset(zone, at(late));
    while late - early > 1 {
        let middle = early + (late - early) / 2;
        if offset(zone, at(middle)) == after { late = middle } else { early = middle }
    }
    at(late)
}

fn onset(zone: Tz, utc: DateTime<Utc>, from: TimeDelta) -> Onset {
    let offset = zone.offset_from_utc_datetime(&utc.naive_utc());
    Onset {
        local: utc.naive_utc() + from,
        utc,
        from,
        to: offset.base_utc_offset() + offset.dst_offset(),
        is_summer: !offset.dst_offset().is_zero(),
        name: offset.abbreviation().unwrap_or(zone.name()).to_owned(),
    }
}

fn runs(onsets: Vec<Onset>) -> Vec<Run> {
    let mut ended = Vec::new();
    let mut open: Vec<Run> = Vec::new();
    for onset in onsets {
        let days = days(onset.local.date());
        let same_kind = |run: &&mut Run| {
            let (a, b) = (&run.last, &onset);
            (a.from, a.to, a.is_summer, &a.name) == (b.from, b.to, b.is_summer, &b.name)
                && (a.local.month(), a.local.time()) == (b.local.month(), b.local.time())
                && a.local.year() + 1 == b.local.year()
                && run.days.iter().any(|day| days.contains(day))
        };
        if let Some(run) = open.iter_mut().find(same_kind) {
            run.days.retain(|day| days.contains(day));
            run.last = onset;
            run.n += 1;
            continue;
        }
        open.push(Run { first: onset.clone(), last: onset, days, n: 1 });
        // What has not gone on for more than a year does not go on.
        let year = open.last().map_or(0, |run| run.last.local.year());
        let (going, done): (Vec<Run>, Vec<Run>) = open.into_iter().partition(|run| run.last.local.year() + 1 >= year);
        open = going;
        ended.extend(done);
    }
    ended.extend(open);
    ended.sort_by_key(|run| run.first.utc);
    ended
}

fn days(date: NaiveDate) -> Vec<Day> {
    let (day, weekday) = (date.day(), date.weekday());
    let nth = (day - 1) / 7 + 1;
    let is_last = (date + Days::new(7)).month() != date.month();
    let nth = (nth <= 4).then_some(Day::Nth(nth, weekday));
    nth.into_iter().chain(is_last.then_some(Day::Last(weekday))).collect()
}

impl Run {
    fn write(&self, lines: &mut Lines) {
        let kind = if self.first.is_summer { "DAYLIGHT" } else { "STANDARD" };
        lines.raw("BEGIN", kind);
        lines.raw("DTSTART", &self.first.local.format("%Y%m%dT%H%M%S").to_string());
        lines.raw("TZOFFSETFROM", &offset_text(self.first.from));
        lines.raw("TZOFFSETTO", &offset_text(self.first.to));
        lines.text("TZNAME", &self.first.name);
        let goes_on = self.last.local.year() == LAST_YEAR;
        if let Some(day) = self.days.last().filter(|_| self.n > 1) {
            let month = self.first.local.month();
            let day = match day {
                Day::Nth(n, weekday) => format!("{n}{}", super::recurrence::two_letters(*weekday)),
                Day::Last(weekday) => format!("-1{}", super::recurrence::two_letters(*weekday)),
            };
            let until = if goes_on { String::new() } else { self.last.utc.format(";UNTIL=%Y%m%dT%H%M%SZ").to_string() };
            lines.raw("RRULE", &format!("FREQ=YEARLY;BYMONTH={month};BYDAY={day}{until}"));
        }
        lines.raw("END", kind);
    }
}

fn offset_text(offset: TimeDelta) -> String {
    let seconds = offset.num_seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    let rest = if rest == 0 { String::new() } else { format!("{rest:02}") };
    format!("{sign}{hours:02}{minutes:02}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(zone: Tz) -> String {
        let mut lines = Lines::default();
        write(zone, &mut lines);
        lines.into_text()
    }

    #[test]
    fn summer_time_is_a_rule_that_goes_on() {
        let berlin = written(Tz::Europe__Berlin);

        assert!(
            berlin.contains(
                "BEGIN:STANDARD\r\nDTSTART:19961027T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\n\
             RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD"
            ),
            "{berlin}"
        );
        assert!(berlin.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"), "{berlin}");
        assert!(berlin.len() < 3000, "{berlin}");
    }

    #[test]
    fn a_rule_that_was_given_up_ends() {
        let new_york = written(Tz::America__New_York);

        assert!(new_york.contains("RRULE:FREQ=YEARLY;BYMONTH=4;BYDAY=1SU;UNTIL=20060402T070000Z"), "{new_york}");
        assert!(new_york.contains("DTSTART:20070311T020000"), "{new_york}");
        assert!(new_york.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n"), "{new_york}");
    }

    #[test]
    fn a_zone_without_summer_time_is_one_offset() {
        let kolkata = written(Tz::Asia__Kolkata);

        assert_eq!(kolkata.matches("BEGIN:STANDARD").count(), 1, "{kolkata}");
        assert!(kolkata.contains("TZOFFSETTO:+0530\r\n"));
    }
}
