//! Organizations, the Entra tenants they own, and the resources found in them.
//!
//! Owns: the tables `organizations`, `tenants` and `resources`, and the sealing of tenant credentials. Does not own:
//! the conversation with Microsoft (`graph`); who syncs (`workers`) writes down here what it saw.
//!
//! Invariants: a credential is stored sealed and bound to its tenant and app; a resource row is never deleted, because
//! backups hang on it, and a resource is marked as deleted only by a sync that saw the whole directory.
//!
//! How a tenant's scopes stand with Microsoft's limits is in [`scopes`], with a table of its own.

mod found;
mod resource;
pub mod scopes;
mod sql;

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{OrganizationId, TenantId};
use crate::secret::{Sealer, Secret};

pub use found::{FoundResource, ensure_found};
pub use resource::{
    ResourceFilter, ResourceKind, ResourceState, ResourceView, SeenResource, SyncMark, addresses, begin_sync,
    find_resources, finish_sync, get_resource, list_resources, living_among, living_of_tenant,
    resources_of_organization, store_seen,
};

/// Organizations or tenants that a list shows at most.
const ROWS_MAX: i64 = 10_000;
const DETAIL_CHARS_MAX: usize = 1_000;

#[derive(Clone, Debug)]
pub struct OrganizationView {
    pub id: OrganizationId,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

/// How kodo proves to Entra who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The text of a client secret.
    Secret,
    /// A private key with its certificate, PEM.
    Certificate,
}

impl CredentialKind {
    pub const ALL: [Self; 2] = [Self::Secret, Self::Certificate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug)]
pub struct NewTenant {
    pub organization: OrganizationId,
    pub name: String,
    /// The directory id, or one of the tenant's domains.
    pub entra_tenant_id: String,
    /// The application id of the app registration.
    pub client_id: String,
    pub credential_kind: CredentialKind,
    pub credential: Secret<Vec<u8>>,
}

/// Whether the tenant can be backed up, as the last check or run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantState {
    Unchecked,
    Ready,
    /// Says what to fix.
    Failing(String),
}

impl TenantState {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Ready => "ready",
            Self::Failing(_) => "failing",
        }
    }

    fn of_columns(state: &str, detail: Option<String>) -> Self {
        match state {
            "unchecked" => Self::Unchecked,
            "ready" => Self::Ready,
            _ => Self::Failing(detail.unwrap_or_default()),
        }
    }
}

