//! Collections: one page at a time, links followed as they were given out, and never to another host.

use serde_json::Value;
use url::Url;

use super::GraphClient;
use super::call::Call;
use super::endpoint::Endpoint;
use super::error::{Answer, GraphError};

/// Pages without an item that are walked before a collection is taken for endless.
const EMPTY_PAGES_MAX: usize = 1_000;

/// One page of a collection.
#[derive(Debug, Default)]
pub struct JsonPage {
    pub value: Vec<Value>,
    /// `@odata.nextLink`: more pages follow. An empty page may have one.
    pub next: Option<String>,
    /// `@odata.deltaLink`: where the next walk begins.
    pub delta: Option<String>,
}

impl Call<'_> {
    /// Sends, and reads one page. Its links are looked at here, so that a bad one is not kept for the next run.
    pub async fn page(self) -> Result<JsonPage, GraphError> {
        let what = self.what().to_owned();
        let base = self.base().clone();
        let protocol = |message: &str| GraphError::Protocol { answer: Answer::new(what.clone()).with_message(message) };
        let mut json = self.json().await?;
        let Value::Array(value) = json["value"].take() else {
            return Err(protocol("the answer is not a page: it has no \"value\""));
        };
        let link = |name: &str| json[name].as_str().map(str::to_owned);
        let page = JsonPage { value, next: link("@odata.nextLink"), delta: link("@odata.deltaLink") };
        if page.next.iter().chain(&page.delta).any(|link| within(&base, link).is_none()) {
            return Err(protocol("a link of the page leads to another service"));
        }
        Ok(page)
    }
}

impl GraphClient {
    /// A call to a link that Graph gave out for `endpoint`. A link that leads elsewhere is refused: it would carry
    /// the access token there.
    pub fn follow(&self, endpoint: Endpoint<'_>, link: &str) -> Result<Call<'_>, GraphError> {
        match within(&self.0.base, link) {
            Some(url) => Ok(Call::to(self, reqwest::Method::GET, endpoint, url)),
            None => {
                let answer = Answer::new(format!("following a link of {endpoint}"));
                Err(GraphError::Protocol { answer: answer.with_message("the link leads to another service") })
            }
        }
    }

    /// All items of a collection that is known to be small; more than `items_max` is an error. The preferences are
    /// sent with every page, because links do not carry them.
    pub async fn list(
        &self,
        endpoint: Endpoint<'_>,
        items_max: usize,
        query: &[(&str, &str)],
        preferences: &[&str],
    ) -> Result<Vec<Value>, GraphError> {
        let mut call = query.iter().fold(self.get(endpoint), |call, (name, value)| call.query(name, value));
        let mut items = Vec::new();
        for _ in 0..items_max + EMPTY_PAGES_MAX {
            let page = preferences.iter().fold(call, |call, preference| call.prefer(preference)).page().await?;
            items.extend(page.value);
            match page.next {
                Some(next) if items.len() <= items_max => call = self.follow(endpoint, &next)?,
                None if items.len() <= items_max => return Ok(items),
                Some(_) | None => break,
            }
        }
        let answer = Answer::new(format!("GET {endpoint}"));
        Err(GraphError::Protocol { answer: answer.with_message(format!("there are more than {items_max}")) })
    }
}

/// The link as a URL, when it is below `base`.
fn within(base: &Url, link: &str) -> Option<Url> {
    let url = Url::parse(link).ok()?;
    let below = url.path().strip_prefix(base.path().trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    let same = url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
    (same && below).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_followed_below_the_base_alone() {
        let base = Url::parse("https://graph.microsoft.com/v1.0").unwrap();
        let follows = |link: &str| within(&base, link).is_some();

        assert!(follows("https://graph.microsoft.com/v1.0/users('u')/mailFolders('f')/messages/delta?$skiptoken=x"));
        for elsewhere in [
            "https://evil.example/v1.0/users",
            "http://graph.microsoft.com/v1.0/users",
            "https://graph.microsoft.com:444/v1.0/users",
            "https://graph.microsoft.com/v1.0x/users",
            "https://graph.microsoft.com/beta/users",
            "https://a:b@graph.microsoft.com/v1.0/users",
            "/v1.0/users",
        ] {
            assert!(!follows(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_query_of_a_link_is_left_as_it_is() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        let link = "http://127.0.0.1:8080/v1.0/users/u/messages/delta?$deltatoken=a%2Bb+c";

        assert_eq!(within(&base, link).unwrap().as_str(), link);
    }
}
