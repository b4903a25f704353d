//! Whatever happens to the bytes of a pack is found, named and contained: every region of a pack, every layout.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::backends::lying::Lying;
use crate::backends::{BackendError, Memory};
use crate::ids::{BlobId, PackUid};
use crate::repository::format::{ALIGNMENT, BlobKind, Damage, HEADER_BYTES, TRAILER_BYTES};
use crate::repository::reader::read_end;
use crate::repository::record::{Entry, Expire, PointBegin, Record};
use crate::repository::records::RecordsBuilder;
use crate::repository::store::pack_key;
use crate::repository::{Depth, StoreError};

/// Bits that are flipped among frames that are too long for all of them.
const SAMPLED_BITS: usize = 400;

/// A store with one small pack of frames of both kinds and codecs.
struct Specimen {
    backend: Arc<Lying<Memory>>,
    store: Store,
    pack: PackUid,
    whole: Vec<u8>,
    index_offset: usize,
    /// Where frames lie: offset and length.
    frames: Vec<(usize, usize)>,
}

async fn specimen(layout: Layout, crypto: Crypto) -> Specimen {
    let backend = Arc::new(Lying::new(Memory::new()));
    let created = Store::create(Arc::clone(&backend) as Arc<dyn Backend>, layout, crypto).await.unwrap();
    let master = created.secrets.map(|secrets| secrets.master);
    let store = Store::open(StorageId::new(1), Arc::clone(&backend) as Arc<dyn Backend>, master).await.unwrap();
    let mut builder = store.new_pack(WriterId::random());
    let blobs: [(BlobKind, Vec<u8>); 4] = [
        (BlobKind::Shared, b"a long text that repeats. ".repeat(3000)),
        (BlobKind::Shared, noise(1, 300)),
        (BlobKind::Recipe, b"not read here".to_vec()),
        (BlobKind::Properties, b"{}".to_vec()),
    ];
    for (kind, plain) in blobs {
        builder.append(store.chunking().hash(&plain), kind, &plain);
    }
    let mut section = RecordsBuilder::default();
    for record in [Record::PointBegin(PointBegin { started_ms: 1 }), Record::Expire(Expire { points: vec![1, 2] })] {
        section.push(&Entry { chain: Some(chain()), point: POINT, seq: 1, record });
    }
    let (records, n_records) = section.finish();
    let finished = builder.finish(&records, n_records);
    let (pack, whole) = (finished.uid, finished.parts.concat());
    backend.put(&pack_key(pack), &finished.parts).unwrap();
    let end = read_end(&store, pack).unwrap();
    let frames = end.index.frames.iter().map(|frame| (frame.offset as usize, frame.stored as usize)).collect();
    Specimen { backend, store, pack, whole, index_offset: end.trailer.index_offset as usize, frames }
}

async fn specimens() -> Vec<Specimen> {
    vec![
        specimen(Layout::Packed, Crypto::Aes256Gcm).await,
        specimen(Layout::Packed, Crypto::None).await,
        specimen(Layout::Aligned, Crypto::None).await,
    ]
}

impl Specimen {
    /// Checks the pack with other bytes in its place.
    async fn check(&self, bytes: Vec<u8>, depth: Depth) -> Result<(), StoreError> {
        self.backend.show(&pack_key(self.pack), bytes);
        self.store.check_pack(self.pack, depth).await
    }

    async fn damage_of(&self, bytes: Vec<u8>, depth: Depth, context: &str) -> Damage {
        match self.check(bytes, depth).await {
            Err(StoreError::Damaged(damage)) => {
                assert_eq!(damage.pack, self.pack, "{context}");
                damage
            }
            other => panic!("{context} at depth {depth:?}: {other:?}"),
        }
    }

    fn region(&self, at: usize) -> &'static str {
        match at {
            _ if at < HEADER_BYTES => "header",
            _ if at < self.index_offset => "frames",
            _ if at < self.whole.len() - TRAILER_BYTES => "index",
            _ => "trailer",
        }
    }
}

