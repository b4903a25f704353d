//! `kodo ls` and `kodo show`: a restore point, looked into.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::exit::CliError;
use super::output::{self, bytes, count, time};
use super::point::Chosen;
use super::{Limit, Session};
use crate::api::browse::{BrowseView, ItemView};
use crate::api::items::ItemDetail;
use crate::ids::{FeatureName, PointNumber};

#[derive(Debug, Args)]
pub struct Ls {
    /// Path of a folder, such as Inbox/Projects, or Documents/2026 in a drive; left out: the top
    path: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
    /// As of this restore point [default: the newest]
    #[arg(long)]
    point: Option<PointNumber>,
    /// As of the newest restore point that was sealed by this moment, such as 2026-11-25T09:30:00Z
    #[arg(long, value_name = "MOMENT", conflicts_with = "point")]
    as_of: Option<DateTime<Utc>>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Args)]
pub struct Show {
    /// The item's key, as "kodo ls" lists it
    item: String,
    #[command(flatten)]
    chosen: Chosen,
    /// As of this restore point [default: the newest]
    #[arg(long)]
    point: Option<PointNumber>,
    /// As of the newest restore point that was sealed by this moment, such as 2026-11-25T09:30:00Z
    #[arg(long, value_name = "MOMENT", conflicts_with = "point")]
    as_of: Option<DateTime<Utc>>,
    /// Write the message or file itself instead of its facts
    #[arg(long, visible_alias = "content")]
    mime: bool,
    /// Where --mime writes to [default: standard output]
    #[arg(long, value_name = "FILE", requires = "mime")]
    output: Option<PathBuf>,
}

pub async fn ls(session: &Session, ls: Ls) -> Result<(), CliError> {
    let mut query = ls.chosen.query();
    query.extend(ls.point.map(|point| ("point", point.to_string())));
    query.extend(ls.as_of.map(|moment| ("as_of", moment.to_rfc3339())));
    query.extend(ls.path.map(|path| ("path", path)));
    let mut view = read_all(session, &query, ls.limit.limit).await?;
    if session.out.json {
        return session.out.done(&view, "");
    }
    let containers = view.path.iter().map(|container| container.name.as_str());
    let place: Vec<&str> = containers.chain(view.folders.iter().map(|folder| folder.name.as_str())).collect();
    output::remark(&format!("/{} as of point {} of chain {}", place.join("/"), view.point, view.chain_id))?;
    let mut table = output::plain_table();
    for folder in &view.containers {
        let hidden = if folder.hidden { " (hidden)" } else { "" };
        let (held, name) = (format!("{} items", count(folder.items)), format!("{}/{hidden}", folder.name));
        table.add_row([held, bytes(folder.bytes), name, String::new()]);
    }
    // Folders first, as a file system shows them.
    view.items.sort_by_key(|item| !item.is_folder);
    // A path may name a file: then that is what is shown, and below it what belongs to it.
    let file = view.folders.last().filter(|last| !last.is_folder);
    for item in file.into_iter().chain(&view.items) {
        table.add_row([time(item.time), bytes(item.bytes), one_line(&view.feature, item), item.key.clone()]);
    }
    if table.is_empty() {
        return output::remark("nothing is here");
    }
    output::print_table(table)?;
    match view.next {
        Some(_) => output::remark("there is more: raise --limit"),
        None => Ok(()),
    }
}

async fn read_all(session: &Session, query: &[(&str, String)], limit: u32) -> Result<BrowseView, CliError> {
    let page_query = |cursor: Option<String>, missing: u32| {
        let mut query = query.to_vec();
        query.push(("limit", missing.clamp(1, 500).to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        query
    };
    let mut view: BrowseView = session.client.get("browse", &page_query(None, limit)).await?;
    while view.next.is_some() && (view.items.len() as u32) < limit {
        let missing = limit - view.items.len() as u32;
        let more: BrowseView = session.client.get("browse", &page_query(view.next.take(), missing)).await?;
        view.items.extend(more.items);
        view.next = more.next;
    }
    Ok(view)
}

fn one_line(feature: &FeatureName, item: &ItemView) -> String {
    if item.is_folder {
        return format!("{}/", item.name);
    }
    let is_unread = feature.as_str() == "mailbox" && !item.flags.iter().any(|flag| flag == "read");
    let unread = if is_unread { "* " } else { "" };
    match item.party.as_str() {
        "" => format!("{unread}{}", item.name),
        party => format!("{unread}{} <{party}>", item.name),
    }
}

pub async fn show(session: &Session, show: Show) -> Result<(), CliError> {
    let mut query = show.chosen.query();
    query.extend(show.point.map(|point| ("point", point.to_string())));
    query.extend(show.as_of.map(|moment| ("as_of", moment.to_rfc3339())));
    query.push(("limit", "1".to_owned()));
    // Browsing the top answers which chain and point are meant.
    let place: BrowseView = session.client.get("browse", &query).await?;
    let path = format!("items/{}/{}/{}", place.chain_id, place.point, super::client::segment(&show.item));
    if show.mime {
        return write_content(session, &format!("{path}/content"), show.output).await;
    }
    let view: ItemDetail = session.client.get(&path, &[]).await?;
    let item = &view.item;
    session.out.facts(
        &view,
        &[
            ("item", item.key.clone()),
            ("name", item.name.clone()),
            ("party", item.party.clone()),
            ("time (UTC)", time(item.time)),
            ("size", bytes(item.bytes)),
            ("flags", item.flags.join(", ")),
            ("since point", item.from_point.to_string()),
            ("content", if item.has_content { "yes: --mime writes it" } else { "none" }.to_owned()),
        ],
    )
}

/// Writes what the server sends, however long it is.
pub async fn write_content(session: &Session, path: &str, to: Option<PathBuf>) -> Result<(), CliError> {
    let response = session.client.download(path).await?;
    let mut stream = response.bytes_stream();
    let broken = |err: reqwest::Error| CliError::Failed(format!("the content broke off: {err}"));
    let Some(file_name) = to else {
        while let Some(chunk) = stream.next().await {
            output::print_bytes(&chunk.map_err(broken)?)?;
        }
        return Ok(());
    };
    let failed = |err: std::io::Error| CliError::Failed(format!("cannot write {}: {err}", file_name.display()));
    let mut file = tokio::fs::File::create(&file_name).await.map_err(failed)?;
    while let Some(chunk) = stream.next().await {
        file.write_all(&chunk.map_err(broken)?).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)
}
