//! Packs come back as they were built, and nothing that happens to their bytes goes unnoticed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::sealing::Sealing;
use super::*;
use crate::ids::WriterId;
use crate::secret::Secret;

const ID_KEY: [u8; 32] = [9; 32];

struct Sample {
    layout: Layout,
    keys: PackKeys,
    blobs: Vec<(BlobKind, Vec<u8>)>,
    records: Vec<u8>,
}

/// What a whole pack says, read without a storage.
#[derive(Debug, PartialEq)]
struct ReadBack {
    header: Header,
    blobs: BTreeMap<BlobHash, (BlobKind, Vec<u8>)>,
    records: Vec<u8>,
}

fn header(sample: &Sample) -> Header {
    Header {
        aligned: sample.layout == Layout::Aligned,
        encrypted: matches!(sample.keys, PackKeys::Master(_)),
        store: Uuid::from_bytes([1; 16]),
        pack: PackUid::from_bytes([2; 16]),
        writer: WriterId::from_bytes([3; 16]),
        created_s: 1_700_000_000,
    }
}

fn build(sample: &Sample) -> Vec<u8> {
    let mut builder = PackBuilder::new(header(sample), sample.layout, &sample.keys);
    for (kind, plain) in &sample.blobs {
        builder.append(BlobHash::of(&ID_KEY, plain), *kind, plain);
    }
    let pack = builder.finish(&sample.records, 7);
    let whole = pack.parts.concat();
    assert_eq!(whole.len() as u64, pack.bytes);
    whole
}

fn read(keys: &PackKeys, whole: &[u8]) -> Result<ReadBack, Damage> {
    let uid = PackUid::from_bytes([2; 16]);
    let cipher = keys.of(uid);
    let header = Header::decode(uid, whole)?;
    let trailer = Trailer::decode(uid, whole, whole.len() as u64)?;
    let (data, rest) = whole.split_at(trailer.index_offset as usize);
    if blake3::hash(data).as_bytes() != &trailer.data_hash {
        return Err(Damage::new(uid, "frames", "hash"));
    }
    let sections = &rest[..trailer.sections_bytes(whole.len() as u64) as usize];
    let (stored_index, stored_records) = trailer.split(uid, sections)?;
    let index = PackIndex::open(&cipher, uid, &trailer, stored_index)?;
    let mut blobs = BTreeMap::new();
    for blob in &index.blobs {
        let place = index.frame(blob.frame)?;
        let stored = &whole[place.offset as usize..][..place.stored as usize];
        let frame = index.open_frame(&cipher, blob.frame, stored)?;
        let plain = index.cut(blob, &frame, &ID_KEY)?.to_vec();
        assert_eq!(index.find(blob.hash.id()), Some(blob));
        blobs.insert(blob.hash, (blob.kind, plain));
    }
    Ok(ReadBack { header, blobs, records: PackIndex::open_records(&cipher, &trailer, stored_records)? })
}

fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop_oneof![Just(BlobKind::Shared), Just(BlobKind::Recipe), Just(BlobKind::Properties)];
    let plain = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..600),
        2 => (any::<u8>(), 60_000usize..80_000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let keys = prop_oneof![Just(PackKeys::None), any::<[u8; 32]>().prop_map(|key| PackKeys::Master(Secret::new(key)))];
    let layout = prop_oneof![Just(Layout::Packed), Just(Layout::Aligned)];
    let blobs = proptest::collection::vec((kind, plain), 0..12);
    (layout, keys, blobs, proptest::collection::vec(any::<u8>(), 0..200))
        .prop_map(|(layout, keys, blobs, records)| Sample { layout, keys, blobs, records })
}

