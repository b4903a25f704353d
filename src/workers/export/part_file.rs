//! An archive that is not whole yet: hidden, locked by who writes it, and gone when the writing ends otherwise.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use tokio::io::AsyncWriteExt;

use crate::ids::ExportId;

const PREFIX: &str = ".kodo-export-";
const SUFFIX: &str = ".part";
/// Entries of a directory that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// Removed when dropped, unless it was settled: a task that is cancelled is dropped.
pub(super) struct PartFile {
    file: tokio::fs::File,
    path: PathBuf,
    is_settled: bool,
}

impl PartFile {
    pub(super) async fn create(directory: &Path, export: ExportId) -> anyhow::Result<Self> {
        let path = directory.join(format!("{PREFIX}{export}{SUFFIX}"));
        let cannot = || format!("cannot write {}", path.display());
        let file = File::options().create(true).write(true).truncate(false).open(&path).with_context(cannot)?;
        // Whoever lost the task to us may not have noticed yet.
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .ok()
            .with_context(|| format!("another agent still writes {}", path.display()))?;
        file.set_len(0).with_context(cannot)?;
        Ok(Self { file: tokio::fs::File::from_std(file), path, is_settled: false })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).await.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Makes it durable, and gives it its name.
    pub(super) async fn settle(&mut self, target: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", target.display());
        self.file.flush().await.with_context(cannot)?;
        self.file.sync_all().await.with_context(cannot)?;
        tokio::fs::rename(&self.path, target).await.with_context(cannot)?;
        self.is_settled = true;
        if let Some(directory) = target.parent() {
            let directory = tokio::fs::File::open(directory).await.with_context(cannot)?;
            directory.sync_all().await.with_context(cannot)?;
        }
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        if let Err(err) = std::fs::remove_file(&self.path) {
            tracing::warn!(error = %err, "a part of an export could not be removed; the next export removes it");
        }
    }
}

/// Removes what agents left that were killed: files that nobody has locked.
pub(super) fn sweep(directory: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot look into {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(cannot)?.take(ENTRIES_MAX) {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if !is_part {
            continue;
        }
        // It may be gone, or not ours to open: then it is none of our business.
        let Ok(file) = File::options().write(true).open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            std::fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn an_archive_shows_when_it_is_whole_and_nothing_stays_of_one_that_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut whole = PartFile::create(dir.path(), ExportId::new(1)).await.unwrap();
        whole.write(b"abc").await.unwrap();
        assert_eq!(names(dir.path()), [".kodo-export-1.part"]);

        whole.settle(&dir.path().join("a.zip")).await.unwrap();
        drop(whole);
        let mut broken = PartFile::create(dir.path(), ExportId::new(2)).await.unwrap();
        broken.write(b"abc").await.unwrap();
        drop(broken);

        assert_eq!(names(dir.path()), ["a.zip"]);
        assert_eq!(std::fs::read(dir.path().join("a.zip")).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn what_a_killed_agent_left_is_swept_and_what_is_written_now_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".kodo-export-7.part"), b"left").unwrap();
        std::fs::write(dir.path().join("mine.txt"), b"x").unwrap();
        let now = PartFile::create(dir.path(), ExportId::new(8)).await.unwrap();

        sweep(dir.path()).unwrap();

        assert_eq!(names(dir.path()), [".kodo-export-8.part", "mine.txt"]);
        drop(now);
    }
}
