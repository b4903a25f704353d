//! `kodo rebuild-catalog`: works on the database directly, while nothing else does.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Global;
use super::exit::CliError;
use super::output::{Output, count, remark};
use super::process::{block_on, prepared};
use super::progress::Steps;
use super::storage::Backend;
use super::unlock::UnlockFiles;
use crate::app::{self, RebuildFrom};
use crate::recovery::rebuild::Report;
use crate::repository::{StorageConfig, StorageSettings};

/// Losses that are shown one by one.
const SHOWN_MAX: usize = 50;

#[derive(Debug, Args)]
pub struct RebuildCatalog {
    /// A storage that the database knows, by id or name [default: the only one]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["path", "backend", "name"])]
    storage: Option<String>,
    /// The directory of a storage that the database does not know
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// What kind of file system it is on
    #[arg(long, value_enum, default_value_t = Backend::Filesystem, requires = "path")]
    backend: Backend,
    /// How the storage is to be called
    #[arg(long, value_name = "NAME", default_value = "rebuilt", requires = "path")]
    name: String,
    #[command(flatten)]
    unlock: UnlockFiles,
}

pub fn run(global: &Global, out: Output, asked: RebuildCatalog) -> Result<(), CliError> {
    let config = prepared(global)?;
    let from = from(asked)?;
    let steps = Steps::new();
    let report = block_on(app::rebuild_catalog(&config, from, &|step| steps.show(step)))?;
    steps.clear();
    let report = report?;
    out.done(&report, &summary(&report))?;
    if report.is_complete() {
        return Ok(());
    }
    if !out.json {
        losses(&report).iter().take(SHOWN_MAX).try_for_each(|line| remark(line))?;
    }
    Err(CliError::Incomplete(
        "the catalog is rebuilt, and not all could be read; the next backup of the users concerned compares everything"
            .to_owned(),
    ))
}

fn from(asked: RebuildCatalog) -> Result<RebuildFrom, CliError> {
    let Some(path) = asked.path else { return Ok(RebuildFrom::Known(asked.storage)) };
    let path = std::path::absolute(&path).with_context(|| format!("cannot use {}", path.display()))?;
    let unlock = asked.unlock.unlock()?;
    let config = StorageConfig {
        name: asked.name,
        backend: asked.backend.into(),
        settings: StorageSettings { path },
        layout: None,
        encrypted: None,
    };
    Ok(RebuildFrom::Place { config, unlock })
}

fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    match (report.packs_new, report.chains_rebuilt) {
        (0, 0) => lines.push(format!("the catalog is whole: it knows all {} packs", count(report.packs))),
        (0, _) => {}
        (new, _) if new == report.packs => lines.push(format!("the catalog knew none of the {} packs", count(new))),
        (new, _) => lines.push(format!("{} of {} packs are newer than the catalog", count(new), count(report.packs))),
    }
    if report.chains_rebuilt > 0 {
        lines.push(format!(
            "rebuilt in {:.1} s: {} of {} chains, with {} restore points, {} versions of items and {} issues",
            report.seconds,
            count(report.chains_rebuilt),
            count(report.chains),
            count(report.points),
            count(report.versions),
            count(report.issues)
        ));
    }
    for tenant in &report.tenants_added {
        lines.push(format!("tenant {tenant} has no credential yet\nnext: kodo tenant renew {tenant} --client-id ID"));
    }
    lines.join("\n")
}

fn losses(report: &Report) -> Vec<String> {
    let unreadable = report.unreadable.iter().map(|lost| format!("unreadable: pack {}: {}", lost.pack, lost.why));
    let lost = report.lost.iter().map(|pack| format!("lost: pack {pack} is named and not on the storage"));
    let users = report.incomplete.iter().map(|one| format!("{} {}: {}", one.user, one.feature, one.why));
    unreadable.chain(lost).chain(users).collect()
}
