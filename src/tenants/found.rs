//! Tenants and resources that a storage speaks of and the database does not know.

use super::{ResourceKind, ResourceState, SeenResource, TenantState, sql};
use crate::db::{Conn, QueryResult};
use crate::ids::{OrganizationId, ResourceId, TenantId};

/// Owns what was found until an administrator says otherwise, when there is no organization, or more than one.
const ORGANIZATION: &str = "Recovered";

/// Whose data was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundResource {
    pub entra_tenant_id: String,
    pub graph_id: String,
    pub kind: String,
    pub name: String,
    pub address: String,
}

/// The resource, made when there is none, with its tenant; and how the tenant is called, if it was made now. Such a tenant
/// has no credential until [`super::replace_credential`] gives it one.
pub fn ensure_found(conn: &mut Conn, found: &FoundResource) -> QueryResult<(ResourceId, Option<String>)> {
    let (tenant, added) = match sql::tenant_of_entra(conn, &found.entra_tenant_id)? {
        Some(tenant) => (tenant, None),
        None => (add_tenant(conn, &found.entra_tenant_id)?, Some(found.entra_tenant_id.clone())),
    };
    if let Some(known) = sql::resource_of_graph_id(conn, tenant, &found.graph_id)? {
        return Ok((known, added));
    }
    let seen = SeenResource {
        graph_id: found.graph_id.clone(),
        // A kind of a newer version is put right by the next sync.
        kind: ResourceKind::parse(&found.kind).unwrap_or(ResourceKind::User),
        name: found.name.clone(),
        address: found.address.clone(),
        state: ResourceState::Active,
    };
    let now = sql::now(conn)?;
    sql::insert_resources(conn, tenant, now, &[&seen])?;
    let made = sql::resource_of_graph_id(conn, tenant, &found.graph_id)?;
    Ok((made.expect("the resource was inserted above, in this transaction"), added))
}

fn add_tenant(conn: &mut Conn, entra_tenant_id: &str) -> QueryResult<TenantId> {
    let organizations = sql::list_organizations(conn, 2)?;
    let organization = match organizations.as_slice() {
        [only] => OrganizationId::new(only.id),
        _ => match sql::organization_named(conn, ORGANIZATION)? {
            Some(known) => known,
            None => sql::insert_organization(conn, ORGANIZATION)?,
        },
    };
    let detail = format!("it was rebuilt from a storage: kodo tenant renew {entra_tenant_id} --client-id ID");
    let state = TenantState::Failing(detail.clone());
    sql::insert_found_tenant(conn, organization, entra_tenant_id, &state, &detail)
}
