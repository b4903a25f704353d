//! Items of one place on their way back: planned, carried out and their outcomes committed, page by page.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::SemaphorePermit;

use super::pace::Load;
use super::place::{Opened, Place, item_error};
use super::{REPORT_EVERY, Restoration, TaskError, large};
use crate::catalog::{Holding, Outcome, OutcomeRow, VersionRow, items, outcomes};
use crate::db::Conn;
use crate::features::{self, Action, Existing, Plan, Restored, StoredContent, StoredItem, Wish};
use crate::ids::{ItemKey, PointNumber};
use crate::queue;
use crate::repository::StoreError;

/// Exchange takes no message above 150 MiB.
pub(super) const CONTENT_BYTES_MAX: u64 = 160 << 20;
/// Content above this needs the right to be in memory: how much of it is at once does not grow with the number of
/// workers and items at once.
pub(super) const SMALL_BYTES_MAX: u64 = 1 << 20;

/// What is known of a page before its items are looked at one by one.
struct Ground<'a> {
    /// The Graph id of the target container; empty when a dry run found that it is missing.
    container: &'a str,
    existing: &'a Existing,
    /// Items that the newest backup has, and that the target may therefore hold elsewhere.
    alive: HashSet<ItemKey>,
    /// How much the parts are that come back with items.
    parts: HashMap<ItemKey, Holding>,
}

