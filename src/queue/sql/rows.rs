//! Rows of `tasks` as they are written and read.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::db::schema::tasks;
use crate::ids::{ResourceId, RestoreId, RunId, TenantId};
use crate::queue::task::{NewTask, TaskState};

#[derive(Insertable)]
#[diesel(table_name = tasks)]
pub(super) struct NewRow<'a> {
    kind: &'a str,
    state: &'a str,
    priority: u8,
    organization_id: u32,
    tenant_id: Option<u32>,
    resource_id: Option<u32>,
    run_id: Option<u64>,
    restore_id: Option<u64>,
    work: &'a str,
    open_key: Option<&'a str>,
    exclusive_key: Option<&'a str>,
    not_before: NaiveDateTime,
    created_at: NaiveDateTime,
}

impl<'a> NewRow<'a> {
    pub(super) fn of(task: &'a NewTask, now: NaiveDateTime) -> Self {
        Self {
            kind: task.kind.as_str(),
            state: TaskState::Queued.as_str(),
            priority: task.priority.number(),
            organization_id: task.organization.get(),
            tenant_id: task.tenant.map(TenantId::get),
            resource_id: task.resource.map(ResourceId::get),
            run_id: task.run.map(RunId::get),
            restore_id: task.restore.map(RestoreId::get),
            work: &task.work,
            open_key: task.open_key.as_deref(),
            exclusive_key: task.exclusive_key.as_deref(),
            not_before: now,
            created_at: now,
        }
    }
}

/// A whole row; [`crate::queue::view`] and [`crate::queue::lease`] make of it what they show.
#[derive(Queryable, Selectable)]
#[diesel(table_name = tasks)]
pub(in crate::queue) struct Row {
    pub id: u64,
    pub kind: String,
    pub state: String,
    pub priority: u8,
    pub organization_id: u32,
    pub tenant_id: Option<u32>,
    pub resource_id: Option<u32>,
    pub run_id: Option<u64>,
    pub restore_id: Option<u64>,
    pub work: String,
    pub not_before: NaiveDateTime,
    pub attempts: u32,
    pub epoch: u32,
    pub agent_id: Option<u32>,
    pub expires_at: Option<NaiveDateTime>,
    pub cancel_requested: bool,
    pub phase: String,
    pub items_done: u64,
    pub items_total: Option<u64>,
    pub bytes_done: u64,
    pub waits_for: Option<String>,
    pub last_error: Option<String>,
    pub result: Option<String>,
    pub n_issues: u64,
    pub created_at: NaiveDateTime,
    pub started_at: Option<NaiveDateTime>,
    pub finished_at: Option<NaiveDateTime>,
}
