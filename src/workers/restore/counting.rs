//! How much a restore is to bring back, counted from the catalog alone before anything is asked of Microsoft.

use super::choice::Choice;
use super::pace::{self, Load};
use super::walk::{Step, Walk};
use super::{Restoration, TaskError};
use crate::catalog::{self, Asked, Effort, Holding, VersionRow};
use crate::db::Conn;
use crate::ids::ContainerId;
use crate::queue;

/// Rows read at once while nothing but their number is wanted.
const PAGE_ROWS: u32 = 1_000;
/// What one request of an upload carries, about.
const UPLOAD_PIECE_BYTES: u64 = 3 << 20;

/// What was counted so far.
#[derive(Default)]
struct Counted {
    items: u64,
    /// Of items and of the parts that come back with them.
    bytes: u64,
    parts: Holding,
}

impl Counted {
    fn add_parts(&mut self, parts: Holding) {
        self.bytes += parts.bytes;
        self.parts.items += parts.items;
        self.parts.bytes += parts.bytes;
    }
}

impl Restoration<'_> {
    pub(super) async fn count(&self, choice: &Choice) -> Result<(), TaskError> {
        let mut counted = Counted::default();
        let whole = self.tree.all.iter().filter(|container| self.takes_all_of(choice, container));
        let whole: Vec<ContainerId> = whole.map(|container| container.id).collect();
        if self.gone_at().is_none() {
            for holding in self.holdings(&whole).await? {
                counted.items += holding.items;
                counted.bytes += holding.bytes;
            }
            // Of a drive that comes back whole, all of them.
            let parts = self.parts_in.filter(|parts| whole.iter().any(|container| container != parts));
            self.holdings(parts.as_slice()).await?.into_iter().for_each(|holding| counted.add_parts(holding));
        } else {
            for container in whole {
                self.count_on(Walk::of(&self.shelf, container, PAGE_ROWS), &mut counted).await?;
            }
        }
        for folder in &choice.folders {
            self.count_on(Walk::below(folder.clone(), PAGE_ROWS), &mut counted).await?;
        }
        for keys in choice.items.values().flat_map(|keys| keys.chunks(PAGE_ROWS as usize)) {
            let page = self.shelf.versions(keys).await?;
            self.count_page(page, &mut counted).await?;
        }
        let Counted { items, bytes, parts } = counted;
        let items = items + choice.missing.len() as u64;
        // Who is to be let in stands in the properties of each item: a dry run looks at them.
        let requests = items + (bytes - parts.bytes) / UPLOAD_PIECE_BYTES;
        let load = Load::of(requests + self.restoring.requests_for_parts(parts.items, parts.bytes));
        let asked = Asked { items, bytes, effort: self.effort(load, bytes) };
        self.tally.items_total.get_or_init(|| items);
        let (lease, restore, chain) = (self.control.lease(), self.work.restore, self.work.chain);
        let _turn = self.turn.lock().await;
        let noted = self.workshop.db.transaction("note what was asked for", move |conn| {
            queue::assert_held(conn, &lease)?;
            Ok(catalog::parts::set_asked(conn, restore, chain, &asked)?)
        });
        Ok(noted.await?)
    }

    /// How much these containers hold.
    async fn holdings(&self, containers: &[ContainerId]) -> Result<Vec<Holding>, TaskError> {
        let (point, containers) = (self.work.point, containers.to_vec());
        let read = move |conn: &mut Conn| catalog::tallies::as_of(conn, point, &containers);
        Ok(self.workshop.db.run("count items", read).await?.into_values().collect())
    }

    async fn count_on(&self, mut walk: Walk, counted: &mut Counted) -> Result<(), TaskError> {
        while let Some(step) = walk.next(&self.shelf).await? {
            match step {
                Step::Items(page) => self.count_page(page, counted).await?,
                Step::Enter(folder) => self.count_page(vec![*folder], counted).await?,
                Step::Leave => {}
            }
        }
        Ok(())
    }

    async fn count_page(&self, page: Vec<VersionRow>, counted: &mut Counted) -> Result<(), TaskError> {
        let page = self.wanted(page).await?;
        for row in &page {
            counted.items += 1;
            counted.bytes += row.version.bytes;
        }
        self.parts_of(&page).await?.into_values().for_each(|parts| counted.add_parts(parts));
        Ok(())
    }

    fn effort(&self, load: Load, upload_bytes: u64) -> Effort {
        pace::effort(&self.scope, &self.workshop.graph, load, upload_bytes)
    }

    /// What the items take that were met: a dry run has looked at each of them, and its word goes before the estimate.
    pub(super) async fn found_effort(&self, bytes: u64) -> Result<Effort, TaskError> {
        let effort = self.effort(self.tally.load(), bytes);
        let (dry_run, restore, chain) = (self.work.dry_run, self.work.restore, self.work.chain);
        if dry_run {
            let note = move |conn: &mut Conn| catalog::parts::set_effort(conn, restore, chain, &effort);
            self.workshop.db.run("note what a restore takes", note).await?;
        }
        Ok(effort)
    }
}