impl Restoration<'_> {
    /// Brings a page of items back to their place.
    pub(super) async fn put(&mut self, place: &mut Place, page: Vec<VersionRow>) -> Result<(), TaskError> {
        let page = self.wanted(page).await?;
        let settled = self.settled(page.iter().map(|row| row.version.key).collect()).await?;
        let n_page = page.len();
        let todo: Vec<VersionRow> = page.into_iter().filter(|row| !settled.contains_key(&row.version.key)).collect();
        self.items_done += (n_page - todo.len()) as u64;
        // A dry run that goes on after an interruption counts what it has told already.
        self.load += Load::of(settled.values().filter(|outcome| **outcome != Outcome::Skipped).count() as u64);
        if todo.is_empty() {
            return Ok(());
        }
        self.open_and_list(place).await?;
        match &place.state {
            Opened::Found { target, existing: Some(existing) } => {
                let (alive, parts) = (self.alive(&todo).await?, self.parts_of(&todo).await?);
                let ground = Ground { container: target.as_deref().unwrap_or_default(), existing, alive, parts };
                self.restore_page(&ground, todo).await
            }
            Opened::Refused(why) => self.refuse(why, todo.into_iter().map(|row| row.version.key).collect()).await,
            Opened::NotYet | Opened::Found { existing: None, .. } => Ok(()),
        }
    }

    /// Those of a page that come back: all, or those that are gone as of a later point.
    pub(super) async fn wanted(&self, page: Vec<VersionRow>) -> Result<Vec<VersionRow>, TaskError> {
        let Some(later) = self.gone_at() else { return Ok(page) };
        let mut ended = page;
        ended.retain(|row| row.to <= later);
        if ended.is_empty() {
            return Ok(ended);
        }
        let keys: Vec<ItemKey> = ended.iter().map(|row| row.version.key).collect();
        let chain = self.work.chain;
        let read = move |conn: &mut Conn| items::at(conn, chain, later, &keys);
        let alive = self.workshop.db.run("look for what is gone", read).await?;
        let alive: HashSet<ItemKey> = alive.into_iter().map(|row| row.version.key).collect();
        ended.retain(|row| !alive.contains(&row.version.key));
        Ok(ended)
    }

    pub(super) fn gone_at(&self) -> Option<PointNumber> {
        self.work.selection.as_ref()?.gone_at
    }

    pub(super) async fn settled(&self, keys: Vec<ItemKey>) -> Result<HashMap<ItemKey, Outcome>, TaskError> {
        let (restore, chain) = (self.work.restore, self.work.chain);
        let read = move |conn: &mut Conn| outcomes::settled(conn, restore, chain, &keys);
        Ok(self.workshop.db.run("read outcomes", read).await?)
    }

    /// Which of these the newest backup has, wherever they are by now.
    async fn alive(&self, page: &[VersionRow]) -> Result<HashSet<ItemKey>, TaskError> {
        if !self.in_place {
            return Ok(HashSet::new());
        }
        let chain = self.work.chain;
        let key = |row: &VersionRow| row.version.key;
        let mut alive: HashSet<ItemKey> = page.iter().filter(|row| row.to == PointNumber::OPEN).map(key).collect();
        let replaced: Vec<ItemKey> = page.iter().map(key).filter(|key| !alive.contains(key)).collect();
        if !replaced.is_empty() {
            let read = move |conn: &mut Conn| items::newest(conn, chain, PointNumber::OPEN, &replaced);
            alive.extend(self.workshop.db.run("look for newer versions", read).await?.into_keys());
        }
        Ok(alive)
    }

    /// A folder that cannot be opened costs its own items and no others.
    pub(super) async fn refuse(&mut self, why: &str, keys: Vec<ItemKey>) -> Result<(), TaskError> {
        let refused = keys.into_iter().map(|key| self.outcome(key, Outcome::Failed, Some(why.to_owned()), 0));
        let refused = refused.collect();
        self.commit(refused).await
    }

    pub(super) fn outcome(&self, key: ItemKey, outcome: Outcome, remark: Option<String>, bytes: u64) -> OutcomeRow {
        OutcomeRow { chain: self.work.chain, key, outcome, remark, bytes }
    }

    async fn restore_page(&mut self, ground: &Ground<'_>, todo: Vec<VersionRow>) -> Result<(), TaskError> {
        let this = &*self;
        // Once one of them ended the attempt, no other begins.
        let goes_on = AtomicBool::new(true);
        let waiting = todo.into_iter().take_while(|_| goes_on.load(Ordering::Relaxed));
        let mut ended = stream::iter(waiting)
            .map(|row| async move { this.item(ground, &row).await })
            .buffer_unordered(this.workshop.agent.items_at_once);
        let (mut rows, mut all) = (Vec::new(), Load::default());
        let mut stopped = None;
        while let Some(outcome) = ended.next().await {
            match outcome {
                Ok((row, load)) => {
                    all += load;
                    rows.push(row);
                }
                // Items in flight beside the failed one may have been created: their outcomes are kept.
                Err(err) => {
                    goes_on.store(false, Ordering::Relaxed);
                    stopped = stopped.or(Some(err));
                }
            }
        }
        drop(ended);
        self.load += all;
        self.commit(rows).await?;
        match stopped {
            Some(err) => Err(err),
            None if self.reported.elapsed() >= REPORT_EVERY => self.report("restoring").await,
            None => Ok(()),
        }
    }

    /// What became of one item, and how many requests that takes.
    async fn item(&self, ground: &Ground<'_>, row: &VersionRow) -> Result<(OutcomeRow, Load), TaskError> {
        let key = row.version.key;
        match self.try_item(ground, row).await? {
            Ok((outcome, remark, bytes, load)) => Ok((self.outcome(key, outcome, remark, bytes), load)),
            Err(why) => Ok((self.outcome(key, Outcome::Failed, Some(why), 0), Load::default())),
        }
    }

    async fn try_item(&self, ground: &Ground<'_>, row: &VersionRow) -> Result<Result<Told, String>, TaskError> {
        let version = &row.version;
        let mut stored = match self.properties(row).await {
            Ok(stored) => stored,
            Err(err) => return damaged(err),
        };
        let early = !self.restoring.recognises_by_properties();
        let mut _right = None;
        if early {
            match self.content(row).await? {
                Ok(held) => (stored.content, _right) = (held.content, held.right),
                Err(err) => return damaged(err),
            }
        }
        let wish = Wish { on_conflict: self.on_conflict, may_be_elsewhere: ground.alive.contains(&version.key) };
        let source = self.target.source();
        let planned = features::plan(self.restoring, source, ground.container, &stored, ground.existing, wish).await;
        let plan = match planned {
            Ok(plan) => plan,
            Err(err) => return item_error(err).map(Err),
        };
        let parts = ground.parts.get(&version.key).copied().unwrap_or_default();
        let load = self.load(&plan, &stored, version.bytes, parts);
        let bytes = match plan {
            Plan::Do(Action::Create | Action::CreateBeside) => version.bytes + parts.bytes,
            Plan::Do(Action::Update { .. }) | Plan::MoveBack { .. } => version.bytes,
            Plan::AlreadyThere | Plan::LeftAlone { .. } => 0,
        };
        if self.work.dry_run {
            return Ok(Ok(foretold(&plan, bytes, load)));
        }
        if !early && load.requests > 0 {
            match self.content(row).await? {
                Ok(held) => (stored.content, _right) = (held.content, held.right),
                Err(err) => return damaged(err),
            }
        }
        match self.carry_out(ground.container, &stored, &plan, parts).await? {
            Ok(restored) => Ok(Ok(told(restored, bytes, load))),
            Err(err) => item_error(err).map(Err),
        }
    }

    /// The item without its content.
    pub(super) async fn properties(&self, row: &VersionRow) -> Result<StoredItem, StoreError> {
        let version = &row.version;
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await?;
        Ok(StoredItem { key: version.key, kind: version.kind, properties, content: StoredContent::None })
    }

    async fn read_content(&self, row: &VersionRow) -> Result<StoredContent, StoreError> {
        let Some(content) = row.version.content else { return Ok(StoredContent::None) };
        if self.is_large(row) {
            return large::open(&self.reader, content).await;
        }
        Ok(StoredContent::Whole(self.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await?))
    }

    fn is_large(&self, row: &VersionRow) -> bool {
        self.restoring.large_above_bytes().is_some_and(|limit| row.version.bytes > limit)
    }

    /// The item's content with the right to hold it, which is kept until the item is done.
    async fn content(&self, row: &VersionRow) -> Result<Result<Held<'_>, StoreError>, TaskError> {
        let bytes = row.version.bytes;
        let right = match bytes > SMALL_BYTES_MAX && !self.is_large(row) {
            true => Some(self.workshop.room_to_restore(bytes).await?),
            false => None,
        };
        Ok(self.read_content(row).await.map(|content| Held { content, right }))
    }

    /// Which of the items on the target are themselves items of the backup, so that they stand for no other one.
    pub(super) async fn originals(&self, existing: &Existing) -> Result<HashSet<ItemKey>, TaskError> {
        let chain = self.work.chain;
        let keys: Vec<ItemKey> = existing.own_keys().collect();
        Ok(self.workshop.db.run("look up originals", move |conn| items::known(conn, chain, &keys)).await?)
    }

    pub(super) async fn commit(&mut self, rows: Vec<OutcomeRow>) -> Result<(), TaskError> {
        self.items_done += rows.len() as u64;
        self.bytes_done += rows.iter().map(|row| row.bytes).sum::<u64>();
        self.record(rows).await
    }

    pub(super) async fn record(&self, rows: Vec<OutcomeRow>) -> Result<(), TaskError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (lease, restore, chain) = (self.control.lease(), self.work.restore, self.work.chain);
        let committed = self.workshop.db.transaction("commit outcomes", move |conn| {
            queue::assert_held(conn, &lease)?;
            queue::made_progress_in(conn, &lease)?;
            Ok(outcomes::put(conn, restore, chain, &rows)?)
        });
        Ok(committed.await?)
    }
}

