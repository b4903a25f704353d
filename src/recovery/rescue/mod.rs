//! What a storage holds, read and handed out without a database.
//!
//! Memory: 20 bytes for each shared blob of the storage, some hundred for each pack, the items of one part of a chain, and
//! of a drive the names of its folders.

mod files;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::files::{Extracted, NotExtracted};
use self::tree::Tree;
use super::reading::{self, Unit, units};
use super::story::{KeyRange, PackNumbers, Story};
use super::survey::{ChainName, Survey};
use super::{Hear, ITEMS_AT_ONCE, Unreadable};
use crate::catalog::items::VersionRow;
use crate::catalog::rebuild::{ContainerTold, ContainerVersion, ItemTold, Points};
use crate::catalog::{PointRow, PointState};
use crate::ids::{BlobId, ChainId, ContainerId, ItemKey, PackId, PackUid, PointNumber, VersionNumber};
use crate::repository::{Reader, Scanned, Store};

/// Folders within folders; more are a circle.
const DEPTH_MAX: usize = 300;
/// Stands for a pack that is nowhere.
const NOWHERE: PackId = PackId::new(u32::MAX);

/// A storage whose packs were all looked at.
pub struct Place {
    store: Store,
    survey: Arc<Survey>,
    reader: Reader,
}

/// One feature of one user, as a listing shows it.
#[derive(Clone, Debug, Serialize)]
pub struct UserView {
    pub user: String,
    pub name: String,
    pub graph_id: String,
    pub entra_tenant_id: String,
    pub feature: String,
    pub points: Vec<PointView>,
    #[serde(skip)]
    pub chain: ChainName,
}

#[derive(Clone, Debug, Serialize)]
pub struct PointView {
    pub number: PointNumber,
    /// `false`: the backup did not end; what it had captured is there.
    pub sealed: bool,
    pub at: DateTime<Utc>,
    pub items: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FolderView {
    pub path: String,
    pub items: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct ItemView {
    pub key: String,
    pub folder: String,
    pub name: String,
    pub party: String,
    pub time: DateTime<Utc>,
    pub bytes: u64,
}

/// Which items of a point.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A folder with all that is below it.
    pub folder: Option<String>,
    pub item: Option<ItemKey>,
}

impl PackNumbers for Survey {
    fn number(&self, pack: PackUid) -> PackId {
        self.resolve(pack).map_or(NOWHERE, PackId::new)
    }
}

impl Place {
    /// Looks at every pack of a storage.
    pub async fn open(store: Store, hear: Hear<'_>) -> anyhow::Result<Self> {
        let mut shared: Vec<(BlobId, PackId)> = Vec::new();
        let see = |place: u32, contents: &crate::repository::PackContents| {
            shared.extend(contents.shared.iter().map(|(blob, _)| (*blob, PackId::new(place))));
        };
        let survey = Survey::of(&store, &HashSet::new(), see, hear).await?;
        shared.sort_unstable();
        shared.dedup_by_key(|(blob, _)| *blob);
        let packs = survey.packs.iter().map(|pack| pack.uid).collect();
        let reader = store.reader_of(Arc::new(Scanned { packs, shared }));
        Ok(Self { store, survey: Arc::new(survey), reader })
    }

    pub fn unreadable(&self) -> &[Unreadable] {
        &self.survey.unreadable
    }

    /// Everybody of whom there is something: those whose address, name or id is `user`, or all.
    pub async fn users(&self, user: Option<&str>) -> anyhow::Result<Vec<UserView>> {
        let wanted = |name: &&ChainName| {
            let identity = &self.survey.chains[*name].identity;
            user.is_none_or(|user| {
                let called = [&identity.address, &identity.resource_name, &identity.resource_graph_id];
                called.iter().any(|called| called.eq_ignore_ascii_case(user))
            })
        };
        let chains: Vec<ChainName> = self.survey.chains.keys().filter(wanted).cloned().collect();
        let unit = Unit { chains, keys: KeyRange::NONE, first: true, last: true, n_items: 0 };
        let read = reading::read(&self.store, &self.survey, unit, self.survey.as_ref()).await?;
        let view = |(chain, mut story): (ChainName, Story)| {
            let identity = &self.survey.chains[&chain].identity;
            UserView {
                user: identity.address.clone(),
                name: identity.resource_name.clone(),
                graph_id: identity.resource_graph_id.clone(),
                entra_tenant_id: identity.entra_tenant_id.clone(),
                feature: identity.feature.clone(),
                points: points(&mut story).iter().map(PointView::of).collect(),
                chain,
            }
        };
        Ok(read.stories.into_iter().map(view).collect())
    }

