//! Item versions as of a point, page by page.

use super::{ArchiveError, Part};
use crate::catalog::items::{After, Within};
use crate::catalog::{VersionRow, items};
use crate::db::{Conn, Db};
use crate::ids::{ContainerId, ItemKey};

const PAGE_ROWS: u32 = 100;

/// Which rows, and how far they were read.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    Container { container: ContainerId, within: Within, after: Option<After>, ended: bool },
    Keys(std::vec::IntoIter<ItemKey>),
}

impl Rows {
    pub(super) fn of_container(container: ContainerId, within: Within) -> Self {
        Self::Container { container, within, after: None, ended: false }
    }

    pub(super) fn of_keys(keys: Vec<ItemKey>) -> Self {
        Self::Keys(keys.into_iter())
    }

    pub(super) fn are_keys(&self) -> bool {
        matches!(self, Self::Keys(_))
    }

    /// The next page, which may be empty; `None` at the end.
    pub(super) async fn next(&mut self, db: &Db, part: &Part) -> Result<Option<Vec<VersionRow>>, ArchiveError> {
        let (chain, point) = (part.chain.id, part.point);
        match self {
            Self::Container { ended: true, .. } => Ok(None),
            Self::Container { container, within, after, ended } => {
                let (place, behind) = ((*container, *within), *after);
                let read = move |conn: &mut Conn| items::browse(conn, chain, point, place, behind, PAGE_ROWS);
                let page = db.run("read items to write", read).await?;
                *after = page.last().map(After::of);
                *ended = page.len() < PAGE_ROWS as usize;
                Ok(Some(page))
            }
            Self::Keys(keys) => {
                let keys: Vec<ItemKey> = keys.take(PAGE_ROWS as usize).collect();
                if keys.is_empty() {
                    return Ok(None);
                }
                let read = move |conn: &mut Conn| items::at(conn, chain, point, &keys);
                Ok(Some(db.run("read chosen items", read).await?))
            }
        }
    }
}
