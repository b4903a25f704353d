//! The changes of a calendar or a contact folder, page by page, in the best way that the server knows.
//!
//! That is delta; in small pages where the server gives up on larger ones (503 with nothing in it); else a plain
//! listing, which tells everything each time and is compared with the catalog. A delta over a window of time is no
//! substitute: it expands series into occurrences and does not see what lies outside. The way is part of the cursor, and
//! after some listings delta is tried again.
//!
//! A listing is paged by `$skip`: what is deleted while it is read can hide what moved up over the edge of a page. Such
//! an item would be missing from one restore point; pages are as large as the server makes them, so that edges are rare.

use serde_json::Value;

use super::{PAGE_SIZE, walk_error};
use crate::features::entries::{self, is_removed};
use crate::features::{Change, Cursor, FeatureOptions, Next, Page, Source, Walk, WalkError};
use crate::graph::{Endpoint, GraphError, IMMUTABLE_IDS, JsonPage};

/// How large pages are where the server does not manage larger ones.
const PAGE_SIZE_SMALL: &str = "odata.maxpagesize=10";
/// Walks by listing before delta is tried again.
const LISTINGS_MAX: u32 = 30;

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
    Listing { n_before: u32, link: Option<String> },
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
        let (number, link) =
            rest.split_once(' ').map_or((rest, None), |(number, link)| (number, Some(link.to_owned())));
        Self::Listing { n_before: number.parse().unwrap_or(0), link }
    }

    fn cursor(self) -> Cursor {
        Cursor(match self {
            Self::Delta { pages: Pages::Ordinary, link } => link.unwrap_or_default(),
            Self::Delta { pages: Pages::Small, link } => format!("{SMALL}{}", link.unwrap_or_default()),
            Self::Listing { n_before, link: Some(link) } => format!("{LISTING}{n_before} {link}"),
            Self::Listing { n_before, link: None } => format!("{LISTING}{n_before}"),
        })
    }

    fn link(&self) -> Option<&str> {
        match self {
            Self::Delta { link, .. } | Self::Listing { link, .. } => link.as_deref(),
        }
    }

    /// What to try when this way ended with `error`.
    fn after(&self, error: &GraphError) -> Option<Self> {
        let listing = Self::Listing { n_before: 0, link: None };
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
    let JsonPage { value, next, delta } = page;
    let next = match (way, next, delta) {
        (Way::Delta { pages, .. }, link @ Some(_), _) => Next::Page(Way::Delta { pages, link }.cursor()),
        (Way::Delta { pages, .. }, None, link @ Some(_)) => Next::Done(Way::Delta { pages, link }.cursor()),
        (Way::Delta { .. }, None, None) => {
            return Err(GraphError::protocol(of.delta, "the page has neither nextLink nor deltaLink").into());
        }
        (Way::Listing { n_before, .. }, link @ Some(_), _) => Next::Page(Way::Listing { n_before, link }.cursor()),
        (Way::Listing { n_before, .. }, None, _) => {
            Next::Done(Way::Listing { n_before: n_before.saturating_add(1), link: None }.cursor())
        }
    };
    let change = |id, entry| {
        if is_removed(&entry) { Some(Change::Removed { id }) } else { (of.read)(entry, source.options) }
    };
    let changes = entries::read(value, change);
    let changes = changes.ok_or_else(|| GraphError::protocol(of.delta, "an entry has no id or an unexpected shape"))?;
    Ok(Page { begins_full_walk, changes, next })
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
        for way in [
            Way::Delta { pages: Pages::Ordinary, link: link() },
            Way::Delta { pages: Pages::Small, link: link() },
            Way::Listing { n_before: 7, link: None },
            Way::Listing { n_before: 7, link: link() },
        ] {
            assert_eq!(Way::read(&way.clone().cursor()), way);
            assert_eq!(Way::of(&Walk::Since(way.clone().cursor())), way);
        }
    }

    #[test]
    fn after_some_listings_delta_is_tried_again() {
        let since = |n_before| Way::of(&Walk::Since(Way::Listing { n_before, link: None }.cursor()));

        assert_eq!(since(LISTINGS_MAX), Way::BEST);
        assert_ne!(since(LISTINGS_MAX - 1), Way::BEST);
    }
}
