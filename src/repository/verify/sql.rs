//! The tables `verifications`, `quarantines` and `losses`.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Bool, Datetime};

use super::{DamagedRow, VerificationRow};
use crate::db::schema::{losses, quarantines, verifications};
use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, PackId, StorageId, TaskId};

/// Rows in one INSERT or page.
const PAGE_ROWS: usize = 1000;
/// Verifications of one storage that are remembered.
const KEPT_MAX: i64 = 100;
const WHAT_CHARS_MAX: usize = 500;

/// What a verification counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub n_packs: u64,
    /// Stored bytes.
    pub bytes: u64,
    pub n_unknown: u64,
    pub n_unreadable: u64,
    pub n_sampled: u64,
}

impl Counted {
    pub fn add(&mut self, more: &Self) {
        self.n_packs += more.n_packs;
        self.bytes += more.bytes;
        self.n_unknown += more.n_unknown;
        self.n_unreadable += more.n_unreadable;
        self.n_sampled += more.n_sampled;
    }
}

pub(super) struct NewDamaged<'a> {
    pub pack: PackId,
    pub task: TaskId,
    pub what: &'a str,
    pub all_lost: bool,
    pub n_lost: usize,
    pub n_saved: usize,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = verifications)]
struct VerificationRecord {
    task_id: u64,
    level: u8,
    started_at: NaiveDateTime,
    finished_at: Option<NaiveDateTime>,
    n_packs: u64,
    bytes: u64,
    n_unknown: u64,
    n_unreadable: u64,
    n_sampled: u64,
}

