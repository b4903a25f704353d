//! Configured storages: created, found again, refused with a reason.

use super::*;
use crate::repository::storages::{StorageConfig, StorageSettings};
use crate::repository::{
    BackendKind, RecoveryKey, StoreError, Unlock, add_storage, attach_storage, list_storages, open_storage,
};
use crate::secret::{Sealer, random_key};

fn config(name: &str, path: &std::path::Path) -> StorageConfig {
    StorageConfig {
        name: name.into(),
        backend: BackendKind::Filesystem,
        settings: StorageSettings { path: path.to_owned() },
        layout: None,
        encrypted: None,
    }
}

fn text<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_is_created_encrypted_and_opens_again() {
    let server = TestDb::start();
    let (db, sealer) = (&server.db, Sealer::new(random_key().unwrap()));
    let dir = tempfile::tempdir().unwrap();

    let added = add_storage(db, &sealer, "a", config("main", dir.path())).await.unwrap();
    let store = open_storage(db, &sealer, added.id, "a").await.unwrap();

    let listed = list_storages(db).await.unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].encrypted), (1, "main", true));
    assert_eq!(listed[0].store, store.description().store);
    assert!(store.free_space().await.unwrap().unwrap().free_bytes > 0);
    assert_eq!(store.remove_leftovers().await.unwrap(), 0);
    let other = Sealer::new(random_key().unwrap());
    assert!(text(open_storage(db, &other, added.id, "a").await).contains("instance key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_storage_is_refused_with_a_reason() {
    let server = TestDb::start();
    let (db, sealer) = (&server.db, Sealer::new(random_key().unwrap()));
    let (dir, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    add_storage(db, &sealer, "a", config("main", dir.path())).await.unwrap();

    let again = text(add_storage(db, &sealer, "a", config("other", dir.path())).await);
    assert!(again.contains("there is a store already"), "{again}");
    let named = text(add_storage(db, &sealer, "a", config("main", second.path())).await);
    assert!(named.contains("named main already"), "{named}");
    assert_eq!(std::fs::read_dir(second.path()).unwrap().count(), 0);
    let missing = text(add_storage(db, &sealer, "a", config("gone", &dir.path().join("no"))).await);
    assert!(missing.contains("create it and give it to user"), "{missing}");
    let relative = text(add_storage(db, &sealer, "a", config("rel", std::path::Path::new("here"))).await);
    assert!(relative.contains("not absolute"), "{relative}");
    let aligned =
        StorageConfig { layout: Some(Layout::Aligned), encrypted: Some(true), ..config("vdo", second.path()) };
    let both = text(add_storage(db, &sealer, "a", aligned).await);
    assert!(both.contains("cannot be encrypted"), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_want_one_name_the_loser_leaves_an_empty_place() {
    let server = TestDb::start();
    let (db, sealer) = (&server.db, Sealer::new(random_key().unwrap()));
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let (first, second) = tokio::join!(
        add_storage(db, &sealer, "a", config("main", one.path())),
        add_storage(db, &sealer, "b", config("main", two.path()))
    );

    assert_ne!(first.is_ok(), second.is_ok());
    let lost = if first.is_ok() { two } else { one };
    assert!(!lost.path().join("STORE.json").exists());
    add_storage(db, &sealer, "a", config("other", lost.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_recovery_key_a_store_survives_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let (before, sealer) = (TestDb::start(), Sealer::new(random_key().unwrap()));
    let added = add_storage(&before.db, &sealer, "a", config("main", dir.path())).await.unwrap();
    let recovery = added.recovery_key.unwrap();
    let (after, sealer) = (TestDb::start(), Sealer::new(random_key().unwrap()));

    let without = text(attach_storage(&after.db, &sealer, "a", config("main", dir.path()), None).await);
    assert!(without.contains("give its recovery key"), "{without}");
    let wrong = Unlock::from(RecoveryKey::random().unwrap());
    let wrong = text(attach_storage(&after.db, &sealer, "a", config("main", dir.path()), Some(wrong)).await);
    assert!(wrong.contains("does not open"), "{wrong}");
    let right = Unlock::recovery_key(recovery.expose()).unwrap();
    let attached = attach_storage(&after.db, &sealer, "a", config("main", dir.path()), Some(right)).await;
    open_storage(&after.db, &sealer, attached.unwrap(), "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmounted_share_is_told_from_an_empty_storage() {
    let server = TestDb::start();
    let (db, sealer) = (&server.db, Sealer::new(random_key().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let added = add_storage(db, &sealer, "a", config("main", dir.path())).await.unwrap();
    std::fs::remove_file(dir.path().join("STORE.json")).unwrap();

    let opened = text(open_storage(db, &sealer, added.id, "a").await);

    assert!(opened.contains("is the share mounted?"), "{opened}");
}
