//! Content read in ranges is the content that was stored.

use super::*;
use crate::repository::StoreError;

#[tokio::test(flavor = "multi_thread")]
async fn any_range_of_content_is_what_was_stored_there() {
    let bench = Bench::new().await;
    let contents: Vec<Bytes> = vec![noise(1, 9_000_000).into(), mail("split", &noise(2, 700_000)), Bytes::new()];
    let batch = vec![
        item("file", Some(IngestContent::Raw(contents[0].clone()))),
        item("mail", Some(IngestContent::Mime(contents[1].clone()))),
        item("empty", Some(IngestContent::Raw(contents[2].clone()))),
    ];
    let mut packer = bench.packer();
    let stored = packer.store(batch).await.unwrap();
    let ids = bench.commit(&mut packer).await;
    let reader = bench.store.reader(bench.db.clone());

    for (stored, content) in stored.iter().zip(&contents) {
        let place = stored.content.as_ref().unwrap().location;
        let ranged = reader.ranged(id(&ids, place.pack), place.blob).await.unwrap();
        assert_eq!(ranged.bytes(), content.len() as u64);
        // A step that divides neither chunks nor lines, so that ranges begin and end anywhere.
        for from in (0..content.len()).step_by(327_679) {
            for bytes in [1, 70_001, 3_276_800] {
                let bytes = bytes.min(content.len() - from);
                let range = ranged.read(from as u64, bytes).await.unwrap();
                assert!(range == content[from..from + bytes], "{bytes} bytes from {from} are others");
            }
        }
        let beyond = ranged.read(ranged.bytes(), 1).await;
        assert!(matches!(beyond, Err(StoreError::Item(_))), "{beyond:?}");
        assert!(ranged.read(ranged.bytes(), 0).await.unwrap().is_empty());
    }
}
