//! What is found of what a target holds, and what is done with it.

use chrono::DateTime;
use proptest::prelude::*;

use super::existing::{BYTES_MAX, Existing, Origin};
use super::{Action, Identity, Noted, OnConflict, RestoreError, Verdict};
use crate::ids::ItemKey;

fn identity(natural: &str, state: u64, modified_s: i64) -> Identity {
    let modified = DateTime::from_timestamp(modified_s, 0);
    Identity { natural_key: Some(ItemKey::of(natural)), change_tag: None, state: Some(state), modified }
}

fn noted(id: &str, identity: Identity, marker: Option<ItemKey>) -> Noted {
    Noted::new(id, identity, marker)
}

fn update(id: &str) -> Verdict {
    Verdict::Do(Action::Update { id: id.to_owned() })
}

#[test]
fn what_is_missing_is_created_and_what_is_unchanged_left_alone() {
    let mut existing = Existing::default();
    existing.add(&noted("a", identity("mail", 7, 100), None), Origin::Unknown).unwrap();
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
    existing.add(&noted("a", identity("mail", 8, 200), None), Origin::Unknown).unwrap();
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
    existing.add(&noted("copy", identity("mail", 8, 200), Some(ItemKey::of("a"))), Origin::Unknown).unwrap();
    existing.add(&noted("a", identity("mail", 9, 200), None), Origin::Unknown).unwrap();

    let decide = |mode| existing.decide(ItemKey::of("a"), &identity("mail", 7, 100), mode);

    assert_eq!(decide(OnConflict::Skip), Verdict::AlreadyThere);
    assert_eq!(decide(OnConflict::KeepBoth), Verdict::AlreadyThere);
    assert_eq!(decide(OnConflict::Replace), update("copy"));
}

#[test]
fn what_has_the_name_is_in_the_way_though_the_backup_knows_it() {
    let mut existing = Existing::of(true);
    existing.add(&noted("new", identity("file", 8, 200), None), Origin::Original).unwrap();

    assert_eq!(existing.decide(ItemKey::of("old"), &identity("file", 7, 100), OnConflict::Replace), update("new"));
}

#[test]
fn two_copies_of_one_mail_are_two_items() {
    let mut existing = Existing::default();
    existing.add(&noted("x", identity("mail", 7, 100), None), Origin::Foreign).unwrap();
    existing.add(&noted("y", identity("mail", 7, 100), None), Origin::Original).unwrap();

    let decide = |id: &str| existing.decide(ItemKey::of(id), &identity("mail", 7, 100), OnConflict::Skip);

    assert_eq!(decide("y"), Verdict::AlreadyThere, "it is there itself");
    assert_eq!(decide("z"), Verdict::AlreadyThere, "x stands for it");
    assert_eq!(decide("w"), Verdict::Do(Action::Create), "x stands for another");
}

#[test]
fn what_stands_for_one_item_takes_nothing_from_others() {
    let mut existing = Existing::default();
    existing.add(&noted("x", identity("mail", 7, 100), None), Origin::Unknown).unwrap();
    let decide = |natural: &str| existing.decide(ItemKey::of("z"), &identity(natural, 7, 100), OnConflict::Skip);

    for n in 0..50 {
        assert_eq!(decide(&format!("other {n}")), Verdict::Do(Action::Create), "{n}");
    }

    assert_eq!(decide("mail"), Verdict::AlreadyThere);
}

#[test]
fn what_does_not_fit_into_memory_is_told() {
    let mut existing = Existing::default();
    let id = |n: usize| format!("{n}{}", "x".repeat(1 << 20));
    let add = |n: usize| existing.add(&noted(&id(n), identity("mail", 8, 100), None), Origin::Foreign);

    let told = (0..BYTES_MAX >> 20).map(add).find_map(Result::err);

    assert!(matches!(told, Some(RestoreError::Item(why)) if why.contains("restore to a new folder")));
}

#[test]
fn a_million_items_of_which_nothing_is_to_be_changed_fit_though_their_ids_would_not() {
    let id = |n: u32| format!("{n}{}", "x".repeat(400));
    let mut existing = Existing::for_restore(false, OnConflict::Skip);
    for n in 0..1_000_000 {
        let item = Identity { state: Some(7), ..Identity::default() };
        existing.add(&noted(&id(n), item, None), Origin::Original).unwrap();
    }
    let item = Identity { state: Some(8), ..Identity::default() };

    let kept = existing.decide(ItemKey::of(&id(999_999)), &item, OnConflict::Replace);

    assert!(matches!(kept, Verdict::Kept { .. }), "without its id it stays as it is: {kept:?}");
    assert_eq!(existing.len(), 1_000_000);
}

/// An item on the target: what it was restored from, its natural key, and whether the backup knows it.
type There = (Option<u8>, u8, bool);

fn there() -> impl Strategy<Value = Vec<There>> {
    prop::collection::vec((prop::option::weighted(0.3, 0u8..6), 0u8..4, any::<bool>()), 0..40)
}

fn id_of(at: usize) -> String {
    format!("there {at}")
}

/// What is found by looking at all of them, one after the other.
fn found_by_looking(there: &[There], taken: &mut [bool], unique: bool, (key, natural): (&str, u8)) -> Option<usize> {
    let marked = |(marker, ..): &There| marker.is_some_and(|marker| format!("gone {marker}") == key);
    if let Some(at) = there.iter().rposition(marked) {
        return Some(at);
    }
    if let Some(at) = (0..there.len()).find(|at| there[*at].2 && id_of(*at) == key) {
        return Some(at);
    }
    let may_stand = |at: usize, (marker, alike, known): &There| {
        marker.is_none() && *alike == natural && (unique || !known) && !taken[at]
    };
    let at = (0..there.len()).rev().find(|at| may_stand(*at, &there[*at]))?;
    taken[at] = true;
    Some(at)
}

proptest! {
    #[test]
    fn what_is_found_is_what_looking_at_each_item_finds(
        there in there(),
        asked in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0u8..4), 1..60),
        unique in any::<bool>(),
    ) {
        let mut existing = Existing::of(unique);
        let mut lean = Existing::for_restore(unique, OnConflict::KeepBoth);
        for (at, (marker, natural, known)) in there.iter().enumerate() {
            let marker = marker.map(|marker| ItemKey::of(&format!("gone {marker}")));
            let item = noted(&id_of(at), identity(&natural.to_string(), 1, 100), marker);
            let origin = if *known { Origin::Original } else { Origin::Foreign };
            existing.add(&item, origin).unwrap();
            lean.add(&item, origin).unwrap();
        }
        let mut taken = vec![false; there.len()];
        for (which, original, natural) in asked {
            let known: Vec<usize> = (0..there.len()).filter(|at| there[*at].2).collect();
            let key = match (original, known.is_empty()) {
                (true, false) => id_of(known[which.index(known.len())]),
                _ => format!("gone {}", which.index(6)),
            };
            let item = identity(&natural.to_string(), 2, 100);

            let found = found_by_looking(&there, &mut taken, unique, (&key, natural));

            let expected = found.map_or(Verdict::Do(Action::Create), |at| update(&id_of(at)));
            prop_assert_eq!(existing.decide(ItemKey::of(&key), &item, OnConflict::Replace), expected);
            let beside = lean.decide(ItemKey::of(&key), &item, OnConflict::KeepBoth);
            prop_assert_eq!(beside == Verdict::Do(Action::Create), found.is_none(), "without ids as much is found");
        }
    }
}
