//! The JSON in `tasks.work`: what producers write and workers read, one struct per kind of task.
//!
//! Unknown fields are refused. An agent that does not know a field would do the wrong thing silently, such as restore
//! everything because it overlooked a selection; failing tells the administrator to update it.

use serde::{Deserialize, Serialize};

use crate::ids::{
    ChainId, ContainerId, FeatureName, ItemKey, PointNumber, PolicyId, ResourceId, RestoreId, StorageId, TenantId,
};

/// Backs up one feature of one resource into one storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupWork {
    pub resource: ResourceId,
    pub feature: FeatureName,
    pub storage: StorageId,
    #[serde(default)]
    pub keeping: Keeping,
    /// What the policy wants captured: JSON that `features` reads; `None`: what the chain captured before.
    #[serde(default)]
    pub options: Option<String>,
}

/// The member of a backup's result that says why the resource does not have the feature.
pub const NOT_APPLICABLE: &str = "not_applicable";

/// Which policy says from now on for how long the points of the chain are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// The one that says so now, if one does.
    #[default]
    AsBefore,
    /// This one, unless the chain has one: a backup by hand does not change what a schedule set.
    FirstUnder(PolicyId),
    /// This one, whatever it was before.
    Under(PolicyId),
}

impl BackupWork {
    /// One unfinished backup per chain: a second would only repeat what the first does.
    pub fn open_key(&self) -> String {
        format!("backup:{}:{}:{}", self.resource, self.feature, self.storage)
    }
}

/// Brings items of one restore point back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreWork {
    pub restore: RestoreId,
    pub chain: ChainId,
    pub point: PointNumber,
    pub target_resource: ResourceId,
    /// A new folder at the top of the target that receives everything; `None`: each item in its own place.
    pub target_folder: Option<String>,
    /// `None`: everything that the point holds.
    pub selection: Option<RestoreSelection>,
    /// What is done when the target holds another state of an item: a name that `features` knows; `None`: it stays.
    #[serde(default)]
    pub on_conflict: Option<String>,
    /// Nothing is written: the outcomes say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default, skip_serializing_if = "RestoreAlong::is_nothing")]
    pub along: RestoreAlong,
}

/// What comes back along with items, because it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreAlong {
    /// The older versions of files.
    #[serde(default)]
    pub versions: bool,
    /// Those whom items were shared with are let in again.
    #[serde(default)]
    pub permissions: bool,
}

impl RestoreAlong {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What to restore: the union of the items named and of all items in the containers named; all, if none is named. An
/// item that is a folder stands for all that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSelection {
    #[serde(default)]
    pub containers: Vec<ContainerId>,
    #[serde(default, with = "hex_keys")]
    pub items: Vec<ItemKey>,
    /// Of these only what is gone as of that point.
    #[serde(default)]
    pub gone_at: Option<PointNumber>,
}

impl RestoreSelection {
    /// Whether it names nothing, so that everything is meant.
    pub fn is_of_all(&self) -> bool {
        self.containers.is_empty() && self.items.is_empty()
    }
}

pub use super::export_work::{
    EXPORT_PASSPHRASE, ExpireExportWork, ExportForm, ExportLayout, ExportPart, ExportSelection, ExportWork,
};

pub use super::rehearse_work::{RehearsePart, RehearseWork};

/// Reads the users of one tenant from its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncWork {
    pub tenant: TenantId,
}

impl SyncWork {
    pub fn open_key(&self) -> String {
        format!("sync:{}", self.tenant)
    }
}

/// Gives up the restore points of one storage that retention no longer keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneWork {
    pub storage: StorageId,
}

impl PruneWork {
    pub fn open_key(&self) -> String {
        format!("prune:{}", self.storage)
    }
}

/// Frees the space of one storage that no restore point needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectWork {
    pub storage: StorageId,
}

impl CollectWork {
    /// One collection of a storage at a time.
    pub fn open_key(&self) -> String {
        format!("collect:{}", self.storage)
    }
}

/// Proves that one storage holds what was stored in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyWork {
    pub storage: StorageId,
    /// How deep to look, 1 to 4: see docs/OPERATIONS.md.
    pub level: u8,
    /// Stored bytes to read at most, the packs first that were not looked at for the longest time; `None`: all.
    #[serde(default)]
    pub bytes_max: Option<u64>,
}

impl VerifyWork {
    pub fn open_key(&self) -> String {
        format!("verify:{}", self.storage)
    }
}

/// The JSON text of a work struct.
pub fn to_json(work: &impl Serialize) -> String {
    serde_json::to_string(work).expect("work structs hold only numbers and text, which JSON can always say")
}

pub(super) mod hex_keys {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::ids::ItemKey;

    pub fn serialize<S: Serializer>(keys: &[ItemKey], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(ItemKey::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ItemKey>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let key = |text: String| {
            ItemKey::from_hex(&text).ok_or_else(|| {
                serde::de::Error::custom(format!("an item key is 32 hexadecimal digits, not \"{text}\""))
            })
        };
        texts.into_iter().map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_survives_the_way_through_json() {
        let work = RestoreWork {
            restore: RestoreId::new(7),
            chain: ChainId::new(3),
            point: PointNumber::new(12),
            target_resource: ResourceId::new(5),
            target_folder: Some("Restored".to_owned()),
            selection: Some(RestoreSelection {
                containers: vec![ContainerId::new(9)],
                items: vec![ItemKey::of("AAMk=")],
                gone_at: Some(PointNumber::new(14)),
            }),
            on_conflict: Some("replace".to_owned()),
            dry_run: true,
            along: RestoreAlong { versions: true, permissions: false },
        };

        let json = to_json(&work);

        assert_eq!(serde_json::from_str::<RestoreWork>(&json).unwrap(), work);
    }

    #[test]
    fn a_field_from_a_newer_version_is_refused() {
        let json = r#"{"tenant":1,"only":["groups"]}"#;

        assert!(serde_json::from_str::<SyncWork>(json).is_err());
    }
}
