//! `kodo storage key`: what opens a storage without this installation.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::Session;
use super::client::segment;
use super::exit::CliError;
use super::output::{or_dash, remark};
use super::sheet::Sheet;
use super::unlock;
use crate::api::keys::{KeyAdded, KeyRemoved, KeyView};
use crate::api::{Page, Ref};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the keys that open a storage
    List { storage: Ref },
    /// Add a key: any one of a storage's keys opens it
    Add(Add),
    /// Remove a key; never the last one
    Remove {
        storage: Ref,
        /// The key's id, as "kodo storage key list" shows it
        id: String,
    },
    /// Make a new recovery key in the place of the old one
    Rotate {
        storage: Ref,
        /// Write a recovery sheet to print into this new file
        #[arg(long, value_name = "FILE")]
        sheet: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    storage: Ref,
    /// What the key is
    #[arg(long, value_enum)]
    kind: Kind,
    /// File with the passphrase [default: KODO_PASSPHRASE, else asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The key file: 32 random bytes or more, such as from "head -c 64 /dev/urandom"
    #[arg(long, value_name = "FILE", required_if_eq("kind", "keyfile"))]
    key_file: Option<PathBuf>,
    /// Write a recovery sheet to print into this new file
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Words that somebody remembers
    Passphrase,
    /// A file that somebody keeps
    Keyfile,
    /// Made by kodo, to be written down
    Recovery,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { storage } => {
            let page: Page<KeyView> = session.client.get(&keys(&storage), &[]).await?;
            session.out.list(&page, &["id", "kind", "created", "problem"], |key| {
                vec![
                    key.id.clone(),
                    key.kind.clone(),
                    or_dash(key.created.as_ref()),
                    key.problem.clone().unwrap_or_default(),
                ]
            })
        }
        Command::Add(add) => self::add(session, add).await,
        Command::Remove { storage, id } => {
            let path = format!("{}/{}/remove", keys(&storage), segment(&id));
            let removed: KeyRemoved = session.client.post(&path, &json!({})).await?;
            session.out.done(&removed, &format!("key {id} removed"))
        }
        Command::Rotate { storage, sheet } => {
            let sheet = sheet.as_deref().map(Sheet::create).transpose()?;
            let path = format!("{}/rotate", keys(&storage));
            let added: KeyAdded = session.client.post(&path, &json!({})).await?;
            tell(session, &added, sheet)
        }
    }
}

async fn add(session: &Session, add: Add) -> Result<(), CliError> {
    let misplaced = match add.kind {
        Kind::Passphrase => add.key_file.is_some() || add.sheet.is_some(),
        Kind::Keyfile => add.passphrase_file.is_some() || add.sheet.is_some(),
        Kind::Recovery => add.passphrase_file.is_some() || add.key_file.is_some(),
    };
    if misplaced {
        return Err(CliError::Usage(
            "--passphrase-file belongs to --kind passphrase, --key-file to keyfile and --sheet to recovery".to_owned(),
        ));
    }
    let body = match (add.kind, &add.key_file) {
        (Kind::Keyfile, Some(file)) => json!({ "kind": "keyfile", "content": unlock::key_file(file)?.expose() }),
        (Kind::Keyfile, None) => return Err(CliError::Usage("--kind keyfile needs --key-file".to_owned())),
        (Kind::Passphrase, _) => {
            let phrase = unlock::new_passphrase(add.passphrase_file.as_deref())?;
            json!({ "kind": "passphrase", "passphrase": phrase.expose() })
        }
        (Kind::Recovery, _) => json!({ "kind": "recovery" }),
    };
    let sheet = add.sheet.as_deref().map(Sheet::create).transpose()?;
    let added: KeyAdded = session.client.post(&keys(&add.storage), &body).await?;
    tell(session, &added, sheet)
}

/// The key is shown before its sheet is written: what can fail comes last.
fn tell(session: &Session, added: &KeyAdded, sheet: Option<Sheet>) -> Result<(), CliError> {
    let mut line = format!("key {} opens storage {} now: {}", added.key.id, added.storage.name, added.key.kind);
    if !added.removed.is_empty() {
        line.push_str(&format!("\nno longer: {}", added.removed.join(", ")));
    }
    session.out.done(added, &line)?;
    let Some(recovery_key) = &added.recovery_key else { return Ok(()) };
    if !session.out.json {
        show(recovery_key)?;
    }
    sheet.map_or(Ok(()), |sheet| sheet.write(&added.storage, &added.key, recovery_key))
}

/// Shows a new recovery key, for this once.
pub fn show(recovery_key: &str) -> Result<(), CliError> {
    remark(&format!(
        "\nrecovery key: {recovery_key}\nKeep it apart from this machine. It opens the storage when everything else is \
         lost, and it is not shown again."
    ))
}

fn keys(storage: &Ref) -> String {
    format!("storages/{}/keys", segment(&storage.to_path()))
}
