//! Stores what the walk captured and commits it, page by page, with the cursors that stand behind it.

mod failure;
mod gathered;
mod large;
mod long;
mod parts;
mod storing;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use self::gathered::Gathered;
pub use self::gathered::{Draft, Place};
use super::records::Recorder;
use super::walk::Event;
use super::{Backup, Done, End, TaskError};
use crate::catalog::containers::Cursors;
use crate::catalog::items::Held;
use crate::catalog::{self, Container, CursorUpdate, ItemIssue, PointCounts, VersionRow};
use crate::db::TxError;
use crate::features;
use crate::ids::{ContainerId, PointNumber, WalkNumber};
use crate::queue::{self, Outcome};
use crate::repository::{self, CommitRefused, Packer, Reader, StoreError};
use crate::workers::task::Refusal;
use crate::workers::workshop::OpenStorage;

/// Items that one step of closing ends: keeps transactions short.
const CLOSE_AT_ONCE: u32 = 1000;

/// The last full walk of a container. While it is under way, its end closes what it did not meet.
#[derive(Clone, Copy)]
struct FullWalk {
    number: WalkNumber,
    under_way: bool,
}

pub struct Ledger<'a> {
    backup: &'a Backup<'a>,
    storage: &'a OpenStorage,
    packer: Packer,
    reader: Reader,
    recorder: Recorder,
    gathered: Gathered,
    walks: HashMap<ContainerId, FullWalk>,
    /// Where parts of items lie, if the policy wants any.
    parts: Option<ContainerId>,
    had_issues: bool,
    committed_at: Instant,
    phase: String,
    items_seen: u64,
    expected: Option<u64>,
    /// What the open point holds, all attempts together.
    n_items: u64,
    total: PointCounts,
}

impl<'a> Ledger<'a> {
    pub async fn open(backup: &'a Backup<'a>, storage: &'a OpenStorage, feature: &str) -> Result<Self, TaskError> {
        let (chain, point) = (backup.chain, backup.point);
        let before = backup.workshop.db.run("read the open point", move |conn| {
            let untold = catalog::points::untold(conn, chain, point)?;
            Ok((catalog::issues::count(conn, chain)?, catalog::points::get(conn, chain, point)?, untold))
        });
        let (issues, row, untold) = before.await?;
        Ok(Self {
            backup,
            storage,
            packer: storage.store.packer(backup.workshop.db.clone(), storage.writer),
            reader: storage.store.reader(backup.workshop.db.clone()),
            recorder: Recorder::new(backup.subject.identity(feature), backup.point, untold),
            gathered: Gathered::default(),
            walks: HashMap::new(),
            parts: None,
            had_issues: issues > 0,
            committed_at: Instant::now(),
            phase: String::new(),
            items_seen: 0,
            expected: None,
            n_items: row.as_ref().map_or(0, |row| row.n_items),
            total: row.map_or_else(PointCounts::default, |row| row.counts),
        })
    }

    /// The number of a container's last full walk.
    fn walk(&self, container: ContainerId) -> WalkNumber {
        self.walks.get(&container).map(|walk| walk.number).unwrap_or_default()
    }

    /// Learns the containers that are about to be walked.
    pub fn know(&mut self, containers: &[Container]) {
        let feature = self.backup.feature.name();
        self.parts = containers.iter().find(|one| features::holds_parts(feature, &one.graph_id)).map(|one| one.id);
        for container in containers {
            self.recorder.know(container);
            let Cursors { full_walk, walking, .. } = container.cursors;
            self.walks.insert(container.id, FullWalk { number: full_walk, under_way: walking });
        }
    }

    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// How many items will be met, if that is known.
    pub fn expect(&mut self, items: Option<u64>) {
        self.expected = items;
    }

    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    pub fn items_seen(&self) -> u64 {
        self.items_seen
    }

    pub fn bytes_read(&self) -> u64 {
        self.total.bytes_read + self.gathered.counts.bytes_read
    }

    /// Takes events in their order: stores content, gathers rows, and commits when enough has come together.
    pub async fn take(&mut self, events: Vec<Event>) -> Result<(), End> {
        let mut captured = Vec::new();
        for event in events {
            if let Event::Captured(arrival) = event {
                captured.push(*arrival);
                continue;
            }
            self.store(std::mem::take(&mut captured)).await?;
            self.note(event).await?;
        }
        self.store(captured).await?;
        Ok(())
    }

