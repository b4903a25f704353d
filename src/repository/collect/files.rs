//! The end of packs that were emptied: their files, and the rows of the blobs that went with them.

use super::orphans::delete_pack;
use super::{CollectError, Collection, References, Step};
use crate::ids::PackId;
use crate::repository::{blobs, packs};

/// Packs that are looked up at once.
const PACKS_ROWS: u32 = 500;

impl<R: References> Collection<R> {
    /// Step 5: deletes the files of packs that were emptied long enough ago. Readers that hold an old location find
    /// the file gone and look again.
    pub async fn delete_files(&mut self) -> Result<(), CollectError> {
        let (storage, age_s) = (self.store.storage(), self.limits.file_delay.as_secs());
        let mut after = PackId::new(0);
        loop {
            let page = self.db.run("find emptied packs", move |conn| {
                let emptied = packs::sql::emptied_packs(conn, storage, age_s, after, PACKS_ROWS)?;
                let ids: Vec<PackId> = emptied.iter().map(|(id, ..)| *id).collect();
                Ok((emptied, blobs::sql::count_held(conn, storage, &ids)?))
            });
            let (emptied, held) = page.await?;
            let Some((last, ..)) = emptied.last() else { return Ok(()) };
            after = *last;
            for (pack, uid, bytes) in emptied {
                if held.iter().any(|(id, ..)| *id == pack) {
                    tracing::error!(pack = %uid, "an emptied pack holds blobs that are needed; its file stays");
                    continue;
                }
                if delete_pack(&self.store, uid).await? {
                    self.done.files_deleted += 1;
                    self.done.bytes_deleted += bytes;
                }
                self.reached(Step::FileDeleted)?;
                let dropped = self.held_transaction("drop what went with a pack", move |conn| {
                    packs::sql::set_file_gone(conn, pack)?;
                    blobs::sql::drop_given_up(conn, storage, pack)
                });
                self.done.blobs_dropped += dropped.await? as u64;
            }
        }
    }
}
