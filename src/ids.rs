//! Identifiers and names that every layer shares.
//!
//! Each id is its own type, so that a task cannot be passed where a run is meant. An id comes from a database row
//! or from a request; it is never computed with.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($int);

        impl $name {
            pub const fn new(value: $int) -> Self {
                Self(value)
            }

            pub const fn get(self) -> $int {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(OrganizationId, u32);
id!(TenantId, u32);
id!(ResourceId, u32);
id!(AdminId, u32);
id!(StorageId, u32);
id!(PolicyId, u32);
id!(ScheduleId, u32);
id!(AgentId, u32);
id!(ChainId, u32);
id!(ContainerId, u32);
id!(RunId, u64);
id!(TaskId, u64);
id!(RestoreId, u64);
id!(ExportId, u64);
id!(RehearsalId, u64);
impl OrganizationId {
    /// Owns the tasks that belong to no organization, such as those that keep a storage in order.
    pub const INSTALLATION: Self = Self(0);
}

id!(
    /// The number of a restore point in its chain: 1, 2, 3 …
    PointNumber, u32
);
id!(
    /// The number of a full walk of one container: 1, 2, 3 … in all its life.
    WalkNumber, u32
);
id!(
    /// The row of an item's version in its chain, in the order in which they were written.
    VersionNumber, u32
);
id!(
    /// The row of a pack in one database. On disk a pack is known by its [`PackUid`].
    PackId, u32
);

impl VersionNumber {
    /// Of a version that is in no catalog.
    pub const NONE: Self = Self(0);
}

impl WalkNumber {
    pub const FIRST: Self = Self(1);
}

/// Before the first walk.
impl Default for WalkNumber {
    fn default() -> Self {
        Self(0)
    }
}

impl PointNumber {
    /// `to_point` of a version that nothing has replaced yet: the greatest number of three bytes, in which the catalog
    /// counts the points of a chain. A chain that has a point every minute reaches it after thirty years.
    pub const OPEN: Self = Self((1 << 24) - 1);
}

macro_rules! bytes16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// `None` unless `bytes` are exactly 16.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// `None` unless `text` is 32 hexadecimal digits.
            pub fn from_hex(text: &str) -> Option<Self> {
                Self::from_slice(&hex::decode(text).ok()?)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

bytes16!(
    /// An item of a chain: the first 16 bytes of BLAKE3 of its Graph id.
    ItemKey
);
bytes16!(
    /// The content of a blob: the first 16 bytes of its keyed BLAKE3.
    BlobId
);
bytes16!(
    /// A pack on disk: 16 random bytes, also its file name in lower-case hexadecimal.
    PackUid
);
bytes16!(
    /// One agent process writing to one storage.
    WriterId
);

impl ItemKey {
    pub fn of(graph_id: &str) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(graph_id.as_bytes()).as_bytes()[..16]);
        Self(key)
    }
}

impl PackUid {
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }
}

impl WriterId {
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }
}

/// The name of a feature: `mailbox`, `calendar` … Which names exist is told by `features::REGISTRY` alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct FeatureName(String);

#[derive(Debug, thiserror::Error)]
#[error("a feature name is 1 to 24 lower-case letters, not \"{0}\"")]
pub struct BadFeatureName(String);

impl FeatureName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FeatureName {
    type Error = BadFeatureName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let well_formed = (1..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
        if well_formed { Ok(Self(text)) } else { Err(BadFeatureName(text)) }
    }
}

impl std::str::FromStr for FeatureName {
    type Err = BadFeatureName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl std::fmt::Display for FeatureName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
