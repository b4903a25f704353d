//! Configuration: one section a module, each owned by that module; a file, then the environment, then validation.
//!
//! The only place that reads the environment and TOML. Unknown keys are refused, so that a misspelt limit does not
//! silently keep its default.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use config::{Environment, File, FileFormat};
use serde::Deserialize;

use crate::api::ServerConfig;
use crate::db::DatabaseConfig;
use crate::db::managed::POOL_SIZE_MAX;
use crate::graph::GraphConfig;
use crate::repository::{CollectionConfig, RepositoryConfig, SpaceConfig};
use crate::scheduler::SchedulerConfig;
use crate::secret::Secret;
use crate::telemetry::LogConfig;
use crate::workers::{AgentConfig, ExportsConfig};

/// Read when no file is named; absent, every key has its default.
pub const DEFAULT_FILE: &str = "/etc/kodo/kodo.toml";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub state: StateConfig,
    pub database: DatabaseConfig,
    pub server: ServerConfig,
    pub agent: AgentConfig,
    pub scheduler: SchedulerConfig,
    pub space: SpaceConfig,
    pub collection: CollectionConfig,
    pub exports: ExportsConfig,
    pub graph: GraphConfig,
    pub repository: RepositoryConfig,
    pub log: LogConfig,
}

/// `[state]`: what this installation keeps beside the database and the storages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateConfig {
    /// Instance key, TLS certificate, managed database. Worth as much as the database itself.
    pub dir: PathBuf,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { dir: "/var/lib/kodo".into() }
    }
}

impl StateConfig {
    /// The key that seals secrets in the database; the same file on every agent.
    pub fn instance_key(&self) -> PathBuf {
        self.dir.join("instance.key")
    }

    /// The first admin's token, for the command line on this machine.
    pub fn admin_token(&self) -> PathBuf {
        self.dir.join("admin-token")
    }
}

/// Reads `path` (or the default file, if there is one), lays `KODO_SECTION__KEY` over it and validates the whole.
pub fn load(path: Option<&Path>) -> anyhow::Result<Config> {
    let named = path.map(Path::to_path_buf).or_else(|| variable("KODO_CONFIG").map(PathBuf::from));
    let mut builder = config::Config::builder();
    match &named {
        Some(path) => builder = builder.add_source(readable(path)?),
        None if Path::new(DEFAULT_FILE).exists() => builder = builder.add_source(readable(Path::new(DEFAULT_FILE))?),
        None => {}
    }
    let sections = Environment::with_prefix("KODO")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .source(Some(section_variables()));
    let origin = named.unwrap_or_else(|| DEFAULT_FILE.into());
    let config: Config = builder
        .add_source(sections)
        .build()
        .and_then(config::Config::try_deserialize)
        .with_context(|| format!("the configuration ({}) is not valid", origin.display()))?;
    config.validate().with_context(|| format!("the configuration ({}) is not valid", origin.display()))?;
    Ok(config)
}

impl Config {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(!self.state.dir.as_os_str().is_empty(), "state.dir is empty");
        ensure!((1..=1000).contains(&self.database.pool_size), "database.pool_size must be 1 to 1000");
        ensure!(
            self.database.url.is_some() || self.database.pool_size <= POOL_SIZE_MAX,
            "database.pool_size must be 1 to {POOL_SIZE_MAX} while database.url is not set: the server that kodo runs \
             itself takes no more connections"
        );
        ensure!(self.database.managed_buffer_pool_mb >= 8, "database.managed_buffer_pool_mb must be at least 8");
        self.server.validate()?;
        self.agent.validate()?;
        self.scheduler.validate()?;
        self.space.validate()?;
        self.collection.validate()?;
        self.exports.validate()?;
        self.graph.validate()?;
        self.repository.validate()?;
        self.log.validate()
    }
}

/// What the client commands take from the environment.
#[derive(Default)]
pub struct ClientEnv {
    /// `KODO_TOKEN`
    pub token: Option<Secret<String>>,
    /// `KODO_SERVER`
    pub server: Option<String>,
    /// `KODO_CLIENT_SECRET`, for `kodo tenant add`.
    pub client_secret: Option<Secret<String>>,
    /// `KODO_PASSPHRASE`, for what opens a storage.
    pub passphrase: Option<Secret<String>>,
}

pub fn client_env() -> ClientEnv {
    ClientEnv {
        token: variable("KODO_TOKEN").map(Secret::new),
        server: variable("KODO_SERVER"),
        client_secret: variable("KODO_CLIENT_SECRET").map(Secret::new),
        passphrase: variable("KODO_PASSPHRASE").map(Secret::new),
    }
}

fn readable(path: &Path) -> anyhow::Result<File<config::FileSourceString, FileFormat>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    Ok(File::from_str(&text, FileFormat::Toml))
}

/// `KODO_DATABASE__URL` and the like; `KODO_TOKEN` and other single words are not settings of a section.
fn section_variables() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| key.starts_with("KODO_") && key.contains("__"))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
}
