//! `kodo storage`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::client::segment;
use super::exit::CliError;
use super::output::{bytes, count, remark, time_or_dash};
use super::{Limit, Session, findings, progress};
use crate::api::Ref;
use crate::api::storages::{NewStorageBody, StorageCreated, StorageView};
use crate::api::tenants::TaskStarted;
use crate::api::upkeep::VerifyBody;
use crate::repository::{BackendKind, Layout};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a storage: an existing directory, empty at first
    Add(Add),
    /// List storages
    List(Limit),
    /// Give up the restore points that retention no longer keeps
    Prune(Upkeep),
    /// Free the space that no restore point needs
    Collect(Upkeep),
    /// Prove that the storage holds what was stored in it
    Verify {
        #[command(flatten)]
        upkeep: Upkeep,
        /// How deep to look: 1 which packs there are, 2 every stored byte, 3 every content, 4 a sample put together
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=4))]
        level: u8,
        /// Read so many stored bytes at most, those first that were not read for the longest time
        #[arg(long, value_name = "BYTES")]
        bytes_max: Option<u64>,
    },
    /// List verifications of a storage, and the packs that they found damaged
    Verifications(findings::Of),
    /// List the items that have lost something, and whose they are
    Findings(findings::Of),
}

#[derive(Debug, Args)]
pub struct Upkeep {
    /// The storage, by id or name
    storage: Ref,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    /// The directory; the same path on every agent
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// What kind of file system it is on
    #[arg(long, value_enum, default_value_t = Backend::Filesystem)]
    backend: Backend,
    /// How content is laid out [default: aligned on a VDO volume, packed elsewhere]
    #[arg(long, value_enum)]
    layout: Option<LayoutArg>,
    /// Store without encryption: for a disk that is encrypted itself
    #[arg(long)]
    unencrypted: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Backend {
    Filesystem,
    Nfs,
    Cifs,
    Vdo,
}

impl From<Backend> for BackendKind {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Filesystem => Self::Filesystem,
            Backend::Nfs => Self::Nfs,
            Backend::Cifs => Self::Cifs,
            Backend::Vdo => Self::Vdo,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayoutArg {
    Packed,
    Aligned,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Packed => Self::Packed,
            LayoutArg::Aligned => Self::Aligned,
        }
    }
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => self::add(session, add).await,
        Command::Prune(upkeep) => start(session, &upkeep, "prune", &json!({})).await,
        Command::Collect(upkeep) => start(session, &upkeep, "collect", &json!({})).await,
        Command::Verify { upkeep, level, bytes_max } => {
            start(session, &upkeep, "verify", &VerifyBody { level: Some(level), bytes_max }).await
        }
        Command::Verifications(of) => findings::verifications(session, &of).await,
        Command::Findings(of) => findings::findings(session, &of).await,
        Command::List(Limit { limit }) => {
            let page = session.client.list::<StorageView>("storages", &[], limit).await?;
            session.out.list(&page, &HEADERS, row)
        }
    }
}

async fn add(session: &Session, add: Add) -> Result<(), CliError> {
    let Some(path) = add.path.to_str().filter(|_| add.path.is_absolute()) else {
        return Err(CliError::Usage(format!(
            "--path must be absolute and plain text: it is looked up on every agent, not here (it is {})",
            add.path.display()
        )));
    };
    let body = NewStorageBody {
        name: add.name,
        backend: add.backend.into(),
        path: path.to_owned(),
        layout: add.layout.map(Layout::from),
        encrypted: add.unencrypted.then_some(false),
    };
    let created: StorageCreated = session.client.post("storages", &body).await?;
    let storage = &created.storage;
    session.out.done(&created, &format!("storage {} added: {}", storage.id, storage.name))?;
    match &created.recovery_key {
        Some(key) if !session.out.json => remark(&format!(
            "\nrecovery key: {key}\nKeep it apart from this machine. It opens the storage when everything else is \
             lost, and it is not shown again."
        )),
        _ => Ok(()),
    }
}

async fn start(session: &Session, upkeep: &Upkeep, what: &str, body: &impl Serialize) -> Result<(), CliError> {
    let path = format!("storages/{}/{what}", segment(&upkeep.storage.to_path()));
    let started: TaskStarted = session.client.post(&path, body).await?;
    if upkeep.wait {
        return progress::wait_for_task(session, started.task_id).await;
    }
    session.out.done(&started, &format!("task {} queued", started.task_id))
}

pub const HEADERS: [&str; 8] =
    ["id", "name", "backend", "path", "packs", "size", "encrypted", "all verified since (UTC)"];

pub fn row(view: &StorageView) -> Vec<String> {
    vec![
        view.id.to_string(),
        view.name.clone(),
        view.backend.name().to_owned(),
        view.path.clone(),
        count(view.packs),
        bytes(view.bytes),
        if view.encrypted { "yes" } else { "no" }.to_owned(),
        time_or_dash(view.verified_at),
    ]
}