/// What else than a flipped bit may become of the bytes of a pack, with a name for each.
fn misfortunes(whole: &[u8], index_offset: usize, frames: &[(usize, usize)]) -> Vec<(String, Vec<u8>)> {
    let len = whole.len();
    let mut found = Vec::new();
    let cuts = [1, HEADER_BYTES - 1, HEADER_BYTES, TRAILER_BYTES - 1, TRAILER_BYTES, TRAILER_BYTES + 1, len / 2];
    let ends =
        [index_offset - 1, index_offset, index_offset + 1, len - TRAILER_BYTES, len - TRAILER_BYTES - 1, len - 1];
    for cut in cuts.into_iter().chain(ends).chain([0]).chain((1..20).map(|n| len * n / 20)) {
        found.push((format!("cut to {cut} bytes"), whole[..cut].to_vec()));
    }
    for grown in [1, TRAILER_BYTES, ALIGNMENT as usize - 1, ALIGNMENT as usize, 2 * ALIGNMENT as usize] {
        found.push((format!("grown by {grown} zeros"), [whole, &vec![0; grown]].concat()));
    }
    found.push(("its trailer twice".to_owned(), [whole, &whole[len - TRAILER_BYTES..]].concat()));
    found.push(("itself twice".to_owned(), [whole, whole].concat()));
    found.push(("zeros".to_owned(), vec![0; len]));
    for (name, range) in [("front", 0..len / 2), ("middle", len / 3..len / 2), ("back", len / 2..len)] {
        let mut bytes = whole.to_vec();
        bytes[range].fill(0);
        found.push((format!("zeros in the {name}"), bytes));
    }
    let [(first, first_len), .., (last, last_len)] = frames[..] else { panic!("too few frames to mix up") };
    let (one, other) = (&whole[first..first + first_len], &whole[last..last + last_len]);
    let between = &whole[first + first_len..last];
    let behind = &whole[last + last_len..];
    found.push(("two frames swapped".to_owned(), [&whole[..first], other, between, one, behind].concat()));
    found.push(("a frame twice".to_owned(), [&whole[..first], one, &whole[first..]].concat()));
    let mut copied = whole.to_vec();
    let n = first_len.min(last_len);
    copied.copy_within(first..first + n, last);
    found.push(("a frame in the place of another".to_owned(), copied));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_is_found_and_its_region_named() {
    for specimen in specimens().await {
        let mut dice = StdRng::seed_from_u64(7);
        let tiny = specimen.whole.len() < 4000;
        let trailer_at = specimen.whole.len() - TRAILER_BYTES;
        // All of it where that is little; else all but the frames and the zeros between sections and trailer.
        let mut at: Vec<usize> = (0..specimen.whole.len())
            .filter(|at| {
                let sections = specimen.index_offset..specimen.index_offset + 700;
                tiny || *at < HEADER_BYTES || *at >= trailer_at || sections.contains(at)
            })
            .collect();
        if !tiny {
            at.extend((0..SAMPLED_BITS).map(|_| dice.random_range(HEADER_BYTES..trailer_at)));
        }
        for at in at {
            for bit in 0..8 {
                let mut bytes = specimen.whole.clone();
                bytes[at] ^= 1 << bit;
                let depth = if (at + bit) % 9 == 0 { Depth::Content } else { Depth::Stored };

                let damage = specimen.damage_of(bytes, depth, &format!("bit {bit} of byte {at}")).await;

                // Of frames the very one is named; between them, padding has no name of its own.
                let region = specimen.region(at);
                let named = damage.place == region || region == "frames" && damage.place.starts_with("frame ");
                assert!(named, "bit {bit} of byte {at}: {damage}");
            }
        }
        assert!(specimen.check(specimen.whole.clone(), Depth::Content).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_cut_grown_or_mixed_up_is_found() {
    for specimen in specimens().await {
        for (name, bytes) in misfortunes(&specimen.whole, specimen.index_offset, &specimen.frames) {
            for depth in [Depth::Stored, Depth::Content] {
                match specimen.check(bytes.clone(), depth).await {
                    Err(StoreError::Damaged(damage)) => assert_eq!(damage.pack, specimen.pack, "{name}"),
                    // It ends within the header.
                    Err(StoreError::Backend(BackendError::Corrupt { key, .. })) => {
                        assert!(bytes.len() < HEADER_BYTES && key == pack_key(specimen.pack), "{name}");
                    }
                    other => panic!("{name} at depth {depth:?}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_under_the_name_of_another_and_one_that_is_gone_are_told_by_name() {
    for specimen in specimens().await {
        let mut other = specimen.store.new_pack(WriterId::random());
        other.append(specimen.store.chunking().hash(b"x"), BlobKind::Shared, b"x");
        let other = other.finish(&[], 0);

        let damage = specimen.damage_of(other.parts.concat(), Depth::Stored, "another pack").await;

        assert_eq!((damage.place.as_str(), damage.what.contains(&other.uid.to_string())), ("header", true), "{damage}");
        specimen.backend.delete(&pack_key(specimen.pack)).unwrap();
        let gone = specimen.store.check_pack(specimen.pack, Depth::Stored).await.unwrap_err();
        assert!(matches!(&gone, StoreError::Backend(BackendError::NotFound(_))), "{gone:?}");
        assert!(gone.to_string().contains(&specimen.pack.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_never_gives_wrong_content_and_harms_no_other() {
    let backend = Arc::new(Lying::new(Memory::new()));
    let bench = Bench::on(Arc::clone(&backend) as Arc<dyn Backend>, Layout::Packed, Crypto::Aes256Gcm).await;
    let mut kept = Vec::new();
    for name in ["hit", "spared"] {
        let content = mail(name, &noise(name.len() as u64, 70_000));
        let mut packer = bench.packer();
        let stored = packer.store(vec![item(name, Some(IngestContent::Mime(content.clone())))]).await.unwrap();
        let ids = bench.commit(&mut packer).await;
        let place = stored[0].content.as_ref().unwrap().location;
        kept.push((id(&ids, place.pack), place.pack, place.blob, content));
    }
    let [(hit, hit_uid, hit_blob, hit_content), (spared, spared_uid, spared_blob, spared_content)] = &kept[..] else {
        panic!("two items were stored")
    };
    let key = pack_key(*hit_uid);
    let whole = backend.get_tail(&key, usize::MAX >> 1).unwrap().bytes.to_vec();
    let end = read_end(&bench.store, *hit_uid).unwrap();
    let frames: Vec<_> = end.index.frames.iter().map(|frame| (frame.offset as usize, frame.stored as usize)).collect();
    let mut damaged = misfortunes(&whole, end.trailer.index_offset as usize, &frames);
    let mut dice = StdRng::seed_from_u64(8);
    for _ in 0..150 {
        let mut bytes = whole.clone();
        let bit = dice.random_range(0..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged.push((format!("bit {bit} flipped"), bytes));
    }
    for (name, bytes) in damaged {
        backend.show(&key, bytes);
        let reader = bench.store.reader(bench.db.clone());
        let read = |pack: PackId, blob: BlobId| {
            let reader = reader.clone();
            async move { reader.content(pack, blob, 1 << 20).await }
        };

        // What is whole in it may still be read.
        match read(*hit, *hit_blob).await {
            Ok(content) => assert_eq!(&content, hit_content, "{name}"),
            Err(StoreError::Damaged(damage)) => assert_eq!(damage.pack, *hit_uid, "{name}"),
            Err(StoreError::Backend(BackendError::Corrupt { key: named, .. })) => assert_eq!(named, key, "{name}"),
            Err(other) => panic!("{name}: {other:?}"),
        }
        assert_eq!(&read(*spared, *spared_blob).await.unwrap(), spared_content, "{name}");
    }
    bench.store.check_pack(*spared_uid, Depth::Content).await.unwrap();
    backend.be_honest_about(&key);
    assert_eq!(&bench.store.reader(bench.db.clone()).content(*hit, *hit_blob, 1 << 20).await.unwrap(), hit_content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_description_is_refused_or_means_the_same_to_readers() {
    for crypto in [Crypto::Aes256Gcm, Crypto::None] {
        let backend = Arc::new(Lying::new(Memory::new()));
        let as_backend = || Arc::clone(&backend) as Arc<dyn Backend>;
        let created = Store::create(as_backend(), Layout::Packed, crypto).await.unwrap();
        let master = created.secrets.map(|secrets| secrets.master);
        let whole = backend.get_tail("STORE.json", 64 << 10).unwrap().bytes.to_vec();
        let right = Store::describe(as_backend()).await.unwrap();
        let flipped = (0..whole.len() * 8).map(|bit| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in flipped.chain((0..whole.len()).map(|cut| whole[..cut].to_vec())) {
            backend.show("STORE.json", bytes.clone());
            let context = String::from_utf8_lossy(&bytes).into_owned();
            match Store::open(StorageId::new(1), as_backend(), master.clone()).await {
                Ok(store) => {
                    let read = store.description();
                    assert_eq!(
                        (read.format, read.layout, read.crypto, &read.key_check),
                        (right.format, right.layout, right.crypto, &right.key_check),
                        "{context}"
                    );
                    // With a key of its own the key check does not depend on the store's name, but every pack says it.
                    assert!(read.store == right.store || crypto == Crypto::Aes256Gcm, "{context}");
                }
                Err(StoreError::Setup(why)) => assert!(why.contains("store") || why.contains("STORE.json"), "{why}"),
                Err(other) => panic!("{context}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_file_gives_the_master_key_or_a_clear_refusal() {
    let backend = Arc::new(Lying::new(Memory::new()));
    let as_backend = || Arc::clone(&backend) as Arc<dyn Backend>;
    let created = Store::create(as_backend(), Layout::Packed, Crypto::Aes256Gcm).await.unwrap();
    let secrets = created.secrets.unwrap();
    let key = backend.list("keys/").unwrap()[0].key.clone();
    let whole = backend.get_tail(&key, 64 << 10).unwrap().bytes.to_vec();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [flipped, whole[..at].to_vec()] {
            backend.show(&key, bytes);
            let recovery = crate::repository::RecoveryKey::parse(secrets.recovery.expose()).unwrap();
            match Store::recover(as_backend(), recovery).await {
                Ok(master) => assert_eq!(master.expose(), secrets.master.expose(), "byte {at}"),
                Err(StoreError::Setup(why)) => assert!(why.contains("key"), "{why}"),
                Err(other) => panic!("byte {at}: {other:?}"),
            }
        }
    }
}
