//! A drive, handed out as files by a storage alone.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::identity;
use super::rebuilds::Site;
use crate::ids::{ItemKey, PointNumber};
use crate::recovery::rescue::{Place, Selection};
use crate::repository::record::{self, Parent, Record};
use crate::repository::{ChainIdentity, Ingest, IngestContent, Packer};

/// Seconds since 1970.
const TIME: u64 = 1_600_000_000;

struct Thing<'a> {
    id: &'a str,
    parent: Option<&'a str>,
    name: &'a str,
    properties: &'a str,
    content: Option<&'a str>,
}

fn folder<'a>(id: &'a str, parent: Option<&'a str>, name: &'a str) -> Thing<'a> {
    Thing { id, parent, name, properties: r#"{"folder":{}}"#, content: None }
}

fn file<'a>(id: &'a str, parent: &'a str, name: &'a str, content: &'a str) -> Thing<'a> {
    Thing { id, parent: Some(parent), name, properties: r#"{"file":{}}"#, content: Some(content) }
}

fn chain() -> Arc<ChainIdentity> {
    Arc::new(ChainIdentity { feature: "onedrive".into(), ..identity("ada").as_ref().clone() })
}

async fn tell(packer: &mut Packer, point: u32, things: &[Thing<'_>]) {
    let (chain, point) = (chain(), PointNumber::new(point));
    let ingest = |thing: &Thing<'_>| Ingest {
        properties: thing.properties.to_owned().into(),
        content: thing.content.map(|content| IngestContent::Raw(Bytes::from(content.to_owned()))),
    };
    let stored = packer.store(things.iter().map(ingest).collect()).await.unwrap();
    for (thing, stored) in things.iter().zip(stored) {
        let content = stored.content.as_ref();
        let item = record::Item {
            container: "drive".into(),
            graph_id: thing.id.into(),
            kind: 1,
            flags: 0,
            change_tag: 0,
            name: thing.name.into(),
            party: String::new(),
            time_s: TIME as i64,
            bytes: content.map_or(0, |content| content.bytes),
            properties: stored.properties,
            content: content.map(|content| content.location),
            refs: content.map(|content| content.refs.clone()).unwrap_or_default(),
            words: None,
            parent: thing.parent.map(|parent| Parent(ItemKey::of(parent))),
        };
        packer.add_record(&chain, point, Record::Item(item));
    }
    packer.add_record(&chain, point, Record::PointSeal(record::PointSeal::default()));
}

/// A drive in two points: in the second, a folder has another name and a file is gone.
async fn site() -> Site {
    let site = Site::new().await;
    let first = [
        folder("r", None, "root"),
        folder("a", Some("r"), "Plans"),
        folder("e", Some("a"), "Empty"),
        file("f", "a", "2026.txt", "one"),
        file("z", "r", "zero.bin", ""),
        file("o", "r", "odd?.txt", "odd"),
        Thing { properties: r#"{"folder":{},"remoteItem":{}}"#, ..folder("s", Some("r"), "Shared by Bob") },
    ];
    site.write(
        async |packer| {
            let drive = record::Container {
                graph_id: "drive".into(),
                parent: None,
                name: "OneDrive".into(),
                hidden: false,
                well_known: None,
            };
            packer.add_record(&chain(), PointNumber::new(1), Record::Container(drive));
            tell(packer, 1, &first).await;
        },
        true,
    )
    .await;
    site.write(
        async |packer| {
            let gone = record::ItemGone { item: ItemKey::of("z"), container: None };
            packer.add_record(&chain(), PointNumber::new(2), Record::ItemGone(gone));
            tell(packer, 2, &[folder("a", Some("r"), "Old plans")]).await;
        },
        true,
    )
    .await;
    site
}

/// Everything below a folder, by path: the content of files; folders end with a slash.
fn found(below: &std::path::Path, prefix: &str, all: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(below).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            all.push((format!("{name}/"), String::new()));
            found(&entry.path(), &format!("{name}/"), all);
        } else {
            all.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    all.sort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_comes_back_as_files_in_their_folders_as_of_a_point() {
    let site = site().await;
    let place = Place::open(site.store.clone(), &|_| ()).await.unwrap();
    let (view, newest) = place.choose("ada", Some("onedrive"), None).await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let (first, second) = (to.path().join("first"), to.path().join("second"));

    let everything = Selection::default();
    let done = place.extract(&view.chain, PointNumber::new(1), &everything, &first, &|_| ()).await.unwrap();
    place.extract(&view.chain, newest, &everything, &second, &|_| ()).await.unwrap();

    assert!(done.failed.is_empty(), "{:?}", done.failed);
    let key = &ItemKey::of("o").to_string()[..12];
    let shortcut = format!("2020-09-13 1226 Shared by Bob [{}].json", &ItemKey::of("s").to_string()[..12]);
    let mut all = Vec::new();
    found(&first, "", &mut all);
    let expected = [
        ("OneDrive/".to_owned(), ""),
        (format!("OneDrive/{shortcut}"), r#"{"folder":{},"remoteItem":{}}"#),
        ("OneDrive/Plans/".to_owned(), ""),
        ("OneDrive/Plans/2026.txt".to_owned(), "one"),
        ("OneDrive/Plans/Empty/".to_owned(), ""),
        (format!("OneDrive/odd_ [{key}].txt"), "odd"),
        ("OneDrive/zero.bin".to_owned(), ""),
    ];
    let mut expected: Vec<(String, String)> =
        expected.into_iter().map(|(name, content)| (name, content.to_owned())).collect();
    expected.sort();
    assert_eq!(all, expected);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME);
    for path in ["OneDrive/Plans/2026.txt", "OneDrive/Plans", "OneDrive/Plans/Empty"] {
        assert_eq!(fs::metadata(first.join(path)).unwrap().modified().unwrap(), time, "{path}");
    }
    let drive = second.join("OneDrive");
    assert_eq!(fs::read_to_string(drive.join("Old plans/2026.txt")).unwrap(), "one");
    assert!(!drive.join("zero.bin").exists() && !drive.join("Plans").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_a_drive_are_listed_and_chosen_by_their_paths() {
    let site = site().await;
    let place = Place::open(site.store.clone(), &|_| ()).await.unwrap();
    let (view, point) = place.choose("ada", None, None).await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let plans = Selection { folder: Some("OneDrive/Old plans".to_owned()), item: None };

    let folders = place.folders(&view.chain, point).await.unwrap();
    place.extract(&view.chain, point, &plans, to.path(), &|_| ()).await.unwrap();

    let listed: Vec<(&str, u64)> = folders.iter().map(|folder| (folder.path.as_str(), folder.items)).collect();
    assert_eq!(listed, [("OneDrive", 2), ("OneDrive/Old plans", 1), ("OneDrive/Old plans/Empty", 0)]);
    let mut all = Vec::new();
    found(to.path(), "", &mut all);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["OneDrive/", "OneDrive/Old plans/", "OneDrive/Old plans/2026.txt", "OneDrive/Old plans/Empty/"];
    assert_eq!(names, expected);
}
