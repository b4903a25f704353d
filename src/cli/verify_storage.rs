//! `kodo verify-storage`: proves a storage on any machine that sees its files, without server, database and key.

use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use serde::Serialize;

use super::exit::CliError;
use super::output::{Output, bytes, count};
use super::unlock::UnlockFiles;
use crate::backends::BackendError;
use crate::ids::PackUid;
use crate::repository::verify::Place;
use crate::repository::{Depth, StoreError};

/// Packs that are read at once at most.
const PACKS_AT_ONCE_MAX: usize = 8;
/// Damaged packs that are named; the others are counted.
const NAMED_MAX: usize = 1000;

#[derive(Debug, Args)]
pub struct VerifyStorage {
    /// The directory of the storage
    path: PathBuf,
    /// How deep to look: 1 every pack is whole, 2 every stored byte, 3 every content, for which an encrypted storage
    /// needs a key of it
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: u8,
    #[command(flatten)]
    unlock: UnlockFiles,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    store: String,
    level: u8,
    packs: u64,
    bytes: u64,
    n_damaged: u64,
    damaged: Vec<DamagedPack>,
    n_unreadable: u64,
    unreadable: Vec<DamagedPack>,
}

#[derive(Debug, Serialize)]
struct DamagedPack {
    pack: String,
    /// `null` when the whole file is meant.
    place: Option<String>,
    what: String,
}

pub async fn run(out: Output, verify: VerifyStorage) -> Result<(), CliError> {
    let VerifyStorage { path, level, unlock } = verify;
    let place = Place::open(&path, unlock.unlock()?).await.map_err(|err| no_store(&path, err))?;
    let depth = match level {
        1 => Depth::Shape,
        2 => Depth::Stored,
        _ => Depth::Content,
    };
    if depth > place.depth_max() {
        return Err(CliError::Usage(
            "the storage is encrypted, so level 3 needs a key of it: give --recovery-key-file, or --level 2".to_owned(),
        ));
    }
    let report = verify_all(&place, depth).await?;
    let damaged = report.damaged.iter().map(|found| ("damaged", found.text()));
    let unreadable = report.unreadable.iter().map(|found| ("unreadable", found.text()));
    let mut facts = vec![
        ("store", report.store.clone()),
        ("level", report.level.to_string()),
        ("packs", count(report.packs)),
        ("size", bytes(report.bytes)),
    ];
    facts.extend(damaged.chain(unreadable));
    out.facts(&report, &facts)?;
    verdict(&report)
}

async fn verify_all(place: &Place, depth: Depth) -> Result<Report, CliError> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(PACKS_AT_ONCE_MAX);
    let mut report = Report { store: place.description().store.to_string(), level: depth.level(), ..Report::default() };
    let bar = ProgressBar::new(256);
    for folder in 0..=255 {
        let packs = place.list_packs(folder).await.map_err(storage_error)?;
        let check = |pack: PackUid| async move { (pack, place.check_pack(pack, depth).await) };
        let mut checked = std::pin::pin!(stream::iter(packs).map(|file| check(file.uid)).buffer_unordered(at_once));
        while let Some((pack, outcome)) = checked.next().await {
            report.add(pack, outcome)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

impl Report {
    fn add(&mut self, pack: PackUid, outcome: Result<u64, StoreError>) -> Result<(), CliError> {
        self.packs += 1;
        let found = |place, what| DamagedPack { pack: pack.to_string(), place, what };
        let (n, named, found) = match outcome {
            Ok(bytes) => {
                self.bytes += bytes;
                return Ok(());
            }
            Err(StoreError::Damaged(damage)) => {
                (&mut self.n_damaged, &mut self.damaged, found(Some(damage.place), damage.what))
            }
            Err(StoreError::Backend(BackendError::Corrupt { reason, .. })) => {
                (&mut self.n_damaged, &mut self.damaged, found(None, reason))
            }
            // Collected since the folder was listed, by a server that works on the storage meanwhile.
            Err(StoreError::Backend(BackendError::NotFound(_))) => return Ok(()),
            Err(StoreError::Backend(err @ (BackendError::Unavailable { .. } | BackendError::Denied { .. }))) => {
                (&mut self.n_unreadable, &mut self.unreadable, found(None, err.to_string()))
            }
            Err(err) => return Err(storage_error(err)),
        };
        *n += 1;
        if named.len() < NAMED_MAX {
            named.push(found);
        }
        Ok(())
    }
}

impl DamagedPack {
    fn text(&self) -> String {
        match &self.place {
            Some(place) => format!("pack {}, {place}: {}", self.pack, self.what),
            None => format!("pack {}: {}", self.pack, self.what),
        }
    }
}

fn verdict(report: &Report) -> Result<(), CliError> {
    if report.n_damaged == 0 && report.n_unreadable == 0 {
        return Ok(());
    }
    let first = report.damaged.iter().chain(&report.unreadable).next().map(DamagedPack::text).unwrap_or_default();
    Err(CliError::Incomplete(format!(
        "{} of {} packs are damaged and {} cannot be read; the first: {first}",
        report.n_damaged, report.packs, report.n_unreadable
    )))
}

fn storage_error(err: StoreError) -> CliError {
    CliError::Failed(err.to_string())
}

fn no_store(path: &std::path::Path, err: StoreError) -> CliError {
    match err {
        StoreError::Backend(BackendError::NotFound(key)) => CliError::Failed(format!(
            "there is no storage at {}: {key} is missing; is the right share mounted?",
            path.display()
        )),
        err => storage_error(err),
    }
}
