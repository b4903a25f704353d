//! What was asked of the tenant: counts per route, and the list of requests that no well-behaved
//! client would have sent.

use crate::locks::lock;
use crate::notices::Notices;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const KEPT_MAX: usize = 1000;

#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    pub at: String,
    pub kind: &'static str,
    pub method: String,
    pub path: String,
    pub reason: String,
}

/// An answer of the simulator that Graph could not have given.
#[derive(Clone, Debug, Serialize)]
pub struct Breach {
    pub kind: &'static str,
    pub route: String,
    /// JSON pointer into the answer.
    pub pointer: String,
    pub reason: String,
}

#[derive(Debug, Default)]
pub struct Watch {
    pub notices: Notices,
    violations: Mutex<Violations>,
    breaches: Mutex<Vec<Breach>>,
    routes: Mutex<BTreeMap<String, RouteCount>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    faults: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug, Default)]
struct Violations {
    kept: VecDeque<Violation>,
    by_kind: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default, Clone)]
struct RouteCount {
    requests: u64,
    by_status: BTreeMap<u16, u64>,
}

impl Watch {
    pub fn violation(&self, violation: Violation) {
        tracing::debug!(kind = violation.kind, path = violation.path, reason = violation.reason, "violation");
        let mut all = lock(&self.violations);
        *all.by_kind.entry(violation.kind).or_default() += 1;
        // The first ones tell the story; a client in a loop must not push them out.
        if all.kept.len() < KEPT_MAX {
            all.kept.push_back(violation);
        }
    }

    pub fn count(&self, route: &str, status: u16, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        let mut routes = lock(&self.routes);
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), RouteCount::default());
        }
        if let Some(count) = routes.get_mut(route) {
            count.requests += 1;
            *count.by_status.entry(status).or_default() += 1;
        }
    }

    pub fn fault(&self, kind: &str) {
        *lock(&self.faults).entry(kind.to_owned()).or_default() += 1;
    }

    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).kept.iter().cloned().collect()
    }

    pub fn breach(&self, breach: Breach) {
        tracing::debug!(kind = breach.kind, route = breach.route, pointer = breach.pointer, "contract breach");
        let mut all = lock(&self.breaches);
        if all.len() < KEPT_MAX {
            all.push(breach);
        }
    }

    pub fn breaches(&self) -> Vec<Breach> {
        lock(&self.breaches).clone()
    }

    pub fn log_json(&self) -> Value {
        let breaches = self.breaches();
        let all = lock(&self.violations);
        let total: u64 = all.by_kind.values().sum();
        json!({
            "total": total, "by_kind": all.by_kind, "violations": all.kept, "contract_breaches": breaches,
        })
    }

    /// Breaches stay: that the simulator lied is no matter of one part of a test.
    pub fn clear_log(&self) {
        *lock(&self.violations) = Violations::default();
    }

    pub fn stats_json(&self) -> Value {
        let routes = lock(&self.routes).clone();
        let total: u64 = routes.values().map(|r| r.requests).sum();
        let routes: BTreeMap<String, Value> = routes
            .into_iter()
            .map(|(route, count)| (route, json!({"requests": count.requests, "by_status": count.by_status})))
            .collect();
        json!({
            "requests": total,
            "routes": routes,
            "bytes_in": self.bytes_in.load(Ordering::Relaxed),
            "bytes_out": self.bytes_out.load(Ordering::Relaxed),
            "faults": *lock(&self.faults),
        })
    }

    pub fn clear_stats(&self) {
        lock(&self.routes).clear();
        lock(&self.faults).clear();
        self.bytes_in.store(0, Ordering::Relaxed);
        self.bytes_out.store(0, Ordering::Relaxed);
    }
}
