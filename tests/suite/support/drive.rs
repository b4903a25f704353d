//! A simulated drive with a backup that is kept in memory: what a worker, a catalog and a storage do, in short.

use std::collections::{BTreeMap, HashSet};

use futures_util::{StreamExt, stream};
use kodo::features::{
    CaptureError, Captured, Change, Content, Cursor, Feature, FeatureOptions, KnownVersion, Need, Next,
    OneDriveOptions, RemoteItem, Source, Walk, WalkError, find,
};
use kodo::graph::GraphClient;
use kodo::ids::ItemKey;
use kodo_simulator::{FaultPlan, Options, Simulator};
use serde_json::{Value, json};

use super::tenant::client;

/// The length of a large file: so many MiB, or as many as `KODO_TEST_FILE_MIB` says.
pub fn large_file_bytes(mib: u64) -> u64 {
    let asked = std::env::var("KODO_TEST_FILE_MIB").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(mib) << 20
}

/// What a catalog and a storage would hold, in memory.
#[derive(Default)]
pub struct KeptDrive {
    pub items: BTreeMap<String, KeptFile>,
    pub issues: BTreeMap<String, &'static str>,
    /// Items that are not captured for a permanent cause.
    pub skipped: BTreeMap<String, &'static str>,
    cursor: Option<Cursor>,
    pub n_captured: usize,
    pub n_downloaded: usize,
}

pub struct KeptFile {
    pub known: KnownVersion,
    pub kind: u8,
    pub name: String,
    pub time: i64,
    pub parent: Option<ItemKey>,
    pub properties: Value,
    pub bytes: u64,
    pub blake3: String,
}

pub struct DriveTenant {
    pub simulator: Simulator,
    pub graph: GraphClient,
    pub feature: &'static dyn Feature,
    pub options: FeatureOptions,
    pub user: String,
}

impl DriveTenant {
    pub async fn start(files: usize) -> Self {
        let options = Options { users: 1, messages: 0, files, ..Options::default() };
        let simulator = Simulator::start(options).await.unwrap();
        let graph = client(&simulator);
        let users = simulator.users();
        let member = users["users"].as_array().unwrap().iter().find(|user| user["kind"] == "member").unwrap();
        let user = member["id"].as_str().unwrap().to_owned();
        Self { simulator, graph, feature: find("onedrive").unwrap(), options: FeatureOptions::default(), user }
    }

    pub fn choosing(self, onedrive: OneDriveOptions) -> Self {
        Self { options: FeatureOptions { onedrive, ..FeatureOptions::default() }, ..self }
    }

