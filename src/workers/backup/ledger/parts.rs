//! Parts of items end when they are not wanted any more, and with the item that they belong to.

use super::super::TaskError;
use super::Ledger;
use crate::catalog;
use crate::catalog::items::{After, Within};
use crate::db::Conn;
use crate::ids::ItemKey;

/// Parts of one item that are looked at together.
const PARTS_AT_ONCE: u32 = 1000;

impl Ledger<'_> {
    /// Ends the parts of an item that are not among these: those of earlier commits, and those that wait for the next.
    pub(super) async fn keep_parts(&mut self, of: ItemKey, keep: &[ItemKey]) -> Result<(), TaskError> {
        let Some(container) = self.parts else { return Ok(()) };
        let mut held = self.gathered.parts_of(container, of);
        let (chain, point) = (self.backup.chain, self.backup.point);
        let within = (container, Within::Parent(Some(of)));
        let mut after: Option<After> = None;
        loop {
            let db = &self.backup.workshop.db;
            let read = move |conn: &mut Conn| catalog::items::browse(conn, chain, point, within, after, PARTS_AT_ONCE);
            let page = db.run("find the parts of an item", read).await?;
            held.extend(page.iter().map(|row| row.version.key));
            after = page.last().map(After::of);
            if page.len() < PARTS_AT_ONCE as usize {
                break;
            }
        }
        for key in held.into_iter().filter(|key| !keep.contains(key)) {
            self.recorder.item_left(container, key);
            self.gathered.remove_from(container, key);
        }
        Ok(())
    }
}
