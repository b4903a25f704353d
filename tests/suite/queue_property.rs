//! The queue's promises under random interleavings of several agents, against a model and a real MariaDB.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kodo::db::TxError;
use kodo::ids::{AgentId, TaskId};
use kodo::queue::{
    ATTEMPTS_MAX, AfterAttempt, Held, Lease, LeasedTask, NewTask, Outcome, Priority, Progress, Queue, TaskFilter,
    TaskKind, TaskState,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::queue::{Fixture, register, task};

const LONG: Duration = Duration::from_secs(600);
const STEPS: usize = 500;
const KEYS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Queued,
    /// Held by the last epoch; an expired lease holds until somebody reaps it.
    Leased {
        expired: bool,
    },
    Ended(TaskState),
}

#[derive(Clone, Debug)]
struct Expected {
    at: At,
    epoch: u32,
    attempts: u32,
    cancel_requested: bool,
    key: Option<u64>,
    n_endings: u32,
}

struct Model {
    tasks: BTreeMap<u64, Expected>,
    /// Every lease that was ever given: most of them are lost.
    leases: Vec<Lease>,
}

impl Model {
    fn alive(&self, lease: &Lease) -> bool {
        let task = &self.tasks[&lease.task.get()];
        task.at == At::Leased { expired: false } && task.epoch == lease.epoch
    }

    fn held_keys(&self) -> HashSet<u64> {
        let held = self.tasks.values().filter(|task| matches!(task.at, At::Leased { .. }));
        held.filter_map(|task| task.key).collect()
    }

    fn task(&mut self, id: TaskId) -> &mut Expected {
        self.tasks.get_mut(&id.get()).unwrap()
    }

    fn end(&mut self, id: TaskId, state: TaskState) {
        let task = self.task(id);
        assert!(!matches!(task.at, At::Ended(_)), "task {id} ended twice");
        task.at = At::Ended(state);
        task.n_endings += 1;
        // A failure is an attempt that failed.
        task.attempts += u32::from(state == TaskState::Failed);
    }

    fn leased(&mut self, given: &[LeasedTask]) {
        for leased in given {
            let held = self.held_keys();
            let task = self.task(leased.id);
            assert_eq!(task.at, At::Queued, "task {} was leased though it is {:?}", leased.id, task.at);
            assert!(task.key.is_none_or(|key| !held.contains(&key)), "key of task {} has two holders", leased.id);
            assert_eq!((leased.lease.epoch, leased.attempts), (task.epoch + 1, task.attempts));
            task.at = At::Leased { expired: false };
            task.epoch += 1;
            self.leases.push(leased.lease);
        }
    }

    /// What becomes of a task whose attempt failed or was lost.
    fn after_attempt(&mut self, id: TaskId) -> AfterAttempt {
        let task = self.task(id);
        if task.cancel_requested {
            self.end(id, TaskState::Cancelled);
            return AfterAttempt::Cancelled;
        }
        if task.attempts + 1 >= ATTEMPTS_MAX {
            self.end(id, TaskState::Failed);
            return AfterAttempt::Failed;
        }
        task.attempts += 1;
        task.at = At::Queued;
        AfterAttempt::Queued
    }

    fn put_back(&mut self, id: TaskId) -> AfterAttempt {
        if self.task(id).cancel_requested {
            self.end(id, TaskState::Cancelled);
            return AfterAttempt::Cancelled;
        }
        self.task(id).at = At::Queued;
        AfterAttempt::Queued
    }
}

/// `Some` with the value when the lease held, `None` when it was lost; a database error is neither.
fn unless_lost<T, E>(answer: Result<T, TxError<E>>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(TxError::Refused(_)) => None,
        Err(TxError::Db(err)) => panic!("{err}"),
    }
}

fn outcome(number: u32) -> (Outcome, TaskState) {
    match number % 3 {
        0 => (Outcome::Succeeded { result: "{}".to_owned(), n_issues: 0 }, TaskState::Succeeded),
        1 => (Outcome::Failed { error: "x".to_owned() }, TaskState::Failed),
        _ => (Outcome::Cancelled, TaskState::Cancelled),
    }
}

async fn enqueue(queue: &Queue, model: &mut Model, random: &mut StdRng) {
    let key = random.random_bool(0.7).then(|| random.random_range(0..KEYS));
    let exclusive_key = key.map(|key| format!("mailbox:{key}"));
    let organization = random.random_range(1..=3);
    let new = NewTask { exclusive_key, ..task(organization, Priority::Scheduled) };
    queue.enqueue(vec![new]).await.unwrap();
    let id = model.tasks.last_key_value().map_or(1, |(id, _)| id + 1);
    let expected = Expected { at: At::Queued, epoch: 0, attempts: 0, cancel_requested: false, key, n_endings: 0 };
    model.tasks.insert(id, expected);
}

