//! A simulated tenant with a backup that is kept in memory: what a worker, a catalog and a storage do, in short.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use kodo::features::{
    CaptureError, Change, Content, Cursor, Feature, FeatureOptions, KnownVersion, Need, Next, OWN_CONTAINER,
    OnConflict, Opening, PathStep, RemoteContainer, RemoteItem, Restored, Source, StoredContent, StoredItem, Walk,
    WalkError, bring_back, find,
};
use kodo::graph::{Credential, GraphClient, GraphConfig, TenantCredentials};
use kodo::ids::ItemKey;
use kodo::secret::Secret;
use kodo_simulator::{FaultPlan, Options, Simulator};
use serde_json::{Value, json};

/// What a catalog and a storage would hold, in memory.
#[derive(Default)]
pub struct Kept {
    pub folders: HashMap<String, RemoteContainer>,
    folder_cursor: Option<Cursor>,
    cursors: HashMap<String, Cursor>,
    pub items: HashMap<String, KeptItem>,
    pub issues: BTreeMap<String, &'static str>,
    gone: HashSet<String>,
    pub n_captured: usize,
    pub n_downloaded: usize,
}

pub struct KeptItem {
    pub folder: String,
    pub known: KnownVersion,
    pub kind: u8,
    properties: Bytes,
    pub content: Option<Bytes>,
}

impl KeptItem {
    pub fn properties(&self) -> Value {
        serde_json::from_slice(&self.properties).unwrap()
    }
}

impl Kept {
    /// The items that are mail: settings and what goes with them are not.
    pub fn messages(&self) -> impl Iterator<Item = (&String, &KeptItem)> {
        self.items.iter().filter(|(id, _)| !id.starts_with(OWN_CONTAINER))
    }

    pub fn n_messages(&self) -> usize {
        self.messages().count()
    }
}

pub struct Tenant {
    pub options: FeatureOptions,
    pub simulator: Simulator,
    pub graph: GraphClient,
    pub mailbox: &'static dyn Feature,
}

impl Tenant {
    pub async fn start(options: Options) -> Self {
        let simulator = Simulator::start(options).await.unwrap();
        let graph = client(&simulator);
        Self { options: FeatureOptions::default(), simulator, graph, mailbox: find("mailbox").unwrap() }
    }

    /// The ids of the ordinary users.
    pub fn members(&self) -> Vec<String> {
        let users = self.simulator.users();
        let ready = users["users"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|user| user["kind"] == "member" && user["mailbox"] == "ready");
        ready.map(|user| user["id"].as_str().unwrap().to_owned()).collect()
    }

    pub fn user_of_kind(&self, kind: &str, mailbox: &str) -> String {
        let users = self.simulator.users();
        let mut all = users["users"].as_array().unwrap().iter();
        let user = all.find(|user| user["kind"] == kind && user["mailbox"] == mailbox).expect("such a user");
        user["id"].as_str().unwrap().to_owned()
    }

    pub fn source<'a>(&'a self, user: &'a str) -> Source<'a> {
        Source { graph: &self.graph, user, options: &self.options }
    }

    /// One backup run: folders, then every folder's changes to their end.
    pub async fn back_up(&self, user: &str, kept: &mut Kept) {
        let source = self.source(user);
        let changes = match self.mailbox.containers(source, kept.folder_cursor.as_ref()).await {
            Err(WalkError::Expired) => self.mailbox.containers(source, None).await.unwrap(),
            changes => changes.unwrap(),
        };
        if changes.whole {
            kept.folders.clear();
        }
        for id in &changes.removed {
            kept.folders.remove(id);
            kept.cursors.remove(id);
            kept.items.retain(|_, item| item.folder != *id);
        }
        kept.folders.extend(changes.present.into_iter().map(|folder| (folder.id.clone(), folder)));
        kept.folder_cursor = changes.cursor;
        let folders: Vec<String> = kept.folders.keys().cloned().collect();
        for folder in folders {
            self.walk(source, &folder, kept).await;
        }
        for id in std::mem::take(&mut kept.gone) {
            kept.items.remove(&id);
        }
    }

