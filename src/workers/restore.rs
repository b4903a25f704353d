//! Brings items of a restore point back to Microsoft 365.
//!
//! Folder by folder: the target's folder is found or created, what it holds already is listed once, and the items that
//! are missing are created. Outcomes are committed as they happen; an attempt that was interrupted finds its own
//! markers on the target, so a second one creates nothing twice.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use tokio::time::Instant;

use super::task::{Control, Done, TaskError};
use super::workshop::{Subject, Workshop};
use crate::catalog::items::{After, Within};
use crate::catalog::{self, Container, Outcome, OutcomeRow, VersionRow, containers, items, outcomes};
use crate::db::Conn;
use crate::features::{self, Existing, PathStep, RestoreError, Restored, Restoring, StoredItem};
use crate::graph::Scope;
use crate::ids::{ContainerId, ItemKey};
use crate::queue::work::RestoreWork;
use crate::queue::{self, Progress};
use crate::repository::{Reader, StoreError};

const CONTAINERS_MAX: u32 = 50_000;
/// Items read from the catalog at once, and outcomes in one commit.
const PAGE_ITEMS: u32 = 100;
/// Exchange takes no message above 150 MiB.
const CONTENT_BYTES_MAX: u64 = 160 << 20;
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Containers nested deeper than this are not Exchange's (its limit is 300) but a damaged catalog's.
const DEPTH_MAX: usize = 400;

struct Restoration<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    work: RestoreWork,
    feature: &'static dyn Restoring,
    target: Subject,
    reader: Reader,
    items_total: u64,
    items_done: u64,
    bytes_done: u64,
    reported: Instant,
}

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: RestoreWork = control.work()?;
    let (chain_id, point) = (work.chain, work.point);
    let chain = workshop.db.run("read a chain", move |conn| catalog::chains::get(conn, chain_id)).await?;
    let chain = chain.ok_or_else(|| TaskError::permanent(format!("chain {chain_id} does not exist any more")))?;
    let feature = features::find(chain.key.feature.as_str()).ok_or_else(|| {
        TaskError::permanent(format!("this version of kodo has no feature \"{}\"", chain.key.feature))
    })?;
    let feature = feature.restoring().ok_or_else(|| {
        TaskError::permanent(format!("this version of kodo does not restore the feature \"{}\" yet", chain.key.feature))
    })?;
    let storage = workshop.storage(chain.key.storage).await?;
    let target = workshop.subject(work.target_resource).await?;
    let tree = workshop
        .db
        .run("read containers", move |conn| containers::as_of(conn, chain_id, point, CONTAINERS_MAX))
        .await?;
    let restoration = Restoration {
        workshop,
        control,
        work,
        feature,
        target,
        reader: storage.store.reader(workshop.db.clone()),
        items_total: 0,
        items_done: 0,
        bytes_done: 0,
        reported: Instant::now(),
    };
    restoration.drive(&tree).await
}