/// One operation with a lease that may be alive, expired, reaped or long replaced.
async fn act(queue: &Queue, model: &mut Model, random: &mut StdRng) {
    if model.leases.is_empty() {
        return;
    }
    // Recent leases are more likely to be alive.
    let back = random.random_range(0..model.leases.len().min(12));
    let lease = model.leases[model.leases.len() - 1 - back];
    let alive = model.alive(&lease);
    match random.random_range(0..12) {
        0..=3 => {
            let (outcome, state) = outcome(random.random());
            let done = unless_lost(queue.finish(lease, outcome).await);
            assert_eq!(done.is_some(), alive);
            if alive {
                model.end(lease.task, state);
            }
        }
        4..=5 => {
            let after = unless_lost(queue.retry(lease, Duration::ZERO, "x").await);
            assert_eq!(after, alive.then(|| model.after_attempt(lease.task)));
        }
        6 => {
            let after = unless_lost(queue.snooze(lease, Duration::ZERO, "throttled").await);
            assert_eq!(after, alive.then(|| model.put_back(lease.task)));
        }
        7 => {
            let after = unless_lost(queue.release(lease).await);
            assert_eq!(after, alive.then(|| model.put_back(lease.task)));
        }
        8 => {
            let written = unless_lost(queue.progress(lease, Progress::default()).await);
            assert_eq!(written.is_some(), alive);
        }
        9..=10 => {
            // A heartbeat for no time at all: the lease expires at once.
            beat(queue, model, lease, Duration::ZERO).await;
            if alive {
                model.task(lease.task).at = At::Leased { expired: true };
            }
        }
        _ => beat(queue, model, lease, LONG).await,
    }
}

async fn beat(queue: &Queue, model: &mut Model, lease: Lease, lease_time: Duration) {
    let cancel_requested = model.task(lease.task).cancel_requested;
    let expected = if model.alive(&lease) { Held::Yes { cancel_requested } } else { Held::Lost };
    assert_eq!(queue.heartbeat(&[lease], lease_time).await.unwrap()[0].held, expected);
}

async fn reap(queue: &Queue, model: &mut Model) {
    let reaped = queue.reap().await.unwrap();
    let expired: Vec<u64> =
        model.tasks.iter().filter(|(_, task)| task.at == At::Leased { expired: true }).map(|(id, _)| *id).collect();
    let after: Vec<AfterAttempt> = expired.into_iter().map(|id| model.after_attempt(TaskId::new(id))).collect();
    let count = |wanted: AfterAttempt| after.iter().filter(|after| **after == wanted).count() as u64;
    assert_eq!(reaped.queued, count(AfterAttempt::Queued));
    assert_eq!(reaped.failed, count(AfterAttempt::Failed));
    assert_eq!(reaped.cancelled, count(AfterAttempt::Cancelled));
}

async fn cancel(queue: &Queue, model: &mut Model, random: &mut StdRng) {
    let Some((last, _)) = model.tasks.last_key_value() else { return };
    let id = TaskId::new(random.random_range(1..=*last));
    let cancelled = queue.cancel(id).await.unwrap();
    match model.task(id).at {
        At::Queued => {
            assert_eq!((cancelled.ended, cancelled.requested), (1, 0));
            model.end(id, TaskState::Cancelled);
        }
        At::Leased { .. } => {
            let asked_before = std::mem::replace(&mut model.task(id).cancel_requested, true);
            assert_eq!((cancelled.ended, cancelled.requested), (0, u64::from(!asked_before)));
        }
        At::Ended(_) => assert_eq!((cancelled.ended, cancelled.requested), (0, 0)),
    }
}

async fn compare(queue: &Queue, model: &Model) {
    let rows = queue.list(TaskFilter::default(), None, 1_000).await.unwrap();
    assert_eq!(rows.len(), model.tasks.len());
    for row in rows {
        let task = &model.tasks[&row.id.get()];
        let state = match task.at {
            At::Queued => TaskState::Queued,
            At::Leased { .. } => TaskState::Leased,
            At::Ended(state) => state,
        };
        assert_eq!((row.state, row.attempts), (state, task.attempts), "task {}", row.id);
        assert_eq!(row.finished_at.is_some(), state.is_ended());
        assert_eq!(row.expires_at.is_some(), state == TaskState::Leased);
    }
}

