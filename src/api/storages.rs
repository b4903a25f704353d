//! `/storages`: where the backups lie.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::StorageId;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageView {
    pub id: StorageId,
    pub name: String,
    /// `filesystem`, `nfs`, `cifs` or `vdo`.
    pub backend: String,
    pub settings: serde_json::Value,
    pub encrypted: bool,
    /// What all packs take.
    pub bytes: u64,
    pub n_packs: u64,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewStorageBody {
    pub name: String,
    /// `filesystem`, `nfs`, `cifs` or `vdo`.
    pub backend: String,
    /// An existing directory that is absolute and the same on every agent.
    pub path: String,
    #[serde(default = "yes")]
    pub encrypted: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageCreated {
    pub storage: StorageView,
    /// Opens the storage without this installation. Told this once.
    pub recovery_key: Option<String>,
}
