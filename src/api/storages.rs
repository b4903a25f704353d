//! `/storages`: where the backups lie.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::answer::Created;
use super::error::{ApiError, ApiResult};
use super::keys::{KeyView, UnlockBody};
use super::page::{Page, PageQuery};
use super::readers::{agent_name, storage_error};
use super::resolve::checked_name;
use crate::ids::StorageId;
use crate::repository::{self, BackendKind, Layout, SpaceState, Storage, StorageConfig, StorageSettings};
use crate::secret::Secret;

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
    /// What the place itself has; left out where it cannot be measured, or not soon.
    pub free_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
    pub space: SpaceState,
}

#[derive(Debug, Deserialize)]
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
    /// A passphrase that opens the storage as well as its recovery key.
    #[serde(default)]
    pub passphrase: Option<Secret<String>>,
    /// The content of a key file that does, in base64.
    #[serde(default)]
    pub key_file: Option<Secret<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageCreated {
    pub storage: StorageView,
    /// Opens the storage without this installation. Told this once.
    pub recovery_key: Option<String>,
    /// The recovery key's file on the storage.
    pub key: Option<KeyView>,
}

/// A store that exists, from another installation or from before the database was lost.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachBody {
    pub name: String,
    pub backend: BackendKind,
    pub path: String,
    /// What opens it, if it is encrypted.
    #[serde(default)]
    pub unlock: Option<UnlockBody>,
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<StorageView>>> {
    let all = repository::list_storages(&app.db).await.map_err(storage_error)?;
    let page = query.page_of_all(app.rows_max, all, |one| one.id, |one| one)?;
    let mut items = Vec::with_capacity(page.items.len());
    for storage in page.items {
        items.push(view(&app, storage).await?);
    }
    Ok(Json(Page { items, next: page.next, notes: page.notes }))
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
    let passphrase = body.passphrase.map(|passphrase| UnlockBody::Passphrase { passphrase });
    let key_file = body.key_file.map(|content| UnlockBody::KeyFile { content });
    let further =
        [passphrase, key_file].into_iter().flatten().map(UnlockBody::unlock).collect::<ApiResult<Vec<_>>>()?;
    let added = repository::add_storage_with(&app.db, &app.sealer, &agent_name(), config, further).await;
    let added = added.map_err(storage_error)?;
    let storage = show(&app, added.id).await?;
    let recovery_key = added.recovery_key.as_ref().map(|key| key.expose().to_owned());
    Ok(Created(StorageCreated { storage, recovery_key, key: added.recovery_key.map(|new| KeyView::from(new.key)) }))
}

/// Makes an existing store a storage of this installation.
pub async fn attach(app: Data<Shared>, body: Json<AttachBody>) -> ApiResult<Created<StorageView>> {
    let body = body.into_inner();
    let config = StorageConfig {
        name: checked_name("storage", &body.name)?,
        backend: body.backend,
        settings: StorageSettings { path: body.path.into() },
        layout: None,
        encrypted: None,
    };
    let unlock = body.unlock.map(UnlockBody::unlock).transpose()?;
    let id = repository::attach_storage(&app.db, &app.sealer, &agent_name(), config, unlock).await;
    Ok(Created(show(&app, id.map_err(storage_error)?).await?))
}

/// One storage as listings show it.
pub async fn show(app: &Shared, id: StorageId) -> ApiResult<StorageView> {
    let all = repository::list_storages(&app.db).await.map_err(storage_error)?;
    let storage = all.into_iter().find(|storage| storage.id == id);
    view(app, storage.ok_or_else(|| ApiError::not_found("storage", id))?).await
}

pub async fn view(app: &Shared, storage: Storage) -> ApiResult<StorageView> {
    let totals = repository::storage_totals(&app.db, storage.id).await.map_err(storage_error)?;
    let verified_at = repository::verify::verified_at(&app.db, storage.id).await.map_err(storage_error)?;
    let space = repository::storage_space(&app.space, &storage, &agent_name()).await;
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
        free_bytes: space.map(|space| space.free_bytes),
        total_bytes: space.map(|space| space.total_bytes),
        space: app.workshop.space().state(space),
    })
}
