//! The listener: binds, serves, tells where, and stops when asked.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{Data, JsonConfig, PathConfig, QueryConfig};
use actix_web::{HttpServer, middleware};
use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{App, ServerConfig, Shared, error, routes, tls};

/// Clients that send their request slower than this are cut off.
const REQUEST_HEAD_MAX: Duration = Duration::from_secs(15);
/// Connections that wait for being accepted.
const BACKLOG: u32 = 512;
const CONNECTIONS_PER_THREAD_MAX: usize = 2_000;

/// Where the API of a state directory listens: the content of `listen.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listening {
    pub address: SocketAddr,
    /// What a client on the same machine uses.
    pub url: String,
    /// The certificate to trust; absent with plain HTTP.
    pub tls_cert: Option<PathBuf>,
}

/// The file that names the address while a server runs.
pub fn listen_file(state_dir: &Path) -> PathBuf {
    state_dir.join("listen.json")
}

/// The port and the certificate of an API that does not serve yet.
pub struct Prepared {
    listener: TcpListener,
    /// `None`: plain HTTP.
    tls: Option<rustls::ServerConfig>,
}

/// Takes the port and reads or makes the certificate, so that what is wrong with either is known before anything else
/// is started.
pub fn prepare(config: &ServerConfig, state_dir: &Path) -> anyhow::Result<Prepared> {
    let tls = if config.plain_http { None } else { Some(tls::acceptor(config, state_dir)?) };
    Ok(Prepared { listener: bind(config.listen)?, tls })
}

/// Serves until `stop`; requests under way get `shutdown_seconds` to finish.
pub async fn serve(
    config: &ServerConfig,
    prepared: Prepared,
    app: App,
    state_dir: &Path,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = prepared.listener.local_addr().context("cannot tell the address that the API listens on")?;
    let listening = announce(config, address, state_dir);
    let server = start(config, Data::new(Shared::new(app, config)), prepared)?;
    write_replacing(&listen_file(state_dir), &listening)?;
    tracing::info!(%address, url = listening.url, "listening");
    let handle = server.handle();
    let mut served = tokio::spawn(server);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stop.cancelled() => {
            handle.stop(true).await;
            served.await
        }
    };
    if let Err(err) = std::fs::remove_file(listen_file(state_dir)) {
        tracing::debug!(error = %err, "listen.json was not there to be removed");
    }
    ended.context("the API's listener panicked")?.context("the API's listener failed")
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|err| match err.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "{address} is in use by another process: stop it, or set server.listen to another port (is another \
             \"kodo serve\" running?)"
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow!("not allowed to listen on {address}: ports below 1024 need a privilege; set server.listen")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            anyhow!("this machine has no address {}: set server.listen", address.ip())
        }
        _ => anyhow::Error::new(err).context(format!("cannot listen on {address}")),
    })
}

fn start(config: &ServerConfig, shared: Data<Shared>, prepared: Prepared) -> anyhow::Result<Server> {
    let bytes_max = config.body_bytes_max;
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(shared.clone())
            .app_data(JsonConfig::default().limit(bytes_max).error_handler(error::unreadable_json))
            .app_data(QueryConfig::default().error_handler(error::unreadable_query))
            .app_data(PathConfig::default().error_handler(error::unreadable_path))
            .wrap(middleware::Compress::default())
            .wrap(
                middleware::DefaultHeaders::new()
                    .add(("Cache-Control", "no-store"))
                    .add(("X-Content-Type-Options", "nosniff")),
            )
            .configure(routes::configure)
    })
    .workers(config.threads)
    .backlog(BACKLOG)
    .max_connections(CONNECTIONS_PER_THREAD_MAX)
    .client_request_timeout(REQUEST_HEAD_MAX)
    .shutdown_timeout(config.shutdown_seconds)
    .disable_signals();
    let server = match prepared.tls {
        None => server.listen(prepared.listener),
        Some(tls) => server.listen_rustls_0_23(prepared.listener, tls),
    };
    Ok(server.context("cannot serve on the listener")?.run())
}

fn announce(config: &ServerConfig, address: SocketAddr, state_dir: &Path) -> Listening {
    // An unspecified address is every address; the loopback one is in the certificate.
    let mut near = address;
    if address.ip().is_unspecified() {
        near.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    if config.plain_http {
        return Listening { address, url: format!("http://{near}"), tls_cert: None };
    }
    let cert = config.tls_cert.clone().unwrap_or_else(|| tls::generated_cert(state_dir));
    Listening { address, url: format!("https://{near}"), tls_cert: Some(cert) }
}

/// Readers see the old file or the new one, never half of it.
fn write_replacing(path: &Path, listening: &Listening) -> anyhow::Result<()> {
    let fresh = path.with_extension("json.new");
    let json = serde_json::to_string(listening).context("the address is not JSON")?;
    std::fs::write(&fresh, json)
        .and_then(|()| std::fs::rename(&fresh, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_the_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();

        let err = bind(taken.local_addr().unwrap()).unwrap_err().to_string();

        assert!(err.contains("is in use") && err.contains("server.listen"), "{err}");
    }

    #[test]
    fn a_server_on_all_addresses_is_reached_over_the_loopback_one() {
        let config = ServerConfig { listen: "0.0.0.0:9000".parse().unwrap(), ..Default::default() };

        let listening = announce(&config, config.listen, Path::new("/state"));

        assert_eq!(listening.url, "https://127.0.0.1:9000");
    }
}