    async fn note(&mut self, event: Event) -> Result<(), TaskError> {
        match event {
            Event::Captured(_) => unreachable!("captured items are stored before other events are noted"),
            Event::FullWalk { container } => {
                let number = WalkNumber::new(self.walk(container).get() + 1);
                self.walks.insert(container, FullWalk { number, under_way: true });
                let begins = CursorUpdate::FullWalk(number);
                self.recorder.cursor(container, &begins);
                self.gathered.cursor(container, begins);
            }
            Event::Unchanged { container, id, known } => {
                self.items_seen += 1;
                self.unchanged(container, &id, &known).await?;
            }
            Event::Removed { container, key } => {
                self.recorder.item_left(container, key);
                self.gathered.remove_from(container, key);
                self.keep_parts(key, &[]).await?;
            }
            Event::Gone { key } => {
                self.recorder.item_gone(key);
                self.gathered.remove(key);
                self.keep_parts(key, &[]).await?;
            }
            Event::Parts { of, keep } => self.keep_parts(of, &keep).await?,
            Event::Failed { container, id, name, reason, skipped, message } => {
                self.items_seen += 1;
                let issue = ItemIssue { graph_id: id, container, name, reason: reason.to_owned(), skipped, message };
                self.recorder.issue(&issue);
                self.gathered.issues.push(issue);
            }
            Event::PageEnd { container, name, cursor } => {
                self.phase = name.to_string();
                self.end_page(container, cursor).await?;
            }
            Event::Abandoned => {}
        }
        Ok(())
    }

    /// An item whose properties are known: written again only if it moved or had been taken for gone.
    async fn unchanged(&mut self, container: ContainerId, id: &str, known: &VersionRow) -> Result<(), TaskError> {
        if known.to == PointNumber::OPEN && known.version.container == container {
            self.gathered.met(self.walk(container), known.version.key);
            return Ok(());
        }
        let draft = Draft::moved(&known.version, container, self.walk(container));
        self.learn_packs(&draft).await?;
        self.recorder.item(id, &draft);
        self.gathered.put(draft);
        Ok(())
    }

    /// Records name packs by what they are called on disk, rows by their number in this database.
    async fn learn_packs(&mut self, draft: &Draft) -> Result<(), StoreError> {
        for pack in self.recorder.unknown_packs(draft.known_packs()) {
            let uid = self.reader.pack_uid(pack).await?;
            self.recorder.learn_pack(pack, uid);
        }
        Ok(())
    }

    async fn end_page(&mut self, container: ContainerId, cursor: CursorUpdate) -> Result<(), TaskError> {
        let walk_is_over = matches!(cursor, CursorUpdate::Done(_));
        if walk_is_over && self.walks.get(&container).is_some_and(|walk| walk.under_way) {
            self.end_walk(container).await?;
        }
        self.recorder.cursor(container, &cursor);
        self.gathered.cursor(container, cursor);
        let agent = &self.backup.workshop.agent;
        let due = self.gathered.len() >= agent.commit_items
            || self.committed_at.elapsed() >= Duration::from_secs(agent.commit_s);
        if due { self.flush().await } else { Ok(()) }
    }

    async fn end_walk(&mut self, container: ContainerId) -> Result<(), TaskError> {
        let walk = self.walk(container);
        self.walks.insert(container, FullWalk { number: walk, under_way: false });
        // Before the first walk nothing can have been met, and a commit for each small folder would cost more than it saves.
        if walk == WalkNumber::FIRST {
            return Ok(());
        }
        // What the walk met must be committed before what it did not meet can be told.
        self.flush().await?;
        self.close_unmet(container, walk).await
    }

    async fn close_unmet(&mut self, container: ContainerId, walk: WalkNumber) -> Result<(), TaskError> {
        let chain = self.backup.chain;
        let mut after = None;
        loop {
            let db = &self.backup.workshop.db;
            let gone = db.run("find items that are gone", move |conn| {
                catalog::items::unmet(conn, chain, walk, container, after, CLOSE_AT_ONCE)
            });
            let gone = gone.await?;
            let Some(last) = gone.last() else { return Ok(()) };
            after = Some(last.at);
            self.end_items(container, gone).await?;
        }
    }

