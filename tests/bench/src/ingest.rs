//! Stores a corpus as backups would: a chain for each user and kind of data, items through packers, commits with
//! catalog rows and records, and a sealed point at the end. Can be repeated, also after it was killed or refused.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::DateTime;
use kodo::catalog::{self, ChainKey, ContainerState, ContentRef, CursorUpdate, NewVersion, PointCounts};
use kodo::db::TxError;
use kodo::ids::{ChainId, ContainerId, ItemKey, PointNumber, ResourceId, TaskId, WalkNumber, WriterId};
use kodo::repository::{
    self, ChainIdentity, CommitRefused, Ingest, IngestContent, PackIds, Packer, Record, Stored, record,
};
use serde_json::{Value, json};

use crate::ground::{Ground, rss_mb_max};
use crate::share::{Share, name, read, shares};

/// Items and bytes that are stored together, at most; the backup's limits.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: u64 = 4 << 20;
/// Items of a filled mailbox, and how many are stored at once.
const FILLED: u32 = 75_000;
const FILLED_TOGETHER: u32 = 500;
/// The time of the first item of a folder, in seconds since 1970; each later item is a minute younger.
const FIRST_TIME_S: i64 = 1_672_531_200;

/// What was stored, of one share or of all.
#[derive(Clone, Copy, Default)]
pub struct Sum {
    items: u64,
    bytes: u64,
    stored: u64,
    packs: u64,
    commits: u64,
}

pub async fn run(ground: Ground, dir: &Path, workers: usize) -> anyhow::Result<Value> {
    let shares = Arc::new(Mutex::new(VecDeque::from(shares(dir)?)));
    let writer = ground.register().await?;
    let from = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (ground, shares) = (ground.clone(), Arc::clone(&shares));
        running.spawn(async move {
            let mut sum = Sum::default();
            loop {
                let next = shares.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((number, share)) = next else { return anyhow::Ok(sum) };
                sum.add(back_up(&ground, writer, number, share, |_| false).await?);
            }
        });
    }
    let mut sum = Sum::default();
    while let Some(ended) = running.join_next().await {
        sum.add(ended??);
    }
    Ok(json!({
        "items": sum.items, "bytes": sum.bytes, "stored": sum.stored, "packs": sum.packs, "commits": sum.commits,
        "wall_s": from.elapsed().as_secs_f64(), "rss_mb_max": rss_mb_max()?,
    }))
}

/// Stores items that are nothing but properties, in mailboxes of [`FILLED`] each.
pub async fn fill(ground: Ground, items: u32) -> anyhow::Result<Value> {
    let writer = ground.register().await?;
    let mut sum = Sum::default();
    for (number, first) in (1..).zip((0..items).step_by(FILLED as usize)) {
        let user = format!("filled{number:03}");
        let share = Share { kind: "mail".to_owned(), user, folders: BTreeMap::new(), bytes: 0 };
        let mut backup = Backup::open(&ground, writer, number, &share).await?;
        backup.tell(Record::PointBegin(record::PointBegin { started_ms: FIRST_TIME_S * 1000 }));
        let container = backup.container("Inbox").await?;
        let last = items.min(first + FILLED);
        for from in (first..last).step_by(FILLED_TOGETHER as usize) {
            let names = from..last.min(from + FILLED_TOGETHER);
            let items = names.map(|n| (format!("item {n:07} about something"), FIRST_TIME_S + i64::from(n), None));
            backup.store(container, "Inbox", items.collect()).await?;
        }
        backup.commit(Some(container), "Inbox").await?;
        sum.add(backup.seal().await?);
    }
    Ok(json!({ "items": sum.items, "stored": sum.stored, "packs": sum.packs }))
}

/// A version that waits for the commit of its packs.
struct Waiting {
    container: ContainerId,
    name: String,
    key: ItemKey,
    time_s: i64,
    stored: Stored,
}

/// The backup of one share.
struct Backup {
    ground: Ground,
    writer: WriterId,
    packer: Packer,
    identity: Arc<ChainIdentity>,
    chain: ChainId,
    point: PointNumber,
    waiting: Vec<Waiting>,
    /// Items whose end waits for the same commit.
    gone: Vec<ItemKey>,
    committed_at: Instant,
    sum: Sum,
}

/// What records call the chain of a share.
pub fn identity_of(share: &Share) -> ChainIdentity {
    let feature = match share.kind.as_str() {
        "mail" => "mailbox",
        "items" => "calendar",
        _ => "onedrive",
    };
    ChainIdentity {
        entra_tenant_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        resource_graph_id: share.user.clone(),
        resource_kind: "user".to_owned(),
        resource_name: share.user.clone(),
        address: format!("{}@contoso.example", share.user),
        feature: feature.to_owned(),
    }
}

