//! Packs that were written once and lie in `tests/golden/format1/`: every later version must read them, without a
//! database, as whoever holds a storage and its recovery key would.
//!
//! A store that is missing there is written anew and the test fails once, so that somebody looks at what is committed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::backends::{Filesystem, Profile};
use crate::ids::{BlobId, ItemKey, PackUid};
use crate::repository::assemble::Assembly;
use crate::repository::format::{BlobHash, BlobKind};
use crate::repository::ingest::take_apart_mime;
use crate::repository::reader::read_end;
use crate::repository::recipe::Recipe;
use crate::repository::record::{self, Entry, Location, Record};
use crate::repository::records::RecordsBuilder;
use crate::repository::store::pack_key;
use crate::repository::{Depth, PackFile, RecoveryKey};

const STORES: [(&str, Layout, Crypto); 3] = [
    ("encrypted", Layout::Packed, Crypto::Aes256Gcm),
    ("plain", Layout::Packed, Crypto::None),
    ("aligned", Layout::Aligned, Crypto::None),
];
pub const RECOVERY_KEY_FILE: &str = "RECOVERY_KEY.txt";
const PROPERTIES: &str = r#"{"subject":"golden","isRead":true}"#;

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format1").join(name)
}

fn golden_mail() -> Bytes {
    mail("golden", &noise(7, 3000))
}

/// What the pack records, given where its blobs lie.
fn golden_records(properties: Location, content: Location, refs: Vec<BlobId>) -> Vec<Record> {
    let inbox = || "AAMkInbox".to_owned();
    vec![
        Record::PointBegin(record::PointBegin { started_ms: 1_700_000_000_000 }),
        Record::Container(record::Container {
            graph_id: inbox(),
            parent: None,
            name: "Posteingang".into(),
            hidden: false,
            well_known: Some("inbox".into()),
        }),
        Record::Item(record::Item {
            parent: None,
            words: None,
            container: inbox(),
            graph_id: "AAMkItem".into(),
            kind: 1,
            flags: 1,
            change_tag: 0x0123_4567_89ab_cdef,
            name: "golden".into(),
            party: "bo@contoso.example".into(),
            time_s: 1_700_000_000,
            bytes: golden_mail().len() as u64,
            properties,
            content: Some(content),
            refs,
        }),
        Record::ItemGone(record::ItemGone { item: ItemKey::of("AAMkGone"), container: None }),
        Record::Issue(record::Issue {
            skipped: None,
            container: inbox(),
            graph_id: "AAMkBad".into(),
            name: "bad".into(),
            reason: "unreadable".into(),
            message: "the service answers 500".into(),
            attempts: 3,
            at_ms: 1_700_000_001_000,
        }),
        Record::Cursor(record::Cursor {
            container: inbox(),
            state: record::CursorState::Since("https://graph.example/delta?token=x".into()),
            full_walk_point: None,
        }),
        Record::PointSeal(record::PointSeal {
            sealed_ms: 1_700_000_002_000,
            n_items: 1,
            n_added: 1,
            ..Default::default()
        }),
    ]
}

/// Writes a store with one pack.
async fn write(path: &Path, layout: Layout, crypto: Crypto) {
    std::fs::create_dir_all(path).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(path, Profile::Local, "golden").unwrap());
    let created = Store::create(Arc::clone(&backend), layout, crypto).await.unwrap();
    let master = created.secrets.map(|secrets| {
        std::fs::write(path.join(RECOVERY_KEY_FILE), format!("{}\n", secrets.recovery.expose())).unwrap();
        secrets.master
    });
    let store = Store::open(StorageId::new(1), Arc::clone(&backend), master).await.unwrap();
    let parts = take_apart_mime(store.chunking(), &golden_mail());
    let mut pack = store.new_pack(WriterId::random());
    let place = |plain: &[u8]| store.chunking().hash(plain);
    for part in &parts.shared {
        pack.append(part.hash, BlobKind::Shared, &part.plain);
    }
    let recipe = parts.recipe.encode();
    let location = |hash: BlobHash| Location { pack: pack.uid(), blob: hash.id() };
    let (properties, content) = (location(place(PROPERTIES.as_bytes())), location(place(&recipe)));
    pack.append(place(&recipe), BlobKind::Recipe, &recipe);
    pack.append(place(PROPERTIES.as_bytes()), BlobKind::Properties, PROPERTIES.as_bytes());
    let mut section = RecordsBuilder::default();
    for (seq, record) in (0..).zip(golden_records(properties, content, parts.recipe.refs())) {
        section.push(&Entry { chain: Some(chain()), point: POINT, seq, record });
    }
    let (records, n_records) = section.finish();
    let pack = pack.finish(&records, n_records);
    backend.put(&pack_key(pack.uid), &pack.parts).unwrap();
    std::fs::remove_dir(path.join("tmp")).unwrap();
}

