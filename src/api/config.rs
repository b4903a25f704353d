//! `[server]`: where the API listens and what it accepts.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use serde::Deserialize;

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one, which `listen.json` in the state directory then names.
    pub listen: SocketAddr,
    /// PEM file with the certificate chain. Without it kodo makes a certificate of its own.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// Serves without TLS; allowed on a loopback address only.
    pub plain_http: bool,
    /// Rows that one page of a listing may have.
    pub page_rows_max: u32,
    /// Bytes that the body of a request may have.
    pub body_bytes_max: usize,
    /// Threads that answer requests.
    pub threads: usize,
    /// Seconds that requests under way get to finish when the server stops.
    pub shutdown_seconds: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8181)),
            tls_cert: None,
            tls_key: None,
            plain_http: false,
            page_rows_max: 500,
            body_bytes_max: 1 << 20,
            threads: 2,
            shutdown_seconds: 10,
        }
    }
}

impl ServerConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.tls_cert.is_some() == self.tls_key.is_some(),
            "server.tls_cert and server.tls_key belong together: set both, or neither for a generated certificate"
        );
        ensure!(
            !self.plain_http || self.listen.ip().is_loopback(),
            "server.plain_http is allowed on a loopback address only, and server.listen is {}: tokens would travel \
             readable for everybody",
            self.listen
        );
        ensure!(
            !self.plain_http || self.tls_cert.is_none(),
            "server.plain_http and server.tls_cert contradict each other: remove one"
        );
        ensure!((1..=10_000).contains(&self.page_rows_max), "server.page_rows_max is not between 1 and 10000");
        ensure!(
            (4096..=64 << 20).contains(&self.body_bytes_max),
            "server.body_bytes_max is not between 4096 and 67108864"
        );
        ensure!((1..=64).contains(&self.threads), "server.threads is not between 1 and 64");
        ensure!(self.shutdown_seconds <= 600, "server.shutdown_seconds is more than 600");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        ServerConfig::default().validate().unwrap();
    }

    #[test]
    fn plain_http_is_refused_where_others_can_listen() {
        let open = ServerConfig { plain_http: true, listen: "0.0.0.0:80".parse().unwrap(), ..Default::default() };
        let local = ServerConfig { plain_http: true, ..Default::default() };

        assert!(open.validate().unwrap_err().to_string().contains("loopback"));
        local.validate().unwrap();
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let half = ServerConfig { tls_cert: Some("cert.pem".into()), ..Default::default() };

        assert!(half.validate().is_err());
    }
}