impl std::fmt::Debug for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {} blobs", header(self), self.blobs.len())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_pack_comes_back_as_it_was_built(sample in sample()) {
        let whole = build(&sample);
        let read = read(&sample.keys, &whole).unwrap();

        prop_assert_eq!(read.header, header(&sample));
        prop_assert_eq!(&read.records, &sample.records);
        for (_, plain) in &sample.blobs {
            prop_assert_eq!(&read.blobs[&BlobHash::of(&ID_KEY, plain)].1, plain);
        }
        if sample.layout == Layout::Aligned {
            prop_assert_eq!(whole.len() as u64 % ALIGNMENT, 0);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_damage(sample in sample(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut whole = build(&sample);
        let at = at.index(whole.len());
        whole[at] ^= 1 << bit;

        let damage = read(&sample.keys, &whole).unwrap_err();

        prop_assert_eq!(damage.pack, PackUid::from_bytes([2; 16]));
        prop_assert!(damage.to_string().contains(&damage.place));
    }

    #[test]
    fn a_pack_that_is_cut_or_grew_is_damage(sample in sample(), at in any::<prop::sample::Index>(), grown in 1usize..5000) {
        let whole = build(&sample);
        prop_assert!(read(&sample.keys, &whole[..at.index(whole.len())]).is_err());
        prop_assert!(read(&sample.keys, &[&whole[..], &vec![0; grown]].concat()).is_err());
    }

    #[test]
    fn a_header_comes_back_as_it_was_written_and_any_other_bytes_are_damage(
        flags in any::<(bool, bool)>(),
        ids in any::<([u8; 16], [u8; 16], [u8; 16])>(),
        created_s in any::<u32>(),
        noise in proptest::collection::vec(any::<u8>(), 0..130),
    ) {
        let pack = PackUid::from_bytes(ids.1);
        let header = Header {
            aligned: flags.0,
            encrypted: flags.1,
            store: Uuid::from_bytes(ids.0),
            pack,
            writer: WriterId::from_bytes(ids.2),
            created_s,
        };
        prop_assert_eq!(Header::decode(pack, &header.encode()), Ok(header));
        prop_assert!(Header::decode(pack, &noise).is_err());
        prop_assert!(Trailer::decode(pack, &noise, noise.len() as u64).is_err());
    }

    #[test]
    fn a_trailer_of_any_numbers_is_refused_or_harmless(
        numbers in any::<(u64, u32, u32, u32, u32)>(),
        index_offset in prop_oneof![any::<u64>(), 0u64..300],
        small in proptest::collection::vec(0u32..400, 4),
        use_small in any::<bool>(),
        body in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let (_, a, b, c, d) = numbers;
        let fields = if use_small { [small[0], small[1], small[2], small[3]] } else { [a, b, c, d] };
        let trailer = Trailer {
            data_hash: [0; 32],
            sections_hash: [0; 32],
            index_offset,
            index_stored: fields[0],
            index_plain: fields[1],
            records_stored: fields[2],
            records_plain: fields[3],
        };
        let whole = [&body[..], &trailer.encode()].concat();
        let uid = PackUid::from_bytes([2; 16]);

        if let Ok(read) = Trailer::decode(uid, &whole, whole.len() as u64) {
            prop_assert_eq!(&read, &trailer);
            prop_assert!(trailer.index_offset + trailer.sections_bytes(whole.len() as u64) <= body.len() as u64);
        }
    }

    #[test]
    fn an_index_of_any_bytes_is_refused_or_harmless(
        frames in 0u32..4,
        blobs in 0u32..4,
        tail in proptest::collection::vec(any::<u8>(), 288),
        sane in any::<bool>(),
    ) {
        let uid = PackUid::from_bytes([2; 16]);
        let mut plain = [uid.as_bytes().as_slice(), &frames.to_le_bytes(), &blobs.to_le_bytes(), &[0; 8]].concat();
        plain.extend_from_slice(&tail[..frames as usize * 24 + blobs as usize * 48]);
        if sane {
            (0..frames as usize).for_each(|n| plain[32 + n * 24 + 20..][..2].copy_from_slice(&[1, b'S']));
        }
        let cipher = PackKeys::None.of(uid);
        let stored = zstd::bulk::compress(&plain, 1).unwrap();
        let trailer = Trailer {
            data_hash: [0; 32],
            sections_hash: [0; 32],
            index_offset: 1 << 30,
            index_stored: stored.len() as u32,
            index_plain: plain.len() as u32,
            records_stored: 0,
            records_plain: 0,
        };
        if let Ok(index) = PackIndex::open(&cipher, uid, &trailer, &stored) {
            for blob in &index.blobs {
                prop_assert!(index.frame(blob.frame).is_ok());
                prop_assert!(index.open_frame(&cipher, blob.frame, b"other bytes").is_err());
            }
        }
    }
}

#[test]
fn frames_cannot_change_places_between_packs_or_within_one() {
    let keys = PackKeys::Master(Secret::new([5; 32]));
    let cipher = keys.of(PackUid::from_bytes([2; 16]));
    let other = keys.of(PackUid::from_bytes([4; 16]));
    let piece = |number| cipher::Piece::Frame(number, FrameKind::Single);
    let mut sealing = sealing::Sealing::new(ZSTD_LEVEL_DEFAULT);
    let (stored, codec) = sealing.close(&cipher, piece(0), b"the content", Codec::Raw);

    assert_eq!(cipher.open(piece(0), stored, codec, 11).unwrap(), b"the content");
    assert!(cipher.open(piece(1), stored, codec, 11).is_err());
    assert!(cipher.open(cipher::Piece::Frame(0, FrameKind::Group), stored, codec, 11).is_err());
    assert!(other.open(piece(0), stored, codec, 11).is_err());
    assert!(!stored.windows(7).any(|window| window == b"content"));
}

#[test]
fn shared_blobs_of_an_aligned_pack_lie_raw_on_block_boundaries() {
    let plain = vec![b'x'; 5000];
    let sample = Sample {
        layout: Layout::Aligned,
        keys: PackKeys::None,
        blobs: vec![(BlobKind::Properties, b"{}".to_vec()), (BlobKind::Shared, plain.clone())],
        records: Vec::new(),
    };

    let whole = build(&sample);

    let found = whole.chunks(4096).position(|block| block.iter().all(|byte| *byte == b'x'));
    assert!(found.is_some());
    assert_eq!(read(&sample.keys, &whole).unwrap().blobs.len(), 2);
}

/// A pack whose index and trailer say what `edit` makes of them, and whose hashes are right.
fn forged(edit: impl FnOnce(&mut PackIndex)) -> Vec<u8> {
    let blobs = vec![
        (BlobKind::Shared, vec![7; 70_000]),
        (BlobKind::Shared, b"small".to_vec()),
        (BlobKind::Recipe, b"small too".to_vec()),
    ];
    let sample = Sample { layout: Layout::Packed, keys: PackKeys::None, blobs, records: Vec::new() };
    let whole = build(&sample);
    let (uid, cipher) = (PackUid::from_bytes([2; 16]), sample.keys.of(PackUid::from_bytes([2; 16])));
    let trailer = Trailer::decode(uid, &whole, whole.len() as u64).unwrap();
    let (data, rest) = whole.split_at(trailer.index_offset as usize);
    let (stored_index, records) = trailer.split(uid, &rest[..rest.len() - TRAILER_BYTES]).unwrap();
    let mut index = PackIndex::open(&cipher, uid, &trailer, stored_index).unwrap();
    edit(&mut index);
    let stored_index =
        Sealing::new(ZSTD_LEVEL_DEFAULT).close_section(&cipher, cipher::Piece::Index, &index.encode()).to_vec();
    let trailer = Trailer {
        sections_hash: *blake3::hash(&[&stored_index, records].concat()).as_bytes(),
        index_stored: stored_index.len() as u32,
        index_plain: index.plain_bytes() as u32,
        ..trailer
    };
    [data, &stored_index, records, &trailer.encode()].concat()
}

#[test]
fn an_index_that_points_elsewhere_is_found_though_its_hashes_are_right() {
    type Edit = fn(&mut PackIndex);
    let edits: [(&str, Edit); 12] = [
        ("into another frame", |index| index.blobs.iter_mut().for_each(|blob| blob.frame = 0)),
        ("at a frame that does not exist", |index| index.blobs[0].frame = 9),
        ("beyond its frame", |index| index.blobs[0].offset = u32::MAX),
        ("a little beside", |index| index.blobs.iter_mut().for_each(|blob| blob.len -= 1)),
        ("under another id", |index| index.blobs[0].hash = BlobHash::from_bytes([0; 32])),
        ("twice", |index| index.blobs.push(index.blobs[2])),
        ("at frames in another order", |index| index.frames.swap(0, 1)),
        ("at another frame's bytes", |index| index.frames[1].offset = index.frames[0].offset),
        ("beyond the index", |index| index.frames[1].offset = u64::MAX - 3),
        ("with another codec", |index| {
            index.frames.iter_mut().for_each(|frame| {
                frame.codec = match frame.codec {
                    Codec::Raw => Codec::Zstd,
                    Codec::Zstd => Codec::Raw,
                };
            });
        }),
        ("at a frame that claims too much", |index| index.frames[0].plain = u32::MAX),
        ("from another pack", |index| index.pack = PackUid::from_bytes([8; 16])),
    ];
    read(&PackKeys::None, &forged(|_| ())).unwrap();
    for (how, edit) in edits {
        let damage = read(&PackKeys::None, &forged(edit)).expect_err(how);

        assert_eq!(damage.pack, PackUid::from_bytes([2; 16]), "{how}: {damage}");
    }
}

#[test]
fn a_few_bytes_that_claim_to_be_many_are_refused_before_room_is_made_for_them() {
    let cipher = PackKeys::None.of(PackUid::from_bytes([2; 16]));
    let zeros = vec![0; 1 << 20];
    let stored = Sealing::new(ZSTD_LEVEL_DEFAULT).close_section(&cipher, cipher::Piece::Index, &zeros).to_vec();

    let damage = cipher.open(cipher::Piece::Index, &stored, Codec::Zstd, SECTION_BYTES_MAX).unwrap_err();

    assert!(damage.what.contains("too short for the length"), "{damage}");
    assert_eq!(cipher.open(cipher::Piece::Index, &stored, Codec::Zstd, zeros.len()).unwrap(), zeros);
}
