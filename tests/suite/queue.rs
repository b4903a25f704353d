//! The task queue against a real MariaDB.

use std::time::Duration;

use kodo::db::Db;
use kodo::ids::{AgentId, OrganizationId, ResourceId, RestoreId, RunId, TaskId, TenantId};
use kodo::queue::agents::{self, AgentState, NewAgent};
use kodo::queue::{
    ATTEMPTS_MAX, AfterAttempt, Held, LeasedTask, NewTask, Outcome, Priority, Progress, Queue, RESPITE, TaskFilter,
    TaskKind, TaskState, TaskView,
};

use crate::support::mariadb::MariaDb;

const LONG: Duration = Duration::from_secs(600);

pub struct Fixture {
    pub server: MariaDb,
    pub db: Db,
    pub queue: Queue,
    pub agent: AgentId,
}

impl Fixture {
    pub async fn new() -> Self {
        let server = MariaDb::start().await.unwrap();
        let db = server.connect().unwrap();
        let agent = register(&db, "a").await;
        Self { server, queue: Queue::new(db.clone()), db, agent }
    }

    pub async fn lease(&self, n: u32) -> Vec<LeasedTask> {
        self.queue.lease(self.agent, n, &TaskKind::ALL, LONG).await.unwrap()
    }

    async fn view(&self, task: TaskId) -> TaskView {
        self.queue.get(task).await.unwrap().unwrap()
    }
}

pub async fn register(db: &Db, name: &str) -> AgentId {
    let agent = NewAgent { name: name.into(), host: "host".into(), version: "0.1.0".into(), workers: 8 };
    agents::register(db, agent).await.unwrap()
}

pub fn task(organization: u32, priority: Priority) -> NewTask {
    NewTask {
        kind: TaskKind::Backup,
        priority,
        organization: OrganizationId::new(organization),
        tenant: Some(TenantId::new(organization)),
        resource: Some(ResourceId::new(1)),
        run: Some(RunId::new(1)),
        restore: None,
        work: "{}".to_owned(),
        exclusive_key: None,
        open_key: None,
    }
}

fn keyed(key: &str) -> NewTask {
    NewTask { exclusive_key: Some(key.to_owned()), ..task(1, Priority::Scheduled) }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded { result: "{}".to_owned(), n_issues: 0 }
}

#[tokio::test]
async fn a_leased_task_is_nobody_elses_until_it_ends() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();

    let leased = f.lease(5).await;
    let again = f.lease(5).await;

    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].lease.epoch, 1);
    assert!(again.is_empty());
    f.queue.finish(leased[0].lease, succeeded()).await.unwrap();
    assert_eq!(f.view(leased[0].id).await.state, TaskState::Succeeded);
    assert!(f.queue.finish(leased[0].lease, succeeded()).await.is_err(), "a task ends once");
    assert!(f.lease(5).await.is_empty());
}

#[tokio::test]
async fn restores_are_leased_before_manual_backups_before_scheduled_ones() {
    let f = Fixture::new().await;
    let priorities = [Priority::Scheduled, Priority::Manual, Priority::Restore];
    f.queue.enqueue(priorities.map(|priority| task(1, priority)).to_vec()).await.unwrap();

    let mut order = Vec::new();
    for _ in 0..3 {
        order.extend(f.lease(1).await.into_iter().map(|task| task.id.get()));
    }

    assert_eq!(order, [3, 2, 1]);
}

#[tokio::test]
async fn organizations_share_the_workers_evenly() {
    let f = Fixture::new().await;
    let mut tasks = vec![task(1, Priority::Scheduled); 50];
    tasks.extend(vec![task(2, Priority::Scheduled); 3]);
    f.queue.enqueue(tasks).await.unwrap();

    let leased = f.lease(8).await;

    let of_second = leased.iter().filter(|task| task.organization == OrganizationId::new(2)).count();
    assert_eq!((leased.len(), of_second), (8, 3), "what the second cannot use goes to the first");
}

