//! Reads back what [`crate::ingest`] stored: one mail at a time, everything into files, every blob for its hash.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use kodo::catalog::items::{After, Within};
use kodo::catalog::{self, VersionRow};
use kodo::db::{Conn, QueryResult};
use kodo::ids::{ChainId, ContainerId, PointNumber, StorageId};
use kodo::repository::{Depth, Reader};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::ground::{Ground, rss_mb_max};

const PAGE_ROWS: u32 = 1000;
/// Chains and containers that a corpus may have.
const ROWS_MAX: u32 = 100_000;
/// Content up to this length is written in one piece.
const WHOLE_BYTES_MAX: u64 = 4 << 20;
/// Reads before the clock runs, so that the store is warm.
const WARM_UP: usize = 300;

/// A folder of the corpus in the catalog.
struct Folder {
    chain: ChainId,
    point: PointNumber,
    container: ContainerId,
    /// Its path in the corpus.
    name: String,
}

fn read_folders(conn: &mut Conn, storage: StorageId, only: Option<&str>) -> QueryResult<Vec<Folder>> {
    let mut folders = Vec::new();
    for chain in catalog::chains::list(conn, None, ChainId::new(0), ROWS_MAX)? {
        if chain.key.storage != storage || only.is_some_and(|feature| chain.key.feature.as_str() != feature) {
            continue;
        }
        let point = PointNumber::new(chain.last_point);
        for container in catalog::containers::as_of(conn, chain.id, point)? {
            folders.push(Folder { chain: chain.id, point, container: container.id, name: container.name });
        }
    }
    Ok(folders)
}

async fn folders(ground: &Ground, only: Option<&'static str>) -> anyhow::Result<Vec<Folder>> {
    let storage = ground.storage();
    let found = ground.db.run("list folders", move |conn| read_folders(conn, storage, only)).await?;
    ensure!(!found.is_empty(), "nothing is stored yet");
    Ok(found)
}

/// A page of a folder's items, behind `after`.
async fn page(ground: &Ground, folder: &Folder, after: Option<After>) -> anyhow::Result<Vec<VersionRow>> {
    let Folder { chain, point, container, .. } = *folder;
    let all = (container, Within::Anywhere);
    let browse = move |conn: &mut Conn| catalog::items::browse(conn, chain, point, all, after, PAGE_ROWS);
    Ok(ground.db.run("browse a folder", browse).await?)
}

fn behind(page: &[VersionRow]) -> Option<After> {
    page.last().map(After::of)
}

async fn read_whole(reader: &Reader, row: &VersionRow) -> anyhow::Result<bytes::Bytes> {
    let content = row.version.content.context("a stored file has content")?;
    Ok(reader.content(content.pack, content.blob, u64::MAX).await?)
}

/// How long one mail takes, whichever it is.
pub async fn one_by_one(ground: Ground, reads: usize, seed: u64) -> anyhow::Result<Value> {
    let mut mails = Vec::new();
    for folder in folders(&ground, Some("mailbox")).await? {
        let mut after = None;
        loop {
            let rows = page(&ground, &folder, after).await?;
            after = behind(&rows);
            if after.is_none() {
                break;
            }
            mails.extend(rows);
        }
    }
    let reader = ground.store.reader(ground.db.clone());
    let mut dice = StdRng::seed_from_u64(seed);
    let mut took_us = Vec::with_capacity(reads);
    let mut bytes = 0;
    for n in 0..WARM_UP + reads {
        let mail = &mails[dice.random_range(0..mails.len())];
        let from = Instant::now();
        let content = read_whole(&reader, mail).await?;
        if n >= WARM_UP {
            took_us.push(from.elapsed().as_secs_f64() * 1e6);
            bytes += content.len();
        }
    }
    took_us.sort_by(f64::total_cmp);
    let at = |share: f64| took_us[((took_us.len() - 1) as f64 * share) as usize].round();
    Ok(json!({
        "reads": reads, "mean_bytes": bytes / reads.max(1),
        "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1.0), "rss_mb_max": rss_mb_max()?,
    }))
}

/// Everything into files below `dir`, as it was in the corpus.
pub async fn restore(ground: Ground, dir: &Path, workers: usize) -> anyhow::Result<Value> {
    let waiting = Arc::new(Mutex::new(VecDeque::from(folders(&ground, None).await?)));
    let reader = ground.store.reader(ground.db.clone());
    let from = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (ground, reader, waiting, dir) = (ground.clone(), reader.clone(), Arc::clone(&waiting), dir.to_owned());
        running.spawn(async move {
            let mut sum = (0u64, 0u64);
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(folder) = next else { return anyhow::Ok(sum) };
                let (items, bytes) = restore_folder(&ground, &reader, &folder, &dir.join(&folder.name)).await?;
                sum = (sum.0 + items, sum.1 + bytes);
            }
        });
    }
    let (mut items, mut bytes) = (0, 0);
    while let Some(ended) = running.join_next().await {
        let (more_items, more_bytes) = ended??;
        items += more_items;
        bytes += more_bytes;
    }
    let wall_s = from.elapsed().as_secs_f64();
    Ok(json!({ "items": items, "bytes": bytes, "wall_s": wall_s, "rss_mb_max": rss_mb_max()? }))
}

async fn restore_folder(ground: &Ground, reader: &Reader, folder: &Folder, to: &Path) -> anyhow::Result<(u64, u64)> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let (mut items, mut bytes) = (0, 0);
    let mut after = None;
    loop {
        let rows = page(ground, folder, after).await?;
        after = behind(&rows);
        if after.is_none() {
            return Ok((items, bytes));
        }
        for row in &rows {
            restore_item(reader, row, to.join(&row.version.name)).await?;
            items += 1;
            bytes += row.version.bytes;
        }
    }
}

/// The properties are read too, as a restore to Microsoft 365 needs them.
async fn restore_item(reader: &Reader, row: &VersionRow, path: PathBuf) -> anyhow::Result<()> {
    let properties = row.version.properties;
    let known: Value = serde_json::from_slice(&reader.read(properties.pack, properties.blob).await?)?;
    ensure!(known["name"] == row.version.name, "the properties of {} are another item's", row.version.name);
    if row.version.bytes <= WHOLE_BYTES_MAX {
        let content = read_whole(reader, row).await?;
        return std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()));
    }
    let content = row.version.content.context("a stored file has content")?;
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let out = reader.stream(content.pack, content.blob, BufWriter::new(file)).await?;
    out.into_inner().map(drop).with_context(|| format!("cannot write {}", path.display()))
}

/// Every blob of every pack, decrypted, decompressed and hashed, on one core.
pub async fn verify(ground: &Ground) -> anyhow::Result<Value> {
    let from = Instant::now();
    let (mut n_packs, mut bytes) = (0u64, 0u64);
    for folder in 0..=255 {
        for pack in ground.store.list_packs(folder).await? {
            ground.store.check_pack(pack.uid, Depth::Content).await?;
            n_packs += 1;
            bytes += pack.bytes;
        }
    }
    let wall_s = from.elapsed().as_secs_f64();
    Ok(json!({ "packs": n_packs, "bytes": bytes, "wall_s": wall_s, "rss_mb_max": rss_mb_max()? }))
}
