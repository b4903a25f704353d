//! The first 64 bytes of a pack.

use uuid::Uuid;

use super::{Damage, FORMAT, Fields};
use crate::ids::{PackUid, WriterId};

pub const HEADER_BYTES: usize = 64;
const MAGIC: [u8; 4] = *b"KODO";
const FLAG_ALIGNED: u16 = 1;
const FLAG_ENCRYPTED: u16 = 2;

/// Who wrote a pack, when, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub aligned: bool,
    pub encrypted: bool,
    pub store: Uuid,
    pub pack: PackUid,
    pub writer: WriterId,
    /// Seconds since 1970 by the writer's clock.
    pub created_s: u32,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut flags = 0;
        if self.aligned {
            flags |= FLAG_ALIGNED;
        }
        if self.encrypted {
            flags |= FLAG_ENCRYPTED;
        }
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        out[6..8].copy_from_slice(&flags.to_le_bytes());
        out[8..24].copy_from_slice(self.store.as_bytes());
        out[24..40].copy_from_slice(self.pack.as_bytes());
        out[40..56].copy_from_slice(self.writer.as_bytes());
        out[56..60].copy_from_slice(&self.created_s.to_le_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of the pack that is named `pack`.
    pub fn decode(pack: PackUid, bytes: &[u8]) -> Result<Self, Damage> {
        let damage = |what: &str| Damage::new(pack, "header", what);
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or_else(|| damage("it is shorter than 64 bytes"))?;
        let parsed = (|| {
            let mut fields = Fields(bytes);
            let magic: [u8; 4] = fields.take()?;
            let (format, flags) = (fields.u16()?, fields.u16()?);
            let header = Self {
                aligned: flags & FLAG_ALIGNED != 0,
                encrypted: flags & FLAG_ENCRYPTED != 0,
                store: Uuid::from_bytes(fields.take()?),
                pack: PackUid::from_bytes(fields.take()?),
                writer: WriterId::from_bytes(fields.take()?),
                created_s: fields.u32()?,
            };
            Some((magic, format, flags, header, fields.u32()?))
        })();
        let (magic, format, flags, header, crc) = parsed.ok_or_else(|| damage("it is cut short"))?;
        if magic != MAGIC {
            return Err(damage("it does not begin with \"KODO\""));
        }
        if crc != crc32c::crc32c(&bytes[..60]) {
            return Err(damage("its checksum is wrong"));
        }
        if format != FORMAT || flags & !(FLAG_ALIGNED | FLAG_ENCRYPTED) != 0 {
            return Err(damage(&format!("format {format} with flags {flags:#x} is not known to this version of kodo")));
        }
        if header.pack != pack {
            return Err(damage(&format!("it says that this is pack {}", header.pack)));
        }
        Ok(header)
    }
}
