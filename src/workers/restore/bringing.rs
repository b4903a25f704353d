//! Items on their way back: which of a page are due, and for each of these what is to be done, and doing it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;

use super::flow::{Ahead, Due, Ground, Known, Told};
use super::pace::Load;
use super::place::{Place, State, item_error};
use super::{Restoration, TaskError};
use crate::catalog::{Outcome, OutcomeRow, VersionRow, items, outcomes};
use crate::db::Conn;
use crate::features::{self, Action, Plan, Restored, StoredContent, StoredItem, Wish};
use crate::ids::{ItemKey, PointNumber};
use crate::queue;
use crate::repository::StoreError;

impl Restoration<'_> {
    /// Puts those of a page that are not settled yet on their way back to their place.
    pub(super) async fn put(&self, ahead: &Ahead, place: &mut Place, page: Vec<VersionRow>) -> Result<(), TaskError> {
        let page = self.wanted(page).await?;
        let settled = self.settled(page.iter().map(|row| row.version.key).collect()).await?;
        let n_page = page.len();
        let todo: Vec<VersionRow> = page.into_iter().filter(|row| !settled.contains_key(&row.version.key)).collect();
        self.tally.items_done.fetch_add((n_page - todo.len()) as u64, Ordering::Relaxed);
        // A dry run that goes on after an interruption counts what it has told already.
        self.tally.add(Load::of(settled.values().filter(|outcome| **outcome != Outcome::Skipped).count() as u64));
        if todo.is_empty() {
            return Ok(());
        }
        self.open_and_list(ahead, place).await?;
        match &place.state {
            State::Found { ground: Some(ground), .. } => {
                let (alive, parts) = (self.alive(&todo).await?, self.parts_of(&todo).await?);
                for row in todo {
                    let key = row.version.key;
                    let parts = parts.get(&key).copied().unwrap_or_default();
                    ahead.put(ground, row, Known { may_be_elsewhere: alive.contains(&key), parts }).await?;
                }
                Ok(())
            }
            State::Refused(why) => self.refuse(why, todo.into_iter().map(|row| row.version.key).collect()).await,
            State::NotYet | State::Found { ground: None, .. } => Ok(()),
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
    pub(super) async fn refuse(&self, why: &str, keys: Vec<ItemKey>) -> Result<(), TaskError> {
        let refused = keys.into_iter().map(|key| self.outcome(key, Outcome::Failed, Some(why.to_owned()), 0));
        let refused = refused.collect();
        self.commit(refused).await
    }

    pub(super) fn outcome(&self, key: ItemKey, outcome: Outcome, remark: Option<String>, bytes: u64) -> OutcomeRow {
        OutcomeRow { chain: self.work.chain, key, outcome, remark, bytes }
    }

    /// What became of one item, and what that takes.
    pub(super) fn item(&self, due: Due) -> BoxFuture<'_, Told> {
        Box::pin(async move {
            let key = due.row.version.key;
            match self.try_item(&due).await? {
                Ok((outcome, remark, bytes, load)) => Ok((self.outcome(key, outcome, remark, bytes), load)),
                Err(why) => Ok((self.outcome(key, Outcome::Failed, Some(why), 0), Load::default())),
            }
        })
    }

    async fn try_item(&self, due: &Due) -> Result<Result<Ended, String>, TaskError> {
        let Due { row, known: Known { may_be_elsewhere, parts }, .. } = due;
        let Ground { container, existing, .. } = &*due.ground;
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
        let wish = Wish { on_conflict: self.on_conflict, may_be_elsewhere: *may_be_elsewhere };
        let source = self.target.source();
        let planned = features::plan(self.restoring, source, container, &stored, existing, wish).await;
        let plan = match planned {
            Ok(plan) => plan,
            Err(err) => return item_error(err).map(Err),
        };
        let load = self.load(&plan, &stored, version.bytes, *parts);
        let bytes = match plan {
            Plan::Do(Action::Create | Action::CreateBeside) => version.bytes + parts.bytes,
            Plan::Do(Action::Update { .. }) | Plan::MoveBack { .. } => version.bytes,
            Plan::AlreadyThere | Plan::LeftAlone { .. } => 0,
        };
        if self.work.dry_run {
            return Ok(Ok(foretold(&plan, bytes, load)));
        }
        if !early && load.requests > 0 {
            match self.content_to_send(row).await? {
                Ok(held) => (stored.content, _right) = (held.content, held.right),
                Err(err) => return damaged(err),
            }
        }
        match self.carry_out(container, &stored, &plan, *parts).await? {
            Ok(restored) => Ok(Ok(ended(restored, bytes, load))),
            Err(err) => item_error(err).map(Err),
        }
    }

    /// The item without its content.
    pub(super) async fn properties(&self, row: &VersionRow) -> Result<StoredItem, StoreError> {
        let version = &row.version;
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await?;
        Ok(StoredItem { key: version.key, kind: version.kind, properties, content: StoredContent::None })
    }

    pub(super) async fn commit(&self, rows: Vec<OutcomeRow>) -> Result<(), TaskError> {
        self.tally.items_done.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.tally.bytes_done.fetch_add(rows.iter().map(|row| row.bytes).sum(), Ordering::Relaxed);
        self.record(rows).await
    }

    pub(super) async fn record(&self, rows: Vec<OutcomeRow>) -> Result<(), TaskError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (lease, restore, chain) = (self.control.lease(), self.work.restore, self.work.chain);
        let _turn = self.turn.lock().await;
        let committed = self.workshop.db.transaction("commit outcomes", move |conn| {
            queue::assert_held(conn, &lease)?;
            queue::made_progress_in(conn, &lease)?;
            Ok(outcomes::put(conn, restore, chain, &rows)?)
        });
        Ok(committed.await?)
    }
}

/// What the report says of an item: outcome, remark, bytes that were brought back, and requests that it takes.
type Ended = (Outcome, Option<String>, u64, Load);

fn ended(restored: Restored, bytes: u64, load: Load) -> Ended {
    let joined = |remarks: Vec<String>| (!remarks.is_empty()).then(|| remarks.join("; "));
    match restored {
        Restored::Created { remarks } => (Outcome::Created, joined(remarks), bytes, load),
        Restored::Updated { remarks } => (Outcome::Updated, joined(remarks), bytes, load),
        Restored::AlreadyThere => (Outcome::Skipped, None, 0, load),
        Restored::LeftAlone { why } => (Outcome::Skipped, Some(why.to_owned()), 0, load),
    }
}

/// What a dry run says of an item.
fn foretold(plan: &Plan, bytes: u64, load: Load) -> Ended {
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

fn damaged(err: StoreError) -> Result<Result<Ended, String>, TaskError> {
    if err.is_damage() { Ok(Err(err.to_string())) } else { Err(err.into()) }
}
