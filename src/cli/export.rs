//! `kodo export`.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::exit::CliError;
use super::output::{bytes, count, time, time_or_dash};
use super::received::Received;
use super::{Limit, Session, progress, unlock};
use crate::api::Ref;
use crate::api::browse::BrowseView;
use crate::api::exports::{ExportView, NewExportBody};
use crate::ids::{ChainId, ExportId, FeatureName, PointNumber};
use crate::queue::work::ExportLayout;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Export {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List exports, newest first
    List(Limit),
    /// Show one export
    Show {
        export: ExportId,
        /// Wait until it is written
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
struct Start {
    /// Whose data, by id or address
    #[arg(long, value_name = "USER", required_unless_present = "chain")]
    user: Option<Ref>,
    /// Which data, such as mailbox,calendar [default: all that was backed up]
    #[arg(long = "feature", value_delimiter = ',', conflicts_with = "chain")]
    features: Vec<FeatureName>,
    /// The chain, instead of user and features
    #[arg(long, conflicts_with = "user")]
    chain: Option<ChainId>,
    /// As of this restore point; of one feature [default: the newest]
    #[arg(long)]
    point: Option<PointNumber>,
    /// As of this time, such as 2026-11-25T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "point")]
    at: Option<DateTime<Utc>>,
    /// Only what is directly in this folder, such as Inbox/Projects, or all below a folder of a drive; can be repeated
    #[arg(long = "folder", value_name = "PATH", conflicts_with = "at")]
    folders: Vec<String>,
    /// Only this item, by its key; can be repeated
    #[arg(long = "item", value_name = "KEY", conflicts_with = "at")]
    items: Vec<String>,
    /// One file for each folder: .mbox, .ics, .vcf [default: a file for each item]
    #[arg(long)]
    folder_files: bool,
    /// The properties of each item as JSON beside it
    #[arg(long)]
    properties: bool,
    /// Encrypt the files in the archive with the passphrase in this file (AES-256, which 7-Zip and others open)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Where to: the archive, or a directory that it is put into
    #[arg(long, value_name = "FILE.zip|DIR", required_unless_present = "on_server")]
    to: Option<PathBuf>,
    /// Have an agent write it into this directory of its machine, one that the configuration allows
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    on_server: Option<String>,
    /// How the name of the file on the server begins
    #[arg(long, requires = "on_server")]
    name: Option<String>,
    /// For how many hours it stays there
    #[arg(long, value_name = "HOURS", requires = "on_server")]
    keep_hours: Option<u32>,
    /// Wait until it is written on the server
    #[arg(long, requires = "on_server")]
    wait: bool,
}

pub async fn run(session: &Session, export: Export) -> Result<(), CliError> {
    match export.command {
        None => start(session, export.start).await,
        Some(Command::List(Limit { limit })) => list(session, limit).await,
        Some(Command::Show { export, wait }) => {
            let view: ExportView = session.client.get(&format!("exports/{export}"), &[]).await?;
            match (wait, view.task_id) {
                (true, Some(task)) => progress::wait_for_task(session, task).await,
                (true, None) | (false, _) => show(session, &view),
            }
        }
    }
}

async fn start(session: &Session, start: Start) -> Result<(), CliError> {
    // Before anything is asked of the server: a place that cannot be written to is known here.
    let place = start.to.as_deref().map(Place::of).transpose()?;
    let mut body = NewExportBody {
        point: start.point,
        at: start.at,
        layout: if start.folder_files { ExportLayout::FolderFiles } else { ExportLayout::ItemFiles },
        properties: start.properties,
        directory: start.on_server.clone(),
        name: start.name.clone(),
        keep_hours: start.keep_hours,
        ..NewExportBody::default()
    };
    if let Some(file) = &start.passphrase_file {
        body.passphrase = Some(unlock::line(file)?.expose().clone());
    }
    if !start.items.is_empty() {
        body.items = Some(start.items.clone());
    }
    for path in &start.folders {
        choose_folder(session, &start, path, &mut body).await?;
    }
    match start.chain {
        Some(chain) => body.chains = vec![chain],
        None => (body.resource, body.features) = (start.user, start.features),
    }
    let started: ExportView = session.client.post("exports", &body).await?;
    match (place, started.task_id) {
        (Some(place), _) => fetch(session, &started, place).await,
        (None, Some(task)) if start.wait => progress::wait_for_task(session, task).await,
        (None, _) => {
            let line = format!("export {0} queued\nnext: kodo export show {0} --wait", started.id);
            session.out.done(&started, &line)
        }
    }
}

/// A container by its id; a folder among items by its key.
async fn choose_folder(session: &Session, start: &Start, path: &str, body: &mut NewExportBody) -> Result<(), CliError> {
    let mut query: Vec<(&str, String)> = match (&start.chain, &start.user, start.features.as_slice()) {
        (Some(chain), ..) => vec![("chain", chain.to_string())],
        (None, Some(user), [feature]) => vec![("resource", user.to_path()), ("feature", feature.to_string())],
        (None, ..) => return Err(CliError::Usage("a folder is of one feature: name it with --feature".to_owned())),
    };
    query.extend(start.point.map(|point| ("point", point.to_string())));
    query.extend([("path", path.to_owned()), ("limit", "1".to_owned())]);
    let place: BrowseView = session.client.get("browse", &query).await?;
    match (place.folders.last(), place.path.last()) {
        (Some(folder), _) => body.items.get_or_insert_default().push(folder.key.clone()),
        (None, Some(container)) => body.containers.get_or_insert_default().push(container.id),
        (None, None) => return Err(CliError::Usage(format!("\"{path}\" names no folder"))),
    }
    // The point that the folders were looked up in is the one to export, even when a newer is sealed meanwhile.
    body.point = Some(place.point);
    Ok(())
}

/// Where a download goes on this machine.
enum Place {
    File(PathBuf),
    Directory(PathBuf),
}

impl Place {
    fn of(to: &Path) -> Result<Self, CliError> {
        if to.is_dir() {
            return Ok(Self::Directory(to.to_owned()));
        }
        if to.exists() {
            return Err(CliError::Usage(format!("{} is there already, and is not replaced", to.display())));
        }
        if to.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("zip")) {
            let what = to.display();
            return Err(CliError::Usage(format!("{what} is neither a directory that is there nor the name of a .zip")));
        }
        Ok(Self::File(to.to_owned()))
    }
}

/// What was fetched, for scripts.
#[derive(Serialize)]
struct Fetched<'a> {
    export: &'a ExportView,
    file: String,
    bytes: u64,
}

