//! Brings items of a restore point back to Microsoft 365.
//!
//! Place by place: the target's folder is found or created, what it holds already is listed once, and what is to be
//! done with each item is decided and carried out, or in a dry run only told. Items of several places are under way at
//! once ([`flow`]). Outcomes are committed as they happen; an attempt that was interrupted finds its own markers on the
//! target, so a second one creates nothing twice.

mod along;
mod bringing;
mod choice;
mod claims;
mod content;
mod counting;
mod flow;
mod following;
mod large;
mod leaving;
mod openings;
mod pace;
mod path;
mod place;
mod rehearsing;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::rehearsing::run as rehearse;

use self::along::Directories;
use self::choice::Choice;
use self::openings::Openings;
use self::pace::Load;
use self::path::Tree;
use self::walk::Shelf;
use super::task::{Control, Done, TaskError};
use super::workshop::{Subject, Workshop};
use crate::catalog::{self, Container, containers};
use crate::db::Conn;
use crate::features::{self, OnConflict, Restoring};
use crate::graph::Scope;
use crate::ids::{ContainerId, PointNumber};
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
    openings: Openings,
    /// Whoever writes outcomes has it: in turns, as they change the same sums.
    turn: Mutex<()>,
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
    /// Known when the catalog is counted, which goes on beside the first items.
    items_total: OnceLock<u64>,
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
        openings: Openings::default(),
        turn: Mutex::default(),
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
        let (ahead, due, left) = flow::channel();
        let (tell, told) = mpsc::channel(PAGE_ITEMS as usize);
        {
            let counting = async {
                self.count(&choice).await?;
                self.report(if self.work.dry_run { "looking" } else { "restoring" }).await
            };
            let mut walking: BoxFuture<'_, Result<(), TaskError>> = Box::pin(async {
                tokio::try_join!(counting, self.walk(&choice, ahead), self.finish_folders(left)).map(drop)
            });
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

    async fn report(&self, phase: &str) -> Result<(), TaskError> {
        let told = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let progress = Progress {
            phase: phase.to_owned(),
            items_done: told(&self.tally.items_done),
            items_total: self.tally.items_total.get().copied(),
            bytes_done: told(&self.tally.bytes_done),
            waits_for: self.target.waits_for(&self.scope),
        };
        self.control.report(progress).await
    }
}
