//! Brings items of a restore point back to Microsoft 365.
//!
//! Place by place: the target's folder is found or created, what it holds already is listed once, and what is to be
//! done with each item is decided and carried out, or in a dry run only told. Items of several places are under way at
//! once ([`flow`]). Outcomes are committed as they happen; an attempt that was interrupted finds its own markers on the
//! target, so a second one creates nothing twice.

mod along;
mod bringing;
mod choice;
mod content;
mod counting;
mod flow;
mod large;
mod pace;
mod path;
mod place;
mod rehearsing;
#[cfg(test)]
mod tests;
mod walk;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::rehearsing::run as rehearse;

use self::along::Directories;
use self::choice::Choice;
use self::flow::Ahead;
use self::pace::Load;
use self::path::Tree;
use self::place::{Opened, Place, item_error};
use self::walk::{Shelf, Step, Walk};
use super::task::{Control, Done, TaskError};
use super::workshop::{Subject, Workshop};
use crate::catalog::{self, Container, Outcome, VersionRow, containers};
use crate::db::Conn;
use crate::features::{self, Along, OnConflict, Restoring};
use crate::graph::Scope;
use crate::ids::{ContainerId, ItemKey, PointNumber};
use crate::queue::Progress;
use crate::queue::work::RestoreWork;
use crate::repository::Reader;

/// Items read from the catalog at once, and outcomes in one commit.
const PAGE_ITEMS: u32 = 100;
const REPORT_EVERY: Duration = Duration::from_millis(500);

struct Restoration<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    work: RestoreWork,
    shelf: Shelf,
    restoring: &'static dyn Restoring,
    on_conflict: OnConflict,
    target: Subject,
    scope: Scope,
    /// Items go back to where they came from: what is not there may have been moved.
    in_place: bool,
    holds_folders: bool,
    tree: Tree,
    /// The containers that are still there, when only what is gone comes back.
    later: Option<HashSet<ContainerId>>,
    reader: Reader,
    tally: Tally,
    /// Of contents that are in memory, or about to be.
    bytes_held: AtomicU64,
    /// Cancelled when no other item is to begin.
    halt: CancellationToken,
    /// The container of the parts that come back with their items; `None`: they are not asked for, or there are none.
    parts_in: Option<ContainerId>,
    /// Who is to be let in to items; `None`: nobody asked for it.
    directories: Option<Directories>,
}

/// How far the restore is.
#[derive(Default)]
struct Tally {
    items_total: AtomicU64,
    items_done: AtomicU64,
    bytes_done: AtomicU64,
    /// What the items met so far take.
    requests: AtomicU64,
    shares: AtomicU64,
}

impl Tally {
    fn add(&self, load: Load) {
        self.requests.fetch_add(load.requests, Ordering::Relaxed);
        self.shares.fetch_add(load.shares, Ordering::Relaxed);
    }

    fn load(&self) -> Load {
        Load { requests: self.requests.load(Ordering::Relaxed), shares: self.shares.load(Ordering::Relaxed) }
    }
}

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    prepare(workshop, control, control.work()?).await?.drive().await
}