/// Content and the right to hold it.
struct Held<'a> {
    content: StoredContent,
    right: Option<SemaphorePermit<'a>>,
}

/// What the report says of an item: outcome, remark, bytes that were brought back, and requests that it takes.
type Told = (Outcome, Option<String>, u64, Load);

fn told(restored: Restored, bytes: u64, load: Load) -> Told {
    let joined = |remarks: Vec<String>| (!remarks.is_empty()).then(|| remarks.join("; "));
    match restored {
        Restored::Created { remarks } => (Outcome::Created, joined(remarks), bytes, load),
        Restored::Updated { remarks } => (Outcome::Updated, joined(remarks), bytes, load),
        Restored::AlreadyThere => (Outcome::Skipped, None, 0, load),
        Restored::LeftAlone { why } => (Outcome::Skipped, Some(why.to_owned()), 0, load),
    }
}

/// What a dry run says of an item.
fn foretold(plan: &Plan, bytes: u64, load: Load) -> Told {
    let why = |text: &str| Some(text.to_owned());
    match plan {
        Plan::Do(Action::Create) => (Outcome::Created, None, bytes, load),
        Plan::Do(Action::CreateBeside) => (Outcome::Created, why("another state of it is there"), bytes, load),
        Plan::Do(Action::Update { .. }) => (Outcome::Updated, why("another state of it is there"), bytes, load),
        Plan::MoveBack { .. } => (Outcome::Updated, why("it is in another folder by now"), 0, load),
        Plan::AlreadyThere => (Outcome::Skipped, None, 0, load),
        Plan::LeftAlone { why } => (Outcome::Skipped, Some((*why).to_owned()), 0, load),
    }
}

fn damaged(err: StoreError) -> Result<Result<Told, String>, TaskError> {
    if err.is_damage() { Ok(Err(err.to_string())) } else { Err(err.into()) }
}
