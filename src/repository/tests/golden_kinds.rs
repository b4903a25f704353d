//! One more golden store, of everything that the first three lack: every kind of record, frames of both kinds with both
//! codecs, several packs.

use super::golden::{RECOVERY_KEY_FILE, blobs, folder, open, packs, put_together};
use super::*;
use crate::backends::{Filesystem, Profile};
use crate::ids::{BlobId, ItemKey, PackUid};
use crate::repository::Depth;
use crate::repository::format::{BlobKind, Codec, FrameKind, PackBuilder};
use crate::repository::ingest::take_apart_mime;
use crate::repository::reader::read_end;
use crate::repository::record::{self, CursorState, Entry, Location, Record};
use crate::repository::records::RecordsBuilder;
use crate::repository::store::pack_key;

pub const NAME: &str = "kinds";
const PROPERTIES: &str = r#"{"subject":"kinds"}"#;

fn other_chain() -> Arc<ChainIdentity> {
    Arc::new(ChainIdentity { resource_graph_id: "2e".into(), resource_name: "Bo".into(), ..chain().as_ref().clone() })
}

/// Noise and text, each long enough for a frame of its own.
fn long_mail() -> Bytes {
    mail(&"a subject that repeats itself. ".repeat(2400), &noise(11, 70_000))
}

/// The records of the first pack; of the item's blobs it is given where they lie.
fn of_items(properties: Location, content: Location, refs: Vec<BlobId>) -> Vec<Record> {
    let item = |id: &str, content, refs| record::Item {
        parent: None,
        words: None,
        container: "AAMkInbox".into(),
        graph_id: id.into(),
        kind: 1,
        flags: 0,
        change_tag: u64::MAX,
        name: id.into(),
        party: "Grüße".into(),
        time_s: -1,
        bytes: 5,
        properties,
        content,
        refs,
    };
    let container = |id: &str, parent: Option<&str>| record::Container {
        graph_id: id.into(),
        parent: parent.map(str::to_owned),
        name: "Ordner".into(),
        hidden: parent.is_some(),
        well_known: None,
    };
    vec![
        Record::PointBegin(record::PointBegin { started_ms: -5 }),
        Record::Container(container("AAMkInbox", None)),
        Record::Container(container("AAMkBelow", Some("AAMkInbox"))),
        Record::ContainerGone(record::ContainerGone { graph_id: "AAMkOld".into() }),
        Record::Item(item("whole", Some(content), refs)),
        Record::Item(item("without content", None, Vec::new())),
        Record::ItemGone(record::ItemGone { item: ItemKey::of("AAMkGone"), container: None }),
    ]
}

/// The records of the second pack.
fn of_points() -> Vec<Record> {
    let cursor =
        |state, full_walk_point| Record::Cursor(record::Cursor { container: String::new(), state, full_walk_point });
    vec![
        cursor(CursorState::None, None),
        cursor(CursorState::Since("token".into()), None),
        cursor(CursorState::Resume("link".into()), Some(3)),
        Record::Issue(record::Issue {
            skipped: None,
            container: "AAMkInbox".into(),
            graph_id: "AAMkBad".into(),
            name: "bad".into(),
            reason: "too_large".into(),
            message: "it has 5 bytes".into(),
            attempts: 2,
            at_ms: 9,
        }),
        Record::IssueResolved(record::IssueResolved { item: ItemKey::of("AAMkBad") }),
        Record::PointSeal(record::PointSeal {
            sealed_ms: 1,
            n_items: 2,
            n_added: 3,
            n_changed: 4,
            n_removed: 5,
            n_issues: 6,
            bytes_read: 7,
            bytes_stored: 1 << 40,
        }),
        Record::Expire(record::Expire { points: vec![1, 2, 70_000] }),
    ]
}

/// What concerns no chain.
fn of_the_store() -> Record {
    Record::Compacted(record::Compacted { old: PackUid::from_bytes([1; 16]), new: PackUid::from_bytes([2; 16]) })
}

