//! The tables `organizations`, `tenants` and `resources`. Times are the database's.

use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::dsl::{DuplicatedKeys, select, sql};
use diesel::expression::{SqlLiteral, TypedExpressionType};
use diesel::prelude::*;
use diesel::sql_types::{Datetime, Nullable};

use super::resource::{ResourceFilter, ResourceState, SeenResource};
use super::{CredentialKind, NewTenant, TenantState};
use crate::db::Conn;
use crate::db::schema::{organizations, resources, tenants};
use crate::ids::{OrganizationId, ResourceId, TenantId};

fn db_now<ST: TypedExpressionType>() -> SqlLiteral<ST> {
    sql("NOW(3)")
}

pub(super) fn now(conn: &mut Conn) -> QueryResult<NaiveDateTime> {
    select(db_now::<Datetime>()).first(conn)
}

pub(super) fn insert_organization(conn: &mut Conn, name: &str) -> QueryResult<OrganizationId> {
    diesel::insert_into(organizations::table)
        .values((organizations::name.eq(name), organizations::created_at.eq(db_now::<Datetime>())))
        .execute(conn)?;
    let id = organizations::table.filter(organizations::name.eq(name)).select(organizations::id);
    id.first(conn).map(OrganizationId::new)
}

pub(super) fn organization_named(conn: &mut Conn, name: &str) -> QueryResult<Option<OrganizationId>> {
    let named = organizations::table.filter(organizations::name.eq(name)).select(organizations::id);
    Ok(named.first(conn).optional()?.map(OrganizationId::new))
}

#[derive(Queryable)]
pub(super) struct OrganizationRow {
    pub id: u32,
    pub name: String,
    pub created_at: NaiveDateTime,
}

pub(super) fn list_organizations(conn: &mut Conn, limit: i64) -> QueryResult<Vec<OrganizationRow>> {
    organizations::table.order(organizations::name).limit(limit).load(conn)
}

pub(super) fn find_organization(conn: &mut Conn, id: OrganizationId) -> QueryResult<OrganizationRow> {
    organizations::table.find(id.get()).first(conn)
}

pub(super) fn insert_tenant(conn: &mut Conn, tenant: &NewTenant, sealed: &[u8]) -> QueryResult<TenantId> {
    diesel::insert_into(tenants::table)
        .values((
            tenants::organization_id.eq(tenant.organization.get()),
            tenants::name.eq(&tenant.name),
            tenants::entra_tenant_id.eq(&tenant.entra_tenant_id),
            tenants::client_id.eq(&tenant.client_id),
            tenants::credential_kind.eq(tenant.credential_kind.as_str()),
            tenants::credential_sealed.eq(sealed),
            tenants::state.eq(TenantState::Unchecked.as_str()),
            tenants::next_sync_at.eq(db_now::<Datetime>()),
            tenants::created_at.eq(db_now::<Datetime>()),
        ))
        .execute(conn)?;
    tenants::table.filter(tenants::name.eq(&tenant.name)).select(tenants::id).first(conn).map(TenantId::new)
}

/// Adds a tenant whose data was found and whose credential is not known.
pub(super) fn insert_found_tenant(
    conn: &mut Conn,
    organization: OrganizationId,
    entra_tenant_id: &str,
    state: &TenantState,
    detail: &str,
) -> QueryResult<TenantId> {
    diesel::insert_into(tenants::table)
        .values((
            tenants::organization_id.eq(organization.get()),
            tenants::name.eq(entra_tenant_id),
            tenants::entra_tenant_id.eq(entra_tenant_id),
            tenants::client_id.eq(""),
            tenants::credential_kind.eq(CredentialKind::Secret.as_str()),
            tenants::credential_sealed.eq([].as_slice()),
            (tenants::state.eq(state.as_str()), tenants::state_detail.eq(Some(detail))),
            tenants::next_sync_at.eq(db_now::<Datetime>()),
            tenants::created_at.eq(db_now::<Datetime>()),
        ))
        .execute(conn)?;
    tenants::table.filter(tenants::name.eq(entra_tenant_id)).select(tenants::id).first(conn).map(TenantId::new)
}

pub(super) fn tenant_of_entra(conn: &mut Conn, entra_tenant_id: &str) -> QueryResult<Option<TenantId>> {
    let named = tenants::table.filter(tenants::entra_tenant_id.eq(entra_tenant_id)).order(tenants::id);
    Ok(named.select(tenants::id).first(conn).optional()?.map(TenantId::new))
}

pub(super) fn resource_of_graph_id(
    conn: &mut Conn,
    tenant: TenantId,
    graph_id: &str,
) -> QueryResult<Option<ResourceId>> {
    let named = resources::table.filter(resources::tenant_id.eq(tenant.get()).and(resources::graph_id.eq(graph_id)));
    Ok(named.select(resources::id).first(conn).optional()?.map(ResourceId::new))
}

