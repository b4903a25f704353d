//! One item on its way back: what is to be done is planned first, so that a dry run can tell it, and then carried out.

use super::deciding::conflict;
use super::{Action, Along, Existing, OnConflict, Recognised, RestoreError, Restored, Restoring, StoredItem, Verdict};
use crate::features::Source;

const ELSEWHERE: &str = "it is in another folder by now";

/// How items are to be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub on_conflict: OnConflict,
    /// The target may hold the item itself in another container: it goes back to where it came from, and the newest
    /// backup has it alive.
    pub may_be_elsewhere: bool,
}

/// What is to be done with one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Do(Action),
    /// The item with this Graph id is in another container: it is moved, and brought up to date if it changed.
    MoveBack {
        id: String,
        changed: bool,
    },
    AlreadyThere,
    LeftAlone {
        why: &'static str,
    },
}

/// Plans for a target container that holds `existing`. Writes nothing.
pub async fn plan(
    feature: &dyn Restoring,
    target: Source<'_>,
    container: &str,
    item: &StoredItem,
    existing: &Existing,
    wish: Wish,
) -> Result<Plan, RestoreError> {
    let identity = match feature.recognise(container, item)? {
        Recognised::Item(identity) => identity,
        Recognised::LeftOut { why } => return Ok(Plan::LeftAlone { why }),
    };
    let create = match existing.decide(item.key, &identity, wish.on_conflict) {
        Verdict::Do(Action::Create) if wish.may_be_elsewhere => Action::Create,
        Verdict::Do(action) => return Ok(Plan::Do(action)),
        Verdict::AlreadyThere => return Ok(Plan::AlreadyThere),
        Verdict::Kept { why } => return Ok(Plan::LeftAlone { why }),
    };
    let Some(present) = feature.locate(target, item).await? else { return Ok(Plan::Do(create)) };
    Ok(match (conflict(&present, &identity, wish.on_conflict), wish.on_conflict) {
        (_, OnConflict::Skip) => Plan::LeftAlone { why: ELSEWHERE },
        (_, OnConflict::KeepBoth) => Plan::Do(create),
        (Verdict::Do(_), _) => Plan::MoveBack { id: present.id, changed: true },
        (Verdict::AlreadyThere, OnConflict::Replace) => Plan::MoveBack { id: present.id, changed: false },
        (Verdict::AlreadyThere, OnConflict::ReplaceIfOlder) => Plan::LeftAlone { why: ELSEWHERE },
        (Verdict::Kept { why }, _) => Plan::LeftAlone { why },
    })
}

/// Carries out what was planned.
pub async fn carry_out(
    feature: &dyn Restoring,
    target: Source<'_>,
    container: &str,
    (item, along): (&StoredItem, Along<'_>),
    plan: &Plan,
) -> Result<Restored, RestoreError> {
    match plan {
        Plan::Do(action) => feature.carry_out(target, container, item, action, along).await,
        Plan::MoveBack { id, changed } => move_back(feature, target, container, (item, along), (id, *changed)).await,
        Plan::AlreadyThere => Ok(Restored::AlreadyThere),
        Plan::LeftAlone { why } => Ok(Restored::LeftAlone { why }),
    }
}

async fn move_back(
    feature: &dyn Restoring,
    target: Source<'_>,
    container: &str,
    (item, along): (&StoredItem, Along<'_>),
    (id, changed): (&str, bool),
) -> Result<Restored, RestoreError> {
    let moved = feature.move_back(target, container, id).await?;
    let told = match &moved {
        Some(_) => "it was moved back from another folder",
        None if !changed => return Ok(Restored::LeftAlone { why: ELSEWHERE }),
        None => "it stays in the folder where it is by now",
    };
    let mut remarks = vec![told.to_owned()];
    if changed {
        let action = Action::Update { id: moved.unwrap_or_else(|| id.to_owned()) };
        match feature.carry_out(target, container, item, &action, along).await? {
            Restored::Created { remarks: more } | Restored::Updated { remarks: more } => remarks.extend(more),
            Restored::AlreadyThere => {}
            Restored::LeftAlone { why } => remarks.push(why.to_owned()),
        }
    }
    Ok(Restored::Updated { remarks })
}

/// Brings one item alone back to a target container that holds `existing`.
pub async fn bring_back(
    feature: &dyn Restoring,
    target: Source<'_>,
    container: &str,
    item: &StoredItem,
    existing: &Existing,
    on_conflict: OnConflict,
) -> Result<Restored, RestoreError> {
    let wish = Wish { on_conflict, may_be_elsewhere: false };
    let plan = plan(feature, target, container, item, existing, wish).await?;
    carry_out(feature, target, container, (item, Along::default()), &plan).await
}
