//! What is done with an item of a backup when the target holds another state of it, or the same. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::ItemKey;

/// What is done when the target holds another state of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// What is there stays as it is.
    #[default]
    Skip,
    /// The item of the backup is created beside it.
    KeepBoth,
    /// What is there becomes as the backup has it.
    Replace,
    /// As `replace`, when what is there was modified before the item of the backup was.
    ReplaceIfOlder,
}

impl OnConflict {
    pub const ALL: [Self; 4] = [Self::Skip, Self::KeepBoth, Self::Replace, Self::ReplaceIfOlder];

    /// As in the API and in tasks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::KeepBoth => "keep_both",
            Self::Replace => "replace",
            Self::ReplaceIfOlder => "replace_if_older",
        }
    }

    /// Whether what is there may be changed.
    pub const fn may_change(self) -> bool {
        match self {
            Self::Skip | Self::KeepBoth => false,
            Self::Replace | Self::ReplaceIfOlder => true,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What tells an item apart from others, and one state of it from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What is the same for all copies of it, hashed with [`ItemKey::of`]: for mail the internet message id, for a
    /// file its name. `None`: nothing is.
    pub natural_key: Option<ItemKey>,
    /// [`super::super::change_tag`] of Microsoft's change key or content tag.
    pub change_tag: Option<u64>,
    /// Folded from all that a restore brings back of it: equal states need no update.
    pub state: Option<u64>,
    pub modified: Option<DateTime<Utc>>,
}

/// An item that the target holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its Graph id.
    pub id: String,
    pub identity: Identity,
}

impl Present {
    fn is_as(&self, stored: &Identity) -> bool {
        let same = |here: Option<u64>, there: Option<u64>| here.is_some() && here == there;
        same(self.identity.change_tag, stored.change_tag) || same(self.identity.state, stored.state)
    }
}

/// What is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    /// Beside an item of the same natural key: where names must be unique, under another name.
    CreateBeside,
    /// The item with this Graph id becomes as the backup has it.
    Update {
        id: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Do(Action),
    AlreadyThere,
    /// Another state of it is there and stays.
    Kept {
        why: &'static str,
    },
}

/// What is done about an item that is there.
pub(super) fn conflict(present: &Present, item: &Identity, on_conflict: OnConflict) -> Verdict {
    let update = || Verdict::Do(Action::Update { id: present.id.clone() });
    if present.is_as(item) {
        return Verdict::AlreadyThere;
    }
    match on_conflict {
        OnConflict::Skip => Verdict::Kept { why: "another state of it is there" },
        OnConflict::KeepBoth => Verdict::Do(Action::CreateBeside),
        OnConflict::Replace => update(),
        OnConflict::ReplaceIfOlder => match (present.identity.modified, item.modified) {
            (Some(here), Some(there)) if here < there => update(),
            (Some(_), Some(_)) => Verdict::Kept { why: "what is there was modified later" },
            (None, _) | (_, None) => Verdict::Kept { why: "nobody says which of the two was modified later" },
        },
    }
}
