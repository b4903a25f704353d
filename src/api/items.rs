//! `/items`: one item of a restore point, its properties and its content.

use serde::{Deserialize, Serialize};

use super::browse::ItemView;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemDetail {
    #[serde(flatten)]
    pub item: ItemView,
    /// As Microsoft Graph gave them.
    pub properties: serde_json::Value,
}
