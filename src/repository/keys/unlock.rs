//! What a person holds that opens a store, and the key that comes from it.

use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::recovery::RecoveryKey;
use crate::repository::StoreError;
use crate::secret::{Secret, random_key};

const KEY_FILE_CONTEXT: &str = "kodo format 1: key file wraps master key";
/// Shorter ones are guessed, whatever they cost to try.
const PASSPHRASE_CHARS_MIN: usize = 12;
const PASSPHRASE_BYTES_MAX: usize = 1 << 10;
const KEY_FILE_BYTES_MIN: usize = 32;
const KEY_FILE_BYTES_MAX: usize = 64 << 10;
/// 32 random bytes have some thirty; a file of zeros or of one line repeated has a few.
const KEY_FILE_DISTINCT_MIN: usize = 8;

/// What new passphrases cost: the second recommendation of RFC 9106.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// The most that a key file may ask for: whoever can write to the storage must not be able to exhaust this machine.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 64;

/// One derivation of a passphrase at a time, however many ask, so that their memory does not add up.
static DERIVING: Mutex<()> = Mutex::new(());

/// What opens an encrypted store.
#[derive(Debug)]
pub enum Unlock {
    RecoveryKey(RecoveryKey),
    Passphrase(Passphrase),
    KeyFile(KeyFileContent),
}

/// A passphrase of a length that can be one.
#[derive(Debug)]
pub struct Passphrase(Secret<String>);

/// The bytes of a file that an administrator keeps.
#[derive(Debug)]
pub struct KeyFileContent(Secret<Vec<u8>>);

impl From<RecoveryKey> for Unlock {
    fn from(key: RecoveryKey) -> Self {
        Self::RecoveryKey(key)
    }
}

impl Unlock {
    /// A recovery key as it was written down.
    pub fn recovery_key(text: &str) -> Result<Self, StoreError> {
        RecoveryKey::parse(text).map(Self::RecoveryKey)
    }

    /// A passphrase, byte for byte: blanks and letter case count.
    pub fn passphrase(text: Secret<String>) -> Result<Self, StoreError> {
        if text.expose().chars().count() < PASSPHRASE_CHARS_MIN || text.expose().len() > PASSPHRASE_BYTES_MAX {
            return Err(StoreError::Setup(format!(
                "a passphrase has at least {PASSPHRASE_CHARS_MIN} characters and at most {PASSPHRASE_BYTES_MAX} bytes"
            )));
        }
        Ok(Self::Passphrase(Passphrase(text)))
    }

    /// The content of a key file.
    pub fn key_file(content: Secret<Vec<u8>>) -> Result<Self, StoreError> {
        let bytes = content.expose();
        if !(KEY_FILE_BYTES_MIN..=KEY_FILE_BYTES_MAX).contains(&bytes.len()) {
            return Err(StoreError::Setup(format!(
                "a key file has {KEY_FILE_BYTES_MIN} to {KEY_FILE_BYTES_MAX} bytes, and this one has {}",
                bytes.len()
            )));
        }
        let mut seen = [false; 256];
        bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        if seen.iter().filter(|seen| **seen).count() < KEY_FILE_DISTINCT_MIN {
            return Err(StoreError::Setup(
                "this key file is not random: make one with \"head -c 64 /dev/urandom > FILE\"".to_owned(),
            ));
        }
        Ok(Self::KeyFile(KeyFileContent(content)))
    }

    /// How a new key file on the storage says that this opens it.
    pub(super) fn new_kdf(&self) -> anyhow::Result<Kdf> {
        Ok(match self {
            Self::RecoveryKey(_) => Kdf::Recovery,
            Self::KeyFile(_) => Kdf::KeyFile,
            Self::Passphrase(_) => Kdf::Argon2id {
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: hex::encode(&random_key()?.expose()[..SALT_BYTES]),
            },
        })
    }

