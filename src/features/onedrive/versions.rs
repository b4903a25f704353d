//! Older versions of files, as OneDrive keeps them: which of them a policy wants, and what is read of one.
//!
//! A version is an item of its own whose parent is the file. Its content never changes, so it is downloaded once; the
//! service tells no hash of it, so what proves it is its length.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::capture::{capture_error, drive_of, read_item};
use super::content::{self, FileState};
use super::facets::{half, is, skip_reason};
use super::{KIND_VERSION, VERSIONS};
use crate::features::{
    CaptureError, Captured, Content, FeatureOptions, KnownVersion, Need, Parts, RemoteContainer, RemoteItem, Source,
    Summary,
};
use crate::graph::{DriveEndpoint, Endpoint};
use crate::ids::ItemKey;

pub(super) const CONTAINER: &str = "kodo:versions";
const NAME: &str = "Older versions of files";
/// SharePoint keeps no more of one file.
pub(super) const VERSIONS_MAX: usize = 50_000;
/// Between the id of a file and the number of a version; no id of a drive's item has a colon.
const WITHIN: &str = ":versions:";
const LIST: &str = ":versions";
/// Beside what Graph says of a version, and instead of its id: of which file it is.
const FILE: &str = "kodo.file";
const DRIVE: &str = "kodo.drive";
/// The number that Graph has for an id, which is one among the versions of a file only.
const NUMBER: &str = "kodo.version";

/// How many older versions of a file a policy wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    #[default]
    None,
    /// The newest ones, without the present state of the file.
    Last(u32),
    All,
}

impl Versions {
    fn most(self) -> usize {
        match self {
            Self::None => 0,
            Self::Last(n) => n as usize,
            Self::All => VERSIONS_MAX,
        }
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str("none"),
            Self::Last(n) => to.serialize_u32(*n),
            Self::All => to.serialize_str("all"),
        }
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        match (value.as_str(), value.as_u64().and_then(|n| u32::try_from(n).ok())) {
            (Some("none"), _) | (_, Some(0)) => Ok(Self::None),
            (Some("all"), _) => Ok(Self::All),
            (_, Some(n)) if n as usize <= VERSIONS_MAX => Ok(Self::Last(n)),
            _ => {
                Err(serde::de::Error::custom(format!("it is none, all, or a number of versions up to {VERSIONS_MAX}")))
            }
        }
    }
}

/// The container of all versions in a drive.
pub(super) fn container(drive: &str) -> RemoteContainer {
    RemoteContainer {
        id: CONTAINER.to_owned(),
        parent: Some(drive.to_owned()),
        name: NAME.to_owned(),
        hidden: true,
        well_known: Some(CONTAINER.to_owned()),
        n_items: None,
    }
}

/// Marks a file whose versions are wanted. The mark is part of what the change tag is made of, so that the choice itself
/// is a change.
pub(super) fn want_versions(entry: &mut Value, wanted: Versions) {
    if wanted != Versions::None && is_file(entry) {
        entry[VERSIONS] = json!(wanted);
    }
}

/// Whether an id is that of a version.
pub(super) fn is_version(id: &str) -> bool {
    id.contains(WITHIN)
}

/// One that the catalog holds is not read again; it goes by the name of its file.
pub(super) fn need(item: &RemoteItem, known: Option<&KnownVersion>) -> Need {
    let (Some(known), Some(properties)) = (known, &item.properties) else { return Need::Everything };
    let tag = tag(properties);
    if tag == known.change_tag {
        Need::Nothing
    } else if tag >> 32 == known.change_tag >> 32 && known.has_content {
        Need::Properties
    } else {
        Need::Everything
    }
}

pub(super) async fn capture(source: Source<'_>, item: &RemoteItem, need: Need) -> Result<Captured, CaptureError> {
    let properties = match &item.properties {
        Some(properties) => properties.clone(),
        None => {
            let (file, _) = item.id.split_once(WITHIN).unwrap_or_default();
            let file = RemoteItem { id: file.to_owned(), properties: None };
            let mut all = list(source, &file).await?.into_iter();
            let found = all.find(|one| one.id == item.id).and_then(|one| one.properties);
            found.ok_or(CaptureError::Gone)?
        }
    };
    let content = match need {
        Need::Nothing | Need::Properties => None,
        Need::Everything => Some(read_content(source, &properties).await?),
    };
    Ok(Captured { summary: summary(&properties), properties: Bytes::from(properties.to_string()), content })
}