    /// The one chain that is meant, and the point: the newest sealed one unless one is named.
    pub async fn choose(
        &self,
        user: &str,
        feature: Option<&str>,
        point: Option<PointNumber>,
    ) -> anyhow::Result<(UserView, PointNumber)> {
        let mut found = self.users(Some(user)).await?;
        found.retain(|view| feature.is_none_or(|feature| view.feature == feature));
        ensure!(!found.is_empty(), "the storage holds nothing of {user}: \"kodo rescue list\" shows whom it knows");
        if found.len() > 1 {
            let known: Vec<_> = found.iter().map(|view| format!("{} {}", view.graph_id, view.feature)).collect();
            bail!("{user} may mean several: name the id and the feature ({})", known.join(", "));
        }
        let view = found.swap_remove(0);
        let newest = view.points.iter().rev().find(|point| point.sealed).or(view.points.last());
        let chosen = match point {
            Some(number) => view.points.iter().find(|point| point.number == number),
            None => newest,
        };
        let number = chosen.with_context(|| {
            let known: Vec<_> = view.points.iter().map(|point| point.number.to_string()).collect();
            format!("there is no such restore point of {user} (there is: {})", known.join(", "))
        })?;
        let number = number.number;
        Ok((view, number))
    }

    /// The folders of a point, by path.
    pub async fn folders(&self, chain: &ChainName, point: PointNumber) -> anyhow::Result<Vec<FolderView>> {
        let mut folders: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
        let tree = self.tree(chain, point).await?;
        for path in tree.paths() {
            folders.entry(path).or_default();
        }
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            for path in part.paths.values() {
                folders.entry(path.clone()).or_default();
            }
            for (path, row) in part.take_items(&tree) {
                if tree.is_folder(row.version.key) {
                    continue;
                }
                let holding = folders.entry(path).or_default();
                *holding = (holding.0 + 1, holding.1 + row.version.bytes);
            }
        }
        let view =
            |(path, (items, bytes)): (Vec<String>, (u64, u64))| FolderView { path: path.join("/"), items, bytes };
        Ok(folders.into_iter().map(view).collect())
    }

