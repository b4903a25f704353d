//! Puts and reads, with every call of the operating system failing in turn.

use std::path::PathBuf;

use bytes::Bytes;
use rustix::io::Errno;
use tempfile::TempDir;

use super::scripted::{Call, Effect, Scripted};
use super::{Filesystem, Profile, TMP};
use crate::backends::{Backend, BackendError};

const KEY: &str = "packs/ab/abcd.kpk";
const ERRNOS: [Errno; 7] =
    [Errno::IO, Errno::NOSPC, Errno::INTR, Errno::STALE, Errno::DQUOT, Errno::ROFS, Errno::ACCESS];

/// A directory on a scripted system.
struct Place {
    dir: TempDir,
    system: Scripted,
    backend: Filesystem,
}

fn place(profile: Profile) -> Place {
    let (dir, system) = (tempfile::tempdir().unwrap(), Scripted::new(|_, _, _| None));
    let backend = Filesystem::open_on(Box::new(system.clone()), dir.path(), profile, "agent").unwrap();
    Place { dir, system, backend }
}

impl Place {
    /// Everything outside `tmp`.
    fn objects(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.dir.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true if path != self.dir.path().join(TMP) => folders.push(path),
                    true => {}
                    false => found.push(path.strip_prefix(self.dir.path()).unwrap().to_owned()),
                }
            }
        }
        found
    }
}

fn parts() -> [Bytes; 3] {
    [Bytes::from(vec![1; 70]), Bytes::new(), Bytes::from(vec![2; 60])]
}

/// What a file system of the kind cannot do, whatever else goes wrong.
fn lacks(profile: Profile, call: Call) -> Option<Effect> {
    match (profile, call) {
        (Profile::Nfs | Profile::Cifs, Call::RenameNew) => Some(Effect::Refused(Errno::INVAL)),
        (Profile::Cifs, Call::Link) => Some(Effect::Refused(Errno::PERM)),
        (Profile::Cifs, Call::Forget) => Some(Effect::Refused(Errno::NOSYS)),
        _ => None,
    }
}

/// Puts with the call number `nth` going wrong and looks at what is left. `false`: the put has fewer calls.
fn put_with_a_fault(profile: Profile, nth: usize, effect: Effect) -> bool {
    let place = place(profile);
    place.system.follow(move |n, call, _| if n == nth { Some(effect) } else { lacks(profile, call) });

    let put = place.backend.put(KEY, &parts());

    let calls = place.system.calls();
    let Some((failed, file)) = calls.get(nth).cloned() else { return false };
    let context = format!("{profile:?}: {effect:?} at {failed:?}, call {nth}: {put:?}");
    if failed == Call::Sync && effect != Effect::Short && file.starts_with(place.dir.path().join(TMP)) {
        // What the kernel dropped it will not report again: only another file, written from the start, may follow.
        let after = &calls[nth + 1..];
        assert!(!after.iter().any(|(call, path)| *path == file && *call != Call::Remove), "{context}");
        assert!(put.is_err() || after.iter().any(|(call, _)| *call == Call::Create), "{context}");
    }
    place.system.follow(move |_, call, _| lacks(profile, call));
    let objects = place.objects();
    match &put {
        Ok(()) => assert_eq!(objects, [PathBuf::from(KEY)], "{context}"),
        Err(BackendError::Unavailable { .. }) => assert!(objects.len() <= 1, "{context}"),
        Err(err) => {
            assert!(objects.is_empty(), "{context}: {objects:?}");
            let remedy = ["free or add space", "mount it writable", "give it to that user", "create it and give it"];
            assert!(remedy.iter().any(|text| err.to_string().contains(text)), "{context}");
        }
    }
    if !objects.is_empty() {
        assert_eq!(place.backend.get_range(KEY, 0, 130).unwrap(), parts().concat(), "{context}");
        assert_eq!(place.backend.get_tail(KEY, 1).unwrap().object_bytes, 130, "{context}");
    }
    let again = place.backend.put(KEY, &parts());
    match objects.is_empty() {
        true => again.unwrap(),
        false => assert_eq!(again, Err(BackendError::AlreadyExists(KEY.to_owned())), "{context}"),
    }
    place.backend.put("packs/ac/acdc.kpk", &parts()).unwrap();
    place.backend.sweep().unwrap();
    assert_eq!(std::fs::read_dir(place.dir.path().join(TMP)).unwrap().count(), 0, "{context}");
    true
}