    pub fn source(&self) -> Source<'_> {
        Source { graph: &self.graph, user: &self.user, options: &self.options }
    }

    /// Everything goes wrong in these ways from now on.
    pub fn set_faults(&self, rules: Value) {
        let plan: FaultPlan = serde_json::from_value(json!({ "seed": 11, "rules": rules })).unwrap();
        self.simulator.set_faults(plan);
    }

    /// The items of the drive, by id.
    pub fn truth(&self) -> BTreeMap<String, Value> {
        let whole: Value = serde_json::from_slice(&self.simulator.drive_fingerprint(&self.user).unwrap()).unwrap();
        let items = whole["items"].as_array().unwrap().iter();
        items.map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone())).collect()
    }

    /// Does one thing to the drive, and returns the item's id.
    pub fn edit(&self, wanted: Value) -> String {
        self.simulator.drive_edit(&self.user, wanted).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub fn assert_no_violations(&self) {
        let violations = self.simulator.violations();
        assert!(violations.is_empty(), "{} violations, first: {:?}", violations.len(), violations.first());
    }

    /// One backup run: the drive, then its changes to their end.
    pub async fn back_up(&self, kept: &mut KeptDrive) {
        let drive = self.feature.containers(self.source(), None).await.unwrap().present.remove(0);
        let mut walk = kept.cursor.clone().map_or(Walk::Start, Walk::Since);
        let mut seen = (walk == Walk::Start).then(HashSet::new);
        loop {
            let page = match self.feature.page(self.source(), &drive.id, &walk).await {
                Err(WalkError::Expired) => {
                    (walk, seen) = (Walk::Start, Some(HashSet::new()));
                    continue;
                }
                page => page.unwrap(),
            };
            let mut present = Vec::new();
            for change in page.changes {
                match change {
                    Change::Present(item) => present.push(item),
                    Change::Removed { id } | Change::LeftOut { id } => drop(kept.items.remove(&id)),
                }
            }
            if let Some(seen) = &mut seen {
                seen.extend(present.iter().map(|item| item.id.clone()));
            }
            self.capture_all(present, kept).await;
            match page.next {
                Next::Page(cursor) => walk = Walk::Resume(cursor),
                Next::Done(cursor) => {
                    kept.cursor = Some(cursor);
                    break;
                }
            }
        }
        if let Some(seen) = seen {
            kept.items.retain(|id, _| seen.contains(id));
        }
    }

    /// What a later run does with items that failed.
    pub async fn retry_issues(&self, kept: &mut KeptDrive) {
        let failed: Vec<String> = std::mem::take(&mut kept.issues).into_keys().collect();
        let items = failed.into_iter().map(|id| RemoteItem { id, properties: None }).collect();
        self.capture_all(items, kept).await;
    }

    async fn capture_all(&self, items: Vec<RemoteItem>, kept: &mut KeptDrive) {
        let wanted: Vec<(RemoteItem, Need)> = items
            .into_iter()
            .map(|item| {
                let need = self.feature.need(&item, kept.items.get(&item.id).map(|kept| &kept.known));
                (item, need)
            })
            .filter(|(_, need)| *need != Need::Nothing)
            .collect();
        let captures = stream::iter(wanted).map(|(item, need)| async move {
            let outcome = self.read(&item, need).await;
            (item, need, outcome)
        });
        let captured: Vec<_> = captures.buffer_unordered(6).collect().await;
        for (item, need, outcome) in captured {
            match outcome {
                Ok((captured, content)) => self.keep(item.id, need, captured, content, kept),
                Err(CaptureError::Gone) => drop(kept.items.remove(&item.id)),
                Err(CaptureError::Item { reason, .. }) => drop(kept.issues.insert(item.id, reason)),
                Err(CaptureError::Skipped { reason, .. }) => drop(kept.skipped.insert(item.id, reason.name())),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Captures an item and reads its content to the end; one that changed meanwhile is read once more.
    async fn read(&self, item: &RemoteItem, need: Need) -> Result<(Captured, Option<(u64, String)>), CaptureError> {
        let mut captured = self.feature.capture(self.source(), item, need).await?;
        let content = match captured.content.take() {
            Some(content) => Some(digest(content).await?),
            None => None,
        };
        Ok((captured, content))
    }

    fn keep(&self, id: String, need: Need, captured: Captured, content: Option<(u64, String)>, kept: &mut KeptDrive) {
        kept.n_captured += 1;
        let has_content = content.is_some();
        kept.n_downloaded += usize::from(has_content);
        let before = kept.items.remove(&id).filter(|_| need == Need::Properties);
        let had_content = before.as_ref().is_some_and(|before| before.known.has_content);
        let before = before.map(|before| (before.bytes, before.blake3));
        let (bytes, blake3) = content.or(before).unwrap_or_default();
        let summary = captured.summary;
        let known = KnownVersion {
            change_tag: summary.change_tag,
            flags: summary.flags,
            has_content: has_content || had_content,
        };
        let properties = serde_json::from_slice(&captured.properties).unwrap();
        let (kind, name, time, parent) = (summary.kind, summary.name, summary.time.timestamp(), summary.parent);
        kept.items.insert(id, KeptFile { known, kind, name, time, parent, properties, bytes, blake3 });
    }
}

/// The length and the hash of content, piece by piece.
pub async fn digest(content: Content) -> Result<(u64, String), CaptureError> {
    let mut hash = blake3::Hasher::new();
    match content {
        Content::Raw(bytes) => drop(hash.update(&bytes)),
        Content::Stream(mut stream) => {
            while let Some(piece) = stream.pieces.next().await {
                hash.update(&piece?);
            }
            assert_eq!(hash.count(), stream.bytes);
        }
        other => panic!("a file is not {other:?}"),
    }
    Ok((hash.count(), hash.finalize().to_hex().to_string()))
}

/// Asserts that what is kept is what OneDrive hands out of the drive, and no more.
pub fn assert_kept(truth: &BTreeMap<String, Value>, kept: &KeptDrive) {
    let handed_out = |item: &Value| item["kind"] != "package" && item["downloadable"] != json!(false);
    let wanted: BTreeMap<&String, &Value> = truth.iter().filter(|(_, item)| handed_out(item)).collect();
    let names = |ids: HashSet<&String>| ids.into_iter().filter_map(|id| truth.get(id)).collect::<Vec<_>>();
    let (held, expected): (HashSet<_>, HashSet<_>) = (kept.items.keys().collect(), wanted.keys().copied().collect());
    assert_eq!(held.len(), expected.len(), "missing: {:?}", names(expected.difference(&held).copied().collect()));
    for (id, item) in wanted {
        let file = kept.items.get(id).unwrap_or_else(|| panic!("{item} is not kept"));
        let kept_properties = json!({
            "name": file.name,
            "modified": file.properties["fileSystemInfo"]["lastModifiedDateTime"],
            "created": file.properties["fileSystemInfo"]["createdDateTime"],
            "createdBy": file.properties["createdBy"]["user"]["email"],
            "lastModifiedBy": file.properties["lastModifiedBy"]["user"]["email"],
            "description": file.properties["description"],
        });
        for (name, value) in kept_properties.as_object().unwrap() {
            assert_eq!(*value, item[name], "{name} of {item}");
        }
        let modified = chrono::DateTime::parse_from_rfc3339(item["modified"].as_str().unwrap()).unwrap();
        assert_eq!(file.time, modified.timestamp(), "time of {item}");
        assert_eq!(file.parent, item["parentId"].as_str().map(ItemKey::of), "parent of {item}");
        if item["kind"] == "file" {
            assert_eq!((json!(file.bytes), &json!(file.blake3)), (item["size"].clone(), &item["blake3"]), "{item}");
        }
    }
}
