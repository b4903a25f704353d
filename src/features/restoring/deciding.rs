//! What is done with an item of a backup, given what the target holds. Pure.
//!
//! An item is found again by the marker of an earlier restore, by its own immutable id, or else by the feature's
//! natural key, in this order.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

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

/// What a target container holds already.
#[derive(Debug, Default)]
pub struct Existing {
    /// Items that carry a restore marker, by the item they came from: their own keys.
    marked: HashMap<ItemKey, ItemKey>,
    /// All items, by [`ItemKey::of`] their own Graph id.
    own: HashMap<ItemKey, Present>,
    /// Items without a marker, by their natural key. Each can stand for one item only: two copies of a mail have the
    /// same natural key.
    strangers: Mutex<HashMap<ItemKey, Vec<ItemKey>>>,
    /// No two items of the container can have the same natural key.
    keys_are_unique: bool,
}

impl Existing {
    /// For a container in which no two items can have the same natural key: whatever has it is in the way.
    pub fn with_unique_keys() -> Self {
        Self { keys_are_unique: true, ..Self::default() }
    }

    /// Notes an item, with the key of the item it was restored from if it carries a marker.
    pub fn add(&mut self, present: Present, marker: Option<ItemKey>) {
        let own = ItemKey::of(&present.id);
        match (marker, present.identity.natural_key) {
            (Some(marker), _) => drop(self.marked.insert(marker, own)),
            (None, Some(natural_key)) => {
                let strangers = self.strangers.get_mut().unwrap_or_else(PoisonError::into_inner);
                strangers.entry(natural_key).or_default().push(own);
            }
            (None, None) => {}
        }
        self.own.insert(own, present);
    }

    pub fn len(&self) -> usize {
        self.own.len()
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// The keys that the items would have in a backup of the target.
    pub fn own_keys(&self) -> impl Iterator<Item = ItemKey> {
        self.own.keys().copied()
    }

    /// Takes items out of the strangers that are known to be items of the backup themselves.
    pub fn recognise(&mut self, originals: &HashSet<ItemKey>) {
        if self.keys_are_unique {
            return;
        }
        let strangers = self.strangers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for own in strangers.values_mut() {
            own.retain(|key| !originals.contains(key));
        }
    }

    /// What is to be done with an item of the backup. A stranger that it is taken for stands for no other item.
    pub fn decide(&self, key: ItemKey, item: &Identity, on_conflict: OnConflict) -> Verdict {
        if let Some(copy) = self.marked.get(&key).and_then(|own| self.own.get(own)) {
            return match on_conflict {
                // Its own copy is there: another one would be one more with every repetition.
                OnConflict::Skip | OnConflict::KeepBoth => Verdict::AlreadyThere,
                OnConflict::Replace | OnConflict::ReplaceIfOlder => conflict(copy, item, on_conflict),
            };
        }
        if let Some(original) = self.own.get(&key) {
            return conflict(original, item, on_conflict);
        }
        match item.natural_key.and_then(|natural_key| self.take_stranger(natural_key)) {
            Some(stranger) => conflict(stranger, item, on_conflict),
            None => Verdict::Do(Action::Create),
        }
    }

    /// What an earlier restore made of an item: by its marker, or else by what no two items here have in common.
    pub fn copy_of(&self, key: ItemKey, item: &Identity) -> Option<&Present> {
        if let Some(own) = self.marked.get(&key) {
            return self.own.get(own);
        }
        let natural_key = item.natural_key.filter(|_| self.keys_are_unique)?;
        let strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        self.own.get(strangers.get(&natural_key)?.last()?)
    }

    /// An item with this natural key that stands for no other item yet; from now on it does.
    fn take_stranger(&self, natural_key: ItemKey) -> Option<&Present> {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let own = strangers.get_mut(&natural_key).and_then(Vec::pop)?;
        self.own.get(&own)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(natural: &str, state: u64, modified_s: i64) -> Identity {
        let modified = DateTime::from_timestamp(modified_s, 0);
        Identity { natural_key: Some(ItemKey::of(natural)), change_tag: None, state: Some(state), modified }
    }

    fn present(id: &str, identity: Identity) -> Present {
        Present { id: id.to_owned(), identity }
    }

    fn update(id: &str) -> Verdict {
        Verdict::Do(Action::Update { id: id.to_owned() })
    }

    #[test]
    fn what_is_missing_is_created_and_what_is_unchanged_left_alone() {
        let mut existing = Existing::default();
        existing.add(present("a", identity("mail", 7, 100)), None);
        for mode in OnConflict::ALL {
            let there = existing.decide(ItemKey::of("a"), &identity("mail", 7, 100), mode);
            let missing = existing.decide(ItemKey::of("b"), &identity("other", 7, 100), mode);

            assert_eq!(there, Verdict::AlreadyThere, "{mode:?}");
            assert_eq!(missing, Verdict::Do(Action::Create), "{mode:?}");
        }
    }

    #[test]
    fn what_was_changed_since_is_treated_as_the_administrator_chose() {
        let mut existing = Existing::default();
        existing.add(present("a", identity("mail", 8, 200)), None);
        let decide = |mode, modified_s| existing.decide(ItemKey::of("a"), &identity("mail", 7, modified_s), mode);

        assert!(matches!(decide(OnConflict::Skip, 100), Verdict::Kept { .. }));
        assert_eq!(decide(OnConflict::KeepBoth, 100), Verdict::Do(Action::CreateBeside));
        assert_eq!(decide(OnConflict::Replace, 100), update("a"));
        assert!(matches!(decide(OnConflict::ReplaceIfOlder, 100), Verdict::Kept { .. }));
        assert_eq!(decide(OnConflict::ReplaceIfOlder, 300), update("a"));
    }

    #[test]
    fn the_copy_of_an_earlier_restore_is_found_by_its_marker_and_never_made_twice() {
        let mut existing = Existing::default();
        existing.add(present("copy", identity("mail", 8, 200)), Some(ItemKey::of("a")));
        existing.add(present("a", identity("mail", 9, 200)), None);

        let decide = |mode| existing.decide(ItemKey::of("a"), &identity("mail", 7, 100), mode);

        assert_eq!(decide(OnConflict::Skip), Verdict::AlreadyThere);
        assert_eq!(decide(OnConflict::KeepBoth), Verdict::AlreadyThere);
        assert_eq!(decide(OnConflict::Replace), update("copy"));
    }

    #[test]
    fn what_has_the_name_is_in_the_way_though_the_backup_knows_it() {
        let mut existing = Existing::with_unique_keys();
        existing.add(present("new", identity("file", 8, 200)), None);
        existing.recognise(&HashSet::from([ItemKey::of("new")]));

        assert_eq!(existing.decide(ItemKey::of("old"), &identity("file", 7, 100), OnConflict::Replace), update("new"));
    }

    #[test]
    fn two_copies_of_one_mail_are_two_items() {
        let mut existing = Existing::default();
        existing.add(present("x", identity("mail", 7, 100)), None);
        existing.add(present("y", identity("mail", 7, 100)), None);
        existing.recognise(&HashSet::from([ItemKey::of("y")]));

        let decide = |id: &str| existing.decide(ItemKey::of(id), &identity("mail", 7, 100), OnConflict::Skip);

        assert_eq!(decide("y"), Verdict::AlreadyThere, "it is there itself");
        assert_eq!(decide("z"), Verdict::AlreadyThere, "x stands for it");
        assert_eq!(decide("w"), Verdict::Do(Action::Create), "x stands for another");
    }
}
