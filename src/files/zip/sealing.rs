//! AES-256 as WinZip has it (AE-2), which 7-Zip and most other programs open.

use anyhow::Context;
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::pbkdf2;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

use crate::secret::Secret;

const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Tells a wrong passphrase before anything is opened, but for one in 65,536.
const VERIFIER_BYTES: usize = 2;
const CHECK_BYTES: usize = 10;
const BLOCK_BYTES: usize = 16;
/// Key stream that is made at once.
const STREAM_BYTES: usize = 256 * BLOCK_BYTES;
/// The format says so, and readers count on it: what protects is a long passphrase.
const ROUNDS: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");

/// One file that is being sealed.
pub(super) struct Sealing {
    cipher: EncryptingKey,
    check: hmac::Context,
    /// Counts blocks from 1, in little endian: the one thing for which no mode of the library stands.
    counter: u64,
    stream: Vec<u8>,
    /// Bytes of the stream that were used.
    used: usize,
}

impl Sealing {
    /// Writes what stands before the sealed bytes.
    pub(super) fn begin(passphrase: &Secret<String>, out: &mut Vec<u8>) -> anyhow::Result<Self> {
        let mut salt = [0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt).ok().context("the system's random generator failed")?;
        let mut keys = Zeroizing::new([0; 2 * KEY_BYTES + VERIFIER_BYTES]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, &salt, passphrase.expose().as_bytes(), &mut *keys);
        let (cipher, rest) = keys.split_at(KEY_BYTES);
        let (check, verifier) = rest.split_at(KEY_BYTES);
        let key = UnboundCipherKey::new(&AES_256, cipher).ok().context("cannot use the key")?;
        let cipher = EncryptingKey::ecb(key).ok().context("cannot use the key")?;
        let check = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, check));
        out.extend_from_slice(&salt);
        out.extend_from_slice(verifier);
        Ok(Self { cipher, check, counter: 1, stream: Vec::new(), used: 0 })
    }

    /// Seals bytes in place.
    pub(super) fn seal(&mut self, bytes: &mut [u8]) -> anyhow::Result<()> {
        let mut rest = &mut *bytes;
        while !rest.is_empty() {
            if self.used == self.stream.len() {
                self.more_stream()?;
            }
            let n = rest.len().min(self.stream.len() - self.used);
            let (now, later) = rest.split_at_mut(n);
            for (byte, key) in now.iter_mut().zip(&self.stream[self.used..]) {
                *byte ^= key;
            }
            self.used += n;
            rest = later;
        }
        self.check.update(bytes);
        Ok(())
    }

    /// Writes what stands behind the sealed bytes.
    pub(super) fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.check.sign().as_ref()[..CHECK_BYTES]);
    }

    fn more_stream(&mut self) -> anyhow::Result<()> {
        self.stream.clear();
        while self.stream.len() < STREAM_BYTES {
            self.stream.extend_from_slice(&u128::from(self.counter).to_le_bytes());
            self.counter += 1;
        }
        self.cipher.encrypt(&mut self.stream).ok().context("cannot seal")?;
        self.used = 0;
        Ok(())
    }
}
