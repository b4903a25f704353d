//! Damage is found wherever it is, costs only what it hit, and is never taken for a reading that failed.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::backends::faulty::{Fault, Faulty};
use crate::backends::{BackendError, Filesystem, Profile};
use crate::db::TxError;
use crate::ids::{PackUid, TaskId};
use crate::repository::verify::{Damaged, KnownPack, Place, Quarantine, Verdict};
use crate::repository::{CommitRefused, Depth, Record, RecoveryKey, StoreError, Unlock, record, verify};

const TASK: TaskId = TaskId::new(1);

/// A store on disk with three messages in one pack, each with an attachment of its own.
struct Three {
    bench: Bench,
    dir: TempDir,
    stored: Vec<Stored>,
    ids: super::super::PackIds,
    pack: KnownPack,
}

fn content(n: u64) -> Bytes {
    mail(&format!("message {n}"), &noise(n, 90_000))
}

async fn three(crypto: Crypto) -> Three {
    let dir = tempfile::tempdir().unwrap();
    let backend = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
    let bench = Bench::on(backend, Layout::Packed, crypto).await;
    let mut packer = bench.packer();
    let batch = (0..3).map(|n| item(&format!("message {n}"), Some(IngestContent::Mime(content(n))))).collect();
    let stored = packer.store(batch).await.unwrap();
    packer.add_record(&chain(), POINT, Record::PointBegin(record::PointBegin { started_ms: 7 }));
    let ids = bench.commit(&mut packer).await;
    let uid = stored[0].properties.pack;
    let bytes = std::fs::metadata(path_of(dir.path(), uid)).unwrap().len();
    let pack = KnownPack { id: id(&ids, uid), uid, bytes };
    Three { bench, dir, stored, ids, pack }
}

fn path_of(root: &Path, pack: PackUid) -> PathBuf {
    root.join(crate::repository::store::pack_key(pack))
}

impl Three {
    fn path(&self) -> PathBuf {
        path_of(self.dir.path(), self.pack.uid)
    }

    fn flip(&self, at: usize) {
        let mut bytes = std::fs::read(self.path()).unwrap();
        bytes[at] ^= 0x20;
        std::fs::write(self.path(), bytes).unwrap();
    }

    async fn judged(&self, depth: Depth) -> Verdict {
        self.bench.store.judge_pack(self.pack.uid, depth).await.unwrap()
    }

    async fn set_aside(&self, what: &str) -> Quarantine {
        let (store, db, writer) = (&self.bench.store, &self.bench.db, self.bench.writer);
        let salvage = store.salvage(db, writer, self.pack.uid).await.unwrap();
        let found = Quarantine { pack: self.pack, what: what.to_owned(), salvage };
        assert_eq!(self.quarantine(&found).await, Damaged::SetAside);
        store.set_pack_aside(self.pack.uid).await.unwrap();
        found
    }

    async fn quarantine(&self, found: &Quarantine) -> Damaged {
        let (storage, writer, found) = (self.bench.store.storage(), self.bench.writer, found.clone());
        let done: Result<Damaged, TxError<CommitRefused>> = self
            .bench
            .db
            .transaction("quarantine", move |conn| verify::quarantine(conn, storage, writer, TASK, &found))
            .await;
        done.unwrap()
    }

    async fn read(&self, n: usize) -> Result<Bytes, StoreError> {
        let place = self.stored[n].content.as_ref().unwrap().location;
        let reader = self.bench.store.reader(self.bench.db.clone());
        reader.content(id(&self.ids, place.pack), place.blob, u64::MAX).await
    }

