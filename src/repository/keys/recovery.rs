//! The recovery key: 256 random bits on paper that open a store when the database and the instance key are gone.

use zeroize::Zeroize;

use crate::repository::StoreError;
use crate::secret::{Secret, random_key};

const RECOVERY_CONTEXT: &str = "kodo format 1: recovery key wraps master key";
/// Crockford's alphabet: no I, L, O or U.
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEY_DIGITS: usize = 52;
const CHECK_DIGITS: usize = 4;

/// 256 random bits that open a store when the database and the instance key are gone.
#[derive(Clone, Debug)]
pub struct RecoveryKey(Secret<[u8; 32]>);

impl RecoveryKey {
    pub fn random() -> anyhow::Result<Self> {
        random_key().map(Self)
    }

    #[cfg(test)]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
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

    pub(super) fn wrapping_key(&self) -> Secret<[u8; 32]> {
        Secret::new(blake3::derive_key(RECOVERY_CONTEXT, self.0.expose()))
    }
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
}
