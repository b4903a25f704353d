//! Puts content together again, piece by piece, and proves at the end that it is the content that came in.

use super::base64_text::Base64Text;
use super::recipe::{Recipe, Step};

/// Content on its way out. Steps are gone through in order: `begin`, `add` for each of its blobs, `end`.
pub struct Assembly {
    hashing: blake3::Hasher,
    bytes: u64,
    expected: (u64, [u8; 32]),
    encoding: Option<Base64Text>,
}

impl Assembly {
    pub fn new(recipe: &Recipe, id_key: &[u8; 32]) -> Self {
        Self {
            hashing: blake3::Hasher::new_keyed(id_key),
            bytes: 0,
            expected: (recipe.bytes, recipe.hash),
            encoding: None,
        }
    }

    pub fn begin(&mut self, step: &Step, out: &mut Vec<u8>) {
        self.encoding = step.lines().map(Base64Text::new);
        if let Step::Inline(text) = step {
            self.count(out.len(), out, |out| out.extend_from_slice(text));
        }
    }

    pub fn add(&mut self, blob: &[u8], out: &mut Vec<u8>) {
        let encoding = self.encoding.take();
        self.encoding = self.count(out.len(), out, |out| match encoding {
            None => {
                out.extend_from_slice(blob);
                None
            }
            Some(mut text) => {
                text.push(blob, out);
                Some(text)
            }
        });
    }

    pub fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(text) = self.encoding.take() {
            self.count(out.len(), out, |out| text.finish(out));
        }
    }

    fn count<T>(&mut self, from: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let result = write(out);
        self.hashing.update(&out[from..]);
        self.bytes += (out.len() - from) as u64;
        result
    }

    /// Says what is wrong when the content is not the one that was taken apart.
    pub fn finish(self) -> Result<(), String> {
        let (bytes, hash) = self.expected;
        if self.bytes != bytes {
            return Err(format!("it has {} bytes instead of {bytes}", self.bytes));
        }
        if self.hashing.finalize().as_bytes() != &hash {
            return Err("its hash is wrong".to_owned());
        }
        Ok(())
    }
}
