//! The scheduler against a real MariaDB.

use std::time::Duration;

use kodo::catalog::Keep;
use kodo::db::{Db, DbError};
use kodo::ids::{AgentId, FeatureName, OrganizationId, PolicyId, ResourceId, ScheduleId, StorageId, TenantId};
use kodo::queue::work::{BackupWork, Keeping};
use kodo::queue::{LeasedTask, Outcome, Queue, TaskKind};
use kodo::scheduler::{
    Enabled, ManualBackup, NewPolicy, NewSchedule, RunFilter, RunReason, RunState, Scheduler, Selection, Target,
    Unacceptable, Who,
};
use kodo::secret::{Sealer, random_key};
use kodo::tenants;

use crate::queue::register;
use crate::support::mariadb::MariaDb;
use crate::tenants::{a_day_passes, add_tenant, sync, user};

const LONG: Duration = Duration::from_secs(600);

struct Fixture {
    server: MariaDb,
    db: Db,
    queue: Queue,
    scheduler: Scheduler,
    agent: AgentId,
    organization: OrganizationId,
    tenant: TenantId,
    policy: PolicyId,
}

fn exclusive_key(feature: &FeatureName, resource: ResourceId) -> String {
    if feature.as_str() == "onedrive" { format!("drive:{resource}") } else { format!("mailbox:{resource}") }
}

fn features(names: &[&str]) -> Vec<FeatureName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

impl Fixture {
    /// A tenant with `n_users` users.
    async fn new(n_users: u32) -> Self {
        let server = MariaDb::start().await.unwrap();
        let db = server.connect().unwrap();
        let queue = Queue::new(db.clone());
        let scheduler = Scheduler::new(db.clone(), queue.clone(), exclusive_key);
        let tenant = add_tenant(&db, &Sealer::new(random_key().unwrap()), "contoso").await;
        sync(&db, tenant, (0..n_users).map(user).collect()).await;
        let organization = tenants::get_tenant(&db, tenant).await.unwrap().organization;
        let new = NewPolicy {
            organization,
            name: "gold".to_owned(),
            storage: StorageId::new(1),
            keep: Keep::EVERYTHING,
            options: "{}".to_owned(),
        };
        let policy = scheduler.add_policy(new).await.unwrap();
        let agent = register(&db, "a").await;
        Self { server, db, queue, scheduler, agent, organization, tenant, policy }
    }

    fn nightly(&self) -> NewSchedule {
        NewSchedule {
            organization: self.organization,
            policy: self.policy,
            name: "nightly".to_owned(),
            selection: Selection { tenant: self.tenant, who: Who::Everyone },
            features: features(&["mailbox", "onedrive"]),
            cron: "0 22 * * *".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            enabled: Enabled::Yes,
        }
    }

    /// Makes the schedule due, as if it had been so for this many days.
    fn overdue(&self, schedule: ScheduleId, days: u32) {
        let sql = format!("UPDATE schedules SET next_fire_at = NOW(3) - INTERVAL {days} DAY WHERE id = {schedule}");
        self.server.execute(&sql).unwrap();
    }

    /// Leases and finishes every backup that is ready.
    async fn work_off(&self, outcome: impl Fn(&LeasedTask) -> Outcome) -> Vec<LeasedTask> {
        let mut done = Vec::new();
        loop {
            let leased = self.queue.lease(self.agent, 100, &[TaskKind::Backup], LONG).await.unwrap();
            if leased.is_empty() {
                return done;
            }
            for task in leased {
                self.queue.finish(task.lease, outcome(&task)).await.unwrap();
                done.push(task);
            }
        }
    }
}

fn succeeded(_: &LeasedTask) -> Outcome {
    Outcome::Succeeded { result: "{}".to_owned(), n_issues: 0 }
}

