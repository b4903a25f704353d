//! What restore points hold, or what was chosen of it, as one archive that is written while it is read.
//!
//! Memory: a page of rows, a piece of content, the names of the containers of one chain, and a bounded list of what could
//! not be read. The archive ends with a report; one without was broken off.

mod content;
mod gathered;
mod paths;
mod report;
mod rows;

use std::collections::HashMap;
use std::future::Future;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use self::paths::{Folders, Parents};
use self::report::Report;
use self::rows::Rows;
use super::names::{self, Siblings};
use super::render::{Properties, render};
use super::zip::Zip;
use crate::catalog::items::Within;
use crate::catalog::{self, Chain, Container, VersionRow};
use crate::db::{Conn, Db, DbError};
use crate::features;
use crate::ids::{ContainerId, ItemKey, PointNumber};
use crate::repository::{Reader, StoreError};
use crate::secret::Secret;

/// Bytes that are given to the sink at once, about.
const SEND_BYTES: usize = 256 << 10;

/// What an archive is to hold.
pub struct Plan {
    pub parts: Vec<Part>,
    pub layout: Layout,
    pub properties: Properties,
    /// Seals what is in the files.
    pub passphrase: Option<Secret<String>>,
    /// The head of the report: who asked for what.
    pub about: serde_json::Value,
    /// The time of the report.
    pub at: DateTime<Utc>,
}

/// One chain as of a point.
pub struct Part {
    pub chain: Chain,
    pub point: PointNumber,
    /// The folder at the top that it goes to, below which there is one for the feature.
    pub top: String,
    pub reader: Reader,
    /// `None`: everything.
    pub chosen: Option<Chosen>,
}

/// The union of the items named and of all items in the containers named; a folder among items is all that is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub containers: Vec<ContainerId>,
    pub items: Vec<ItemKey>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// A file for each item.
    #[default]
    ItemFiles,
    /// A file for each folder: mbox, a calendar, a list of cards. Files of a drive are files.
    FolderFiles,
}

/// How far an archive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub items: u64,
    pub items_total: u64,
    /// Items that could not be read, or not whole.
    pub not_written: u64,
    /// Bytes of the archive.
    pub bytes: u64,
}

/// Where an archive goes.
pub trait Sink: Send {
    /// Takes bytes; waits while the other side is behind.
    fn put(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Hears how far it is.
    fn hear(&mut self, written: Written) -> impl Future<Output = Result<(), SinkError>> + Send;
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Nobody takes the rest: nothing more to do.
    #[error("nobody reads the archive any more")]
    Closed,
    #[error("{0}")]
    Failed(String),
}

/// Why an archive was broken off.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("the archive cannot be written: {0:#}")]
    Here(#[from] anyhow::Error),
}

impl From<std::io::Error> for ArchiveError {
    fn from(err: std::io::Error) -> Self {
        Self::Here(err.into())
    }
}

/// An archive that is being written.
pub struct Archive<'a, S> {
    db: &'a Db,
    plan: &'a Plan,
    sink: &'a mut S,
    zip: Zip,
    /// Bytes on their way to the sink.
    out: Vec<u8>,
    written: Written,
    report: Report,
}

impl<'a, S: Sink> Archive<'a, S> {
    /// Writes all of it.
    pub async fn write(db: &'a Db, plan: &'a Plan, sink: &'a mut S) -> Result<Written, ArchiveError> {
        let passphrase = plan.passphrase.clone();
        let (zip, report) = (Zip::new(passphrase), Report::default());
        let mut archive = Self { db, plan, sink, zip, out: Vec::new(), written: Written::default(), report };
        for part in &plan.parts {
            archive.written.items_total += archive.count(part).await?;
        }
        let mut tops: HashMap<&str, Siblings> = HashMap::new();
        for part in &plan.parts {
            let feature = tops.entry(&part.top).or_default().name(part.chain.key.feature.as_str());
            archive.part(part, &format!("{}/{feature}", names::safe(&part.top))).await?;
        }
        archive.finish().await
    }

    async fn count(&self, part: &Part) -> Result<u64, ArchiveError> {
        let point = part.point;
        let containers = self.containers(part).await?;
        let whole: Vec<ContainerId> = containers.iter().map(|one| one.id).filter(|id| part.takes_all_of(*id)).collect();
        let held = self.db.run("count items", move |conn| catalog::tallies::as_of(conn, point, &whole)).await?;
        let chosen = part.chosen.as_ref().map_or(0, |chosen| chosen.items.len() as u64);
        Ok(chosen + held.values().map(|holding| holding.items).sum::<u64>())
    }

    async fn containers(&self, part: &Part) -> Result<Vec<Container>, ArchiveError> {
        let (chain, point) = (part.chain.id, part.point);
        let read = move |conn: &mut Conn| catalog::containers::as_of(conn, chain, point);
        Ok(self.db.run("read containers", read).await?)
    }

    async fn part(&mut self, part: &Part, top: &str) -> Result<(), ArchiveError> {
        let containers = self.containers(part).await?;
        let folders = Folders::of(&containers, top);
        let mut picked = self.picked(part).await?;
        for container in &containers {
            let path = folders.path(container.id);
            // Parts of items lie below the names of what they belong to, in a tree of their own.
            let mut parents = Parents::default();
            let are_parts = features::holds_parts(part.feature(), &container.graph_id);
            let gathers = self.gathers(part) && !are_parts;
            if part.takes_all_of(container.id) {
                self.zip.folder(path, self.plan.at, &mut self.out)?;
                let rows = Rows::of_container(container.id, Within::Anywhere);
                self.rows(part, path, rows, (gathers, &mut parents)).await?;
            } else if let Some(keys) = picked.remove(&container.id) {
                self.rows(part, path, Rows::of_keys(keys), (gathers, &mut parents)).await?;
            }
        }
        Ok(())
    }

