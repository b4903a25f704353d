//! Requests to restore against a real MariaDB: which are accepted, and what becomes of them.

use kodo::catalog::{self, ChainKey};
use kodo::db::{Conn, Db, QueryResult};
use kodo::ids::{ChainId, FeatureName, ItemKey, PointNumber, ResourceId, StorageId, TaskId, TenantId};
use kodo::queue::work::{RestoreAlong, RestoreSelection, RestoreWork};
use kodo::queue::{Counts, Queue, TaskState};
use kodo::restores::{self, Caller, Folder, Moment, NewPart, NewRestore, RestoreState, StartError};
use kodo::secret::{Sealer, random_key};
use kodo::tenants::{self, ResourceFilter};

use crate::support::mariadb::MariaDb;
use crate::tenants::{a_day_passes, add_tenant, sync, user};

struct Fixture {
    server: MariaDb,
    db: Db,
    queue: Queue,
    tenant: TenantId,
    chain: ChainId,
    users: Vec<ResourceId>,
}

async fn users_of(db: &Db, tenant: TenantId) -> Vec<ResourceId> {
    let listed = tenants::list_resources(db, tenant, ResourceFilter::default(), None, 100).await.unwrap();
    listed.into_iter().map(|resource| resource.id).collect()
}

impl Fixture {
    /// Two users; the first has a chain with two sealed points and a third that is being written.
    async fn new() -> Self {
        let server = MariaDb::start().await.unwrap();
        let db = server.connect().unwrap();
        let tenant = add_tenant(&db, &Sealer::new(random_key().unwrap()), "contoso").await;
        sync(&db, tenant, vec![user(1), user(2)]).await;
        let users = users_of(&db, tenant).await;
        let key = ChainKey { resource: users[0], feature: "mailbox".parse().unwrap(), storage: StorageId::new(1) };
        let backed_up = move |conn: &mut Conn| -> QueryResult<ChainId> {
            let chain = catalog::chains::open(conn, &key)?.id;
            for task in 1..=3 {
                let point = catalog::points::open_point(conn, chain, None, TaskId::new(task))?;
                if task < 3 {
                    catalog::points::seal(conn, chain, point, 0)?;
                }
            }
            Ok(chain)
        };
        let chain = db.run("make a chain", backed_up).await.unwrap();
        Self { server, queue: Queue::new(db.clone()), db, tenant, chain, users }
    }

    fn request(&self) -> NewRestore {
        NewRestore::of(self.chain)
    }

    fn at(&self, point: u32) -> NewRestore {
        let part = NewPart { point: Moment::Point(PointNumber::new(point)), ..NewPart::of(self.chain) };
        NewRestore { parts: vec![part], ..self.request() }
    }

    fn to(&self, resource: ResourceId) -> NewRestore {
        let part = NewPart { target: Some(resource), ..NewPart::of(self.chain) };
        NewRestore { parts: vec![part], ..self.request() }
    }

    async fn start(&self, request: NewRestore) -> Result<(kodo::ids::RestoreId, TaskId), StartError> {
        let caller = Caller { name: "an operator".to_owned(), exclusive_key };
        let started = restores::start(&self.db, &self.queue, request, caller).await?;
        Ok((started.restore, started.task))
    }

    async fn refusal(&self, request: NewRestore) -> String {
        let refused = self.start(request).await.unwrap_err().to_string();
        assert!(restores::list(&self.db, None, 10).await.unwrap().is_empty(), "a refused restore left a row");
        refused
    }
}

fn exclusive_key(feature: &FeatureName, resource: ResourceId) -> String {
    format!("{feature}:{resource}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_and_its_task_appear_together() {
    let fixture = Fixture::new().await;
    let selection = RestoreSelection { containers: Vec::new(), items: vec![ItemKey::of("AAMk=")], gone_at: None };
    let request = NewRestore {
        folder: Folder::Named("Restored".to_owned()),
        selection: Some(selection.clone()),
        ..fixture.to(fixture.users[1])
    };

    let (id, task) = fixture.start(request).await.unwrap();

    let restore = restores::get(&fixture.db, id).await.unwrap().unwrap();
    assert_eq!((restore.chain, restore.point), (fixture.chain, PointNumber::new(2)), "the newest sealed point");
    assert_eq!(restore.requested_by, "an operator");
    let task = fixture.queue.get(task).await.unwrap().unwrap();
    assert_eq!((task.state, task.restore, task.resource), (TaskState::Queued, Some(id), Some(fixture.users[1])));
    let expected = RestoreWork {
        restore: id,
        chain: fixture.chain,
        point: PointNumber::new(2),
        target_resource: fixture.users[1],
        target_folder: Some("Restored".to_owned()),
        selection: Some(selection),
        on_conflict: None,
        dry_run: false,
        along: RestoreAlong::default(),
    };
    assert_eq!(serde_json::from_str::<RestoreWork>(&task.work).unwrap(), expected);
    let counts: Counts = fixture.queue.restore_progress(id).await.unwrap();
    assert_eq!(restores::state(&counts, 0), RestoreState::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_point_that_is_sealed_is_restored() {
    let fixture = Fixture::new().await;

    assert!(fixture.refusal(fixture.at(3)).await.contains("still being written"));
    assert!(fixture.refusal(fixture.at(9)).await.contains("the newest is 2"));
    assert!(fixture.refusal(NewRestore::of(ChainId::new(99))).await.contains("no chain 99"));
    fixture.start(fixture.at(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn data_stays_in_its_organization_and_goes_to_somebody_who_is_there() {
    let fixture = Fixture::new().await;
    let other = add_tenant(&fixture.db, &Sealer::new(random_key().unwrap()), "fabrikam").await;
    sync(&fixture.db, other, vec![user(7)]).await;
    let stranger = users_of(&fixture.db, other).await[0];
    a_day_passes(&fixture.server);
    sync(&fixture.db, fixture.tenant, vec![user(2)]).await;

    assert!(fixture.refusal(fixture.to(stranger)).await.contains("another organization"));
    assert!(fixture.refusal(fixture.to(ResourceId::new(999))).await.contains("no resource 999"));
    let gone = fixture.refusal(fixture.request()).await;
    assert!(gone.contains("gone from its directory") && gone.contains("another target"), "{gone}");
    fixture.start(fixture.to(fixture.users[1])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_was_given_up_is_not_restored_and_one_that_is_restored_can_be_told() {
    let fixture = Fixture::new().await;
    let (chain, first) = (fixture.chain, PointNumber::new(1));
    let (_, task) = fixture.start(fixture.at(1)).await.unwrap();

    let under_way = fixture.db.run("look", |conn| kodo::queue::points_being_restored(conn, 10)).await.unwrap();
    fixture.queue.cancel(task).await.unwrap();
    let after = fixture.db.run("look", |conn| kodo::queue::points_being_restored(conn, 10)).await.unwrap();
    fixture.db.run("give up", move |conn| catalog::points::give_up(conn, chain, first)).await.unwrap();
    let refused = fixture.start(fixture.at(1)).await.unwrap_err();

    assert_eq!(under_way, [(chain, first)]);
    assert_eq!(after, []);
    assert!(refused.to_string().contains("was given up"), "{refused}");
}
