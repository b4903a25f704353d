//! What every kind of backend must do, run on each of them.

use std::sync::Arc;

use bytes::Bytes;

use super::faulty::{Fault, Faulty};
use super::{Backend, BackendError, Filesystem, Memory, Profile};

/// Checks the whole contract of [`Backend`] on an empty one.
pub fn conforms(backend: &Arc<dyn Backend>) {
    whole_objects(backend.as_ref());
    ranges_and_tails(backend.as_ref());
    names(backend.as_ref());
    never_replaces(backend.as_ref());
    sets_aside(backend.as_ref());
    one_of_many_wins(backend);
}

fn whole_objects(backend: &dyn Backend) {
    let parts = [Bytes::from_static(b"one "), Bytes::new(), Bytes::from_static(b"object")];
    backend.put("packs/0a/0a01.kpk", &parts).unwrap();
    assert_eq!(backend.get_range("packs/0a/0a01.kpk", 0, 10).unwrap(), "one object");
    backend.put("EMPTY", &[]).unwrap();
    assert_eq!(backend.get_tail("EMPTY", 4).unwrap().object_bytes, 0);
}

fn ranges_and_tails(backend: &dyn Backend) {
    backend.put("range", &[Bytes::from_static(b"0123456789")]).unwrap();

    assert_eq!(backend.get_range("range", 3, 4).unwrap(), "3456");
    assert_eq!(backend.get_range("range", 10, 0).unwrap(), "");
    for (offset, len) in [(3, 8), (10, 1), (u64::MAX, 1), (u64::MAX - 1, 8)] {
        let read = backend.get_range("range", offset, len);
        assert!(matches!(read, Err(BackendError::Corrupt { .. } | BackendError::Unavailable { .. })), "{read:?}");
    }
    assert_eq!(backend.get_tail("range", 3).unwrap().bytes, "789");
    assert_eq!(backend.get_tail("range", 30).unwrap().bytes, "0123456789");
    assert_eq!(backend.get_tail("range", 3).unwrap().object_bytes, 10);
    assert_eq!(backend.get_range("absent", 0, 1), Err(BackendError::NotFound("absent".to_owned())));
    assert_eq!(backend.get_tail("absent", 1), Err(BackendError::NotFound("absent".to_owned())));
}

fn names(backend: &dyn Backend) {
    for key in ["list/b", "list/a", "list/deeper/c"] {
        backend.put(key, &[Bytes::from_static(b"xy")]).unwrap();
    }

    let listed = backend.list("list/").unwrap();

    let keys: Vec<_> = listed.iter().map(|entry| (entry.key.as_str(), entry.bytes)).collect();
    assert_eq!(keys, [("list/a", 2), ("list/b", 2)]);
    assert!(backend.list("nothing/").unwrap().is_empty());
    backend.delete("list/a").unwrap();
    assert_eq!(backend.delete("list/a"), Err(BackendError::NotFound("list/a".to_owned())));
    assert_eq!(backend.list("list/").unwrap().len(), 1);
    for bad in ["../x", "tmp/x", "/x", ""] {
        assert!(matches!(backend.put(bad, &[]), Err(BackendError::BadKey(_))));
        assert!(matches!(backend.get_range(bad, 0, 0), Err(BackendError::BadKey(_))));
        assert!(matches!(backend.delete(bad), Err(BackendError::BadKey(_))));
    }
    assert!(backend.list("").unwrap().iter().all(|entry| !entry.key.contains("tmp")));
}

fn never_replaces(backend: &dyn Backend) {
    backend.put("kept", &[Bytes::from_static(b"first")]).unwrap();

    let again = backend.put("kept", &[Bytes::from_static(b"second")]);

    assert_eq!(again, Err(BackendError::AlreadyExists("kept".to_owned())));
    assert_eq!(backend.get_tail("kept", 10).unwrap().bytes, "first");
}

fn sets_aside(backend: &dyn Backend) {
    backend.put("aside/a", &[Bytes::from_static(b"bad bytes")]).unwrap();

    backend.set_aside("aside/a").unwrap();

    let found = backend.get_tail("aside/a", 1);
    assert_eq!(found, Err(BackendError::NotFound("aside/a".to_owned())));
    assert_eq!(backend.get_tail("aside/a.bad", 20).unwrap().bytes, "bad bytes");
    assert_eq!(backend.set_aside("aside/a"), Err(BackendError::NotFound("aside/a".to_owned())));
    backend.put("aside/a", &[Bytes::from_static(b"other")]).unwrap();
    assert_eq!(backend.set_aside("aside/a"), Err(BackendError::AlreadyExists("aside/a.bad".to_owned())));
    assert_eq!(backend.get_tail("aside/a.bad", 20).unwrap().bytes, "bad bytes");
    assert_eq!(backend.get_tail("aside/a", 20).unwrap().bytes, "other");
}

fn one_of_many_wins(backend: &Arc<dyn Backend>) {
    let contenders: Vec<_> = (0..4u8)
        .map(|n| {
            let backend = Arc::clone(backend);
            std::thread::spawn(move || backend.put(&format!("race/{}", n / 4), &[vec![n; 4096].into()]).is_ok())
        })
        .collect();

    let n_won = contenders.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count();

    assert_eq!(n_won, 1);
    let object = backend.get_range("race/0", 0, 4096).unwrap();
    assert!(object.iter().all(|byte| *byte == object[0]));
}

#[test]
fn memory_conforms() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::new());
    conforms(&backend);
}

#[test]
fn directories_conform_in_every_profile() {
    for profile in [Profile::Local, Profile::Nfs, Profile::Cifs, Profile::Vdo] {
        let dir = tempfile::tempdir().unwrap();
        let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(dir.path(), profile, "agent").unwrap());
        conforms(&backend);
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "{profile:?} left files behind");
    }
}

#[test]
fn a_decorated_backend_conforms_and_fails_when_told_to() {
    let backend: Arc<dyn Backend> = Arc::new(Faulty::new(Memory::new()));
    conforms(&backend);

    let faulty = Faulty::new(Memory::new());
    faulty.fail_puts(&[Fault::Io, Fault::Full, Fault::StoredButUnanswered]);
    assert!(matches!(faulty.put("a", &[]), Err(BackendError::Unavailable { .. })));
    assert!(matches!(faulty.put("a", &[]), Err(BackendError::Full { .. })));
    assert!(matches!(faulty.put("a", &[]), Err(BackendError::Unavailable { .. })));
    assert!(faulty.get_tail("a", 1).is_ok());
}

#[test]
fn a_full_place_keeps_what_it_has_and_says_how_much_is_missing() {
    let backend = Memory::with_room(10);
    backend.put("a", &[Bytes::from_static(b"12345678")]).unwrap();

    let refused = backend.put("b", &[Bytes::from_static(b"123")]);

    assert_eq!(refused, Err(BackendError::Full { place: "memory".to_owned(), need: 3, free: Some(2) }));
    assert_eq!(backend.list("").unwrap().len(), 1);
}