/// What an item is called by the service that it comes from.
fn graph_id(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}

/// Backs a share up, without those of its files that `gone` says are not there any more.
pub async fn back_up(
    ground: &Ground,
    writer: WriterId,
    number: u32,
    share: Share,
    gone: impl Fn(&Path) -> bool,
) -> anyhow::Result<Sum> {
    let mut backup = Backup::open(ground, writer, number, &share).await?;
    backup.tell(Record::PointBegin(record::PointBegin { started_ms: FIRST_TIME_S * 1000 }));
    for (folder, files) in share.folders {
        let (gone, files) = files.into_iter().partition(|path| gone(path));
        backup.folder(&folder, &share.kind, files, gone).await?;
    }
    backup.seal().await
}

impl Backup {
    async fn open(ground: &Ground, writer: WriterId, number: u32, share: &Share) -> anyhow::Result<Self> {
        let identity = identity_of(share);
        let key = ChainKey {
            resource: ResourceId::new(number),
            feature: identity.feature.parse().context("the features of the corpus have plain names")?,
            storage: ground.storage(),
        };
        let (chain, point) = ground
            .db
            .run("open a restore point", move |conn| {
                let chain = catalog::chains::open(conn, &key)?.id;
                Ok((chain, catalog::points::open_point(conn, chain, None, TaskId::new(1))?))
            })
            .await?;
        Ok(Self {
            packer: ground.store.packer(ground.db.clone(), writer),
            ground: ground.clone(),
            writer,
            identity: Arc::new(identity),
            chain,
            point,
            waiting: Vec::new(),
            gone: Vec::new(),
            committed_at: Instant::now(),
            sum: Sum::default(),
        })
    }

    fn tell(&mut self, record: Record) {
        self.packer.add_record(&self.identity, self.point, record);
    }

