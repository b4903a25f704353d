//! Organizations, tenants, resources, admins and tokens against a real MariaDB.

use chrono::Duration;
use kodo::access::{self, Permission, Role};
use kodo::db::{Db, DbError};
use kodo::ids::TenantId;
use kodo::secret::{Sealer, Secret, random_key};
use kodo::tenants::{
    self, CredentialKind, NewTenant, ResourceFilter, ResourceKind, ResourceState, SeenResource, TenantState,
};

use crate::support::mariadb::MariaDb;

pub async fn add_tenant(db: &Db, sealer: &Sealer, name: &str) -> TenantId {
    let organization = tenants::add_organization(db, name).await.unwrap();
    let new = NewTenant {
        organization,
        name: name.to_owned(),
        entra_tenant_id: format!("{name}.onmicrosoft.com"),
        client_id: "9f1c6d2e-0000-4000-8000-000000000001".to_owned(),
        credential_kind: CredentialKind::Secret,
        credential: Secret::new(b"hunter2".to_vec()),
    };
    tenants::add_tenant(db, sealer, new).await.unwrap()
}

pub fn user(number: u32) -> SeenResource {
    SeenResource {
        graph_id: format!("00000000-0000-4000-8000-{number:012}"),
        kind: ResourceKind::User,
        name: format!("Übung {number:04}"),
        address: format!("user{number}@contoso.example"),
        state: ResourceState::Active,
    }
}

/// What a sync of the whole directory writes down.
pub async fn sync(db: &Db, tenant: TenantId, seen: Vec<SeenResource>) -> u64 {
    let mark = tenants::begin_sync(db).await.unwrap();
    tenants::store_seen(db, tenant, mark, seen).await.unwrap();
    tenants::finish_sync(db, tenant, mark).await.unwrap()
}

/// Two syncs are never in the same millisecond, except in a test.
pub fn a_day_passes(server: &MariaDb) {
    server.execute("UPDATE resources SET seen_at = seen_at - INTERVAL 1 DAY").unwrap();
}

fn sealer() -> Sealer {
    Sealer::new(random_key().unwrap())
}

#[tokio::test]
async fn a_credential_comes_back_only_with_the_instance_key() {
    let server = MariaDb::start().await.unwrap();
    let (db, sealer) = (server.connect().unwrap(), sealer());
    let tenant = add_tenant(&db, &sealer, "contoso").await;

    let opened = tenants::credentials(&db, &sealer, tenant).await.unwrap();
    let elsewhere = tenants::credentials(&db, &self::sealer(), tenant).await;

    assert_eq!((opened.kind, opened.credential.expose().as_slice()), (CredentialKind::Secret, &b"hunter2"[..]));
    assert!(elsewhere.unwrap_err().to_string().contains("another installation"));
    let new = Secret::new(b"correct horse".to_vec());
    tenants::replace_credential(&db, &sealer, tenant, "client".to_owned(), CredentialKind::Secret, new).await.unwrap();
    let opened = tenants::credentials(&db, &sealer, tenant).await.unwrap();
    assert_eq!(opened.credential.expose().as_slice(), b"correct horse");
}

#[tokio::test]
async fn names_are_unique_and_what_is_missing_is_said_to_be_missing() {
    let server = MariaDb::start().await.unwrap();
    let (db, sealer) = (server.connect().unwrap(), sealer());
    let tenant = add_tenant(&db, &sealer, "contoso").await;

    let again = tenants::add_organization(&db, "Contoso").await;
    let nobody = tenants::get_tenant(&db, TenantId::new(99)).await;
    tenants::set_state(&db, tenant, TenantState::Failing("the secret has expired".to_owned())).await.unwrap();

    assert!(matches!(again, Err(DbError::Duplicate(_))), "letter case makes no new name");
    assert!(matches!(nobody, Err(DbError::NotFound)));
    let view = tenants::get_tenant(&db, tenant).await.unwrap();
    assert_eq!(view.state, TenantState::Failing("the secret has expired".to_owned()));
    assert!(view.checked_at.is_some());
}

