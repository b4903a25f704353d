//! What one chain has to do with a restore: how much was asked for, and how far it has come.

pub(super) mod sql;

use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber, ResourceId, RestoreId};

use super::{OutcomeCounts, chains};

/// One chain's part of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub chain: ChainId,
    pub point: PointNumber,
    pub target: ResourceId,
    /// `None` until it is counted.
    pub asked: Option<Asked>,
    pub told: OutcomeCounts,
}

/// How much a restore is to bring back, and what that takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub items: u64,
    pub bytes: u64,
    pub effort: Effort,
}

/// What bringing items back takes, by Microsoft's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    pub requests: u64,
    pub upload_bytes: u64,
    pub seconds: u64,
}

/// Notes that a restore is to bring items of this point back.
pub fn add(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    point: PointNumber,
    target: ResourceId,
) -> QueryResult<()> {
    sql::insert(conn, restore, chain, point, target)
}

/// Notes how much was asked for.
pub fn set_asked(conn: &mut Conn, restore: RestoreId, chain: ChainId, asked: &Asked) -> QueryResult<()> {
    sql::set_asked(conn, restore, chain, asked)
}

/// Notes what the rest of the work takes, as found out by looking at each item.
pub fn set_effort(conn: &mut Conn, restore: RestoreId, chain: ChainId, effort: &Effort) -> QueryResult<()> {
    sql::set_effort(conn, restore, chain, effort)
}

pub fn get(conn: &mut Conn, restore: RestoreId, chain: ChainId) -> QueryResult<Option<Part>> {
    sql::find(conn, restore, chain)
}

/// The parts of a restore in the order of their chains, behind `after`.
pub fn list(conn: &mut Conn, restore: RestoreId, after: ChainId, limit: u32) -> QueryResult<Vec<Part>> {
    sql::list(conn, restore, after, limit)
}

/// Whose data a restore brings into that of whom: the target of this resource's part, if it has one. The parts of one
/// resource have one target.
pub fn target_of(conn: &mut Conn, restore: RestoreId, resource: ResourceId) -> QueryResult<Option<ResourceId>> {
    for chain in chains::of_resources(conn, &[resource])? {
        if let Some(part) = sql::find(conn, restore, chain.id)? {
            return Ok(Some(part.target));
        }
    }
    Ok(None)
}

/// All parts of a restore taken together: how many there are, and in how many it was counted what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub parts: u64,
    pub counted: u64,
    pub asked: Asked,
    /// Seconds of the part that takes longest: parts of different users go on side by side.
    pub seconds_max: u64,
    pub told: OutcomeCounts,
}

pub fn sums(conn: &mut Conn, restore: RestoreId) -> QueryResult<Sums> {
    sql::sums(conn, restore)
}
