//! The recurrence of a series as Graph takes it. Pure.
//!
//! A series of a custom zone is kept in UTC, where it may fall on another day than on its own clock: its pattern is
//! moved by that day, where a pattern can be.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::features::exchange::text;

const WEEK: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// A day of a month that every month has, whichever way it is moved.
const SAFE_DAYS: std::ops::RangeInclusive<i64> = 2..=27;

/// A recurrence, and by how many days its dates are later than the original's.
#[derive(Debug, PartialEq)]
pub(super) struct Recurring {
    pub recurrence: Value,
    pub shift: i64,
}

/// `start` is the day on which the series begins in the zone that it is restored in, which is the original's if `zoned`.
pub(super) fn recurring(original: &Value, start: NaiveDate, zoned: bool) -> Result<Recurring, String> {
    let (pattern, range) = (&original["pattern"], &original["range"]);
    let began = date(&range["startDate"]).unwrap_or(start);
    let shift = if zoned { 0 } else { (start - began).num_days() };
    let mut moved = json!({
        "type": range["type"],
        "startDate": start.to_string(),
    });
    if text(&range["type"]) == "endDate" {
        let end = date(&range["endDate"]).and_then(|end| later(end, shift));
        moved["endDate"] = json!(end.ok_or("the series has no end that can be read")?.max(start).to_string());
    }
    if text(&range["type"]) == "numbered" {
        moved["numberOfOccurrences"] = range["numberOfOccurrences"].clone();
    }
    let zone = text(&range["recurrenceTimeZone"]);
    if !zoned {
        moved["recurrenceTimeZone"] = json!("UTC");
    } else if !zone.is_empty() && !zone.starts_with("tzone://") {
        moved["recurrenceTimeZone"] = json!(zone);
    }
    let recurrence = json!({ "pattern": pattern_of(pattern, shift)?, "range": moved });
    Ok(Recurring { recurrence, shift })
}

pub(super) fn date(value: &Value) -> Option<NaiveDate> {
    value.as_str()?.get(..10)?.parse().ok()
}

pub(super) fn later(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    let by = Days::new(days.unsigned_abs());
    if days < 0 { day.checked_sub_days(by) } else { day.checked_add_days(by) }
}

/// Only what its type has a use for: Outlook fills the others with values that it does not take.
fn pattern_of(pattern: &Value, shift: i64) -> Result<Value, String> {
    let kind = text(&pattern["type"]);
    let members: &[&str] = match kind {
        "daily" => &[],
        "weekly" => &["daysOfWeek"],
        "absoluteMonthly" => &["dayOfMonth"],
        "relativeMonthly" => &["daysOfWeek", "index"],
        "absoluteYearly" => &["dayOfMonth", "month"],
        "relativeYearly" => &["daysOfWeek", "index", "month"],
        other => return Err(format!("this version of kodo does not know series of type \"{other}\"")),
    };
    let mut taken = json!({ "type": kind, "interval": pattern["interval"].as_u64().unwrap_or(1).max(1) });
    for member in members.iter().chain(&["firstDayOfWeek"]).filter(|member| !pattern[**member].is_null()) {
        taken[*member] = pattern[*member].clone();
    }
    match (shift, kind) {
        (0, _) | (_, "daily") => {}
        (_, "weekly") => taken["daysOfWeek"] = weekdays_later(&pattern["daysOfWeek"], shift),
        (_, "absoluteMonthly" | "absoluteYearly") => {
            let day = pattern["dayOfMonth"].as_i64().filter(|day| SAFE_DAYS.contains(day)).ok_or(NOT_MOVED)?;
            taken["dayOfMonth"] = json!(day + shift);
        }
        (_, _) => return Err(NOT_MOVED.to_owned()),
    }
    Ok(taken)
}

const NOT_MOVED: &str = "the series is of a time zone that Microsoft does not let anybody name, and in another one it \
    would fall on other days; it can be read in the restore point";