/// All blobs of a pack, read as `docs/FORMAT.md` tells.
pub fn blobs(store: &Store, pack: PackUid) -> HashMap<BlobId, Vec<u8>> {
    let end = read_end(store, pack).unwrap();
    let read = |blob: &crate::repository::format::BlobEntry| {
        let frame = end.index.frame(blob.frame).unwrap();
        let stored = store.backend().get_range(&pack_key(pack), frame.offset, frame.stored as usize).unwrap();
        let plain = end.index.open_frame(&end.cipher, blob.frame, &stored).unwrap();
        end.index.cut(blob, &plain, store.keys().id_key.expose()).unwrap().to_vec()
    };
    end.index.blobs.iter().map(|blob| (blob.hash.id(), read(blob))).collect()
}

pub fn put_together(store: &Store, recipe: &[u8], blobs: &HashMap<BlobId, Vec<u8>>) -> Vec<u8> {
    let recipe = Recipe::decode(recipe).unwrap();
    let mut assembly = Assembly::new(&recipe, store.keys().id_key.expose());
    let mut out = Vec::new();
    for step in &recipe.steps {
        assembly.begin(step, &mut out);
        step.ingredients().iter().for_each(|part| assembly.add(&blobs[&part.blob], &mut out));
        assembly.end(&mut out);
    }
    assembly.finish().unwrap();
    out
}

/// Opens a golden store with the recovery key that lies in it, if it is encrypted.
pub async fn open(name: &str) -> Store {
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(&folder(name), Profile::Local, "golden").unwrap());
    let master = match std::fs::read_to_string(folder(name).join(RECOVERY_KEY_FILE)) {
        Err(_) => None,
        Ok(text) => {
            let recovery = RecoveryKey::parse(&text).unwrap();
            Some(Store::recover(Arc::clone(&backend), recovery).await.unwrap())
        }
    };
    Store::open(StorageId::new(1), backend, master).await.unwrap()
}

/// All packs of a store.
pub async fn packs(store: &Store) -> Vec<PackFile> {
    let mut packs = Vec::new();
    for folder in 0..=255 {
        packs.extend(store.list_packs(folder).await.unwrap());
    }
    packs
}

#[tokio::test]
async fn packs_of_format_1_are_read_by_every_later_version() {
    let mut written = Vec::new();
    for (name, layout, crypto) in STORES {
        if !folder(name).exists() {
            write(&folder(name), layout, crypto).await;
            written.push(name);
        }
        let store = open(name).await;
        assert_eq!((store.description().layout, store.description().crypto), (layout, crypto));
        let packs = packs(&store).await;
        let [pack] = packs[..] else { panic!("{name} has {} packs", packs.len()) };

        store.check_pack(pack.uid, Depth::Content).await.unwrap();
        let contents = store.read_pack(pack.uid).await.unwrap();
        let records: Vec<Record> = contents.records.entries.iter().map(|entry| entry.record.clone()).collect();
        let Some(Record::Item(item)) = records.get(2) else { panic!("{name} has no item") };
        let content = item.content.unwrap();
        assert_eq!(records, golden_records(item.properties, content, item.refs.clone()));
        assert!(contents.records.entries.iter().all(|entry| entry.chain.as_deref() == Some(chain().as_ref())));
        let blobs = blobs(&store, pack.uid);
        assert_eq!(blobs[&item.properties.blob], PROPERTIES.as_bytes());
        assert_eq!(put_together(&store, &blobs[&content.blob], &blobs), golden_mail());
        let shared: Vec<BlobId> = contents.shared.iter().map(|(id, _)| *id).collect();
        assert_eq!(shared, item.refs);
    }
    assert!(
        written.is_empty(),
        "golden stores {written:?} were missing and are written now: look at them, commit them"
    );
}
