//! The changes of a calendar or a contact folder, page by page, in the best way that the server knows.
//!
//! That is delta; in small pages where the server gives up on larger ones (503 with nothing in it); else a plain
//! listing, which tells everything each time and is compared with the catalog. A delta over a window of time is no
//! substitute: it expands series into occurrences and does not see what lies outside. The way is part of the cursor, and
//! after some listings delta is tried again.
//!
//! A listing is paged by `$skip`: what is deleted while it is read would hide what moved up over the edge of a page. So
//! each page begins with the last entry of the one before; where it does not, the listing is begun anew.

use serde_json::Value;

use super::{PAGE_SIZE, walk_error};
use crate::features::entries::{self, is_removed};
use crate::features::{Change, Cursor, FeatureOptions, Next, Page, Source, Walk, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, JsonPage};

/// How large pages are where the server does not manage larger ones.
const PAGE_SIZE_SMALL: &str = "odata.maxpagesize=10";
/// Walks by listing before delta is tried again.
const LISTINGS_MAX: u32 = 30;

/// How often a listing is begun anew because what it lists changed meanwhile; after that it is taken as it is.
const ANEW_MAX: u32 = 3;

/// A container as far as its changes can be asked for.
pub(in crate::features) struct Collection<'a> {
    pub delta: Endpoint<'a>,
    /// What delta is to tell, where it can be told so.
    pub delta_select: Option<&'static str>,
    pub delta_page_size: &'static str,
    pub listing: Endpoint<'a>,
    pub listing_select: &'static str,
    /// An entry that is not a removal; `None`: it cannot be understood.
    pub read: fn(Value, &FeatureOptions) -> Option<Change>,
}

/// How to ask for the next page; the cursor of a walk in words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Delta { pages: Pages, link: Option<String> },
    Listing { n_before: u32, begun_anew: u32, at: Option<Place> },
}

/// How far a listing has come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    link: String,
    /// The entry that the page behind `link` begins with, if it overlaps the page before.
    last: Option<String>,
}

impl Place {
    fn behind(page: &JsonPage, link: String) -> Self {
        let last = page.value.last().and_then(|entry| entry["id"].as_str());
        match (last, step_back(&link)) {
            (Some(last), Some(link)) if page.value.len() > 1 => Self { link, last: Some(last.to_owned()) },
            _ => Self { link, last: None },
        }
    }

    fn continues(&self, page: &JsonPage) -> bool {
        self.last.is_none() || page.value.first().and_then(|entry| entry["id"].as_str()) == self.last.as_deref()
    }
}

/// The same page one entry earlier; `None`: its place is not told by `$skip`.
fn step_back(link: &str) -> Option<String> {
    let (at, name) = ["$skip=", "%24skip="].iter().find_map(|name| Some((link.find(name)?, name)))?;
    let (before, rest) = link.split_at(at + name.len());
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let skip = rest[..end].parse::<u64>().ok()?.checked_sub(1)?;
    Some(format!("{before}{skip}{}", &rest[end..]))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pages {
    Ordinary,
    Small,
}

const SMALL: &str = "small ";
const LISTING: &str = "listing ";

impl Way {
    const BEST: Self = Self::Delta { pages: Pages::Ordinary, link: None };

    fn of(walk: &Walk) -> Self {
        match walk {
            Walk::Start => Self::BEST,
            Walk::Resume(cursor) => Self::read(cursor),
            Walk::Since(cursor) => match Self::read(cursor) {
                Self::Listing { n_before, .. } if n_before >= LISTINGS_MAX => Self::BEST,
                way => way,
            },
        }
    }

    fn read(Cursor(text): &Cursor) -> Self {
        if let Some(link) = text.strip_prefix(SMALL) {
            return Self::Delta { pages: Pages::Small, link: Some(link.to_owned()) };
        }
        let Some(rest) = text.strip_prefix(LISTING) else {
            return Self::Delta { pages: Pages::Ordinary, link: Some(text.clone()) };
        };
        let mut words = rest.splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let (n_before, begun_anew) = (number(), number());
        let last = words.next().filter(|word| !word.is_empty()).map(str::to_owned);
        let at = words.next().map(|link| Place { link: link.to_owned(), last });
        Self::Listing { n_before, begun_anew, at }
    }

    fn cursor(self) -> Cursor {
        Cursor(match self {
            Self::Delta { pages: Pages::Ordinary, link } => link.unwrap_or_default(),
            Self::Delta { pages: Pages::Small, link } => format!("{SMALL}{}", link.unwrap_or_default()),
            Self::Listing { n_before, begun_anew, at: Some(Place { link, last }) } => {
                format!("{LISTING}{n_before} {begun_anew} {} {link}", last.unwrap_or_default())
            }
            Self::Listing { n_before, begun_anew, at: None } => format!("{LISTING}{n_before} {begun_anew}"),
        })
    }

    fn link(&self) -> Option<&str> {
        match self {
            Self::Delta { link, .. } => link.as_deref(),
            Self::Listing { at, .. } => at.as_ref().map(|place| place.link.as_str()),
        }
    }

    /// What to try when this way ended with `error`.
    fn after(&self, error: &GraphError) -> Option<Self> {
        let listing = Self::Listing { n_before: 0, begun_anew: 0, at: None };
        match (self, error) {
            (Self::Listing { .. }, _) => None,
            // "Parameter 'DeltaToken' not supported for this request", in whatever words.
            (Self::Delta { .. }, GraphError::Refused { .. }) => Some(listing),
            (Self::Delta { pages, link }, GraphError::Transient { answer, .. }) if answer.status() == Some(503) => {
                Some(match pages {
                    Pages::Ordinary => Self::Delta { pages: Pages::Small, link: link.clone() },
                    Pages::Small => listing,
                })
            }
            (Self::Delta { .. }, _) => None,
        }
    }
}

pub(in crate::features) async fn page(source: Source<'_>, of: &Collection<'_>, walk: &Walk) -> Result<Page, WalkError> {
    let mut way = Way::of(walk);
    let page = loop {
        match ask(source, of, &way).await? {
            Ok(page) => break page,
            Err(error) => match way.after(&error) {
                Some(next) => {
                    tracing::info!(error = %error, from = ?kind(&way), to = ?kind(&next), "changes are asked for otherwise");
                    way = next;
                }
                None => return Err(walk_error(error)),
            },
        }
    };
    let begins_full_walk = way.link().is_none();
    let next = next(way, &page)
        .ok_or_else(|| GraphError::protocol(of.delta, "the page has neither nextLink nor deltaLink"))?;
    let change = |id, entry| {
        if is_removed(&entry) { Some(Change::Removed { id }) } else { (of.read)(entry, source.options) }
    };
    let changes = entries::read(page.value, change);
    let changes = changes.ok_or_else(|| GraphError::protocol(of.delta, "an entry has no id or an unexpected shape"))?;
    Ok(Page { begins_full_walk, changes, next })
}

/// Where the walk goes on; `None`: the page does not say.
fn next(way: Way, page: &JsonPage) -> Option<Next> {
    let link = page.next.clone();
    Some(match way {
        Way::Delta { pages, .. } if link.is_some() => Next::Page(Way::Delta { pages, link }.cursor()),
        Way::Delta { pages, .. } => Next::Done(Way::Delta { pages, link: Some(page.delta.clone()?) }.cursor()),
        Way::Listing { n_before, begun_anew, at: Some(place) } if begun_anew < ANEW_MAX && !place.continues(page) => {
            tracing::info!(begun_anew, "a listing changed while it was read and is begun anew");
            Next::Page(Way::Listing { n_before, begun_anew: begun_anew + 1, at: None }.cursor())
        }
        Way::Listing { n_before, begun_anew, .. } => match link {
            Some(link) => {
                let at = Some(Place::behind(page, link));
                Next::Page(Way::Listing { n_before, begun_anew, at }.cursor())
            }
            None => {
                let n_before = n_before.saturating_add(1);
                Next::Done(Way::Listing { n_before, begun_anew: 0, at: None }.cursor())
            }
        },
    })
}

/// For the log: links are long, and tell nothing.
fn kind(way: &Way) -> &'static str {
    match way {
        Way::Delta { pages: Pages::Ordinary, .. } => "delta",
        Way::Delta { pages: Pages::Small, .. } => "delta in small pages",
        Way::Listing { .. } => "listing",
    }
}

