//! How much a restore is to bring back, counted from the catalog alone before anything is asked of Microsoft.

use std::sync::atomic::Ordering;

use super::choice::Choice;
use super::walk::{Step, Walk};
use super::{Restoration, TaskError, pace};
use crate::catalog::{self, Asked, Effort, VersionRow};
use crate::ids::ContainerId;
use crate::queue;

/// Rows read at once while nothing but their number is wanted.
const PAGE_ROWS: u32 = 1_000;
/// What one request of an upload carries, about.
const UPLOAD_PIECE_BYTES: u64 = 3 << 20;

impl Restoration<'_> {
    pub(super) async fn count(&self, choice: &Choice) -> Result<(), TaskError> {
        let mut asked = Asked::default();
        let whole = self.tree.all.iter().filter(|container| self.takes_all_of(choice, container));
        let whole: Vec<ContainerId> = whole.map(|container| container.id).collect();
        if self.gone_at().is_none() {
            let point = self.work.point;
            let read = move |conn: &mut crate::db::Conn| catalog::tallies::as_of(conn, point, &whole);
            for holding in self.workshop.db.run("count items", read).await?.into_values() {
                asked.items += holding.items;
                asked.bytes += holding.bytes;
            }
        } else {
            for container in whole {
                self.count_on(Walk::of(&self.shelf, container, PAGE_ROWS), &mut asked).await?;
            }
        }
        for folder in &choice.folders {
            self.count_on(Walk::below(folder.clone(), PAGE_ROWS), &mut asked).await?;
        }
        for keys in choice.items.values().flat_map(|keys| keys.chunks(PAGE_ROWS as usize)) {
            let page = self.shelf.versions(keys).await?;
            self.count_page(page, &mut asked).await?;
        }
        asked.items += choice.missing.len() as u64;
        asked.effort = self.effort(asked.items + asked.bytes / UPLOAD_PIECE_BYTES, asked.bytes);
        self.tally.items_total.store(asked.items, Ordering::Relaxed);
        let (lease, restore, chain) = (self.control.lease(), self.work.restore, self.work.chain);
        let noted = self.workshop.db.transaction("note what was asked for", move |conn| {
            queue::assert_held(conn, &lease)?;
            Ok(catalog::parts::set_asked(conn, restore, chain, &asked)?)
        });
        Ok(noted.await?)
    }

    async fn count_on(&self, mut walk: Walk, asked: &mut Asked) -> Result<(), TaskError> {
        while let Some(step) = walk.next(&self.shelf).await? {
            match step {
                Step::Items(page) => self.count_page(page, asked).await?,
                Step::Enter(folder) => self.count_page(vec![*folder], asked).await?,
                Step::Leave => {}
            }
        }
        Ok(())
    }

    async fn count_page(&self, page: Vec<VersionRow>, asked: &mut Asked) -> Result<(), TaskError> {
        for row in self.wanted(page).await? {
            asked.items += 1;
            asked.bytes += row.version.bytes;
        }
        Ok(())
    }

    fn effort(&self, requests: u64, upload_bytes: u64) -> Effort {
        pace::effort(&self.scope, &self.workshop.graph, requests, upload_bytes)
    }

    /// What the items take that were met: a dry run has looked at each of them, and its word goes before the estimate.
    pub(super) async fn found_effort(&self, bytes: u64) -> Result<Effort, TaskError> {
        let effort = self.effort(self.tally.requests.load(Ordering::Relaxed), bytes);
        let (dry_run, restore, chain) = (self.work.dry_run, self.work.restore, self.work.chain);
        if dry_run {
            let note = move |conn: &mut crate::db::Conn| catalog::parts::set_effort(conn, restore, chain, &effort);
            self.workshop.db.run("note what a restore takes", note).await?;
        }
        Ok(effort)
    }
}
