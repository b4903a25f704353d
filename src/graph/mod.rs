//! Microsoft Graph: the only place that knows Microsoft's URLs, tokens and limits.
//!
//! Owns: sending (one path for every request), access tokens, throttling, retries that are safe, paging, downloads,
//! uploads, and telling errors apart by what to do about them.
//!
//! Invariants: no token goes to another host than the configured one, and the URL of a download, which needs none, into
//! no log; no request leaves before its scope's `Retry-After` has passed, whichever agent heard of it (`desk`); a mailbox
//! sees four requests at once at most, bodies included; a request that creates is never sent again when it is unclear whether it was carried out. Every
//! future is cancel-safe: dropping one frees its slot.
//!
//! Does not own: what mail, events or files mean; that is `features`.

mod body;
mod call;
mod config;
mod desk;
mod directory;
mod download;
mod drive;
mod drive_target;
mod endpoint;
mod error;
mod exchange;
mod json;
mod login;
mod outcome;
mod outlook;
mod page;
mod retry;
mod room;
mod settings_part;
mod standing;
mod throttle;
mod token;
mod upload;
mod upload_file;
mod upload_session;
mod window;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use url::Url;

pub use body::Body;
pub use call::Call;
pub use config::{Cloud, GraphConfig};
pub use desk::{Desk, Matter, Question, Settled, Stored};
pub use directory::{DirectoryUser, MailboxState, Problem, Severity, UserPage};
pub use download::{Download, DownloadError};
pub use drive::DriveEndpoint;
pub use drive_target::DriveTarget;
pub use endpoint::{Endpoint, IMMUTABLE_IDS, Scope};
pub use error::{Answer, GraphError};
pub use exchange::Exchange;
pub use outlook::Outlook;
pub use page::JsonPage;
pub use settings_part::SettingsPart;
pub use standing::{Fence, Moment};
pub use throttle::Waiting;
pub use token::{Credential, TenantCredentials};
pub use upload::FileUpload;
pub use upload_file::FRAGMENT_BYTES;

/// The door to one company's Microsoft 365. Cheap to clone, and the clones share tokens and limits: make one for
/// each tenant and process.
#[derive(Clone)]
pub struct GraphClient(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: Url,
    tokens: token::Tokens,
    throttle: throttle::Throttle,
    limits: Limits,
}

struct Limits {
    attempts_max: u32,
    wait_max: Duration,
    spool_above_bytes: u64,
}

impl GraphClient {
    /// Checks the configuration and the shape of the credentials; sends nothing yet. This client alone uses the limits
    /// of its tenant.
    pub fn new(config: &GraphConfig, tenant: TenantCredentials) -> anyhow::Result<Self> {
        Self::at(config, tenant, None)
    }

    /// A client that shares the limits of its tenant with other agents. It waits for whoever sits at the desk.
    pub fn sharing(config: &GraphConfig, tenant: TenantCredentials) -> anyhow::Result<(Self, Desk)> {
        let (counter, desk) = desk::open(config);
        Ok((Self::at(config, tenant, Some(counter))?, desk))
    }

    fn at(config: &GraphConfig, tenant: TenantCredentials, desk: Option<desk::Counter>) -> anyhow::Result<Self> {
        config.validate()?;
        let base = config.base()?;
        let http = http_client(config)?;
        let place = token::LoginPlace {
            login: config.login()?,
            scope: config.scope(&base),
            attempts_max: config.attempts_max,
            wait_max: config.wait_max(),
        };
        Ok(Self(Arc::new(Inner {
            tokens: token::Tokens::new(http.clone(), place, tenant)?,
            http,
            base,
            throttle: throttle::Throttle::new(config, desk),
            limits: Limits {
                attempts_max: config.attempts_max,
                wait_max: config.wait_max(),
                spool_above_bytes: config.spool_above_bytes,
            },
        })))
    }

    pub fn get(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::GET, endpoint)
    }

    /// A call that creates: after an unclear end it answers [`GraphError::Ambiguous`] instead of being repeated.
    pub fn post(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::POST, endpoint)
    }

    /// A call that asks with a body and changes nothing.
    pub fn ask(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::POST, endpoint).repeatable()
    }

    pub fn put(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::PUT, endpoint)
    }

    pub fn patch(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::PATCH, endpoint)
    }

    pub fn delete(&self, endpoint: Endpoint<'_>) -> Call<'_> {
        Call::new(self, Method::DELETE, endpoint)
    }

    /// Up to this length a body is held in memory.
    pub fn memory_bytes_max(&self) -> u64 {
        self.0.limits.spool_above_bytes
    }

    /// Tells other agents what was used of a scope and heard of it, and goes on from what all of them know: to be called
    /// before the first request of a task, which has the mailbox for itself.
    pub async fn agree(&self, scope: &Scope) {
        self.0.throttle.agree(scope).await;
    }

    /// Tells other agents what was used of a scope, without waiting for it: when a task is done with it.
    pub fn tell(&self, scope: &Scope) {
        self.0.throttle.tell(scope);
    }

    /// Returns when all that Microsoft asked for until now is known to the other agents: before a task ends.
    pub async fn told(&self) {
        self.0.throttle.told().await;
    }

    /// What requests of this scope wait for at this moment.
    pub fn waiting(&self, scope: &Scope) -> Option<Waiting> {
        self.0.throttle.waiting(scope)
    }
}

fn http_client(config: &GraphConfig) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(config.user_agent())
        .connect_timeout(Duration::from_secs(config.connect_timeout_s))
        .read_timeout(Duration::from_secs(config.read_timeout_s))
        // A redirect would carry the token along; where one is expected it is followed by hand, without the token.
        .redirect(reqwest::redirect::Policy::none())
        // The environment is read by `config` alone.
        .no_proxy();
    if let Some(path) = &config.ca_file {
        let named = || format!("graph.ca_file {}", path.display());
        let pem = std::fs::read(path).with_context(named)?;
        for certificate in reqwest::Certificate::from_pem_bundle(&pem).with_context(named)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(proxy) = &config.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).context("graph.proxy")?);
    }
    builder.build().context("cannot set up the HTTP client")
}
