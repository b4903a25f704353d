//! Rebuilds that break down.

use std::sync::Arc;

use super::rebuilds::{Site, assert_whole, company};
use crate::backends::faulty::{Fault, Faulty};
use crate::backends::{Backend, Memory};
use crate::recovery::rebuild::run;
use crate::repository::Store;

const ITEMS_AT_ONCE: u64 = 1_000_000;
/// Far more reads than the packs of a company take.
const READS_MAX: usize = 200;

/// The same objects once more.
fn copy_of(site: &Site) -> Memory {
    let copy = Memory::new();
    for key in site.packs().into_iter().chain(["STORE.json".to_owned()]) {
        let object = site.backend.get_tail(&key, usize::MAX).unwrap().bytes;
        copy.put(&key, &[object]).unwrap();
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_breaks_down_at_any_read_never_says_that_it_is_done() {
    let known = company().await;
    let n_packs = known.packs().len();
    let faulty = Arc::new(Faulty::new(copy_of(&known)));
    let place: Arc<dyn Backend> = faulty.clone();
    let site = Site::at(known.backend).await;
    let store = Store::open(site.store.storage(), place, None).await.unwrap();
    let mut n_before = 0;
    loop {
        let faults: Vec<Fault> = std::iter::repeat_n(Fault::None, n_before).chain([Fault::Panic]).collect();
        faulty.fail_reads(&faults);
        let (db, store) = (site.db().clone(), store.clone());
        let ended = tokio::spawn(async move { run(&db, &store, ITEMS_AT_ONCE, &|_| ()).await }).await;
        let n_left = faulty.forgive_reads();
        if n_left > 0 {
            // It had no read left that could break.
            assert!(ended.unwrap().unwrap().is_complete());
            break;
        }
        assert!(!matches!(ended, Ok(Ok(_))), "read {n_before} broke, and the rebuild says that it is done");
        n_before += 1;
        assert!(n_before < READS_MAX, "no rebuild came to its end");
    }
    assert!(n_before > n_packs, "only the survey was broken: {n_before} reads of {n_packs} packs");
    assert_whole(&site).await;
}