async fn ask(source: Source<'_>, of: &Collection<'_>, way: &Way) -> Result<Result<JsonPage, GraphError>, WalkError> {
    let (endpoint, select, page_size) = match way {
        Way::Delta { pages: Pages::Ordinary, .. } => (of.delta, of.delta_select, of.delta_page_size),
        Way::Delta { pages: Pages::Small, .. } => (of.delta, of.delta_select, PAGE_SIZE_SMALL),
        Way::Listing { .. } => (of.listing, Some(of.listing_select), PAGE_SIZE),
    };
    let call = match (way.link(), select) {
        // A link of another service is one from before the configuration changed: it is worth nothing now.
        (Some(link), _) => source.graph.follow(endpoint, link).map_err(|_| WalkError::Expired)?,
        (None, Some(select)) => source.graph.get(endpoint).query("$select", select),
        (None, None) => source.graph.get(endpoint),
    };
    Ok(call.prefer(IMMUTABLE_IDS).prefer(page_size).page().await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_tells_the_way_it_was_made_for() {
        let link = || Some("https://graph.microsoft.com/v1.0/x?$deltatoken=a b".to_owned());
        let place = |last| Some(Place { link: link()?, last });
        for way in [
            Way::Delta { pages: Pages::Ordinary, link: link() },
            Way::Delta { pages: Pages::Small, link: link() },
            Way::Listing { n_before: 7, begun_anew: 0, at: None },
            Way::Listing { n_before: 7, begun_anew: 2, at: None },
            Way::Listing { n_before: 7, begun_anew: 1, at: place(None) },
            Way::Listing { n_before: 7, begun_anew: 1, at: place(Some("AAMk=".to_owned())) },
        ] {
            assert_eq!(Way::read(&way.clone().cursor()), way);
            assert_eq!(Way::of(&Walk::Since(way.clone().cursor())), way);
        }
    }

    #[test]
    fn after_some_listings_delta_is_tried_again() {
        let since = |n_before| Way::of(&Walk::Since(Way::Listing { n_before, begun_anew: 0, at: None }.cursor()));

        assert_eq!(since(LISTINGS_MAX), Way::BEST);
        assert_ne!(since(LISTINGS_MAX - 1), Way::BEST);
    }

    #[test]
    fn a_page_is_asked_for_from_the_last_entry_of_the_one_before() {
        let back = |link| step_back(link);

        assert_eq!(back("https://g/v1.0/x?$skip=50&$top=5").as_deref(), Some("https://g/v1.0/x?$skip=49&$top=5"));
        assert_eq!(back("https://g/v1.0/x?a=b&%24skip=100").as_deref(), Some("https://g/v1.0/x?a=b&%24skip=99"));
        assert_eq!(back("https://g/v1.0/x?$skip=0"), None);
        assert_eq!(back("https://g/v1.0/x?$skiptoken=abc"), None);
    }
}
