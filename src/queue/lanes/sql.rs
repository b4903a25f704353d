//! The table `lanes`.

use std::collections::BTreeSet;

use diesel::dsl::{insert_or_ignore_into, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::Lane;
use crate::db::Conn;
use crate::db::schema::lanes;
use crate::queue::NewTask;

/// In the column for the tasks of no tenant, because a key cannot hold NULL.
const NO_TENANT: u32 = 0;

/// Whether a lane's oldest task may start now: one look into an index. Written out because it must stay a subquery of
/// one row: grouped or as EXISTS, MariaDB reads every queued task when its statistics are old. This is the one place
/// outside of the queue's `sql.rs` that names the table `tasks`.
const HEAD_IS_READY: &str = "(SELECT t.not_before FROM tasks t WHERE t.state = 'queued' \
     AND t.organization_id = lanes.organization_id AND t.tenant_id <=> NULLIF(lanes.tenant_id, 0) \
     AND t.priority = lanes.priority AND t.kind = lanes.kind ORDER BY t.not_before LIMIT 1) <= NOW(6)";

/// The lanes with a task that may start now.
pub(in crate::queue) fn ready(conn: &mut Conn) -> QueryResult<Vec<Lane>> {
    let rows: Vec<(u32, u32, u8, String)> = lanes::table
        .filter(sql::<Bool>(HEAD_IS_READY))
        .select((lanes::organization_id, lanes::tenant_id, lanes::priority, lanes::kind))
        .load(conn)?;
    let lane = |(organization, tenant, priority, kind)| Lane {
        organization,
        tenant: Some(tenant).filter(|tenant| *tenant != NO_TENANT),
        priority,
        kind,
    };
    Ok(rows.into_iter().map(lane).collect())
}

/// Makes the lanes of new tasks known, in the transaction that queues them.
pub(in crate::queue) fn remember(conn: &mut Conn, new: &[NewTask]) -> QueryResult<()> {
    // In one order, so that two who queue tasks at once do not wait for each other in a circle.
    let distinct: BTreeSet<Lane> = new.iter().map(Lane::of).collect();
    let row = |lane: &Lane| {
        (
            lanes::organization_id.eq(lane.organization),
            lanes::tenant_id.eq(lane.tenant.unwrap_or(NO_TENANT)),
            lanes::priority.eq(lane.priority),
            lanes::kind.eq(lane.kind.clone()),
        )
    };
    let rows: Vec<_> = distinct.iter().map(row).collect();
    insert_or_ignore_into(lanes::table).values(rows).execute(conn).map(|_| ())
}
