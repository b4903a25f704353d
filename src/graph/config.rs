//! The `[graph]` section: which cloud, how to get there, and the limits that are kept.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use url::{Host, Url};

pub const DEFAULT_BASE_URL: &str = "https://graph.microsoft.com/v1.0";
pub const DEFAULT_LOGIN_URL: &str = "https://login.microsoftonline.com";

/// How Microsoft Graph is reached. Every key has a default that fits Microsoft's worldwide cloud.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// A Microsoft cloud by name; it sets both URLs.
    pub cloud: Option<Cloud>,
    pub base_url: String,
    pub login_url: String,
    /// A PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// `http://` or `https://` proxy for every request. Proxy variables of the environment are not read.
    pub proxy: Option<String>,
    pub connect_timeout_s: u64,
    /// The longest silence while an answer is awaited or read.
    pub read_timeout_s: u64,
    /// Requests under way at once to one tenant, all mailboxes together.
    pub concurrency_max: u32,
    /// Requests under way at once to one mailbox. Microsoft allows four.
    pub mailbox_concurrency_max: u32,
    /// Microsoft allows 10,000 for each app and mailbox.
    pub mailbox_requests_per_10_min: u64,
    /// Bytes sent to one mailbox in any five minutes. Microsoft allows 150 MB.
    pub mailbox_upload_bytes_per_5_min: u64,
    /// Requests under way at once to all drives of one tenant, downloads included.
    pub drive_concurrency_max: u32,
    /// SharePoint's resource units for each app and tenant. Microsoft allows 1,250 a minute and 1.2 million a day up to
    /// 1,000 licences, and more above.
    pub drive_units_per_min: u64,
    pub drive_units_per_day: u64,
    /// How often one request is sent before its failure is reported.
    pub attempts_max: u32,
    /// The longest wait that a request sits out; a longer one is handed to the task, which is snoozed.
    pub wait_max_s: u64,
    /// A downloaded body above this size goes to an unnamed temporary file instead of memory; a file is then stored while
    /// it is read.
    pub spool_above_bytes: u64,
    /// Named in the User-Agent, as Microsoft asks; throttling prefers decorated traffic.
    pub company: String,
}

/// Microsoft's clouds, national ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    Worldwide,
    UsGov,
    DoD,
    China,
}

impl Cloud {
    fn base_url(self) -> &'static str {
        match self {
            Self::Worldwide => DEFAULT_BASE_URL,
            Self::UsGov => "https://graph.microsoft.us/v1.0",
            Self::DoD => "https://dod-graph.microsoft.us/v1.0",
            Self::China => "https://microsoftgraph.chinacloudapi.cn/v1.0",
        }
    }

    fn login_url(self) -> &'static str {
        match self {
            Self::Worldwide => DEFAULT_LOGIN_URL,
            Self::UsGov | Self::DoD => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            cloud: None,
            base_url: DEFAULT_BASE_URL.to_owned(),
            login_url: DEFAULT_LOGIN_URL.to_owned(),
            ca_file: None,
            proxy: None,
            connect_timeout_s: 15,
            read_timeout_s: 120,
            concurrency_max: 256,
            mailbox_concurrency_max: 4,
            mailbox_requests_per_10_min: 10_000,
            mailbox_upload_bytes_per_5_min: 150_000_000,
            drive_concurrency_max: 16,
            drive_units_per_min: 1_250,
            drive_units_per_day: 1_200_000,
            attempts_max: 6,
            wait_max_s: 300,
            spool_above_bytes: 4 << 20,
            company: "Unknown".to_owned(),
        }
    }
}

