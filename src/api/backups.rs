//! `/backups`: back up these resources now.

use serde::{Deserialize, Serialize};

use super::reference::Ref;
use crate::ids::FeatureName;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackupBody {
    /// Ids or addresses.
    pub resources: Vec<Ref>,
    pub features: Vec<FeatureName>,
    /// May be left out where there is only one.
    #[serde(default)]
    pub policy: Option<Ref>,
}
