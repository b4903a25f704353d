//! `/storages/{storage}/keys`: what opens a storage without this installation.

use actix_web::web::{Data, Json, Path};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::answer::Created;
use super::error::{ApiError, ApiResult};
use super::page::Page;
use super::readers::{agent_name, storage_error};
use super::reference::Ref;
use super::storages::StorageView;
use super::{Shared, resolve, storages};
use crate::ids::StorageId;
use crate::repository::{self, KeyState, NewRecoveryKey, Store, StoredKey, Unlock};
use crate::secret::Secret;

/// A key on the storage, without what it is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyView {
    pub id: String,
    /// `recovery`, `passphrase`, `keyfile` or `unreadable`.
    pub kind: String,
    pub created: Option<String>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

impl From<StoredKey> for KeyView {
    fn from(key: StoredKey) -> Self {
        match key.state {
            KeyState::Sound { kind, created } => {
                Self { id: key.id, kind: kind.name().to_owned(), created: Some(created), problem: None }
            }
            KeyState::Unreadable { why } => {
                Self { id: key.id, kind: "unreadable".to_owned(), created: None, problem: Some(why) }
            }
        }
    }
}

/// A key that a caller holds.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum UnlockBody {
    Recovery {
        recovery_key: Secret<String>,
    },
    Passphrase {
        passphrase: Secret<String>,
    },
    /// Base64.
    KeyFile {
        content: Secret<String>,
    },
}

impl UnlockBody {
    pub fn unlock(self) -> ApiResult<Unlock> {
        let unlock = match self {
            Self::Recovery { recovery_key } => Unlock::recovery_key(recovery_key.expose()),
            Self::Passphrase { passphrase } => Unlock::passphrase(passphrase),
            Self::KeyFile { content } => {
                let bytes = STANDARD.decode(content.expose());
                let bytes =
                    bytes.map_err(|_| ApiError::Unprocessable("the key file's content is not base64".to_owned()))?;
                Unlock::key_file(Secret::new(bytes))
            }
        };
        unlock.map_err(storage_error)
    }
}

/// A key to make. A recovery key is made by the server, the others come from the caller.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum NewKeyBody {
    Recovery {},
    Passphrase { passphrase: Secret<String> },
    KeyFile { content: Secret<String> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyAdded {
    pub storage: StorageView,
    pub key: KeyView,
    /// Opens the storage without this installation. Told this once.
    pub recovery_key: Option<String>,
    /// The keys that it took the place of.
    pub removed: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyRemoved {
    pub removed: Vec<String>,
}

/// They are few and come on one page.
pub async fn list(app: Data<Shared>, storage: Path<String>) -> ApiResult<Json<Page<KeyView>>> {
    let (_, store) = open(&app, &storage).await?;
    let keys = store.list_keys().await.map_err(storage_error)?;
    Ok(Json(Page::of_all(keys.into_iter().map(KeyView::from).collect())))
}

pub async fn add(app: Data<Shared>, storage: Path<String>, body: Json<NewKeyBody>) -> ApiResult<Created<KeyAdded>> {
    let (id, store) = open(&app, &storage).await?;
    let given = match body.into_inner() {
        NewKeyBody::Recovery {} => {
            let new = store.add_recovery_key().await.map_err(storage_error)?;
            return Ok(Created(told_once(&app, id, new).await?));
        }
        NewKeyBody::Passphrase { passphrase } => UnlockBody::Passphrase { passphrase },
        NewKeyBody::KeyFile { content } => UnlockBody::KeyFile { content },
    };
    let key = store.add_key(given.unlock()?).await.map_err(storage_error)?;
    let storage = storages::show(&app, id).await?;
    Ok(Created(KeyAdded { storage, key: key.into(), recovery_key: None, removed: Vec::new() }))
}

/// A new recovery key in the place of the old ones.
pub async fn rotate(app: Data<Shared>, storage: Path<String>) -> ApiResult<Created<KeyAdded>> {
    let (id, store) = open(&app, &storage).await?;
    let new = store.rotate_recovery_key().await.map_err(storage_error)?;
    Ok(Created(told_once(&app, id, new).await?))
}

pub async fn remove(app: Data<Shared>, path: Path<(String, String)>) -> ApiResult<Json<KeyRemoved>> {
    let (storage, key) = path.into_inner();
    let (_, store) = open(&app, &storage).await?;
    store.remove_key(key.clone()).await.map_err(storage_error)?;
    Ok(Json(KeyRemoved { removed: vec![key] }))
}

async fn told_once(app: &Shared, id: StorageId, new: NewRecoveryKey) -> ApiResult<KeyAdded> {
    let recovery_key = Some(new.expose().to_owned());
    Ok(KeyAdded { storage: storages::show(app, id).await?, key: new.key.into(), recovery_key, removed: new.removed })
}

/// Opened anew each time: keys are rarely changed, and what is changed must be this very store.
async fn open(app: &Shared, storage: &str) -> ApiResult<(StorageId, Store)> {
    let id = resolve::storage(app, &Ref::of(storage)).await?;
    let store = repository::open_storage(&app.db, &app.sealer, id, &agent_name()).await.map_err(storage_error)?;
    Ok((id, store))
}
