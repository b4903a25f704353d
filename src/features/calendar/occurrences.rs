//! What deviates from a series that was made: dates that were cancelled, and occurrences that were changed.
//!
//! An occurrence has no id before its series is made. It is found by the day on which it is, in the zone of the series,
//! or by the moment at which it would have been.

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Value, json};

use super::compose::{Composed, compose};
use super::files::{self, Attachments, Files};
use super::recurring::{date, later};
use crate::clock;
use crate::features::attaching::is_refusal;
use crate::features::exchange::{PAGE_SIZE, text};
use crate::features::{RestoreError, Source};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, Outlook};

/// Exchange shows at most five years of a series at once.
const WINDOW: Days = Days::new(180);
const INSTANCES_MAX: usize = 10_000;
/// An occurrence that moved with the clocks of a zone that could not be kept is still nearer than any other.
const NEAR: Duration = Duration::hours(12);

/// What deviates from a stored series.
#[derive(Debug, Default)]
pub(super) struct Deviations<'a> {
    cancelled: Vec<NaiveDate>,
    exceptions: Vec<Exception<'a>>,
}

#[derive(Debug)]
struct Exception<'a> {
    stored: &'a Value,
    composed: Composed,
    /// When it would have been.
    original: DateTime<Utc>,
}

/// An occurrence of the series that was made.
#[derive(Debug)]
struct Occurrence {
    id: String,
    day: NaiveDate,
    begins: DateTime<Utc>,
}

impl<'a> Deviations<'a> {
    /// Of the stored series of which `series` was composed.
    pub(super) fn of(original: &'a Value, series: &Composed) -> Result<Self, RestoreError> {
        let listed = |name: &str| original[name].as_array().map(Vec::as_slice).unwrap_or_default();
        // `OID.{id of the series}.{day}`, and the id may have dots.
        let cancelled = listed("cancelledOccurrences").iter().filter_map(|id| {
            let day = date(&json!(text(id).rsplit('.').next()?))?;
            later(day, series.shift)
        });
        let exception = |stored: &'a Value| {
            let composed = compose(stored, clock::now()).map_err(RestoreError::Item)?;
            let original = moment(stored)
                .ok_or_else(|| RestoreError::Item("a changed occurrence does not say which one it was".to_owned()))?;
            Ok(Exception { stored, composed, original })
        };
        Ok(Self {
            cancelled: cancelled.collect(),
            exceptions: listed("exceptionOccurrences").iter().map(exception).collect::<Result<_, RestoreError>>()?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cancelled.is_empty() && self.exceptions.is_empty()
    }

    /// In their order.
    pub(super) fn cancelled_days(&self) -> Vec<NaiveDate> {
        let mut days = self.cancelled.clone();
        days.sort_unstable();
        days
    }

    /// The changed occurrences by when they would have been, in this order, as they are stored and composed.
    pub(super) fn changed(&self) -> impl Iterator<Item = (DateTime<Utc>, &'a Value, &Composed)> {
        let mut all: Vec<&Exception<'a>> = self.exceptions.iter().collect();
        all.sort_by_key(|exception| exception.original);
        all.into_iter().map(|exception| (exception.original, exception.stored, &exception.composed))
    }

    /// Whether another series deviates in the same way.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let same = |one: &Exception<'_>| {
            other.exceptions.iter().any(|two| {
                let looks = |of: &Exception<'_>| files::looks(files::listed(of.stored));
                one.original == two.original
                    && one.composed.differences(&two.composed).is_empty()
                    && looks(one) == looks(two)
            })
        };
        self.cancelled_days() == other.cancelled_days()
            && self.exceptions.len() == other.exceptions.len()
            && self.exceptions.iter().all(same)
    }

    /// The days, in UTC or near it, around which occurrences are looked for.
    fn days(&self) -> Vec<NaiveDate> {
        let changed = self.exceptions.iter().map(|exception| exception.original.date_naive());
        let mut days: Vec<NaiveDate> = self.cancelled.iter().copied().chain(changed).collect();
        days.sort_unstable();
        days.dedup();
        days
    }
}

