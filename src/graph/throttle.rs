//! Who may send when: four requests at once to a mailbox, the windows that Microsoft counts, a fence for each scope
//! that holds back every request of it while Microsoft asks for patience, and a pace for a scope whose units run low.
//!
//! A mailbox belongs to one task, so its standing is kept here and agreed on when a task begins and ends. Drives and
//! directory belong to all agents at once: each of their requests asks at the desk before it leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::GraphConfig;
use super::desk::{Counter, Known};
use super::endpoint::Scope;
use super::retry::UnitsLeft;
pub(super) use super::standing::Cost;
use super::standing::{Fence, Moment, NO_UNITS_LEFT, Rules, Standing};

/// Mailboxes whose use is remembered. Above it, those that have been quiet for ten minutes are forgotten.
const MAILBOXES_MAX: usize = 2_000;
/// Directory requests under way at once; its limit is in resource units, far above.
const DIRECTORY_CONCURRENCY_MAX: usize = 8;
/// How long a cancelled request counts as running.
const CANCELLED_COUNTS_FOR: Duration = Duration::from_secs(1);
/// How often one request looks again whether it may go before it gives up.
const LOOKS_MAX: u32 = 1_000;

pub(super) struct Throttle {
    pub(super) clock: Clock,
    wait_max: Duration,
    concurrency: usize,
    mailbox_rules: Rules,
    everywhere: Arc<Semaphore>,
    directory: Arc<Gate>,
    drives: Arc<Gate>,
    mailboxes: Mutex<HashMap<String, Arc<Gate>>>,
    desk: Option<Arc<Counter>>,
}

/// The way into one scope.
pub(super) struct Gate {
    scope: Scope,
    clock: Clock,
    slots: Arc<Semaphore>,
    pub(super) standing: Mutex<Standing>,
    desk: Option<Arc<Counter>>,
}

/// This machine's time since 1970 as it was when the process began, and how long that is ago: never steps back.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    start_at: Moment,
}

impl Clock {
    fn new() -> Self {
        let since_1970 = crate::clock::now().signed_duration_since(DateTime::UNIX_EPOCH);
        Self { start: Instant::now(), start_at: since_1970.to_std().unwrap_or_default() }
    }

    pub(super) fn now(self) -> Moment {
        self.start_at + self.start.elapsed()
    }

    fn instant(self, moment: Moment) -> Instant {
        self.start + moment.saturating_sub(self.start_at)
    }
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
    pub(super) fn new(config: &GraphConfig, desk: Option<Counter>) -> Self {
        let (clock, desk) = (Clock::new(), desk.map(Arc::new));
        let shared = |scope: Scope, concurrency| {
            // What agents share is counted once, at the desk.
            let rules = if desk.is_some() { Rules::none() } else { Rules::of(&scope, config) };
            Arc::new(Gate::new(scope, clock, concurrency, &rules, desk.clone()))
        };
        Self {
            clock,
            wait_max: config.wait_max(),
            concurrency: config.mailbox_concurrency_max as usize,
            mailbox_rules: Rules::of(&Scope::Mailbox(String::new()), config),
            everywhere: Arc::new(Semaphore::new(config.concurrency_max as usize)),
            directory: shared(Scope::Directory, DIRECTORY_CONCURRENCY_MAX),
            drives: shared(Scope::Drives, config.drive_concurrency_max as usize),
            mailboxes: Mutex::default(),
            desk,
        }
    }

