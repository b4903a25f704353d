//! Long content that is being stored in parts: what its beginning is made of.
//!
//! The parts are committed, and no item refers to them until the whole is. They are a hint: collection may take their
//! blobs away, and whoever goes on reads again what the storage does not give.

pub(super) mod sql;

use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, ChainId, ItemKey, PointNumber};

/// A part of content, as blobs with their lengths.
pub type Part = Vec<(BlobId, u32)>;

/// Whose content it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub chain: ChainId,
    pub key: ItemKey,
    /// Tells this content from any other that the item had or will have.
    pub tag: u64,
}

/// The parts that are stored, from the first one on. Those of other content of the item are not told.
pub fn parts(conn: &mut Conn, begun: Begun) -> QueryResult<Vec<Part>> {
    let rows = sql::parts(conn, begun)?;
    // What comes behind a gap is no beginning.
    Ok((0u32..).zip(rows).take_while(|(n, (part, _))| n == part).map(|(_, (_, blobs))| blobs).collect())
}

/// Notes that a part is stored. The first one puts an end to what was noted of other content.
pub fn add(conn: &mut Conn, begun: Begun, point: PointNumber, n: u32, part: &Part) -> QueryResult<()> {
    if n == 0 {
        sql::delete(conn, begun.chain, &[begun.key])?;
    }
    sql::insert(conn, begun, point, n, part)
}

/// Forgets the parts of these items: their content is stored whole, or is no more.
pub fn forget(conn: &mut Conn, chain: ChainId, keys: &[ItemKey]) -> QueryResult<()> {
    keys.chunks(super::BATCH_ROWS).try_for_each(|batch| sql::delete(conn, chain, batch))
}

/// Forgets what was stored in earlier points: nobody went on with it in this one.
pub fn forget_before(conn: &mut Conn, chain: ChainId, point: PointNumber) -> QueryResult<()> {
    sql::delete_before(conn, chain, point)
}
