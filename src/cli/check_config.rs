//! `kodo check-config`: what was read, and whether it can work.

use serde::Serialize;

use super::Global;
use super::exit::CliError;
use super::output::Output;
use crate::config::{self, Config};

/// What the configuration comes to. The database's URL may hold a password and is not shown.
#[derive(Serialize)]
struct Checked {
    state_dir: String,
    database: &'static str,
    database_pool_size: u32,
    server: String,
    tls: String,
    graph_base_url: String,
    graph_login_url: String,
    log: String,
}

pub fn run(global: &Global, out: Output) -> Result<(), CliError> {
    let config = config::load(global.config.as_deref()).map_err(CliError::Config)?;
    let checked = checked(&config);
    out.facts(
        &checked,
        &[
            ("state directory", checked.state_dir.clone()),
            ("database", checked.database.to_owned()),
            ("connections", checked.database_pool_size.to_string()),
            ("server", checked.server.clone()),
            ("TLS", checked.tls.clone()),
            ("Microsoft Graph", checked.graph_base_url.clone()),
            ("Microsoft login", checked.graph_login_url.clone()),
            ("log", checked.log.clone()),
            ("verdict", "the configuration is valid".to_owned()),
        ],
    )
}

fn checked(config: &Config) -> Checked {
    let scheme = if config.server.plain_http { "http" } else { "https" };
    let tls = match (&config.server.tls_cert, config.server.plain_http) {
        (_, true) => "off".to_owned(),
        (Some(cert), false) => format!("certificate {}", cert.display()),
        (None, false) => "a certificate of its own".to_owned(),
    };
    Checked {
        state_dir: config.state.dir.display().to_string(),
        database: if config.database.url.is_some() { "the one that database.url names" } else { "managed by kodo" },
        database_pool_size: config.database.pool_size,
        server: format!("{scheme}://{}", config.server.listen),
        tls,
        graph_base_url: config.graph.base_url.to_string(),
        graph_login_url: config.graph.login_url.to_string(),
        log: config.log.filter.clone(),
    }
}
