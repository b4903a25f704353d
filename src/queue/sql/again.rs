//! Tasks of a restore that are done again by others.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Unsigned};

use super::enqueue;
use crate::db::Conn;
use crate::db::schema::tasks;
use crate::ids::{ChainId, OrganizationId, ResourceId, RestoreId, TaskId, TenantId};
use crate::queue::task::{NewTask, Priority, TaskKind, TaskState};

/// A task of a restore that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedTask {
    pub id: TaskId,
    pub chain: ChainId,
    pub state: TaskState,
}

/// The tasks of a restore; `None` while one of them is unfinished.
pub fn ended_of_restore(conn: &mut Conn, restore: RestoreId) -> QueryResult<Option<Vec<EndedTask>>> {
    let chain = sql::<Nullable<Unsigned<BigInt>>>("CAST(JSON_VALUE(work, '$.chain') AS UNSIGNED)");
    let rows: Vec<(u64, String, Option<u64>)> = tasks::table
        .filter(tasks::restore_id.eq(restore.get()))
        .order(tasks::id)
        .select((tasks::id, tasks::state, chain))
        .load(conn)?;
    let task = |(id, state, chain): (u64, String, Option<u64>)| {
        let state = TaskState::parse(&state).filter(|state| state.is_ended())?;
        Some(EndedTask { id: TaskId::new(id), chain: ChainId::new(u32::try_from(chain?).ok()?), state })
    };
    Ok(rows.into_iter().map(task).collect())
}

type Copied = (u64, u32, Option<u32>, Option<u32>, Option<u64>, String, Option<String>);

/// Queues new tasks with the work of these, which have ended and belong to their restore no longer: what it comes to is
/// told by the new ones alone.
pub fn begin_again(conn: &mut Conn, ended: &[TaskId]) -> QueryResult<u64> {
    let ids: Vec<u64> = ended.iter().map(|task| task.get()).collect();
    let rows: Vec<Copied> = tasks::table
        .filter(tasks::id.eq_any(&ids))
        .order(tasks::id)
        .select((
            tasks::id,
            tasks::organization_id,
            tasks::tenant_id,
            tasks::resource_id,
            tasks::restore_id,
            tasks::work,
            tasks::exclusive_key,
        ))
        .load(conn)?;
    let again: Vec<NewTask> = rows
        .into_iter()
        .map(|(_, organization, tenant, resource, restore, work, exclusive_key)| NewTask {
            kind: TaskKind::Restore,
            priority: Priority::Restore,
            organization: OrganizationId::new(organization),
            tenant: tenant.map(TenantId::new),
            resource: resource.map(ResourceId::new),
            run: None,
            restore: restore.map(RestoreId::new),
            work,
            exclusive_key,
            open_key: None,
        })
        .collect();
    diesel::update(tasks::table.filter(tasks::id.eq_any(&ids))).set(tasks::restore_id.eq(None::<u64>)).execute(conn)?;
    enqueue(conn, &again)
}