    /// The key that wraps the master key, or `None` when that key comes from something else.
    pub(super) fn wrapping_key(&self, kdf: &Kdf) -> Option<Secret<[u8; 32]>> {
        match (self, kdf) {
            (Self::RecoveryKey(key), Kdf::Recovery) => Some(key.wrapping_key()),
            (Self::KeyFile(content), Kdf::KeyFile) => {
                Some(Secret::new(blake3::derive_key(KEY_FILE_CONTEXT, content.0.expose())))
            }
            (Self::Passphrase(phrase), Kdf::Argon2id { memory_kib, passes, lanes, salt }) => {
                kdf.check().ok()?;
                let params = Params::new(*memory_kib, *passes, *lanes, Some(32)).ok()?;
                let mut key = [0; 32];
                let _one = DERIVING.lock().unwrap_or_else(PoisonError::into_inner);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(phrase.0.expose().as_bytes(), &hex::decode(salt).ok()?, &mut key)
                    .ok()?;
                Some(Secret::new(key))
            }
            (Self::RecoveryKey(_) | Self::Passphrase(_) | Self::KeyFile(_), _) => None,
        }
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::RecoveryKey(_) => "recovery key",
            Self::Passphrase(_) => "passphrase",
            Self::KeyFile(_) => "key file",
        }
    }
}

/// How the key that wraps the master key comes from what a person holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Kdf {
    /// A recovery key: 256 random bits, so BLAKE3 is enough.
    Recovery,
    /// A file of random bytes, so BLAKE3 is enough.
    KeyFile,
    /// A passphrase, which is made costly to guess.
    Argon2id { memory_kib: u32, passes: u32, lanes: u32, salt: String },
}

impl Kdf {
    /// Refuses what would cost more than any version of kodo writes.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self::Argon2id { memory_kib, passes, lanes, salt } = self else { return Ok(()) };
        let salt = hex::decode(salt).map_err(|_| "its salt is not hexadecimal".to_owned())?;
        let sane = (1..=LANES_MAX).contains(lanes)
            && (1..=PASSES_MAX).contains(passes)
            && (8 * lanes..=MEMORY_KIB_MAX).contains(memory_kib)
            && (SALT_BYTES..=SALT_BYTES_MAX).contains(&salt.len());
        if sane {
            return Ok(());
        }
        Err(format!(
            "it asks for {memory_kib} KiB of memory, {passes} passes, {lanes} lanes and a salt of {} bytes, and at most \
             {MEMORY_KIB_MAX}, {PASSES_MAX}, {LANES_MAX} and {SALT_BYTES_MAX} are granted",
            salt.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kdf(memory_kib: u32, passes: u32, lanes: u32, salt_bytes: usize) -> Kdf {
        Kdf::Argon2id { memory_kib, passes, lanes, salt: "ab".repeat(salt_bytes) }
    }

    #[test]
    fn what_a_hostile_key_file_asks_for_is_not_granted() {
        kdf(MEMORY_KIB, PASSES, LANES, SALT_BYTES).check().unwrap();
        let phrase = Unlock::passphrase(Secret::new("correct horse battery".to_owned())).unwrap();
        let greedy = [
            kdf(u32::MAX, 3, 4, 16),
            kdf(MEMORY_KIB_MAX + 1, 3, 4, 16),
            kdf(65536, u32::MAX, 4, 16),
            kdf(65536, 3, u32::MAX, 16),
            kdf(65536, 3, 0, 16),
            kdf(65536, 0, 4, 16),
            kdf(0, 3, 4, 16),
            kdf(65536, 3, 4, 0),
            kdf(65536, 3, 4, 4096),
            Kdf::Argon2id { memory_kib: 65536, passes: 3, lanes: 4, salt: "no hexadecimal".into() },
        ];
        for kdf in greedy {
            assert!(kdf.check().is_err(), "{kdf:?}");
            assert!(phrase.wrapping_key(&kdf).is_none(), "{kdf:?}");
        }
    }

    #[test]
    fn what_is_too_weak_to_be_a_key_is_refused() {
        let phrase = |text: &str| Unlock::passphrase(Secret::new(text.to_owned()));
        assert!(phrase("").is_err());
        assert!(phrase("elevenchars").is_err());
        phrase("twelve chars").unwrap();
        assert!(phrase(&"x".repeat(PASSPHRASE_BYTES_MAX + 1)).is_err());

        let file = |content: Vec<u8>| Unlock::key_file(Secret::new(content));
        assert!(file((0..31).collect()).is_err());
        file((0..32).collect()).unwrap();
        assert!(file(vec![0; 4096]).unwrap_err().to_string().contains("not random"));
        assert!(file((0..=255).cycle().take(KEY_FILE_BYTES_MAX + 1).collect()).is_err());
    }

    #[test]
    fn what_opens_a_store_does_not_print_itself() {
        let phrase = Unlock::passphrase(Secret::new("correct horse battery".to_owned())).unwrap();
        assert!(!format!("{phrase:?}").contains("horse"));
    }
}
