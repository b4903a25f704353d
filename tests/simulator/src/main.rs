//! The simulator as a process: prints one line of JSON when it is ready and stays until told to go.

use anyhow::Context;
use clap::{Parser, ValueEnum};
use kodo_simulator::{Limits, Options, Simulator};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "A simulated Microsoft 365 tenant: login and Microsoft Graph over HTTP")]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Messages in each mailbox
    #[arg(long, default_value_t = 60)]
    messages: usize,
    /// Events of their own in each user's calendars
    #[arg(long, default_value_t = 25)]
    events: usize,
    /// Contacts of each user
    #[arg(long, default_value_t = 25)]
    contacts: usize,
    /// Leave out the shared, guest, unlicensed and on-premises users
    #[arg(long)]
    plain_users: bool,
    /// Some attachments of 3 to 12 MB
    #[arg(long)]
    large_attachments: bool,
    /// One more mailbox, with so many computed messages
    #[arg(long, value_name = "MESSAGES")]
    lazy_mailbox: Option<u64>,
    #[arg(long)]
    https: bool,
    /// Where to write the CA certificate (with --https)
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
    #[arg(long, default_value_t = 3599)]
    token_seconds: i64,
    #[arg(long, value_enum, default_value_t = LimitsChoice::Concurrency)]
    limits: LimitsChoice,
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum LimitsChoice {
    /// Four at once per mailbox, nothing else
    Concurrency,
    /// All that the documentation states
    Documented,
    Off,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut limits = match arguments.limits {
        LimitsChoice::Concurrency => Limits::default(),
        LimitsChoice::Documented => Limits::documented(),
        LimitsChoice::Off => Limits::off(),
    };
    limits.latency_ms = arguments.latency_ms;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let simulator = Simulator::start(Options {
        listen: arguments.listen,
        https: arguments.https,
        workers: arguments.workers,
        seed: arguments.seed,
        users: arguments.users,
        special_users: !arguments.plain_users,
        messages: arguments.messages,
        events: arguments.events,
        contacts: arguments.contacts,
        large_attachments: arguments.large_attachments,
        lazy_mailbox: arguments.lazy_mailbox,
        token_seconds: arguments.token_seconds,
        limits,
    })
    .await?;
    if let (Some(path), Some(pem)) = (&arguments.ca_out, simulator.ca_pem()) {
        std::fs::write(path, pem).with_context(|| format!("write {}", path.display()))?;
    }
    let ready = serde_json::json!({
        "base_url": simulator.base_url(),
        "login_url": simulator.login_url(),
        "control_url": simulator.control_url(),
        "tenant_id": simulator.tenant_id(),
        "client_id": simulator.client_id(),
        "client_secret": simulator.client_secret(),
        "ca_file": arguments.ca_out,
    });
    println!("{ready}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