#[tokio::test]
async fn one_task_per_exclusive_key_is_leased_and_the_rest_are_passed_over() {
    let f = Fixture::new().await;
    let mut tasks = vec![keyed("mailbox:1"); 20];
    tasks.push(keyed("mailbox:2"));
    f.queue.enqueue(tasks).await.unwrap();

    let leased = f.lease(8).await;

    let ids: Vec<u64> = leased.iter().map(|task| task.id.get()).collect();
    assert_eq!(ids, [1, 21]);
    f.queue.finish(leased[0].lease, succeeded()).await.unwrap();
    assert_eq!(f.lease(8).await.len(), 1, "the key is free again");
}

#[tokio::test]
async fn agents_that_lease_at_once_get_different_tasks_and_keys() {
    let f = Fixture::new().await;
    let tasks = (0..60).map(|n| keyed(&format!("mailbox:{}", n / 3))).collect();
    f.queue.enqueue(tasks).await.unwrap();
    let mut names = Vec::new();
    for name in ["b", "c", "d", "e"] {
        names.push(register(&f.db, name).await);
    }

    let leases = names.iter().map(|agent| f.queue.lease(*agent, 5, &TaskKind::ALL, LONG));
    let answers = futures_util::future::join_all(leases).await;

    let leased: Vec<LeasedTask> = answers.into_iter().flat_map(|answer| answer.unwrap()).collect();
    let ids: std::collections::HashSet<u64> = leased.iter().map(|task| task.id.get()).collect();
    let keys: std::collections::HashSet<u64> = leased.iter().map(|task| (task.id.get() - 1) / 3).collect();
    assert_eq!(ids.len(), leased.len());
    assert_eq!(keys.len(), leased.len());
    assert_eq!(leased.len(), 20, "twenty keys, and every agent gets its five");
}

#[tokio::test]
async fn what_a_killed_process_held_is_left_alone_for_a_moment_and_so_is_all_that_excludes_it() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![keyed("mailbox:1"), keyed("mailbox:1")]).await.unwrap();
    let held = f.lease(1).await;
    let other = register(&f.db, "b").await;

    let began = tokio::time::Instant::now();
    assert_eq!(f.queue.take_back(f.agent).await.unwrap(), 1);

    assert!(f.queue.lease(other, 5, &TaskKind::ALL, LONG).await.unwrap().is_empty());
    let mut ticks = tokio::time::interval(RESPITE / 10);
    let reaped = async {
        while f.queue.reap().await.unwrap().queued == 0 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(RESPITE * 20, reaped).await.expect("its lease runs out");
    assert!(began.elapsed() >= RESPITE);
    let leased = f.queue.lease(other, 5, &TaskKind::ALL, LONG).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(f.view(held[0].id).await.attempts, 1);
}

#[tokio::test]
async fn unfinished_work_is_not_queued_twice() {
    let f = Fixture::new().await;
    let open = |key: &str| NewTask { open_key: Some(key.to_owned()), ..task(1, Priority::Scheduled) };

    let first = f.queue.enqueue(vec![open("x"), open("x"), open("y")]).await.unwrap();
    let leased = f.lease(2).await;
    let second = f.queue.enqueue(vec![open("x"), open("z")]).await.unwrap();
    f.queue.finish(leased[0].lease, succeeded()).await.unwrap();
    let third = f.queue.enqueue(vec![open("x"), open("y")]).await.unwrap();

    assert_eq!((first, second, third), (2, 1, 1));
}

#[tokio::test]
async fn a_key_that_its_column_cannot_hold_is_refused_not_cut() {
    let f = Fixture::new().await;

    let refused = f.queue.enqueue(vec![keyed(&"k".repeat(97))]).await;

    assert!(refused.unwrap_err().to_string().contains("at most 96 bytes"));
}

#[tokio::test]
async fn a_lost_lease_changes_nothing() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();
    let zombie = f.queue.lease(f.agent, 1, &TaskKind::ALL, Duration::ZERO).await.unwrap().remove(0);
    f.queue.reap().await.unwrap();
    let holder = f.lease(1).await.remove(0);

    let answers = f.queue.heartbeat(&[zombie.lease, holder.lease], LONG).await.unwrap();

    assert_eq!(answers[0].held, Held::Lost);
    assert_eq!(answers[1].held, Held::Yes { cancel_requested: false });
    assert!(f.queue.finish(zombie.lease, succeeded()).await.is_err());
    assert!(f.queue.retry(zombie.lease, LONG, "x").await.is_err());
    assert!(f.queue.snooze(zombie.lease, LONG, "x").await.is_err());
    assert!(f.queue.release(zombie.lease).await.is_err());
    assert!(f.queue.progress(zombie.lease, Progress::default()).await.is_err());
    let fenced = f.db.transaction("test", move |conn| kodo::queue::assert_held(conn, &zombie.lease)).await;
    assert!(fenced.is_err());
    f.db.transaction("test", move |conn| kodo::queue::assert_held(conn, &holder.lease)).await.unwrap();
    let view = f.view(holder.id).await;
    assert_eq!((view.state, view.attempts), (TaskState::Leased, 1));
}