    async fn walk(&self, source: Source<'_>, folder: &str, kept: &mut Kept) {
        let mut walk = kept.cursors.get(folder).cloned().map_or(Walk::Start, Walk::Since);
        let mut seen: Option<Vec<String>> = (walk == Walk::Start).then(Vec::new);
        loop {
            let page = match self.mailbox.page(source, folder, &walk).await {
                Err(WalkError::Expired) => {
                    (walk, seen) = (Walk::Start, Some(Vec::new()));
                    continue;
                }
                page => page.unwrap(),
            };
            if page.begins_full_walk && seen.is_none() {
                seen = Some(Vec::new());
            }
            let captures = page.changes.into_iter().filter_map(|change| match change {
                Change::Present(item) => Some(item),
                Change::Removed { id } => {
                    // A move shows as a removal here and a new entry elsewhere, in whatever order: what is gone is
                    // known when all folders have been walked.
                    kept.issues.remove(&id);
                    if kept.items.get(&id).is_some_and(|item| item.folder == folder) {
                        kept.gone.insert(id);
                    }
                    None
                }
                Change::LeftOut { .. } => None,
            });
            let captures: Vec<RemoteItem> = captures.collect();
            if let Some(seen) = &mut seen {
                seen.extend(captures.iter().map(|item| item.id.clone()));
            }
            self.capture_all(source, folder, captures, kept).await;
            match page.next {
                Next::Page(cursor) => walk = Walk::Resume(cursor),
                Next::Done(cursor) => {
                    kept.cursors.insert(folder.to_owned(), cursor);
                    break;
                }
            }
        }
        if let Some(seen) = seen {
            kept.items.retain(|id, item| item.folder != folder || seen.contains(id));
        }
    }

