//! Writes what restore points hold into an archive at a path, and deletes it when its time has come.
//!
//! The archive grows under a hidden name and gets its own when it is whole and on the disk, so that whoever looks into the
//! directory finds whole archives only. An attempt that was cut off leaves nothing that the next one builds on: it begins
//! anew, and what a killed agent left is removed by whoever writes into the directory next.

mod config;
mod part_file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

pub use self::config::ExportsConfig;
use self::part_file::PartFile;
use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::catalog;
use crate::clock;
use crate::db::TxError;
use crate::files::{Archive, ArchiveError, Chosen, Layout, Part, Plan, Properties, Sink, SinkError, Written};
use crate::queue::work::{self, ExpireExportWork, ExportLayout, ExportWork};
use crate::queue::{self, LeaseLost, NewTask, Outcome, Priority, Progress, TaskKind};
use crate::secret::Secret;

const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long a task rests that this agent may not do, so that another finds it.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(10);
/// The longest rest of a task that waits for the end of an archive.
const REST_MAX: Duration = Duration::from_secs(3600);

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: ExportWork = control.work()?;
    let directory = directory(workshop, &work.directory)?;
    let target = target(&directory, &work.file)?;
    if control.task.lease.epoch == 1 && target.exists() {
        return Err(TaskError::permanent(format!("{} is there already, and is not replaced", target.display())));
    }
    part_file::sweep(&directory)?;
    let plan = plan(workshop, &work).await?;
    let part = PartFile::create(&directory, work.export).await?;
    let mut sink = FileSink { part, control, reported: Instant::now(), failed: None };
    let written = match Archive::write(&workshop.db, &plan, &mut sink).await {
        Ok(written) => written,
        Err(err) => return Err(sink.failed.take().unwrap_or_else(|| task_error(err))),
    };
    sink.part.settle(&target).await?;
    control.report(progress("done", written)).await?;
    tracing::info!(
        export.id = %work.export,
        n_items = written.items,
        n_bytes = written.bytes,
        n_not_written = written.not_written,
        "export written"
    );
    finish(workshop, control, &work, &target, written).await
}

/// Deletes an archive, once it is time.
pub async fn expire(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: ExpireExportWork = control.work()?;
    let target = target(&directory(workshop, &work.directory)?, &work.file)?;
    if let Ok(rest) = (work.at - clock::now()).to_std()
        && !rest.is_zero()
    {
        let why = format!("export {} is kept until {} UTC", work.export, work.at.format("%Y-%m-%d %H:%M"));
        return Err(TaskError::Snooze { after: rest.min(REST_MAX), why });
    }
    let deleted = match tokio::fs::remove_file(&target).await {
        Ok(()) => true,
        // Somebody took it away, which is what it was written for.
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => false,
        Err(err) => return Err(TaskError::Retry(format!("cannot delete {}: {err}", target.display()))),
    };
    Ok(Done::new(json!({ "deleted": deleted }), 0))
}

/// A directory that this agent may write into. Another agent may.
fn directory(workshop: &Workshop, wanted: &str) -> Result<PathBuf, TaskError> {
    if workshop.exports.allows(wanted) {
        return Ok(PathBuf::from(wanted));
    }
    let why = format!("an agent with {wanted} among its exports.directories");
    Err(TaskError::Snooze { after: ELSEWHERE_PAUSE, why })
}

/// What comes from the queue is no more trusted than what comes from a request: one name, directly in the directory.
fn target(directory: &Path, file: &str) -> Result<PathBuf, TaskError> {
    let is_name = Path::new(file).components().count() == 1 && Path::new(file).file_name().is_some();
    if is_name && !file.starts_with('.') && file.ends_with(".zip") {
        return Ok(directory.join(file));
    }
    Err(TaskError::permanent(format!("\"{file}\" is not the name of an archive")))
}

async fn plan(workshop: &Workshop, work: &ExportWork) -> Result<Plan, TaskError> {
    let mut parts = Vec::with_capacity(work.parts.len());
    for part in &work.parts {
        let id = part.chain;
        let chain = workshop.db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
        let chain = chain.ok_or_else(|| TaskError::permanent(format!("chain {id} does not exist any more")))?;
        let storage = workshop.storage(chain.key.storage).await?;
        let reader = storage.store.reader(workshop.db.clone());
        let chosen = work.selection.as_ref();
        let chosen = chosen.map(|all| Chosen { containers: all.containers.clone(), items: all.items.clone() });
        parts.push(Part { chain, point: part.point, top: part.folder.clone(), reader, chosen });
    }
    let passphrase = match &work.passphrase_sealed {
        None => None,
        Some(sealed) => Some(passphrase(workshop, sealed)?),
    };
    Ok(Plan {
        parts,
        layout: match work.form.layout {
            ExportLayout::ItemFiles => Layout::ItemFiles,
            ExportLayout::FolderFiles => Layout::FolderFiles,
        },
        properties: if work.form.properties { Properties::Beside } else { Properties::LeftOut },
        passphrase,
        about: json!({ "export": work.export, "requested_by": work.requested_by, "parts": work.parts }),
        at: clock::now(),
    })
}

