//! Bringing the small things of a mailbox back, in place or to another user's mailbox.
//!
//! None of them can carry a marker: they are told by their own ids, categories by their names, rules by their names and
//! by what they do. Nothing that comes back writes to anybody.

use serde_json::Value;

use super::{Area, CONTAINER, ask, categories, preferences, rules};
use crate::features::entries::without_envelope;
use crate::features::mailbox::{KIND_CATEGORY, KIND_RULE, KIND_SETTINGS};
use crate::features::{Action, Identity, Noted, PathStep, Recognised, RestoreError, Restored, Source, StoredItem};
use crate::graph::GraphError;

/// Where nothing is written: what goes into a folder of somebody must not change how that mailbox works.
const ASIDE: &str = "kodo:aside";
const ASIDE_WHY: &str = "all goes into a folder of its own, and settings, categories and rules are of the mailbox: \
    restore them in their own place";
const UNKNOWN: &str = "this version of kodo does not know this kind of item";
const REMEDY: &str = "to restore settings, categories and rules grant the app the application permission \
    MailboxSettings.ReadWrite, with admin consent";

/// Whose item it is decides how it is compared: what a restore may not turn on comes back turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Stored,
    Target,
}

pub(in crate::features::mailbox) fn open(path: &[PathStep]) -> String {
    if path.len() > 1 { ASIDE.to_owned() } else { CONTAINER.to_owned() }
}

pub(in crate::features::mailbox) async fn existing(
    target: Source<'_>,
    container: &str,
) -> Result<Vec<Noted>, RestoreError> {
    let mut existing = Vec::new();
    if container == ASIDE {
        return Ok(existing);
    }
    for area in Area::ALL {
        for one in ask(target, area).await.map_err(restore_error)? {
            let one = without_envelope(one);
            let identity = identity(area, &one, Side::Target);
            if let Some(item) = area.item(one) {
                existing.push(Noted::new(&item.id, identity, None));
            }
        }
    }
    Ok(existing)
}

fn identity(area: Area, one: &Value, side: Side) -> Identity {
    match area {
        Area::Mailbox => preferences::identity(one, side),
        Area::Categories => categories::identity(one),
        Area::Rules => rules::identity(one, side),
    }
}

fn area_of(item: &StoredItem) -> Option<Area> {
    match item.kind {
        KIND_SETTINGS => Some(Area::Mailbox),
        KIND_CATEGORY => Some(Area::Categories),
        KIND_RULE => Some(Area::Rules),
        _ => None,
    }
}

pub(in crate::features::mailbox) fn recognise(container: &str, item: &StoredItem) -> Result<Recognised, RestoreError> {
    if container == ASIDE {
        return Ok(Recognised::LeftOut { why: ASIDE_WHY });
    }
    match area_of(item) {
        Some(area) => Ok(Recognised::Item(identity(area, &item.json()?, Side::Stored))),
        None => Ok(Recognised::LeftOut { why: UNKNOWN }),
    }
}

pub(in crate::features::mailbox) async fn carry_out(
    target: Source<'_>,
    item: &StoredItem,
    action: &Action,
) -> Result<Restored, RestoreError> {
    let stored = item.json()?;
    match area_of(item) {
        Some(Area::Mailbox) => preferences::carry_out(target, &stored, action).await,
        Some(Area::Categories) => categories::carry_out(target, &stored, action).await,
        Some(Area::Rules) => rules::carry_out(target, &stored, action).await,
        None => Ok(Restored::LeftAlone { why: UNKNOWN }),
    }
}

/// Graph's own id of an item, which stands behind the area in ours.
pub(super) fn own_id(area: Area, id: &str) -> &str {
    id.strip_prefix(&area.id()).and_then(|rest| rest.strip_prefix(':')).unwrap_or(id)
}

/// What concerns these small things alone, the permission for them among it, must not end the restore of the mail.
pub(super) fn restore_error(error: GraphError) -> RestoreError {
    match error {
        GraphError::Forbidden { answer, .. } => RestoreError::Item(format!("{answer}: {REMEDY}")),
        GraphError::NoService { answer, reason } => RestoreError::Item(format!("{answer}: {reason}; {REMEDY}")),
        GraphError::NotFound { .. }
        | GraphError::Resync { .. }
        | GraphError::BadItem { .. }
        | GraphError::Conflict { .. }
        | GraphError::TooLarge { .. }
        | GraphError::Quota { .. }
        | GraphError::Locked { .. }
        | GraphError::Refused { .. }
        | GraphError::Protocol { .. } => RestoreError::Item(error.to_string()),
        GraphError::Throttled { .. }
        | GraphError::Transient { .. }
        | GraphError::Ambiguous { .. }
        | GraphError::Login { .. } => RestoreError::Graph(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> PathStep {
        PathStep { name: name.to_owned(), well_known: None, hidden: false }
    }

    #[test]
    fn what_goes_into_a_folder_brings_no_settings_along() {
        assert_eq!(open(&[step("Mailbox settings")]), CONTAINER);
        assert_eq!(open(&[step("Restored"), step("Mailbox settings")]), ASIDE);
        assert!(super::super::is_own(ASIDE));
    }

    #[test]
    fn an_own_id_stands_behind_the_area() {
        assert_eq!(own_id(Area::Rules, "kodo:settings:rules:AAMk:1"), "AAMk:1");
    }
}
