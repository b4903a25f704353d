//! The work of exports. See [`super::work`] for why unknown fields are refused.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::work::hex_keys;
use crate::ids::{ChainId, ContainerId, ExportId, ItemKey, PointNumber};

/// What passphrases of archives are labelled with when they are sealed under the instance key.
pub const EXPORT_PASSPHRASE: &str = "passphrase of an export";

/// Writes what restore points hold into an archive in a directory of the agent's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportWork {
    pub export: ExportId,
    pub parts: Vec<ExportPart>,
    pub form: ExportForm,
    /// `None`: everything that the points hold.
    pub selection: Option<ExportSelection>,
    /// One that the agent's configuration allows.
    pub directory: String,
    /// The name of the archive in it.
    pub file: String,
    /// For how long the archive stays.
    pub keep_hours: u32,
    /// The passphrase of the archive, sealed under the instance key, in hexadecimal.
    pub passphrase_sealed: Option<String>,
    pub requested_by: String,
}

/// One chain as of a point, and the folder at the top of the archive that it goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportPart {
    pub chain: ChainId,
    pub point: PointNumber,
    pub folder: String,
}

/// What items become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportForm {
    pub layout: ExportLayout,
    /// The properties of each item as JSON beside it.
    pub properties: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLayout {
    /// A file for each item: .eml, .ics, .vcf.
    #[default]
    ItemFiles,
    /// A file for each folder: .mbox, .ics, .vcf. Files of a drive stay files.
    FolderFiles,
}

/// What to hand out: the union of the items named and of all items in the containers named. A folder among items is
/// all that is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSelection {
    #[serde(default)]
    pub containers: Vec<ContainerId>,
    #[serde(default, with = "hex_keys")]
    pub items: Vec<ItemKey>,
}

/// Deletes an archive when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpireExportWork {
    pub export: ExportId,
    pub directory: String,
    pub file: String,
    pub at: DateTime<Utc>,
}

impl ExportWork {
    pub fn open_key(export: ExportId) -> String {
        format!("export:{export}")
    }
}

impl ExpireExportWork {
    pub fn open_key(&self) -> String {
        format!("expire_export:{}", self.export)
    }
}
