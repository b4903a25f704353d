//! Resources: what a tenant's directory holds that can be backed up, and how a sync writes it down.
//!
//! A sync is: [`begin_sync`], [`store_seen`] for each page, and [`finish_sync`] if and only if it saw everything. All
//! of it can be repeated; two syncs at once do no harm.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::db::{Conn, Db, DbError, TxError};
use crate::ids::{OrganizationId, ResourceId, TenantId};

use super::{only_db, sql};

/// Resources that one statement reads or writes.
const BATCH: usize = 1_000;
/// Rows of one page at most.
const PAGE_MAX: u32 = 1_000;
/// Matches of one name at most.
const MATCHES_MAX: i64 = 20;
const NAME_CHARS_MAX: usize = 255;
const ADDRESS_CHARS_MAX: usize = 320;
const GRAPH_ID_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    User,
    SharedMailbox,
}

impl ResourceKind {
    pub const ALL: [Self; 2] = [Self::User, Self::SharedMailbox];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::SharedMailbox => "shared_mailbox",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceState {
    Active,
    /// Sign-in is blocked, as it always is for shared mailboxes: still backed up.
    Disabled,
    /// Gone from the directory; its backups stay, and no new ones are made.
    Deleted,
}

impl ResourceState {
    pub const ALL: [Self; 3] = [Self::Active, Self::Disabled, Self::Deleted];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A resource as the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenResource {
    pub graph_id: String,
    pub kind: ResourceKind,
    pub name: String,
    pub address: String,
    pub state: ResourceState,
}

#[derive(Clone, Debug)]
pub struct ResourceView {
    pub id: ResourceId,
    pub tenant: TenantId,
    pub graph_id: String,
    /// Text, because a newer version may have found kinds that this one does not know.
    pub kind: String,
    pub name: String,
    pub address: String,
    pub state: ResourceState,
    pub seen_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Default)]
pub struct ResourceFilter {
    /// Part of the name or the address.
    pub text: Option<String>,
    pub kind: Option<ResourceKind>,
    pub state: Option<ResourceState>,
}

/// When a sync began, by the database's clock: what it does not see after this is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMark(NaiveDateTime);

pub async fn begin_sync(db: &Db) -> Result<SyncMark, DbError> {
    db.run("begin a sync", sql::now).await.map(SyncMark)
}

/// Writes down what a sync saw: new resources, changed ones, and that the others are still there.
pub async fn store_seen(db: &Db, tenant: TenantId, mark: SyncMark, seen: Vec<SeenResource>) -> Result<(), DbError> {
    for batch in seen.chunks(BATCH) {
        let batch: Vec<SeenResource> = batch.iter().map(fitting).collect::<Result<_, _>>()?;
        let work = move |conn: &mut Conn| store_batch(conn, tenant, mark, &batch);
        db.transaction("store resources", work).await.map_err(only_db)?;
    }
    Ok(())
}

/// Marks as deleted what a sync of the whole directory did not see. Returns how many.
pub async fn finish_sync(db: &Db, tenant: TenantId, mark: SyncMark) -> Result<u64, DbError> {
    let mut deleted = 0;
    // Every round takes at least one row out of what the next one finds.
    loop {
        let n = db
            .run("mark deleted resources", move |conn| {
                let ids = sql::unseen_since(conn, tenant, mark.0, BATCH as i64)?;
                sql::set_deleted(conn, &ids, mark.0)
            })
            .await?;
        if n == 0 {
            return Ok(deleted);
        }
        deleted += n as u64;
    }
}

/// [`DbError::NotFound`]: there is none of this id.
pub async fn get_resource(db: &Db, id: ResourceId) -> Result<ResourceView, DbError> {
    view(db.run("read a resource", move |conn| sql::find_resource(conn, id)).await?)
}

/// The resources of a tenant whose graph id, address or name is exactly `text` (in any letter case).
///
/// An id or address that matches wins over names. Several results: the name is ambiguous.
pub async fn find_resources(db: &Db, tenant: TenantId, text: &str) -> Result<Vec<ResourceView>, DbError> {
    let text = text.to_owned();
    let search = move |conn: &mut Conn| {
        let exact = sql::resources_by_id_or_address(conn, tenant, &text, MATCHES_MAX)?;
        if exact.is_empty() { sql::resources_by_name(conn, tenant, &text, MATCHES_MAX) } else { Ok(exact) }
    };
    let rows = db.run("find a resource", search).await?;
    rows.into_iter().map(view).collect()
}

/// A page of a tenant's resources by name; the next page comes `after` the last one's id.
pub async fn list_resources(
    db: &Db,
    tenant: TenantId,
    filter: ResourceFilter,
    after: Option<ResourceId>,
    limit: u32,
) -> Result<Vec<ResourceView>, DbError> {
    let limit = i64::from(limit.min(PAGE_MAX));
    let list = move |conn: &mut Conn| sql::list_resources(conn, tenant, &filter, after, limit);
    let rows = db.run("list resources", list).await?;
    rows.into_iter().map(view).collect()
}

/// All resources that an organization has or had, those that are deleted included.
pub async fn resources_of_organization(db: &Db, organization: OrganizationId) -> Result<Vec<ResourceId>, DbError> {
    let list = move |conn: &mut Conn| sql::resources_of_organization(conn, organization);
    Ok(db.run("list the resources of an organization", list).await?.into_iter().map(ResourceId::new).collect())
}

/// The addresses of these resources.
pub async fn addresses(db: &Db, resources: Vec<ResourceId>) -> Result<Vec<(ResourceId, String)>, DbError> {
    let rows = db.run("read addresses", move |conn| sql::addresses(conn, &resources)).await?;
    Ok(rows.into_iter().map(|(id, address)| (ResourceId::new(id), address)).collect())
}

/// All resources of a tenant that are not deleted, in order of their ids, inside a caller's transaction.
pub fn living_of_tenant<E>(conn: &mut Conn, tenant: TenantId) -> Result<Vec<ResourceId>, TxError<E>> {
    let ids = sql::living_of_tenant(conn, tenant)?;
    Ok(ids.into_iter().map(ResourceId::new).collect())
}

/// Those of `resources` that are not deleted, with their tenants, in order of their ids.
pub fn living_among<E>(conn: &mut Conn, resources: &[ResourceId]) -> Result<Vec<(ResourceId, TenantId)>, TxError<E>> {
    let mut living = Vec::with_capacity(resources.len());
    for batch in resources.chunks(BATCH) {
        let rows = sql::living_among(conn, batch)?;
        living.extend(rows.into_iter().map(|(id, tenant)| (ResourceId::new(id), TenantId::new(tenant))));
    }
    living.sort_unstable();
    Ok(living)
}

/// An upsert would use up a row id for every resource of every sync, and 32 bits of them in a year; so the batch is
/// compared with the rows first, which also keeps unchanged rows unwritten but for their date.
fn store_batch(
    conn: &mut Conn,
    tenant: TenantId,
    mark: SyncMark,
    seen: &[SeenResource],
) -> Result<(), TxError<std::convert::Infallible>> {
    let ids: Vec<&str> = seen.iter().map(|resource| resource.graph_id.as_str()).collect();
    let known: HashMap<String, SeenColumns> =
        sql::lock_known(conn, tenant, &ids)?.into_iter().map(|row| (row.graph_id.clone(), row)).collect();
    let new: Vec<&SeenResource> = seen.iter().filter(|resource| !known.contains_key(&resource.graph_id)).collect();
    if !new.is_empty() {
        sql::insert_resources(conn, tenant, mark.0, &new)?;
    }
    for resource in seen {
        if known.get(&resource.graph_id).is_some_and(|row| !row.shows(resource)) {
            sql::update_resource(conn, tenant, resource)?;
        }
    }
    sql::touch_resources(conn, tenant, &ids, mark.0)?;
    Ok(())
}

use sql::SeenColumns;

impl SeenColumns {
    fn shows(&self, seen: &SeenResource) -> bool {
        self.kind == seen.kind.as_str()
            && self.name == seen.name
            && self.address == seen.address
            && self.state == seen.state.as_str()
    }
}

/// Cut to what the columns hold. An id that does not fit is none of Microsoft's.
fn fitting(seen: &SeenResource) -> Result<SeenResource, DbError> {
    if seen.graph_id.len() > GRAPH_ID_BYTES_MAX || !seen.graph_id.is_ascii() {
        return Err(DbError::Query(format!("\"{}\" is not the id of a directory object", seen.graph_id)));
    }
    Ok(SeenResource {
        name: seen.name.chars().take(NAME_CHARS_MAX).collect(),
        address: seen.address.chars().take(ADDRESS_CHARS_MAX).collect(),
        ..seen.clone()
    })
}

fn view(row: sql::ResourceRow) -> Result<ResourceView, DbError> {
    let state = ResourceState::parse(&row.state)
        .ok_or_else(|| DbError::Query(format!("resource {} is in the unknown state \"{}\"", row.id, row.state)))?;
    Ok(ResourceView {
        id: ResourceId::new(row.id),
        tenant: TenantId::new(row.tenant_id),
        graph_id: row.graph_id,
        kind: row.kind,
        name: row.name,
        address: row.address,
        state,
        seen_at: row.seen_at.and_utc(),
    })
}
