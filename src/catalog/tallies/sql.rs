//! Table `container_tallies`.

use diesel::dsl::{DuplicatedKeys, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::catalog::retention::Gap;
use crate::db::schema::container_tallies;
use crate::db::{Conn, QueryResult};
use crate::ids::{ContainerId, PointNumber};

pub(in crate::catalog) fn add(
    conn: &mut Conn,
    point: PointNumber,
    changed: &[(ContainerId, (i64, i64))],
) -> QueryResult<()> {
    let rows: Vec<_> = changed
        .iter()
        .map(|(container, (items, bytes))| {
            (
                container_tallies::container_id.eq(container.get()),
                container_tallies::point.eq(point.get()),
                container_tallies::items.eq(*items),
                container_tallies::bytes.eq(*bytes),
            )
        })
        .collect();
    // VALUES(), because diesel has no word for the row that was to be inserted.
    diesel::insert_into(container_tallies::table)
        .values(rows)
        .on_conflict(DuplicatedKeys)
        .do_update()
        .set((
            container_tallies::items.eq(sql::<BigInt>("items + VALUES(items)")),
            container_tallies::bytes.eq(sql::<BigInt>("bytes + VALUES(bytes)")),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn sums(
    conn: &mut Conn,
    point: PointNumber,
    containers: &[ContainerId],
) -> QueryResult<Vec<(ContainerId, i64, i64)>> {
    let ids: Vec<u32> = containers.iter().map(|container| container.get()).collect();
    // CAST, because MariaDB's SUM of integers is a DECIMAL, for which diesel has no type here.
    let (items, bytes) = (sql::<BigInt>("CAST(SUM(items) AS SIGNED)"), sql::<BigInt>("CAST(SUM(bytes) AS SIGNED)"));
    let sums: Vec<(u32, i64, i64)> = container_tallies::table
        .filter(container_tallies::container_id.eq_any(ids))
        .filter(container_tallies::point.le(point.get()))
        .group_by(container_tallies::container_id)
        .select((container_tallies::container_id, items, bytes))
        .load(conn)?;
    Ok(sums.into_iter().map(|(container, items, bytes)| (ContainerId::new(container), items, bytes)).collect())
}

/// What the points inside a gap changed, row by row: its ends are not in it.
pub(super) fn told_in(
    conn: &mut Conn,
    gap: &Gap,
    containers: &[ContainerId],
) -> QueryResult<Vec<(ContainerId, i64, i64)>> {
    let rows: Vec<(u32, i64, i64)> = container_tallies::table
        .filter(container_tallies::container_id.eq_any(containers.iter().map(|id| id.get())))
        .filter(container_tallies::point.gt(gap.after.get()))
        .filter(container_tallies::point.lt(gap.until.get()))
        .select((container_tallies::container_id, container_tallies::items, container_tallies::bytes))
        .load(conn)?;
    Ok(rows.into_iter().map(|(container, items, bytes)| (ContainerId::new(container), items, bytes)).collect())
}

pub(super) fn delete_in(conn: &mut Conn, gap: &Gap, containers: &[ContainerId]) -> QueryResult<()> {
    diesel::delete(container_tallies::table)
        .filter(container_tallies::container_id.eq_any(containers.iter().map(|id| id.get())))
        .filter(container_tallies::point.gt(gap.after.get()))
        .filter(container_tallies::point.lt(gap.until.get()))
        .execute(conn)
        .map(drop)
}

pub(in crate::catalog) fn delete_of(conn: &mut Conn, containers: &[ContainerId]) -> QueryResult<()> {
    diesel::delete(container_tallies::table)
        .filter(container_tallies::container_id.eq_any(containers.iter().map(|id| id.get())))
        .execute(conn)
        .map(drop)
}