async fn prepare<'a>(
    workshop: &'a Workshop,
    control: &'a Control,
    work: RestoreWork,
) -> Result<Restoration<'a>, TaskError> {
    let chain_id = work.chain;
    let chain = workshop.db.run("read a chain", move |conn| catalog::chains::get(conn, chain_id)).await?;
    let chain = chain.ok_or_else(|| TaskError::permanent(format!("chain {chain_id} does not exist any more")))?;
    let feature = features::find(chain.key.feature.as_str()).ok_or_else(|| {
        TaskError::permanent(format!("this version of kodo has no feature \"{}\"", chain.key.feature))
    })?;
    let restoring = feature.restoring().ok_or_else(|| {
        TaskError::permanent(format!("this version of kodo does not restore the feature \"{}\" yet", chain.key.feature))
    })?;
    let storage = workshop.storage(chain.key.storage).await?;
    let target = workshop.subject(work.target_resource).await?;
    let shelf = Shelf { db: workshop.db.clone(), chain, point: work.point, feature };
    let tree = containers_at(&shelf, work.point).await?;
    let later = match work.selection.as_ref().and_then(|selection| selection.gone_at) {
        Some(later) => Some(containers_at(&shelf, later).await?.into_iter().map(|container| container.id).collect()),
        None => None,
    };
    let tree = Tree::new(tree);
    let directories = match work.along.permissions {
        true => Some(Directories::of(&workshop.db, shelf.chain.key.resource, work.target_resource).await?),
        false => None,
    };
    Ok(Restoration {
        workshop,
        control,
        on_conflict: on_conflict(&work)?,
        scope: feature.scope(&target.graph_id),
        in_place: work.target_resource == shelf.chain.key.resource && work.target_folder.is_none(),
        holds_folders: shelf.holds_folders(),
        reader: workshop.reader_to_restore(&storage),
        parts_in: tree.parts(feature).filter(|_| work.along.versions),
        directories,
        tree,
        work,
        shelf,
        restoring,
        target,
        later,
        tally: Tally::default(),
        bytes_held: AtomicU64::new(0),
        halt: CancellationToken::new(),
    })
}

async fn containers_at(shelf: &Shelf, point: PointNumber) -> Result<Vec<Container>, TaskError> {
    let chain = shelf.chain.id;
    let read = move |conn: &mut Conn| containers::as_of(conn, chain, point);
    Ok(shelf.db.run("read containers", read).await?)
}

fn on_conflict(work: &RestoreWork) -> Result<OnConflict, TaskError> {
    let Some(name) = work.on_conflict.as_deref() else { return Ok(OnConflict::default()) };
    OnConflict::parse(name)
        .ok_or_else(|| TaskError::permanent(format!("this version of kodo does not know \"{name}\" for a conflict")))
}

