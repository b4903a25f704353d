//! What restore points hold, read from catalog and storage as a restore reads it.

use anyhow::Context;
use bytes::Bytes;
use kodo::catalog::items::{After, Within};
use kodo::catalog::{self, Container, VersionRow};
use kodo::config;
use kodo::db::{self, Conn, Db};
use kodo::features::{RemoteContainer, Summary};
use kodo::ids::{ChainId, PointNumber};
use kodo::repository::{self, Reader};
use kodo::secret::Sealer;

use super::collected::{Collected, Item};
use super::stage::Stage;

const ROWS_MAX: u32 = 10_000;
const CONTENT_BYTES_MAX: u64 = 64 << 20;

/// The catalog and the storage of a stage.
pub struct Held {
    db: Db,
    reader: Reader,
}

/// The newest sealed point of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    pub chain: ChainId,
    pub point: PointNumber,
    /// Items that are not in it as they should be.
    pub n_issues: u64,
}

impl Held {
    pub async fn of(stage: &Stage) -> anyhow::Result<Self> {
        let config = config::load(Some(&stage.config()))?;
        let db = db::connect(stage.database_url(), &config.database)?;
        let sealer = Sealer::load(&config.state.instance_key())?;
        let storage = repository::list_storages(&db).await?.first().context("there is no storage")?.id;
        let store = repository::open_storage(&db, &sealer, storage, "test").await?;
        let reader = store.reader(db.clone());
        Ok(Self { db, reader })
    }

    /// By resource and feature: where each chain stands.
    pub async fn sealed(&self) -> anyhow::Result<Vec<(u32, String, Sealed)>> {
        let read = |conn: &mut Conn| {
            let mut all = Vec::new();
            for chain in catalog::chains::list(conn, None, ChainId::new(0), ROWS_MAX)? {
                let n_issues = catalog::issues::count(conn, chain.id)?;
                let sealed = Sealed { chain: chain.id, point: PointNumber::new(chain.last_point), n_issues };
                all.push((chain.key.resource.get(), chain.key.feature.as_str().to_owned(), sealed));
            }
            Ok(all)
        };
        Ok(self.db.run("read where chains stand", read).await?)
    }

    /// The versions that a point holds, as the catalog has them.
    pub async fn rows(&self, sealed: Sealed) -> anyhow::Result<Vec<VersionRow>> {
        Ok(self.tree_and_rows(sealed).await?.1)
    }

    /// The content of a version.
    pub async fn content(&self, row: &VersionRow) -> anyhow::Result<Option<Bytes>> {
        Ok(match row.version.content {
            Some(content) => Some(self.reader.content(content.pack, content.blob, CONTENT_BYTES_MAX).await?),
            None => None,
        })
    }

    async fn tree_and_rows(
        &self,
        Sealed { chain, point, .. }: Sealed,
    ) -> anyhow::Result<(Vec<Container>, Vec<VersionRow>)> {
        let read = move |conn: &mut Conn| {
            let tree = catalog::containers::as_of(conn, chain, point)?;
            let mut rows: Vec<VersionRow> = Vec::new();
            for container in &tree {
                let mut after = None;
                loop {
                    let all = (container.id, Within::Anywhere);
                    let page = catalog::items::browse(conn, chain, point, all, after, ROWS_MAX)?;
                    after = page.last().map(After::of);
                    rows.extend(page);
                    if after.is_none() {
                        break;
                    }
                }
            }
            Ok((tree, rows))
        };
        Ok(self.db.run("read a point", read).await?)
    }

    /// Everything that a point holds.
    pub async fn everything(&self, sealed: Sealed) -> anyhow::Result<Collected> {
        let (tree, rows) = self.tree_and_rows(sealed).await?;
        let mut held = Collected::default();
        let graph_id = |id| tree.iter().find(|one| one.id == id).map(|one| one.graph_id.clone()).unwrap_or_default();
        for one in &tree {
            let found = RemoteContainer {
                id: one.graph_id.clone(),
                parent: one.parent.map(graph_id),
                name: one.name.clone(),
                hidden: one.hidden,
                well_known: one.well_known.clone(),
                n_items: None,
            };
            held.containers.insert(one.graph_id.clone(), found);
        }
        for row in rows {
            let item = self.item(&row, graph_id(row.version.container)).await?;
            let id = item.properties["id"].as_str().unwrap_or_default().to_owned();
            held.items.insert(id, item);
        }
        Ok(held)
    }

    async fn item(&self, row: &VersionRow, container: String) -> anyhow::Result<Item> {
        let version = &row.version;
        let properties = self.reader.read(version.properties.pack, version.properties.blob).await?;
        let content = self.content(row).await?;
        let summary = Summary {
            kind: version.kind,
            flags: version.flags,
            change_tag: version.change_tag,
            name: version.name.clone(),
            party: version.party.clone(),
            time: version.time,
            parent: version.parent,
            words: String::new(),
        };
        Ok(Item { container, summary, properties: serde_json::from_slice(&properties)?, content })
    }
}
