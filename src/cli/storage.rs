//! `kodo storage`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::exit::CliError;
use super::output::{bytes, count, remark};
use super::{Limit, Session};
use crate::api::storages::{NewStorageBody, StorageCreated, StorageView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a storage: an existing directory, empty at first
    Add(Add),
    /// List storages
    List(Limit),
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
    /// Store without encryption: for a disk that is encrypted itself
    #[arg(long)]
    unencrypted: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backend {
    Filesystem,
    Nfs,
    Cifs,
    Vdo,
}

impl Backend {
    fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Nfs => "nfs",
            Self::Cifs => "cifs",
            Self::Vdo => "vdo",
        }
    }
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => self::add(session, add).await,
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
        backend: add.backend.as_str().to_owned(),
        path: path.to_owned(),
        encrypted: !add.unencrypted,
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

pub const HEADERS: [&str; 7] = ["id", "name", "backend", "path", "packs", "size", "encrypted"];

pub fn row(view: &StorageView) -> Vec<String> {
    vec![
        view.id.to_string(),
        view.name.clone(),
        view.backend.clone(),
        view.settings["path"].as_str().unwrap_or_default().to_owned(),
        count(view.n_packs),
        bytes(view.bytes),
        if view.encrypted { "yes" } else { "no" }.to_owned(),
    ]
}
