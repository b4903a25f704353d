//! Who may send when: four requests at once to a mailbox, the windows that Microsoft counts, a fence for each scope
//! that holds back every request of it while Microsoft asks for patience, and a pace for a scope whose units run low.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::GraphConfig;
use super::endpoint::Scope;
use super::retry::UnitsLeft;
use super::window::Window;

/// Mailboxes whose use is remembered. Above it, those that have been quiet for ten minutes are forgotten.
const MAILBOXES_MAX: usize = 2_000;
/// Directory requests under way at once; its limit is in resource units, far above.
const DIRECTORY_CONCURRENCY_MAX: usize = 8;
/// How long a cancelled request counts as running.
const CANCELLED_COUNTS_FOR: Duration = Duration::from_secs(1);
/// How often one request looks again whether it may go before it gives up.
const LOOKS_MAX: u32 = 1_000;

pub(super) struct Throttle {
    start: Instant,
    wait_max: Duration,
    concurrency: usize,
    requests_max: u64,
    uploads_max: u64,
    everywhere: Arc<Semaphore>,
    directory: Arc<Gate>,
    drives: Arc<Gate>,
    mailboxes: Mutex<HashMap<String, Arc<Gate>>>,
}

/// The state of one scope.
pub(super) struct Gate {
    slots: Arc<Semaphore>,
    state: Mutex<GateState>,
}

struct GateState {
    fence: Option<Fence>,
    pace: Option<Pace>,
    budgets: Vec<Budget>,
    uploads: Window,
}

/// What Microsoft allows in a span of time, and what a request waits for when it is used up.
struct Budget {
    window: Window,
    used_up: &'static str,
}

/// What is left until a moment is spread over the time until then.
struct Pace {
    until: Instant,
    per_unit: Duration,
    next: Instant,
}

/// What a request uses up of the limits of its scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Requests of a mailbox, resource units of SharePoint.
    pub units: u64,
    pub upload_bytes: u64,
}

#[derive(Clone)]
struct Fence {
    until: Instant,
    reason: String,
}

/// The right to one request: held until its body is read, and given back by [`Pass::finished`]. A request that is
/// dropped half-way may still be at work at Microsoft, so its slot stays taken for a moment.
pub(super) struct Pass {
    slots: Option<Slots>,
}

struct Slots {
    _scope: OwnedSemaphorePermit,
    _everywhere: OwnedSemaphorePermit,
}

impl Pass {
    pub(super) fn finished(mut self) {
        self.slots = None;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (Some(slots), Ok(runtime)) = (self.slots.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            tokio::time::sleep(CANCELLED_COUNTS_FOR).await;
            drop(slots);
        });
    }
}

/// What a scope waits for, so that a task can say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub until: DateTime<Utc>,
}

/// The wait is longer than a request sits out.
#[derive(Debug)]
pub(super) struct TooLong {
    pub wait: Duration,
    pub reason: String,
}

impl Throttle {
    pub(super) fn new(config: &GraphConfig) -> Self {
        Self {
            start: Instant::now(),
            wait_max: config.wait_max(),
            concurrency: config.mailbox_concurrency_max as usize,
            requests_max: config.mailbox_requests_per_10_min,
            uploads_max: config.mailbox_upload_bytes_per_5_min,
            everywhere: Arc::new(Semaphore::new(config.concurrency_max as usize)),
            directory: Arc::new(Gate::new(DIRECTORY_CONCURRENCY_MAX, Vec::new(), u64::MAX)),
            drives: Arc::new(Gate::new(config.drive_concurrency_max as usize, drive_budgets(config), u64::MAX)),
            mailboxes: Mutex::default(),
        }
    }

    pub(super) fn gate(&self, scope: &Scope) -> Arc<Gate> {
        match scope {
            Scope::Directory => Arc::clone(&self.directory),
            Scope::Drives => Arc::clone(&self.drives),
            Scope::Mailbox(user) => {
                let mut mailboxes = locked(&self.mailboxes);
                if mailboxes.len() >= MAILBOXES_MAX && !mailboxes.contains_key(user) {
                    let now = self.start.elapsed();
                    mailboxes.retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.is_quiet(now));
                }
                let new = || {
                    let used_up = "the mailbox has had all the requests that Microsoft allows in ten minutes";
                    let requests = Window::new(self.requests_max, Duration::from_secs(600));
                    let budgets = vec![Budget { window: requests, used_up }];
                    Arc::new(Gate::new(self.concurrency, budgets, self.uploads_max))
                };
                Arc::clone(mailboxes.entry(user.clone()).or_insert_with(new))
            }
        }
    }

    /// Waits for a free slot, for the fence to fall and for room in the windows.
    pub(super) async fn enter(&self, gate: &Gate, cost: Cost) -> Result<Pass, TooLong> {
        let scope = slot_of(&gate.slots).await;
        for _ in 0..LOOKS_MAX {
            let everywhere = slot_of(&self.everywhere).await;
            let Some(fence) = gate.look(self.start.elapsed(), cost) else {
                return Ok(Pass { slots: Some(Slots { _scope: scope, _everywhere: everywhere }) });
            };
            // Other mailboxes may go on while this one waits.
            drop(everywhere);
            let wait = fence.until.saturating_duration_since(Instant::now());
            if wait > self.wait_max {
                return Err(TooLong { wait, reason: fence.reason });
            }
            tokio::time::sleep_until(fence.until).await;
        }
        Err(TooLong { wait: self.wait_max, reason: "this scope stays throttled".to_owned() })
    }

    /// What the scope waits for at this moment.
    pub(super) fn waiting(&self, scope: &Scope) -> Option<Waiting> {
        let gate = match scope {
            Scope::Directory => Arc::clone(&self.directory),
            Scope::Drives => Arc::clone(&self.drives),
            Scope::Mailbox(user) => Arc::clone(locked(&self.mailboxes).get(user)?),
        };
        let fence = locked(&gate.state).fence.clone()?;
        let left = fence.until.checked_duration_since(Instant::now())?;
        let until = crate::clock::now() + chrono::Duration::from_std(left).ok()?;
        Some(Waiting { reason: fence.reason, until })
    }
}

