//! The commands that are processes of their own rather than requests: they hand over to `app`.

use std::future::Future;

use anyhow::Context;
use serde::Serialize;

use super::Global;
use super::exit::CliError;
use super::output::Output;
use crate::config::{self, Config};
use crate::{app, telemetry};

/// What `kodo init` tells.
#[derive(Serialize)]
struct Prepared {
    state_dir: String,
    /// Where the first admin's token was written; `null`: there is an admin already.
    token_file: Option<String>,
    migrations: Vec<String>,
}

pub fn init(global: &Global, out: Output) -> Result<(), CliError> {
    let config = prepared(global)?;
    let made = block_on(app::init(&config))??;
    let view = Prepared {
        state_dir: config.state.dir.display().to_string(),
        token_file: made.token.map(|_| config.state.admin_token().display().to_string()),
        migrations: made.migrations,
    };
    let token = match &view.token_file {
        Some(file) => {
            format!("the first admin's token is in {file}: keep a copy, and delete the file where others read")
        }
        None => "there is an admin already: no token was made".to_owned(),
    };
    out.done(&view, &format!("{} is ready; {token}\nnext: kodo serve", view.state_dir))
}

pub fn serve(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    Ok(block_on(app::serve(config))??)
}

pub fn worker(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    Ok(block_on(app::worker(config))??)
}

/// What `kodo migrate` did.
#[derive(Serialize)]
struct Migrated {
    migrations: Vec<String>,
}

pub fn migrate(global: &Global, out: Output) -> Result<(), CliError> {
    let config = prepared(global)?;
    let migrations = block_on(app::migrate(&config))??;
    let line = match migrations.len() {
        0 => "the schema is up to date".to_owned(),
        _ => format!("applied: {}", migrations.join(", ")),
    };
    out.done(&Migrated { migrations }, &line)
}

/// Runs one future to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(runtime.block_on(future))
}

pub fn prepared(global: &Global) -> Result<Config, CliError> {
    let config = config::load(global.config.as_deref()).map_err(CliError::Config)?;
    telemetry::install(&config.log).map_err(CliError::Config)?;
    Ok(config)
}
