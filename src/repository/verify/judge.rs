//! Damaged or not: what is found at first is looked at again before anybody acts on it.

use std::time::Duration;

use super::{Depth, KnownPack};
use crate::backends::BackendError;
use crate::db::Db;
use crate::ids::PackUid;
use crate::repository::packs::sql::{PackState, packs_in_folder};
use crate::repository::{Store, StoreError};

/// Readings of one pack before its verdict.
const READINGS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Rows of one page.
const PAGE_ROWS: u32 = 1000;

/// What is to be thought of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Sound,
    /// Two readings agree that it is not what was written, or is gone; the text says where.
    Damaged(String),
    /// It cannot be read. That may pass, so nothing follows but telling.
    Unreadable(String),
}

/// What one of the 256 folders of packs holds, beside what the catalog says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub n_packs: u64,
    /// Packs whose file is missing or has another length.
    pub suspects: Vec<KnownPack>,
    /// Packs that are known to be damaged and whose file has still its name.
    pub to_set_aside: Vec<PackUid>,
    /// Files that the catalog does not know.
    pub n_unknown: u64,
}

impl Store {
    /// Looks at a pack, again if there seems to be something wrong with it. An error is one of the whole storage.
    pub async fn judge_pack(&self, pack: PackUid, depth: Depth) -> Result<Verdict, StoreError> {
        let mut before = None;
        for reading in 1..=READINGS_MAX {
            let found = match self.check_pack(pack, depth).await {
                Ok(()) => return Ok(Verdict::Sound),
                Err(StoreError::Damaged(damage)) => Verdict::Damaged(format!("{}: {}", damage.place, damage.what)),
                Err(StoreError::Backend(BackendError::NotFound(_))) => {
                    Verdict::Damaged("the file is missing".to_owned())
                }
                Err(StoreError::Backend(BackendError::Corrupt { reason, .. })) => Verdict::Damaged(reason),
                Err(StoreError::Backend(err @ BackendError::Unavailable { .. })) => {
                    Verdict::Unreadable(err.to_string())
                }
                Err(err) => return Err(err),
            };
            match (&before, &found) {
                (Some(Verdict::Damaged(_)), Verdict::Damaged(_)) => return Ok(found),
                _ if reading == READINGS_MAX => return Ok(Verdict::Unreadable(text(found))),
                _ => before = Some(found),
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("the last reading returns")
    }

    /// Compares the packs in one of the 256 folders with the catalog, by name and length.
    pub async fn compare_folder(&self, db: &Db, folder: u8) -> Result<Folder, StoreError> {
        // Listed first: a pack that is committed meanwhile is suspect and soon found sound, never unknown.
        let files = self.list_packs(folder).await?;
        let mut found = Folder { n_unknown: files.len() as u64, ..Folder::default() };
        let mut after = None;
        loop {
            let storage = self.storage();
            let page =
                db.run("list packs", move |conn| packs_in_folder(conn, storage, folder, after, PAGE_ROWS)).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = Some(last.uid);
            for (pack, state) in page {
                let at = files.binary_search_by_key(&pack.uid, |file| file.uid).ok();
                found.n_unknown -= u64::from(at.is_some());
                let bytes = at.map(|at| files[at].bytes);
                match state {
                    PackState::Live => {
                        found.n_packs += 1;
                        if bytes != Some(pack.bytes) {
                            found.suspects.push(pack);
                        }
                    }
                    PackState::Bad => found.to_set_aside.extend(bytes.map(|_| pack.uid)),
                    PackState::Dead | PackState::Discarded => {}
                }
            }
        }
    }
}

fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Sound => String::new(),
        Verdict::Damaged(what) => format!("its readings differ; the last one said: {what}"),
        Verdict::Unreadable(why) => why,
    }
}
