//! `kodo storage`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::client::segment;
use super::exit::CliError;
use super::output::{bytes, count, or_dash, remark, time_or_dash};
use super::sheet::Sheet;
use super::unlock::{self, UnlockFiles};
use super::{Limit, Session, findings, progress, storage_key};
use crate::api::Ref;
use crate::api::storages::{StorageCreated, StorageView};
use crate::api::tenants::TaskStarted;
use crate::api::upkeep::VerifyBody;
use crate::repository::{BackendKind, Layout, SpaceState};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a storage: an existing directory, empty at first
    Add(Add),
    /// Make an existing store a storage of this installation: one from before its database was lost, or another's
    Attach(Attach),
    /// List storages
    List(Limit),
    /// Keys: what opens a storage when everything else is lost
    #[command(subcommand)]
    Key(storage_key::Command),
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
    /// File with a passphrase that opens the storage as well as its recovery key
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    passphrase_file: Option<PathBuf>,
    /// A key file that does
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    key_file: Option<PathBuf>,
    /// Encrypt, which is the default for every layout but aligned, where it is refused
    #[arg(long, conflicts_with = "unencrypted")]
    encrypted: bool,
    /// Write a recovery sheet to print into this new file
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    sheet: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Attach {
    name: String,
    /// The directory; the same path on every agent
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// What kind of file system it is on
    #[arg(long, value_enum, default_value_t = Backend::Filesystem)]
    backend: Backend,
    #[command(flatten)]
    unlock: UnlockFiles,
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
        Command::Attach(attach) => self::attach(session, attach).await,
        Command::Key(command) => storage_key::run(session, command).await,
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
    let path = absolute(&add.path)?;
    let encrypted = if add.unencrypted { Some(false) } else { add.encrypted.then_some(true) };
    let mut body = json!({
        "name": add.name,
        "backend": BackendKind::from(add.backend),
        "path": path,
        "layout": add.layout.map(Layout::from),
        "encrypted": encrypted,
    });
    if let Some(file) = &add.passphrase_file {
        body["passphrase"] = json!(unlock::line(file)?.expose());
    }
    if let Some(file) = &add.key_file {
        body["key_file"] = json!(unlock::key_file(file)?.expose());
    }
    let sheet = add.sheet.as_deref().map(Sheet::create).transpose()?;
    let created: StorageCreated = session.client.post("storages", &body).await?;
    let storage = &created.storage;
    session.out.done(&created, &format!("storage {} added: {}", storage.id, storage.name))?;
    let (Some(recovery_key), Some(key)) = (&created.recovery_key, &created.key) else {
        return match sheet {
            Some(_) => remark("no recovery sheet: the storage is not encrypted and has no recovery key"),
            None => Ok(()),
        };
    };
    if !session.out.json {
        storage_key::show(recovery_key)?;
    }
    sheet.map_or(Ok(()), |sheet| sheet.write(storage, key, recovery_key))
}

async fn attach(session: &Session, attach: Attach) -> Result<(), CliError> {
    let body = json!({
        "name": attach.name,
        "backend": BackendKind::from(attach.backend),
        "path": absolute(&attach.path)?,
        "unlock": attach.unlock.body()?,
    });
    let storage: StorageView = session.client.post("storages/attach", &body).await?;
    let line = format!(
        "storage {} attached: {}\nnext: kodo rebuild-catalog --storage {}",
        storage.id, storage.name, storage.id
    );
    session.out.done(&storage, &line)
}

fn absolute(path: &Path) -> Result<&str, CliError> {
    path.to_str().filter(|_| path.is_absolute()).ok_or_else(|| {
        CliError::Usage(format!(
            "--path must be absolute and plain text: it is looked up on every agent, not here (it is {})",
            path.display()
        ))
    })
}

async fn start(session: &Session, upkeep: &Upkeep, what: &str, body: &impl Serialize) -> Result<(), CliError> {
    let path = format!("storages/{}/{what}", segment(&upkeep.storage.to_path()));
    let started: TaskStarted = session.client.post(&path, body).await?;
    if upkeep.wait {
        return progress::wait_for_task(session, started.task_id).await;
    }
    session.out.done(&started, &format!("task {} queued", started.task_id))
}

pub const HEADERS: [&str; 11] = [
    "id",
    "name",
    "backend",
    "path",
    "packs",
    "size",
    "encrypted",
    "free",
    "total",
    "space",
    "all verified since (UTC)",
];

pub fn row(view: &StorageView) -> Vec<String> {
    vec![
        view.id.to_string(),
        view.name.clone(),
        view.backend.name().to_owned(),
        view.path.clone(),
        count(view.packs),
        bytes(view.bytes),
        if view.encrypted { "yes" } else { "no" }.to_owned(),
        or_dash(view.free_bytes.map(bytes)),
        or_dash(view.total_bytes.map(bytes)),
        view.space.name().to_owned(),
        time_or_dash(view.verified_at),
    ]
}

/// What is to be said of the storages that have little room left; empty when all have enough.
pub fn space_warnings(storages: &[StorageView]) -> String {
    let said = storages.iter().filter_map(|storage| {
        let free = || or_dash(storage.free_bytes.map(bytes));
        match storage.space {
            SpaceState::Ok | SpaceState::Unknown => None,
            SpaceState::Low => Some(format!("storage {} is low: {} free", storage.name, free())),
            SpaceState::Full => Some(format!("storage {} is full, backups rest: {} free", storage.name, free())),
        }
    });
    said.collect::<Vec<_>>().join("; ")
}