#[tokio::test]
async fn a_task_fails_after_its_last_attempt_and_says_why() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();

    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        let leased = f.lease(1).await.remove(0);
        last = Some(f.queue.retry(leased.lease, Duration::ZERO, "the mailbox is locked").await.unwrap());
    }

    assert_eq!(last, Some(AfterAttempt::Failed));
    let view = f.view(TaskId::new(1)).await;
    assert_eq!((view.state, view.last_error.as_deref()), (TaskState::Failed, Some("the mailbox is locked")));
    assert!(view.finished_at.is_some());
}

#[tokio::test]
async fn a_snoozed_or_released_task_waits_and_keeps_its_attempts() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual), task(1, Priority::Manual)]).await.unwrap();
    let leased = f.lease(2).await;

    f.queue.snooze(leased[0].lease, LONG, "throttled until 10:42").await.unwrap();
    f.queue.release(leased[1].lease).await.unwrap();

    let snoozed = f.view(leased[0].id).await;
    assert_eq!((snoozed.state, snoozed.attempts), (TaskState::Queued, 0));
    assert_eq!(snoozed.progress.waits_for.as_deref(), Some("throttled until 10:42"));
    let ready: Vec<TaskId> = f.lease(2).await.iter().map(|task| task.id).collect();
    assert_eq!(ready, [leased[1].id]);
}

#[tokio::test]
async fn cancelling_ends_queued_tasks_at_once_and_asks_the_workers_of_leased_ones() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual); 5]).await.unwrap();
    let leased = f.lease(2).await;

    let cancelled = f.queue.cancel_run(RunId::new(1)).await.unwrap();

    assert_eq!((cancelled.ended, cancelled.requested), (3, 2));
    let answer = f.queue.heartbeat(&[leased[0].lease], LONG).await.unwrap();
    assert_eq!(answer[0].held, Held::Yes { cancel_requested: true });
    f.queue.finish(leased[0].lease, Outcome::Cancelled).await.unwrap();
    let after = f.queue.retry(leased[1].lease, LONG, "network").await.unwrap();
    assert_eq!(after, AfterAttempt::Cancelled);
    let counts = f.queue.run_progress(RunId::new(1)).await.unwrap();
    assert_eq!((counts.cancelled, counts.open()), (5, 0));
    assert_eq!(f.queue.cancel(leased[0].id).await.unwrap(), Default::default());
}

#[tokio::test]
async fn progress_shows_in_the_counts_of_the_run() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual); 3]).await.unwrap();
    let leased = f.lease(2).await;
    let progress =
        Progress { phase: "é".repeat(100), items_done: 7, items_total: Some(9), bytes_done: 700, waits_for: None };

    f.queue.progress(leased[0].lease, progress).await.unwrap();
    let done = Outcome::Succeeded { result: r#"{"n_issues":2}"#.to_owned(), n_issues: 2 };
    f.queue.finish(leased[0].lease, done).await.unwrap();

    let counts = f.queue.run_progress(RunId::new(1)).await.unwrap();
    assert_eq!((counts.queued, counts.leased, counts.succeeded), (1, 1, 1));
    assert_eq!((counts.items_done, counts.bytes_done, counts.n_issues), (7, 700, 2));
    let filter = TaskFilter { state: Some(TaskState::Succeeded), ..TaskFilter::default() };
    assert_eq!(f.queue.list(filter, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn kinds_that_an_agent_does_not_know_wait_for_one_that_does() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![NewTask { kind: TaskKind::Restore, ..task(1, Priority::Restore) }]).await.unwrap();

    let old = f.queue.lease(f.agent, 1, &[TaskKind::Backup], LONG).await.unwrap();
    let new = f.queue.lease(f.agent, 1, &[TaskKind::Backup, TaskKind::Restore], LONG).await.unwrap();

    assert_eq!((old.len(), new.len()), (0, 1));
}

#[tokio::test]
async fn a_paused_agent_leases_nothing_and_stays_paused_over_a_restart() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual); 2]).await.unwrap();

    agents::set_state(&f.db, f.agent, AgentState::Paused).await.unwrap();
    assert_eq!(register(&f.db, "a").await, f.agent);
    let while_paused = f.lease(1).await;
    agents::set_state(&f.db, f.agent, AgentState::Draining).await.unwrap();
    assert_eq!(agents::heartbeat(&f.db, f.agent).await.unwrap(), AgentState::Draining);
    register(&f.db, "a").await;
    let after_restart = f.lease(1).await;

    assert!(while_paused.is_empty());
    assert_eq!(after_restart.len(), 1, "draining ends with the process");
    let listed = agents::list(&f.db).await.unwrap();
    assert_eq!((listed.len(), listed[0].n_leased, listed[0].online), (1, 1, true));
}

