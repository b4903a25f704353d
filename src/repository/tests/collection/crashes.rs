//! A collection that is stopped after any of its steps is completed by the next.

use super::*;
use crate::repository::{retire_writer, storage_totals};

/// The agent is gone and comes back as another writer.
async fn restart(yard: &mut Yard) {
    let old = yard.bench.writer;
    yard.bench.db.run("retire", move |conn| retire_writer(conn, old)).await.unwrap();
    yard.bench.writer = register(&yard.bench.db, yard.bench.store.storage()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_stops_after_any_step_is_completed_by_the_next() {
    let mut ends = Vec::new();
    for step in Step::ALL {
        let mut yard = Yard::new().await;
        yard.put(&(0..20).collect::<Vec<_>>()).await;
        yard.put(&(20..30).collect::<Vec<_>>()).await;
        yard.forget(&(0..16).collect::<Vec<_>>()).await;
        store_items(&mut yard.bench.packer(), &[40]).await.unwrap();
        restart(&mut yard).await;
        let mut n_stops = 0;
        for _ in 0..2 {
            match run_all(&mut yard.collection(AT_ONCE).stop_at(step)).await {
                Ok(_) => {}
                Err(CollectError::Stopped(at)) => {
                    assert_eq!(at, step);
                    n_stops += 1;
                    restart(&mut yard).await;
                }
                Err(err) => panic!("{step:?}: {err}"),
            }
            assert_eq!(yard.losses().await, Vec::<String>::new(), "{step:?}");
        }
        assert!(n_stops > 0, "{step:?} is never reached");

        for _ in 0..3 {
            yard.collect().await;
        }

        assert_eq!(yard.losses().await, Vec::<String>::new(), "{step:?}");
        let totals = storage_totals(&yard.bench.db, yard.bench.store.storage()).await.unwrap();
        assert_eq!((totals.n_packs, yard.packs().await.len()), (2, 2), "{step:?}");
        ends.push(totals.n_blobs);
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
}