#[tokio::test]
async fn a_due_schedule_becomes_one_run_with_a_task_per_resource_and_feature() {
    let f = Fixture::new(700).await;
    let schedule = f.scheduler.add_schedule(f.nightly()).await.unwrap();
    assert_eq!(f.scheduler.tick().await.unwrap().runs_started, 0, "it is not due");
    f.overdue(schedule, 5);

    let first = f.scheduler.tick().await.unwrap();
    let second = f.scheduler.tick().await.unwrap();

    assert_eq!((first.runs_started, second.runs_started), (1, 0), "five missed nights are one run");
    let run = f.scheduler.runs(RunFilter::default(), None, 10).await.unwrap().remove(0);
    assert_eq!(
        (run.state, run.reason, run.n_tasks, run.counts.queued),
        (RunState::Running, RunReason::Schedule, 1400, 1400)
    );
    let view = f.scheduler.schedule(schedule).await.unwrap();
    assert!(view.next_fire_at.unwrap() > kodo::clock::now());
    let leased = f.queue.lease(f.agent, 1, &[TaskKind::Backup], LONG).await.unwrap().remove(0);
    let work: BackupWork = serde_json::from_str(&leased.work).unwrap();
    assert_eq!((work.storage, Some(work.resource)), (StorageId::new(1), leased.resource));
    assert_eq!((leased.tenant, leased.run), (Some(f.tenant), Some(run.id)));
    assert_eq!(work.keeping, Keeping::Under(f.policy), "what a schedule backs up is kept under its policy");
}