#[derive(Queryable)]
pub(super) struct TenantRow {
    pub id: u32,
    pub organization_id: u32,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    pub credential_kind: String,
    pub credential_sealed: Vec<u8>,
    pub state: String,
    pub state_detail: Option<String>,
    pub checked_at: Option<NaiveDateTime>,
    pub _next_sync_at: NaiveDateTime,
    pub created_at: NaiveDateTime,
}

pub(super) fn list_tenants(
    conn: &mut Conn,
    organization: Option<OrganizationId>,
    limit: i64,
) -> QueryResult<Vec<TenantRow>> {
    let mut query = tenants::table.into_boxed();
    if let Some(organization) = organization {
        query = query.filter(tenants::organization_id.eq(organization.get()));
    }
    query.order(tenants::name).limit(limit).load(conn)
}

pub(super) fn find_tenant(conn: &mut Conn, id: TenantId) -> QueryResult<TenantRow> {
    tenants::table.find(id.get()).first(conn)
}

pub(super) fn set_credential(
    conn: &mut Conn,
    id: TenantId,
    client_id: &str,
    kind: CredentialKind,
    sealed: &[u8],
) -> QueryResult<usize> {
    diesel::update(tenants::table.find(id.get()))
        .set((
            tenants::client_id.eq(client_id),
            tenants::credential_kind.eq(kind.as_str()),
            tenants::credential_sealed.eq(sealed),
            tenants::state.eq(TenantState::Unchecked.as_str()),
            tenants::state_detail.eq(None::<String>),
        ))
        .execute(conn)
}

pub(super) fn set_state(conn: &mut Conn, id: TenantId, state: &str, detail: Option<&str>) -> QueryResult<usize> {
    diesel::update(tenants::table.find(id.get()))
        .set((
            tenants::state.eq(state),
            tenants::state_detail.eq(detail),
            tenants::checked_at.eq(db_now::<Nullable<Datetime>>()),
        ))
        .execute(conn)
}

/// Locks tenants whose directory is to be read again, those that nobody else is looking at.
pub(super) fn lock_sync_due(conn: &mut Conn, limit: i64) -> QueryResult<Vec<(u32, u32)>> {
    tenants::table
        .filter(tenants::next_sync_at.le(db_now::<Datetime>()))
        .order(tenants::next_sync_at)
        .limit(limit)
        .select((tenants::id, tenants::organization_id))
        .for_update()
        .skip_locked()
        .load(conn)
}

pub(super) fn set_next_sync(conn: &mut Conn, ids: &[u32], after: Duration) -> QueryResult<usize> {
    let next = sql::<Datetime>(&format!("NOW(3) + INTERVAL {} SECOND", after.as_secs()));
    diesel::update(tenants::table.filter(tenants::id.eq_any(ids))).set(tenants::next_sync_at.eq(next)).execute(conn)
}

#[derive(Queryable)]
pub(super) struct ResourceRow {
    pub id: u32,
    pub tenant_id: u32,
    pub graph_id: String,
    pub kind: String,
    pub name: String,
    pub address: String,
    pub state: String,
    pub seen_at: NaiveDateTime,
    pub _created_at: NaiveDateTime,
}

pub(super) fn find_resource(conn: &mut Conn, id: ResourceId) -> QueryResult<ResourceRow> {
    resources::table.find(id.get()).first(conn)
}

pub(super) fn resources_by_id_or_address(
    conn: &mut Conn,
    tenant: TenantId,
    text: &str,
    limit: i64,
) -> QueryResult<Vec<ResourceRow>> {
    // A comparison of an ASCII column with other letters is an error, and no match either.
    let graph_id = if text.is_ascii() { text } else { "" };
    resources::table
        .filter(resources::tenant_id.eq(tenant.get()))
        .filter(resources::graph_id.eq(graph_id).or(resources::address.eq(text)))
        .order(resources::id)
        .limit(limit)
        .load(conn)
}

pub(super) fn resources_by_name(
    conn: &mut Conn,
    tenant: TenantId,
    text: &str,
    limit: i64,
) -> QueryResult<Vec<ResourceRow>> {
    resources::table
        .filter(resources::tenant_id.eq(tenant.get()))
        .filter(resources::name.eq(text))
        .order(resources::id)
        .limit(limit)
        .load(conn)
}

/// By name and id, after the resource `after`.
pub(super) fn list_resources(
    conn: &mut Conn,
    tenant: TenantId,
    filter: &ResourceFilter,
    after: Option<ResourceId>,
    limit: i64,
) -> QueryResult<Vec<ResourceRow>> {
    let mut query = resources::table.filter(resources::tenant_id.eq(tenant.get())).into_boxed();
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", escaped(text));
        query = query.filter(resources::name.like(pattern.clone()).or(resources::address.like(pattern)));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(resources::kind.eq(kind.as_str()));
    }
    if let Some(state) = filter.state {
        query = query.filter(resources::state.eq(state.as_str()));
    }
    if let Some(after) = after {
        let name: String = resources::table.find(after.get()).select(resources::name).first(conn)?;
        let behind = resources::name.gt(name.clone()).or(resources::name.eq(name).and(resources::id.gt(after.get())));
        query = query.filter(behind);
    }
    query.order((resources::name, resources::id)).limit(limit).load(conn)
}