    /// Ends everything that a container held, because the container is gone.
    pub async fn close_container(&mut self, container: ContainerId) -> Result<(), TaskError> {
        let chain = self.backup.chain;
        let mut after = None;
        loop {
            let db = &self.backup.workshop.db;
            let held = db.run("find items of a container that is gone", move |conn| {
                catalog::items::held(conn, chain, container, after, CLOSE_AT_ONCE)
            });
            let held = held.await?;
            let Some(last) = held.last() else { return Ok(()) };
            after = Some(last.at);
            self.end_items(container, held).await?;
        }
    }

    async fn end_items(&mut self, container: ContainerId, ended: Vec<Held>) -> Result<(), TaskError> {
        for Held { key, .. } in ended {
            self.recorder.item_left(container, key);
            self.gathered.remove_from(container, key);
            if self.parts != Some(container) {
                self.keep_parts(key, &[]).await?;
            }
        }
        self.flush().await
    }

    /// Makes content durable, then commits everything gathered in one transaction.
    pub async fn flush(&mut self) -> Result<(), TaskError> {
        self.committed_at = Instant::now();
        let mut gathered = std::mem::take(&mut self.gathered);
        if gathered.is_empty() && !self.recorder.has_news() {
            return Ok(());
        }
        // A page without changes moves a cursor; that alone is not worth a pack.
        if self.recorder.has_news() {
            self.recorder.write_to(&mut self.packer);
        }
        let flushed = self.packer.flush().await?;
        gathered.counts.bytes_stored = flushed.bytes_stored();
        let (lease, chain, point) = (self.backup.control.lease(), self.backup.chain, self.backup.point);
        let (storage, writer) = (self.storage.id, self.storage.writer);
        let resolve = self.had_issues;
        self.had_issues |= !gathered.issues.is_empty();
        let committed = self.backup.workshop.db.transaction::<_, Refusal, _>("commit a page", move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            if gathered.has_versions() {
                queue::made_progress_in(conn, &lease)?;
            }
            let packs = repository::commit(conn, storage, writer, &flushed).map_err(TxError::widen)?;
            Ok(gathered.write(conn, chain, point, &packs, resolve)?)
        });
        let counts = committed.await.inspect_err(|err| self.forget_gone(err))?;
        self.n_items = (self.n_items + counts.added).saturating_sub(counts.removed);
        self.total.add(&counts);
        Ok(())
    }

    /// The next attempt must not rely again on blobs that were not there.
    fn forget_gone(&self, err: &TxError<Refusal>) {
        if let TxError::Refused(Refusal::Store(CommitRefused::ReusedBlobGone(gone))) = err {
            self.packer.forget(gone);
        }
    }

    /// Ends the backup: seals the point and finishes the task in one transaction.
    pub async fn seal(mut self) -> Result<Done, TaskError> {
        self.flush().await?;
        let (lease, chain, point) = (self.backup.control.lease(), self.backup.chain, self.backup.point);
        let db = self.backup.workshop.db.clone();
        let n_issues = db.run("count issues", move |conn| catalog::issues::count(conn, chain)).await?;
        // Also for what only an earlier attempt at this point had to tell.
        if self.recorder.wrote_something() || self.total.bytes_stored > 0 {
            self.recorder.point_seal(&self.total, self.n_items, n_issues);
            self.recorder.write_to(&mut self.packer);
        }
        let flushed = self.packer.flush().await?;
        let (storage, writer, total) = (self.storage.id, self.storage.writer, self.total);
        let sealing = db.transaction::<_, Refusal, _>("seal a restore point", move |conn| {
            queue::assert_held(conn, &lease).map_err(TxError::widen)?;
            repository::commit(conn, storage, writer, &flushed).map_err(TxError::widen)?;
            catalog::points::seal(conn, chain, point, n_issues)?;
            catalog::begun::forget_before(conn, chain, point)?;
            let result = report(point.get(), &total, n_issues).to_string();
            queue::finish_in(conn, &lease, &Outcome::Succeeded { result, n_issues }).map_err(TxError::widen)
        });
        sealing.await?;
        Ok(Done::Recorded)
    }
}

fn report(point: u32, total: &PointCounts, n_issues: u64) -> serde_json::Value {
    json!({
        "point": point,
        "added": total.added,
        "changed": total.changed,
        "removed": total.removed,
        "issues": n_issues,
        "bytes_read": total.bytes_read,
        "bytes_stored": total.bytes_stored,
    })
}