#[tokio::test]
async fn a_sync_adds_changes_and_marks_as_deleted_what_it_did_not_see() {
    let server = MariaDb::start().await.unwrap();
    let (db, sealer) = (server.connect().unwrap(), sealer());
    let tenant = add_tenant(&db, &sealer, "contoso").await;
    sync(&db, tenant, (0..1500).map(user).collect()).await;
    let before = tenants::find_resources(&db, tenant, "USER7@contoso.example").await.unwrap().remove(0);

    a_day_passes(&server);
    let married = SeenResource { name: "New Name".to_owned(), ..user(7) };
    let mut seen: Vec<SeenResource> = (0..1400).map(user).collect();
    seen[7] = married;
    seen.push(user(2000));
    let n_deleted = sync(&db, tenant, seen).await;

    assert_eq!(n_deleted, 100);
    let after = tenants::find_resources(&db, tenant, "New Name").await.unwrap().remove(0);
    assert_eq!(after.id, before.id);
    let added = tenants::find_resources(&db, tenant, &user(2000).graph_id).await.unwrap().remove(0);
    assert_eq!(added.id.get(), 1501, "a sync uses up no row ids");
    let gone = tenants::find_resources(&db, tenant, "user1450@contoso.example").await.unwrap().remove(0);
    assert_eq!(gone.state, ResourceState::Deleted);
}

#[tokio::test]
async fn an_interrupted_sync_deletes_nothing() {
    let server = MariaDb::start().await.unwrap();
    let (db, sealer) = (server.connect().unwrap(), sealer());
    let tenant = add_tenant(&db, &sealer, "contoso").await;
    sync(&db, tenant, (0..10).map(user).collect()).await;

    let mark = tenants::begin_sync(&db).await.unwrap();
    tenants::store_seen(&db, tenant, mark, vec![user(0)]).await.unwrap();

    let deleted = ResourceFilter { state: Some(ResourceState::Deleted), ..ResourceFilter::default() };
    assert!(tenants::list_resources(&db, tenant, deleted, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn resources_are_paged_by_name_and_found_by_parts_of_it() {
    let server = MariaDb::start().await.unwrap();
    let (db, sealer) = (server.connect().unwrap(), sealer());
    let tenant = add_tenant(&db, &sealer, "contoso").await;
    let mut seen: Vec<SeenResource> = (0..25).rev().map(user).collect();
    seen.push(SeenResource { name: "100% real_name".to_owned(), ..user(100) });
    sync(&db, tenant, seen).await;

    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = tenants::list_resources(&db, tenant, ResourceFilter::default(), after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        names.extend(page.into_iter().map(|resource| resource.name));
    }

    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!((names.len(), &names), (26, &sorted));
    for (text, n) in [("ubung 001", 10), ("0% R", 1), ("l_n", 1), ("%", 1), ("user3@", 1), ("nobody", 0)] {
        let filter = ResourceFilter { text: Some(text.to_owned()), ..ResourceFilter::default() };
        assert_eq!(tenants::list_resources(&db, tenant, filter, None, 100).await.unwrap().len(), n, "{text}");
    }
}

#[tokio::test]
async fn a_token_speaks_for_its_admin_until_it_expires_or_is_deleted() {
    let server = MariaDb::start().await.unwrap();
    let db = server.connect().unwrap();
    let (admin, first) = access::ensure_first_admin(&db, "root").await.unwrap().unwrap();

    assert!(access::ensure_first_admin(&db, "other").await.unwrap().is_none(), "there is a first one");
    let caller = access::authenticate(&db, first.expose()).await.unwrap().unwrap();
    assert_eq!((caller.admin, caller.name.as_str(), caller.role), (admin, "root", Role::Administrator));
    assert!(caller.may(Permission::ManageAdmins));

    let viewer = access::add_admin(&db, "kiosk", Role::Viewer).await.unwrap();
    let expired = access::create_token(&db, viewer, "old", Some(kodo::clock::now() - Duration::days(1))).await.unwrap();
    let valid = access::create_token(&db, viewer, "new", Some(kodo::clock::now() + Duration::days(1))).await.unwrap();
    assert!(access::authenticate(&db, expired.expose()).await.unwrap().is_none());
    assert!(access::authenticate(&db, valid.expose()).await.unwrap().is_some());
    assert!(access::authenticate(&db, "kodo_guess").await.unwrap().is_none());
    assert!(access::authenticate(&db, "").await.unwrap().is_none());

    let tokens = access::list_tokens(&db, viewer).await.unwrap();
    assert_eq!((tokens[0].last_used_at, tokens[1].last_used_at.is_some()), (None, true));
    access::delete_token(&db, tokens[1].id).await.unwrap();
    assert!(access::authenticate(&db, valid.expose()).await.unwrap().is_none());
}
