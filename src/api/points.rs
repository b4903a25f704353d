//! `/chains` and `/points`: what is protected, and as of when.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{ChainId, FeatureName, PointNumber, ResourceId, RunId, StorageId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainView {
    pub id: ChainId,
    pub resource_id: ResourceId,
    pub feature: FeatureName,
    pub storage_id: StorageId,
    /// `unprotected`, `protected` or `not_applicable`.
    pub state: String,
    pub state_detail: Option<String>,
    /// The newest restore point.
    pub last_point: Option<PointNumber>,
    pub sealed_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PointView {
    pub chain_id: ChainId,
    pub number: PointNumber,
    /// `sealed`, or `open` while its backup works.
    pub state: String,
    pub run_id: Option<RunId>,
    pub started_at: DateTime<Utc>,
    pub sealed_at: Option<DateTime<Utc>>,
    pub items: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub issues: u64,
    pub bytes_read: u64,
    pub bytes_stored: u64,
}