async fn fetch(session: &Session, export: &ExportView, place: Place) -> Result<(), CliError> {
    let target = match place {
        Place::File(file) => file,
        Place::Directory(directory) => directory.join(format!("kodo-export-{}.zip", export.id)),
    };
    // What has the right name is whole.
    let part = target.with_extension("zip.part");
    let received = receive(session, export.id, &part).await;
    let received = match received {
        Ok(received) => received,
        Err(err) => {
            // What went wrong says more than that a part of it is still there.
            drop(tokio::fs::remove_file(&part).await);
            return Err(err);
        }
    };
    let failed = |err: std::io::Error| CliError::Failed(format!("cannot write {}: {err}", target.display()));
    tokio::fs::rename(&part, &target).await.map_err(failed)?;
    let file = target.display().to_string();
    let line = format!("export {} written to {file}, {}", export.id, bytes(received));
    session.out.done(&Fetched { export, file, bytes: received }, &line)
}

async fn receive(session: &Session, export: ExportId, to: &Path) -> Result<u64, CliError> {
    let response = session.client.download(&format!("exports/{export}/download")).await?;
    let failed = |err: std::io::Error| CliError::Failed(format!("cannot write {}: {err}", to.display()));
    let mut file = tokio::fs::File::create(to).await.map_err(failed)?;
    let (mut stream, mut received) = (response.bytes_stream(), Received::begin());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|err| {
            CliError::Failed(format!("the download broke off ({err}); the server's log says why, and nothing was kept"))
        })?;
        file.write_all(&chunk).await.map_err(failed)?;
        received.more(chunk.len() as u64)?;
    }
    file.sync_all().await.map_err(failed)?;
    Ok(received.end())
}

async fn list(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<ExportView>("exports", &[], limit).await?;
    let headers = ["id", "state", "requested (UTC)", "by", "chains", "items", "size", "until (UTC)", "path"];
    session.out.list(&page, &headers, |view| {
        vec![
            view.id.to_string(),
            view.state.clone(),
            time(view.created_at),
            view.requested_by.clone(),
            chains(view),
            count(view.items_done),
            bytes(view.bytes_done),
            time_or_dash(view.expires_at),
            view.path.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

fn chains(view: &ExportView) -> String {
    view.parts.iter().map(|part| part.chain.to_string()).collect::<Vec<_>>().join(", ")
}

fn show(session: &Session, view: &ExportView) -> Result<(), CliError> {
    let parts: Vec<String> =
        view.parts.iter().map(|part| format!("point {} of chain {}", part.point, part.chain)).collect();
    session.out.facts(
        view,
        &[
            ("export", view.id.to_string()),
            ("state", view.state.clone()),
            ("of", parts.join(", ")),
            ("encrypted", if view.encrypted { "yes" } else { "no" }.to_owned()),
            ("path", view.path.clone().unwrap_or_else(|| "none: it is downloaded".to_owned())),
            ("items", count(view.items_done)),
            ("not written", count(view.not_written)),
            ("size", bytes(view.bytes_done)),
            ("until (UTC)", time_or_dash(view.expires_at)),
            ("last error", view.last_error.clone().unwrap_or_default()),
        ],
    )
}
