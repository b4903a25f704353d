//! Where a client and the agents beside it come to terms: what it has heard of a scope and used of it, and what it asks
//! before it sends. `workers` sits at the desk with the database, in which all agents read and write the same.
//!
//! Nothing here waits in a queue: news of a scope add up to one piece of news, and who asks holds a slot of the scope.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::GraphConfig;
use super::endpoint::Scope;
use super::retry::UnitsLeft;
use super::standing::{Cost, Fence, Moment, Rules, Standing};

/// Requests to a mailbox that are used before the others are told. A process that is killed forgets so many at most.
const USED_UNTOLD_MAX: u64 = 100;
const UPLOADED_UNTOLD_MAX: u64 = 4 << 20;
/// How long the end of a task waits until what it heard is written down.
const TOLD_WAIT_MAX: Duration = Duration::from_secs(5);
/// What the database is asked to remember of a scope after it is quiet, against clocks that are set.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// The side of the desk with the database.
pub struct Desk(Arc<Inner>);

/// The side of the desk with the client; the desk closes when it goes.
pub(super) struct Counter {
    inner: Arc<Inner>,
    _open: DropGuard,
}

struct Inner {
    config: GraphConfig,
    drawer: Mutex<Drawer>,
    bell: Notify,
    closed: CancellationToken,
}

#[derive(Default)]
struct Drawer {
    matters: HashMap<Scope, Matter>,
    told: Vec<oneshot::Sender<()>>,
    /// A round is being settled.
    busy: bool,
}

/// One scope in one round.
#[derive(Default)]
pub struct Matter {
    news: News,
    entries: Vec<(Cost, oneshot::Sender<Option<Held>>)>,
    agreements: Vec<oneshot::Sender<Known>>,
    due: bool,
}

#[derive(Clone, Default)]
struct News {
    fence: Option<(Instant, String)>,
    left: Option<(UnitsLeft, Instant)>,
    used: Cost,
}

/// How long a request is held back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub wait: Duration,
    pub reason: String,
}

/// What all agents know of a scope, by the database's clock.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub standing: Standing,
    pub now: Moment,
}

/// What is settled together. Those who wait for [`Desk::next`]'s round to end hear of it when it is dropped.
pub struct Round {
    pub matters: Vec<(Scope, Matter)>,
    told: Vec<oneshot::Sender<()>>,
}

/// What is to be settled of a scope, without those who wait for it: may be settled again after a transaction failed.
#[derive(Clone)]
pub struct Question {
    rules: Rules,
    fence: Option<Held>,
    left: Option<UnitsLeft>,
    used: Cost,
    entries: Vec<Cost>,
}

/// A scope as the database keeps it.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub fence: Option<Fence>,
    pub used: String,
    /// From when on it may be forgotten.
    pub forget_at: Moment,
}

/// A question's answers, and what is to be written down with them.
pub struct Settled {
    pub stored: Stored,
    entries: Vec<Option<Held>>,
    known: Known,
}

pub(super) fn open(config: &GraphConfig) -> (Counter, Desk) {
    let inner = Arc::new(Inner {
        config: config.clone(),
        drawer: Mutex::default(),
        bell: Notify::new(),
        closed: CancellationToken::new(),
    });
    let open = inner.closed.clone().drop_guard();
    (Counter { inner: Arc::clone(&inner), _open: open }, Desk(inner))
}

impl Counter {
    /// Microsoft asks for patience.
    pub(super) fn fence(&self, scope: &Scope, wait: Duration, reason: &str) {
        self.put(scope, |matter| matter.news.add_fence((Instant::now() + wait, reason.to_owned())));
    }

    /// Microsoft says how many units are left.
    pub(super) fn left(&self, scope: &Scope, left: UnitsLeft) {
        self.put(scope, |matter| matter.news.left = Some((left, Instant::now())));
    }

    /// A request of this cost leaves. Told when many have, or with [`Self::tell`].
    pub(super) fn used(&self, scope: &Scope, cost: Cost) {
        let mut drawer = self.inner.drawer();
        let matter = drawer.matters.entry(scope.clone()).or_default();
        matter.news.used = matter.news.used.plus(cost);
        let used = matter.news.used;
        if used.units >= USED_UNTOLD_MAX || used.upload_bytes >= UPLOADED_UNTOLD_MAX {
            matter.due = true;
            self.inner.bell.notify_one();
        }
    }

    /// Tells what was used so far.
    pub(super) fn tell(&self, scope: &Scope) {
        let mut drawer = self.inner.drawer();
        if let Some(matter) = drawer.matters.get_mut(scope) {
            matter.due = true;
            self.inner.bell.notify_one();
        }
    }

