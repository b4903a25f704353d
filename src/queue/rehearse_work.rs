//! The work of rehearsals. See [`super::work`] for why unknown fields are refused.

use serde::{Deserialize, Serialize};

use super::work::hex_keys;
use crate::ids::{ChainId, ItemKey, PointNumber, RehearsalId, ResourceId, RestoreId};

/// Compares what a restore of samples made in a sandbox with the backup, and clears the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearseWork {
    pub rehearsal: RehearsalId,
    /// When it has ended, this task begins.
    pub restore: RestoreId,
    pub sandbox: ResourceId,
    pub parts: Vec<RehearsePart>,
}

/// One chain as of a point, and the sample of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearsePart {
    pub chain: ChainId,
    pub point: PointNumber,
    /// The new folder at the top of the sandbox that received the sample.
    pub folder: String,
    #[serde(with = "hex_keys")]
    pub items: Vec<ItemKey>,
}

impl RehearseWork {
    /// One rehearsal in a sandbox at a time.
    pub fn open_key(sandbox: ResourceId) -> String {
        format!("rehearse:{sandbox}")
    }
}
