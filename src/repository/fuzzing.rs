//! What the fuzz targets in `fuzz/` call, each with any bytes: a call returns or it has found a defect.
//!
//! A checksum or a hash would keep random bytes away from what lies behind it, so each decoder is also given the bytes
//! as if they had passed.

use bytes::Bytes;
use uuid::Uuid;

use super::assemble::Assembly;
use super::chunking::{ChunkSizes, Chunking};
use super::format::{HEADER_BYTES, Header, PackIndex, PackKeys, TRAILER_BYTES, Trailer};
use super::ingest::{Parts, take_apart_mime, take_apart_raw};
use super::keys::{KeyFile, RecoveryKey, StoreKeys, Unlock};
use super::mime;
use super::recipe::Recipe;
use super::records::read_records;
use super::store::{DESCRIPTION_KEY, read_description};
use crate::backends::{Backend, Memory};
use crate::ids::PackUid;

/// Bytes that stand for one ingredient of a recipe, and ingredients that are put together.
const INGREDIENT_BYTES_MAX: usize = 4 << 10;
const INGREDIENTS_MAX: usize = 1000;
const ID_KEY: [u8; 32] = [9; 32];
const RECOVERY_KEY: &str = include_str!("../../tests/golden/format1/encrypted/RECOVERY_KEY.txt");

/// Every part of the pack decoder.
pub fn pack(bytes: &[u8]) {
    let named = bytes.get(24..40).and_then(PackUid::from_slice);
    let pack = named.unwrap_or_else(|| PackUid::from_bytes([2; 16]));
    whole_pack(pack, bytes);
    header(pack, bytes);
    trailer(pack, bytes);
    index(pack, bytes);
    drop(read_records(pack, bytes));
}

/// As a reader goes through a pack.
fn whole_pack(pack: PackUid, bytes: &[u8]) {
    drop(Header::decode(pack, bytes));
    let Ok(trailer) = Trailer::decode(pack, bytes, bytes.len() as u64) else { return };
    let at = usize::try_from(trailer.index_offset).expect("the trailer lies inside these bytes");
    let sections = &bytes[at..bytes.len() - TRAILER_BYTES];
    let Ok((stored_index, stored_records)) = trailer.split(pack, sections) else { return };
    let cipher = PackKeys::None.of(pack);
    if let Ok(records) = PackIndex::open_records(&cipher, &trailer, stored_records) {
        drop(read_records(pack, &records));
    }
    if let Ok(index) = PackIndex::open(&cipher, pack, &trailer, stored_index) {
        read_blobs(pack, &index, bytes);
    }
}

fn header(pack: PackUid, bytes: &[u8]) {
    let Some(mut head) = bytes.first_chunk::<HEADER_BYTES>().copied() else { return };
    let crc = crc32c::crc32c(&head[..60]);
    head[60..].copy_from_slice(&crc.to_le_bytes());
    if let Ok(header) = Header::decode(pack, &head) {
        assert_eq!(header.encode(), head, "a header is read as another than it is");
    }
}

fn trailer(pack: PackUid, bytes: &[u8]) {
    let Some(mut tail) = bytes.last_chunk::<TRAILER_BYTES>().copied() else { return };
    let crc = crc32c::crc32c(&tail[..88]);
    tail[88..92].copy_from_slice(&crc.to_le_bytes());
    tail[92..].copy_from_slice(b"KEND");
    let Ok(trailer) = Trailer::decode(pack, &tail, bytes.len() as u64) else { return };
    assert_eq!(trailer.encode(), tail, "a trailer is read as another than it is");
    let end = trailer.index_offset + trailer.sections_bytes(bytes.len() as u64);
    assert_eq!(end, (bytes.len() - TRAILER_BYTES) as u64, "sections reach beyond the trailer");
}

/// The bytes as the plain index of a pack whose frames are the bytes themselves.
fn index(pack: PackUid, bytes: &[u8]) {
    let mut plain = bytes.to_vec();
    if let Some(head) = plain.first_chunk_mut::<16>() {
        *head = *pack.as_bytes();
    }
    if let Ok(index) = PackIndex::decode_plain(pack, &plain, bytes.len() as u64) {
        read_blobs(pack, &index, bytes);
    }
}

