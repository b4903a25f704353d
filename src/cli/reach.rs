//! Which server, which token, which certificate: from options, then the environment, then this machine's own server.
//!
//! A machine that is only a client has no configuration file and needs none: every key has its default.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Global;
use super::client::Client;
use super::exit::CliError;
use crate::api::{Listening, generated_cert, listen_file};
use crate::config::{self, Config};
use crate::secret::Secret;

const DEFAULT_SERVER: &str = "https://127.0.0.1:8181";

pub fn connect(global: &Global) -> Result<Client, CliError> {
    let env = config::client_env();
    let config = config::load(global.config.as_deref()).map_err(CliError::Config)?;
    let local = listening(&config.state.dir);
    let server = match (&global.server, env.server, &local) {
        (Some(server), _, _) => server.clone(),
        (None, Some(server), _) => server,
        (None, None, Some(local)) => local.url.clone(),
        (None, None, None) => DEFAULT_SERVER.to_owned(),
    };
    let ca_file = match &global.ca_file {
        Some(file) => Some(file.clone()),
        None => own_certificate(&config, local.as_ref()),
    };
    let ca_pem = match ca_file {
        Some(file) => Some(read(&file, "CA file").map_err(CliError::Config)?),
        None => None,
    };
    let token = match (&global.token_file, env.token) {
        (Some(file), _) => Secret::new(read_token(file)?),
        (None, Some(token)) => token,
        (None, None) => Secret::new(token_of_this_machine(&config)?),
    };
    Client::new(&server, token, ca_pem.as_deref())
}

fn listening(state_dir: &Path) -> Option<Listening> {
    let json = std::fs::read(listen_file(state_dir)).ok()?;
    serde_json::from_slice(&json).ok()
}

fn own_certificate(config: &Config, local: Option<&Listening>) -> Option<PathBuf> {
    local
        .and_then(|local| local.tls_cert.clone())
        .or_else(|| config.server.tls_cert.clone())
        .or_else(|| Some(generated_cert(&config.state.dir)))
        .filter(|file| file.exists())
}

fn token_of_this_machine(config: &Config) -> Result<String, CliError> {
    let file = config.state.admin_token();
    if !file.exists() {
        return Err(CliError::Refused(
            "there is no API token: set KODO_TOKEN or give --token-file (\"kodo init\" writes the first token to \
             admin-token in the state directory)"
                .to_owned(),
        ));
    }
    read_token(&file)
}

fn read_token(file: &Path) -> Result<String, CliError> {
    let text = read(file, "token file").map_err(|err| CliError::Refused(format!("{err:#}")))?;
    let token = String::from_utf8_lossy(&text).trim().to_owned();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(CliError::Refused(format!("{} does not hold a token", file.display())));
    }
    Ok(token)
}

fn read(file: &Path, what: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read the {what} {}", file.display()))
}
