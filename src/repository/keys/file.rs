//! One wrapped key: `keys/<id>.json`, to the byte as `docs/FORMAT.md` tells.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroize;

use super::MasterKey;
use super::unlock::{Kdf, Unlock};
use crate::repository::format::FORMAT;

/// 32 bytes of the master key and the tag.
const WRAPPED_BYTES: usize = 48;
const CHECK_FIELD: &str = "\"check\"";

/// The master key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::repository) struct KeyFile {
    pub format: u16,
    pub id: String,
    pub store: Uuid,
    pub kdf: Kdf,
    /// AES-256-GCM; hexadecimal, with the tag behind the wrapped key.
    nonce: String,
    wrapped: String,
    pub created: String,
    /// Of all that stands before it. Only while encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<String>,
}

/// A key on a storage, as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub id: String,
    pub state: KeyState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    Sound {
        kind: KeyKind,
        created: String,
    },
    /// It opens nothing; other keys do.
    Unreadable {
        why: String,
    },
}

/// What a person holds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    Recovery,
    Passphrase,
    KeyFile,
}

impl KeyKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Passphrase => "passphrase",
            Self::KeyFile => "keyfile",
        }
    }
}

impl KeyFile {
    /// Wraps the master key so that `unlock` opens it.
    pub fn wrap(store: Uuid, master: &MasterKey, unlock: &Unlock) -> anyhow::Result<Self> {
        Self::wrap_under(store, master, unlock, unlock.new_kdf()?)
    }

    fn wrap_under(store: Uuid, master: &MasterKey, unlock: &Unlock, kdf: Kdf) -> anyhow::Result<Self> {
        let id = hex::encode(Uuid::new_v4().as_bytes());
        let wrapping = unlock.wrapping_key(&kdf).ok_or_else(|| anyhow::anyhow!("the key cannot be derived"))?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, wrapping.expose())?;
        let mut body = master.expose().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(label(store, &id)), &mut body)?;
        Ok(Self {
            format: FORMAT,
            store,
            kdf,
            nonce: hex::encode(nonce.as_ref()),
            wrapped: hex::encode(body),
            created: crate::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            id,
            check: None,
        })
    }

    /// The master key, or `None` when this is not what wrapped it.
    pub fn unwrap(&self, unlock: &Unlock) -> Option<MasterKey> {
        let wrapping = unlock.wrapping_key(&self.kdf)?;
        let nonce: [u8; NONCE_LEN] = hex::decode(&self.nonce).ok()?.try_into().ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, wrapping.expose()).ok()?;
        let mut body = hex::decode(&self.wrapped).ok()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let master = key
            .open_in_place(nonce, Aad::from(label(self.store, &self.id)), &mut body)
            .ok()
            .map(|plain| MasterKey::from_slice(plain));
        body.zeroize();
        master.flatten()
    }

    pub fn kind(&self) -> KeyKind {
        match self.kdf {
            Kdf::Recovery => KeyKind::Recovery,
            Kdf::KeyFile => KeyKind::KeyFile,
            Kdf::Argon2id { .. } => KeyKind::Passphrase,
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let plain = serde_json::to_string_pretty(self).expect("our own structs are representable in JSON");
        let covered = format!("{},\n  ", plain.strip_suffix("\n}").unwrap_or(&plain));
        let end = check_text(&covered);
        format!("{covered}{CHECK_FIELD}{end}").into_bytes()
    }

    /// Reads the file. Every byte of it is covered by its check, or it has none and is from before there were checks.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        if let Some((covered, end)) = text.rsplit_once(CHECK_FIELD)
            && end != check_text(covered)
        {
            return Err("its check does not fit: it was changed or damaged".to_owned());
        }
        let file: Self = serde_json::from_str(text).map_err(|err| err.to_string())?;
        if file.format != FORMAT {
            return Err(format!("it has format {}, and this version of kodo knows format {FORMAT}", file.format));
        }
        file.kdf.check()?;
        let has_bytes = |text: &str, n: usize| hex::decode(text).is_ok_and(|bytes| bytes.len() == n);
        if !is_key_id(&file.id) || !has_bytes(&file.nonce, NONCE_LEN) || !has_bytes(&file.wrapped, WRAPPED_BYTES) {
            return Err("a field of it has a wrong length".to_owned());
        }
        Ok(Self { check: None, ..file })
    }
}

/// 32 lower-case hexadecimal digits.
pub(super) fn is_key_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What follows the name of the check's field, to the end of the file.
fn check_text(covered: &str) -> String {
    let hash = blake3::hash(covered.as_bytes());
    format!(": \"{}\"\n}}\n", hex::encode(&hash.as_bytes()[..16]))
}

