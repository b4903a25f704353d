//! The limits of one mailbox, counted per app: requests at once, requests and uploaded bytes per
//! window, and the fence that `Retry-After` puts up.

use crate::locks::lock;
use crate::options::Limits;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BUCKET_MS: i64 = 5_000;
const REQUEST_WINDOW_MS: i64 = 600_000;
const UPLOAD_WINDOW_MS: i64 = 300_000;
/// Requests already on their way when the 429 left are not the client's fault.
const GRACE_MS: i64 = 500;

#[derive(Debug, Default)]
pub struct Gates {
    by_app: Mutex<HashMap<String, Arc<Mutex<Gate>>>>,
}

#[derive(Debug, Default)]
pub struct Gate {
    running: u32,
    running_max: u32,
    /// How long requests were running, each counted.
    busy: Duration,
    requests: Window,
    uploaded: Window,
    fence: Option<Fence>,
}

/// Put up by a `Retry-After`.
#[derive(Debug)]
pub struct Fence {
    set_ms: i64,
    until_ms: i64,
    /// A throttled mailbox refuses everything until then; an injected fault does not.
    refuses: bool,
}

impl Fence {
    /// For how many seconds this request is refused, if at all, and what was wrong with sending it.
    pub fn check(slot: &mut Option<Self>, now_ms: i64) -> (Option<u64>, Offence) {
        let Some(fence) = slot else {
            return (None, None);
        };
        let left_ms = fence.until_ms - now_ms;
        if left_ms <= 0 {
            *slot = None;
            return (None, None);
        }
        let early = now_ms - fence.set_ms > GRACE_MS;
        let offence = early.then(|| ("before_retry_after", format!("{left_ms} ms before Retry-After has passed")));
        (fence.refuses.then(|| (left_ms as u64).div_ceil(1000)), offence)
    }

    /// Unless there is one that stands longer.
    pub fn raise(slot: &mut Option<Self>, now_ms: i64, seconds: u64, refuses: bool) {
        let until_ms = now_ms + seconds as i64 * 1000;
        if slot.as_ref().is_none_or(|fence| fence.until_ms < until_ms) {
            *slot = Some(Self { set_ms: now_ms, until_ms, refuses });
        }
    }
}

#[derive(Debug, Default)]
struct Window {
    buckets: VecDeque<(i64, u64)>,
    sum: u64,
}

impl Window {
    fn add(&mut self, now_ms: i64, span_ms: i64, amount: u64) -> u64 {
        let bucket = now_ms / BUCKET_MS;
        while let Some((oldest, count)) = self.buckets.front().copied() {
            if (bucket - oldest) * BUCKET_MS < span_ms {
                break;
            }
            self.sum -= count;
            self.buckets.pop_front();
        }
        match self.buckets.back_mut() {
            Some((last, count)) if *last == bucket => *count += amount,
            _ => self.buckets.push_back((bucket, amount)),
        }
        self.sum += amount;
        self.sum
    }
}

/// Held while a request runs, until its answer is written.
#[derive(Debug)]
pub struct Running {
    gate: Arc<Mutex<Gate>>,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut gate = lock(&self.gate);
        gate.running -= 1;
        gate.busy += self.since.elapsed();
    }
}

#[derive(Debug)]
pub struct Throttled {
    pub retry_after_seconds: u64,
    pub message: &'static str,
}

/// What the client did wrong by sending this request, if anything.
pub type Offence = Option<(&'static str, String)>;

impl Gates {
    pub fn enter(
        &self,
        app: &str,
        limits: &Limits,
        now_ms: i64,
        upload_bytes: u64,
    ) -> (Result<Running, Throttled>, Offence) {
        let gate = self.gate(app);
        let mut state = lock(&gate);
        let (refused_for, offence) = Fence::check(&mut state.fence, now_ms);
        if let Some(retry_after_seconds) = refused_for {
            return (Err(throttled(retry_after_seconds, REQUESTS)), offence);
        }
        let requests = state.requests.add(now_ms, REQUEST_WINDOW_MS, 1);
        let uploaded = state.uploaded.add(now_ms, UPLOAD_WINDOW_MS, upload_bytes);
        let over = |limit: u64, have: u64| limit > 0 && have > limit;
        if over(limits.mailbox_requests, requests) {
            state.raise(now_ms, limits.retry_after_seconds, true);
            return (Err(throttled(limits.retry_after_seconds, REQUESTS)), offence);
        }
        if over(limits.mailbox_upload_bytes, uploaded) {
            state.raise(now_ms, limits.retry_after_seconds, true);
            return (Err(throttled(limits.retry_after_seconds, UPLOAD)), offence);
        }
        if over(limits.mailbox_concurrency.into(), u64::from(state.running) + 1) {
            let reason = format!("request {} at once to one mailbox", state.running + 1);
            let seconds = limits.concurrency_retry_after_seconds;
            state.raise(now_ms, seconds, false);
            return (Err(throttled(seconds, CONCURRENCY)), Some(("over_concurrency", reason)));
        }
        state.running += 1;
        state.running_max = state.running_max.max(state.running);
        drop(state);
        (Ok(Running { gate, since: Instant::now() }), offence)
    }

    /// A fault answered with `Retry-After`: whoever comes earlier is noted.
    pub fn fence(&self, app: &str, now_ms: i64, seconds: u64) {
        lock(&self.gate(app)).raise(now_ms, seconds, false);
    }

    pub fn running_max(&self) -> u32 {
        lock(&self.by_app).values().map(|gate| lock(gate).running_max).max().unwrap_or(0)
    }

    pub fn busy(&self) -> Duration {
        lock(&self.by_app).values().map(|gate| lock(gate).busy).sum()
    }

    /// Forgets windows and fences; what runs keeps running.
    pub fn reset(&self) {
        for gate in lock(&self.by_app).values() {
            let mut state = lock(gate);
            state.running_max = state.running;
            state.requests = Window::default();
            state.uploaded = Window::default();
            state.fence = None;
        }
    }

    fn gate(&self, app: &str) -> Arc<Mutex<Gate>> {
        let mut all = lock(&self.by_app);
        match all.get(app) {
            Some(gate) => Arc::clone(gate),
            None => {
                let gate = Arc::new(Mutex::new(Gate::default()));
                all.insert(app.to_owned(), Arc::clone(&gate));
                gate
            }
        }
    }
}

impl Gate {
    fn raise(&mut self, now_ms: i64, seconds: u64, refuses: bool) {
        Fence::raise(&mut self.fence, now_ms, seconds, refuses);
    }
}

const CONCURRENCY: &str = "Application is over its MailboxConcurrency limit.";
const REQUESTS: &str = "Application is over its request limit for this mailbox.";
const UPLOAD: &str = "Application is over its upload limit for this mailbox.";

fn throttled(retry_after_seconds: u64, message: &'static str) -> Throttled {
    Throttled { retry_after_seconds, message }
}
