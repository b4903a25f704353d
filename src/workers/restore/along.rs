//! What comes back along with items because it was asked for: their parts, such as the older versions of files, and those
//! whom they were shared with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::content::{CONTENT_BYTES_MAX, SMALL_BYTES_MAX};
use super::pace::Load;
use super::{Restoration, TaskError, large};
use crate::catalog::items::{self, After, Within};
use crate::catalog::{self, ContentRef, Holding, VersionRow};
use crate::db::Conn;
use crate::features::{self, Action, Along, Plan, RestoreError, Restored, StoredContent, StoredItem, StoredParts};
use crate::ids::{ItemKey, ResourceId, TenantId};
use crate::repository::Reader;
use crate::tenants;

/// Parts of one item that are read from the catalog at once.
const PAGE_ROWS: u32 = 500;
/// SharePoint keeps no more versions of one file. Each takes a hundred bytes while its file is brought back.
const PARTS_MAX: usize = 50_000;
/// People whom an agent remembers while it restores.
const PEOPLE_MAX: usize = 10_000;
const KEEPS_ITS_OWN: &str =
    "what is there keeps the older versions that it has: those of the backup were not put among them";

/// Who of the backup is who in the directory of the target.
pub(super) struct Directories {
    source: TenantId,
    target: TenantId,
    met: Mutex<HashMap<String, Option<String>>>,
}

/// The parts of one item, in the order in which they come back.
struct PartsOf<'a> {
    reader: &'a Reader,
    parts: Vec<Part>,
    /// Parts of which the storage cannot say where they stand.
    n_lost: usize,
}

struct Part {
    order: u64,
    key: ItemKey,
    kind: u8,
    bytes: u64,
    properties: ContentRef,
    content: Option<ContentRef>,
}

impl Directories {
    /// Of the data's owner and of where it goes.
    pub async fn of(db: &crate::db::Db, source: ResourceId, target: ResourceId) -> Result<Self, TaskError> {
        let source = tenants::get_resource(db, source).await?.tenant;
        let target = tenants::get_resource(db, target).await?.tenant;
        Ok(Self { source, target, met: Mutex::default() })
    }

    fn known(&self, id: &str) -> Option<Option<String>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn remember(&self, id: &str, stands_for: Option<String>) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= PEOPLE_MAX {
            met.clear();
        }
        met.insert(id.to_owned(), stands_for);
    }
}

