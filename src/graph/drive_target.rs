//! Where something is put into a drive: what is written to, its URL, and what Microsoft charges for it.

use std::fmt;
use std::sync::LazyLock;

use super::endpoint::{ID, NAMES, USER};

/// A resource of a drive that is written to, or looked for to do so. Ids are the ones that Graph gave out, unencoded;
/// `root` is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveTarget<'a> {
    /// An item that is changed or deleted.
    Item { drive: &'a str, item: &'a str },
    /// Listed, or added to.
    Children { drive: &'a str, folder: &'a str },
    /// What is found below a folder by these names, with slashes between them.
    Named { drive: &'a str, folder: &'a str, names: &'a str },
    /// The content of what is in a folder by this name, or will be.
    NamedContent { drive: &'a str, folder: &'a str, names: &'a str },
    /// An upload session for it.
    NamedUpload { drive: &'a str, folder: &'a str, names: &'a str },
    /// The content of a file that is there.
    Content { drive: &'a str, item: &'a str },
    /// An upload session for it.
    Upload { drive: &'a str, item: &'a str },
    /// Lets people in.
    Invite { drive: &'a str, item: &'a str },
}

/// In the order of [`DriveTarget::row`]. Written out: the SDK does not know paths with names.
static PATHS: LazyLock<[Vec<String>; 8]> = LazyLock::new(|| {
    let below = |tail: &[&str]| ["drives", USER, "items"].iter().chain(tail).map(|part| (*part).to_owned()).collect();
    let parent = format!("{ID}:");
    let named = format!("{NAMES}:");
    [
        below(&[ID]),
        below(&[ID, "children"]),
        below(&[&parent, NAMES]),
        below(&[&parent, &named, "content"]),
        below(&[&parent, &named, "createUploadSession"]),
        below(&[ID, "content"]),
        below(&[ID, "createUploadSession"]),
        below(&[ID, "invite"]),
    ]
});

impl<'a> DriveTarget<'a> {
    pub(super) fn path(self) -> (&'static [String], [&'a str; 3]) {
        let (row, drive, id, names) = match self {
            Self::Item { drive, item } => (0, drive, item, ""),
            Self::Children { drive, folder } => (1, drive, folder, ""),
            Self::Named { drive, folder, names } => (2, drive, folder, names),
            Self::NamedContent { drive, folder, names } => (3, drive, folder, names),
            Self::NamedUpload { drive, folder, names } => (4, drive, folder, names),
            Self::Content { drive, item } => (5, drive, item, ""),
            Self::Upload { drive, item } => (6, drive, item, ""),
            Self::Invite { drive, item } => (7, drive, item, ""),
        };
        (&PATHS[row], [drive, id, names])
    }

    /// In SharePoint's resource units.
    pub(super) fn units(self) -> u64 {
        match self {
            Self::Named { .. } => 1,
            Self::Item { .. }
            | Self::Children { .. }
            | Self::NamedContent { .. }
            | Self::NamedUpload { .. }
            | Self::Content { .. }
            | Self::Upload { .. } => 2,
            Self::Invite { .. } => 5,
        }
    }
}

/// Names say something to an outsider, so they are left out.
impl fmt::Display for DriveTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item { drive, item } => write!(f, "item {item} of drive {drive}"),
            Self::Children { drive, folder } => write!(f, "the items in folder {folder} of drive {drive}"),
            Self::Named { drive, folder, .. } => write!(f, "an item below folder {folder} of drive {drive}"),
            Self::NamedContent { drive, folder, .. } => write!(f, "a file in folder {folder} of drive {drive}"),
            Self::NamedUpload { drive, folder, .. } => {
                write!(f, "the upload of a file to folder {folder} of drive {drive}")
            }
            Self::Content { drive, item } => write!(f, "the content of item {item} of drive {drive}"),
            Self::Upload { drive, item } => write!(f, "the upload over item {item} of drive {drive}"),
            Self::Invite { drive, item } => write!(f, "an invitation to item {item} of drive {drive}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::super::endpoint::Endpoint;
    use super::*;

    #[test]
    fn names_stand_between_colons_and_every_sign_of_them_is_encoded() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        let (drive, folder, item) = ("b!x", "01F", "01G");
        let names = "100% #1/Käse & Brot+.txt";
        for (target, expected) in [
            (DriveTarget::Item { drive, item }, "01G"),
            (DriveTarget::Children { drive, folder: "root" }, "root/children"),
            (DriveTarget::Named { drive, folder, names }, "01F:/100%25%20%231/K%C3%A4se%20%26%20Brot%2B.txt"),
            (DriveTarget::NamedContent { drive, folder, names: "a" }, "01F:/a:/content"),
            (DriveTarget::NamedUpload { drive, folder, names: "a" }, "01F:/a:/createUploadSession"),
            (DriveTarget::Content { drive, item }, "01G/content"),
            (DriveTarget::Upload { drive, item }, "01G/createUploadSession"),
            (DriveTarget::Invite { drive, item }, "01G/invite"),
        ] {
            let url = Endpoint::DriveTarget(target).url(&base);
            assert_eq!(url.as_str(), format!("{base}/drives/b%21x/items/{expected}"));
        }
    }
}
