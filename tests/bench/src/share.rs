//! A corpus on the disk, divided as backups divide the data of a company: a chain for each user and kind of data.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use kodo::repository::IngestContent;

use crate::ground::Ground;

/// What one chain gets: the files of one user, of one kind.
#[derive(Clone)]
pub struct Share {
    /// `mail`, `items` or `onedrive`.
    pub kind: String,
    pub user: String,
    /// By folder, relative to the corpus.
    pub folders: BTreeMap<String, Vec<PathBuf>>,
    pub bytes: u64,
}

/// The corpus, by user and kind; the largest first, so that no worker is left with a large one at the end.
pub fn shares(dir: &Path) -> anyhow::Result<Vec<(u32, Share)>> {
    let mut shares = Vec::new();
    for kind in children(dir)? {
        for user in children(&kind)? {
            let mut share = Share { kind: name(&kind)?, user: name(&user)?, folders: BTreeMap::new(), bytes: 0 };
            gather(dir, &user, &mut share)?;
            shares.push(share);
        }
    }
    // The number of a share names its resource, so it must not depend on sizes.
    let mut numbered: Vec<(u32, Share)> = (1..).zip(shares).collect();
    numbered.sort_by_key(|(_, share)| std::cmp::Reverse(share.bytes));
    Ok(numbered)
}

fn gather(corpus: &Path, folder: &Path, share: &mut Share) -> anyhow::Result<()> {
    let key = folder.strip_prefix(corpus).context("a folder of the corpus lies below it")?;
    let key = key.to_str().context("the corpus has plain names")?.to_owned();
    for path in children(folder)? {
        let found = std::fs::metadata(&path)?;
        if found.is_dir() {
            gather(corpus, &path, share)?;
        } else {
            share.bytes += found.len();
            share.folders.entry(key.clone()).or_default().push(path);
        }
    }
    Ok(())
}

fn children(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

pub fn name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no plain name", path.display()))?.to_owned())
}

/// A mail whole, a file whole or, when it is large, as it lies on the disk: as downloads arrive.
pub fn read(path: &Path, kind: &str, bytes: u64, ground: &Ground) -> anyhow::Result<IngestContent> {
    let unreadable = || format!("cannot read {}", path.display());
    let mail = kind == "mail";
    if !mail && bytes > ground.config.graph.spool_above_bytes {
        return Ok(IngestContent::Spooled { file: File::open(path).with_context(unreadable)?, bytes });
    }
    let content = Bytes::from(std::fs::read(path).with_context(unreadable)?);
    Ok(if mail { IngestContent::Mime(content) } else { IngestContent::Raw(content) })
}