fn weekdays_later(days: &Value, shift: i64) -> Value {
    let moved = days.as_array().into_iter().flatten().map(|day| {
        let at = WEEK.iter().position(|name| name.eq_ignore_ascii_case(text(day)));
        at.map_or(day.clone(), |at| json!(WEEK[(at as i64 + shift).rem_euclid(7) as usize]))
    });
    moved.collect()
}

/// A day on or behind the last one of the series; `None`: it has no end, or none that can be told.
pub(super) fn ended_by(recurrence: &Value) -> Option<NaiveDate> {
    const DAYS_MAX: u64 = 365_000;
    let (pattern, range) = (&recurrence["pattern"], &recurrence["range"]);
    match text(&range["type"]) {
        "endDate" => date(&range["endDate"]),
        "numbered" => {
            let days = match text(&pattern["type"]) {
                "daily" => 1,
                "weekly" => 7,
                "absoluteMonthly" | "relativeMonthly" => 31,
                "absoluteYearly" | "relativeYearly" => 366,
                _ => return None,
            };
            let times = range["numberOfOccurrences"].as_u64()?.checked_mul(pattern["interval"].as_u64()?)?;
            let days = times.checked_mul(days).filter(|days| *days <= DAYS_MAX)?;
            date(&range["startDate"])?.checked_add_days(Days::new(days))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(pattern: Value) -> Value {
        let range = json!({"type": "endDate", "startDate": "2026-01-08", "endDate": "2026-12-31",
            "recurrenceTimeZone": "W. Europe Standard Time", "numberOfOccurrences": 0});
        json!({"pattern": pattern, "range": range})
    }

    fn weekly() -> Value {
        series(
            json!({"type": "weekly", "interval": 2, "daysOfWeek": ["thursday", "sunday"], "firstDayOfWeek": "monday",
            "month": 0, "dayOfMonth": 0, "index": "first"}),
        )
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_series_comes_back_with_what_its_type_has_a_use_for() {
        let made = recurring(&weekly(), day("2026-01-08"), true).unwrap();

        assert_eq!(
            made.recurrence,
            json!({
                "pattern": {"type": "weekly", "interval": 2, "daysOfWeek": ["thursday", "sunday"], "firstDayOfWeek": "monday"},
                "range": {"type": "endDate", "startDate": "2026-01-08", "endDate": "2026-12-31",
                    "recurrenceTimeZone": "W. Europe Standard Time"},
            })
        );
        assert_eq!(made.shift, 0);
    }

    #[test]
    fn what_falls_on_another_day_in_utc_is_moved_by_that_day() {
        let made = recurring(&weekly(), day("2026-01-07"), false).unwrap();

        assert_eq!(made.shift, -1);
        assert_eq!(made.recurrence["pattern"]["daysOfWeek"], json!(["wednesday", "saturday"]));
        assert_eq!(
            made.recurrence["range"],
            json!({"type": "endDate", "startDate": "2026-01-07", "endDate": "2026-12-30", "recurrenceTimeZone": "UTC"})
        );
    }

    #[test]
    fn what_cannot_be_moved_is_not_put_on_wrong_days() {
        let relative =
            series(json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["friday"], "index": "last"}));
        let last = series(json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}));

        for odd in [&relative, &last] {
            assert!(recurring(odd, day("2026-01-09"), false).unwrap_err().contains("other days"));
            assert!(recurring(odd, day("2026-01-08"), false).is_ok());
        }
        assert!(recurring(&series(json!({"type": "lunar"})), day("2026-01-08"), true).is_err());
    }

    #[test]
    fn the_end_of_a_series_is_known_where_it_has_one() {
        let numbered = |kind: &str| {
            json!({"pattern": {"type": kind, "interval": 2},
                "range": {"type": "numbered", "startDate": "2026-01-01", "numberOfOccurrences": 10}})
        };

        assert_eq!(ended_by(&weekly()), Some(day("2026-12-31")));
        assert_eq!(ended_by(&numbered("daily")), Some(day("2026-01-21")));
        assert!(ended_by(&numbered("absoluteYearly")).unwrap() > day("2045-12-31"));
        assert_eq!(ended_by(&json!({"range": {"type": "noEnd"}})), None);
    }
}
