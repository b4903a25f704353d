//! A running simulator: starts on a thread of its own, stops when dropped.

use crate::app::App;
use crate::company::populate;
use crate::control::fingerprint::{self, Detail};
use crate::control::{self, ControlError, calendar, contacts, edits, settings, setup};
use crate::faults::{FaultPlan, Faults};
use crate::locks::write;
use crate::notices::Notice;
use crate::options::{Limits, Options};
use crate::watch::{Breach, Violation};
use crate::{server, tls};
use actix_web::dev::ServerHandle;
use actix_web::{App as WebApp, HttpServer, web};
use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub struct Simulator {
    app: Arc<App>,
    address: SocketAddr,
    ca_pem: Option<String>,
    handle: ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Simulator {
    /// Fills the tenant and listens. Returns when requests are answered.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("simulator".into())
            .spawn(move || {
                let system = actix_web::rt::System::new();
                system.block_on(async move {
                    let (started, server) = match bind(options) {
                        Ok((started, server)) => (Ok(started), Some(server)),
                        Err(error) => (Err(error), None),
                    };
                    if sender.send(started).is_err() {
                        return;
                    }
                    if let Some(server) = server
                        && let Err(error) = server.await
                    {
                        tracing::error!(%error, "simulator server failed");
                    }
                });
            })
            .context("start the simulator thread")?;
        let started = receiver.await.map_err(|_| anyhow!("the simulator ended before it listened"))??;
        Ok(Self {
            app: started.app,
            address: started.address,
            ca_pem: started.ca_pem,
            handle: started.handle,
            thread: Some(thread),
        })
    }

    pub fn base_url(&self) -> String {
        format!("{}/v1.0", self.app.origin())
    }

    pub fn login_url(&self) -> String {
        self.app.origin().to_owned()
    }

    pub fn control_url(&self) -> String {
        format!("{}/control", self.app.origin())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn tenant_id(&self) -> String {
        self.app.tenant_id.clone()
    }

    pub fn client_id(&self) -> String {
        populate::client_id(self.app.options.seed)
    }

    pub fn client_secret(&self) -> String {
        populate::secret(self.app.options.seed)
    }

    /// Of the CA that signed the server certificate, with https only.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    // The control API, in process. JSON in and out as over HTTP.

    pub fn info(&self) -> Value {
        control::info(&self.app)
    }

    pub fn users(&self) -> Value {
        setup::users(&self.app)
    }

    pub fn add_user(&self, wanted: Value) -> anyhow::Result<Value> {
        setup::add_user(&self.app, parse(wanted)?).map_err(flat)
    }

    pub fn change_user(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        setup::change_user(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    pub fn remove_user(&self, user: &str) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        setup::remove_user(&self.app, &user).map_err(flat)
    }

    pub fn register_app(&self, wanted: Value) -> anyhow::Result<Value> {
        setup::register(&self.app, parse(wanted)?).map_err(flat)
    }

    pub fn wipe_mailbox(&self, user: &str) -> anyhow::Result<()> {
        let user = control::user(&self.app, user).map_err(flat)?;
        control::wipe(&user);
        Ok(())
    }

    /// The canonical document; see the README for its shape.
    pub fn fingerprint(&self, user: &str) -> anyhow::Result<Vec<u8>> {
        let user = control::user(&self.app, user).map_err(flat)?;
        Ok(fingerprint::whole(&user, Detail::Whole))
    }

    /// The canonical document with each message's immutable id and the hash of its MIME.
    pub fn fingerprint_with_ids(&self, user: &str) -> anyhow::Result<Vec<u8>> {
        let user = control::user(&self.app, user).map_err(flat)?;
        Ok(fingerprint::whole(&user, Detail::WithIds))
    }

    /// The canonical document of what Graph lets a client bring back.
    pub fn restorable_fingerprint(&self, user: &str) -> anyhow::Result<Vec<u8>> {
        let user = control::user(&self.app, user).map_err(flat)?;
        Ok(fingerprint::whole(&user, Detail::Restorable))
    }

    pub fn new_mail(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        edits::arrive(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    pub fn random_edits(&self, user: &str, seed: u64, count: usize) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        edits::random(&self.app, &user, edits::RandomEdits { seed, count }).map_err(flat)
    }

    pub fn edit(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        edits::single(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    pub fn add_folder(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        edits::add_folder(&user, parse(wanted)?).map_err(flat)
    }

    /// The canonical document of the calendars.
    pub fn calendar_fingerprint(&self, user: &str) -> anyhow::Result<Value> {
        Ok(calendar::fingerprint(&*control::user(&self.app, user).map_err(flat)?))
    }

    /// Only the default calendar is left, empty.
    pub fn wipe_calendars(&self, user: &str) -> anyhow::Result<()> {
        let user = control::user(&self.app, user).map_err(flat)?;
        calendar::wipe(&user);
        Ok(())
    }

    pub fn calendar_random_edits(&self, user: &str, seed: u64, count: usize) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        calendar::random(&self.app, &user, &edits::RandomEdits { seed, count }).map_err(flat)
    }

    pub fn calendar_edit(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        calendar::single(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    /// The canonical document of the contacts.
    pub fn contacts_fingerprint(&self, user: &str) -> anyhow::Result<Value> {
        Ok(contacts::fingerprint(&*control::user(&self.app, user).map_err(flat)?))
    }

    pub fn contacts_random_edits(&self, user: &str, seed: u64, count: usize) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        contacts::random(&self.app, &user, &edits::RandomEdits { seed, count }).map_err(flat)
    }

    pub fn contacts_edit(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        contacts::single(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    /// Settings, master categories and inbox rules in one document.
    pub fn settings_fingerprint(&self, user: &str) -> anyhow::Result<Value> {
        Ok(crate::graph::settings::all(&*control::user(&self.app, user).map_err(flat)?))
    }

    pub fn settings_random_edits(&self, user: &str, seed: u64, count: usize) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        settings::random(&user, &edits::RandomEdits { seed, count }).map_err(flat)
    }

    pub fn settings_edit(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        settings::single(&user, parse(wanted)?).map_err(flat)
    }

    /// Every item of a drive; see the README for its shape.
    pub fn drive_fingerprint(&self, user: &str) -> anyhow::Result<Vec<u8>> {
        let user = control::user(&self.app, user).map_err(flat)?;
        Ok(control::drive::fingerprint::whole(&user))
    }

    pub fn random_drive_edits(&self, user: &str, seed: u64, count: usize) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        control::drive::random(&self.app, &user, &edits::RandomEdits { seed, count }).map_err(flat)
    }

    pub fn wipe_drive(&self, user: &str) -> anyhow::Result<()> {
        let user = control::user(&self.app, user).map_err(flat)?;
        control::drive::wipe(&self.app, &user);
        Ok(())
    }

    pub fn drive_edit(&self, user: &str, wanted: Value) -> anyhow::Result<Value> {
        let user = control::user(&self.app, user).map_err(flat)?;
        control::drive::edits::single(&self.app, &user, parse(wanted)?).map_err(flat)
    }

    pub fn set_faults(&self, plan: FaultPlan) {
        self.app.set_faults(Faults::new(plan));
    }

    pub fn clear_faults(&self) {
        self.app.set_faults(Faults::default());
    }

    pub fn set_limits(&self, limits: Limits) {
        *write(&self.app.limits) = limits;
    }

    /// Makes every delta token of this mailbox (or of all) stale.
    pub fn expire_delta(&self, user: Option<&str>) -> anyhow::Result<()> {
        control::expire_delta(&self.app, &serde_json::json!({"user": user})).map_err(flat)?;
        Ok(())
    }

    pub fn expire_tokens(&self) {
        write(&self.app.tokens).clear();
    }

    pub fn advance_clock(&self, seconds: i64) {
        self.app.clock.advance_seconds(seconds);
    }

    /// Requests that no client should send; the first thousand of them.
    pub fn violations(&self) -> Vec<Violation> {
        self.app.watch.violations()
    }

    /// Answers that Graph could not have given, the simulator's own fault; the first thousand of them.
    pub fn contract_breaches(&self) -> Vec<Breach> {
        self.app.watch.breaches()
    }

    /// What the attendees of meetings would have been mailed, and online meetings made.
    pub fn notices(&self) -> Vec<Notice> {
        self.app.watch.notices.all()
    }

    pub fn clear_violations(&self) {
        self.app.watch.clear_log();
    }

    pub fn stats(&self) -> Value {
        control::stats(&self.app)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The command is sent when `stop` is called; the future only waits for the end.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the simulator thread panicked");
        }
    }
}

fn flat(error: ControlError) -> anyhow::Error {
    anyhow!("{} ({})", error.1, error.0)
}

fn parse<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    serde_json::from_value(value).context("read the control request")
}

struct Started {
    app: Arc<App>,
    address: SocketAddr,
    ca_pem: Option<String>,
    handle: ServerHandle,
}

fn bind(options: Options) -> anyhow::Result<(Started, actix_web::dev::Server)> {
    let listener = TcpListener::bind(options.listen).with_context(|| format!("listen on {}", options.listen))?;
    let address = listener.local_addr().context("read the address listened on")?;
    let (https, workers) = (options.https, options.workers.max(1));
    let download_listen = options.download_listen;
    let app = Arc::new(populate::tenant(options));
    let scheme = if https { "https" } else { "http" };
    let beside = download_listen.unwrap_or(SocketAddr::new(address.ip(), 0));
    let downloads = TcpListener::bind(beside).with_context(|| format!("listen on {beside}"))?;
    let download_address = downloads.local_addr().context("read the address listened on for downloads")?;
    let set = app.origin.set(format!("{scheme}://{address}"));
    if set.and(app.download_origin.set(format!("{scheme}://{download_address}"))).is_err() {
        return Err(anyhow!("the origin was set twice"));
    }
    let data = web::Data::from(Arc::clone(&app));
    let http = HttpServer::new(move || WebApp::new().app_data(data.clone()).default_service(web::to(server::handle)))
        .workers(workers)
        .tcp_nodelay(true)
        .backlog(4096)
        .keep_alive(std::time::Duration::from_secs(120))
        .shutdown_timeout(1)
        .disable_signals();
    let (http, ca_pem) = if https {
        let tls = tls::make()?;
        let http = http.listen_rustls_0_23(listener, tls.config.clone()).context("listen with TLS")?;
        let http = http.listen_rustls_0_23(downloads, tls.config).context("listen with TLS for downloads")?;
        (http, Some(tls.ca_pem))
    } else {
        let http = http.listen(listener).context("listen")?;
        (http.listen(downloads).context("listen for downloads")?, None)
    };
    let server = http.run();
    let handle = server.handle();
    Ok((Started { app, address, ca_pem, handle }, server))
}