fn label(store: Uuid, id: &str) -> String {
    format!("kodo master key {} {id}", store.simple())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::repository::RecoveryKey;
    use crate::secret::Secret;

    /// As costly as a test can bear.
    fn cheap() -> Kdf {
        Kdf::Argon2id { memory_kib: 16, passes: 1, lanes: 1, salt: "5a".repeat(16) }
    }

    fn phrase(text: &str) -> Unlock {
        Unlock::passphrase(Secret::new(text.to_owned())).unwrap()
    }

    fn key_file(seed: u8) -> Unlock {
        Unlock::key_file(Secret::new((seed..seed + 64).collect())).unwrap()
    }

    fn one_of_each(store: Uuid, master: &MasterKey) -> [(KeyFile, Unlock); 3] {
        let recovery = || Unlock::recovery_key(RecoveryKey::from_bytes([9; 32]).text().expose()).unwrap();
        [
            (KeyFile::wrap(store, master, &recovery()).unwrap(), recovery()),
            (KeyFile::wrap(store, master, &key_file(1)).unwrap(), key_file(1)),
            (
                KeyFile::wrap_under(store, master, &phrase("correct horse battery"), cheap()).unwrap(),
                phrase("correct horse battery"),
            ),
        ]
    }

    #[test]
    fn the_master_key_unwraps_with_what_wrapped_it_and_with_nothing_else() {
        let (store, master) = (Uuid::new_v4(), MasterKey::random().unwrap());
        let all = one_of_each(store, &master);

        for (at, (file, _)) in all.iter().enumerate() {
            let read = KeyFile::decode(&file.encode()).unwrap();
            assert_eq!(read, *file);
            for (other, (_, unlock)) in all.iter().enumerate() {
                let opened = read.unwrap(unlock).map(|key| *key.expose());
                assert_eq!(opened, (at == other).then_some(*master.expose()), "{:?} by {unlock:?}", read.kind());
            }
            for wrong in [Unlock::from(RecoveryKey::random().unwrap()), key_file(2), phrase("correct horse Battery")] {
                assert!(read.unwrap(&wrong).is_none());
            }
            let moved = KeyFile { store: Uuid::new_v4(), ..read.clone() };
            let renamed = KeyFile { id: "0".repeat(32), ..read };
            assert!(moved.unwrap(&all[at].1).is_none() && renamed.unwrap(&all[at].1).is_none());
        }
    }

    #[test]
    fn a_passphrase_costs_what_rfc_9106_recommends() {
        let file = KeyFile::wrap(Uuid::new_v4(), &MasterKey::random().unwrap(), &phrase("correct horse battery"));

        let Kdf::Argon2id { memory_kib, passes, lanes, salt } = file.unwrap().kdf else { panic!("another kind") };
        assert_eq!((memory_kib, passes, lanes, salt.len()), (65536, 3, 4, 32));
    }

    #[test]
    fn a_key_file_from_before_there_were_checks_is_read() {
        let (file, unlock) = one_of_each(Uuid::new_v4(), &MasterKey::random().unwrap()).into_iter().next().unwrap();
        let plain = serde_json::to_vec_pretty(&file).unwrap();

        assert!(KeyFile::decode(&plain).unwrap().unwrap(&unlock).is_some());
    }

    proptest! {
        #[test]
        fn any_changed_byte_of_a_key_file_is_refused(at in any::<prop::sample::Index>(), mask in 1..=255u8, kind in 0..3usize) {
            let all = one_of_each(Uuid::from_bytes([3; 16]), &MasterKey::from_slice(&[5; 32]).unwrap());
            let mut bytes = all[kind].0.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;

            prop_assert!(KeyFile::decode(&bytes).is_err(), "byte {at}: {}", String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_key_file_cut_short_is_refused(keep in any::<prop::sample::Index>(), kind in 0..3usize) {
            let all = one_of_each(Uuid::from_bytes([3; 16]), &MasterKey::from_slice(&[5; 32]).unwrap());
            let bytes = all[kind].0.encode();

            prop_assert!(KeyFile::decode(&bytes[..keep.index(bytes.len())]).is_err());
        }

        #[test]
        fn a_wrong_passphrase_opens_nothing(wrong in ".{12,40}") {
            prop_assume!(wrong != "correct horse battery");
            let master = MasterKey::from_slice(&[5; 32]).unwrap();
            let right = phrase("correct horse battery");
            let file = KeyFile::wrap_under(Uuid::from_bytes([3; 16]), &master, &right, cheap()).unwrap();

            prop_assert!(file.unwrap(&phrase(&wrong)).is_none());
        }
    }
}
