//! A way through what a container held as of a point: folder by folder, the items of each before the folders in it.
//!
//! What is held in memory is a page of folders for each level, whatever the container holds.

use std::collections::VecDeque;

use crate::catalog::items::{self, After, Within};
use crate::catalog::{Chain, VersionRow};
use crate::db::{Conn, Db, DbError};
use crate::features::Feature;
use crate::ids::{ContainerId, ItemKey, PointNumber};

/// Deeper than any drive nests folders: what is below is a damaged catalog's.
const DEPTH_MAX: usize = 400;

/// What comes next on the way.
pub(super) enum Step {
    /// A folder among items; what it holds follows, up to its [`Step::Leave`].
    Enter(Box<VersionRow>),
    /// Items that are no folders, a page of them.
    Items(Vec<VersionRow>),
    Leave,
}

/// Where a point is read.
#[derive(Clone)]
pub(super) struct Shelf {
    pub db: Db,
    pub chain: Chain,
    pub point: PointNumber,
    pub feature: &'static dyn Feature,
}

impl Shelf {
    /// Whether any item of the feature is a folder.
    pub fn holds_folders(&self) -> bool {
        (0..=u8::MAX).any(|kind| self.feature.is_folder(kind))
    }

    pub fn is_folder(&self, row: &VersionRow) -> bool {
        self.feature.is_folder(row.version.kind)
    }

    pub async fn page(
        &self,
        place: (ContainerId, Within),
        after: Option<After>,
        rows: u32,
    ) -> Result<Vec<VersionRow>, DbError> {
        let (chain, point) = (self.chain.id, self.point);
        let read = move |conn: &mut Conn| items::browse(conn, chain, point, place, after, rows);
        self.db.run("read items to restore", read).await
    }

    pub async fn versions(&self, keys: &[ItemKey]) -> Result<Vec<VersionRow>, DbError> {
        let (chain, point, keys) = (self.chain.id, self.point, keys.to_vec());
        self.db.run("read chosen items", move |conn| items::at(conn, chain, point, &keys)).await
    }
}

pub(super) struct Walk {
    container: ContainerId,
    page_rows: u32,
    /// Where the walk begins, if that is a folder.
    first: Option<Box<VersionRow>>,
    levels: Vec<Level>,
}

/// One folder, or the container itself.
struct Level {
    within: Within,
    /// How far its items were told, and whether there are folders among them.
    items: Reading,
    has_folders: bool,
    folders: VecDeque<VersionRow>,
    folders_read: Reading,
}

#[derive(Clone, Copy)]
enum Reading {
    Behind(Option<After>),
    Done,
}

impl Level {
    fn new(within: Within) -> Self {
        let begin = Reading::Behind(None);
        Self { within, items: begin, has_folders: false, folders: VecDeque::new(), folders_read: begin }
    }
}

impl Walk {
    /// Through all that a container holds.
    pub fn of(shelf: &Shelf, container: ContainerId, page_rows: u32) -> Self {
        let within = if shelf.holds_folders() { Within::Parent(None) } else { Within::Anywhere };
        Self { container, page_rows, first: None, levels: vec![Level::new(within)] }
    }

    /// Through a folder and all that it holds.
    pub fn below(folder: VersionRow, page_rows: u32) -> Self {
        let container = folder.version.container;
        Self { container, page_rows, first: Some(Box::new(folder)), levels: Vec::new() }
    }

    /// `None`: that was all.
    pub async fn next(&mut self, shelf: &Shelf) -> Result<Option<Step>, DbError> {
        if let Some(folder) = self.first.take() {
            return Ok(Some(self.enter(folder)));
        }
        loop {
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            if let Reading::Behind(after) = level.items {
                let mut page = shelf.page((self.container, level.within), after, self.page_rows).await?;
                let full = page.len() == self.page_rows as usize;
                level.items = if full { Reading::Behind(page.last().map(After::of)) } else { Reading::Done };
                let n_all = page.len();
                page.retain(|row| !shelf.is_folder(row));
                level.has_folders |= page.len() < n_all;
                if !page.is_empty() {
                    return Ok(Some(Step::Items(page)));
                }
                continue;
            }
            if let Some(folder) = level.folders.pop_front() {
                return Ok(Some(self.enter(Box::new(folder))));
            }
            match level.folders_read {
                Reading::Behind(after) if level.has_folders && depth < DEPTH_MAX => {
                    let page = shelf.page((self.container, level.within), after, self.page_rows).await?;
                    let full = page.len() == self.page_rows as usize;
                    level.folders_read = if full { Reading::Behind(page.last().map(After::of)) } else { Reading::Done };
                    level.folders.extend(page.into_iter().filter(|row| shelf.is_folder(row)));
                }
                Reading::Behind(_) | Reading::Done => {
                    // The container itself was never entered.
                    let entered = matches!(level.within, Within::Parent(Some(_)));
                    self.levels.pop();
                    if entered {
                        return Ok(Some(Step::Leave));
                    }
                }
            }
        }
    }

    /// How many folders are known already beside the one that was just entered.
    pub fn n_beside(&self) -> usize {
        let outer = self.levels.len().checked_sub(2).and_then(|at| self.levels.get(at));
        outer.map_or(0, |outer| outer.folders.len())
    }

    /// Leaves the folder that was just entered to another walk, and so many of those beside it, which are returned.
    pub fn pass_by(&mut self, n_beside: usize) -> Vec<VersionRow> {
        self.levels.pop();
        let outer = self.levels.last_mut();
        outer.map_or_else(Vec::new, |outer| outer.folders.drain(..n_beside.min(outer.folders.len())).collect())
    }

    fn enter(&mut self, folder: Box<VersionRow>) -> Step {
        self.levels.push(Level::new(Within::Parent(Some(folder.version.key))));
        Step::Enter(folder)
    }
}