/// A tenant as it may be shown: without its credential.
#[derive(Clone, Debug)]
pub struct TenantView {
    pub id: TenantId,
    pub organization: OrganizationId,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    pub credential_kind: String,
    pub state: TenantState,
    pub checked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// What a Graph client of the tenant needs to know.
#[derive(Debug)]
pub struct TenantCredentials {
    pub entra_tenant_id: String,
    pub client_id: String,
    pub kind: CredentialKind,
    pub credential: Secret<Vec<u8>>,
}

/// [`DbError::Duplicate`]: the name is taken.
pub async fn add_organization(db: &Db, name: &str) -> Result<OrganizationId, DbError> {
    let name = name.to_owned();
    let work = move |conn: &mut Conn| Ok(sql::insert_organization(conn, &name)?);
    db.transaction("add an organization", work).await.map_err(only_db)
}

/// All organizations by name.
pub async fn list_organizations(db: &Db) -> Result<Vec<OrganizationView>, DbError> {
    let rows = db.run("list organizations", |conn| sql::list_organizations(conn, ROWS_MAX)).await?;
    Ok(rows.into_iter().map(organization_view).collect())
}

/// [`DbError::NotFound`]: there is none of this id.
pub async fn get_organization(db: &Db, id: OrganizationId) -> Result<OrganizationView, DbError> {
    db.run("read an organization", move |conn| sql::find_organization(conn, id)).await.map(organization_view)
}

/// Adds a tenant with its credential, sealed. It is unchecked until somebody reports with [`set_state`].
pub async fn add_tenant(db: &Db, sealer: &Sealer, tenant: NewTenant) -> anyhow::Result<TenantId> {
    let label = credential_label(&tenant.entra_tenant_id, &tenant.client_id);
    let sealed = sealer.seal(&label, tenant.credential.expose())?;
    let name = tenant.name.clone();
    let work = move |conn: &mut Conn| Ok(sql::insert_tenant(conn, &tenant, &sealed)?);
    db.transaction("add a tenant", work).await.map_err(only_db).with_context(|| format!("cannot add tenant \"{name}\""))
}

/// Replaces the credential, for the secret that runs out, and the app that it belongs to. The tenant is unchecked again.
pub async fn replace_credential(
    db: &Db,
    sealer: &Sealer,
    tenant: TenantId,
    client_id: String,
    kind: CredentialKind,
    credential: Secret<Vec<u8>>,
) -> anyhow::Result<()> {
    let row = db.run("read a tenant", move |conn| sql::find_tenant(conn, tenant)).await?;
    let sealed = sealer.seal(&credential_label(&row.entra_tenant_id, &client_id), credential.expose())?;
    let write = move |conn: &mut Conn| sql::set_credential(conn, tenant, &client_id, kind, &sealed);
    db.run("replace a credential", write).await?;
    Ok(())
}

/// All tenants by name, or those of one organization.
pub async fn list_tenants(db: &Db, organization: Option<OrganizationId>) -> Result<Vec<TenantView>, DbError> {
    let rows = db.run("list tenants", move |conn| sql::list_tenants(conn, organization, ROWS_MAX)).await?;
    Ok(rows.into_iter().map(tenant_view).collect())
}

/// [`DbError::NotFound`]: there is none of this id.
pub async fn get_tenant(db: &Db, id: TenantId) -> Result<TenantView, DbError> {
    db.run("read a tenant", move |conn| sql::find_tenant(conn, id)).await.map(tenant_view)
}

/// The tenant's credential, opened.
pub async fn credentials(db: &Db, sealer: &Sealer, tenant: TenantId) -> anyhow::Result<TenantCredentials> {
    let row = db
        .run("read a tenant", move |conn| sql::find_tenant(conn, tenant))
        .await
        .with_context(|| format!("cannot read tenant {tenant}"))?;
    ensure!(
        !row.credential_sealed.is_empty(),
        "tenant \"{0}\" has no credential yet: kodo tenant renew {0} --client-id ID",
        row.name
    );
    let kind = CredentialKind::parse(&row.credential_kind).with_context(|| {
        format!("tenant \"{}\" has a credential of the unknown kind \"{}\"", row.name, row.credential_kind)
    })?;
    let credential = sealer.open(&credential_label(&row.entra_tenant_id, &row.client_id), &row.credential_sealed)?;
    Ok(TenantCredentials { entra_tenant_id: row.entra_tenant_id, client_id: row.client_id, kind, credential })
}

/// Notes what a check or a run found out about the tenant. [`DbError::NotFound`]: there is no such tenant.
pub async fn set_state(db: &Db, tenant: TenantId, state: TenantState) -> Result<(), DbError> {
    let detail = match &state {
        TenantState::Unchecked | TenantState::Ready => None,
        TenantState::Failing(detail) => Some(detail.chars().take(DETAIL_CHARS_MAX).collect::<String>()),
    };
    let write = move |conn: &mut Conn| sql::set_state(conn, tenant, state.as_str(), detail.as_deref());
    match db.run("set a tenant's state", write).await? {
        0 => Err(DbError::NotFound),
        _ => Ok(()),
    }
}

/// The organization that a tenant belongs to, inside a caller's transaction.
pub fn organization_of<E>(conn: &mut Conn, tenant: TenantId) -> Result<OrganizationId, TxError<E>> {
    Ok(OrganizationId::new(sql::find_tenant(conn, tenant)?.organization_id))
}

/// Takes tenants whose directory is due to be read, and dates each one's next reading, in a transaction of the caller
/// that queues the syncs. Two callers at once get different tenants.
pub fn take_sync_due<E>(
    conn: &mut Conn,
    every: Duration,
    limit: u32,
) -> Result<Vec<(TenantId, OrganizationId)>, TxError<E>> {
    let due = sql::lock_sync_due(conn, i64::from(limit))?;
    let ids: Vec<u32> = due.iter().map(|(tenant, _)| *tenant).collect();
    sql::set_next_sync(conn, &ids, every)?;
    Ok(due.into_iter().map(|(tenant, owner)| (TenantId::new(tenant), OrganizationId::new(owner))).collect())
}

fn credential_label(entra_tenant_id: &str, client_id: &str) -> String {
    format!("tenant credential {entra_tenant_id}/{client_id}")
}

fn organization_view(row: sql::OrganizationRow) -> OrganizationView {
    OrganizationView { id: OrganizationId::new(row.id), name: row.name, created_at: row.created_at.and_utc() }
}

fn tenant_view(row: sql::TenantRow) -> TenantView {
    TenantView {
        id: TenantId::new(row.id),
        organization: OrganizationId::new(row.organization_id),
        name: row.name,
        entra_tenant_id: row.entra_tenant_id,
        client_id: row.client_id,
        credential_kind: row.credential_kind,
        state: TenantState::of_columns(&row.state, row.state_detail),
        checked_at: row.checked_at.map(|time| time.and_utc()),
        created_at: row.created_at.and_utc(),
    }
}

/// The error of a transaction whose work cannot refuse.
fn only_db(err: TxError<Infallible>) -> DbError {
    match err {
        TxError::Db(err) => err,
        TxError::Refused(never) => match never {},
    }
}
