//! Exchange's own view of a mailbox: its id there, and the export of its items as streams that only Exchange reads.
//!
//! <https://learn.microsoft.com/graph/mailbox-import-export-concept-overview>; in the global cloud alone.

use std::fmt;
use std::sync::LazyLock;

use super::endpoint::{ID, USER};

/// What of a mailbox's import and export a request is about. Ids are the ones that Graph gave out, unencoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange<'a> {
    /// The ids of a user's mailboxes.
    Mailboxes,
    /// Takes up to twenty ids of items.
    ExportItems { mailbox: &'a str },
}

/// The SDK knows neither of them.
static PATHS: LazyLock<[Vec<String>; 2]> = LazyLock::new(|| {
    [&["users", USER, "settings", "exchange"][..], &["admin", "exchange", "mailboxes", ID, "exportItems"][..]]
        .map(|path| path.iter().map(|segment| (*segment).to_owned()).collect())
});

impl<'a> Exchange<'a> {
    /// The segments of the path, and the id that stands in it beside the user's.
    pub(super) fn path(self) -> (&'static [String], &'a str) {
        match self {
            Self::Mailboxes => (&PATHS[0], ""),
            Self::ExportItems { mailbox } => (&PATHS[1], mailbox),
        }
    }
}

/// For error texts: what, by ids that mean nothing to an outsider.
impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailboxes => write!(f, "the mailbox ids"),
            Self::ExportItems { mailbox } => write!(f, "the export of items of mailbox {mailbox}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::graph::Endpoint;

    #[test]
    fn an_export_stands_below_the_mailbox_and_counts_against_its_user() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        let export = Endpoint::Exchange { user: "u", what: Exchange::ExportItems { mailbox: "MBX:1@2" } };
        let mailboxes = Endpoint::Exchange { user: "u", what: Exchange::Mailboxes };

        assert_eq!(mailboxes.url(&base).as_str(), "http://127.0.0.1:8080/v1.0/users/u/settings/exchange");
        let expected = "http://127.0.0.1:8080/v1.0/admin/exchange/mailboxes/MBX%3A1%402/exportItems";
        assert_eq!(export.url(&base).as_str(), expected);
        assert_eq!(export.scope(), mailboxes.scope());
    }
}