/// Makes the series deviate as the stored one does. What Microsoft refuses is a remark; an error means that the rest is
/// missing.
pub(super) async fn deviate(
    target: Source<'_>,
    id: &str,
    series: &Composed,
    deviations: &Deviations<'_>,
    stored: &Files,
) -> Result<Vec<String>, GraphError> {
    let mut remarks = Vec::new();
    let found = occurrences(target, id, zone_of(series), &deviations.days()).await?;
    for day in &deviations.cancelled {
        let Some(occurrence) = found.iter().find(|occurrence| occurrence.day == *day) else {
            remarks.push(format!("the series has nothing on {day}, which was cancelled"));
            continue;
        };
        let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event: &occurrence.id } };
        match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
            Ok(()) | Err(GraphError::NotFound { .. }) => {}
            Err(error) if is_refusal(&error) => remarks.push(format!("{day} could not be cancelled: {error}")),
            Err(error) => return Err(error),
        }
    }
    for exception in &deviations.exceptions {
        let near = found.iter().min_by_key(|occurrence| (occurrence.begins - exception.original).abs());
        let near = near.filter(|occurrence| (occurrence.begins - exception.original).abs() < NEAR);
        let Some(occurrence) = near else {
            let day = exception.original.date_naive();
            remarks.push(format!("the series has nothing on {day}, which was changed; see the restore point"));
            continue;
        };
        match change(target, &occurrence.id, series, exception, stored).await {
            Ok(more) => remarks.extend(more),
            Err(error) if is_refusal(&error) => {
                remarks.push(format!("the change of {} could not be restored: {error}", occurrence.day));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(remarks)
}

async fn change(
    target: Source<'_>,
    occurrence: &str,
    series: &Composed,
    exception: &Exception<'_>,
    stored: &Files,
) -> Result<Vec<String>, GraphError> {
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::Event { event: occurrence } };
    let body = Value::Object(exception.composed.as_exception_of(series));
    let changed = target.graph.patch(endpoint).prefer(IMMUTABLE_IDS).body(&body).json().await?;
    let attachments: Attachments = stored.attached_to(exception.stored);
    let mut remarks = attachments.remarks.clone();
    if !attachments.wanted.is_empty() || changed["hasAttachments"] == true {
        let id = changed["id"].as_str().unwrap_or(occurrence);
        remarks.extend(files::put_right(target, id, &attachments).await?);
    }
    Ok(remarks)
}

fn zone_of(series: &Composed) -> &str {
    series.fields["start"]["timeZone"].as_str().unwrap_or("UTC")
}

/// What the series has around these days, of which none has been changed yet.
async fn occurrences(
    target: Source<'_>,
    series: &str,
    zone: &str,
    days: &[NaiveDate],
) -> Result<Vec<Occurrence>, GraphError> {
    let endpoint = Endpoint::Outlook { user: target.user, what: Outlook::EventInstances { event: series } };
    let zone = format!("outlook.timezone=\"{zone}\"");
    let mut found = Vec::new();
    for (from, until) in windows(days) {
        let at = |day: NaiveDate| format!("{day}T00:00:00Z");
        let (from, until) = (at(from), at(until));
        let query = [("startDateTime", &*from), ("endDateTime", &*until), ("$select", "id,start,originalStart")];
        let listed = target.graph.list(endpoint, INSTANCES_MAX, &query, &[IMMUTABLE_IDS, PAGE_SIZE, &zone]).await?;
        found.extend(listed.iter().filter_map(|instance| {
            let id = instance["id"].as_str()?.to_owned();
            Some(Occurrence { id, day: date(&instance["start"]["dateTime"])?, begins: moment(instance)? })
        }));
    }
    Ok(found)
}

/// As few windows as there must be, each with a day to spare for the zones on either side.
fn windows(days: &[NaiveDate]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut windows: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        let (from, until) = (*day - Days::new(2), *day + Days::new(3));
        match windows.last_mut() {
            Some(last) if until <= last.0 + WINDOW => last.1 = until,
            _ => windows.push((from, until)),
        }
    }
    windows
}

/// When an occurrence would have been, had nobody moved it.
fn moment(event: &Value) -> Option<DateTime<Utc>> {
    let written = event["originalStart"].as_str()?;
    let plain = || NaiveDateTime::parse_from_str(written, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|at| at.and_utc());
    DateTime::parse_from_rfc3339(written).ok().map(|at| at.with_timezone(&Utc)).or_else(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn days_that_are_near_are_looked_for_together() {
        let days = ["2026-01-05", "2026-03-30", "2026-10-26", "2027-01-01"].map(day);

        let found = windows(&days);

        let expected = [("2026-01-03", "2026-04-02"), ("2026-10-24", "2027-01-04")];
        assert_eq!(found, expected.map(|(from, until)| (day(from), day(until))));
    }

    #[test]
    fn windows_that_would_overlap_show_nothing_twice() {
        let days = [day("2026-01-03"), day("2026-06-30"), day("2026-07-02")];

        for pair in windows(&days).windows(2) {
            assert!(pair[0].1 <= pair[1].0 || pair[0].1 - pair[1].0 < chrono::TimeDelta::days(5), "{pair:?}");
        }
    }

    #[test]
    fn an_original_start_is_read_with_and_without_an_offset() {
        let read = |text: &str| moment(&json!({ "originalStart": text })).map(|at| at.to_rfc3339());

        assert_eq!(read("2026-03-30T07:00:00Z").as_deref(), Some("2026-03-30T07:00:00+00:00"));
        assert_eq!(read("2026-03-30T09:00:00.0000000").as_deref(), Some("2026-03-30T09:00:00+00:00"));
        assert_eq!(read("soon"), None);
    }
}