    async fn folder(
        &mut self,
        folder: &str,
        kind: &str,
        files: Vec<PathBuf>,
        gone: Vec<PathBuf>,
    ) -> anyhow::Result<()> {
        let container = self.container(folder).await?;
        for path in gone {
            let key = ItemKey::of(&graph_id(folder, &name(&path)?));
            self.tell(Record::ItemGone(record::ItemGone { item: key, container: None }));
            self.gone.push(key);
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for (number, path) in files.into_iter().enumerate() {
            let bytes = std::fs::metadata(&path)?.len();
            let content = read(&path, kind, bytes, &self.ground)?;
            if matches!(content, IngestContent::Spooled { .. }) || batch_bytes + bytes > TOGETHER_BYTES {
                self.store(container, folder, std::mem::take(&mut batch)).await?;
                batch_bytes = 0;
            }
            batch_bytes += bytes;
            batch.push((name(&path)?, FIRST_TIME_S + 60 * number as i64, Some(content)));
            if batch.len() == TOGETHER || batch_bytes > TOGETHER_BYTES {
                self.store(container, folder, std::mem::take(&mut batch)).await?;
                batch_bytes = 0;
            }
        }
        self.store(container, folder, batch).await?;
        self.commit(Some(container), folder).await
    }

    async fn container(&mut self, folder: &str) -> anyhow::Result<ContainerId> {
        let state = ContainerState {
            graph_id: folder.to_owned(),
            parent: None,
            name: folder.to_owned(),
            hidden: false,
            well_known: None,
            n_items: None,
        };
        let (chain, point, graph_id) = (self.chain, self.point, folder.to_owned());
        let make = move |conn: &mut kodo::db::Conn| {
            let id = catalog::containers::identify(conn, chain, &graph_id)?;
            catalog::containers::put(conn, chain, point, id, &state)?;
            Ok(id)
        };
        let id = self.ground.db.run("make a container", make).await?;
        self.tell(Record::Container(record::Container {
            graph_id: folder.to_owned(),
            parent: None,
            name: folder.to_owned(),
            hidden: false,
            well_known: None,
        }));
        Ok(id)
    }

    async fn store(
        &mut self,
        container: ContainerId,
        folder: &str,
        files: Vec<(String, i64, Option<IngestContent>)>,
    ) -> anyhow::Result<()> {
        let (mut batch, mut facts) = (Vec::with_capacity(files.len()), Vec::with_capacity(files.len()));
        for (name, time_s, content) in files {
            let properties = json!({ "name": name, "folder": folder, "time": time_s }).to_string();
            batch.push(Ingest { properties: properties.into(), content });
            facts.push((name, time_s));
        }
        let stored = self.packer.store(batch).await?;
        for ((name, time_s), stored) in facts.into_iter().zip(stored) {
            let content = stored.content.as_ref();
            let bytes = content.map_or(0, |content| content.bytes);
            let graph_id = graph_id(folder, &name);
            let item = record::Item {
                parent: None,
                words: None,
                container: folder.to_owned(),
                graph_id: graph_id.clone(),
                kind: 1,
                flags: 0,
                change_tag: 0,
                name: name.clone(),
                party: String::new(),
                time_s,
                bytes,
                properties: stored.properties,
                content: content.map(|content| content.location),
                refs: content.map(|content| content.refs.clone()).unwrap_or_default(),
            };
            self.sum.bytes += bytes;
            self.tell(Record::Item(item));
            self.waiting.push(Waiting { container, name, key: ItemKey::of(&graph_id), time_s, stored });
        }
        let agent = &self.ground.config.agent;
        let due = self.waiting.len() >= agent.commit_items
            || self.committed_at.elapsed() >= Duration::from_secs(agent.commit_s);
        if due { self.commit(None, folder).await } else { Ok(()) }
    }

    /// Commits what waits; with the end of a container also its cursor.
    async fn commit(&mut self, ended: Option<ContainerId>, folder: &str) -> anyhow::Result<()> {
        self.committed_at = Instant::now();
        if ended.is_some() {
            let state = record::CursorState::Since(format!("delta of {folder}"));
            self.tell(Record::Cursor(record::Cursor { container: folder.to_owned(), state, full_walk_point: None }));
        }
        let flushed = self.packer.flush().await?;
        let (waiting, gone) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.gone));
        self.sum.items += waiting.len() as u64;
        self.sum.stored += flushed.bytes_stored();
        self.sum.packs += flushed.n_packs() as u64;
        self.sum.commits += 1;
        let (storage, writer) = (self.ground.storage(), self.writer);
        let (chain, point, token) = (self.chain, self.point, format!("delta of {folder}"));
        let committed = self.ground.db.transaction::<_, CommitRefused, _>("commit a page", move |conn| {
            let packs = repository::commit(conn, storage, writer, &flushed)?;
            if packs.committed_before {
                return Ok(());
            }
            let mut versions: Vec<NewVersion> = waiting.iter().map(|waiting| waiting.resolve(&packs)).collect();
            versions.sort_unstable_by_key(|version| version.key);
            let removed = catalog::items::remove(conn, chain, point, None, &gone)?;
            let written = catalog::items::put(conn, chain, point, &versions)?;
            let counts = PointCounts {
                added: written.added,
                changed: written.changed,
                removed,
                bytes_stored: flushed.bytes_stored(),
                ..PointCounts::default()
            };
            catalog::points::add_counts(conn, chain, point, &counts)?;
            if let Some(container) = ended {
                catalog::containers::move_cursor(conn, container, &CursorUpdate::Done(token.clone()))?;
            }
            Ok(())
        });
        let committed = committed.await.inspect_err(|err| {
            if let TxError::Refused(CommitRefused::ReusedBlobGone(gone)) = err {
                self.packer.forget(gone);
            }
        });
        committed.context("a page was not committed")
    }

    async fn seal(mut self) -> anyhow::Result<Sum> {
        let n_items = self.sum.items;
        self.tell(Record::PointSeal(record::PointSeal { n_items, n_added: n_items, ..Default::default() }));
        let flushed = self.packer.flush().await?;
        self.sum.stored += flushed.bytes_stored();
        self.sum.packs += flushed.n_packs() as u64;
        let (storage, writer, chain, point) = (self.ground.storage(), self.writer, self.chain, self.point);
        let sealing = self.ground.db.transaction::<_, CommitRefused, _>("seal a restore point", move |conn| {
            repository::commit(conn, storage, writer, &flushed)?;
            catalog::points::seal(conn, chain, point, 0).map_err(TxError::from)
        });
        sealing.await.context("a point was not sealed")?;
        Ok(self.sum)
    }
}

impl Waiting {
    fn resolve(&self, packs: &PackIds) -> NewVersion {
        let place = |location: repository::Location| ContentRef {
            pack: packs.get(location.pack).expect("a commit writes every pack that its rows name"),
            blob: location.blob,
        };
        let content = self.stored.content.as_ref();
        NewVersion {
            key: self.key,
            container: self.container,
            parent: None,
            full_walk: WalkNumber::FIRST,
            kind: 1,
            flags: 0,
            change_tag: 0,
            name: self.name.clone(),
            party: String::new(),
            time: DateTime::from_timestamp(self.time_s, 0).unwrap_or_default(),
            bytes: content.map_or(0, |content| content.bytes),
            properties: place(self.stored.properties),
            content: content.map(|content| place(content.location)),
            refs: content.map(|content| content.refs.clone()).unwrap_or_default(),
        }
    }
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.items += more.items;
        self.bytes += more.bytes;
        self.stored += more.stored;
        self.packs += more.packs;
        self.commits += more.commits;
    }
}
