//! Logs: structured events on standard error, for people or as JSON for a collector.

use anyhow::Context;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// `[log]`: what is written and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or directives such as `info,kodo::graph=debug`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl LogConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        self.parse().map(drop)
    }

    fn parse(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.filter).with_context(|| format!("log.filter \"{}\" is not a filter", self.filter))
    }
}

/// Installs the process-wide subscriber; the second call in a process is an error.
pub fn install(config: &LogConfig) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt().with_env_filter(config.parse()?).with_writer(std::io::stderr);
    let installed = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    installed.map_err(|err| anyhow::anyhow!("cannot install the log: {err}"))
}
