//! `/issues`: items that could not be backed up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{ChainId, ContainerId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueView {
    pub chain_id: ChainId,
    /// 32 hexadecimal digits.
    pub key: String,
    pub container_id: ContainerId,
    pub name: String,
    pub reason: String,
    pub message: String,
    pub attempts: u32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}
