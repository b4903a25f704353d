//! Which items need what was lost: they are marked, and those that are current are captured again by the next backup.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::Verification;
use crate::catalog::damage::{self, Mark};
use crate::catalog::{Chain, ItemIssue, VersionRow, chains, containers, issues, items};
use crate::db::Conn;
use crate::ids::{ChainId, ContainerId, ItemKey, PackId, PointNumber, VersionNumber};
use crate::repository::verify::{self, DamagedRow, Lost};
use crate::repository::{self, Reader};
use crate::workers::task::TaskError;

/// Why an item that was captured before is an issue.
pub(super) const REASON: &str = "damaged";
/// How long after the discovery of a damaged pack the items are searched a second time: a backup that was under way
/// may have built on what it had read before.
const SETTLING: Duration = Duration::from_secs(24 * 3600);
/// What one search looks for, which bounds its memory.
const PACKS_MAX: u32 = 50;
const LOST_MAX: u64 = 200_000;
/// Rows of one page.
const SCAN_ROWS: u32 = 1000;
const CHAINS_ROWS: u32 = 500;
const MARKS_ROWS: u32 = 200;
const REPORT_EVERY: Duration = Duration::from_millis(500);

impl Verification<'_> {
    /// Marks the versions that need what was lost with damaged packs, however these were found.
    pub(super) async fn mark_items(&mut self) -> Result<(), TaskError> {
        let (storage, since) = (self.storage.id, self.begun.started_at);
        let db = &self.workshop.db;
        loop {
            let found = db.run("find packs to search items for", move |conn| {
                verify::unscanned(conn, storage, SETTLING, since, PACKS_MAX)
            });
            let group = group(found.await?);
            if group.is_empty() {
                return Ok(());
            }
            let packs: Vec<PackId> = group.iter().map(|row| row.pack).collect();
            let lost = db.run("read what is lost", move |conn| Lost::load(conn, storage, &group)).await?;
            self.scan(&lost).await?;
            self.write("note that items were searched", move |conn, _| verify::set_scanned(conn, &packs)).await?;
        }
    }

    async fn scan(&self, lost: &Lost) -> Result<(), TaskError> {
        let reader = self.storage.store.reader(self.workshop.db.clone());
        let mut after = ChainId::new(0);
        loop {
            let chains =
                self.workshop.db.run("list chains", move |conn| chains::list(conn, None, after, CHAINS_ROWS)).await?;
            let Some(last) = chains.last() else { return Ok(()) };
            after = last.id;
            for chain in chains.iter().filter(|chain| chain.key.storage == self.storage.id) {
                self.scan_chain(&reader, chain, lost).await?;
            }
        }
    }

    async fn scan_chain(&self, reader: &Reader, chain: &Chain, lost: &Lost) -> Result<(), TaskError> {
        let id = chain.id;
        let mut after = VersionNumber::NONE;
        let mut reported = Instant::now();
        loop {
            let db = &self.workshop.db;
            let page = db.run("scan items", move |conn| items::scan(conn, id, after, SCAN_ROWS)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.number;
            let need = |row: VersionRow| needs(&row, lost).map(|pack| (row, pack));
            self.mark(reader, chain, page.into_iter().filter_map(need).collect()).await?;
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.say("searching items that need what was lost", None).await?;
            }
        }
    }

    /// Marks versions of one chain, each with the pack that took its bytes along.
    pub(super) async fn mark(
        &self,
        reader: &Reader,
        chain: &Chain,
        damaged: Vec<(VersionRow, PackId)>,
    ) -> Result<(), TaskError> {
        if damaged.is_empty() {
            return Ok(());
        }
        let marks: Vec<Mark> = damaged.iter().map(|(row, pack)| Mark::of(chain.id, row, *pack)).collect();
        let mut issues: Vec<(ItemKey, ItemIssue)> = Vec::new();
        let mut messages: HashMap<PackId, String> = HashMap::new();
        for (row, pack) in damaged.iter().filter(|(row, _)| row.to == PointNumber::OPEN) {
            let issue = ItemIssue {
                skipped: false,
                graph_id: graph_id(reader, row).await?,
                container: row.version.container,
                name: row.version.name.clone(),
                reason: REASON.to_owned(),
                message: match messages.get(pack) {
                    Some(known) => known.clone(),
                    None => self.message(*pack).await?,
                },
            };
            messages.insert(*pack, issue.message.clone());
            issues.push((row.version.key, issue));
        }
        let (storage, chain, point) = (self.storage.id, chain.id, PointNumber::new(chain.last_point.max(1)));
        let marked = self.write("mark damaged items", move |conn, _| {
            damage::put(conn, storage, &marks)?;
            let mut to_walk: BTreeSet<ContainerId> = BTreeSet::new();
            for (key, issue) in &issues {
                if !issues::put_damaged(conn, chain, point, *key, issue)? {
                    to_walk.insert(issue.container);
                }
            }
            to_walk.into_iter().try_for_each(|container| containers::forget_cursors(conn, container))
        });
        marked.await
    }

    async fn message(&self, pack: PackId) -> Result<String, TaskError> {
        let storage = self.storage.id;
        let uid = self.workshop.db.run("name a pack", move |conn| verify::pack_uid(conn, storage, pack)).await?;
        let all = repository::list_storages(&self.workshop.db).await?;
        let name = all.into_iter().find(|one| one.id == storage).map_or_else(|| storage.to_string(), |one| one.name);
        let pack = uid.map_or_else(|| pack.to_string(), |uid| uid.to_string());
        Ok(format!(
            "what was stored of it in storage {name} is damaged (pack {pack}); the next backup captures it anew"
        ))
    }

    /// Looks at earlier marks again: those that mean nothing any more go away, and an item that is still current and
    /// damaged is brought to the next backup's attention again.
    pub(super) async fn revisit_marks(&self) -> Result<(), TaskError> {
        let reader = self.storage.store.reader(self.workshop.db.clone());
        let storage = self.storage.id;
        let mut after = None;
        loop {
            let db = &self.workshop.db;
            let page = db.run("read marks", move |conn| damage::list(conn, storage, after, MARKS_ROWS)).await?;
            let Some(last) = page.last().map(|row| row.mark) else { return Ok(()) };
            after = Some((last.chain, last.key, last.from));
            let marks: Vec<Mark> = page.into_iter().map(|row| row.mark).collect();
            for marks in marks.chunk_by(|a, b| a.chain == b.chain) {
                self.revisit(&reader, marks.to_vec()).await?;
            }
        }
    }

    /// `marks` are of one chain.
    async fn revisit(&self, reader: &Reader, marks: Vec<Mark>) -> Result<(), TaskError> {
        let Some(id) = marks.first().map(|mark| mark.chain) else { return Ok(()) };
        let (storage, looked_up) = (self.storage.id, marks.clone());
        let read = self.workshop.db.run("read marked versions", move |conn: &mut Conn| {
            let keys: Vec<ItemKey> = looked_up.iter().map(|mark| mark.key).collect();
            let packs: BTreeSet<PackId> = looked_up.iter().map(|mark| mark.pack).collect();
            let damaged = verify::find_damaged(conn, &packs.into_iter().collect::<Vec<_>>())?;
            let known: BTreeSet<PackId> = damaged.iter().map(|row| row.pack).collect();
            let lost = Lost::load(conn, storage, &damaged)?;
            Ok((chains::get(conn, id)?, items::versions(conn, id, &keys)?, known, lost))
        });
        let (chain, versions, known, lost) = read.await?;
        let (mut stale, mut current) = (Vec::new(), Vec::new());
        for mark in marks {
            match versions.iter().find(|row| mark.means(row)) {
                // A sample found it: no list of what is lost tells whether it is whole again.
                Some(row) if !known.contains(&mark.pack) => current.push((row.clone(), mark.pack)),
                Some(row) => match needs(row, &lost) {
                    Some(pack) => current.push((row.clone(), pack)),
                    None => stale.push(mark),
                },
                None => stale.push(mark),
            }
        }
        self.write("remove marks", move |conn, _| damage::remove(conn, &stale)).await?;
        current.retain(|(row, _)| row.to == PointNumber::OPEN);
        match chain {
            Some(chain) => self.mark(reader, &chain, current).await,
            None => Ok(()),
        }
    }
}

