//! Graph's pattern and range of a series as a rule of iCalendar.

use chrono::{NaiveDate, Weekday};
use serde_json::Value;

use super::moment::Moment;

/// The rule of a series that begins at `start`; `None` when Graph's words are none that are known.
pub(super) fn rule(recurrence: &Value, start: &Moment) -> Option<String> {
    let pattern = &recurrence["pattern"];
    let number = |name: &str| pattern[name].as_u64().filter(|n| (1..=999).contains(n));
    let interval = number("interval").unwrap_or(1);
    let days = weekdays(&pattern["daysOfWeek"]);
    let month = number("month").map(|month| format!(";BYMONTH={month}")).unwrap_or_default();
    let (frequency, which) = match pattern["type"].as_str()? {
        "daily" => ("DAILY", String::new()),
        "weekly" => {
            let first = pattern["firstDayOfWeek"].as_str().and_then(weekday).unwrap_or(Weekday::Sun);
            let days = if days.is_empty() { String::new() } else { format!(";BYDAY={}", days.join(",")) };
            ("WEEKLY", format!("{days};WKST={}", two_letters(first)))
        }
        "absoluteMonthly" => ("MONTHLY", day_of_month(number("dayOfMonth")?)),
        "absoluteYearly" => ("YEARLY", month + &day_of_month(number("dayOfMonth")?)),
        "relativeMonthly" => ("MONTHLY", relative(&days, &pattern["index"])?),
        "relativeYearly" => ("YEARLY", month + &relative(&days, &pattern["index"])?),
        _ => return None,
    };
    let end = end(&recurrence["range"], start)?;
    Some(format!("FREQ={frequency};INTERVAL={interval}{which}{end}"))
}

/// In a month that is too short, Exchange takes its last day; iCalendar would pass it over.
fn day_of_month(day: u64) -> String {
    match day {
        29..=31 => {
            let days: Vec<String> = (28..=day).map(|day| day.to_string()).collect();
            format!(";BYMONTHDAY={};BYSETPOS=-1", days.join(","))
        }
        day => format!(";BYMONTHDAY={day}"),
    }
}

/// The n-th of these weekdays in a month.
fn relative(days: &[&'static str], index: &Value) -> Option<String> {
    let n = match index.as_str()? {
        "first" => 1,
        "second" => 2,
        "third" => 3,
        "fourth" => 4,
        "last" => -1,
        _ => return None,
    };
    match days {
        [] => None,
        [day] => Some(format!(";BYDAY={n}{day}")),
        several => Some(format!(";BYDAY={};BYSETPOS={n}", several.join(","))),
    }
}

fn end(range: &Value, start: &Moment) -> Option<String> {
    match range["type"].as_str()? {
        "noEnd" => Some(String::new()),
        "numbered" => Some(format!(";COUNT={}", range["numberOfOccurrences"].as_u64().filter(|n| *n > 0)?)),
        "endDate" => {
            let last: NaiveDate = range["endDate"].as_str()?.parse().ok()?;
            Some(format!(";UNTIL={}", start.on(last).as_until()))
        }
        _ => None,
    }
}

fn weekdays(names: &Value) -> Vec<&'static str> {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(|name| weekday(name.as_str()?)).map(two_letters).collect()
}

fn weekday(name: &str) -> Option<Weekday> {
    name.parse().ok()
}

pub(super) const fn two_letters(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "MO",
        Weekday::Tue => "TU",
        Weekday::Wed => "WE",
        Weekday::Thu => "TH",
        Weekday::Fri => "FR",
        Weekday::Sat => "SA",
        Weekday::Sun => "SU",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule_of(pattern: Value, range: Value) -> Option<String> {
        let start = json!({"dateTime": "2026-03-02T09:30:00.0000000", "timeZone": "W. Europe Standard Time"});
        let start = Moment::of(&start, false).unwrap();
        rule(&json!({"pattern": pattern, "range": range}), &start)
    }

    #[test]
    fn every_pattern_of_graph_becomes_a_rule() {
        let no_end = || json!({"type": "noEnd", "startDate": "2026-03-02"});
        for (pattern, expected) in [
            (json!({"type": "daily", "interval": 3}), "FREQ=DAILY;INTERVAL=3"),
            (
                json!({"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "friday"], "firstDayOfWeek": "monday"}),
                "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;WKST=MO",
            ),
            (
                json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 15}),
                "FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=15",
            ),
            (
                json!({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}),
                "FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
            ),
            (
                json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["tuesday"], "index": "last"}),
                "FREQ=MONTHLY;INTERVAL=1;BYDAY=-1TU",
            ),
            (
                json!({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["saturday", "sunday"], "index": "first"}),
                "FREQ=MONTHLY;INTERVAL=1;BYDAY=SA,SU;BYSETPOS=1",
            ),
            (
                json!({"type": "absoluteYearly", "interval": 1, "month": 2, "dayOfMonth": 29}),
                "FREQ=YEARLY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1",
            ),
            (
                json!({"type": "relativeYearly", "interval": 1, "month": 11, "daysOfWeek": ["thursday"], "index": "fourth"}),
                "FREQ=YEARLY;INTERVAL=1;BYMONTH=11;BYDAY=4TH",
            ),
        ] {
            assert_eq!(rule_of(pattern.clone(), no_end()).as_deref(), Some(expected), "{pattern}");
        }
        assert_eq!(rule_of(json!({"type": "lunar"}), no_end()), None);
    }

    #[test]
    fn the_last_day_is_a_moment_where_the_start_is_one() {
        let daily = || json!({"type": "daily", "interval": 1});

        let until = rule_of(daily(), json!({"type": "endDate", "endDate": "2026-07-01"})).unwrap();
        let counted = rule_of(daily(), json!({"type": "numbered", "numberOfOccurrences": 4})).unwrap();

        // 09:30 in Berlin's summer.
        assert_eq!(until, "FREQ=DAILY;INTERVAL=1;UNTIL=20260701T073000Z");
        assert_eq!(counted, "FREQ=DAILY;INTERVAL=1;COUNT=4");
    }
}