fn every_fault_in_turn(profile: Profile) {
    for errno in ERRNOS {
        for effect in [Effect::Refused(errno), Effect::Unanswered(errno)] {
            let n_calls = (0..).find(|nth| !put_with_a_fault(profile, *nth, effect)).unwrap();
            assert!(n_calls > 12, "a put of only {n_calls} calls was not understood");
        }
    }
    (0..).find(|nth| !put_with_a_fault(profile, *nth, Effect::Short)).unwrap();
}

#[test]
fn a_put_on_a_local_disk_happens_entirely_or_not_at_all() {
    every_fault_in_turn(Profile::Local);
}

#[test]
fn a_put_on_a_vdo_volume_happens_entirely_or_not_at_all() {
    every_fault_in_turn(Profile::Vdo);
}

#[test]
fn a_put_on_an_nfs_share_happens_entirely_or_not_at_all() {
    every_fault_in_turn(Profile::Nfs);
}

#[test]
fn a_put_on_a_cifs_share_happens_entirely_or_not_at_all() {
    every_fault_in_turn(Profile::Cifs);
}

#[test]
fn a_call_that_fails_every_time_fails_the_put_with_words_on_what_to_do() {
    let words = [
        (Errno::IO, "see the system log"),
        (Errno::NOSPC, "free or add space"),
        (Errno::DQUOT, "free or add space"),
        (Errno::ROFS, "mount it writable"),
        (Errno::ACCESS, "give it to that user"),
    ];
    for fails in [Call::MakeFolder, Call::Create, Call::Write, Call::Sync] {
        for (errno, remedy) in words {
            let place = place(Profile::Local);
            place.system.follow(move |_, call, _| (call == fails).then_some(Effect::Refused(errno)));

            let err = place.backend.put(KEY, &parts()).unwrap_err();

            assert!(err.to_string().contains(remedy), "{fails:?} with {errno:?}: {err}");
            assert!(place.objects().is_empty());
        }
    }
}

#[test]
fn a_folder_that_cannot_be_made_durable_leaves_the_caller_in_doubt_and_nothing_else() {
    for errno in ERRNOS {
        let place = place(Profile::Local);
        let folder = place.dir.path().join("packs/ab");
        place
            .system
            .follow(move |_, call, path| (call == Call::Sync && path == folder).then_some(Effect::Refused(errno)));

        let put = place.backend.put(KEY, &parts());

        assert!(matches!(put, Err(BackendError::Unavailable { .. })), "{put:?}");
        assert_eq!(place.objects(), [PathBuf::from(KEY)]);
    }
}

#[test]
fn file_name_and_folder_become_durable_in_that_order() {
    for profile in [Profile::Local, Profile::Vdo, Profile::Nfs, Profile::Cifs] {
        let place = place(profile);
        place.system.follow(move |_, call, _| lacks(profile, call));
        place.backend.put(KEY, &parts()).unwrap();

        let calls = place.system.calls();

        let (root, path) = (place.dir.path().to_owned(), place.dir.path().join(KEY));
        let temporary = &calls.iter().find(|(call, _)| *call == Call::Create).unwrap().1;
        let taken_by = match profile {
            Profile::Local | Profile::Vdo => Call::RenameNew,
            Profile::Nfs => Call::Link,
            Profile::Cifs => Call::Rename,
        };
        let steps = [
            (Call::MakeFolder, root.join("packs")),
            (Call::Sync, root.clone()),
            (Call::MakeFolder, root.join("packs/ab")),
            (Call::Sync, root.join("packs")),
            (Call::Create, temporary.clone()),
            (Call::Write, temporary.clone()),
            (Call::Write, temporary.clone()),
            (Call::Sync, temporary.clone()),
            (taken_by, path),
            (Call::Sync, root.join("packs/ab")),
        ];
        let mut rest = calls.iter();
        for step in &steps {
            assert!(rest.any(|call| call == step), "{profile:?}: {step:?} is missing or too early in {calls:?}");
        }
    }
}

