//! How 16-byte ids stand in CBOR: as byte strings, never as arrays of numbers.

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decoder, Encoder};

use crate::ids::{BlobId, ItemKey, PackUid};

/// Ids of 16 bytes, whatever they name.
pub(super) trait Id16: Sized {
    fn bytes(&self) -> &[u8; 16];
    fn of(bytes: &[u8]) -> Option<Self>;
}

macro_rules! id16 {
    ($($name:ty),*) => {$(
        impl Id16 for $name {
            fn bytes(&self) -> &[u8; 16] {
                self.as_bytes()
            }

            fn of(bytes: &[u8]) -> Option<Self> {
                Self::from_slice(bytes)
            }
        }
    )*};
}

id16!(BlobId, ItemKey, PackUid);

/// For `#[cbor(with = "id")]`.
pub(super) mod id {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Id16, Write};

    pub fn encode<Ctx, T: Id16, W: Write>(
        id: &T,
        e: &mut Encoder<W>,
        _: &mut Ctx,
    ) -> Result<(), EncodeError<W::Error>> {
        e.bytes(id.bytes())?.ok()
    }

    pub fn decode<Ctx, T: Id16>(d: &mut Decoder<'_>, _: &mut Ctx) -> Result<T, DecodeError> {
        T::of(d.bytes()?).ok_or_else(|| DecodeError::message("an id does not have 16 bytes"))
    }
}

/// For `#[cbor(with = "ids")]`: all ids in one byte string.
pub(super) mod ids {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Id16, Write};

    pub fn encode<Ctx, T: Id16, W: Write>(
        ids: &[T],
        e: &mut Encoder<W>,
        _: &mut Ctx,
    ) -> Result<(), EncodeError<W::Error>> {
        let joined: Vec<u8> = ids.iter().flat_map(|id| *id.bytes()).collect();
        e.bytes(&joined)?.ok()
    }

    pub fn decode<Ctx, T: Id16>(d: &mut Decoder<'_>, _: &mut Ctx) -> Result<Vec<T>, DecodeError> {
        let joined = d.bytes()?;
        if joined.len() % 16 != 0 {
            return Err(DecodeError::message("a list of ids is not a multiple of 16 bytes long"));
        }
        Ok(joined.chunks_exact(16).filter_map(T::of).collect())
    }
}
