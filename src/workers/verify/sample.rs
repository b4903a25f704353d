//! Level 4: some items, chosen at random, are put together as a restore would.

use std::collections::HashMap;

use super::Verification;
use crate::catalog::{Chain, VersionRow, chains, damage, items};
use crate::db::Conn;
use crate::ids::{ChainId, ItemKey, VersionNumber};
use crate::repository::verify::Counted;
use crate::repository::{Reader, StoreError};
use crate::workers::task::TaskError;

/// Items of one sample.
const ITEMS: u32 = 100;
/// Chains that a sample is drawn from.
const CHAINS_MAX: u32 = 10_000;

impl Verification<'_> {
    pub(super) async fn sample(&mut self) -> Result<(), TaskError> {
        let reader = self.storage.store.reader(self.workshop.db.clone());
        let first = ChainId::new(0);
        let chains = self.workshop.db.run("list chains", move |conn| chains::list(conn, None, first, CHAINS_MAX));
        let mut chains = chains.await?;
        chains.retain(|chain| chain.key.storage == self.storage.id);
        if chains.is_empty() {
            return Ok(());
        }
        for n in 0..ITEMS {
            let chain = &chains[rand::random_range(0..chains.len())];
            if let Some(row) = self.choose(chain.id).await? {
                self.put_together(&reader, chain, row).await?;
            }
            if n % 10 == 0 {
                self.say("putting items together", None).await?;
            }
        }
        Ok(())
    }

    /// Some version of the chain that is not known to be damaged.
    async fn choose(&self, chain: ChainId) -> Result<Option<VersionRow>, TaskError> {
        let chosen = self.workshop.db.run("choose an item", move |conn: &mut Conn| {
            let last = items::last_number(conn, chain)?.get();
            let before = VersionNumber::new(rand::random_range(0..last.max(1)));
            let found = items::scan(conn, chain, before, 1)?;
            let mut known: HashMap<ItemKey, VersionRow> = found.into_iter().map(|row| (row.version.key, row)).collect();
            damage::withhold(conn, chain, &mut known)?;
            Ok(known.into_values().next())
        });
        Ok(chosen.await?)
    }

    async fn put_together(&mut self, reader: &Reader, chain: &Chain, row: VersionRow) -> Result<(), TaskError> {
        let why = match read_whole(reader, &row).await {
            Ok(()) => return self.count(Counted { n_sampled: 1, ..Counted::default() }).await,
            Err(err) if err.is_damage() => err.to_string(),
            Err(err) => return Err(err.into()),
        };
        let (id, key) = (chain.id, row.version.key);
        let versions =
            self.workshop.db.run("read an item again", move |conn| items::versions(conn, id, &[key])).await?;
        if !versions.contains(&row) {
            // Written anew or expired meanwhile: what it was made of may be gone with good reason.
            return Ok(());
        }
        let pack = row.version.properties.pack;
        self.mark(reader, chain, vec![(row, pack)]).await?;
        self.unreadable(format!("item {key} of chain {id} cannot be put together: {why}")).await
    }
}

/// Reads properties and content; the content proves its length and hash at its end.
async fn read_whole(reader: &Reader, row: &VersionRow) -> Result<(), StoreError> {
    let version = &row.version;
    reader.read(version.properties.pack, version.properties.blob).await?;
    if let Some(content) = version.content {
        let mut pieces = reader.pieces(content.pack, content.blob).await?;
        while pieces.next().await?.is_some() {}
    }
    Ok(())
}
