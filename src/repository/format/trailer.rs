//! The last 96 bytes of a pack: where its index and records lie, and the hashes of everything before.

use super::{Damage, Fields, HEADER_BYTES, SECTION_BYTES_MAX};
use crate::ids::PackUid;

pub const TRAILER_BYTES: usize = 96;
const MAGIC: [u8; 4] = *b"KEND";
/// What encryption and zstd may add to a section.
const STORED_OVERHEAD_MAX: usize = (64 << 10) + SECTION_BYTES_MAX / 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// BLAKE3 of the bytes from 0 to `index_offset`: header, frames and padding.
    pub data_hash: [u8; 32],
    /// BLAKE3 of the bytes from `index_offset` to the trailer: stored index, stored records, padding.
    pub sections_hash: [u8; 32],
    pub index_offset: u64,
    pub index_stored: u32,
    pub index_plain: u32,
    pub records_stored: u32,
    pub records_plain: u32,
}

impl Trailer {
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[0..32].copy_from_slice(&self.data_hash);
        out[32..64].copy_from_slice(&self.sections_hash);
        out[64..72].copy_from_slice(&self.index_offset.to_le_bytes());
        out[72..76].copy_from_slice(&self.index_stored.to_le_bytes());
        out[76..80].copy_from_slice(&self.index_plain.to_le_bytes());
        out[80..84].copy_from_slice(&self.records_stored.to_le_bytes());
        out[84..88].copy_from_slice(&self.records_plain.to_le_bytes());
        let crc = crc32c::crc32c(&out[..88]);
        out[88..92].copy_from_slice(&crc.to_le_bytes());
        out[92..96].copy_from_slice(&MAGIC);
        out
    }

    /// Reads the trailer at the end of `tail`, which is the end of a pack of `pack_bytes`.
    pub fn decode(pack: PackUid, tail: &[u8], pack_bytes: u64) -> Result<Self, Damage> {
        let (trailer, sound) = Self::decode_unproved(pack, tail, pack_bytes)?;
        if sound { Ok(trailer) } else { Err(Damage::new(pack, "trailer", "its checksum is wrong")) }
    }

    /// As [`Self::decode`], for whoever proves by other means what it leads to: whether its checksum is right is told.
    pub fn decode_unproved(pack: PackUid, tail: &[u8], pack_bytes: u64) -> Result<(Self, bool), Damage> {
        let damage = |what: &str| Damage::new(pack, "trailer", what);
        let bytes: &[u8; TRAILER_BYTES] =
            tail.last_chunk().ok_or_else(|| damage("the file is shorter than a trailer"))?;
        let parsed = (|| {
            let mut fields = Fields(bytes);
            let trailer = Self {
                data_hash: fields.take()?,
                sections_hash: fields.take()?,
                index_offset: fields.u64()?,
                index_stored: fields.u32()?,
                index_plain: fields.u32()?,
                records_stored: fields.u32()?,
                records_plain: fields.u32()?,
            };
            Some((trailer, fields.u32()?, fields.take::<4>()?))
        })();
        let (trailer, crc, magic) = parsed.ok_or_else(|| damage("it is cut short"))?;
        if magic != MAGIC {
            return Err(damage("the file does not end with \"KEND\": it is cut short or no pack"));
        }
        let sound = crc == crc32c::crc32c(&bytes[..88]);
        match trailer.check(pack_bytes) {
            Ok(()) => Ok((trailer, sound)),
            Err(_) if !sound => Err(damage("its checksum is wrong")),
            Err(what) => Err(damage(what)),
        }
    }

    fn check(&self, pack_bytes: u64) -> Result<(), &'static str> {
        if self.index_plain as usize > SECTION_BYTES_MAX || self.records_plain as usize > SECTION_BYTES_MAX {
            return Err("a section is larger than the format allows");
        }
        let stored_max = SECTION_BYTES_MAX + STORED_OVERHEAD_MAX;
        if self.index_stored as usize > stored_max || self.records_stored as usize > stored_max {
            return Err("a stored section is larger than the format allows");
        }
        let stored = u64::from(self.index_stored) + u64::from(self.records_stored);
        let end = self.index_offset.checked_add(stored).ok_or("the index lies beyond all bounds")?;
        let trailer_at = pack_bytes.checked_sub(TRAILER_BYTES as u64).ok_or("the file is shorter than a trailer")?;
        let padding = trailer_at.checked_sub(end).ok_or("index and records reach beyond the trailer")?;
        if self.index_offset < HEADER_BYTES as u64 || padding >= super::ALIGNMENT {
            return Err("index and records are not where they must be: the file has another length than was written");
        }
        Ok(())
    }

    /// How many bytes from `index_offset` to the trailer: the sections and, in the aligned layout, padding.
    pub fn sections_bytes(&self, pack_bytes: u64) -> u64 {
        pack_bytes.saturating_sub(self.index_offset).saturating_sub(TRAILER_BYTES as u64)
    }

    /// Splits the bytes between `index_offset` and the trailer into stored index and stored records, and checks their
    /// hash.
    pub fn split<'a>(&self, pack: PackUid, sections: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Damage> {
        let damage = |what: &str| Damage::new(pack, "index", what);
        let (index, records) = (self.index_stored as usize, self.records_stored as usize);
        if blake3::hash(sections).as_bytes() != &self.sections_hash {
            return Err(damage("the hash over index and records is wrong"));
        }
        let stored = sections.get(..index + records).ok_or_else(|| damage("it is cut short"))?;
        Ok(stored.split_at(index))
    }
}
