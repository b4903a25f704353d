//! Ids that look like those of SharePoint: the drive's is `b!` with three GUIDs behind it, an
//! item's is `01` with 32 capital letters and digits.

use crate::company::populate::guid;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ITEM_BYTES: usize = 20;

pub fn drive_id(salt: u64) -> String {
    let mut raw = [0u8; 48];
    blake3::Hasher::new().update(b"drive").update(&salt.to_le_bytes()).finalize_xof().fill(&mut raw);
    format!("b!{}", URL_SAFE_NO_PAD.encode(raw))
}

pub fn item_id(salt: u64, number: u64) -> String {
    let digest = blake3::Hasher::new().update(&salt.to_le_bytes()).update(&number.to_le_bytes()).finalize();
    let mut out = String::from("01");
    for group in digest.as_bytes()[..ITEM_BYTES].chunks_exact(5) {
        let bits = group.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        out.extend((0..8).rev().map(|place| char::from(ALPHABET[(bits >> (place * 5) & 31) as usize])));
    }
    out
}

/// The unique id of the list item, as in the eTag and in download URLs.
pub fn item_guid(salt: u64, number: u64) -> String {
    guid(&[salt, 61, number]).to_uppercase()
}

pub fn site_guid(salt: u64) -> String {
    guid(&[salt, 62])
}
