//! The way through what was chosen: containers side by side, and where items are folders, folder by folder.
//!
//! A folder costs an answer or two before its first item goes out, and many hold few items. So several are opened and
//! listed at the same time, while the items of those before them are on their way.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::{TryStreamExt, stream};

use super::choice::Choice;
use super::flow::Ahead;
use super::leaving::{Holds, Left, hold};
use super::openings::Told;
use super::pace::Load;
use super::place::{Place, State};
use super::walk::{Step, Walk};
use super::{PAGE_ITEMS, Restoration, TaskError};
use crate::catalog::{self, Container, Outcome, VersionRow};
use crate::db::Conn;
use crate::features;
use crate::ids::{ContainerId, ItemKey};

/// Places that are opened, listed and read from the catalog at the same time: enough for the four requests that a mailbox
/// takes at once, while others wait for the catalog or for a folder above them.
const PLACES_AT_ONCE: usize = 8;

/// A folder on the way, and what is outside of it.
struct Level {
    outer: Place,
    /// The folder, if this restore created it, and who is on the way to it.
    created: Option<(VersionRow, Holds)>,
}

impl Restoration<'_> {
    /// Finds all that is to be brought back and puts it on its way.
    pub(super) async fn walk(&self, choice: &Choice, ahead: Ahead) -> Result<(), TaskError> {
        let (whole, ahead) = (self.whole_containers(choice).await?, &ahead);
        // What kodo made up names folders, which are there before it.
        let (own, whole): (Vec<&Container>, Vec<&Container>) = whole.into_iter().partition(|whole| is_own(whole));
        side_by_side(whole.into_iter().map(|container| Box::pin(self.whole(ahead, container)) as Way<'_>)).await?;
        for container in own {
            self.whole(ahead, container).await?;
        }
        let folders = choice.folders.iter();
        side_by_side(folders.map(|folder| Box::pin(self.below(ahead, choice, folder)) as Way<'_>)).await?;
        let items = choice.items.iter();
        side_by_side(items.map(|(at, keys)| Box::pin(self.single(ahead, choice, *at, keys)) as Way<'_>)).await?;
        self.refuse("the restore point does not hold it", choice.missing.clone()).await
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
            (is_own(container), Reverse(n_items))
        });
        Ok(whole)
    }

    /// Parts of items, such as the older versions of files, are looked at only when somebody names them.
    pub(super) fn takes_all_of(&self, choice: &Choice, container: &Container) -> bool {
        let feature = self.shelf.chain.key.feature.as_str();
        let is_passed_by = choice.is_of_all() && features::holds_parts(feature, &container.graph_id);
        choice.takes_all_of(container.id) && !is_passed_by
    }

    /// Everything that a container held. An empty one comes back too.
    async fn whole(&self, ahead: &Ahead, container: &Container) -> Result<(), TaskError> {
        let below = self.work.target_folder.as_deref();
        let place = Place::new(self.tree.path_to(container, below, self.holds_folders));
        let (mut place, was_empty) = self.follow(ahead, Walk::of(&self.shelf, container.id, PAGE_ITEMS), place).await?;
        let is_gone = self.later.as_ref().is_none_or(|later| !later.contains(&container.id));
        if was_empty && is_gone {
            self.open(&mut place).await?;
        }
        Ok(())
    }

    /// A chosen folder among items, and all that it held.
    async fn below(&self, ahead: &Ahead, choice: &Choice, folder: &VersionRow) -> Result<(), TaskError> {
        let place = self.place_of(choice, folder.version.container, folder.version.parent);
        self.follow(ahead, Walk::below(folder.clone(), PAGE_ITEMS), place).await?;
        Ok(())
    }

    /// Chosen items of one place.
    async fn single(
        &self,
        ahead: &Ahead,
        choice: &Choice,
        (container, parent): (ContainerId, Option<ItemKey>),
        keys: &[ItemKey],
    ) -> Result<(), TaskError> {
        let mut place = self.place_of(choice, container, parent);
        for keys in keys.chunks(PAGE_ITEMS as usize) {
            let page = self.shelf.versions(keys).await?;
            self.put(ahead, &mut place, page).await?;
        }
        Ok(())
    }

    /// Where the items of a container, or of a folder in it, come back.
    pub(super) fn place_of(&self, choice: &Choice, container: ContainerId, folder: Option<ItemKey>) -> Place {
        let Some(container) = self.tree.get(container) else { return Place::unknown() };
        let below = self.work.target_folder.as_deref();
        let top = Place::new(self.tree.path_to(container, below, self.holds_folders));
        choice.names_to(folder).iter().fold(top, |place, name| place.folder(Some(name)))
    }

    /// Puts what lies on the way on its way back. Returns the place where it began, and whether there was nothing.
    async fn follow(&self, ahead: &Ahead, mut walk: Walk, top: Place) -> Result<(Place, bool), TaskError> {
        let mut was_empty = true;
        let mut here = top;
        let mut above: Vec<Level> = Vec::new();
        while let Some(step) = walk.next(&self.shelf).await? {
            was_empty = false;
            match step {
                Step::Items(page) => self.put(ahead, &mut here, page).await?,
                Step::Enter(row) => {
                    // Its own items went before the folders in it.
                    here.is_through();
                    if let Some((_right, n_beside)) = ahead.branch(walk.n_beside().min(PLACES_AT_ONCE - 1)) {
                        let folders = std::iter::once(*row).chain(walk.pass_by(n_beside));
                        side_by_side(folders.map(|folder| self.branch(ahead, folder, here.folder(None)))).await?;
                        continue;
                    }
                    // The root of a drive stands for the drive itself, and has no name to go by.
                    let name = row.version.parent.is_some().then_some(row.version.name.as_str());
                    let mut place = here.folder(name);
                    let created = if self.enter(&mut place, &row).await? {
                        let (held, holds) = hold();
                        place.hold = Some(held);
                        Some((*row, holds))
                    } else {
                        None
                    };
                    above.push(Level { outer: std::mem::replace(&mut here, place), created });
                }
                Step::Leave => {
                    let Some(Level { outer, created }) = above.pop() else { continue };
                    let mut place = std::mem::replace(&mut here, outer);
                    if let Some((row, within)) = created {
                        place.is_through();
                        place.hold = None;
                        ahead.leave(Left { place, row, within, _above: here.hold.clone() }).await?;
                    }
                }
            }
        }
        Ok((here, was_empty))
    }

    /// A folder among items and all that it held, beside others.
    fn branch<'f>(&'f self, ahead: &'f Ahead, folder: VersionRow, outer: Place) -> Way<'f> {
        Box::pin(async move { self.follow(ahead, Walk::below(folder, PAGE_ITEMS), outer).await.map(drop) })
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
        if !self.work.dry_run && matches!(place.state, State::NotYet) {
            match self.is_there(&place.path).await? {
                Told::At(_) => was_there = true,
                Told::Nowhere => place.is_missing = true,
                Told::Refused(why) => place.state = State::Refused(why),
            }
        }
        if place.is_missing {
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
            State::Refused(why) => (Outcome::Failed, Some(why.clone())),
            State::Found { target: Some(_), .. } if was_there || self.work.dry_run => (Outcome::Skipped, None),
            State::Found { .. } | State::NotYet => (Outcome::Created, None),
        };
        self.tally.add(if outcome == Outcome::Created { self.load_of_folder(row).await? } else { Load::of(1) });
        self.commit(vec![self.outcome(key, outcome, remark, 0)]).await?;
        Ok(outcome == Outcome::Created && !self.work.dry_run)
    }
}

type Way<'a> = BoxFuture<'a, Result<(), TaskError>>;

/// Takes several of these ways at the same time, those that come first before the others.
async fn side_by_side<'a>(ways: impl Iterator<Item = Way<'a>> + Send) -> Result<(), TaskError> {
    stream::iter(ways.map(Ok)).try_for_each_concurrent(PLACES_AT_ONCE, |way| way).await
}

fn is_own(container: &Container) -> bool {
    container.graph_id.starts_with(features::OWN_CONTAINER)
}
