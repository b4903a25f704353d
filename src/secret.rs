//! Secrets in memory and at rest.
//!
//! A [`Secret`] is wiped when dropped and never shows its content in logs. A [`Sealer`] encrypts secrets under the
//! instance key before they enter the database, bound to a label so that one cannot be put in another's place.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize;

/// A value that must not be printed. `Debug` shows a placeholder; there is no `Display` and no `Serialize`.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every caller is a place to look at when secrets leak.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret<String> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Fills a new 256-bit key from the operating system's random generator.
pub fn random_key() -> anyhow::Result<Secret<[u8; 32]>> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).ok().context("the system's random generator failed")?;
    Ok(Secret::new(key))
}

/// Seals and opens secrets under one 256-bit key: AES-256-GCM with a random nonce in front.
#[derive(Clone)]
pub struct Sealer {
    key: Secret<[u8; 32]>,
}

impl Sealer {
    pub fn new(key: Secret<[u8; 32]>) -> Self {
        Self { key }
    }

    /// Reads the instance key. Every agent of one installation needs the same file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the instance key {} (\"kodo init\" creates it)", path.display()))?;
        let bytes = STANDARD.decode(text.trim()).ok();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).with_context(|| {
            format!(
                "{} does not hold an instance key (32 bytes in base64); bring the file back from a copy: what it \
                 sealed opens with no other",
                path.display()
            )
        })?;
        Ok(Self::new(Secret::new(key)))
    }

    /// Creates the instance key, readable by its owner alone. Refuses to replace one: what it sealed would be lost.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let key = random_key()?;
        write_private(path, &STANDARD.encode(key.expose()))?;
        Ok(Self::new(key))
    }

    /// Encrypts `plain`; `label` says what it is and must be given again to open it.
    pub fn seal(&self, label: &str, plain: &[u8]) -> anyhow::Result<Vec<u8>> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.key.expose()).ok().context("cannot use the key")?;
        let mut body = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(label), &mut body).ok().context("cannot seal")?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Decrypts what [`Sealer::seal`] made under the same key and label.
    pub fn open(&self, label: &str, sealed: &[u8]) -> anyhow::Result<Secret<Vec<u8>>> {
        ensure!(sealed.len() > NONCE_LEN, "the sealed {label} is cut short");
        let (nonce, body) = sealed.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().context("cannot use the nonce")?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, self.key.expose()).ok().context("cannot use the key")?;
        let mut body = body.to_vec();
        let Ok(plain) = key.open_in_place(nonce, Aad::from(label), &mut body) else {
            bail!("the sealed {label} does not open with this instance key: is it the key of another installation?");
        };
        Ok(Secret::new(plain.to_vec()))
    }
}

/// Writes a new file that only its owner can read, and makes it durable. An existing file is an error.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_with_its_own_key_and_label() {
        let sealer = Sealer::new(random_key().unwrap());
        let sealed = sealer.seal("tenant credential", b"hunter2").unwrap();

        assert_eq!(sealer.open("tenant credential", &sealed).unwrap().expose(), b"hunter2");
        assert!(sealer.open("storage key", &sealed).is_err());
        assert!(Sealer::new(random_key().unwrap()).open("tenant credential", &sealed).is_err());
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "Secret(…)");
    }
}