impl From<VerificationRecord> for VerificationRow {
    fn from(record: VerificationRecord) -> Self {
        Self {
            task: TaskId::new(record.task_id),
            level: record.level,
            started_at: record.started_at.and_utc(),
            finished_at: record.finished_at.map(|at| at.and_utc()),
            counted: Counted {
                n_packs: record.n_packs,
                bytes: record.bytes,
                n_unknown: record.n_unknown,
                n_unreadable: record.n_unreadable,
                n_sampled: record.n_sampled,
            },
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = quarantines)]
struct DamagedRecord {
    pack_id: u32,
    task_id: u64,
    what: String,
    all_lost: bool,
    n_lost: u32,
    n_saved: u32,
    found_at: NaiveDateTime,
}

impl From<DamagedRecord> for DamagedRow {
    fn from(record: DamagedRecord) -> Self {
        Self {
            pack: PackId::new(record.pack_id),
            task: TaskId::new(record.task_id),
            what: record.what,
            all_lost: record.all_lost,
            n_lost: record.n_lost,
            n_saved: record.n_saved,
            found_at: record.found_at.and_utc(),
        }
    }
}

/// The verification of a task: begun now, or by an earlier attempt. Forgets the oldest ones.
pub fn begin_verification(
    conn: &mut Conn,
    storage: StorageId,
    task: TaskId,
    level: u8,
) -> QueryResult<VerificationRow> {
    diesel::insert_or_ignore_into(verifications::table)
        .values((
            verifications::task_id.eq(task.get()),
            verifications::storage_id.eq(storage.get()),
            verifications::level.eq(level),
            verifications::started_at.eq(sql::<Datetime>("NOW(3)")),
        ))
        .execute(conn)?;
    let of_storage = verifications::table.filter(verifications::storage_id.eq(storage.get()));
    let old: Option<u64> = of_storage
        .order(verifications::task_id.desc())
        .select(verifications::task_id)
        .offset(KEPT_MAX)
        .first(conn)
        .optional()?;
    if let Some(old) = old {
        diesel::delete(of_storage.filter(verifications::task_id.le(old))).execute(conn)?;
    }
    let row = verifications::table.find(task.get()).select(VerificationRecord::as_select());
    row.first(conn).map(VerificationRow::from)
}

/// Adds what was looked at since the last call.
pub fn count_verified(conn: &mut Conn, task: TaskId, more: &Counted) -> QueryResult<()> {
    diesel::update(verifications::table.find(task.get()))
        .set((
            verifications::n_packs.eq(verifications::n_packs + more.n_packs),
            verifications::bytes.eq(verifications::bytes + more.bytes),
            verifications::n_unknown.eq(verifications::n_unknown + more.n_unknown),
            verifications::n_unreadable.eq(verifications::n_unreadable + more.n_unreadable),
            verifications::n_sampled.eq(verifications::n_sampled + more.n_sampled),
        ))
        .execute(conn)
        .map(drop)
}

pub fn finish_verification(conn: &mut Conn, task: TaskId) -> QueryResult<VerificationRow> {
    diesel::update(verifications::table.find(task.get()))
        .set(verifications::finished_at.eq(sql::<diesel::sql_types::Nullable<Datetime>>("NOW(3)")))
        .execute(conn)?;
    let row = verifications::table.find(task.get()).select(VerificationRecord::as_select());
    row.first(conn).map(VerificationRow::from)
}

/// Verifications of a storage, newest first, older than `before`.
pub fn list_verifications(
    conn: &mut Conn,
    storage: StorageId,
    before: Option<TaskId>,
    limit: u32,
) -> QueryResult<Vec<VerificationRow>> {
    let mut query = verifications::table.filter(verifications::storage_id.eq(storage.get())).into_boxed();
    if let Some(before) = before {
        query = query.filter(verifications::task_id.lt(before.get()));
    }
    let records: Vec<VerificationRecord> = query
        .order(verifications::task_id.desc())
        .limit(limit.into())
        .select(VerificationRecord::as_select())
        .load(conn)?;
    Ok(records.into_iter().map(VerificationRow::from).collect())
}

pub(super) fn insert_damaged(conn: &mut Conn, storage: StorageId, new: &NewDamaged<'_>) -> QueryResult<()> {
    let what: String = new.what.chars().take(WHAT_CHARS_MAX).collect();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    diesel::insert_into(quarantines::table)
        .values((
            quarantines::pack_id.eq(new.pack.get()),
            quarantines::storage_id.eq(storage.get()),
            quarantines::task_id.eq(new.task.get()),
            quarantines::what.eq(what),
            quarantines::all_lost.eq(new.all_lost),
            quarantines::n_lost.eq(count(new.n_lost)),
            quarantines::n_saved.eq(count(new.n_saved)),
            quarantines::found_at.eq(sql::<Datetime>("NOW(3)")),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn insert_lost(conn: &mut Conn, storage: StorageId, pack: PackId, lost: &[BlobId]) -> QueryResult<()> {
    for page in lost.chunks(PAGE_ROWS) {
        let rows: Vec<_> = page
            .iter()
            .map(|blob| {
                (
                    losses::storage_id.eq(storage.get()),
                    losses::blob_id.eq(blob.as_bytes().as_slice()),
                    losses::pack_id.eq(pack.get()),
                )
            })
            .collect();
        diesel::insert_or_ignore_into(losses::table).values(rows).execute(conn)?;
    }
    Ok(())
}

/// Damaged packs that one task found.
pub fn damaged_by(conn: &mut Conn, task: TaskId, limit: u32) -> QueryResult<Vec<DamagedRow>> {
    let records: Vec<DamagedRecord> = quarantines::table
        .filter(quarantines::task_id.eq(task.get()))
        .order(quarantines::pack_id)
        .limit(limit.into())
        .select(DamagedRecord::as_select())
        .load(conn)?;
    Ok(records.into_iter().map(DamagedRow::from).collect())
}

/// How many damaged packs one task found.
pub fn n_damaged_by(conn: &mut Conn, task: TaskId) -> QueryResult<u64> {
    let n: i64 = quarantines::table.filter(quarantines::task_id.eq(task.get())).count().get_result(conn)?;
    Ok(n.unsigned_abs())
}

/// The damaged packs of a storage whose row id is above `after`, in that order.
pub fn list_damaged(conn: &mut Conn, storage: StorageId, after: PackId, limit: u32) -> QueryResult<Vec<DamagedRow>> {
    let records: Vec<DamagedRecord> = quarantines::table
        .filter(quarantines::storage_id.eq(storage.get()).and(quarantines::pack_id.gt(after.get())))
        .order(quarantines::pack_id)
        .limit(limit.into())
        .select(DamagedRecord::as_select())
        .load(conn)?;
    Ok(records.into_iter().map(DamagedRow::from).collect())
}

/// These damaged packs.
pub fn find_damaged(conn: &mut Conn, packs: &[PackId]) -> QueryResult<Vec<DamagedRow>> {
    let ids: Vec<u32> = packs.iter().map(|pack| pack.get()).collect();
    let records: Vec<DamagedRecord> =
        quarantines::table.filter(quarantines::pack_id.eq_any(ids)).select(DamagedRecord::as_select()).load(conn)?;
    Ok(records.into_iter().map(DamagedRow::from).collect())
}

/// Damaged packs of a storage for which the items were not searched yet, or only within `settling` of their discovery,
/// when a backup may still have built on what it had read before. One search after `since` is enough.
pub fn unscanned(
    conn: &mut Conn,
    storage: StorageId,
    settling: Duration,
    since: DateTime<Utc>,
    limit: u32,
) -> QueryResult<Vec<DamagedRow>> {
    let early = sql::<Bool>(&format!("scanned_at < found_at + INTERVAL {} SECOND", settling.as_secs()));
    let before = quarantines::scanned_at.lt(since.naive_utc()).assume_not_null();
    let records: Vec<DamagedRecord> = quarantines::table
        .filter(quarantines::storage_id.eq(storage.get()))
        .filter(quarantines::scanned_at.is_null().or(before.and(early)))
        .order(quarantines::pack_id)
        .limit(limit.into())
        .select(DamagedRecord::as_select())
        .load(conn)?;
    Ok(records.into_iter().map(DamagedRow::from).collect())
}

/// Notes that the items were searched just now for those that need what is lost with these packs.
pub fn set_scanned(conn: &mut Conn, packs: &[PackId]) -> QueryResult<()> {
    let ids: Vec<u32> = packs.iter().map(|pack| pack.get()).collect();
    diesel::update(quarantines::table.filter(quarantines::pack_id.eq_any(ids)))
        .set(quarantines::scanned_at.eq(sql::<diesel::sql_types::Nullable<Datetime>>("NOW(3)")))
        .execute(conn)
        .map(drop)
}

/// All blobs that were lost with a pack, page by page: as many as a pack holds.
pub(super) fn lost_of(conn: &mut Conn, pack: PackId) -> QueryResult<Vec<BlobId>> {
    let mut found: Vec<BlobId> = Vec::new();
    loop {
        let mut query = losses::table.filter(losses::pack_id.eq(pack.get())).into_boxed();
        if let Some(last) = found.last() {
            query = query.filter(losses::blob_id.gt(last.as_bytes().to_vec()));
        }
        let page: Vec<Vec<u8>> =
            query.order(losses::blob_id).limit(PAGE_ROWS as i64).select(losses::blob_id).load(conn)?;
        let full = page.len() == PAGE_ROWS;
        for id in page {
            found.push(BlobId::from_slice(&id).ok_or_else(malformed)?);
        }
        if !full {
            return Ok(found);
        }
    }
}

/// A pack with which a blob was lost.
pub fn find_lost(conn: &mut Conn, storage: StorageId, blob: BlobId) -> QueryResult<Option<PackId>> {
    let found: Option<u32> = losses::table
        .filter(losses::storage_id.eq(storage.get()).and(losses::blob_id.eq(blob.as_bytes().as_slice())))
        .select(losses::pack_id)
        .first(conn)
        .optional()?;
    Ok(found.map(PackId::new))
}

fn malformed() -> DieselError {
    DieselError::DeserializationError("a blob id is not 16 bytes long".into())
}