    /// Whether a request may leave now, by what all agents know. `None`: it may, and is counted.
    pub(super) async fn ask(&self, scope: &Scope, cost: Cost) -> Option<Held> {
        let (answer, answered) = oneshot::channel();
        self.put(scope, |matter| matter.entries.push((cost, answer)));
        match answered.await {
            Ok(held) => held,
            // Nobody sits at the desk any more: the process ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// What all agents know of a scope, after they were told what this one knows.
    pub(super) async fn agree(&self, scope: &Scope) -> Option<Known> {
        let (answer, answered) = oneshot::channel();
        self.put(scope, |matter| matter.agreements.push(answer));
        answered.await.ok()
    }

    /// Returns when all that was heard until now is written down, or after some seconds without the database.
    pub(super) async fn told(&self) {
        let (told, heard) = oneshot::channel();
        {
            let mut drawer = self.inner.drawer();
            if !drawer.busy && !drawer.matters.values().any(|matter| matter.due) {
                return;
            }
            drawer.told.push(told);
        }
        self.inner.bell.notify_one();
        if tokio::time::timeout(TOLD_WAIT_MAX, heard).await.is_err() {
            tracing::warn!("what Microsoft asked for is not written down yet: the database does not answer");
        }
    }

    fn put(&self, scope: &Scope, add: impl FnOnce(&mut Matter)) {
        let mut drawer = self.inner.drawer();
        let matter = drawer.matters.entry(scope.clone()).or_default();
        matter.due = true;
        add(matter);
        self.inner.bell.notify_one();
    }
}

impl Inner {
    fn drawer(&self) -> MutexGuard<'_, Drawer> {
        // Every change leaves the drawer whole, so a panic elsewhere does not spoil it.
        self.drawer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// What is to be settled next, as soon as there is something; `None` when the client is gone. Cancel-safe.
    pub async fn next(&self) -> Option<Round> {
        loop {
            let bell = self.0.bell.notified();
            if let Some(round) = self.take() {
                return Some(round);
            }
            tokio::select! {
                () = bell => {}
                () = self.0.closed.cancelled() => return self.take(),
            }
        }
    }

    fn take(&self) -> Option<Round> {
        let mut drawer = self.0.drawer();
        let matters: Vec<(Scope, Matter)> = drawer.matters.extract_if(|_, matter| matter.due).collect();
        let told = std::mem::take(&mut drawer.told);
        drawer.busy = !matters.is_empty();
        (drawer.busy || !told.is_empty()).then_some(Round { matters, told })
    }

    pub fn question(&self, scope: &Scope, matter: &Matter) -> Question {
        let News { fence, left, used } = &matter.news;
        let now = Instant::now();
        Question {
            rules: Rules::of(scope, &self.0.config),
            fence: fence
                .as_ref()
                .map(|(until, reason)| Held { wait: until.saturating_duration_since(now), reason: reason.clone() }),
            left: left.map(|(left, at)| UnitsLeft {
                reset: left.reset.saturating_sub(now.saturating_duration_since(at)),
                ..left
            }),
            used: *used,
            entries: matter.entries.iter().map(|(cost, _)| *cost).collect(),
        }
    }

    /// What could not be settled stays on the desk.
    pub fn put_back(&self, failed: Vec<(Scope, Matter)>, round: Round) {
        let mut drawer = self.0.drawer();
        drawer.told.extend(round.told);
        for (scope, earlier) in failed {
            let matter = drawer.matters.entry(scope).or_default();
            let later = std::mem::replace(matter, earlier);
            matter.news.add(later.news);
            matter.entries.extend(later.entries);
            matter.entries.retain(|(_, answer)| !answer.is_closed());
            matter.agreements.extend(later.agreements);
        }
        drop(drawer);
        self.0.bell.notify_one();
    }
}

impl Round {
    /// Everything was settled.
    pub fn done(self) {
        for told in self.told {
            // Who does not wait any more need not know.
            told.send(()).ok();
        }
    }
}

impl News {
    fn add_fence(&mut self, fence: (Instant, String)) {
        if self.fence.as_ref().is_none_or(|earlier| earlier.0 < fence.0) {
            self.fence = Some(fence);
        }
    }

    fn add(&mut self, later: Self) {
        self.used = self.used.plus(later.used);
        self.left = later.left.or(self.left);
        if let Some(fence) = later.fence {
            self.add_fence(fence);
        }
    }
}

impl Matter {
    pub fn answer(self, settled: Settled) {
        for ((_, answer), held) in self.entries.into_iter().zip(settled.entries) {
            // A request that was given up does not wait; what was counted for it stays counted.
            answer.send(held).ok();
        }
        for answer in self.agreements {
            answer.send(settled.known.clone()).ok();
        }
    }
}

impl Question {
    /// Whether the answer changes nothing.
    pub fn only_reads(&self) -> bool {
        self.entries.is_empty() && self.fence.is_none() && self.left.is_none() && self.used == Cost::default()
    }

    /// Answers by what is stored, at `now` by the database's clock.
    pub fn settle(&self, stored: Stored, now: Moment) -> Settled {
        let mut standing = Standing::read(&self.rules, stored.fence, &stored.used);
        if let Some(fence) = &self.fence {
            standing.raise(now + fence.wait, &fence.reason);
        }
        if let Some(left) = self.left {
            standing.heed(now, left);
        }
        standing.charge(now, self.used);
        let held = |fence: Fence| Held { wait: fence.until.saturating_sub(now), reason: fence.reason };
        let entries = self.entries.iter().map(|cost| standing.look(now, *cost).map(held)).collect();
        let stored = Stored {
            fence: standing.fence().filter(|fence| fence.until > now).cloned(),
            used: standing.written(),
            forget_at: standing.quiet_at().max(now) + REMEMBERED_FOR,
        };
        Settled { stored, entries, known: Known { standing, now } }
    }
}