async fn read_content(source: Source<'_>, properties: &Value) -> Result<Content, CaptureError> {
    let text = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
    let state = FileState {
        graph: source.graph.clone(),
        drive: text(DRIVE),
        item: text(FILE),
        version: Some(text(NUMBER)),
        bytes: properties["size"].as_u64().unwrap_or_default(),
        hash: None,
        e_tag: None,
    };
    content::read(state, None).await
}

async fn list(source: Source<'_>, file: &RemoteItem) -> Result<Vec<RemoteItem>, CaptureError> {
    let read;
    let entry = match &file.properties {
        Some(entry) => entry,
        None => {
            read = read_item(source, None, &file.id).await?;
            &read
        }
    };
    if !is_file(entry) {
        return Ok(Vec::new());
    }
    let drive = drive_of(entry, &file.id)?;
    let endpoint = Endpoint::Drive(DriveEndpoint::Versions { drive, item: &file.id });
    let all = source.graph.list(endpoint, VERSIONS_MAX, &[], &[]).await.map_err(capture_error)?;
    // The newest comes first. It is the file as it is, which the service hands out as such only.
    let older = all.into_iter().skip(1).take(source.options.onedrive.versions.most());
    let older = older.map(|mut version| {
        let number = version["id"].as_str().filter(|number| !number.is_empty())?.to_owned();
        let id = format!("{}{WITHIN}{number}", file.id);
        version["id"] = json!(id);
        version[NUMBER] = json!(number);
        version[FILE] = json!(file.id);
        version[DRIVE] = json!(drive);
        version["name"] = json!(name(entry["name"].as_str().unwrap_or_default(), &number));
        Some(RemoteItem { id, properties: Some(version) })
    });
    let unnamed = || CaptureError::Item { reason: "unreadable", message: format!("{endpoint}: one has no id") };
    older.collect::<Option<Vec<_>>>().ok_or_else(unnamed)
}

/// What OneDrive hands out of as a file. One that it does not has no versions to read either.
fn is_file(entry: &Value) -> bool {
    is(entry, "file") && !is(entry, "remoteItem") && skip_reason(entry).is_none()
}

/// Where a version stands in the history of its file: `3.0` behind `2.1`.
pub(super) fn order(properties: &[u8]) -> Option<u64> {
    let properties: Value = serde_json::from_slice(properties).ok()?;
    let number = properties[NUMBER].as_str()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((u64::from(major.parse::<u32>().ok()?) << 32) | u64::from(minor.parse::<u32>().ok()?))
}

/// The upper half stands for the content, as in the tags of files.
fn tag(properties: &Value) -> u64 {
    let content = format!("{} {} {}", properties["id"], properties["size"], properties["lastModifiedDateTime"]);
    (u64::from(half(&content)) << 32) | u64::from(half(&properties.to_string()))
}

fn summary(properties: &Value) -> Summary {
    let file = properties[FILE].as_str().unwrap_or_default();
    let own = super::facets::summary(properties);
    Summary { kind: KIND_VERSION, change_tag: tag(properties), parent: Some(ItemKey::of(file)), ..own }
}

/// `Plan (version 3.0).docx`: programs open it by its ending.
fn name(file: &str, number: &str) -> String {
    match file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, ending)) => format!("{stem} (version {number}).{ending}"),
        None => format!("{file} (version {number})"),
    }
}

/// The versions of a drive's files.
pub(super) struct OlderVersions;