    async fn capture_all(&self, source: Source<'_>, folder: &str, items: Vec<RemoteItem>, kept: &mut Kept) {
        let wanted = items.into_iter().map(|item| {
            let known = kept.items.get(&item.id).map(|kept| kept.known);
            let need = self.mailbox.need(&item, known.as_ref());
            kept.gone.remove(&item.id);
            (item, need)
        });
        let wanted: Vec<(RemoteItem, Need)> = wanted.collect();
        for (item, _) in wanted.iter().filter(|(_, need)| *need == Need::Nothing) {
            kept.items.get_mut(&item.id).unwrap().folder = folder.to_owned();
        }
        let captures = stream::iter(wanted.into_iter().filter(|(_, need)| *need != Need::Nothing));
        let captures = captures.map(|(item, need)| async move {
            let outcome = self.mailbox.capture(source, &item, need).await;
            (item, outcome)
        });
        let captured: Vec<_> = captures.buffer_unordered(8).collect().await;
        for (item, outcome) in captured {
            let captured = match outcome {
                Ok(captured) => captured,
                Err(CaptureError::Gone) => {
                    kept.issues.remove(&item.id);
                    continue;
                }
                Err(CaptureError::Item { reason, .. }) => {
                    kept.issues.insert(item.id, reason);
                    continue;
                }
                Err(CaptureError::Skipped { reason, .. }) => {
                    kept.issues.insert(item.id, reason.name());
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            kept.n_captured += 1;
            let content = match captured.content {
                Some(content) => {
                    kept.n_downloaded += 1;
                    Some(in_memory(content))
                }
                None => kept.items.get(&item.id).and_then(|kept| kept.content.clone()),
            };
            kept.issues.remove(&item.id);
            let known = KnownVersion {
                change_tag: captured.summary.change_tag,
                flags: captured.summary.flags,
                has_content: content.is_some(),
            };
            let kind = captured.summary.kind;
            let properties = captured.properties;
            kept.items.insert(item.id, KeptItem { folder: folder.to_owned(), known, kind, properties, content });
        }
    }

    /// What a later run does with items that failed.
    pub async fn retry_issues(&self, user: &str, kept: &mut Kept) {
        let failed: Vec<String> = kept.issues.keys().cloned().collect();
        let items = failed.into_iter().map(|id| RemoteItem { id, properties: None }).collect();
        self.capture_all(self.source(user), "", items, kept).await;
    }

    /// Brings everything back to its folders. Says how many messages were created, and the remarks.
    pub async fn restore(&self, user: &str, kept: &Kept) -> (usize, Vec<String>) {
        let (target, mailbox) = (self.source(user), self.mailbox.restoring().expect("mail can be restored"));
        let (mut n_created, mut remarks) = (0, Vec::new());
        for folder in kept.folders.values() {
            let path = path_of(folder, &kept.folders);
            let container = mailbox.open_container(target, &path, Opening::Create).await.unwrap().unwrap();
            let existing = mailbox.existing(target, &container, Opening::Create).await.unwrap();
            let items = kept.items.iter().filter(|(_, item)| item.folder == folder.id).map(|(id, item)| StoredItem {
                key: ItemKey::of(id),
                kind: item.kind,
                properties: item.properties.clone(),
                content: item.content.clone().map_or(StoredContent::None, StoredContent::Whole),
            });
            let (container, existing) = (&container, &existing);
            let restored = stream::iter(items.collect::<Vec<_>>()).map(|item| async move {
                bring_back(mailbox, target, container, &item, existing, OnConflict::Skip).await
            });
            let restored: Vec<Restored> = restored.buffer_unordered(6).try_collect().await.unwrap();
            for one in restored {
                if let Restored::Created { remarks: more } = one {
                    n_created += 1;
                    remarks.extend(more);
                }
            }
        }
        (n_created, remarks)
    }

    /// Everything goes wrong in these ways from now on.
    pub fn set_faults(&self, rules: Value) {
        let plan: FaultPlan = serde_json::from_value(json!({ "seed": 11, "rules": rules })).unwrap();
        self.simulator.set_faults(plan);
    }

    pub fn fingerprint(&self, user: &str) -> Value {
        serde_json::from_slice(&self.simulator.fingerprint(user).unwrap()).unwrap()
    }

    pub fn assert_no_violations(&self) {
        let violations = self.simulator.violations();
        assert!(violations.is_empty(), "{} violations, first: {:?}", violations.len(), violations.first());
        let breaches = self.simulator.contract_breaches();
        assert!(breaches.is_empty(), "{} breaches of the contract, first: {:?}", breaches.len(), breaches.first());
    }
}

pub fn client(simulator: &Simulator) -> GraphClient {
    client_with(simulator, |_| {})
}

pub fn client_with(simulator: &Simulator, change: impl FnOnce(&mut GraphConfig)) -> GraphClient {
    let mut config =
        GraphConfig { base_url: simulator.base_url(), login_url: simulator.login_url(), ..GraphConfig::default() };
    change(&mut config);
    let credentials = TenantCredentials {
        entra_tenant_id: simulator.tenant_id(),
        client_id: simulator.client_id(),
        credential: Credential::Secret(Secret::new(simulator.client_secret())),
    };
    GraphClient::new(&config, credentials).unwrap()
}

/// Content, wherever it was put.
pub fn in_memory(content: Content) -> Bytes {
    match content {
        Content::Mime(bytes) | Content::Raw(bytes) => bytes,
        Content::Spooled { mut file, bytes } => {
            let mut all = Vec::new();
            file.read_to_end(&mut all).unwrap();
            assert_eq!(all.len() as u64, bytes);
            all.into()
        }
        Content::Stream(_) => panic!("what is read while it is stored is a file of OneDrive"),
    }
}

fn path_of(folder: &RemoteContainer, folders: &HashMap<String, RemoteContainer>) -> Vec<PathStep> {
    let mut path = match folder.parent.as_ref().and_then(|parent| folders.get(parent)) {
        Some(parent) => path_of(parent, folders),
        None => Vec::new(),
    };
    path.push(PathStep { name: folder.name.clone(), well_known: folder.well_known.clone(), hidden: folder.hidden });
    path
}

/// The messages of a fingerprint by folder and internet message id.
pub fn messages(fingerprint: &Value) -> BTreeMap<(String, String), Vec<Value>> {
    let mut all: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for message in fingerprint["messages"].as_array().unwrap() {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        all.entry((text("folder"), text("internetMessageId"))).or_default().push(message.clone());
    }
    all
}

/// Field names that differ, with how often, and one example of each.
pub fn differences(before: &Value, after: &Value) -> BTreeMap<String, (usize, String)> {
    let (before, after) = (messages(before), messages(after));
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut note = |field: String, example: String| {
        let entry = found.entry(field).or_insert((0, example));
        entry.0 += 1;
    };
    for (key, originals) in &before {
        let restored = after.get(key).map(Vec::as_slice).unwrap_or_default();
        if restored.len() != originals.len() {
            note("count".into(), format!("{key:?}: {} instead of {}", restored.len(), originals.len()));
            continue;
        }
        for (original, restored) in originals.iter().zip(restored) {
            let class = original["messageClass"].as_str().unwrap_or_default();
            for (field, value) in original.as_object().unwrap() {
                if restored[field] != *value {
                    note(format!("{class} {field}"), format!("{value} became {}", restored[field]));
                }
            }
        }
    }
    for key in after.keys().filter(|key| !before.contains_key(*key)) {
        note("surplus".into(), format!("{key:?}"));
    }
    found
}