async fn interleave(seed: u64) {
    let f = Fixture::new().await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut agents: Vec<AgentId> = vec![f.agent];
    for name in ["b", "c"] {
        agents.push(register(&f.db, name).await);
    }
    let mut model = Model { tasks: BTreeMap::new(), leases: Vec::new() };

    for step in 0..STEPS {
        match random.random_range(0..20) {
            0..=3 => enqueue(&f.queue, &mut model, &mut random).await,
            4..=7 => {
                let agent = agents[random.random_range(0..agents.len())];
                let n = random.random_range(1..=4);
                let given = f.queue.lease(agent, n, &TaskKind::ALL, LONG).await.unwrap();
                assert!(given.len() <= n as usize);
                model.leased(&given);
            }
            8..=16 => act(&f.queue, &mut model, &mut random).await,
            17..=18 => reap(&f.queue, &mut model).await,
            _ => cancel(&f.queue, &mut model, &mut random).await,
        }
        if step % 10 == 0 {
            compare(&f.queue, &model).await;
        }
    }
    drain(&f, &mut model).await;
    compare(&f.queue, &model).await;
    assert!(model.tasks.values().all(|task| task.n_endings == 1), "every task ends exactly once");
}

/// Lets every task end: what is held expires, and what waits is ready.
async fn drain(f: &Fixture, model: &mut Model) {
    for lease in model.leases.clone() {
        if model.alive(&lease) {
            beat(&f.queue, model, lease, Duration::ZERO).await;
            model.task(lease.task).at = At::Leased { expired: true };
        }
    }
    reap(&f.queue, model).await;
    f.server.execute("UPDATE tasks SET not_before = NOW(6)").unwrap();
    loop {
        let given = f.lease(100).await;
        model.leased(&given);
        if given.is_empty() {
            break;
        }
        for leased in given {
            f.queue.finish(leased.lease, outcome(0).0).await.unwrap();
            model.end(leased.id, TaskState::Succeeded);
        }
    }
}

#[tokio::test]
async fn random_interleavings_follow_the_model_seed_1() {
    interleave(1).await;
}

#[tokio::test]
async fn random_interleavings_follow_the_model_seed_2() {
    interleave(2).await;
}

#[tokio::test]
async fn random_interleavings_follow_the_model_seed_3() {
    interleave(3).await;
}

/// Who holds what just now, as the agents themselves believe.
#[derive(Default)]
struct Beliefs {
    tasks: HashSet<u64>,
    keys: HashSet<u64>,
    n_endings: BTreeMap<u64, u32>,
}

const CONCURRENT_TASKS: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_really_run_at_once_never_hold_the_same_task_or_key() {
    let f = Fixture::new().await;
    let new = |n: u64| NewTask { exclusive_key: Some(format!("mailbox:{}", n % 20)), ..task(1, Priority::Scheduled) };
    f.queue.enqueue((1..=CONCURRENT_TASKS).map(new).collect()).await.unwrap();
    let beliefs = Arc::new(Mutex::new(Beliefs::default()));

    let mut agents = Vec::new();
    for seed in 0..4 {
        let agent = register(&f.db, &format!("agent {seed}")).await;
        agents.push(tokio::spawn(work_until_empty(f.queue.clone(), agent, seed, Arc::clone(&beliefs))));
    }
    for agent in agents {
        agent.await.unwrap();
    }

    let beliefs = beliefs.lock().unwrap();
    assert_eq!(beliefs.n_endings.len() as u64, CONCURRENT_TASKS);
    assert!(beliefs.n_endings.values().all(|n| *n == 1));
}

/// Works as an agent does: leases, gives some tasks back, finishes the others.
async fn work_until_empty(queue: Queue, agent: AgentId, seed: u64, beliefs: Arc<Mutex<Beliefs>>) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let given = queue.lease(agent, random.random_range(1..6), &TaskKind::ALL, LONG).await.unwrap();
        if given.is_empty() && queue.list(open(), None, 1).await.unwrap().is_empty() {
            return;
        }
        for leased in &given {
            let mut beliefs = beliefs.lock().unwrap();
            assert!(beliefs.tasks.insert(leased.id.get()), "task {} has two holders", leased.id);
            assert!(beliefs.keys.insert(leased.id.get() % 20), "key of task {} has two holders", leased.id);
        }
        for leased in given {
            // The belief ends before the lease does, or another agent could be first to know.
            let ends = random.random_bool(0.6);
            {
                let mut beliefs = beliefs.lock().unwrap();
                beliefs.tasks.remove(&leased.id.get());
                beliefs.keys.remove(&(leased.id.get() % 20));
                if ends {
                    *beliefs.n_endings.entry(leased.id.get()).or_default() += 1;
                }
            }
            if ends {
                queue.finish(leased.lease, outcome(0).0).await.unwrap();
            } else {
                queue.release(leased.lease).await.unwrap();
            }
        }
    }
}

fn open() -> TaskFilter {
    TaskFilter { state: Some(TaskState::Queued), ..TaskFilter::default() }
}
