//! Resource units: what SharePoint and the directory count per app instead of requests. A spent
//! budget refuses until its span is over; SharePoint tells beforehand how much is left.

use crate::app::App;
use crate::locks::{lock, read};
use crate::reply::{Headers, Refusal};
use crate::request::Request;
use crate::throttle::{Fence, Offence};
use std::collections::HashMap;
use std::sync::Mutex;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3_600_000;
const DIRECTORY_SPAN_MS: i64 = 10_000;
/// From so many hundredths of the budget on, answers tell of it.
const TOLD_FROM_PERCENT: u64 = 80;

/// The budgets of every app with one service.
#[derive(Debug, Default)]
pub struct Meters {
    by_app: Mutex<HashMap<String, Meter>>,
}

#[derive(Debug, Default)]
struct Meter {
    used: u64,
    spans: Vec<Span>,
    fence: Option<Fence>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    began_ms: i64,
    used: u64,
}

/// So many units in so long a time; 0 units are no limit.
#[derive(Clone, Copy, Debug)]
struct Budget {
    units: u64,
    span_ms: i64,
}

/// How one budget stands after a request.
#[derive(Clone, Copy, Debug)]
struct Standing {
    units: u64,
    used: u64,
    reset_seconds: u64,
}

impl Standing {
    fn is_spent(self) -> bool {
        self.units > 0 && self.used > self.units
    }

    fn is_tight(self) -> bool {
        self.units > 0 && self.used * 100 >= self.units * TOLD_FROM_PERCENT
    }
}

struct Charged {
    standings: Vec<Standing>,
    refused_for: Option<u64>,
    offence: Offence,
}

impl Meters {
    /// Refused requests count too.
    fn charge(&self, app: &str, cost: u64, budgets: &[Budget], now_ms: i64) -> Charged {
        let mut all = lock(&self.by_app);
        let meter = all.entry(app.to_owned()).or_default();
        meter.used += cost;
        meter.spans.resize(budgets.len(), Span { began_ms: now_ms, used: 0 });
        let (fenced, offence) = Fence::check(&mut meter.fence, now_ms);
        let standings: Vec<Standing> =
            meter.spans.iter_mut().zip(budgets).map(|(span, budget)| span.charge(cost, *budget, now_ms)).collect();
        let spent = standings.iter().filter(|standing| standing.is_spent()).map(|s| s.reset_seconds).max();
        if let Some(seconds) = spent {
            Fence::raise(&mut meter.fence, now_ms, seconds, true);
        }
        Charged { standings, refused_for: spent.max(fenced), offence }
    }

    /// A fault answered with `Retry-After`: whoever comes earlier is noted.
    pub fn fence(&self, app: &str, now_ms: i64, seconds: u64) {
        let mut all = lock(&self.by_app);
        let meter = all.entry(app.to_owned()).or_default();
        Fence::raise(&mut meter.fence, now_ms, seconds, false);
    }

    pub fn reset(&self) {
        lock(&self.by_app).clear();
    }

    /// All units that were ever charged, refused requests included.
    pub fn used(&self) -> u64 {
        lock(&self.by_app).values().map(|meter| meter.used).sum()
    }
}

impl Span {
    fn charge(&mut self, cost: u64, budget: Budget, now_ms: i64) -> Standing {
        if now_ms - self.began_ms >= budget.span_ms || now_ms < self.began_ms {
            *self = Self { began_ms: now_ms, used: 0 };
        }
        self.used += cost;
        let left_ms = self.began_ms + budget.span_ms - now_ms;
        Standing { units: budget.units, used: self.used, reset_seconds: (left_ms as u64).div_ceil(1000) }
    }
}

/// Counts a request against the budgets of SharePoint; the headers go with its answer.
pub fn charge_sharepoint(app: &App, request: &Request, client: &str, cost: u64) -> Result<Headers, Refusal> {
    let (minute, day) = {
        let limits = read(&app.limits);
        (limits.sharepoint_units_per_minute, limits.sharepoint_units_per_day)
    };
    let budgets = [Budget { units: minute, span_ms: MINUTE_MS }, Budget { units: day, span_ms: DAY_MS }];
    let charged = app.sharepoint.charge(client, cost, &budgets, app.clock.now_ms());
    note(app, request, charged.offence);
    let mut headers = Headers::new();
    if let Some(standing) = charged.standings.first().filter(|standing| standing.is_tight()) {
        headers.push(("RateLimit-Limit", standing.units.to_string()));
        headers.push(("RateLimit-Remaining", standing.units.saturating_sub(standing.used).to_string()));
        headers.push(("RateLimit-Reset", standing.reset_seconds.to_string()));
    }
    let Some(seconds) = charged.refused_for else {
        return Ok(headers);
    };
    let text = "The request has been throttled";
    let refusal = Refusal::new(429, "activityLimitReached", text).inner("throttledRequest").retry_after(seconds);
    Err(headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value)))
}

/// Counts a request against the budget of the directory.
pub fn charge_directory(app: &App, request: &Request, client: &str, cost: u64) -> Result<Headers, Refusal> {
    let units = read(&app.limits).directory_units;
    let budget = Budget { units, span_ms: DIRECTORY_SPAN_MS };
    let charged = app.directory_units.charge(client, cost, &[budget], app.clock.now_ms());
    note(app, request, charged.offence);
    let mut headers = vec![("x-ms-resource-unit", cost.to_string())];
    if let Some(standing) = charged.standings.first().filter(|standing| standing.is_tight()) {
        let share = format!("{:.2}", standing.used as f64 / standing.units as f64);
        headers.push(("x-ms-throttle-limit-percentage", share));
    }
    let Some(seconds) = charged.refused_for else {
        return Ok(headers);
    };
    headers.push(("x-ms-throttle-scope", format!("Tenant_Application/ReadWrite/{client}/{}", app.tenant_id)));
    headers.push(("x-ms-throttle-information", "ResourceUnitLimitExceeded".to_owned()));
    let refusal = Refusal::new(429, "TooManyRequests", "Too many requests.").retry_after(seconds);
    Err(headers.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value)))
}

fn note(app: &App, request: &Request, offence: Offence) {
    if let Some((kind, reason)) = offence {
        app.violation(kind, &request.method, &request.path, reason);
    }
}

/// What reading users costs: 2, less for a choice of properties and for short pages.
pub fn directory_cost(raw_query: &str) -> u64 {
    let options: Vec<(String, String)> = raw_query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (crate::request::decode(name).to_ascii_lowercase(), value.to_owned()))
        .collect();
    let value = |wanted: &str| options.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let mut cost = 2i64;
    cost -= i64::from(value("$select").is_some());
    cost += i64::from(value("$expand").is_some());
    cost -= i64::from(value("$top").and_then(|top| top.parse::<u64>().ok()).is_some_and(|top| top < 20));
    cost.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::directory_cost;

    #[test]
    fn reading_users_costs_what_is_asked_for() {
        for (query, expected) in [
            ("", 2),
            ("$select=id&$top=999", 1),
            ("%24select=id&$top=5", 1),
            ("$top=5", 1),
            ("$expand=manager", 3),
            ("$expand=manager&$select=id", 2),
        ] {
            assert_eq!(directory_cost(query), expected, "{query}");
        }
    }
}
