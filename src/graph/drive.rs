//! Which resource of a OneDrive a request is about, its URL, and what Microsoft charges for it.

use std::sync::LazyLock;

use graph_rs_sdk::GraphClient as Sdk;

use super::endpoint::{ID, ID_WITHIN, USER, segments};

/// A resource of a drive. Ids are the ones that Graph gave out, unencoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveEndpoint<'a> {
    /// The OneDrive of a user.
    OfUser {
        user: &'a str,
    },
    /// Everything in a drive, from the beginning.
    Everything {
        drive: &'a str,
    },
    /// What changed in a drive since a token that the link carries.
    Changes {
        drive: &'a str,
    },
    Item {
        drive: &'a str,
        item: &'a str,
    },
    /// Answered with a redirect to a host that takes no token.
    Content {
        drive: &'a str,
        item: &'a str,
    },
    Permissions {
        drive: &'a str,
        item: &'a str,
    },
    /// What OneDrive keeps of a file: every state that it was in, the present one among them.
    Versions {
        drive: &'a str,
        item: &'a str,
    },
    /// As [`Self::Content`], of an older state.
    VersionContent {
        drive: &'a str,
        item: &'a str,
        version: &'a str,
    },
}

/// The paths as the SDK writes them, in the order of [`DriveEndpoint::row`].
static PATHS: LazyLock<[Vec<String>; 7]> = LazyLock::new(|| {
    let sdk = Sdk::new("unused: nothing is sent by this client");
    [
        sdk.user(USER).get_drive().url(),
        sdk.drive(USER).delta().url(),
        sdk.drive(USER).item(ID).get_items().url(),
        sdk.drive(USER).item(ID).get_items_content().url(),
        sdk.drive(USER).item(ID).list_permissions().url(),
        sdk.drive(USER).item(ID).list_versions().url(),
        sdk.drive(USER).item(ID).get_versions_content(ID_WITHIN).url(),
    ]
    .map(|url| segments(&url))
});

impl<'a> DriveEndpoint<'a> {
    pub(super) fn path(&self) -> (&'static [String], [&'a str; 3]) {
        let (row, ids) = self.row();
        (&PATHS[row], ids)
    }

    fn row(&self) -> (usize, [&'a str; 3]) {
        match *self {
            Self::OfUser { user } => (0, [user, "", ""]),
            Self::Everything { drive } | Self::Changes { drive } => (1, [drive, "", ""]),
            Self::Item { drive, item } => (2, [drive, item, ""]),
            Self::Content { drive, item } => (3, [drive, item, ""]),
            Self::Permissions { drive, item } => (4, [drive, item, ""]),
            Self::Versions { drive, item } => (5, [drive, item, ""]),
            Self::VersionContent { drive, item, version } => (6, [drive, item, version]),
        }
    }

    /// In SharePoint's resource units.
    pub(super) fn units(&self) -> u64 {
        match self {
            Self::OfUser { .. } | Self::Changes { .. } | Self::Item { .. } => 1,
            Self::Content { .. } | Self::VersionContent { .. } => 1,
            Self::Everything { .. } | Self::Versions { .. } => 2,
            Self::Permissions { .. } => 5,
        }
    }
}

impl std::fmt::Display for DriveEndpoint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OfUser { user } => write!(f, "the OneDrive of user {user}"),
            Self::Everything { drive } => write!(f, "all items of drive {drive}"),
            Self::Changes { drive } => write!(f, "the changes in drive {drive}"),
            Self::Item { drive, item } => write!(f, "item {item} of drive {drive}"),
            Self::Content { drive, item } => write!(f, "the content of item {item} of drive {drive}"),
            Self::Permissions { drive, item } => write!(f, "the permissions of item {item} of drive {drive}"),
            Self::Versions { drive, item } => write!(f, "the versions of item {item} of drive {drive}"),
            Self::VersionContent { drive, item, version } => {
                write!(f, "the content of version {version} of item {item} of drive {drive}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::endpoint::Endpoint;
    use super::*;

    #[test]
    fn every_resource_of_a_drive_has_its_own_path_below_the_base() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        let (drive, item) = ("b!x", "01F");
        for (endpoint, expected) in [
            (DriveEndpoint::OfUser { user: "u" }, "/users/u/drive"),
            (DriveEndpoint::Everything { drive }, "/drives/b%21x/root/delta()"),
            (DriveEndpoint::Changes { drive }, "/drives/b%21x/root/delta()"),
            (DriveEndpoint::Item { drive, item }, "/drives/b%21x/items/01F"),
            (DriveEndpoint::Content { drive, item }, "/drives/b%21x/items/01F/content"),
            (DriveEndpoint::Permissions { drive, item }, "/drives/b%21x/items/01F/permissions"),
            (DriveEndpoint::Versions { drive, item }, "/drives/b%21x/items/01F/versions"),
            (
                DriveEndpoint::VersionContent { drive, item, version: "3.0" },
                "/drives/b%21x/items/01F/versions/3.0/content",
            ),
        ] {
            assert_eq!(Endpoint::Drive(endpoint).url(&base).as_str(), format!("{base}{expected}"));
        }
    }
}