fn drive_budgets(config: &GraphConfig) -> Vec<Budget> {
    [
        (
            config.drive_units_per_min,
            60,
            "the drives have had all the resource units that Microsoft allows in a minute",
        ),
        (
            config.drive_units_per_day,
            86_400,
            "the drives have had all the resource units that Microsoft allows in a day",
        ),
    ]
    .map(|(limit, span_s, used_up)| Budget { window: Window::new(limit, Duration::from_secs(span_s)), used_up })
    .into()
}

async fn slot_of(slots: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(slots).acquire_owned().await.expect("these semaphores are never closed")
}

impl Gate {
    fn new(concurrency: usize, budgets: Vec<Budget>, uploads_max: u64) -> Self {
        let uploads = Window::new(uploads_max, Duration::from_secs(300));
        let state = GateState { fence: None, pace: None, budgets, uploads };
        Self { slots: Arc::new(Semaphore::new(concurrency)), state: Mutex::new(state) }
    }

    /// Holds back every request of this scope for `wait`. A fence that stands longer stays.
    pub(super) fn raise_fence(&self, wait: Duration, reason: &str) {
        let mut state = locked(&self.state);
        let until = Instant::now() + wait;
        if state.fence.as_ref().is_none_or(|fence| fence.until < until) {
            state.fence = Some(Fence { until, reason: reason.to_owned() });
        }
    }

    /// Heeds what SharePoint says of its units once most of them are used: what is left is spread over the time until
    /// there are new ones.
    pub(super) fn heed(&self, left: UnitsLeft) {
        if left.remaining == 0 {
            return self.raise_fence(left.reset, "Microsoft says that all resource units of this minute are used");
        }
        let now = Instant::now();
        let per_unit = left.reset.div_f64(left.remaining as f64);
        let mut state = locked(&self.state);
        let next = state.pace.as_ref().map_or(now, |pace| pace.next);
        state.pace = Some(Pace { until: now + left.reset, per_unit, next });
    }

    /// Counts the request, or says what it must wait for. A full window becomes a fence, so that others see it.
    fn look(&self, now: Duration, cost: Cost) -> Option<Fence> {
        let mut state = locked(&self.state);
        let instant = Instant::now();
        state.fence = state.fence.take().filter(|fence| fence.until > instant);
        if let Some(fence) = &state.fence {
            return Some(fence.clone());
        }
        state.pace = state.pace.take().filter(|pace| pace.until > instant);
        if let Some(pace) = state.pace.as_ref().filter(|pace| pace.next > instant) {
            let reason = "Microsoft says that few resource units are left in this minute".to_owned();
            return Some(Fence { until: pace.next, reason });
        }
        let full = state
            .budgets
            .iter_mut()
            .find_map(|budget| Some((budget.window.wait_for(now, cost.units)?, budget.used_up)));
        if let Some((wait, reason)) = full {
            let fence = Fence { until: instant + wait.max(Duration::from_millis(1)), reason: reason.to_owned() };
            state.fence = Some(fence.clone());
            return Some(fence);
        }
        if cost.upload_bytes > 0 {
            if let Some(wait) = state.uploads.wait_for(now, cost.upload_bytes) {
                // Reads need not wait for uploads, so a full upload window holds back this request alone.
                let reason = "the mailbox has had all the bytes that Microsoft allows in five minutes".to_owned();
                return Some(Fence { until: instant + wait.max(Duration::from_millis(1)), reason });
            }
            state.uploads.take(now, cost.upload_bytes);
        }
        state.budgets.iter_mut().for_each(|budget| budget.window.take(now, cost.units));
        if let Some(pace) = &mut state.pace {
            pace.next = instant + pace.per_unit.saturating_mul(u32::try_from(cost.units).unwrap_or(u32::MAX));
        }
        None
    }

