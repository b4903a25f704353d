//! Table `begun_contents`.

use diesel::prelude::*;

use super::{Begun, Part};
use crate::db::schema::begun_contents;
use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, ChainId, ItemKey, PointNumber};

const ID_BYTES: usize = 16;
const ENTRY_BYTES: usize = ID_BYTES + 4;

/// In the order of their numbers.
pub(super) fn parts(conn: &mut Conn, begun: Begun) -> QueryResult<Vec<(u32, Part)>> {
    let rows: Vec<(u32, Vec<u8>)> = begun_contents::table
        .filter(begun_contents::chain_id.eq(begun.chain.get()))
        .filter(begun_contents::item_key.eq(begun.key.as_bytes().as_slice()))
        .filter(begun_contents::content_tag.eq(begun.tag))
        .order(begun_contents::part)
        .select((begun_contents::part, begun_contents::blobs))
        .load(conn)?;
    rows.into_iter().map(|(part, blobs)| Ok((part, decoded(&blobs)?))).collect()
}

pub(super) fn insert(conn: &mut Conn, begun: Begun, point: PointNumber, n: u32, part: &Part) -> QueryResult<()> {
    diesel::insert_into(begun_contents::table)
        .values((
            begun_contents::chain_id.eq(begun.chain.get()),
            begun_contents::item_key.eq(begun.key.as_bytes().as_slice()),
            begun_contents::part.eq(n),
            begun_contents::content_tag.eq(begun.tag),
            begun_contents::point.eq(point.get()),
            begun_contents::blobs.eq(encoded(part)),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn delete(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<()> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    diesel::delete(begun_contents::table)
        .filter(begun_contents::chain_id.eq(chain.get()))
        .filter(begun_contents::item_key.eq_any(keys))
        .execute(conn)
        .map(drop)
}

pub(super) fn delete_before(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<()> {
    diesel::delete(begun_contents::table)
        .filter(begun_contents::chain_id.eq(chain.get()))
        .filter(begun_contents::point.lt(point.get()))
        .execute(conn)
        .map(drop)
}

fn encoded(part: &Part) -> Vec<u8> {
    part.iter().flat_map(|(blob, bytes)| blob.as_bytes().iter().copied().chain(bytes.to_be_bytes())).collect()
}

fn decoded(bytes: &[u8]) -> QueryResult<Part> {
    let malformed = || diesel::result::Error::DeserializationError("a part of begun content has half an entry".into());
    let entry = |entry: &[u8]| {
        let (id, length) = entry.split_at_checked(ID_BYTES)?;
        Some((BlobId::from_slice(id)?, u32::from_be_bytes(length.try_into().ok()?)))
    };
    bytes.chunks(ENTRY_BYTES).map(|bytes| entry(bytes).ok_or_else(malformed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_it_was_written_and_half_an_entry_is_noticed() {
        let part = vec![(BlobId::from_bytes([1; 16]), 7), (BlobId::from_bytes([2; 16]), 1 << 24)];

        let written = encoded(&part);

        assert_eq!(decoded(&written).unwrap(), part);
        assert!(decoded(&written[..30]).is_err());
    }
}