impl Restoration<'_> {
    /// How much the parts of these items are, of those that have any.
    pub(super) async fn parts_of(&self, page: &[VersionRow]) -> Result<HashMap<ItemKey, Holding>, TaskError> {
        let Some(container) = self.parts_in else { return Ok(HashMap::new()) };
        let (chain, point) = (self.work.chain, self.work.point);
        let whole = page.iter().filter(|row| row.version.container != container);
        let keys: Vec<ItemKey> = whole.map(|row| row.version.key).collect();
        let read = move |conn: &mut Conn| items::held_by(conn, chain, point, container, &keys);
        Ok(self.workshop.db.run("add up the parts of items", read).await?)
    }

    /// The requests that a plan takes.
    pub(super) fn load(&self, plan: &Plan, stored: &StoredItem, bytes: u64, parts: Holding) -> Load {
        let shares = || if self.directories.is_some() { self.restoring.requests_to_share(stored) } else { 0 };
        match plan {
            Plan::Do(Action::Create | Action::CreateBeside) => {
                let requests = self.restoring.requests_to_create(stored, bytes);
                Load::of(requests + self.restoring.requests_for_parts(parts.items, parts.bytes)).sharing(shares())
            }
            Plan::Do(Action::Update { .. }) => Load::of(1).sharing(shares()),
            Plan::MoveBack { changed: true, .. } => Load::of(2).sharing(shares()),
            Plan::MoveBack { changed: false, .. } => Load::of(1),
            Plan::AlreadyThere | Plan::LeftAlone { .. } => Load::default(),
        }
    }

    /// The same for a folder among items that is created.
    pub(super) async fn load_of_folder(&self, row: &VersionRow) -> Result<Load, TaskError> {
        if self.directories.is_none() {
            return Ok(Load::of(1));
        }
        match self.properties(row).await {
            Ok(folder) => Ok(Load::of(1).sharing(self.restoring.requests_to_share(&folder))),
            Err(err) if err.is_damage() => Ok(Load::of(1)),
            Err(err) => Err(err.into()),
        }
    }

    /// Carries out what was planned for one item, with what comes along.
    pub(super) async fn carry_out(
        &self,
        container: &str,
        stored: &StoredItem,
        plan: &Plan,
        parts: Holding,
    ) -> Result<Result<Restored, RestoreError>, TaskError> {
        let (creates, updates) = match plan {
            Plan::Do(Action::Create | Action::CreateBeside) => (true, false),
            Plan::Do(Action::Update { .. }) | Plan::MoveBack { changed: true, .. } => (false, true),
            Plan::MoveBack { changed: false, .. } | Plan::AlreadyThere | Plan::LeftAlone { .. } => (false, false),
        };
        let held = if creates && parts.items > 0 { Some(self.read_parts(stored.key).await?) } else { None };
        let people = if creates || updates { self.people(stored).await? } else { None };
        let along = Along { parts: held.as_ref().map(|held| held as &dyn StoredParts), people: people.as_ref() };
        let source = self.target.source();
        let mut carried = features::carry_out(self.restoring, source, container, (stored, along), plan).await;
        match &mut carried {
            Ok(Restored::Created { remarks }) => {
                let n_lost = held.as_ref().map_or(0, |held| held.n_lost);
                if n_lost > 0 {
                    remarks.push(format!("{n_lost} of its older versions cannot be read in the storage"));
                }
            }
            Ok(Restored::Updated { remarks }) if updates && parts.items > 0 => remarks.push(KEEPS_ITS_OWN.to_owned()),
            Ok(_) | Err(_) => {}
        }
        Ok(carried)
    }

    /// Who is to be let in to an item; `None`: nobody asked for it.
    pub(super) async fn people(&self, item: &StoredItem) -> Result<Option<HashMap<String, String>>, TaskError> {
        let Some(directories) = &self.directories else { return Ok(None) };
        let mut people = HashMap::new();
        for id in self.restoring.shared_with(item) {
            if let Some(stands_for) = self.stands_for(directories, &id).await? {
                people.insert(id, stands_for);
            }
        }
        Ok(Some(people))
    }

    /// Whose data goes to somebody else is that one; others are themselves, in the directory that they are of.
    async fn stands_for(&self, directories: &Directories, id: &str) -> Result<Option<String>, TaskError> {
        if let Some(known) = directories.known(id) {
            return Ok(known);
        }
        let db = &self.workshop.db;
        let mut stands_for = (directories.source == directories.target).then(|| id.to_owned());
        let found = tenants::find_resources(db, directories.source, id).await?;
        if let Some(resource) = found.into_iter().find(|resource| resource.graph_id == id) {
            let restore = self.work.restore;
            let read = move |conn: &mut Conn| catalog::parts::target_of(conn, restore, resource.id);
            if let Some(target) = db.run("look for who stands for somebody", read).await? {
                let target = tenants::get_resource(db, target).await?;
                stands_for = (target.tenant == directories.target).then_some(target.graph_id);
            }
        }
        directories.remember(id, stands_for.clone());
        Ok(stands_for)
    }

    async fn read_parts(&self, of: ItemKey) -> Result<PartsOf<'_>, TaskError> {
        let mut held = PartsOf { reader: &self.reader, parts: Vec::new(), n_lost: 0 };
        let Some(container) = self.parts_in else { return Ok(held) };
        let place = (container, Within::Parent(Some(of)));
        let mut after = None;
        while held.parts.len() < PARTS_MAX {
            let page = self.shelf.page(place, after, PAGE_ROWS).await?;
            after = page.last().map(After::of);
            let is_last = page.len() < PAGE_ROWS as usize;
            for row in page {
                let properties = row.version.properties;
                match self.reader.read(properties.pack, properties.blob).await {
                    Ok(text) => match self.restoring.order_of_part(&text) {
                        Some(order) => held.parts.push(Part::new(order, row)),
                        None => held.n_lost += 1,
                    },
                    Err(err) if err.is_damage() => held.n_lost += 1,
                    Err(err) => return Err(err.into()),
                }
            }
            if is_last {
                break;
            }
        }
        held.parts.sort_by_key(|part| (part.order, part.key));
        Ok(held)
    }
}

impl Part {
    fn new(order: u64, row: VersionRow) -> Self {
        let version = row.version;
        let (properties, content) = (version.properties, version.content);
        Self { order, key: version.key, kind: version.kind, bytes: version.bytes, properties, content }
    }
}

impl StoredParts for PartsOf<'_> {
    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn read(&self, index: usize) -> BoxFuture<'_, Result<StoredItem, RestoreError>> {
        Box::pin(async move {
            let part = &self.parts[index];
            let properties = self.reader.read(part.properties.pack, part.properties.blob).await;
            let properties = properties.map_err(large::restore_error)?;
            // The item that they belong to has the right to be in memory, and they have none: they are read piece by
            // piece.
            let content = match part.content {
                None => Ok(StoredContent::None),
                Some(content) if part.bytes > SMALL_BYTES_MAX => large::open(self.reader, content).await,
                Some(content) => {
                    let whole = self.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await;
                    whole.map(StoredContent::Whole)
                }
            };
            let content = content.map_err(large::restore_error)?;
            Ok(StoredItem { key: part.key, kind: part.kind, properties, content })
        })
    }
}
