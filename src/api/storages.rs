//! `/storages`: where the backups lie.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::answer::Created;
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::readers::{agent_name, storage_error};
use super::resolve::checked_name;
use crate::ids::StorageId;
use crate::repository::{self, BackendKind, Layout, Storage, StorageConfig, StorageSettings};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageView {
    pub id: StorageId,
    pub name: String,
    pub backend: BackendKind,
    pub path: String,
    pub layout: Layout,
    pub encrypted: bool,
    /// What the place itself says it is.
    pub store_uuid: uuid::Uuid,
    /// What all packs take.
    pub bytes: u64,
    pub packs: u64,
    /// Every pack was verified since then. `null`: not yet, or there is none.
    #[serde(default)]
    pub verified_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewStorageBody {
    pub name: String,
    pub backend: BackendKind,
    /// An existing directory; absolute, and the same on every agent.
    pub path: String,
    /// Left out: aligned on a VDO volume, packed elsewhere.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Left out: yes, unless the layout is aligned.
    #[serde(default)]
    pub encrypted: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageCreated {
    pub storage: StorageView,
    /// Opens the storage without this installation. Told this once.
    pub recovery_key: Option<String>,
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<StorageView>>> {
    let all = repository::list_storages(&app.db).await.map_err(storage_error)?;
    let page = query.page_of_all(app.rows_max, all, |one| one.id, |one| one)?;
    let mut items = Vec::with_capacity(page.items.len());
    for storage in page.items {
        items.push(view(&app, storage).await?);
    }
    Ok(Json(Page { items, next: page.next }))
}

/// Makes a store on the place. The recovery key is in this answer and in no other.
pub async fn add(app: Data<Shared>, body: Json<NewStorageBody>) -> ApiResult<Created<StorageCreated>> {
    let body = body.into_inner();
    let config = StorageConfig {
        name: checked_name("storage", &body.name)?,
        backend: body.backend,
        settings: StorageSettings { path: body.path.into() },
        layout: body.layout,
        encrypted: body.encrypted,
    };
    let added = repository::add_storage(&app.db, &app.sealer, &agent_name(), config).await.map_err(storage_error)?;
    let all = repository::list_storages(&app.db).await.map_err(storage_error)?;
    let storage = all.into_iter().find(|storage| storage.id == added.id);
    let storage = storage.ok_or_else(|| ApiError::not_found("storage", added.id))?;
    let recovery_key = added.recovery_key.map(|key| key.expose().clone());
    Ok(Created(StorageCreated { storage: view(&app, storage).await?, recovery_key }))
}

pub async fn view(app: &Shared, storage: Storage) -> ApiResult<StorageView> {
    let totals = repository::storage_totals(&app.db, storage.id).await.map_err(storage_error)?;
    let verified_at = repository::verify::verified_at(&app.db, storage.id).await.map_err(storage_error)?;
    Ok(StorageView {
        id: storage.id,
        name: storage.name,
        backend: storage.backend,
        path: storage.settings.path.to_string_lossy().into_owned(),
        layout: storage.layout,
        encrypted: storage.encrypted,
        store_uuid: storage.store,
        bytes: totals.bytes,
        packs: totals.n_packs,
        verified_at,
    })
}
