//! When a failed request is sent again. Pure decisions; the loop is in `call`.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

/// Whether a request may be carried out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It may: it reads, deletes or overwrites.
    Harmless,
    /// It creates something: sent again only when it is certain that it was not carried out.
    Creates,
}

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A Retry-After beyond a day is taken for a day: the task looks again then.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// The pause before attempt `attempt` + 1: doubling, with at least half of it random, so that clients spread out.
pub(super) fn backoff(attempt: u32) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    full.mul_f64(rand::random_range(0.5..1.0))
}

/// How long Microsoft asks to wait: seconds or a date, and the later of `Retry-After` and `RateLimit-Reset`.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset = HeaderName::from_static("ratelimit-reset");
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = text(&RETRY_AFTER).and_then(|value| seconds_or_date(value, now))?;
    let reset = text(&reset).and_then(|value| seconds_or_date(value, now));
    Some(after.max(reset.unwrap_or_default()).min(RETRY_AFTER_MAX))
}

/// What SharePoint says of its resource units once most of them are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnitsLeft {
    pub remaining: u64,
    /// When there are new ones.
    pub reset: Duration,
}

/// A fifth of the units or less is few.
const FEW_OF: u64 = 5;

/// The units that are left, if they are few.
pub(super) fn units_left(headers: &HeaderMap) -> Option<UnitsLeft> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let (remaining, reset) = (number("ratelimit-remaining")?, number("ratelimit-reset")?);
    let few = number("ratelimit-limit").is_none_or(|limit| remaining.saturating_mul(FEW_OF) <= limit);
    few.then(|| UnitsLeft { remaining, reset: Duration::from_secs(reset).min(RETRY_AFTER_MAX) })
}

fn seconds_or_date(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // The header has whole seconds: one more, so that the wait is never a moment too short.
    Some(date.duration_since(now).map_or(Duration::ZERO, |left| left + Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_the_later_of_two_headers() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), now).map(|wait| wait.as_secs());

        assert_eq!(after(&[("retry-after", "17")]), Some(17));
        assert_eq!(after(&[("retry-after", "0")]), Some(0));
        assert_eq!(after(&[("retry-after", "1.5")]), Some(2));
        assert_eq!(after(&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")]), Some(31));
        assert_eq!(after(&[("retry-after", "Wed, 21 Oct 2026 07:00:00 GMT")]), Some(0));
        assert_eq!(after(&[("retry-after", "5"), ("ratelimit-reset", "9")]), Some(9));
        assert_eq!(after(&[("retry-after", "99999999999")]), Some(86_400));
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[("ratelimit-reset", "9")]), None);
    }

    #[test]
    fn units_are_told_when_they_are_few() {
        let left = |pairs: &[(&'static str, &str)]| units_left(&headers(pairs)).map(|left| left.remaining);
        let all = |remaining: &'static str| {
            left(&[("ratelimit-limit", "1250"), ("ratelimit-remaining", remaining), ("ratelimit-reset", "30")])
        };

        assert_eq!((all("250"), all("251"), all("0")), (Some(250), None, Some(0)));
        assert_eq!(left(&[("ratelimit-remaining", "9"), ("ratelimit-reset", "3")]), Some(9));
        assert_eq!(left(&[("ratelimit-remaining", "9")]), None);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for attempt in 1..40 {
            let pause = backoff(attempt);
            assert!(pause >= Duration::from_millis(250) && pause <= BACKOFF_MAX);
        }
        assert!(backoff(8) > backoff(1));
    }
}