impl Parts for OlderVersions {
    fn container(&self) -> &'static str {
        CONTAINER
    }

    fn are_wanted(&self, options: &FeatureOptions) -> bool {
        options.onedrive.versions != Versions::None
    }

    fn may_have(&self, item: &RemoteItem) -> bool {
        item.properties.as_ref().is_some_and(is_file)
    }

    fn list<'a>(
        &'a self,
        source: Source<'a>,
        item: &'a RemoteItem,
    ) -> BoxFuture<'a, Result<Vec<RemoteItem>, CaptureError>> {
        Box::pin(list(source, item))
    }

    fn list_id(&self, item: &str) -> String {
        format!("{item}{LIST}")
    }

    fn listed_by<'a>(&self, id: &'a str) -> Option<&'a str> {
        id.strip_suffix(LIST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: &str, file: &str) -> RemoteItem {
        let id = format!("F{WITHIN}{number}");
        let properties = json!({
            "id": id, NUMBER: number, "size": 3, "lastModifiedDateTime": "2024-02-03T04:05:06Z",
            "lastModifiedBy": {"user": {"email": "ann@contoso.com"}},
            FILE: "F", DRIVE: "D", "name": name(file, number),
        });
        RemoteItem { id, properties: Some(properties) }
    }

    #[test]
    fn a_version_goes_by_the_name_of_its_file_and_belongs_to_it() {
        let item = version("3.0", "Plan.docx");

        let read = summary(item.properties.as_ref().unwrap());

        assert_eq!((read.kind, read.name.as_str()), (KIND_VERSION, "Plan (version 3.0).docx"));
        assert_eq!((read.parent, read.party.as_str()), (Some(ItemKey::of("F")), "ann@contoso.com"));
        assert_eq!(read.time.to_rfc3339(), "2024-02-03T04:05:06+00:00");
        assert_eq!(name(".profile", "1.0"), ".profile (version 1.0)");
        assert_eq!(name("README", "1.0"), "README (version 1.0)");
    }

    #[test]
    fn versions_stand_in_the_order_of_their_numbers() {
        let at = |number: &str| order(version(number, "a").properties.unwrap().to_string().as_bytes());

        assert!(at("2.0") < at("10.0") && at("10.0") < at("10.2") && at("10.2") < at("11.0"));
        assert_eq!((at("7"), at("x.1"), at("1.y")), (Some(7 << 32), None, None));
    }

    #[test]
    fn a_known_version_is_not_read_again_whatever_its_file_is_called_now() {
        let known = |item: &RemoteItem, has_content| KnownVersion {
            change_tag: tag(item.properties.as_ref().unwrap()),
            flags: 0,
            has_content,
        };
        let (item, renamed, other) = (version("1.0", "a"), version("1.0", "b"), version("2.0", "a"));

        assert_eq!(need(&item, None), Need::Everything);
        assert_eq!(need(&item, Some(&known(&item, true))), Need::Nothing);
        assert_eq!(need(&renamed, Some(&known(&item, true))), Need::Properties);
        assert_eq!(need(&renamed, Some(&known(&item, false))), Need::Everything);
        assert_eq!(need(&other, Some(&known(&item, true))), Need::Everything);
    }

    #[test]
    fn a_number_of_versions_is_said_in_words_or_in_digits() {
        let read = |value: Value| serde_json::from_value::<Versions>(value);

        assert_eq!(read(json!("none")).unwrap(), Versions::None);
        assert_eq!(read(json!("all")).unwrap(), Versions::All);
        assert_eq!(read(json!(3)).unwrap(), Versions::Last(3));
        for bad in [json!(-1), json!("some"), json!(true), json!(VERSIONS_MAX + 1), json!(1.5)] {
            assert!(read(bad.clone()).unwrap_err().to_string().contains("none, all"), "{bad}");
        }
        for value in [Versions::None, Versions::Last(7), Versions::All] {
            assert_eq!(read(json!(value)).unwrap(), value);
        }
    }

    #[test]
    fn ids_of_versions_and_of_lists_are_told_from_those_of_items() {
        assert!(is_version("01F:versions:3.0") && !is_version("01F") && !is_version("01F:versions"));
        assert_eq!(OlderVersions.listed_by(&OlderVersions.list_id("01F")), Some("01F"));
        assert_eq!(OlderVersions.listed_by("01F:versions:3.0"), None);
    }
}
