//! One of the small things of a mailbox that have an id: a category, an inbox rule.

use std::fmt;
use std::sync::LazyLock;

use graph_rs_sdk::GraphClient as Sdk;

use super::endpoint::{ID, USER, segments};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsPart<'a> {
    Category { category: &'a str },
    InboxRule { rule: &'a str },
}

/// The paths in the order of [`SettingsPart::path`].
static PATHS: LazyLock<[Vec<String>; 2]> = LazyLock::new(|| {
    let sdk = Sdk::new("unused: nothing is sent by this client");
    [
        sdk.user(USER).outlook().get_master_categories(ID).url(),
        sdk.user(USER).mail_folder("inbox").get_message_rules(ID).url(),
    ]
    .map(|url| segments(&url))
});

impl<'a> SettingsPart<'a> {
    /// The segments of the path, and the id that stands in it.
    pub(super) fn path(self) -> (&'static [String], &'a str) {
        match self {
            Self::Category { category } => (&PATHS[0], category),
            Self::InboxRule { rule } => (&PATHS[1], rule),
        }
    }
}

/// For error texts: what, by ids that mean nothing to an outsider.
impl fmt::Display for SettingsPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Category { category } => write!(f, "category {category}"),
            Self::InboxRule { rule } => write!(f, "inbox rule {rule}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::graph::Endpoint;

    #[test]
    fn a_category_and_a_rule_have_a_path_of_their_own_and_need_the_permission_for_settings() {
        let base = Url::parse("http://127.0.0.1:8080/v1.0").unwrap();
        for (what, expected) in [
            (SettingsPart::Category { category: "c+" }, "outlook/masterCategories/c%2B"),
            (SettingsPart::InboxRule { rule: "r=" }, "mailFolders/inbox/messageRules/r%3D"),
        ] {
            let endpoint = Endpoint::SettingsPart { user: "u", what };
            assert_eq!(endpoint.url(&base).as_str(), format!("http://127.0.0.1:8080/v1.0/users/u/{expected}"));
            assert_eq!(endpoint.permission(), "MailboxSettings");
        }
    }
}