    pub(super) fn gate(&self, scope: &Scope) -> Arc<Gate> {
        match scope {
            Scope::Directory => Arc::clone(&self.directory),
            Scope::Drives => Arc::clone(&self.drives),
            Scope::Mailbox(user) => {
                let mut mailboxes = locked(&self.mailboxes);
                if mailboxes.len() >= MAILBOXES_MAX && !mailboxes.contains_key(user) {
                    let now = self.clock.now();
                    mailboxes.retain(|_, gate| Arc::strong_count(gate) > 1 || !locked(&gate.standing).is_quiet(now));
                }
                let new = || {
                    let (rules, desk) = (&self.mailbox_rules, self.desk.clone());
                    Arc::new(Gate::new(scope.clone(), self.clock, self.concurrency, rules, desk))
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
            let Some(fence) = gate.held_back(cost).await else {
                return Ok(Pass { slots: Some(Slots { _scope: scope, _everywhere: everywhere }) });
            };
            // Other mailboxes may go on while this one waits.
            drop(everywhere);
            let wait = fence.until.saturating_sub(self.clock.now());
            if wait > self.wait_max {
                return Err(TooLong { wait, reason: fence.reason });
            }
            tokio::time::sleep_until(self.clock.instant(fence.until)).await;
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
        let fence = locked(&gate.standing).fence()?.clone();
        let left = fence.until.checked_sub(self.clock.now()).filter(|left| !left.is_zero())?;
        let until = crate::clock::now() + chrono::Duration::from_std(left).ok()?;
        Some(Waiting { reason: fence.reason, until })
    }

    /// Tells the other agents what this one knows of a scope, and hears what they do.
    pub(super) async fn agree(&self, scope: &Scope) {
        let Some(desk) = &self.desk else { return };
        if let Some(known) = desk.agree(scope).await {
            self.gate(scope).take_over(&known);
        }
    }

    /// Tells what was used of a scope so far.
    pub(super) fn tell(&self, scope: &Scope) {
        if let Some(desk) = &self.desk {
            desk.tell(scope);
        }
    }

    /// Returns when the other agents can know what this one has heard.
    pub(super) async fn told(&self) {
        if let Some(desk) = &self.desk {
            desk.told().await;
        }
    }
}

async fn slot_of(slots: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(slots).acquire_owned().await.expect("these semaphores are never closed")
}

impl Gate {
    fn new(scope: Scope, clock: Clock, concurrency: usize, rules: &Rules, desk: Option<Arc<Counter>>) -> Self {
        let standing = Mutex::new(Standing::new(rules));
        Self { scope, clock, slots: Arc::new(Semaphore::new(concurrency)), standing, desk }
    }

    /// Holds back every request of this scope for `wait`, here at once and elsewhere as soon as it is written down. A
    /// fence that stands longer stays.
    pub(super) fn raise_fence(&self, wait: Duration, reason: &str) {
        locked(&self.standing).raise(self.clock.now() + wait, reason);
        if let Some(desk) = &self.desk {
            desk.fence(&self.scope, wait, reason);
        }
    }

    /// Heeds what SharePoint says of its units once most of them are used.
    pub(super) fn heed(&self, left: UnitsLeft) {
        if left.remaining == 0 {
            return self.raise_fence(left.reset, NO_UNITS_LEFT);
        }
        match &self.desk {
            Some(desk) => desk.left(&self.scope, left),
            None => locked(&self.standing).heed(self.clock.now(), left),
        }
    }

    /// Counts the request, or says what it must wait for.
    async fn held_back(&self, cost: Cost) -> Option<Fence> {
        let held = locked(&self.standing).look(self.clock.now(), cost);
        let Some(desk) = &self.desk else { return held };
        if held.is_some() {
            // A process that waits may be stopped before it says what it waits for.
            desk.tell(&self.scope);
            return held;
        }
        match self.scope {
            Scope::Mailbox(_) => {
                desk.used(&self.scope, cost);
                None
            }
            Scope::Drives | Scope::Directory => {
                let held = desk.ask(&self.scope, cost).await?;
                let fence = Fence { until: self.clock.now() + held.wait, reason: held.reason };
                // Until then nobody here need ask.
                locked(&self.standing).raise(fence.until, &fence.reason);
                Some(fence)
            }
        }
    }

    /// Goes on from what all agents know.
    fn take_over(&self, known: &Known) {
        let millis = |moment: Moment| i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        let ahead_ms = millis(self.clock.now()).saturating_sub(millis(known.now)).saturating_add(1);
        let theirs = known.standing.moved(ahead_ms);
        let mut standing = locked(&self.standing);
        match self.scope {
            Scope::Mailbox(_) => *standing = theirs,
            // Of what is asked for at the desk only the fence is of use here.
            Scope::Drives | Scope::Directory => {
                if let Some(fence) = theirs.fence() {
                    standing.raise(fence.until, &fence.reason);
                }
            }
        }
    }
}

/// The state behind these locks is valid at every step, so a panic elsewhere does not spoil it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Cost = Cost { units: 1, upload_bytes: 0 };

    fn throttle(requests: u64, wait_max_s: u64) -> Throttle {
        let config = GraphConfig { mailbox_requests_per_10_min: requests, wait_max_s, ..GraphConfig::default() };
        Throttle::new(&config, None)
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
        let config = GraphConfig { drive_units_per_min: 7, wait_max_s: 2, ..GraphConfig::default() };
        let throttle = Throttle::new(&config, None);
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
