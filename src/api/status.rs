//! `/status`: how everything stands, on one page.

use serde::{Deserialize, Serialize};

use super::agents::AgentView;
use super::runs::TaskCounts;
use super::storages::StorageView;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    pub version: String,
    pub agents: Vec<AgentView>,
    pub tasks: TaskCounts,
    pub chains: ChainCounts,
    pub open_issues: u64,
    pub storages: Vec<StorageView>,
}

/// Chains by state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChainCounts {
    pub protected: u64,
    pub unprotected: u64,
    pub not_applicable: u64,
}
