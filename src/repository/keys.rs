//! The keys of a store: one random master key, what is derived from it, and how it is kept on the storage.
//!
//! The master key lies on the storage only wrapped: `keys/<id>.json` holds it encrypted under a recovery key that an
//! administrator was shown once. Further wraps (a pass phrase through Argon2id) are further files of the same shape.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroize;

use super::StoreError;
use super::format::PackKeys;
use crate::secret::{Secret, random_key};

const BLOB_ID_CONTEXT: &str = "kodo format 1: blob id key";
const CHUNK_SEED_CONTEXT: &str = "kodo format 1: chunk seed";
const RECOVERY_CONTEXT: &str = "kodo format 1: recovery key wraps master key";
const CHECK_TEXT: &[u8] = b"kodo format 1: key check";
/// Crockford's alphabet: no I, L, O or U.
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEY_DIGITS: usize = 52;
const CHECK_DIGITS: usize = 4;

/// The key from which all keys of a store come. Whoever has it and the storage has the data.
#[derive(Clone)]
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    pub fn random() -> anyhow::Result<Self> {
        random_key().map(Self)
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Secret::new(key)))
    }

    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// The keys that work on one store is done with.
#[derive(Clone)]
pub(super) struct StoreKeys {
    /// Blob ids are BLAKE3 under this key, so that they tell nothing to whoever lacks it.
    pub id_key: Secret<[u8; 32]>,
    /// Makes the places where content is cut a secret of the store: sizes of chunks tell no known file.
    pub chunk_seed: u64,
    pub packs: PackKeys,
}

impl StoreKeys {
    /// Without a master key the ids are derived from the store's public name: still its own, no secret.
    pub fn derive(store: Uuid, master: Option<&MasterKey>) -> Self {
        let material: &[u8] = master.map_or(store.as_bytes(), |key| key.expose());
        let seed = blake3::derive_key(CHUNK_SEED_CONTEXT, material);
        let packs = master.map_or(PackKeys::None, |key| PackKeys::Master(key.0.clone()));
        Self {
            id_key: Secret::new(blake3::derive_key(BLOB_ID_CONTEXT, material)),
            chunk_seed: seed.first_chunk().map_or(0, |head| u64::from_le_bytes(*head)),
            packs,
        }
    }

    /// Tells a right key from a wrong one without giving anything away.
    pub fn check(&self) -> String {
        hex::encode(&blake3::keyed_hash(self.id_key.expose(), CHECK_TEXT).as_bytes()[..16])
    }
}

/// 256 random bits that open a store when the database and the instance key are gone.
pub struct RecoveryKey(Secret<[u8; 32]>);

impl RecoveryKey {
    pub fn random() -> anyhow::Result<Self> {
        random_key().map(Self)
    }

    /// 14 groups of four characters, the last a checksum, to be written down.
    pub fn text(&self) -> Secret<String> {
        let mut digits = base32(self.0.expose(), KEY_DIGITS);
        digits.push_str(&checksum(self.0.expose()));
        let grouped = digits.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-");
        digits.zeroize();
        Secret::new(grouped)
    }

    /// Reads what [`RecoveryKey::text`] wrote, forgiving case, separators and the usual mistaken letters.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let wrong =
            || StoreError::Setup("this is no recovery key: a character is missing, mistyped or too many".to_owned());
        let digits: Vec<u8> = text
            .bytes()
            .filter(|b| !matches!(b, b'-' | b' ' | b'\n' | b'\r' | b'\t'))
            .map(|b| match b.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            })
            .collect();
        if digits.len() != KEY_DIGITS + CHECK_DIGITS {
            return Err(wrong());
        }
        let (body, check) = digits.split_at(KEY_DIGITS);
        let key = unbase32(body).ok_or_else(wrong)?;
        if checksum(&key).as_bytes() != check {
            return Err(wrong());
        }
        Ok(Self(Secret::new(key)))
    }

    fn wrapping_key(&self) -> Secret<[u8; 32]> {
        Secret::new(blake3::derive_key(RECOVERY_CONTEXT, self.0.expose()))
    }
}

/// How the key that wraps the master key comes from what a person holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Kdf {
    /// A recovery key: 256 random bits, so BLAKE3 is enough.
    Recovery,
    /// A pass phrase. Nothing writes these yet; a version that does not know how to read one says so.
    Argon2id { memory_kib: u32, passes: u32, lanes: u32, salt: String },
}