impl Restoration<'_> {
    async fn drive(self) -> Result<Done, TaskError> {
        let choice = Choice::of(self.work.selection.as_ref(), &self.shelf).await?;
        self.count(&choice).await?;
        self.report(if self.work.dry_run { "looking" } else { "restoring" }).await?;
        let (ahead, due) = flow::channel();
        let (tell, told) = mpsc::channel(PAGE_ITEMS as usize);
        {
            let mut walking: BoxFuture<'_, Result<(), TaskError>> = Box::pin(self.walk(choice, ahead));
            let mut bringing: BoxFuture<'_, Result<(), TaskError>> =
                Box::pin(async { tokio::join!(self.bring(due, tell), self.record_all(told)).1 });
            // What keeps items from being brought back says more than that they are not taken any more.
            tokio::select! {
                walked = &mut walking => bringing.await.and(walked)?,
                brought = &mut bringing => {
                    brought?;
                    walking.await?;
                }
            }
        }
        self.finish().await
    }

    /// Finds all that is to be brought back and puts it on its way.
    async fn walk(&self, choice: Choice, mut ahead: Ahead) -> Result<(), TaskError> {
        for container in self.whole_containers(&choice).await? {
            self.whole(&mut ahead, container).await?;
        }
        for folder in &choice.folders {
            let place = self.place_of(&choice, folder.version.container, folder.version.parent);
            self.follow(&mut ahead, Walk::below(folder.clone(), PAGE_ITEMS), place).await?;
        }
        for ((container, parent), keys) in &choice.items {
            let mut place = self.place_of(&choice, *container, *parent);
            for keys in keys.chunks(PAGE_ITEMS as usize) {
                let page = self.shelf.versions(keys).await?;
                self.put(&mut ahead, &mut place, page).await?;
            }
        }
        self.refuse("the restore point does not hold it", choice.missing).await
    }

    /// The containers of which all comes back. The largest go first: while their items are on their way, the next places
    /// are opened and listed.
    async fn whole_containers(&self, choice: &Choice) -> Result<Vec<&Container>, TaskError> {
        let mut whole: Vec<&Container> =
            self.tree.all.iter().filter(|container| self.takes_all_of(choice, container)).collect();
        let ids: Vec<ContainerId> = whole.iter().map(|container| container.id).collect();
        let point = self.work.point;
        let read = move |conn: &mut Conn| catalog::tallies::as_of(conn, point, &ids);
        let holdings = self.workshop.db.run("count items", read).await?;
        whole.sort_by_key(|container| {
            let n_items = holdings.get(&container.id).map_or(0, |holding| holding.items);
            (container.graph_id.starts_with(features::OWN_CONTAINER), Reverse(n_items))
        });
        Ok(whole)
    }

    /// Parts of items, such as the older versions of files, are looked at only when somebody names them.
    fn takes_all_of(&self, choice: &Choice, container: &Container) -> bool {
        let feature = self.shelf.chain.key.feature.as_str();
        let is_passed_by = choice.is_of_all() && features::holds_parts(feature, &container.graph_id);
        choice.takes_all_of(container.id) && !is_passed_by
    }

    async fn finish(self) -> Result<Done, TaskError> {
        self.report("done").await?;
        let (restore, chain) = (self.work.restore, self.work.chain);
        let read = move |conn: &mut Conn| catalog::parts::get(conn, restore, chain);
        let counts = self.workshop.db.run("count outcomes", read).await?.map(|part| part.told).unwrap_or_default();
        let effort = self.found_effort(counts.bytes).await?;
        let result = json!({
            "created": counts.created,
            "updated": counts.updated,
            "skipped": counts.skipped,
            "failed": counts.failed,
            "bytes": counts.bytes,
            "requests": effort.requests,
            "dry_run": self.work.dry_run,
        });
        Ok(Done::new(result, counts.failed))
    }

    /// Everything that a container held. An empty one comes back too.
    async fn whole(&self, ahead: &mut Ahead, container: &Container) -> Result<(), TaskError> {
        let below = self.work.target_folder.as_deref();
        let place = Place::new(self.tree.path_to(container, below, self.holds_folders));
        let (mut place, was_empty) = self.follow(ahead, Walk::of(&self.shelf, container.id, PAGE_ITEMS), place).await?;
        let is_gone = self.later.as_ref().is_none_or(|later| !later.contains(&container.id));
        if was_empty && is_gone {
            self.open(&mut place).await?;
        }
        Ok(())
    }

    /// Where the items of a container, or of a folder in it, come back.
    fn place_of(&self, choice: &Choice, container: ContainerId, folder: Option<ItemKey>) -> Place {
        let Some(container) = self.tree.get(container) else { return Place::unknown() };
        let below = self.work.target_folder.as_deref();
        let top = Place::new(self.tree.path_to(container, below, self.holds_folders));
        choice.names_to(folder).iter().fold(top, |place, name| place.folder(Some(name)))
    }

    /// Puts what lies on the way on its way back. Returns the place where it began, and whether there was nothing.
    async fn follow(&self, ahead: &mut Ahead, mut walk: Walk, top: Place) -> Result<(Place, bool), TaskError> {
        let mut was_empty = true;
        let mut here = top;
        let mut above: Vec<(Place, Option<VersionRow>)> = Vec::new();
        while let Some(step) = walk.next(&self.shelf).await? {
            was_empty = false;
            match step {
                Step::Items(page) => self.put(ahead, &mut here, page).await?,
                Step::Enter(row) => {
                    // The root of a drive stands for the drive itself, and has no name to go by.
                    let name = row.version.parent.is_some().then_some(row.version.name.as_str());
                    let mut place = here.folder(name);
                    let created = self.enter(&mut place, &row).await?;
                    above.push((std::mem::replace(&mut here, place), created.then_some(*row)));
                }
                Step::Leave => {
                    let Some((outer, created)) = above.pop() else { continue };
                    let mut place = std::mem::replace(&mut here, outer);
                    if let Some(row) = created {
                        ahead.all_done().await;
                        self.leave(&mut place, &row).await?;
                    }
                }
            }
        }
        Ok((here, was_empty))
    }

    /// Opens a folder among items, which has an outcome of its own. Returns whether this restore created it.
    async fn enter(&self, place: &mut Place, row: &VersionRow) -> Result<bool, TaskError> {
        let key = row.version.key;
        if self.wanted(vec![row.clone()]).await?.is_empty() {
            return Ok(false);
        }
        if let Some(outcome) = self.settled(vec![key]).await?.get(&key) {
            self.tally.items_done.fetch_add(1, Ordering::Relaxed);
            return Ok(*outcome == Outcome::Created && !self.work.dry_run);
        }
        let mut was_there = false;
        if !self.work.dry_run && matches!(place.state, Opened::NotYet) {
            match self.is_there(place).await {
                Ok(there) => was_there = there,
                Err(err) => place.state = Opened::Refused(item_error(err)?),
            }
        }
        if !was_there && !self.work.dry_run && matches!(place.state, Opened::NotYet) {
            // Written down before it is made: one that is killed in between would leave a folder that nobody finishes.
            self.record(vec![self.outcome(key, Outcome::Created, None, 0)]).await?;
        }
        if let Err(err) = self.open(place).await {
            // No attempt will make it, so nobody is told that it was.
            if let TaskError::Permanent(why) = &err {
                self.refuse_folder(row, why.clone()).await?;
            }
            return Err(err);
        }
        let (outcome, remark) = match &place.state {
            Opened::Refused(why) => (Outcome::Failed, Some(why.clone())),
            Opened::Found { target: Some(_), .. } if was_there || self.work.dry_run => (Outcome::Skipped, None),
            Opened::Found { .. } | Opened::NotYet => (Outcome::Created, None),
        };
        self.tally.add(if outcome == Outcome::Created { self.load_of_folder(row).await? } else { Load::of(1) });
        self.commit(vec![self.outcome(key, outcome, remark, 0)]).await?;
        Ok(outcome == Outcome::Created && !self.work.dry_run)
    }

    /// All that a folder held was brought back: the folder itself gets what is left.
    async fn leave(&self, place: &mut Place, row: &VersionRow) -> Result<(), TaskError> {
        self.open(place).await?;
        let folder = match &place.state {
            Opened::Found { target: Some(folder), .. } => folder,
            Opened::Refused(why) => return self.refuse_folder(row, why.clone()).await,
            Opened::Found { target: None, .. } | Opened::NotYet => return Ok(()),
        };
        let remarks = match self.properties(row).await {
            Ok(item) => {
                let people = self.people(&item).await?;
                let along = Along { people: people.as_ref(), ..Along::default() };
                match self.restoring.finish_folder(self.target.source(), folder, &item, along).await {
                    Ok(remarks) => remarks,
                    Err(err) => vec![item_error(err)?],
                }
            }
            Err(err) if err.is_damage() => vec![err.to_string()],
            Err(err) => return Err(err.into()),
        };
        if remarks.is_empty() {
            return Ok(());
        }
        self.record(vec![self.outcome(row.version.key, Outcome::Created, Some(remarks.join("; ")), 0)]).await
    }

    /// It was to be created, and cannot be.
    async fn refuse_folder(&self, row: &VersionRow, why: String) -> Result<(), TaskError> {
        self.record(vec![self.outcome(row.version.key, Outcome::Failed, Some(why), 0)]).await
    }

    async fn report(&self, phase: &str) -> Result<(), TaskError> {
        let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let progress = Progress {
            phase: phase.to_owned(),
            items_done: told(&self.tally.items_done),
            items_total: Some(told(&self.tally.items_total)),
            bytes_done: told(&self.tally.bytes_done),
            waits_for: self.target.waits_for(&self.scope),
        };
        self.control.report(progress).await
    }
}
