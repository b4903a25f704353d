//! Rehearsals and how they went: for each chain how many fields should have come back and how many did, and which
//! fields of which items differ. Scores are kept for good; nothing here tells what is in a field.

mod sql;

use chrono::{DateTime, Utc};

use super::fit;
use crate::clock;
use crate::db::{Conn, QueryResult};
use crate::ids::{
    ChainId, FeatureName, ItemKey, OrganizationId, PointNumber, RehearsalId, ResourceId, RestoreId, TaskId,
};

/// Differences that are named of one rehearsal; all are counted.
pub const DIFFERENCES_MAX: usize = 1_000;
const REMARK_CHARS_MAX: usize = 1_000;

/// A rehearsal that is begun.
#[derive(Clone, Debug)]
pub struct NewRehearsal {
    pub organization: OrganizationId,
    /// Into whose data the samples are restored.
    pub sandbox: ResourceId,
    pub seed: u64,
    /// Items of each feature at most.
    pub per_feature: u32,
    pub requested_by: String,
}

#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub id: RehearsalId,
    pub organization: OrganizationId,
    pub sandbox: ResourceId,
    pub seed: u64,
    pub per_feature: u32,
    pub restore: RestoreId,
    /// The task that compares and clears.
    pub task: TaskId,
    pub cancel_requested: bool,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    /// When the sandbox was cleared; `None` before.
    pub finished_at: Option<DateTime<Utc>>,
}

/// One chain's part of a rehearsal.
#[derive(Clone, Debug)]
pub struct Score {
    pub chain: ChainId,
    pub point: PointNumber,
    pub feature: FeatureName,
    pub n_sampled: u32,
    /// `None` until it was compared.
    pub compared: Option<Compared>,
    /// What stays in the sandbox.
    pub stays: Option<String>,
    pub is_cleared: bool,
}

/// How a sample came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Items that were read back.
    pub n_compared: u32,
    /// Items that are not there, or cannot be read.
    pub n_missing: u32,
    /// Items that Microsoft lets nobody bring back.
    pub n_left_out: u32,
    /// Fields that should have come back, and those that did.
    pub n_fields: u64,
    pub n_back: u64,
    /// Why it could not be compared.
    pub remark: Option<String>,
}

/// A field of an item that came back otherwise, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub chain: ChainId,
    pub key: ItemKey,
    /// As docs/FIDELITY.md calls it.
    pub field: String,
    /// Which property, where the field has several.
    pub part: String,
}

pub fn insert(conn: &mut Conn, new: &NewRehearsal) -> QueryResult<RehearsalId> {
    sql::insert(conn, new, clock::now())
}

/// Notes who does the work of a rehearsal, in the transaction that begins it.
pub fn set_work(conn: &mut Conn, id: RehearsalId, restore: RestoreId, task: TaskId) -> QueryResult<()> {
    sql::set_work(conn, id, restore, task)
}

pub fn get(conn: &mut Conn, id: RehearsalId) -> QueryResult<Option<Rehearsal>> {
    sql::find(conn, id)
}

/// The rehearsal that a restore was made for.
pub fn of_restore(conn: &mut Conn, restore: RestoreId) -> QueryResult<Option<RehearsalId>> {
    sql::of_restore(conn, restore)
}

/// Rehearsals, newest first, older than `before`.
pub fn list(
    conn: &mut Conn,
    organization: Option<OrganizationId>,
    before: Option<RehearsalId>,
    limit: u32,
) -> QueryResult<Vec<Rehearsal>> {
    sql::list(conn, organization, before, limit)
}

/// The newest that went to its end and was not cancelled, of all organizations.
pub fn newest_finished(conn: &mut Conn) -> QueryResult<Option<Rehearsal>> {
    sql::newest_finished(conn)
}

/// Asks a rehearsal to compare nothing more, and only to clear its sandbox.
pub fn request_cancel(conn: &mut Conn, id: RehearsalId) -> QueryResult<()> {
    sql::request_cancel(conn, id)
}

pub fn finish(conn: &mut Conn, id: RehearsalId) -> QueryResult<()> {
    sql::finish(conn, id, clock::now())
}

/// Adds the part of a chain, of which that many items were drawn.
pub fn add_part(
    conn: &mut Conn,
    id: RehearsalId,
    (chain, point): (ChainId, PointNumber),
    feature: &FeatureName,
    n_sampled: u32,
) -> QueryResult<()> {
    sql::insert_score(conn, id, (chain, point), feature, n_sampled)
}

/// The parts of a rehearsal, as many as it was begun with.
pub fn scores(conn: &mut Conn, id: RehearsalId) -> QueryResult<Vec<Score>> {
    sql::scores(conn, id)
}

/// Records how a part came back; what was recorded of it before is replaced.
pub fn put_compared(
    conn: &mut Conn,
    id: RehearsalId,
    chain: ChainId,
    compared: &Compared,
    differences: &[Difference],
) -> QueryResult<()> {
    let remark = compared.remark.as_deref().map(|remark| fit(remark, REMARK_CHARS_MAX));
    sql::set_compared(conn, id, chain, &Compared { remark, ..compared.clone() }, clock::now())?;
    sql::delete_differences(conn, id, chain)?;
    let held = usize::try_from(sql::count_differences(conn, id)?).unwrap_or(DIFFERENCES_MAX);
    let room = DIFFERENCES_MAX.saturating_sub(held);
    sql::insert_differences(conn, id, &differences[..room.min(differences.len())])
}

/// Records that the sandbox is cleared of a part, but for what stays.
pub fn put_cleared(conn: &mut Conn, id: RehearsalId, chain: ChainId, stays: Option<&str>) -> QueryResult<()> {
    let stays = stays.map(|stays| fit(stays, REMARK_CHARS_MAX));
    sql::set_cleared(conn, id, chain, stays.as_deref(), clock::now())
}

/// Differences in the order in which they were found, with the number of each, behind `after`.
pub fn differences(
    conn: &mut Conn,
    id: RehearsalId,
    after: Option<u64>,
    limit: u32,
) -> QueryResult<Vec<(u64, Difference)>> {
    sql::differences(conn, id, after.unwrap_or(0), limit)
}