#[tokio::test]
async fn the_agent_of_this_process_is_woken_by_an_enqueue() {
    let f = Fixture::new().await;

    f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();

    tokio::time::timeout(Duration::from_secs(20), f.queue.wait_for_work(LONG)).await.unwrap();
}

#[tokio::test]
async fn the_cost_of_a_lease_does_not_follow_the_length_of_the_queue() {
    let f = Fixture::new().await;
    let keyed =
        |n: u32| NewTask { exclusive_key: Some(format!("mailbox:{n}")), ..task(1 + n % 5, Priority::Scheduled) };
    f.queue.enqueue((0..20_000).map(keyed).collect()).await.unwrap();
    let before = f.server.rows_read().unwrap();

    let leased = f.lease(8).await;

    let n_read = f.server.rows_read().unwrap() - before;
    assert_eq!(leased.len(), 8);
    assert!(n_read < 1_000, "{n_read} rows were read");
}

#[tokio::test]
async fn old_tasks_are_forgotten_but_for_restores_and_running_runs() {
    let f = Fixture::new().await;
    let of_run = |run: u64| NewTask { run: Some(RunId::new(run)), ..task(1, Priority::Manual) };
    let of_restore = NewTask { restore: Some(RestoreId::new(1)), ..task(1, Priority::Manual) };
    f.queue.enqueue(vec![of_run(1), of_run(2), of_restore, of_run(1)]).await.unwrap();
    for leased in f.lease(3).await {
        f.queue.finish(leased.lease, succeeded()).await.unwrap();
    }
    f.server.execute("UPDATE tasks SET finished_at = finished_at - INTERVAL 31 DAY").unwrap();
    let month = Duration::from_secs(30 * 24 * 3600);

    let forgotten = f.queue.forget_ended(month, vec![RunId::new(2)]).await.unwrap();

    assert_eq!(forgotten, 1);
    let left: Vec<u64> =
        f.queue.list(TaskFilter::default(), None, 9).await.unwrap().iter().map(|t| t.id.get()).collect();
    assert_eq!(left, [4, 3, 2]);
}

#[tokio::test]
async fn calls_go_on_when_all_connections_were_killed() {
    let f = Fixture::new().await;
    f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();
    let task = f.lease(1).await[0].id;

    for _ in 0..3 {
        let views = futures_util::future::join_all((0..16).map(|_| f.view(task))).await;
        assert!(views.iter().all(|view| view.state == TaskState::Leased));
        f.server.kill_connections().unwrap();
    }
}

#[tokio::test]
async fn calls_go_on_when_the_server_keeps_no_more_statements() {
    let f = Fixture::new().await;
    f.server.execute("SET GLOBAL max_prepared_stmt_count = 8").unwrap();

    for _ in 0..3 {
        f.queue.enqueue(vec![task(1, Priority::Manual)]).await.unwrap();
        let leased = f.lease(1).await.remove(0);
        let views = futures_util::future::join_all((0..8).map(|_| f.view(leased.id))).await;
        assert!(views.iter().all(|view| view.state == TaskState::Leased));
        f.queue.finish(leased.lease, succeeded()).await.unwrap();
        f.queue.list(TaskFilter::default(), None, 9).await.unwrap();
    }
}