impl Restoration<'_> {
    async fn drive(mut self, tree: &[Container]) -> Result<Done, TaskError> {
        let by_id: HashMap<ContainerId, &Container> = tree.iter().map(|container| (container.id, container)).collect();
        let picked = self.picked().await?;
        self.items_total = self.count(tree).await? + picked.values().map(|keys| keys.len() as u64).sum::<u64>();
        for container in tree {
            if self.takes_all_of(container.id) {
                self.whole(container, &by_id).await?;
            } else if let Some(keys) = picked.get(&container.id) {
                self.some(container, &by_id, keys).await?;
            }
        }
        self.report("done").await?;
        let restore = self.work.restore;
        let counts = self.workshop.db.run("count outcomes", move |conn| outcomes::counts(conn, restore)).await?;
        let result = json!({
            "created": counts.created,
            "skipped": counts.skipped,
            "failed": counts.failed,
            "bytes": counts.bytes,
        });
        Ok(Done::new(result, counts.failed))
    }

    /// Items that were asked for one by one, by the container that held them: no other item of it is looked at.
    async fn picked(&self) -> Result<HashMap<ContainerId, Vec<ItemKey>>, TaskError> {
        let mut picked: HashMap<ContainerId, Vec<ItemKey>> = HashMap::new();
        let wanted: &[ItemKey] = self.work.selection.as_ref().map_or(&[], |selection| &selection.items);
        for keys in wanted.chunks(PAGE_ITEMS as usize) {
            for row in self.versions(keys).await? {
                if !self.takes_all_of(row.version.container) {
                    picked.entry(row.version.container).or_default().push(row.version.key);
                }
            }
        }
        Ok(picked)
    }

    async fn count(&self, tree: &[Container]) -> Result<u64, TaskError> {
        let point = self.work.point;
        let wanted: Vec<ContainerId> =
            tree.iter().map(|container| container.id).filter(|id| self.takes_all_of(*id)).collect();
        let db = &self.workshop.db;
        let held = db.run("count items", move |conn| catalog::tallies::as_of(conn, point, &wanted)).await?;
        Ok(held.values().map(|holding| holding.items).sum())
    }

    fn takes_all_of(&self, container: ContainerId) -> bool {
        self.work.selection.as_ref().is_none_or(|selection| selection.containers.contains(&container))
    }

    /// Everything that a container held. An empty one comes back too.
    async fn whole(
        &mut self,
        container: &Container,
        by_id: &HashMap<ContainerId, &Container>,
    ) -> Result<(), TaskError> {
        let place = self.open(container, by_id).await?;
        let mut after = None;
        loop {
            let page = self.page(container.id, after).await?;
            let full = page.len() == PAGE_ITEMS as usize;
            after = page.last().map(After::of);
            self.put(&place, page).await?;
            if !full {
                return Ok(());
            }
        }
    }

    async fn some(
        &mut self,
        container: &Container,
        by_id: &HashMap<ContainerId, &Container>,
        keys: &[ItemKey],
    ) -> Result<(), TaskError> {
        let place = self.open(container, by_id).await?;
        for keys in keys.chunks(PAGE_ITEMS as usize) {
            let page = self.versions(keys).await?;
            self.put(&place, page).await?;
        }
        Ok(())
    }

    async fn put(&mut self, place: &Place, page: Vec<VersionRow>) -> Result<(), TaskError> {
        match place {
            Place::Open { target, existing } => self.restore_page(target, existing, page).await,
            Place::Closed(why) => self.refuse_page(why, page).await,
        }
    }

    async fn page(&self, container: ContainerId, after: Option<After>) -> Result<Vec<VersionRow>, TaskError> {
        let (chain, point) = (self.work.chain, self.work.point);
        let all = (container, Within::Anywhere);
        let read = move |conn: &mut Conn| items::browse(conn, chain, point, all, after, PAGE_ITEMS);
        Ok(self.workshop.db.run("read items to restore", read).await?)
    }

    async fn versions(&self, keys: &[ItemKey]) -> Result<Vec<VersionRow>, TaskError> {
        let (chain, point, keys) = (self.work.chain, self.work.point, keys.to_vec());
        let db = &self.workshop.db;
        Ok(db.run("read chosen items", move |conn| items::at(conn, chain, point, &keys)).await?)
    }

    async fn open(&self, container: &Container, by_id: &HashMap<ContainerId, &Container>) -> Result<Place, TaskError> {
        let path = path_of(container, by_id, self.work.target_folder.as_deref());
        let opened = async {
            let target = self.feature.open_container(self.target.source(), &path).await?;
            let existing = self.feature.existing(self.target.source(), &target).await?;
            Ok((target, existing))
        };
        match opened.await {
            Ok((target, mut existing)) => {
                existing.recognise(&self.originals(&existing).await?);
                Ok(Place::Open { target, existing })
            }
            Err(RestoreError::Item(why)) => Ok(Place::Closed(why)),
            Err(RestoreError::Graph(err)) => Err(err.into()),
        }
    }

    /// A folder that cannot be opened costs its own items and no others.
    async fn refuse_page(&mut self, why: &str, page: Vec<VersionRow>) -> Result<(), TaskError> {
        let refused = page.into_iter().map(|row| OutcomeRow {
            chain: self.work.chain,
            key: row.version.key,
            outcome: Outcome::Failed,
            remark: Some(why.to_owned()),
            bytes: 0,
        });
        self.commit(refused.collect()).await
    }

    /// Which of the items on the target are themselves items of the backup, so that they stand for no other one.
    async fn originals(&self, existing: &Existing) -> Result<HashSet<ItemKey>, TaskError> {
        let chain = self.work.chain;
        let keys: Vec<ItemKey> = existing.by_id.iter().copied().collect();
        Ok(self.workshop.db.run("look up originals", move |conn| items::known(conn, chain, &keys)).await?)
    }

    async fn restore_page(
        &mut self,
        target: &str,
        existing: &Existing,
        page: Vec<VersionRow>,
    ) -> Result<(), TaskError> {
        let (restore, chain) = (self.work.restore, self.work.chain);
        let keys: Vec<ItemKey> = page.iter().map(|row| row.version.key).collect();
        let n_page = page.len() as u64;
        let db = &self.workshop.db;
        let settled = db.run("read outcomes", move |conn| outcomes::settled(conn, restore, chain, &keys)).await?;
        let todo: Vec<VersionRow> = page.into_iter().filter(|row| !settled.contains(&row.version.key)).collect();
        self.items_done += n_page - todo.len() as u64;
        let this = &*self;
        let mut ended = stream::iter(todo)
            .map(|row| async move { this.item(target, existing, &row).await })
            .buffer_unordered(this.workshop.agent.items_at_once);
        let mut rows = Vec::new();
        let mut stopped = None;
        while let Some(outcome) = ended.next().await {
            match outcome {
                Ok(row) => rows.push(row),
                // Items in flight beside the failed one may have been created: their outcomes are kept.
                Err(err) => stopped = stopped.or(Some(err)),
            }
        }
        drop(ended);
        self.commit(rows).await?;
        match stopped {
            Some(err) => Err(err),
            None if self.reported.elapsed() >= REPORT_EVERY => self.report("restoring").await,
            None => Ok(()),
        }
    }

    async fn item(&self, target: &str, existing: &Existing, row: &VersionRow) -> Result<OutcomeRow, TaskError> {
        let version = &row.version;
        let outcome =
            |outcome, remark, bytes| OutcomeRow { chain: self.work.chain, key: version.key, outcome, remark, bytes };
        let stored = match self.read(row).await {
            Ok(stored) => stored,
            Err(err) if is_damage(&err) => return Ok(outcome(Outcome::Failed, Some(err.to_string()), 0)),
            Err(err) => return Err(err.into()),
        };
        match self.feature.restore(self.target.source(), target, &stored, existing).await {
            Ok(Restored::Created { remarks }) => {
                let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
                Ok(outcome(Outcome::Created, remark, version.bytes))
            }
            Ok(Restored::AlreadyThere) => Ok(outcome(Outcome::Skipped, None, 0)),
            Ok(Restored::LeftOut { why }) => Ok(outcome(Outcome::Skipped, Some(why.to_owned()), 0)),
            Err(RestoreError::Item(why)) => Ok(outcome(Outcome::Failed, Some(why), 0)),
            Err(RestoreError::Graph(err)) => Err(err.into()),
        }
    }

    async fn read(&self, row: &VersionRow) -> Result<StoredItem, StoreError> {
        let version = &row.version;
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await?;
        let content = match version.content {
            None => None,
            Some(content) => Some(self.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await?),
        };
        Ok(StoredItem { key: version.key, kind: version.kind, properties, content })
    }

    async fn commit(&mut self, rows: Vec<OutcomeRow>) -> Result<(), TaskError> {
        self.items_done += rows.len() as u64;
        self.bytes_done += rows.iter().map(|row| row.bytes).sum::<u64>();
        if rows.is_empty() {
            return Ok(());
        }
        let (lease, restore) = (self.control.lease(), self.work.restore);
        let committed = self.workshop.db.transaction("commit outcomes", move |conn| {
            queue::assert_held(conn, &lease)?;
            queue::made_progress_in(conn, &lease)?;
            Ok(outcomes::put(conn, restore, &rows)?)
        });
        Ok(committed.await?)
    }

    async fn report(&mut self, phase: &str) -> Result<(), TaskError> {
        self.reported = Instant::now();
        let progress = Progress {
            phase: phase.to_owned(),
            items_done: self.items_done,
            items_total: Some(self.items_total),
            bytes_done: self.bytes_done,
            waits_for: self.target.waits_for(&Scope::Mailbox(self.target.graph_id.clone())),
        };
        self.control.report(progress).await
    }
}

