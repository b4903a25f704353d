//! Table `restore_parts`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Unsigned};

use super::{Asked, Effort, Part, Sums};
use crate::catalog::OutcomeCounts;
use crate::db::schema::restore_parts;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, PointNumber, ResourceId, RestoreId};

#[derive(Queryable, Selectable)]
#[diesel(table_name = restore_parts)]
struct Row {
    chain_id: u32,
    point: u32,
    target_resource: u32,
    asked: Option<u64>,
    asked_bytes: Option<u64>,
    requests: u64,
    upload_bytes: u64,
    seconds: u64,
    n_created: u64,
    n_updated: u64,
    n_skipped: u64,
    n_failed: u64,
    bytes: u64,
}

impl From<Row> for Part {
    fn from(row: Row) -> Self {
        let effort = Effort { requests: row.requests, upload_bytes: row.upload_bytes, seconds: row.seconds };
        Self {
            chain: ChainId::new(row.chain_id),
            point: PointNumber::new(row.point),
            target: ResourceId::new(row.target_resource),
            asked: row.asked.map(|items| Asked { items, bytes: row.asked_bytes.unwrap_or(0), effort }),
            told: OutcomeCounts {
                created: row.n_created,
                updated: row.n_updated,
                skipped: row.n_skipped,
                failed: row.n_failed,
                bytes: row.bytes,
            },
        }
    }
}

pub(super) fn insert(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    point: PointNumber,
    target: ResourceId,
) -> QueryResult<()> {
    let row = (
        restore_parts::restore_id.eq(restore.get()),
        restore_parts::chain_id.eq(chain.get()),
        restore_parts::point.eq(point.get()),
        restore_parts::target_resource.eq(target.get()),
    );
    diesel::insert_into(restore_parts::table).values(row).execute(conn).map(drop)
}

pub(super) fn set_asked(conn: &mut Conn, restore: RestoreId, chain: ChainId, asked: &Asked) -> QueryResult<()> {
    diesel::update(restore_parts::table.find((restore.get(), chain.get())))
        .set((restore_parts::asked.eq(asked.items), restore_parts::asked_bytes.eq(asked.bytes)))
        .execute(conn)?;
    set_effort(conn, restore, chain, &asked.effort)
}

pub(super) fn set_effort(conn: &mut Conn, restore: RestoreId, chain: ChainId, effort: &Effort) -> QueryResult<()> {
    diesel::update(restore_parts::table.find((restore.get(), chain.get())))
        .set((
            restore_parts::requests.eq(effort.requests),
            restore_parts::upload_bytes.eq(effort.upload_bytes),
            restore_parts::seconds.eq(effort.seconds),
        ))
        .execute(conn)
        .map(drop)
}

/// Counts outcomes in: `gone` were recorded before and are replaced.
pub(in crate::catalog) fn count_in(
    conn: &mut Conn,
    restore: RestoreId,
    chain: ChainId,
    gone: &OutcomeCounts,
    new: &OutcomeCounts,
) -> QueryResult<()> {
    diesel::update(restore_parts::table.find((restore.get(), chain.get())))
        .set((
            restore_parts::n_created.eq(restore_parts::n_created + new.created - gone.created),
            restore_parts::n_updated.eq(restore_parts::n_updated + new.updated - gone.updated),
            restore_parts::n_skipped.eq(restore_parts::n_skipped + new.skipped - gone.skipped),
            restore_parts::n_failed.eq(restore_parts::n_failed + new.failed - gone.failed),
            restore_parts::bytes.eq(restore_parts::bytes + new.bytes - gone.bytes),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn find(conn: &mut Conn, restore: RestoreId, chain: ChainId) -> QueryResult<Option<Part>> {
    let row = restore_parts::table.find((restore.get(), chain.get())).select(Row::as_select()).first(conn);
    Ok(row.optional()?.map(Part::from))
}

pub(super) fn list(conn: &mut Conn, restore: RestoreId, after: ChainId, limit: u32) -> QueryResult<Vec<Part>> {
    let rows: Vec<Row> = restore_parts::table
        .filter(restore_parts::restore_id.eq(restore.get()))
        .filter(restore_parts::chain_id.gt(after.get()))
        .order(restore_parts::chain_id)
        .limit(limit.into())
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Part::from).collect())
}

pub(super) fn sums(conn: &mut Conn, restore: RestoreId) -> QueryResult<Sums> {
    // CAST, because MariaDB's SUM of integers is a DECIMAL, for which diesel has no type here.
    let sum =
        |column: &str| diesel::dsl::sql::<Unsigned<BigInt>>(&format!("CAST(COALESCE(SUM({column}), 0) AS UNSIGNED)"));
    let longest = diesel::dsl::sql::<Unsigned<BigInt>>("CAST(COALESCE(MAX(seconds), 0) AS UNSIGNED)");
    let of_restore = || restore_parts::table.filter(restore_parts::restore_id.eq(restore.get()));
    type Asks = (i64, i64, u64, u64, u64, u64, u64, u64);
    let (parts, counted, items, bytes, requests, upload_bytes, seconds, seconds_max): Asks = of_restore()
        .select((
            diesel::dsl::count_star(),
            diesel::dsl::count(restore_parts::asked),
            sum("asked"),
            sum("asked_bytes"),
            sum("requests"),
            sum("upload_bytes"),
            sum("seconds"),
            longest,
        ))
        .first(conn)?;
    let (created, updated, skipped, failed, told_bytes): (u64, u64, u64, u64, u64) = of_restore()
        .select((sum("n_created"), sum("n_updated"), sum("n_skipped"), sum("n_failed"), sum("bytes")))
        .first(conn)?;
    Ok(Sums {
        parts: parts.unsigned_abs(),
        counted: counted.unsigned_abs(),
        asked: Asked { items, bytes, effort: Effort { requests, upload_bytes, seconds } },
        seconds_max,
        told: OutcomeCounts { created, updated, skipped, failed, bytes: told_bytes },
    })
}