/// As many damaged packs as one search takes.
fn group(found: Vec<DamagedRow>) -> Vec<DamagedRow> {
    let mut n_lost = 0;
    let fits = |row: &DamagedRow| {
        let first = n_lost == 0;
        n_lost += u64::from(row.n_lost) + 1;
        first || n_lost <= LOST_MAX
    };
    found.into_iter().take_while(fits).collect()
}

/// The damaged pack that took something along that a version needs.
fn needs(row: &VersionRow, lost: &Lost) -> Option<PackId> {
    let version = &row.version;
    let own = [Some(version.properties), version.content];
    let own = own.into_iter().flatten().find_map(|place| lost.own(place.pack, place.blob));
    own.or_else(|| version.refs.iter().find_map(|blob| lost.shared(*blob)))
}

/// What Microsoft Graph calls an item, by its stored properties; empty when these are lost too.
async fn graph_id(reader: &Reader, row: &VersionRow) -> Result<String, TaskError> {
    let properties = row.version.properties;
    let bytes = match reader.read(properties.pack, properties.blob).await {
        Ok(bytes) => bytes,
        Err(repository::StoreError::Db(err)) => return Err(err.into()),
        Err(_) => return Ok(String::new()),
    };
    let id =
        serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|json| Some(json["id"].as_str()?.to_owned()));
    Ok(id.filter(|id| ItemKey::of(id) == row.version.key).unwrap_or_default())
}
