//! `kodo rescue`: what a storage holds, without a database, a server or a configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::exit::CliError;
use super::output::{Output, bytes, count, remark, time};
use super::progress::Steps;
use super::storage::Backend;
use super::unlock::UnlockFiles;
use crate::api::Page;
use crate::ids::{ItemKey, PointNumber};
use crate::recovery::rescue::{Extracted, Place, Selection};
use crate::repository::{StorageSettings, open_place};

/// Losses that are shown one by one.
const SHOWN_MAX: usize = 50;
/// How this process would mark files that it wrote; it writes none.
const AGENT: &str = "rescue";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List users; with a user, restore points; with a point, folders; with a folder, items
    List(List),
    /// Write items to files: a folder for each folder, .eml and .json
    Extract(Extract),
}

#[derive(Debug, Args)]
struct At {
    /// The directory of the storage
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// What kind of file system it is on
    #[arg(long, value_enum, default_value_t = Backend::Filesystem)]
    backend: Backend,
    #[command(flatten)]
    unlock: UnlockFiles,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    at: At,
    /// By address, name or Graph id
    #[arg(long)]
    user: Option<String>,
    #[arg(long, requires = "user")]
    feature: Option<String>,
    /// The number of a restore point
    #[arg(long, requires = "user")]
    point: Option<u32>,
    /// A folder with all that is below it
    #[arg(long, value_name = "PATH", requires = "user")]
    folder: Option<String>,
    /// Show at most so many items
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

#[derive(Debug, Args)]
pub struct Extract {
    #[command(flatten)]
    at: At,
    /// By address, name or Graph id
    #[arg(long)]
    user: String,
    /// Needed where the storage holds several features of the user
    #[arg(long)]
    feature: Option<String>,
    /// The number of a restore point [default: the newest]
    #[arg(long)]
    point: Option<u32>,
    /// Only this folder, with all that is below it
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// Only this item, by the key that the list shows
    #[arg(long, value_name = "KEY")]
    item: Option<String>,
    /// Where to write; made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub async fn run(out: Output, command: Command) -> Result<(), CliError> {
    match command {
        Command::List(list) => {
            let place = open(&list.at).await?;
            self::list(out, &place, &list).await?;
            verdict(&place, &Extracted::default())
        }
        Command::Extract(extract) => self::extract(out, extract).await,
    }
}

async fn open(at: &At) -> Result<Place, CliError> {
    let path = std::path::absolute(&at.path).with_context(|| format!("cannot use {}", at.path.display()))?;
    let store = open_place(at.backend.into(), &StorageSettings { path }, AGENT, at.unlock.unlock()?).await;
    let store = store.map_err(|err| CliError::CannotStart(err.into()))?;
    let steps = Steps::new();
    let place = Place::open(store, &|step| steps.show(step)).await;
    steps.clear();
    Ok(place?)
}

async fn list(out: Output, place: &Place, list: &List) -> Result<(), CliError> {
    let Some(user) = &list.user else {
        let users = Page::of_all(place.users(None).await?);
        return out.list(&users, &["user", "name", "feature", "points", "newest", "items"], |view| {
            let newest = view.points.iter().rev().find(|point| point.sealed);
            vec![
                view.user.clone(),
                view.name.clone(),
                view.feature.clone(),
                view.points.len().to_string(),
                newest.map_or_else(|| "-".to_owned(), |point| time(point.at)),
                newest.map_or_else(|| "-".to_owned(), |point| count(point.items)),
            ]
        });
    };
    let point = list.point.map(PointNumber::new);
    let (view, chosen) = place.choose(user, list.feature.as_deref(), point).await?;
    if let Some(folder) = &list.folder {
        let selection = Selection { folder: Some(folder.clone()), item: None };
        let items = Page::of_all(place.items(&view.chain, chosen, &selection, list.limit).await?);
        return out.list(&items, &["key", "folder", "time", "size", "party", "name"], |item| {
            let (folder, party, name) = (item.folder.clone(), item.party.clone(), item.name.clone());
            vec![item.key.clone(), folder, time(item.time), bytes(item.bytes), party, name]
        });
    }
    if point.is_some() {
        let folders = Page::of_all(place.folders(&view.chain, chosen).await?);
        return out.list(&folders, &["folder", "items", "size"], |folder| {
            vec![folder.path.clone(), count(folder.items), bytes(folder.bytes)]
        });
    }
    out.list(&Page::of_all(view.points), &["point", "at", "items", "state"], |point| {
        let state = if point.sealed { "sealed" } else { "open" };
        vec![point.number.to_string(), time(point.at), count(point.items), state.to_owned()]
    })
}

async fn extract(out: Output, extract: Extract) -> Result<(), CliError> {
    let not_a_key = |text: &str| CliError::Usage(format!("{text} is no key of an item: the list shows them"));
    let item =
        extract.item.as_deref().map(|text| ItemKey::from_hex(text).ok_or_else(|| not_a_key(text))).transpose()?;
    let place = open(&extract.at).await?;
    let point = extract.point.map(PointNumber::new);
    let (view, point) = place.choose(&extract.user, extract.feature.as_deref(), point).await?;
    let selection = Selection { folder: extract.folder, item };
    let steps = Steps::new();
    let done = place.extract(&view.chain, point, &selection, &extract.to, &|step| steps.show(step)).await;
    steps.clear();
    let done = done?;
    if done.items == 0 && done.failed.is_empty() {
        return Err(CliError::Failed(format!("point {point} of {} holds no such item", view.user)));
    }
    let line = summary(&done, &extract.to);
    out.done(&done, &line)?;
    verdict(&place, &done)
}

fn summary(done: &Extracted, to: &Path) -> String {
    format!("{} items written to {}, {}", count(done.items), to.display(), bytes(done.bytes))
}

/// Whether all could be read; what could not is named.
fn verdict(place: &Place, done: &Extracted) -> Result<(), CliError> {
    let packs = place.unreadable().iter().map(|lost| format!("unreadable: pack {}: {}", lost.pack, lost.why));
    let items =
        done.failed.iter().map(|item| format!("not written: {} {}/{}: {}", item.key, item.folder, item.name, item.why));
    let lines: Vec<String> = packs.chain(items).collect();
    lines.iter().take(SHOWN_MAX).try_for_each(|line| remark(line))?;
    match (place.unreadable().len(), done.failed.len()) {
        (0, 0) => Ok(()),
        (packs, items) => Err(CliError::Incomplete(format!("{packs} packs and {items} items could not be read"))),
    }
}