#[test]
fn a_folder_of_unknown_origin_is_made_durable_before_it_is_built_on() {
    let place = place(Profile::Local);
    let root = place.dir.path().to_owned();
    let above = root.clone();
    place
        .system
        .follow(move |_, call, path| (call == Call::Sync && path == above).then_some(Effect::Refused(Errno::IO)));
    place.backend.put(KEY, &parts()).unwrap_err();
    assert!(root.join("packs").is_dir());
    place.system.follow(|_, _, _| None);

    place.backend.put(KEY, &parts()).unwrap();

    let calls = place.system.calls();
    let at = |wanted: (Call, PathBuf)| calls.iter().position(|call| *call == wanted).unwrap();
    assert!(at((Call::Sync, root.clone())) < at((Call::RenameNew, root.join(KEY))));
}

#[test]
fn a_server_that_shows_other_bytes_than_were_written_is_found_out_at_once() {
    type Lie = (Call, Effect);
    let lies: [Lie; 4] = [
        (Call::Read, Effect::Zeros),
        (Call::Bytes, Effect::Longer(5)),
        (Call::Bytes, Effect::Longer(-5)),
        (Call::Bytes, Effect::Longer(-1_000_000)),
    ];
    for profile in [Profile::Nfs, Profile::Cifs] {
        for (lied_about, lie) in lies {
            let place = place(profile);
            place.system.follow(move |_, call, _| if call == lied_about { Some(lie) } else { lacks(profile, call) });

            let put = place.backend.put(KEY, &parts());

            let Err(BackendError::Unavailable { reason, .. }) = put else { panic!("{profile:?} {lie:?}: {put:?}") };
            assert!(reason.contains("other bytes of packs/ab/abcd.kpk than were written"), "{reason}");
            assert!(place.objects().is_empty());
        }
    }
}

#[test]
fn a_read_back_asks_the_server_and_not_the_page_cache() {
    let place = place(Profile::Nfs);
    place.backend.put(KEY, &parts()).unwrap();

    let calls = place.system.calls();

    let of_object: Vec<Call> = calls.iter().filter(|(_, path)| path.ends_with(KEY)).map(|(call, _)| *call).collect();
    assert!(of_object.ends_with(&[Call::Open, Call::Forget, Call::Bytes, Call::Read]), "{of_object:?}");
}

#[test]
fn a_read_with_any_fault_gives_the_right_bytes_or_an_error() {
    for profile in [Profile::Local, Profile::Nfs, Profile::Cifs, Profile::Vdo] {
        for effect in ERRNOS.map(Effect::Refused).into_iter().chain([Effect::Short, Effect::Longer(9)]) {
            for nth in 0..3 {
                let place = place(profile);
                place.backend.put(KEY, &parts()).unwrap();
                place.system.follow(move |n, _, _| (n == nth).then_some(effect));
                let range = place.backend.get_range(KEY, 60, 20);
                place.system.follow(move |n, _, _| (n == nth).then_some(effect));
                let tail = place.backend.get_tail(KEY, 20);

                let context = format!("{profile:?}: {effect:?} at call {nth}");
                assert!(range.is_err() || range.unwrap() == parts().concat()[60..80], "{context}");
                assert!(tail.is_err() || tail.unwrap().bytes == [2; 20][..], "{context}");
                assert_eq!(place.backend.get_range(KEY, 0, 130).unwrap(), parts().concat(), "{context}");
            }
        }
    }
}
