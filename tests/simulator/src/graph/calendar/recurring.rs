//! The recurrence that a client gives to a series: pattern and range, as strict about them as Outlook.

use super::input::{named_zone, wrong};
use crate::reply::Refusal;
use crate::store::recurrence::{Index, Pattern, Range, Recurrence};
use crate::store::zone::Zone;
use chrono::{NaiveDate, Weekday};
use serde_json::Value;

/// `first` is the day on which the series begins, in `zone`.
pub fn read(value: &Value, first: NaiveDate, zone: Zone) -> Result<Recurrence, Refusal> {
    let (pattern, range) = (&value["pattern"], &value["range"]);
    let interval = number(pattern, "interval").filter(|interval| *interval > 0);
    let interval = interval.ok_or_else(|| unfit("The interval of a recurrence must be at least 1."))?;
    let start = day(&range["startDate"])?;
    if start != first {
        return Err(unfit("The startDate of the recurrence range must be the day on which the event starts."));
    }
    if let Some(name) = range["recurrenceTimeZone"].as_str() {
        named_zone(name)?;
    }
    let first_day = pattern["firstDayOfWeek"].as_str().map_or(Some(Weekday::Sun), weekday);
    Ok(Recurrence {
        interval,
        first_day_of_week: first_day.ok_or_else(|| wrong("firstDayOfWeek"))?,
        ..Recurrence::new(read_pattern(pattern)?, start, read_range(range, start)?, zone)
    })
}

fn unfit(text: &str) -> Refusal {
    Refusal::new(400, "ErrorPropertyValidationFailure", text)
}

fn number(of: &Value, name: &str) -> Option<u32> {
    of[name].as_u64().and_then(|number| u32::try_from(number).ok())
}

fn day(value: &Value) -> Result<NaiveDate, Refusal> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong("range"))
}

fn read_pattern(pattern: &Value) -> Result<Pattern, Refusal> {
    let within = |name: &str, most: u32| {
        let found = number(pattern, name).filter(|number| (1..=most).contains(number));
        found.ok_or_else(|| unfit(&format!("The recurrence pattern needs {name} between 1 and {most}.")))
    };
    let days = || {
        let named = pattern["daysOfWeek"].as_array().filter(|days| !days.is_empty());
        let named = named.ok_or_else(|| unfit("The recurrence pattern needs daysOfWeek."))?;
        let read = |day: &Value| day.as_str().and_then(weekday).ok_or_else(|| wrong("daysOfWeek"));
        named.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let one_day = || match days()?.as_slice() {
        [day] => Ok(*day),
        _ => Err(unfit("This tenant knows one weekday in a relative pattern.")),
    };
    let index = || pattern["index"].as_str().map_or(Some(Index::First), index).ok_or_else(|| wrong("index"));
    match pattern["type"].as_str().unwrap_or_default() {
        "daily" => Ok(Pattern::Daily),
        "weekly" => Ok(Pattern::Weekly { days: days()? }),
        "absoluteMonthly" => Ok(Pattern::AbsoluteMonthly { day: within("dayOfMonth", 31)? }),
        "relativeMonthly" => Ok(Pattern::RelativeMonthly { weekday: one_day()?, index: index()? }),
        "absoluteYearly" => Ok(Pattern::AbsoluteYearly { day: within("dayOfMonth", 31)?, month: within("month", 12)? }),
        "relativeYearly" => {
            Ok(Pattern::RelativeYearly { weekday: one_day()?, index: index()?, month: within("month", 12)? })
        }
        _ => Err(wrong("type")),
    }
}

fn read_range(range: &Value, start: NaiveDate) -> Result<Range, Refusal> {
    match range["type"].as_str().unwrap_or_default() {
        "noEnd" => Ok(Range::NoEnd),
        "endDate" => {
            let end = day(&range["endDate"])?;
            if end < start { Err(unfit("The endDate is before the startDate.")) } else { Ok(Range::EndDate(end)) }
        }
        "numbered" => {
            let count = number(range, "numberOfOccurrences").filter(|count| *count > 0);
            count.map(Range::Numbered).ok_or_else(|| unfit("A numbered range needs numberOfOccurrences."))
        }
        _ => Err(wrong("type")),
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    name.parse().ok()
}

fn index(name: &str) -> Option<Index> {
    let all = [Index::First, Index::Second, Index::Third, Index::Fourth, Index::Last];
    all.into_iter().find(|index| index.name() == name)
}
