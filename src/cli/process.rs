//! The commands that are processes of their own rather than requests: they hand over to `app`.

use std::future::Future;

use anyhow::Context;

use super::Global;
use super::exit::CliError;
use crate::config::{self, Config};
use crate::{app, telemetry};

pub fn init(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    block_on(app::init(config))?.map_err(CliError::Other)
}

pub fn serve(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    block_on(app::serve(config))?.map_err(CliError::Other)
}

pub fn worker(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    block_on(app::worker(config))?.map_err(CliError::Other)
}

pub fn migrate(global: &Global) -> Result<(), CliError> {
    let config = prepared(global)?;
    block_on(app::migrate(config))?.map_err(CliError::Other)
}

/// Runs one future to its end on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(runtime.block_on(future))
}

fn prepared(global: &Global) -> Result<Config, CliError> {
    let config = config::load(global.config.as_deref()).map_err(CliError::Config)?;
    telemetry::install(&config.log).map_err(CliError::Config)?;
    Ok(config)
}