#[tokio::test]
async fn two_schedulers_at_once_start_one_run() {
    let f = Fixture::new(50).await;
    let schedule = f.scheduler.add_schedule(f.nightly()).await.unwrap();
    f.overdue(schedule, 1);
    let other = Scheduler::new(f.server.connect().unwrap(), f.queue.clone(), exclusive_key);

    let (one, two) = tokio::join!(f.scheduler.tick(), other.tick());

    assert_eq!(one.unwrap().runs_started + two.unwrap().runs_started, 1);
    assert_eq!(f.scheduler.runs(RunFilter::default(), None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_under_way_is_skipped_and_counted() {
    let f = Fixture::new(10).await;
    let schedule = f.scheduler.add_schedule(f.nightly()).await.unwrap();
    let first = f.scheduler.start_now(schedule).await.unwrap();
    let leased = f.queue.lease(f.agent, 3, &[TaskKind::Backup], LONG).await.unwrap();
    f.queue.finish(leased[0].lease, succeeded(&leased[0])).await.unwrap();

    let second = f.scheduler.start_now(schedule).await.unwrap();

    let (first, second) = (f.scheduler.run(first).await.unwrap(), f.scheduler.run(second).await.unwrap());
    assert_eq!((first.n_tasks, first.n_skipped), (20, 0));
    assert_eq!((second.n_tasks, second.n_skipped, second.reason), (1, 19, RunReason::Manual));
}

#[tokio::test]
async fn resources_that_are_gone_are_not_backed_up() {
    let f = Fixture::new(10).await;
    let all = tenants::list_resources(&f.db, f.tenant, Default::default(), None, 100).await.unwrap();
    a_day_passes(&f.server);
    sync(&f.db, f.tenant, (0..4).map(user).collect()).await;
    let everyone = f.scheduler.add_schedule(f.nightly()).await.unwrap();
    let who = Who::Resources(all[..6].iter().map(|resource| resource.id).collect());
    let selection = Selection { tenant: f.tenant, who };
    let chosen = NewSchedule { name: "chosen".to_owned(), selection, features: features(&["contacts"]), ..f.nightly() };
    let chosen = f.scheduler.add_schedule(chosen).await.unwrap();

    let everyone = f.scheduler.start_now(everyone).await.unwrap();
    let chosen = f.scheduler.start_now(chosen).await.unwrap();

    assert_eq!(f.scheduler.run(everyone).await.unwrap().n_tasks, 8);
    let chosen = f.scheduler.run(chosen).await.unwrap();
    assert_eq!((chosen.n_tasks, chosen.n_gone), (4, 2));
}

#[tokio::test]
async fn a_run_is_settled_once_from_what_its_tasks_became() {
    let f = Fixture::new(4).await;
    let schedule = f.scheduler.add_schedule(f.nightly()).await.unwrap();
    let clean = f.scheduler.start_now(schedule).await.unwrap();
    assert_eq!(f.scheduler.settle_runs().await.unwrap(), 0);

    let done = f.work_off(succeeded).await;
    assert_eq!(done.len(), 8);
    assert_eq!((f.scheduler.settle_runs().await.unwrap(), f.scheduler.settle_runs().await.unwrap()), (1, 0));
    let with_issues = f.scheduler.start_now(schedule).await.unwrap();
    f.work_off(|task| Outcome::Succeeded { result: "{}".to_owned(), n_issues: u64::from(task.id.get() == 10) }).await;
    let broken = f.scheduler.start_now(schedule).await.unwrap();
    f.work_off(|_| Outcome::Failed { error: "no licence".to_owned() }).await;
    let cancelled = f.scheduler.start_now(schedule).await.unwrap();
    let leased = f.queue.lease(f.agent, 1, &[TaskKind::Backup], LONG).await.unwrap().remove(0);
    f.queue.finish(leased.lease, succeeded(&leased)).await.unwrap();
    f.scheduler.cancel_run(cancelled).await.unwrap();
    assert_eq!(f.scheduler.settle_runs().await.unwrap(), 3);

    let mut states = Vec::new();
    for run in [clean, with_issues, broken, cancelled] {
        let view = f.scheduler.run(run).await.unwrap();
        assert!(view.finished_at.is_some() && view.counts.total() == 8);
        states.push(view.state);
    }
    assert_eq!(states, [RunState::Succeeded, RunState::Incomplete, RunState::Failed, RunState::Cancelled]);
    let failed = RunFilter { state: Some(RunState::Failed), ..RunFilter::default() };
    assert_eq!(f.scheduler.runs(failed, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_manual_backup_needs_only_resources_and_a_storage() {
    let f = Fixture::new(3).await;
    let all = tenants::list_resources(&f.db, f.tenant, Default::default(), None, 100).await.unwrap();
    let backup = ManualBackup {
        organization: f.organization,
        resources: vec![all[1].id, all[1].id],
        features: features(&["mailbox"]),
        target: Target::Storage(StorageId::new(9)),
    };

    let run = f.scheduler.start_backup(backup.clone()).await.unwrap();
    let nobody = ManualBackup { resources: vec![ResourceId::new(999)], ..backup.clone() };
    let other = ManualBackup { organization: OrganizationId::new(999), ..backup.clone() };
    let nothing = ManualBackup { features: vec![], ..backup };

    assert_eq!(f.scheduler.run(run).await.unwrap().n_tasks, 1);
    assert!(matches!(f.scheduler.start_backup(nobody).await, Err(Unacceptable::Missing(_))));
    assert!(matches!(f.scheduler.start_backup(other).await, Err(Unacceptable::Missing(_))));
    assert!(matches!(f.scheduler.start_backup(nothing).await, Err(Unacceptable::Invalid(_))));
}

#[tokio::test]
async fn a_schedule_is_checked_before_it_is_stored() {
    let f = Fixture::new(1).await;
    let add = |new: NewSchedule| async { f.scheduler.add_schedule(new).await.map_err(|err| err.to_string()) };
    let id = add(f.nightly()).await.unwrap();

    let taken = add(f.nightly()).await.unwrap_err();
    let cron = add(NewSchedule { cron: "61 * * * *".to_owned(), ..f.nightly() }).await.unwrap_err();
    let zone = add(NewSchedule { time_zone: "CET+1".to_owned(), ..f.nightly() }).await.unwrap_err();
    let policy = add(NewSchedule { policy: PolicyId::new(99), ..f.nightly() }).await.unwrap_err();
    let name = add(NewSchedule { name: " x".to_owned(), ..f.nightly() }).await.unwrap_err();
    let none = add(NewSchedule { features: vec![], ..f.nightly() }).await.unwrap_err();

    assert_eq!(taken, "the name \"nightly\" is taken");
    assert!(cron.contains("is not a cron expression"), "{cron}");
    assert!(zone.contains("is not a time zone"), "{zone}");
    assert_eq!(policy, "there is no policy 99");
    assert!(name.contains("no space around it"));
    assert!(none.contains("at least one feature"));
    let off = NewSchedule { enabled: Enabled::No, ..f.nightly() };
    f.scheduler.update_schedule(id, off).await.unwrap();
    assert_eq!(f.scheduler.schedule(id).await.unwrap().next_fire_at, None);
    f.scheduler.delete_schedule(id).await.unwrap();
    assert!(matches!(f.scheduler.schedule(id).await, Err(DbError::NotFound)));
}

#[tokio::test]
async fn every_directory_is_read_regularly_and_once_at_a_time() {
    let f = Fixture::new(0).await;

    let first = f.scheduler.tick().await.unwrap();
    let second = f.scheduler.tick().await.unwrap();
    let by_hand = f.scheduler.sync_now(f.tenant).await.unwrap();
    let leased = f.queue.lease(f.agent, 5, &[TaskKind::SyncResources], LONG).await.unwrap();
    f.queue.finish(leased[0].lease, succeeded(&leased[0])).await.unwrap();
    let after = f.scheduler.sync_now(f.tenant).await.unwrap();

    assert_eq!((first.syncs_queued, second.syncs_queued, by_hand, leased.len(), after), (1, 0, 0, 1, 1));
}