    fn is_quiet(&self, now: Duration) -> bool {
        let mut state = locked(&self.state);
        let fenced = state.fence.as_ref().is_some_and(|fence| fence.until > Instant::now());
        let quiet = state.budgets.iter_mut().all(|budget| budget.window.is_quiet(now));
        !fenced && quiet && state.uploads.is_quiet(now)
    }
}

/// The state behind these locks is valid at every step, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Cost = Cost { units: 1, upload_bytes: 0 };

    fn throttle(requests: u64, wait_max_s: u64) -> Throttle {
        let config = GraphConfig { mailbox_requests_per_10_min: requests, wait_max_s, ..GraphConfig::default() };
        Throttle::new(&config)
    }

    #[tokio::test]
    async fn a_fifth_request_to_a_mailbox_waits_for_a_free_slot() {
        let throttle = throttle(100, 5);
        let gate = throttle.gate(&Scope::Mailbox("u".into()));
        let mut passes = Vec::new();
        for _ in 0..4 {
            passes.push(throttle.enter(&gate, ONE).await.unwrap());
        }

        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, throttle.enter(&gate, ONE)).await.is_err());
        let other = throttle.gate(&Scope::Mailbox("v".into()));
        assert!(tokio::time::timeout(soon, throttle.enter(&other, ONE)).await.is_ok());
        passes.pop().unwrap().finished();
        assert!(tokio::time::timeout(soon, throttle.enter(&gate, ONE)).await.is_ok());
    }

    #[tokio::test]
    async fn a_cancelled_request_keeps_its_slot_for_a_moment() {
        let throttle = throttle(100, 5);
        let gate = throttle.gate(&Scope::Mailbox("u".into()));
        let mut passes = Vec::new();
        for _ in 0..4 {
            passes.push(throttle.enter(&gate, ONE).await.unwrap());
        }

        let start = Instant::now();
        drop(passes);
        throttle.enter(&gate, ONE).await.unwrap().finished();

        assert!(start.elapsed() >= CANCELLED_COUNTS_FOR);
    }

    #[tokio::test]
    async fn a_fence_holds_back_its_scope_alone_and_says_why() {
        let throttle = throttle(100, 5);
        let scope = Scope::Mailbox("u".into());
        let gate = throttle.gate(&scope);

        gate.raise_fence(Duration::from_millis(60), "ApplicationThrottled");
        gate.raise_fence(Duration::from_millis(1), "shorter");

        assert_eq!(throttle.waiting(&scope).unwrap().reason, "ApplicationThrottled");
        assert_eq!(throttle.waiting(&Scope::Directory), None);
        let start = Instant::now();
        throttle.enter(&gate, ONE).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(60));
        assert_eq!(throttle.waiting(&scope), None);
    }

    #[tokio::test]
    async fn a_wait_beyond_the_limit_is_handed_to_the_caller() {
        let throttle = throttle(1, 2);
        let gate = throttle.gate(&Scope::Mailbox("u".into()));

        throttle.enter(&gate, ONE).await.unwrap().finished();

        assert!(throttle.enter(&gate, ONE).await.is_err_and(|TooLong { wait, .. }| wait > Duration::from_secs(500)));
    }

    #[tokio::test]
    async fn quiet_mailboxes_are_forgotten() {
        let throttle = throttle(10, 2);
        for n in 0..MAILBOXES_MAX + 10 {
            throttle.gate(&Scope::Mailbox(n.to_string()));
        }

        assert!(locked(&throttle.mailboxes).len() <= MAILBOXES_MAX);
    }

    #[tokio::test]
    async fn drives_share_the_units_of_their_tenant() {
        let throttle = Throttle::new(&GraphConfig { drive_units_per_min: 7, wait_max_s: 2, ..GraphConfig::default() });
        let gate = throttle.gate(&Scope::Drives);

        for units in [5, 2] {
            throttle.enter(&gate, Cost { units, upload_bytes: 0 }).await.unwrap().finished();
        }

        assert!(throttle.enter(&gate, ONE).await.is_err_and(|TooLong { wait, .. }| wait > Duration::from_secs(50)));
        assert!(throttle.waiting(&Scope::Drives).unwrap().reason.contains("resource units"));
    }

    #[tokio::test]
    async fn few_units_left_are_spread_until_there_are_new_ones() {
        let throttle = throttle(100, 60);
        let gate = throttle.gate(&Scope::Drives);
        gate.heed(UnitsLeft { remaining: 10, reset: Duration::from_millis(500) });

        let start = Instant::now();
        for _ in 0..3 {
            throttle.enter(&gate, Cost { units: 2, upload_bytes: 0 }).await.unwrap().finished();
        }

        assert!(start.elapsed() >= Duration::from_millis(200));
        let start = Instant::now();
        gate.heed(UnitsLeft { remaining: 0, reset: Duration::from_millis(300) });
        throttle.enter(&gate, ONE).await.unwrap().finished();
        assert!(start.elapsed() >= Duration::from_millis(300));
    }
}
