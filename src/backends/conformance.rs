//! What every kind of backend and every decorator must do, run on each of them. A type that implements [`Backend`] and
//! is missing in [`every_kind`] fails a test of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::faulty::{Fault, Faulty};
use super::lying::Lying;
use super::{Backend, BackendError, Filesystem, Memory, Profile};

/// An empty backend, and the directory that it works on, if it does.
struct Kind {
    name: &'static str,
    backend: Arc<dyn Backend>,
    dir: Option<TempDir>,
}

/// All of them. The name of a kind begins with the name of its type.
fn every_kind() -> Vec<Kind> {
    let filesystem = |name, profile| {
        let dir = tempfile::tempdir().unwrap();
        let backend = Arc::new(Filesystem::open(dir.path(), profile, "agent").unwrap());
        Kind { name, backend, dir: Some(dir) }
    };
    let of = |name, backend: Arc<dyn Backend>| Kind { name, backend, dir: None };
    vec![
        of("Memory", Arc::new(Memory::new())),
        of("Faulty over Memory", Arc::new(Faulty::new(Memory::new()))),
        of("Lying over Memory", Arc::new(Lying::new(Memory::new()))),
        filesystem("Filesystem, local", Profile::Local),
        filesystem("Filesystem, nfs", Profile::Nfs),
        filesystem("Filesystem, cifs", Profile::Cifs),
        filesystem("Filesystem, vdo", Profile::Vdo),
    ]
}

/// Checks the whole contract of [`Backend`] on an empty one.
fn conforms(backend: &Arc<dyn Backend>) {
    whole_objects(backend.as_ref());
    ranges_and_tails(backend.as_ref());
    names(backend.as_ref());
    never_replaces(backend.as_ref());
    sets_aside(backend.as_ref());
    one_of_many_wins(backend);
    seen_whole_or_not_at_all(backend);
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

/// Readers look for objects, by name and by list, while they come into being.
fn seen_whole_or_not_at_all(backend: &Arc<dyn Backend>) {
    const N_OBJECTS: u8 = 40;
    const LEN: usize = 300_000;
    let done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (backend, done) = (Arc::clone(backend), Arc::clone(&done));
        move || {
            let mut n_seen = 0;
            for n in 0..N_OBJECTS {
                loop {
                    let last_look = done.load(Ordering::Acquire);
                    let listed = backend.list("whole/").unwrap();
                    assert!(listed.iter().all(|entry| entry.bytes == LEN as u64), "{listed:?}");
                    match backend.get_range(&format!("whole/{n}"), 0, LEN) {
                        Ok(object) => {
                            assert!(object.iter().all(|byte| *byte == n));
                            n_seen += 1;
                            break;
                        }
                        Err(err) => assert_eq!(err, BackendError::NotFound(format!("whole/{n}"))),
                    }
                    if last_look {
                        break;
                    }
                }
            }
            n_seen
        }
    });
    for n in 0..N_OBJECTS {
        let halves = [Bytes::from(vec![n; LEN / 2]), Bytes::from(vec![n; LEN / 2])];
        backend.put(&format!("whole/{n}"), &halves).unwrap();
    }
    done.store(true, Ordering::Release);
    assert_eq!(reader.join().unwrap(), N_OBJECTS);
}

#[test]
fn every_kind_of_backend_keeps_the_contract() {
    for Kind { name, backend, dir } in every_kind() {
        println!("{name}");
        conforms(&backend);
        if let Some(dir) = dir {
            assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "{name} left files behind");
        }
    }
}

#[test]
fn every_backend_is_in_the_list() {
    let mut implementing = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let names = text.lines().filter(|line| line.starts_with("impl")).filter_map(|line| {
                    let (_, name) = line.split_once(" Backend for ")?;
                    name.split(['<', ' ', '{']).next().map(str::to_owned)
                });
                implementing.extend(names);
            }
        }
    }
    assert!(implementing.contains("Filesystem"), "the sources were not understood");
    let kinds = every_kind();
    let listed: BTreeSet<String> =
        kinds.iter().map(|kind| kind.name.split([' ', ',']).next().unwrap().to_owned()).collect();
    assert_eq!(implementing, listed, "a backend is not in every_kind, or no longer in the sources");
}

#[test]
fn a_faulty_backend_fails_when_told_to() {
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