fn read_blobs(pack: PackUid, index: &PackIndex, bytes: &[u8]) {
    let cipher = PackKeys::None.of(pack);
    for blob in &index.blobs {
        assert_eq!(index.find(blob.hash.id()).map(|found| found.hash.id()), Some(blob.hash.id()));
        let frame = index.frame(blob.frame).expect("an index that was read names only frames that it has");
        let stored = usize::try_from(frame.offset).ok().and_then(|at| bytes.get(at..)?.get(..frame.stored as usize));
        let Some(stored) = stored else { continue };
        if let Ok(plain) = index.open_frame(&cipher, blob.frame, stored) {
            drop(index.cut(blob, &plain, &ID_KEY));
        }
    }
}

/// The recipe decoder, and whatever it lets through put together.
pub fn recipe(bytes: &[u8]) {
    let Ok(recipe) = Recipe::decode(bytes) else { return };
    assert_eq!(Recipe::decode(&recipe.encode()).as_ref(), Ok(&recipe), "a recipe changes when it is written again");
    drop(recipe.refs());
    let mut assembly = Assembly::new(&recipe, &ID_KEY);
    let mut n_ingredients = 0;
    for step in &recipe.steps {
        let mut out = Vec::new();
        assembly.begin(step, &mut out);
        for part in step.ingredients() {
            n_ingredients += 1;
            if n_ingredients > INGREDIENTS_MAX {
                return;
            }
            out.clear();
            assembly.add(&vec![b'x'; (part.bytes as usize).min(INGREDIENT_BYTES_MAX)], &mut out);
        }
        assembly.end(&mut out);
    }
    drop(assembly.finish());
}

/// Recipes to begin from.
pub fn recipes_of(messages: &[Bytes]) -> Vec<Vec<u8>> {
    let chunking = small_chunks();
    messages.iter().map(|message| take_apart_mime(&chunking, message).recipe.encode()).collect()
}

/// The MIME splitter: any message must come back byte for byte.
pub fn message(bytes: &[u8]) {
    let mut end = 0;
    for part in mime::split(bytes) {
        assert!(part.text.start >= end && part.text.end <= bytes.len(), "parts are out of order");
        end = part.text.end;
    }
    let chunking = small_chunks();
    let message = Bytes::copy_from_slice(bytes);
    for parts in [take_apart_mime(&chunking, &message), take_apart_raw(&chunking, &message)] {
        assert!(put_together(&chunking, &parts) == bytes, "a message does not come back as it was");
    }
}

/// Chunks so small that short inputs are cut too.
fn small_chunks() -> Chunking {
    let sizes = ChunkSizes { min: 64, average: 256, max: 1024 };
    Chunking::new(&StoreKeys::derive(Uuid::from_bytes([1; 16]), None), sizes)
}

fn put_together(chunking: &Chunking, parts: &Parts) -> Vec<u8> {
    let mut assembly = Assembly::new(&parts.recipe, chunking.id_key.expose());
    let (mut out, mut shared) = (Vec::new(), parts.shared.iter());
    for step in &parts.recipe.steps {
        assembly.begin(step, &mut out);
        for _ in step.ingredients() {
            let part = shared.next().expect("parts come in the order of their recipe");
            assembly.add(&part.plain, &mut out);
        }
        assembly.end(&mut out);
    }
    assembly.finish().expect("what was just taken apart can be put together");
    out
}

/// `STORE.json`, a key file and a recovery key.
pub fn description(bytes: &[u8]) {
    let place = Memory::new();
    place.put(DESCRIPTION_KEY, &[Bytes::copy_from_slice(bytes)]).expect("an empty place takes an object");
    if let Ok(description) = read_description(&place) {
        let keys = StoreKeys::derive(description.store, None);
        let chunking = Chunking::new(&keys, description.chunk_bytes);
        drop(chunking.cut(Bytes::from(vec![0; 1 << 16])));
    }
    drop(std::str::from_utf8(bytes).map(RecoveryKey::parse));
    if let Ok(file) = KeyFile::decode(bytes) {
        let recovery = RecoveryKey::parse(RECOVERY_KEY).expect("it is the one of the golden store");
        drop(file.unwrap(&Unlock::from(recovery)));
    }
}