    /// At most `limit` items of a point.
    pub async fn items(
        &self,
        chain: &ChainName,
        point: PointNumber,
        selection: &Selection,
        limit: usize,
    ) -> anyhow::Result<Vec<ItemView>> {
        let mut items = Vec::new();
        let tree = self.tree(chain, point).await?;
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            for (folder, row) in part.take_items(&tree) {
                if items.len() < limit && selection.takes(&folder, row.version.key) {
                    items.push(ItemView {
                        key: row.version.key.to_string(),
                        folder: folder.join("/"),
                        name: row.version.name,
                        party: row.version.party,
                        time: row.version.time,
                        bytes: row.version.bytes,
                    });
                }
            }
        }
        Ok(items)
    }

    /// The folders among the items of a point: those that hold others. Only a drive has any.
    async fn tree(&self, chain: &ChainName, point: PointNumber) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        if chain.feature != tree::FEATURE {
            return Ok(tree);
        }
        for unit in self.parts(chain) {
            let mut part = self.part(unit, chain, point).await?;
            tree.paths_of(&part.paths);
            for row in part.take_versions() {
                // A folder has no content, and neither has a shortcut: what it is tells its properties.
                if row.version.content.is_none() && self.says_folder(&row).await {
                    tree.add(&row.version);
                } else {
                    tree.await_holder(row.version.parent);
                }
            }
        }
        if tree.awaits_files() {
            for unit in self.parts(chain) {
                let mut part = self.part(unit, chain, point).await?;
                part.take_versions().for_each(|row| tree.add_file(&row.version));
            }
        }
        Ok(tree)
    }

    /// Whether the properties of an item say that it is a folder; those that cannot be read say nothing.
    async fn says_folder(&self, row: &VersionRow) -> bool {
        let properties = row.version.properties;
        let Ok(json) = self.reader.read(properties.pack, properties.blob).await else { return true };
        let properties: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
        properties.get("folder").is_some() && properties.get("remoteItem").is_none()
    }

    fn parts(&self, chain: &ChainName) -> Vec<Unit> {
        units(&self.survey, std::slice::from_ref(chain), ITEMS_AT_ONCE)
    }

    async fn part(&self, unit: Unit, chain: &ChainName, point: PointNumber) -> anyhow::Result<Part> {
        let mut read = reading::read(&self.store, &self.survey, unit, self.survey.as_ref()).await?;
        let mut story = read.stories.remove(chain).context("a unit tells of the chain that it was made for")?;
        let mut containers: HashMap<ContainerId, ContainerVersion> = HashMap::new();
        for (id, told) in std::mem::take(&mut story.containers) {
            let mut spans = ContainerTold::replay(told).spans();
            if let Some((_, _, version)) = spans.find(|(from, to, _)| *from <= point && point < *to) {
                containers.insert(id, version);
            }
        }
        let ids: Vec<ContainerId> = (0u32..).take(story.graph_ids.len()).map(ContainerId::new).collect();
        let present = ids.into_iter().filter(|id| containers.contains_key(id));
        let paths = present.map(|id| (id, path(&containers, id))).collect();
        Ok(Part { story, paths, point })
    }
}

/// Some of the items of a chain as of a point.
struct Part {
    story: Story,
    paths: HashMap<ContainerId, Vec<String>>,
    point: PointNumber,
}

impl Part {
    /// Items as of the point, in the order of their keys.
    fn take_versions(&mut self) -> impl Iterator<Item = VersionRow> {
        let items = self.story.take_items();
        items.into_iter().filter_map(|(_, told)| {
            let mut spans = ItemTold::replay(told, &self.story.ends).spans();
            let (from, to, version) = spans.find(|(from, to, _)| *from <= self.point && self.point < *to)?;
            Some(VersionRow { number: VersionNumber::NONE, from, to, version })
        })
    }

    /// Items with the path of what they are in.
    fn take_items(&mut self, tree: &Tree) -> impl Iterator<Item = (Vec<String>, VersionRow)> {
        let paths = self.paths.clone();
        self.take_versions().map(move |row| {
            let container = paths.get(&row.version.container).cloned();
            let mut path = container.unwrap_or_else(|| vec![tree::UNKNOWN.to_owned()]);
            path.extend(tree.names_above(&row.version));
            (path, row)
        })
    }
}

impl Selection {
    fn takes(&self, folder: &[String], key: ItemKey) -> bool {
        let path = folder.join("/");
        let inside = self.folder.as_ref().is_none_or(|wanted| {
            let below = path.strip_prefix(wanted.as_str());
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        inside && self.item.is_none_or(|item| item == key)
    }
}

impl PointView {
    fn of(row: &PointRow) -> Self {
        let at = row.sealed_at.unwrap_or(row.started_at);
        Self { number: row.number, sealed: row.state == PointState::Sealed, at, items: row.n_items }
    }
}

fn points(story: &mut Story) -> Vec<PointRow> {
    let points = Points::replay(ChainId::new(0), story.take_points());
    points.sealed.into_iter().chain(points.stand_in).chain(points.open).collect()
}

/// The names from the top down to a folder.
fn path(containers: &HashMap<ContainerId, ContainerVersion>, id: ContainerId) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = Some(id);
    while let Some(version) = next.and_then(|id| containers.get(&id)) {
        names.push(version.name.clone());
        next = version.parent.filter(|_| names.len() < DEPTH_MAX);
    }
    names.reverse();
    names
}
