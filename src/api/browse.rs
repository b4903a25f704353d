//! `/browse`: the containers and items of a restore point.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{ChainId, ContainerId, PointNumber};

/// One container as of a point: what is directly in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BrowseView {
    pub chain_id: ChainId,
    pub point: PointNumber,
    /// From the top to here; empty at the top.
    pub path: Vec<ContainerView>,
    pub containers: Vec<ContainerView>,
    /// A page of items, newest first.
    pub items: Vec<ItemView>,
    pub next: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerView {
    pub id: ContainerId,
    pub parent_id: Option<ContainerId>,
    pub name: String,
    /// The language-independent name of a default folder, such as `inbox`.
    pub well_known: Option<String>,
    pub hidden: bool,
    /// What is directly in it.
    pub items: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemView {
    /// 32 hexadecimal digits.
    pub key: String,
    pub container_id: ContainerId,
    /// A number of the feature's own.
    pub kind: u8,
    /// `read`, `draft`, `flagged`, `attachments`, `high_importance`, `low_importance`
    pub flags: Vec<String>,
    pub name: String,
    /// The other side: a sender's address, an organiser.
    pub party: String,
    pub time: DateTime<Utc>,
    pub bytes: u64,
    pub has_content: bool,
    /// The first point that holds this version.
    pub from_point: PointNumber,
    /// The first point that does not; `null` while it is current.
    pub to_point: Option<PointNumber>,
}
