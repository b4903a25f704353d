//! A recipe: how content is put together from text of its own and from shared blobs. One blob an item.

use minicbor::{Decode, Encode};

use super::base64_text::Base64Lines;
use super::cbor::id;
use crate::ids::BlobId;

/// Text that recipes keep inside themselves, per run and altogether; what is beyond becomes blobs.
pub const INLINE_RUN_BYTES_MAX: usize = 64 << 10;
pub const INLINE_BYTES_MAX: usize = 512 << 10;
const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recipe {
    #[n(0)]
    version: u8,
    /// The length of the content.
    #[n(1)]
    pub bytes: u64,
    /// The keyed BLAKE3 of the content.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    #[n(3)]
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Step {
    /// These very bytes.
    #[n(0)]
    Inline(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The plain bytes of these blobs.
    #[n(1)]
    Blobs(#[n(0)] Vec<Ingredient>),
    /// The plain bytes of these blobs, together, as base64 in lines.
    #[n(2)]
    Base64(#[n(0)] u32, #[n(1)] bool, #[n(2)] Vec<Ingredient>),
}

/// One shared blob of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ingredient {
    #[cbor(n(0), with = "id")]
    pub blob: BlobId,
    #[n(1)]
    pub bytes: u32,
}

impl Recipe {
    pub fn new(bytes: u64, hash: [u8; 32], steps: Vec<Step>) -> Self {
        Self { version: VERSION, bytes, hash, steps }
    }

    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to memory cannot fail")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let recipe: Self = minicbor::decode(bytes).map_err(|err| format!("its recipe cannot be read: {err}"))?;
        if recipe.version != VERSION {
            return Err(format!("recipe version {} is not known to this version of kodo", recipe.version));
        }
        Ok(recipe)
    }

    /// The shared blobs, each once, in ascending order.
    pub fn refs(&self) -> Vec<BlobId> {
        let mut refs: Vec<BlobId> = self.steps.iter().flat_map(Step::ingredients).map(|part| part.blob).collect();
        refs.sort_unstable();
        refs.dedup();
        refs
    }
}

impl Step {
    pub fn ingredients(&self) -> &[Ingredient] {
        match self {
            Self::Inline(_) => &[],
            Self::Blobs(parts) | Self::Base64(_, _, parts) => parts,
        }
    }

    pub fn lines(&self) -> Option<Base64Lines> {
        match self {
            Self::Inline(_) | Self::Blobs(_) => None,
            Self::Base64(width, crlf, _) => Some(Base64Lines { width: *width, crlf: *crlf }),
        }
    }
}