/// `keys/<id>.json`: the master key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    pub format: u16,
    pub id: String,
    pub store: Uuid,
    pub kdf: Kdf,
    /// AES-256-GCM; hexadecimal, with the tag behind the wrapped key.
    pub nonce: String,
    pub wrapped: String,
    pub created: String,
}

impl KeyFile {
    pub fn wrap(store: Uuid, master: &MasterKey, recovery: &RecoveryKey) -> anyhow::Result<Self> {
        let id = hex::encode(Uuid::new_v4().as_bytes());
        let key = RandomizedNonceKey::new(&AES_256_GCM, recovery.wrapping_key().expose())?;
        let mut body = master.expose().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(label(store, &id)), &mut body)?;
        Ok(Self {
            format: super::format::FORMAT,
            store,
            kdf: Kdf::Recovery,
            nonce: hex::encode(nonce.as_ref()),
            wrapped: hex::encode(body),
            created: crate::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            id,
        })
    }

    /// The master key, or `None` when this recovery key is not the one that wrapped it.
    pub fn unwrap(&self, recovery: &RecoveryKey) -> Option<MasterKey> {
        if self.kdf != Kdf::Recovery {
            return None;
        }
        let nonce: [u8; NONCE_LEN] = hex::decode(&self.nonce).ok()?.try_into().ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, recovery.wrapping_key().expose()).ok()?;
        let mut body = hex::decode(&self.wrapped).ok()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let master = key
            .open_in_place(nonce, Aad::from(label(self.store, &self.id)), &mut body)
            .ok()
            .map(|plain| MasterKey::from_slice(plain));
        body.zeroize();
        master.flatten()
    }
}

fn label(store: Uuid, id: &str) -> String {
    format!("kodo master key {} {id}", store.simple())
}

fn checksum(key: &[u8; 32]) -> String {
    base32(blake3::hash(key).as_bytes(), CHECK_DIGITS)
}

/// The first `n_digits` digits of five bits each, most significant bit first, zeros after the end.
fn base32(bytes: &[u8], n_digits: usize) -> String {
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let digit = |n: usize| (0..5).fold(0, |value, at| value << 1 | usize::from(bit(n * 5 + at)));
    (0..n_digits).map(|n| char::from(BASE32[digit(n)])).collect()
}

fn unbase32(digits: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for (n, digit) in digits.iter().enumerate() {
        let value = BASE32.iter().position(|b| b == digit)?;
        for at in 0..5 {
            let bit = n * 5 + at;
            let set = value >> (4 - at) & 1 == 1;
            match key.get_mut(bit / 8) {
                Some(byte) if set => *byte |= 1 << (7 - bit % 8),
                None if set => return None,
                _ => {}
            }
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_survives_pen_and_paper() {
        let key = RecoveryKey::random().unwrap();
        let text = key.text();
        assert_eq!(text.expose().len(), 14 * 5 - 1);

        let sloppy = text.expose().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(RecoveryKey::parse(&sloppy).unwrap().0.expose(), key.0.expose());

        let mut typo = text.expose().clone().into_bytes();
        typo[3] = if typo[3] == b'Z' { b'Y' } else { b'Z' };
        assert!(RecoveryKey::parse(&String::from_utf8(typo).unwrap()).is_err());
        assert!(RecoveryKey::parse("").is_err());
    }

    #[test]
    fn the_master_key_unwraps_with_its_recovery_key_only() {
        let store = Uuid::new_v4();
        let (master, recovery) = (MasterKey::random().unwrap(), RecoveryKey::random().unwrap());
        let file = KeyFile::wrap(store, &master, &recovery).unwrap();

        let json = serde_json::to_string(&file).unwrap();
        let read: KeyFile = serde_json::from_str(&json).unwrap();

        assert_eq!(read.unwrap(&recovery).unwrap().expose(), master.expose());
        assert!(read.unwrap(&RecoveryKey::random().unwrap()).is_none());
        let moved = KeyFile { store: Uuid::new_v4(), ..read };
        assert!(moved.unwrap(&recovery).is_none());
    }

    #[test]
    fn stores_have_keys_of_their_own_with_and_without_encryption() {
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let master = MasterKey::random().unwrap();

        assert_ne!(StoreKeys::derive(a, None).check(), StoreKeys::derive(b, None).check());
        assert_ne!(StoreKeys::derive(a, None).check(), StoreKeys::derive(a, Some(&master)).check());
        assert!(matches!(StoreKeys::derive(a, Some(&master)).packs, PackKeys::Master(_)));
    }
}