impl GraphConfig {
    /// Refuses what cannot work or would send a token in plain text over a network.
    pub fn validate(&self) -> anyhow::Result<()> {
        let own_urls = self.base_url != DEFAULT_BASE_URL || self.login_url != DEFAULT_LOGIN_URL;
        ensure!(
            self.cloud.is_none() || !own_urls,
            "graph.cloud sets both URLs: leave out graph.base_url and graph.login_url, or leave out graph.cloud"
        );
        self.base().context("graph.base_url")?;
        self.login().context("graph.login_url")?;
        if let Some(proxy) = &self.proxy {
            Url::parse(proxy).context("graph.proxy is not a URL")?;
        }
        for (key, value) in [
            ("connect_timeout_s", self.connect_timeout_s),
            ("read_timeout_s", self.read_timeout_s),
            ("concurrency_max", self.concurrency_max.into()),
            ("mailbox_concurrency_max", self.mailbox_concurrency_max.into()),
            ("mailbox_requests_per_10_min", self.mailbox_requests_per_10_min),
            ("mailbox_upload_bytes_per_5_min", self.mailbox_upload_bytes_per_5_min),
            ("drive_concurrency_max", self.drive_concurrency_max.into()),
            ("drive_units_per_min", self.drive_units_per_min),
            ("drive_units_per_day", self.drive_units_per_day),
            ("attempts_max", self.attempts_max.into()),
        ] {
            ensure!(value > 0, "graph.{key} must be at least 1");
        }
        let printable = |c: char| c.is_ascii_graphic() && c != '|';
        ensure!(
            !self.company.is_empty() && self.company.chars().all(printable),
            "graph.company must be letters, digits and signs without spaces or '|', not \"{}\"",
            self.company
        );
        Ok(())
    }

    /// Where the API is, without a slash at the end.
    pub fn base(&self) -> anyhow::Result<Url> {
        safe_url(self.cloud.map_or(self.base_url.as_str(), |cloud| cloud.base_url()))
    }

    /// Where tokens are issued, without a slash at the end.
    pub fn login(&self) -> anyhow::Result<Url> {
        safe_url(self.cloud.map_or(self.login_url.as_str(), |cloud| cloud.login_url()))
    }

    /// What a token is asked for. A gateway in front of Graph still needs a token for Graph itself.
    pub(super) fn scope(&self, base: &Url) -> String {
        let clouds = [Cloud::UsGov, Cloud::DoD, Cloud::China];
        let same_host = |own: &&str| Url::parse(own).is_ok_and(|own| own.host_str() == base.host_str());
        let hosted = clouds.into_iter().map(Cloud::base_url).find(same_host);
        let audience = hosted.unwrap_or(DEFAULT_BASE_URL).trim_end_matches("/v1.0");
        format!("{audience}/.default")
    }

    pub(super) fn wait_max(&self) -> Duration {
        Duration::from_secs(self.wait_max_s)
    }

    pub(super) fn user_agent(&self) -> String {
        format!("NONISV|{}|KODO/{}", self.company, env!("CARGO_PKG_VERSION"))
    }
}

/// A URL to which a secret may be sent: https, or plain http that stays on this machine.
pub(super) fn safe_url(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text.trim_end_matches('/')).with_context(|| format!("\"{text}\" is not a URL"))?;
    ensure!(url.query().is_none() && url.fragment().is_none(), "\"{text}\" must end with its path");
    ensure!(url.username().is_empty() && url.password().is_none(), "a URL must not hold a name or a password");
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => bail!("\"{text}\" would send credentials in plain text: use https (http is for loopback addresses)"),
        other => bail!("\"{text}\" has the scheme {other}: use https"),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_base(base_url: &str) -> GraphConfig {
        GraphConfig { base_url: base_url.to_owned(), ..GraphConfig::default() }
    }

    #[test]
    fn plain_http_is_accepted_on_loopback_addresses_alone() {
        for good in ["http://127.0.0.1:8080/v1.0", "http://[::1]:1/v1.0", "http://localhost/v1.0", "https://g.example"]
        {
            with_base(good).validate().unwrap();
        }
        for bad in ["http://graph.microsoft.com/v1.0", "http://127.0.0.1.example/v1.0", "ftp://localhost/", "nonsense"]
        {
            assert!(with_base(bad).validate().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cloud_sets_both_urls_and_the_audience_of_tokens() {
        let config = GraphConfig { cloud: Some(Cloud::China), ..GraphConfig::default() };

        config.validate().unwrap();
        let base = config.base().unwrap();

        assert_eq!(base.as_str(), "https://microsoftgraph.chinacloudapi.cn/v1.0");
        assert_eq!(config.login().unwrap().host_str(), Some("login.partner.microsoftonline.cn"));
        assert_eq!(config.scope(&base), "https://microsoftgraph.chinacloudapi.cn/.default");
        let local = with_base("http://127.0.0.1:9/v1.0");
        assert_eq!(local.scope(&local.base().unwrap()), "https://graph.microsoft.com/.default");
    }

    #[test]
    fn a_company_that_would_break_the_user_agent_is_refused() {
        for bad in ["", "two words", "pipe|pipe", "Grün"] {
            assert!(GraphConfig { company: bad.to_owned(), ..GraphConfig::default() }.validate().is_err(), "{bad}");
        }
    }
}