fn passphrase(workshop: &Workshop, sealed: &str) -> Result<Secret<String>, TaskError> {
    let bytes = hex::decode(sealed).map_err(|err| TaskError::permanent(format!("the passphrase is damaged: {err}")))?;
    let plain = workshop
        .sealer
        .open(work::EXPORT_PASSPHRASE, &bytes)
        .map_err(|err| TaskError::permanent(format!("{err:#}")))?;
    let text = String::from_utf8(plain.expose().clone());
    Ok(Secret::new(text.map_err(|_| TaskError::permanent("the passphrase is no text"))?))
}

fn task_error(err: ArchiveError) -> TaskError {
    match err {
        ArchiveError::Db(err) => err.into(),
        ArchiveError::Store(err) => err.into(),
        ArchiveError::Sink(err) => TaskError::Retry(err.to_string()),
        ArchiveError::Here(err) => err.into(),
    }
}

/// Ends the task, and queues the one that deletes the archive, in one transaction.
async fn finish(
    workshop: &Workshop,
    control: &Control,
    work: &ExportWork,
    target: &Path,
    written: Written,
) -> Result<Done, TaskError> {
    let at = clock::now() + chrono::TimeDelta::hours(work.keep_hours.into());
    let expiry =
        ExpireExportWork { export: work.export, directory: work.directory.clone(), file: work.file.clone(), at };
    let expiry = NewTask {
        kind: TaskKind::ExpireExport,
        priority: Priority::Scheduled,
        organization: control.task.organization,
        tenant: None,
        resource: None,
        run: None,
        restore: None,
        open_key: Some(expiry.open_key()),
        work: work::to_json(&expiry),
        exclusive_key: None,
    };
    let lacks = format!("{} items could not be written; the report in the archive names them", written.not_written);
    let result = json!({
        "path": target, "items": written.items, "not_written": written.not_written, "bytes": written.bytes,
        "kept_until": at, "summary": (written.not_written > 0).then_some(lacks),
    });
    let outcome = Outcome::Succeeded { result: result.to_string(), n_issues: written.not_written };
    let lease = control.lease();
    let ended = workshop.db.transaction("end an export", move |conn| -> Result<(), TxError<LeaseLost>> {
        queue::finish_in(conn, &lease, &outcome)?;
        queue::enqueue(conn, std::slice::from_ref(&expiry))?;
        Ok(())
    });
    ended.await?;
    Ok(Done::Recorded)
}

fn progress(phase: &str, written: Written) -> Progress {
    Progress {
        phase: phase.to_owned(),
        items_done: written.items,
        items_total: Some(written.items_total),
        bytes_done: written.bytes,
        waits_for: None,
    }
}

/// Bytes go to the hidden file, progress to the queue.
struct FileSink<'a> {
    part: PartFile,
    control: &'a Control,
    reported: Instant,
    /// Why the task cannot go on, where it is more than the file.
    failed: Option<TaskError>,
}

impl Sink for FileSink<'_> {
    async fn put(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        let written = self.part.write(&bytes).await;
        written.map_err(|err| SinkError::Failed(format!("{err:#}")))
    }

    async fn hear(&mut self, written: Written) -> Result<(), SinkError> {
        if self.reported.elapsed() < REPORT_EVERY {
            return Ok(());
        }
        self.reported = Instant::now();
        self.control.report(progress("writing", written)).await.map_err(|err| {
            let told = SinkError::Failed(err.to_string());
            self.failed = Some(err);
            told
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_of_an_archive_is_written_to() {
        let directory = Path::new("/exports");

        assert_eq!(target(directory, "ann-7.zip").unwrap(), PathBuf::from("/exports/ann-7.zip"));
        for bad in ["../ann.zip", "/etc/ann.zip", "a/b.zip", "..", "", ".hidden.zip", "ann.txt"] {
            assert!(target(directory, bad).is_err(), "{bad}");
        }
    }
}
