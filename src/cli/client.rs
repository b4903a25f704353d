//! The API as the commands use it: paths, JSON, and errors that say what to do.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exit::CliError;
use crate::api::{Page, Problem};
use crate::secret::Secret;

/// A storage may be slow to answer; a server that takes longer is taken for gone.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Content may take days; a server that falls silent meanwhile is taken for gone like any other.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows asked for at once while a listing is read to its end.
const PAGE_ROWS: u32 = 500;

pub type Query<'a> = &'a [(&'a str, String)];

/// A server and the right to use it.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Secret<String>,
}

impl Client {
    /// `ca_pem`: certificates to trust beside those of the system.
    pub fn new(server: &str, token: Secret<String>, ca_pem: Option<&[u8]>) -> Result<Self, CliError> {
        let mut builder = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .read_timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kodo/", env!("CARGO_PKG_VERSION")));
        // To read all certificates of the system takes longer than most questions to a server on this machine.
        if server.starts_with("http://") {
            builder = builder.tls_built_in_root_certs(false);
        }
        if let Some(pem) = ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|err| CliError::Config(anyhow::Error::new(err).context("the CA file is not PEM")))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().map_err(|err| CliError::Config(err.into()))?;
        Ok(Self { http, base: server.trim_end_matches('/').to_owned(), token })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: Query<'_>) -> Result<T, CliError> {
        let request = self.request(Method::GET, path).query(query);
        self.answer(request).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        let request = self.request(Method::POST, path).json(body);
        self.answer(request).await
    }

    /// Reads a listing to its end, or to `limit` items.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        limit: u32,
    ) -> Result<Page<T>, CliError> {
        let mut all = Page::of_all(Vec::new());
        loop {
            let missing = limit.saturating_sub(all.items.len() as u32);
            let mut query = query.to_vec();
            query.push(("limit", missing.clamp(1, PAGE_ROWS).to_string()));
            query.extend(all.next.take().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            all.items.extend(page.items);
            (all.next, all.notes) = (page.next, page.notes);
            if all.next.is_none() || all.items.len() as u32 >= limit {
                return Ok(all);
            }
        }
    }

    /// The answer as a stream, for content that may be large.
    pub async fn download(&self, path: &str) -> Result<reqwest::Response, CliError> {
        let response = self.send(self.request(Method::GET, path).timeout(DOWNLOAD_TIMEOUT)).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api/v1/{path}", self.base)).bearer_auth(self.token.expose())
    }

    async fn answer<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, CliError> {
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let body = response.bytes().await.map_err(|err| self.unreachable(err))?;
        serde_json::from_slice(&body).map_err(|err| {
            CliError::Failed(format!("{} answered something unexpected ({err}): is its version this one's?", self.base))
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, CliError> {
        request.send().await.map_err(|err| self.unreachable(err))
    }

    fn unreachable(&self, err: reqwest::Error) -> CliError {
        let cause = format!("{:#}", anyhow::Error::new(err));
        let remedy = if cause.contains("certificate") || cause.contains("UnknownIssuer") {
            "give the server's certificate with --ca-file"
        } else {
            "is \"kodo serve\" running, and is --server right?"
        };
        CliError::Unreachable(format!("cannot reach {}: {cause}; {remedy}", self.base))
    }
}

async fn refusal(response: reqwest::Response) -> CliError {
    let status = response.status();
    let detail = match response.bytes().await.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok()) {
        Some(problem) => problem.detail,
        None => format!("the server answered {status}"),
    };
    match status {
        StatusCode::UNAUTHORIZED => CliError::Refused(format!(
            "{detail}; set KODO_TOKEN or give --token-file (\"kodo init\" writes the first token to admin-token in \
             the state directory)"
        )),
        StatusCode::FORBIDDEN => CliError::Refused(detail),
        // It answers, and cannot do anything: whoever waits goes on waiting.
        StatusCode::SERVICE_UNAVAILABLE => CliError::Unavailable(detail),
        _ => CliError::Failed(detail),
    }
}

/// One segment of a path, such as the name of a tenant.
pub fn segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        assert_eq!(segment("Contoso / Süd"), "Contoso%20%2F%20S%C3%BCd");
        assert_eq!(segment("adele@contoso.example"), "adele@contoso.example");
    }
}
