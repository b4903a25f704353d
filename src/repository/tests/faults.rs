//! Full places, lost answers, damaged bytes.

use super::*;
use crate::backends::faulty::{Fault, Faulty};
use crate::backends::{BackendError, Filesystem, Profile};
use crate::repository::{Depth, StoreError};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_place_fails_the_flush_and_a_new_packer_goes_on_when_there_is_room() {
    let backend = Arc::new(Faulty::new(Memory::new()));
    let bench = Bench::on(Arc::clone(&backend) as Arc<dyn Backend>, Layout::Packed, Crypto::None).await;
    let mut packer = bench.packer();
    let batch = || vec![item("a", Some(IngestContent::Mime(mail("a", &noise(1, 9000)))))];
    for fault in [Fault::Full, Fault::Io] {
        backend.fail_puts(&[fault]);
        packer.store(batch()).await.unwrap();
        assert!(matches!(packer.flush().await, Err(StoreError::Backend(_))));
        assert!(matches!(packer.store(batch()).await, Err(StoreError::Interrupted)));
        packer = bench.packer();
    }

    let stored = packer.store(batch()).await.unwrap();
    let ids = bench.commit(&mut packer).await;

    assert_eq!(bench.content_of(&stored[0], &ids).await, mail("a", &noise(1, 9000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_whose_put_was_not_answered_is_an_orphan_that_harms_nothing() {
    let backend = Arc::new(Faulty::new(Memory::new()));
    let bench = Bench::on(Arc::clone(&backend) as Arc<dyn Backend>, Layout::Packed, Crypto::None).await;
    backend.fail_puts(&[Fault::StoredButUnanswered]);
    let batch = || vec![item("a", Some(IngestContent::Mime(mail("a", &noise(1, 9000)))))];
    let mut packer = bench.packer();
    packer.store(batch()).await.unwrap();
    packer.flush().await.unwrap_err();

    let mut packer = bench.packer();
    let stored = packer.store(batch()).await.unwrap();
    let ids = bench.commit(&mut packer).await;

    assert_eq!(bench.content_of(&stored[0], &ids).await, mail("a", &noise(1, 9000)));
    let mut n_packs = 0;
    for folder in 0..=255 {
        n_packs += bench.store.list_packs(folder).await.unwrap().len();
    }
    assert_eq!(n_packs, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spooled_file_that_was_cut_short_costs_its_item_only() {
    let bench = Bench::new().await;
    let mut packer = bench.packer();
    for bytes in [10, 3_000_000] {
        let file = tempfile::tempfile().unwrap();
        let content = Some(IngestContent::Spooled { file, bytes });
        assert!(matches!(packer.store(vec![item("cut", content)]).await, Err(StoreError::Item(_))));
    }

    let stored = packer.store(vec![item("b", Some(IngestContent::Raw(Bytes::from_static(b"fine"))))]).await.unwrap();
    let ids = bench.commit(&mut packer).await;

    assert_eq!(bench.content_of(&stored[0], &ids).await, "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_disk_is_found_by_reading_and_by_checking() {
    let dir = tempfile::tempdir().unwrap();
    let backend = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
    let bench = Bench::on(backend, Layout::Packed, Crypto::Aes256Gcm).await;
    let mut packer = bench.packer();
    let stored = packer.store(vec![item("a", Some(IngestContent::Mime(mail("a", &noise(1, 90_000)))))]).await.unwrap();
    let ids = bench.commit(&mut packer).await;
    let uid = stored[0].properties.pack;
    let path = dir.path().join(crate::repository::store::pack_key(uid));
    let whole = std::fs::read(&path).unwrap();
    bench.store.check_pack(uid, Depth::Content).await.unwrap();

    for at in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).unwrap();
        for depth in [Depth::Stored, Depth::Content] {
            let checked = bench.store.check_pack(uid, depth).await;
            assert!(matches!(checked, Err(StoreError::Damaged(damage)) if damage.pack == uid), "byte {at}");
        }
    }
    let middle = whole.len() / 2;
    let mut damaged = whole.clone();
    damaged[middle] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let place = stored[0].content.as_ref().unwrap().location;
    let reader = bench.store.reader(bench.db.clone());
    let read = reader.content(id(&ids, place.pack), place.blob, u64::MAX).await;
    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    std::fs::remove_file(&path).unwrap();
    let fresh = bench.store.reader(bench.db.clone());
    let read = fresh.content(id(&ids, place.pack), place.blob, u64::MAX).await;
    assert!(matches!(read, Err(StoreError::Backend(BackendError::NotFound(_)))), "{read:?}");
}