/// Where the items of one container go.
enum Place {
    Open {
        target: String,
        existing: Existing,
    },
    /// The target does not take the folder; the text says why.
    Closed(String),
}

/// Whether this item alone is affected; anything else ends the attempt.
pub(super) fn is_damage(err: &StoreError) -> bool {
    err.is_damage()
}

/// The steps from the top of the target to where a container comes back.
fn path_of(container: &Container, by_id: &HashMap<ContainerId, &Container>, below: Option<&str>) -> Vec<PathStep> {
    let mut path = Vec::new();
    let mut step = Some(container);
    while let Some(container) = step.filter(|_| path.len() < DEPTH_MAX) {
        // Below a new folder of its own, a default folder comes back as an ordinary one of the same name.
        let stays = |name: &String| below.is_none() || name.starts_with(features::OWN_CONTAINER);
        let well_known = container.well_known.clone().filter(stays);
        path.push(PathStep { name: container.name.clone(), well_known, hidden: container.hidden });
        step = container.parent.and_then(|parent| by_id.get(&parent).copied());
    }
    if let Some(below) = below {
        path.push(PathStep { name: below.to_owned(), well_known: None, hidden: false });
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: u32, parent: Option<u32>, name: &str, well_known: Option<&str>) -> Container {
        Container {
            id: ContainerId::new(id),
            from: crate::ids::PointNumber::new(1),
            graph_id: String::new(),
            well_known: well_known.map(str::to_owned),
            parent: parent.map(ContainerId::new),
            name: name.to_owned(),
            hidden: false,
            cursors: containers::Cursors::default(),
        }
    }

    #[test]
    fn a_nested_folder_comes_back_below_its_parents_or_below_the_folder_that_was_asked_for() {
        let inbox = container(1, None, "Posteingang", Some("inbox"));
        let projects = container(2, Some(1), "Projects", None);
        let by_id = HashMap::from([(inbox.id, &inbox), (projects.id, &projects)]);
        let names = |path: Vec<PathStep>| path.into_iter().map(|step| (step.name, step.well_known)).collect::<Vec<_>>();

        let in_place = names(path_of(&projects, &by_id, None));
        let below = names(path_of(&projects, &by_id, Some("Restored")));

        let step = |name: &str, well_known: Option<&str>| (name.to_owned(), well_known.map(str::to_owned));
        assert_eq!(in_place, [step("Posteingang", Some("inbox")), step("Projects", None)]);
        assert_eq!(below, [step("Restored", None), step("Posteingang", None), step("Projects", None)]);
    }
}