    /// Items that were asked for one by one, by the container that held them.
    async fn picked(&self, part: &Part) -> Result<HashMap<ContainerId, Vec<ItemKey>>, ArchiveError> {
        let mut picked: HashMap<ContainerId, Vec<ItemKey>> = HashMap::new();
        let wanted = part.chosen.as_ref().map_or(&[][..], |chosen| &chosen.items);
        let mut rows = Rows::of_keys(wanted.to_vec());
        while let Some(page) = rows.next(self.db, part).await? {
            for row in page {
                if !part.takes_all_of(row.version.container) {
                    picked.entry(row.version.container).or_default().push(row.version.key);
                }
            }
        }
        Ok(picked)
    }

    /// Whether all items of a folder become one file.
    fn gathers(&self, part: &Part) -> bool {
        self.plan.layout == Layout::FolderFiles && gathered::is_gathered(part.feature())
    }

    async fn rows(
        &mut self,
        part: &Part,
        path: &str,
        rows: Rows,
        (gathers, parents): (bool, &mut Parents),
    ) -> Result<(), ArchiveError> {
        if !gathers {
            return self.item_files(part, path, rows, parents).await;
        }
        let left = self.gather(part, path, rows.clone()).await?;
        match (left, self.plan.properties) {
            (0, Properties::LeftOut) => Ok(()),
            (_, _) => self.beside_gathered(part, path, rows).await,
        }
    }

    async fn item_files(
        &mut self,
        part: &Part,
        path: &str,
        mut rows: Rows,
        parents: &mut Parents,
    ) -> Result<(), ArchiveError> {
        let by_key = rows.are_keys();
        let mut below = Vec::new();
        while let Some(page) = rows.next(self.db, part).await? {
            for row in page {
                let is_folder = features::is_folder(part.feature(), row.version.kind);
                if by_key && is_folder {
                    below.push((row.version.container, row.version.key));
                }
                self.row(part, path, row, parents).await?;
            }
        }
        while let Some((container, folder)) = below.pop() {
            let mut rows = Rows::of_container(container, Within::Parent(Some(folder)));
            while let Some(page) = rows.next(self.db, part).await? {
                for row in page {
                    if features::is_folder(part.feature(), row.version.kind) {
                        below.push((container, row.version.key));
                    }
                    self.row(part, path, row, parents).await?;
                }
            }
        }
        Ok(())
    }

    /// One item, in the folder among items that holds it.
    async fn row(
        &mut self,
        part: &Part,
        path: &str,
        row: VersionRow,
        parents: &mut Parents,
    ) -> Result<(), ArchiveError> {
        let folder = parents.path(self.db, part, row.version.parent, path).await?;
        if features::is_folder(part.feature(), row.version.kind) {
            // The root of a drive is the folder of the drive itself.
            if row.version.parent.is_some() {
                let name = names::file_name(&row.version.name, &row.version.key.to_string());
                self.zip.folder(&format!("{folder}/{name}"), row.version.time, &mut self.out)?;
            }
        } else {
            self.item(part, &folder, &row).await?;
        }
        self.ended_item().await
    }

    async fn item(&mut self, part: &Part, folder: &str, row: &VersionRow) -> Result<(), ArchiveError> {
        let rendered = render(&part.reader, part.feature(), row, self.plan.properties).await?;
        if let Some(why) = rendered.unreadable {
            self.not_written(folder, row, StoreError::Item(why))?;
        }
        for remark in rendered.remarks {
            self.report.remark(folder, row, remark);
        }
        for file in rendered.files {
            self.file(part, folder, row, file).await?;
        }
        Ok(())
    }

    /// Notes an item that cannot be read; what concerns more than the item breaks the archive off.
    fn not_written(&mut self, folder: &str, row: &VersionRow, err: StoreError) -> Result<(), ArchiveError> {
        if !err.is_damage() {
            return Err(err.into());
        }
        self.written.not_written += 1;
        self.report.not_written(folder, row, err.to_string());
        Ok(())
    }

    async fn ended_item(&mut self) -> Result<(), ArchiveError> {
        self.written.items += 1;
        self.send(SEND_BYTES).await?;
        self.written.bytes = self.zip.bytes();
        Ok(self.sink.hear(self.written).await?)
    }

    /// Gives the sink what has come together, if it is enough.
    async fn send(&mut self, bytes_min: usize) -> Result<(), ArchiveError> {
        if !self.out.is_empty() && self.out.len() >= bytes_min {
            self.sink.put(std::mem::take(&mut self.out).into()).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Written, ArchiveError> {
        let report = std::mem::take(&mut self.report).to_json(&self.plan.about, self.written);
        self.zip.begin(report::NAME, self.plan.at, &mut self.out)?;
        self.zip.write(&report, &mut self.out)?;
        self.zip.end(&mut self.out)?;
        self.send(0).await?;
        let Self { zip, sink, mut written, .. } = self;
        written.bytes = zip.bytes();
        let mut closing = zip.finish()?;
        while let Some(piece) = closing.next_piece()? {
            written.bytes += piece.len() as u64;
            sink.put(piece.into()).await?;
        }
        sink.hear(written).await?;
        Ok(written)
    }
}

impl Part {
    fn feature(&self) -> &str {
        self.chain.key.feature.as_str()
    }

    fn takes_all_of(&self, container: ContainerId) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.containers.contains(&container))
    }
}
