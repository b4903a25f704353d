//! Opening the pool: the server's version, and the promise that nothing travels in the clear.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use diesel::prelude::*;
use diesel::r2d2::Pool;
use serde::Deserialize;
use url::Url;

use super::pool::{Generation, Manager};
use super::{Conn, Db};
use crate::secret::Secret;

/// `[database]`: where the catalog and the queue live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// `mysql://user:password@host/database?unix_socket=…`; without it kodo runs a MariaDB of its own.
    pub url: Option<Secret<String>>,
    /// Connections, and so database calls at once.
    pub pool_size: u32,
    /// Allows a remote server whose connection is not encrypted or whose identity cannot be proved.
    pub allow_plain_text: bool,
    /// Memory of the managed server's buffer pool, in MiB.
    pub managed_buffer_pool_mb: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, pool_size: 12, allow_plain_text: false, managed_buffer_pool_mb: 128 }
    }
}

const MINIMUM_VERSION: (u32, u32) = (10, 6);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the pool and checks the server: reachable, MariaDB of a supported version, safely connected.
pub fn connect(url: &str, config: &DatabaseConfig) -> anyhow::Result<Db> {
    let remote = remote_host(url)?;
    if let Some(host) = &remote
        && !config.allow_plain_text
    {
        bail!(
            "the database on {host} is remote, and the MariaDB client library cannot prove that the connection is \
             encrypted and the server the right one; use its Unix socket, or set database.allow_plain_text = true \
             if the network between is trusted (docs/adr/0002-remote-database.md)"
        );
    }
    let mut probe = Conn::establish(url).map_err(|err| anyhow::anyhow!("cannot connect to the database: {err}"))?;
    check_server(&mut probe)?;
    let generation = Generation::default();
    let pool = Pool::builder()
        .max_size(config.pool_size)
        .min_idle(Some(1))
        .connection_timeout(CONNECT_TIMEOUT)
        .test_on_check_out(true)
        .build(Manager::new(url, generation.clone()))
        .context("cannot open the database pool")?;
    Ok(Db::new(pool, generation))
}

/// Refuses what is not MariaDB 10.6 or newer: older ones have no SKIP LOCKED.
pub fn check_server(conn: &mut Conn) -> anyhow::Result<()> {
    let version: String = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("VERSION()"))
        .get_result(conn)
        .context("cannot read the version of the database server")?;
    check_version(&version)
}

fn check_version(version: &str) -> anyhow::Result<()> {
    ensure!(
        version.contains("MariaDB"),
        "the database server is {version}; kodo needs MariaDB {}.{} or newer",
        MINIMUM_VERSION.0,
        MINIMUM_VERSION.1
    );
    // Replication-aware servers put "5.5.5-" before the real version.
    let plain = version.trim_start_matches("5.5.5-");
    let mut numbers = plain.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    ensure!(
        found >= MINIMUM_VERSION,
        "the database server is MariaDB {plain}; kodo needs {}.{} or newer",
        MINIMUM_VERSION.0,
        MINIMUM_VERSION.1
    );
    Ok(())
}

/// The host when the connection leaves this machine. Sockets and loopback addresses do not.
fn remote_host(url: &str) -> anyhow::Result<Option<String>> {
    let url = Url::parse(url).context("database.url is not a URL such as mysql://user@localhost/kodo?unix_socket=…")?;
    ensure!(url.scheme() == "mysql", "database.url starts with \"{}\", not \"mysql\"", url.scheme());
    let database = url.path().trim_start_matches('/');
    ensure!(!database.is_empty(), "database.url names no database: add /kodo behind the host");
    let by_socket = url.query_pairs().any(|(key, _)| key == "unix_socket");
    let host = url.host_str().unwrap_or("localhost");
    let local = by_socket || matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    Ok((!local).then(|| host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_without_skip_locked_and_other_products_are_refused_by_name() {
        for good in ["10.11.14-MariaDB-0+deb12u2", "5.5.5-10.6.22-MariaDB-log", "11.8.2-MariaDB", "10.6-MariaDB"] {
            check_version(good).unwrap();
        }
        for bad in ["10.5.29-MariaDB-0+deb11u1", "5.5.5-10.3.39-MariaDB", "5.5.68-MariaDB", "8.4.3", "x-MariaDB"] {
            let refusal = check_version(bad).unwrap_err().to_string();
            let shown = bad.trim_start_matches("5.5.5-");
            assert!(refusal.contains(shown) && refusal.contains("10.6 or newer"), "{bad}: {refusal}");
        }
    }

    #[test]
    fn a_database_on_another_host_is_told_from_a_local_one() {
        assert_eq!(remote_host("mysql://root@localhost/kodo?unix_socket=/run/s").unwrap(), None);
        assert_eq!(remote_host("mysql://root@127.0.0.1:3306/kodo").unwrap(), None);
        assert_eq!(remote_host("mysql://k:p@db.example.org/kodo").unwrap().as_deref(), Some("db.example.org"));
        assert!(remote_host("postgres://localhost/kodo").is_err());
        assert!(remote_host("mysql://localhost/").is_err());
    }
}
