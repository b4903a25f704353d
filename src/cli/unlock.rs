//! What opens a storage, read where it is kept: a file, the environment or a prompt; never an argument.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::exit::CliError;
use super::output;
use crate::config;
use crate::repository::Unlock;
use crate::secret::Secret;

/// The server takes no longer ones; a device or a disk image given by mistake must not be read whole.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What opens an encrypted storage that exists; at most one.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct UnlockFiles {
    /// File with the recovery key, as it stands on the recovery sheet
    #[arg(long, value_name = "FILE")]
    recovery_key_file: Option<PathBuf>,
    /// File with the passphrase [default: KODO_PASSPHRASE, if no other key is given]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The key file
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Ask for the passphrase
    #[arg(long)]
    ask_passphrase: bool,
}

impl UnlockFiles {
    /// The body that the API takes, `null` for a storage that is not encrypted.
    pub fn body(&self) -> Result<Value, CliError> {
        if let Some(file) = &self.recovery_key_file {
            let key = text(file)?;
            return Ok(json!({ "kind": "recovery", "recovery_key": key.expose() }));
        }
        if let Some(file) = &self.key_file {
            return Ok(json!({ "kind": "keyfile", "content": key_file(file)?.expose() }));
        }
        Ok(self.phrase()?.map_or(Value::Null, |phrase| json!({ "kind": "passphrase", "passphrase": phrase.expose() })))
    }
}

impl UnlockFiles {
    /// For commands that open the storage themselves; `None`: nothing was given.
    pub fn unlock(&self) -> Result<Option<Unlock>, CliError> {
        let unlock = if let Some(file) = &self.recovery_key_file {
            Unlock::recovery_key(text(file)?.expose())
        } else if let Some(file) = &self.key_file {
            Unlock::key_file(bytes(file)?)
        } else {
            match self.phrase()? {
                None => return Ok(None),
                Some(phrase) => Unlock::passphrase(phrase),
            }
        };
        unlock.map(Some).map_err(|err| CliError::Usage(err.to_string()))
    }

    fn phrase(&self) -> Result<Option<Secret<String>>, CliError> {
        Ok(match &self.passphrase_file {
            Some(file) => Some(line(file)?),
            None if self.ask_passphrase => Some(prompt("passphrase (not shown):")?),
            None => config::client_env().passphrase,
        })
    }
}

/// A passphrase that is to be one from now on: from a file, from the environment, or typed twice.
pub fn new_passphrase(file: Option<&Path>) -> Result<Secret<String>, CliError> {
    match (file, config::client_env().passphrase) {
        (Some(file), _) => line(file),
        (None, Some(phrase)) => Ok(phrase),
        (None, None) if std::io::stdin().is_terminal() => {
            let phrase = prompt("new passphrase (not shown):")?;
            if prompt("the same again:")?.expose() != phrase.expose() {
                return Err(CliError::Usage("the two passphrases differ".to_owned()));
            }
            Ok(phrase)
        }
        (None, None) => Err(CliError::Usage(
            "there is no passphrase: give --passphrase-file, set KODO_PASSPHRASE, or run this in a terminal".to_owned(),
        )),
    }
}

/// The passphrase in a file: the end of its line does not belong to it, blanks do.
pub fn line(file: &Path) -> Result<Secret<String>, CliError> {
    let whole = text(file)?;
    Ok(Secret::new(whole.expose().trim_end_matches(['\n', '\r']).to_owned()))
}

/// The content of a key file in base64, as the API takes it.
pub fn key_file(file: &Path) -> Result<Secret<String>, CliError> {
    Ok(Secret::new(STANDARD.encode(bytes(file)?.expose())))
}

fn text(file: &Path) -> Result<Secret<String>, CliError> {
    let text = String::from_utf8(bytes(file)?.expose().clone());
    Ok(Secret::new(text.ok().with_context(|| format!("{} is not text", file.display()))?))
}

fn bytes(file: &Path) -> Result<Secret<Vec<u8>>, CliError> {
    let read = std::fs::File::open(file).and_then(|open| {
        let mut bytes = Vec::new();
        open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(Secret::new(bytes))
    });
    let bytes = read.with_context(|| format!("cannot read {}", file.display()))?;
    if bytes.expose().len() as u64 > FILE_BYTES_MAX {
        let file = file.display();
        return Err(CliError::Usage(format!("{file} has more than {FILE_BYTES_MAX} bytes: is it the right file?")));
    }
    Ok(bytes)
}

fn prompt(words: &str) -> Result<Secret<String>, CliError> {
    output::remark(words)?;
    Ok(Secret::new(rpassword::read_password().context("cannot read the passphrase")?))
}