/// `text` as LIKE takes it literally.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[derive(Queryable)]
pub(super) struct SeenColumns {
    pub graph_id: String,
    pub kind: String,
    pub name: String,
    pub address: String,
    pub state: String,
}

pub(super) fn lock_known(conn: &mut Conn, tenant: TenantId, graph_ids: &[&str]) -> QueryResult<Vec<SeenColumns>> {
    resources::table
        .filter(resources::tenant_id.eq(tenant.get()))
        .filter(resources::graph_id.eq_any(graph_ids))
        .select((resources::graph_id, resources::kind, resources::name, resources::address, resources::state))
        .for_update()
        .load(conn)
}

/// Adds resources; one that another sync has just added stays as it is.
pub(super) fn insert_resources(
    conn: &mut Conn,
    tenant: TenantId,
    now: NaiveDateTime,
    new: &[&SeenResource],
) -> QueryResult<usize> {
    let row = |seen: &&SeenResource| {
        (
            resources::tenant_id.eq(tenant.get()),
            resources::graph_id.eq(seen.graph_id.clone()),
            resources::kind.eq(seen.kind.as_str()),
            resources::name.eq(seen.name.clone()),
            resources::address.eq(seen.address.clone()),
            resources::state.eq(seen.state.as_str()),
            resources::seen_at.eq(now),
            resources::created_at.eq(now),
        )
    };
    let rows: Vec<_> = new.iter().map(row).collect();
    diesel::insert_into(resources::table).values(rows).on_conflict(DuplicatedKeys).do_nothing().execute(conn)
}

pub(super) fn update_resource(conn: &mut Conn, tenant: TenantId, seen: &SeenResource) -> QueryResult<usize> {
    let row = resources::tenant_id.eq(tenant.get()).and(resources::graph_id.eq(&seen.graph_id));
    diesel::update(resources::table.filter(row))
        .set((
            resources::kind.eq(seen.kind.as_str()),
            resources::name.eq(&seen.name),
            resources::address.eq(&seen.address),
            resources::state.eq(seen.state.as_str()),
        ))
        .execute(conn)
}

/// Notes that resources were seen, unless a later sync has seen them already.
pub(super) fn touch_resources(
    conn: &mut Conn,
    tenant: TenantId,
    graph_ids: &[&str],
    seen_at: NaiveDateTime,
) -> QueryResult<usize> {
    let rows = resources::tenant_id.eq(tenant.get()).and(resources::graph_id.eq_any(graph_ids));
    diesel::update(resources::table.filter(rows).filter(resources::seen_at.lt(seen_at)))
        .set(resources::seen_at.eq(seen_at))
        .execute(conn)
}

pub(super) fn unseen_since(
    conn: &mut Conn,
    tenant: TenantId,
    mark: NaiveDateTime,
    limit: i64,
) -> QueryResult<Vec<u32>> {
    resources::table
        .filter(resources::tenant_id.eq(tenant.get()))
        .filter(resources::seen_at.lt(mark))
        .filter(resources::state.ne(ResourceState::Deleted.as_str()))
        .limit(limit)
        .select(resources::id)
        .load(conn)
}

pub(super) fn set_deleted(conn: &mut Conn, ids: &[u32], mark: NaiveDateTime) -> QueryResult<usize> {
    diesel::update(resources::table.filter(resources::id.eq_any(ids)).filter(resources::seen_at.lt(mark)))
        .set(resources::state.eq(ResourceState::Deleted.as_str()))
        .execute(conn)
}

/// Four bytes a resource; a run needs them all.
pub(super) fn living_of_tenant(conn: &mut Conn, tenant: TenantId) -> QueryResult<Vec<u32>> {
    resources::table
        .filter(resources::tenant_id.eq(tenant.get()))
        .filter(resources::state.ne(ResourceState::Deleted.as_str()))
        .order(resources::id)
        .select(resources::id)
        .load(conn)
}

/// Four bytes a resource; a search needs them all.
pub(super) fn resources_of_organization(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Vec<u32>> {
    let tenants = tenants::table.filter(tenants::organization_id.eq(organization.get())).select(tenants::id);
    resources::table.filter(resources::tenant_id.eq_any(tenants)).order(resources::id).select(resources::id).load(conn)
}

pub(super) fn addresses(conn: &mut Conn, ids: &[ResourceId]) -> QueryResult<Vec<(u32, String)>> {
    resources::table
        .filter(resources::id.eq_any(ids.iter().map(|id| id.get())))
        .select((resources::id, resources::address))
        .load(conn)
}

pub(super) fn living_among(conn: &mut Conn, ids: &[ResourceId]) -> QueryResult<Vec<(u32, u32)>> {
    resources::table
        .filter(resources::id.eq_any(ids.iter().map(|id| id.get())))
        .filter(resources::state.ne(ResourceState::Deleted.as_str()))
        .select((resources::id, resources::tenant_id))
        .load(conn)
}