fn publish(store: &Store, pack: PackBuilder, entries: &[Entry]) {
    let mut section = RecordsBuilder::default();
    entries.iter().for_each(|entry| section.push(entry));
    let (records, n_records) = section.finish();
    let pack = pack.finish(&records, n_records);
    store.backend().put(&pack_key(pack.uid), &pack.parts).unwrap();
}

async fn write() {
    let path = folder(NAME);
    std::fs::create_dir_all(&path).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(&path, Profile::Local, "golden").unwrap());
    let created = Store::create(Arc::clone(&backend), Layout::Packed, Crypto::Aes256Gcm).await.unwrap();
    let secrets = created.secrets.unwrap();
    std::fs::write(path.join(RECOVERY_KEY_FILE), format!("{}\n", secrets.recovery.expose())).unwrap();
    let store = Store::open(StorageId::new(1), backend, Some(secrets.master)).await.unwrap();
    let entry = |chain, seq, record| Entry { chain, point: POINT, seq, record };

    let mut pack = store.new_pack(WriterId::random());
    let parts = take_apart_mime(store.chunking(), &long_mail());
    let recipe = parts.recipe.encode();
    let mut add = |kind, plain: &[u8]| {
        let hash = store.chunking().hash(plain);
        pack.append(hash, kind, plain);
        Location { pack: pack.uid(), blob: hash.id() }
    };
    for part in &parts.shared {
        add(BlobKind::Shared, &part.plain);
    }
    let content = add(BlobKind::Recipe, &recipe);
    let properties = add(BlobKind::Properties, PROPERTIES.as_bytes());
    let items = of_items(properties, content, parts.recipe.refs());
    let entries: Vec<_> = (0..).zip(items).map(|(seq, record)| entry(Some(chain()), seq, record)).collect();
    publish(&store, pack, &entries);

    let mut pack = store.new_pack(WriterId::random());
    let small = noise(12, 40);
    pack.append(store.chunking().hash(&small), BlobKind::Shared, &small);
    let mut entries: Vec<_> =
        (100..).zip(of_points()).map(|(seq, record)| entry(Some(other_chain()), seq, record)).collect();
    entries.push(entry(None, 200, of_the_store()));
    publish(&store, pack, &entries);
    std::fs::remove_dir(path.join("tmp")).unwrap();
}

#[tokio::test]
async fn every_kind_of_record_and_frame_of_format_1_is_read_by_every_later_version() {
    if !folder(NAME).exists() {
        write().await;
        panic!("golden store {NAME} was missing and is written now: look at it, commit it");
    }
    let store = open(NAME).await;
    let packs = packs(&store).await;
    assert_eq!(packs.len(), 2);
    let (mut entries, mut known, mut frames) = (Vec::new(), std::collections::HashMap::new(), Vec::new());
    for pack in packs {
        store.check_pack(pack.uid, Depth::Content).await.unwrap();
        entries.extend(store.read_pack(pack.uid).await.unwrap().records.entries);
        known.extend(blobs(&store, pack.uid));
        frames.extend(read_end(&store, pack.uid).unwrap().index.frames.iter().map(|frame| (frame.kind, frame.codec)));
    }
    entries.sort_by_key(|entry| entry.seq);

    let Some(Record::Item(item)) = entries.get(4).map(|entry| &entry.record) else { panic!("there is no item") };
    let content = item.content.unwrap();
    let mut expected: Vec<_> = of_items(item.properties, content, item.refs.clone())
        .into_iter()
        .map(|record| (Some(chain()), record))
        .chain(of_points().into_iter().map(|record| (Some(other_chain()), record)))
        .collect();
    expected.push((None, of_the_store()));
    assert_eq!(entries.iter().map(|entry| (entry.chain.clone(), entry.record.clone())).collect::<Vec<_>>(), expected);
    assert_eq!(put_together(&store, &known[&content.blob], &known), long_mail());
    assert_eq!(known[&item.properties.blob], PROPERTIES.as_bytes());
    for kind in [FrameKind::Single, FrameKind::Group] {
        for codec in [Codec::Raw, Codec::Zstd] {
            assert!(frames.contains(&(kind, codec)), "no {kind:?} frame is {codec:?}");
        }
    }
}