    /// Stores a message again, as the next backup does.
    async fn store_again(&self, n: u64) {
        let mut packer = self.bench.packer();
        let again = vec![item(&format!("message {n}"), Some(IngestContent::Mime(content(n))))];
        let stored = packer.store(again).await.unwrap();
        let ids = self.bench.commit(&mut packer).await;
        assert_eq!(self.bench.content_of(&stored[0], &ids).await, content(n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_costs_its_frame_only_and_comes_back_when_it_is_stored_again() {
    for crypto in [Crypto::None, Crypto::Aes256Gcm] {
        let three = three(crypto).await;
        three.flip(1000);

        let Verdict::Damaged(what) = three.judged(Depth::Stored).await else { panic!("not found") };
        let found = three.set_aside(&what).await;

        assert!(what.starts_with("frame 0: its checksum"), "{what}");
        assert!(!three.path().exists() && three.path().with_extension("kpk.bad").exists());
        assert_eq!(three.read(1).await.unwrap(), content(1));
        assert_eq!(three.read(2).await.unwrap(), content(2));
        let lost = three.read(0).await;
        assert!(matches!(lost, Err(StoreError::BlobLost { pack, .. }) if pack == three.pack.uid), "{lost:?}");
        assert_eq!(three.quarantine(&found).await, Damaged::NotLive);
        three.store_again(0).await;
        // The recipe of the first time was saved, and what it names is there again.
        assert_eq!(three.read(0).await.unwrap(), content(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_keeps_the_records_and_says_where_it_came_from() {
    let three = three(Crypto::Aes256Gcm).await;
    three.flip(1000);

    three.set_aside("frame 0").await;

    let mut packs = Vec::new();
    for folder in 0..=255 {
        packs.extend(three.bench.store.list_packs(folder).await.unwrap());
    }
    assert_eq!(packs.len(), 1);
    three.bench.store.check_pack(packs[0].uid, Depth::Content).await.unwrap();
    let records = three.bench.store.read_pack(packs[0].uid).await.unwrap().records.entries;
    let moved = record::Compacted { old: three.pack.uid, new: packs[0].uid };
    assert_eq!(records[0].record, Record::PointBegin(record::PointBegin { started_ms: 7 }));
    assert_eq!(records[1].record, Record::Compacted(moved));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_gone_or_cut_short_loses_all_and_says_so() {
    for cut in [None, Some(5000)] {
        let three = three(Crypto::Aes256Gcm).await;
        match cut {
            None => std::fs::remove_file(three.path()).unwrap(),
            Some(len) => std::fs::File::options().write(true).open(three.path()).unwrap().set_len(len).unwrap(),
        }
        let folder = three.pack.uid.as_bytes()[0];
        let compared = three.bench.store.compare_folder(&three.bench.db, folder).await.unwrap();
        assert_eq!((compared.n_packs, compared.n_unknown, compared.suspects), (1, 0, vec![three.pack]));

        let Verdict::Damaged(what) = three.judged(Depth::Shape).await else { panic!("not found") };
        three.set_aside(&what).await;

        let lost = three.read(0).await;
        assert!(matches!(lost, Err(StoreError::PackBad(pack)) if pack == three.pack.uid), "{lost:?}");
        assert!(what.contains(if cut.is_some() { "KEND" } else { "missing" }), "{what}");
        three.store_again(0).await;
        let compared = three.bench.store.compare_folder(&three.bench.db, folder).await.unwrap();
        assert!(compared.suspects.is_empty() && compared.to_set_aside.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_or_trailer_loses_no_blob_that_can_still_be_proved() {
    let three = three(Crypto::Aes256Gcm).await;
    let len = std::fs::metadata(three.path()).unwrap().len() as usize;
    // In the hash over index and records, which their encryption proves as well.
    three.flip(len - 96 + 40);
    let Verdict::Damaged(what) = three.judged(Depth::Stored).await else { panic!("not found") };
    assert!(what.starts_with("trailer"), "{what}");

    three.set_aside(&what).await;

    assert_eq!(three.read(2).await.unwrap(), content(2));
    let other = self::three(Crypto::Aes256Gcm).await;
    other.flip(20);
    let Verdict::Damaged(what) = other.judged(Depth::Stored).await else { panic!("not found") };
    assert!(what.starts_with("header"), "{what}");
    other.set_aside(&what).await;
    for n in 0..3 {
        assert_eq!(other.read(n).await.unwrap(), content(n as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_fail_are_not_damage() {
    let backend = Arc::new(Faulty::new(Memory::new()));
    let bench = Bench::on(Arc::clone(&backend) as Arc<dyn Backend>, Layout::Packed, Crypto::None).await;
    let mut packer = bench.packer();
    let stored = packer.store(vec![item("a", Some(IngestContent::Mime(content(1))))]).await.unwrap();
    bench.commit(&mut packer).await;
    let uid = stored[0].properties.pack;

    backend.fail_reads(&[Fault::Io]);
    assert_eq!(bench.store.judge_pack(uid, Depth::Content).await.unwrap(), Verdict::Sound);
    backend.fail_reads(&[Fault::Io, Fault::Io, Fault::Io]);
    let judged = bench.store.judge_pack(uid, Depth::Content).await.unwrap();
    assert!(matches!(&judged, Verdict::Unreadable(why) if why.contains("input/output error")), "{judged:?}");
    backend.fail_reads(&[Fault::Io]);
    let salvaged = bench.store.salvage(&bench.db, bench.writer, uid).await;
    assert!(matches!(salvaged, Err(StoreError::Backend(BackendError::Unavailable { .. }))), "{salvaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_take_turns_and_the_storage_is_verified_when_all_had_theirs() {
    let bench = Bench::new().await;
    let mut packs = Vec::new();
    for n in 0..3 {
        let mut packer = bench.packer();
        let stored = packer.store(vec![item("a", Some(IngestContent::Mime(content(n))))]).await.unwrap();
        packs.push(id(&bench.commit(&mut packer).await, stored[0].properties.pack));
    }
    let storage = bench.store.storage();
    let begin = |task| {
        let db = bench.db.clone();
        async move {
            let task = TaskId::new(task);
            db.run("begin", move |conn| verify::begin_verification(conn, storage, task, 3)).await.unwrap().started_at
        }
    };
    let due = |since, except: Vec<PackId>| {
        let db = bench.db.clone();
        async move {
            let due = db.run("due", move |conn| verify::packs_to_verify(conn, storage, since, &except, 10)).await;
            due.unwrap().into_iter().map(|pack| pack.id).collect::<Vec<_>>()
        }
    };
    let verified = |pack| bench.db.run("set", move |conn| verify::set_verified(conn, storage, &[pack], 3));

    let first = begin(1).await;
    assert_eq!(due(first, Vec::new()).await, packs);
    assert_eq!(due(first, vec![packs[0]]).await, packs[1..]);
    verified(packs[1]).await.unwrap();
    assert_eq!(due(first, Vec::new()).await, [packs[0], packs[2]]);
    assert_eq!(verify::verified_at(&bench.db, storage).await.unwrap(), None);
    verified(packs[0]).await.unwrap();
    verified(packs[2]).await.unwrap();
    assert_eq!(due(first, Vec::new()).await, []);
    assert!(verify::verified_at(&bench.db, storage).await.unwrap().is_some_and(|at| at >= first));
    // An attempt that goes on with the first finds it as it was; a later verification starts anew with the oldest.
    assert_eq!(begin(1).await, first);
    let later = begin(2).await;
    assert_eq!(due(later + chrono::TimeDelta::seconds(1), Vec::new()).await, [packs[1], packs[0], packs[2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_is_proved_without_its_key_and_wholly_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
    let created = Store::create(Arc::clone(&backend), Layout::Packed, Crypto::Aes256Gcm).await.unwrap();
    let secrets = created.secrets.unwrap();
    let store = Store::open(StorageId::new(0), backend, Some(secrets.master)).await.unwrap();
    let mut pack = store.new_pack(WriterId::random());
    for n in 0..4 {
        let plain = noise(n, 70_000);
        pack.append(store.chunking().hash(&plain), crate::repository::format::BlobKind::Shared, &plain);
    }
    let pack = pack.finish(&[], 0);
    store.backend().put(&crate::repository::store::pack_key(pack.uid), &pack.parts).unwrap();
    let path = path_of(dir.path(), pack.uid);
    let whole = std::fs::read(&path).unwrap();

    let blind = Place::open(dir.path(), None).await.unwrap();
    let unlock = Unlock::recovery_key(secrets.recovery.expose()).unwrap();
    let seeing = Place::open(dir.path(), Some(unlock)).await.unwrap();

    assert_eq!((blind.depth_max(), seeing.depth_max()), (Depth::Stored, Depth::Content));
    assert_eq!(blind.list_packs(pack.uid.as_bytes()[0]).await.unwrap()[0].uid, pack.uid);
    assert_eq!(blind.check_pack(pack.uid, Depth::Stored).await.unwrap(), whole.len() as u64);
    assert_eq!(seeing.check_pack(pack.uid, Depth::Content).await.unwrap(), whole.len() as u64);
    assert!(matches!(blind.check_pack(pack.uid, Depth::Content).await, Err(StoreError::Setup(_))));
    for at in (0..whole.len()).step_by(whole.len() / 60).chain(whole.len() - 100..whole.len()) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        for (place, depth) in [(&blind, Depth::Stored), (&seeing, Depth::Content)] {
            let checked = place.check_pack(pack.uid, depth).await;
            assert!(matches!(checked, Err(StoreError::Damaged(_))), "byte {at}: {checked:?}");
        }
    }
    let other = RecoveryKey::random().unwrap();
    let wrong = Place::open(dir.path(), Some(other.into())).await;
    assert!(matches!(wrong, Err(StoreError::Setup(_))));
}
